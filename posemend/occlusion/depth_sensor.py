"""What a depth camera makes of a scene: an exact depth map, then a sensor's holes, steps and noise.

`depth_map` fills a z-buffer solid by solid: each solid's rays are those of the
rectangle of pixels that it can cover, so a person costs a few milliseconds and
no mesh, driver or acceleration tree is needed. `sense` then does what sensors
do to it:

- structured light (Asus Xtion, Kinect v1) sees nothing where the projector's
  light does not reach: a shadow beside every near edge, as wide as the
  disparity jumps; distance comes in steps of disparity, z^2 / (f b) each
  (Khoshelham & Elberink 2012, eq. 5); noise grows with z^2 (Nguyen, Izadi & Lovell 2012, eq. 1);
- time of flight (Azure Kinect) mixes near and far at an edge (flying pixels, mostly masked out), steps are
  millimetres, and noise grows as light returns weaker;
- both lose surfaces seen at a grazing angle, and a pixel here and there.

Left out on purpose: several paths of light, dark and shiny cloth, lens distortion, motion within a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from posemend.errors import InputError
from posemend.geometry.camera import Camera
from posemend.occlusion.solids import Solids, entries, refuse_inside
from posemend.occlusion.surfaces import Surface, cast

Floats = NDArray[np.float32]

FLOOR, WALL, NOTHING = -2, -3, -1


class DepthMap(NamedTuple):
    """What `depth_map` gives.

    Attributes:
        depth: (H, W) float32 metres along the optical axis; 0 where nothing is.
        solid: (H, W) int16 number of the solid that is seen; ``FLOOR``, ``WALL`` or ``NOTHING``.
    """

    depth: Floats
    solid: NDArray[np.int16]


@dataclass(frozen=True)
class SensorModel:
    """A depth camera: its pictures and its faults.

    Attributes:
        width, height: Pixels.
        focal: Focal length in pixels.
        near, far: Distances in metres beyond which nothing is measured.
        baseline: From projector to camera, metres; 0 for time of flight.
        disparity_step: Pixels of disparity that structured light can tell apart; 0 for time of flight.
        step: Metres; what the file's numbers are rounded to.
        noise: (a, b) of the standard deviation a + b z^2, metres.
        edge_loss: Chance that a pixel at a jump in depth is lost.
        jump: Metres between neighbours that make an edge.
        flying: Chance that a pixel at an edge lies between near and far instead.
        jitter: Standard deviation in pixels by which edges are displaced along a row.
        grazing: Cosine of the angle to the surface below which pixels get lost.
        loss: Chance that any pixel is lost.
    """

    width: int
    height: int
    focal: float
    near: float
    far: float
    baseline: float = 0.0
    disparity_step: float = 0.0
    step: float = 0.001
    noise: tuple[float, float] = (0.0, 0.0)
    edge_loss: float = 0.0
    jump: float = 0.1
    flying: float = 0.0
    jitter: float = 0.0
    grazing: float = 0.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0 or not self.focal > 0 or not 0 <= self.near < self.far:
            raise InputError(f"SensorModel wants sizes and focal above 0 and near < far, got {self}.")

    def camera(self, rotation: NDArray[np.floating], translation: NDArray[np.floating]) -> Camera:
        """This sensor at a place: ``rotation`` (3, 3) and ``translation`` (3,) are world to camera."""
        centre = (self.width / 2, self.height / 2)
        turn, shift = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
        return Camera((self.focal, self.focal), centre, self.width, self.height, turn, shift)

    @classmethod
    def preset(cls, name: str) -> SensorModel:
        """A sensor by name, one of `SENSORS`.

        Raises:
            InputError: No such sensor.
        """
        if name not in SENSORS:
            raise InputError(f"No depth sensor is called '{name}'. There are: {', '.join(SENSORS)}.")
        return SENSORS[name]


SENSORS: dict[str, SensorModel] = {
    # ITOP: Asus Xtion Pro at 320 x 240 (0.0035 rad/px in the data set's own formulas); half-size pixels of
    # a 640-wide sensor with 1/8 px of disparity. Noise: Nguyen et al., 0.0012 + 0.0019 (z - 0.4)^2, rounded.
    "itop": SensorModel(
        320, 240, 1 / 0.0035, 0.5, 8.0, baseline=0.075, disparity_step=1 / 16, noise=(0.0010, 0.0017),
        edge_loss=0.35, jitter=0.5, grazing=0.15, loss=0.002,
    ),
    # Azure Kinect, narrow field of view, unbinned: 640 x 576, 75 x 65 degrees, 0.5 to 3.86 m as specified
    # (random error at most 17 mm); it goes on to about 6 m with fewer returns.
    "azure-kinect": SensorModel(
        640, 576, 504.0, 0.25, 5.5, step=0.001, noise=(0.0008, 0.0006), edge_loss=0.6, flying=0.2, jitter=0.3,
        grazing=0.10, loss=0.001,
    ),
    # no faults: for tests and upper bounds
    "exact": SensorModel(320, 240, 1 / 0.0035, 0.0, 1e6, step=0.0),
}  # fmt: skip


def _in_camera(solids: Solids, camera: Camera, frame: int) -> Solids:
    """One frame of solids whose capsules and ellipsoids are in camera axes (boxes stay in the world)."""
    turn, shift = camera.rotation.astype(np.float32), camera.translation.astype(np.float32)
    one = solids.frames(slice(frame, frame + 1))
    return replace(
        one, start=one.start @ turn.T + shift, end=one.end @ turn.T + shift,
        centre=one.centre @ turn.T + shift, unit=one.unit @ turn.T,
    )  # fmt: skip


def _rectangle(lower: Floats, upper: Floats, camera: Camera) -> tuple[slice, slice] | None:
    """Rows and columns that can see a block (camera axes, corners ``lower`` and ``upper``); None if none can."""
    if upper[2] <= 0:
        return None
    if lower[2] < 0.05:
        return slice(0, camera.height), slice(0, camera.width)
    depth = np.array([lower[2], upper[2]])
    sides = []
    for axis, size in ((0, camera.width), (1, camera.height)):
        at = camera.focal[axis] * np.outer([lower[axis], upper[axis]], 1 / depth) + camera.centre[axis]
        sides.append(slice(max(0, int(np.floor(at.min())) - 1), min(size, int(np.ceil(at.max())) + 1)))
    columns, rows = sides
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _single(solids: Solids, number: int) -> Solids:
    """One solid alone."""
    capsules, balls = solids.start.shape[1], solids.centre.shape[1]
    c = slice(number, number + 1) if number < capsules else slice(0, 0)
    e = slice(number - capsules, number - capsules + 1) if capsules <= number < capsules + balls else slice(0, 0)
    b = slice(number - capsules - balls, number - capsules - balls + 1) if number >= capsules + balls else slice(0, 0)
    return Solids(
        solids.start[:, c], solids.end[:, c], solids.radius[:, c], solids.centre[:, e], solids.unit[:, e],
        solids.box_centre[:, b], solids.box_half[b], solids.box_yaw[:, b],
        solids.owner[number : number + 1], solids.part[number : number + 1],
    )  # fmt: skip


def _blocks(solids: Solids, camera: Camera) -> list[tuple[Floats, Floats]]:
    """Bounding block of every solid in camera axes."""
    blocks = []
    for a, b, r in zip(solids.start[0], solids.end[0], solids.radius[0], strict=True):
        blocks.append((np.minimum(a, b) - r, np.maximum(a, b) + r))
    for middle, unit in zip(solids.centre[0], solids.unit[0], strict=True):
        reach = np.linalg.norm(np.linalg.inv(unit), axis=1)  # support of the ellipsoid along each axis
        blocks.append((middle - reach, middle + reach))
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    for middle, half, yaw in zip(solids.box_centre[0], solids.box_half, solids.box_yaw[0], strict=True):
        cos, sin = np.cos(yaw), np.sin(yaw)
        corners = (signs * half) @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + middle
        seen = camera.to_camera(corners)
        blocks.append((seen.min(0), seen.max(0)))
    return blocks


def depth_map(
    solids: Solids, camera: Camera, frame: int = 0, *, floor: float | None = 0.0, wall: float | None = None
) -> DepthMap:
    """The exact depth of everything that a camera sees at one moment.

    Args:
        solids: The scene, world axes.
        camera: Where from; pixels are sampled at their middles.
        frame: Which frame of the solids.
        floor: Height of an endless floor in metres, or ``None``.
        wall: Depth of an endless wall that faces the camera, metres, or ``None``.

    Raises:
        InputError: No such frame, or the camera is inside of a solid.
    """
    if not 0 <= frame < len(solids):
        raise InputError(f"depth_map wants a frame from 0 to {len(solids) - 1}, got {frame}.")
    refuse_inside(solids.frames(slice(frame, frame + 1)), camera.to_world(np.zeros((1, 3))))
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = camera.rays(np.stack([u, v], -1)).astype(np.float32)
    world_rays = (rays @ camera.rotation).astype(np.float32)
    eye = camera.to_world(np.zeros(3)).astype(np.float32)
    depth = np.full(u.shape, np.inf, np.float32)
    solid = np.full(u.shape, NOTHING, np.int16)
    if floor is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            far = (np.float32(floor) - eye[2]) / world_rays[..., 2]
        nearer = np.isfinite(far) & (far > 0)
        depth[nearer], solid[nearer] = far[nearer], FLOOR
    if wall is not None:
        nearer = depth > wall
        depth[nearer], solid[nearer] = wall, WALL
    here = _in_camera(solids, camera, frame)
    things = here.start.shape[1] + here.centre.shape[1]
    for number, (lower, upper) in enumerate(_blocks(here, camera)):
        window = _rectangle(lower, upper, camera)
        if window is None:
            continue
        # rays have z = 1, so that lengths along them are depths; boxes are upright in the world only
        way = (rays if number < things else world_rays)[window]
        start = np.zeros((1, 3), np.float32) if number < things else eye[None]
        met = entries(_single(here, number), start, way.reshape(1, -1, 3))[0, :, 0].reshape(way.shape[:2])
        nearer = (met > 0) & (met < depth[window])
        depth[window][nearer], solid[window][nearer] = met[nearer], number
    number = solids.analytic
    for surface in solids.surfaces:
        _draw_surface(surface, frame, camera, world_rays, depth, solid, number)
        number += len(surface.parts)
    depth[~np.isfinite(depth)] = 0
    return DepthMap(depth, solid)


def _draw_surface(
    surface: Surface, frame: int, camera: Camera, rays: Floats, depth: Floats, solid: NDArray[np.int16], number: int
) -> None:
    """Put what is seen of a mesh into ``depth`` and ``solid``; its first part counts as ``number``."""
    corners = surface.corners(frame)
    seen = camera.to_camera(corners.reshape(-1, 3))
    window = _rectangle(seen.min(0), seen.max(0), camera)
    if window is None:
        return
    shape = depth[window].shape
    face, met = cast(corners, camera.to_world(np.zeros(3)), rays[window].reshape(-1, 3))
    nearer = (met > 0) & (met < depth[window].ravel())
    nearer_at = nearer.reshape(shape)
    depth[window][nearer_at] = met[nearer]
    solid[window][nearer_at] = number + surface.face_part[face[nearer]]


def _shadow(depth: Floats, model: SensorModel) -> NDArray[np.bool_]:
    """Pixels that the projector, a baseline to the right of the camera, does not light.

    A point at column u and depth z lies in the projector's column u - f b / z;
    it is lit if no nearer point further right in the picture lands left of it.
    """
    with np.errstate(divide="ignore"):
        column = np.arange(depth.shape[1]) - np.where(depth > 0, model.focal * model.baseline / depth, 0)
    reach = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([column[:, :-1] > reach[:, 1:] + 0.5, np.zeros((len(depth), 1), bool)], 1)


def sense(depth: Floats, model: SensorModel, rng: np.random.Generator) -> Floats:
    """What the sensor reports of an exact depth map.

    Args:
        depth: (H, W) metres, 0 where nothing is, of the model's size.
        model: The sensor.
        rng: Source of chance; equal states give equal maps.

    Returns:
        (H, W) float32 metres, 0 = hole.

    Raises:
        InputError: The map has another size.
    """
    if depth.shape != (model.height, model.width):
        raise InputError(f"sense wants a map of {(model.height, model.width)}, got {depth.shape}.")
    seen = depth.astype(np.float32).copy()
    shape = seen.shape
    if model.jitter:
        shift = np.rint(rng.normal(0, model.jitter, shape)).astype(np.int64)
        columns = np.clip(np.arange(shape[1]) + shift, 0, shape[1] - 1)
        seen = np.take_along_axis(seen, columns, 1)
    low, high = ndimage.minimum_filter(seen, 3), ndimage.maximum_filter(seen, 3)
    edge = high - low > model.jump
    lost = (seen <= 0) | (seen < model.near) | (seen > model.far)
    if model.baseline:
        lost |= _shadow(depth, model)
    if model.grazing:
        # slope of the surface against the pixel's width there; flat to the ray = cosine 0
        slope = np.hypot(*np.gradient(depth)) * model.focal / np.maximum(depth, 0.1)
        lost |= ~edge & (1 / np.sqrt(1 + slope**2) < model.grazing * rng.uniform(0.5, 1.5, shape))
    lost |= edge & (rng.random(shape) < model.edge_loss)
    lost |= rng.random(shape) < model.loss
    if model.flying:
        mixed = edge & (rng.random(shape) < model.flying)
        share = rng.random(shape, dtype=np.float32)
        seen = np.where(mixed, low + share * (high - low), seen)
    a, b = model.noise
    if model.disparity_step:
        # the sensor's disparity is noisy, then rounded: the step grows with the square of the distance
        noisy = np.maximum(seen + rng.standard_normal(shape, np.float32) * (a + b * seen**2), 0.05)
        disparity = model.focal * model.baseline / noisy
        rounded = np.maximum(np.rint(disparity / model.disparity_step), 1) * model.disparity_step
        seen = (model.focal * model.baseline / rounded).astype(np.float32)
    else:
        seen = seen + rng.standard_normal(shape, np.float32) * np.float32(1) * (a + b * seen**2)
    if model.step:
        seen = np.rint(seen / model.step) * model.step
    return np.where(lost, 0, seen).astype(np.float32)
