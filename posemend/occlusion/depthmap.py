"""What a depth sensor sees of bodies made of capsules, in rooms of planes and boxes.

Everything is analytic. A map is drawn solid by solid, each inside its own
rectangle of the picture, which takes a few milliseconds; where only some rays
matter (one per joint, say) they are cast for a whole batch at once. Solids are
given in *camera* axes and have a batch axis instead of a time axis: every
sample has a body, a room and a camera of its own, as training wants it.

Noise: axial spread and disparity steps of structured-light sensors after
Nguyen, Izadi and Lovell (3DIMPVT 2012); holes along edges, beside them and in
speckles. It is cheap and wide on purpose: networks learn from it, and are
judged on `posemend.occlusion.depth_sensor` with `figure`'s bodies, which share
neither code nor shape with it: a network that has learned this body's outline, or
this sensor's faults, gains nothing there.

Left out on purpose: clothes, hair, skin that reflects badly, multi-path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.skeleton import Skeleton
from posemend.geometry.camera import Camera

Floats = NDArray[np.float32]
Ints = NDArray[np.int16]
Bools = NDArray[np.bool_]

NOTHING = -1  # owner of a ray that meets the room's planes or nothing
_EXTRA = ("l_hand", "r_hand", "l_foot", "r_foot")  # beyond the 17 joints, so with an end of their own
_MIDDLE = ("pelvis", "spine", "torso", "thorax", "neck")  # they lie inside the trunk, whichever way one looks
# start, end, radius as share of the stature, joints inside besides the two ends
_CAPSULES = (
    ("pelvis", "spine", 0.060, _MIDDLE),
    ("spine", "thorax", 0.060, _MIDDLE),
    ("l_hip", "l_shoulder", 0.045, _MIDDLE),
    ("r_hip", "r_shoulder", 0.045, _MIDDLE),
    ("l_hip", "r_hip", 0.055, _MIDDLE),
    ("l_shoulder", "r_shoulder", 0.035, _MIDDLE),
    ("thorax", "nose", 0.033, _MIDDLE),
    ("nose", "head_top", 0.050, ("head", "l_eye", "r_eye", "l_ear", "r_ear")),
    ("l_hip", "l_knee", 0.042, ()),
    ("r_hip", "r_knee", 0.042, ()),
    ("l_knee", "l_ankle", 0.030, ("l_heel",)),
    ("r_knee", "r_ankle", 0.030, ("r_heel",)),
    ("l_shoulder", "l_elbow", 0.027, ()),
    ("r_shoulder", "r_elbow", 0.027, ()),
    ("l_elbow", "l_wrist", 0.022, ()),
    ("r_elbow", "r_wrist", 0.022, ()),
)
PARTS = len(_CAPSULES) + len(_EXTRA)
_AT_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Scenes:
    """B scenes in camera axes, metres: K capsules, M boxes, P planes each.

    Attributes:
        start, end: (B, K, 3) ends of capsules.
        radius: (B, K).
        box_centre: (B, M, 3).
        box_axes: (B, M, 3, 3) rows are the box's own axes.
        box_half: (B, M, 3) half lengths; 0 for a box that is not there.
        normal: (B, P, 3) of the planes ``normal . p = offset``.
        offset: (B, P).
    """

    start: Floats
    end: Floats
    radius: Floats
    box_centre: Floats
    box_axes: Floats
    box_half: Floats
    normal: Floats
    offset: Floats

    def __len__(self) -> int:
        return len(self.radius)


def capsules_of(joints: Floats, height: Floats, thickness: NDArray[np.floating]) -> tuple[Floats, Floats, Floats]:
    """A body round each pose: sixteen capsules plus hands and feet.

    Args:
        joints: (B, 17, 3) Human3.6M joints in any right-handed axes, metres.
        height: (B,) stature.
        thickness: (B, K) factors of the radii, 1 for an average body.

    Returns:
        Starts (B, K, 3), ends (B, K, 3) and radii (B, K), ``K = PARTS``.
    """
    at = {name: joints[:, place] for place, name in enumerate(H36M_17.joints)}
    tall = height[:, None]
    start = [at[first] for first, _, _, _ in _CAPSULES]
    end: list[NDArray[np.floating]] = [at[last] for _, last, _, _ in _CAPSULES]
    radius = [np.full(len(joints), share) for _, _, share, _ in _CAPSULES]
    left = _unit(at["l_hip"] - at["r_hip"])
    for side in "lr":
        along = _unit(at[f"{side}_wrist"] - at[f"{side}_elbow"])
        start.append(at[f"{side}_wrist"])
        end.append(at[f"{side}_wrist"] + along * 0.07 * tall)
        radius.append(np.full(len(joints), 0.024))
    for side in "lr":
        up = _unit(at[f"{side}_knee"] - at[f"{side}_ankle"])
        forward = _unit(np.cross(left, up))
        start.append(at[f"{side}_ankle"] - up * 0.02 * tall)
        end.append(at[f"{side}_ankle"] + (forward * 0.09 - up * 0.03) * tall)
        radius.append(np.full(len(joints), 0.022))
    return (
        np.stack(start, 1).astype(np.float32),
        np.stack(end, 1).astype(np.float32),
        (np.stack(radius, 1) * height[:, None] * thickness).astype(np.float32),
    )


def owned(skeleton: Skeleton) -> Bools:
    """(J, K) which capsules a joint lies in, and so is not hidden by."""
    parts = [frozenset({first, last, *inside}) for first, last, _, inside in _CAPSULES]
    parts += [frozenset({f"{side}_wrist"}) for side in "lr"] + [frozenset({f"{side}_ankle"}) for side in "lr"]
    table = np.array([[joint in part for part in parts] for joint in skeleton.joints])
    if "head" in skeleton.joints:
        table[skeleton.index("head")] |= [bool({"nose", "head_top"} & part) for part in parts]
    return table


def _unit(x: Floats) -> Floats:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)


def _capsule(x: Floats, y: Floats, a: Floats, b: Floats, r: Floats) -> Floats:
    """Depth at which rays (x, y, 1) from the camera enter capsules; inf for a miss (Quilez' intersector).

    ``x``, ``y`` (...), ``a``, ``b`` (..., 3) and ``r`` (...) are broadcast together.
    """
    ba = b - a
    ba_ba = np.maximum((ba * ba).sum(-1), _AT_LEAST)
    ba_oa = -(ba * a).sum(-1)
    oa_oa = (a * a).sum(-1)
    dd = x * x + y * y + 1
    ba_d = ba[..., 0] * x + ba[..., 1] * y + ba[..., 2]
    d_oa = -(a[..., 0] * x + a[..., 1] * y + a[..., 2])
    qa = ba_ba * dd - ba_d * ba_d
    qb = ba_ba * d_oa - ba_oa * ba_d
    qc = ba_ba * oa_oa - ba_oa * ba_oa - r * r * ba_ba
    h = qb * qb - qa * qc
    side = (-qb - np.sqrt(np.maximum(h, 0))) / np.maximum(qa, _AT_LEAST)
    along = ba_oa + side * ba_d
    on_side = (h > 0) & (along > 0) & (along < ba_ba)
    # otherwise one of the two round ends, the one that the side was missed at
    low = along <= 0
    d_end = np.where(low, d_oa, -(b[..., 0] * x + b[..., 1] * y + b[..., 2]))
    c_end = np.where(low, oa_oa, (b * b).sum(-1)) - r * r
    h_end = d_end * d_end - dd * c_end
    cap = (-d_end - np.sqrt(np.maximum(h_end, 0))) / dd
    z = np.where(on_side, side, np.where(h_end > 0, cap, np.inf))
    return np.where(z > 1e-3, z, np.inf)


def _box(x: Floats, y: Floats, centre: Floats, axes: Floats, half: Floats) -> Floats:
    """Depth at which rays (x, y, 1) enter boxes; inf for a miss. The slab test, in the box's axes."""
    here = -(axes * centre[..., None, :]).sum(-1)  # (..., 3) the camera in the box's axes
    enter, leave = np.float32(-np.inf), np.float32(np.inf)
    for axis in range(3):
        way = axes[..., axis, 0] * x + axes[..., axis, 1] * y + axes[..., axis, 2]
        way = np.where(np.abs(way) < 1e-9, np.float32(1e-9), way)
        one = (-half[..., axis] - here[..., axis]) / way
        two = (half[..., axis] - here[..., axis]) / way
        enter, leave = np.maximum(enter, np.minimum(one, two)), np.minimum(leave, np.maximum(one, two))
    hit = (enter <= leave) & (enter > 1e-3) & (half > 0).all(-1)
    return np.where(hit, enter, np.inf)


def _planes(x: Floats, y: Floats, normal: Floats, offset: Floats) -> Floats:
    """Depth of planes along rays (x, y, 1); inf where they are not met."""
    way = normal[..., 0] * x + normal[..., 1] * y + normal[..., 2]
    z = offset / np.where(np.abs(way) < 1e-9, np.float32(1e-9), way)
    return np.where(z > 1e-3, z, np.inf)


def cast(scenes: Scenes, rays: Floats) -> tuple[Floats, Ints]:
    """The first thing on each ray.

    Args:
        scenes: B scenes.
        rays: (B, R, 2) image place over focal length.

    Returns:
        (B, R) depth in metres, inf for nothing, and (B, R) whose: capsules
        from 0, boxes from K, ``NOTHING`` for planes and emptiness.
    """
    x, y = rays[..., None, 0], rays[..., None, 1]  # (B, R, 1)
    body = _capsule(x, y, scenes.start[:, None], scenes.end[:, None], scenes.radius[:, None])
    things = _box(x, y, scenes.box_centre[:, None], scenes.box_axes[:, None], scenes.box_half[:, None])
    room = _planes(x, y, scenes.normal[:, None], scenes.offset[:, None])
    solid = np.concatenate([body, things], -1)
    owner = solid.argmin(-1)
    near = np.take_along_axis(solid, owner[..., None], -1)[..., 0]
    wall = room.min(-1, initial=np.inf)
    return np.minimum(near, wall).astype(np.float32), np.where(near < wall, owner, NOTHING).astype(np.int16)


def cast_windows(scenes: Scenes, rays: Floats, most: int = 7) -> Floats:
    """The first distance on each ray of small windows: ``cast`` in half the time.

    Of the body only those capsules are looked at that lie closest to the middle
    of a window, the nearest ones first where many do.

    Args:
        scenes: B scenes, everything of the body more than 5 cm before the camera.
        rays: (B, J, R, 2) image place over focal length; windows are no wider than a few centimetres on the body.
        most: Capsules looked at.

    Returns:
        (B, J, R) metres, inf for nothing.
    """
    first, last = (ends[..., :2] / np.maximum(ends[..., 2:], 0.05) for ends in (scenes.start, scenes.end))
    nearest = np.maximum(np.minimum(scenes.start[..., 2], scenes.end[..., 2]) - scenes.radius, 0.05)  # (B, K)
    way = last - first
    off = rays[:, :, rays.shape[2] // 2, None] - first[:, None]  # (B, J, K, 2) from the windows' middles
    share = (off * way[:, None]).sum(-1) / np.maximum((way * way).sum(-1), _AT_LEAST)[:, None]
    beside = np.linalg.norm(off - share.clip(0, 1)[..., None] * way[:, None], axis=-1)
    clear = beside - (scenes.radius / nearest)[:, None]
    rank = np.where(clear < 0.012, nearest[:, None], 100 + clear)  # 0.012: two to three of ITOP's pixels
    chosen = np.argpartition(rank, most - 1, axis=-1)[..., :most]  # (B, J, most)
    row = np.arange(len(rays))[:, None, None]
    ends = (scenes.start[row, chosen][:, :, None], scenes.end[row, chosen][:, :, None])
    x, y = rays[..., None, 0], rays[..., None, 1]  # (B, J, R, 1)
    body = _capsule(x, y, *ends, scenes.radius[row, chosen][:, :, None]).min(-1)
    things = _box(
        x, y, scenes.box_centre[:, None, None], scenes.box_axes[:, None, None], scenes.box_half[:, None, None]
    ).min(-1)
    room = _planes(x, y, scenes.normal[:, None, None], scenes.offset[:, None, None]).min(-1, initial=np.inf)
    return np.minimum(np.minimum(body, things), room).astype(np.float32)


def hidden(scenes: Scenes, joints: Floats, skeleton: Skeleton, slack: float = 0.04) -> Bools:
    """(B, J) joints (B, J, 3) with something before them that they do not lie in themselves."""
    rays = joints[..., :2] / np.maximum(joints[..., 2:], 1e-3)
    z, owner = cast(scenes, rays.astype(np.float32))
    table = owned(skeleton)
    own = (owner >= 0) & (owner < PARTS)
    mine = table[np.arange(len(skeleton)), np.where(own, owner, 0)] & own
    return (z < joints[..., 2] - slack) & ~mine


def draw(scenes: Scenes, row: int, camera: Camera, rays: Floats | None = None) -> Floats:
    """The depth map (H, W) of one scene in metres, without noise; 0 for nothing.

    ``rays`` (H, W, 2): those of ``grid_rays``, where many maps share a camera.
    """
    rays = grid_rays(camera) if rays is None else rays
    x, y = rays[..., 0], rays[..., 1]
    z = np.full(x.shape, np.inf, np.float32)
    for normal, offset in zip(scenes.normal[row], scenes.offset[row], strict=True):
        np.minimum(z, _planes(x, y, normal, offset), out=z)
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T.astype(np.float32)
    half = scenes.box_half[row]
    corners = scenes.box_centre[row][:, None] + (signs * half[:, None]) @ scenes.box_axes[row]
    bodies = _rectangles(np.stack([scenes.start[row], scenes.end[row]], 1), scenes.radius[row], camera)
    things = _rectangles(corners, np.zeros(len(half), np.float32), camera)
    for k, (top, bottom, first, last) in enumerate(bodies):
        if top < bottom and first < last:
            part = slice(top, bottom), slice(first, last)
            body = scenes.start[row, k], scenes.end[row, k], scenes.radius[row, k]
            z[part] = np.minimum(z[part], _capsule(x[part], y[part], *body))
    for m, (top, bottom, first, last) in enumerate(things):
        if top < bottom and first < last and (half[m] > 0).all():
            part = slice(top, bottom), slice(first, last)
            box = scenes.box_centre[row, m], scenes.box_axes[row, m], half[m]
            z[part] = np.minimum(z[part], _box(x[part], y[part], *box))
    return np.where(np.isfinite(z), z, np.float32(0))


def grid_rays(camera: Camera) -> Floats:
    """(H, W, 2) image place over focal length of every pixel's middle."""
    v, u = np.mgrid[: camera.height, : camera.width] + 0.5
    return camera.rays(np.stack([u, v], -1))[..., :2].astype(np.float32)


def _rectangles(corners: Floats, margin: Floats, camera: Camera) -> list[list[int]]:
    """Rows and columns (top, bottom, first, last) that convex things (N, P, 3) with a margin (N,) can cover.

    Things that come close to the camera can cover everything, things behind it nothing.
    """
    z = corners[..., 2]
    near = np.maximum(z - margin[:, None], 0.1)
    behind = (z + margin[:, None]).max(1) < 0.05
    close = (z - margin[:, None]).min(1) < 0.1
    sides = []
    for axis, size in ((1, camera.height), (0, camera.width)):
        edge = corners[..., axis]
        wide = 1.2 * margin[:, None]
        far = np.maximum(z + margin[:, None], 0.1)
        places = np.stack([(edge + s * wide) / d for s in (-1, 1) for d in (near, far)], -1)
        pixels = places * camera.focal[axis] + camera.centre[axis]
        low, high = pixels.min((1, 2)) - 1, pixels.max((1, 2)) + 2
        low, high = np.where(close, 0, low), np.where(close, size, high)
        sides += [np.where(behind, 0, np.clip(low, 0, size)), np.where(behind, 0, np.clip(high, 0, size))]
    return np.stack(sides, -1).astype(int).tolist()


@dataclass(frozen=True)
class SensorNoise:
    """How a sensor spoils a map.

    Attributes:
        flat: Axial spread at 0.4 m, metres.
        growth: What is added per (z - 0.4)^2, metres.
        step: Depth steps per z^2, metres; 0 for none.
        edge: Share of pixels lost beside a jump of more than 8 cm.
        speckle: Share of pixels lost anywhere.
        blobs: Mean number of lost blobs a map (dark hair, shiny things).
        reach: Farthest distance, metres.
        flying: Share of pixels at a jump that lie between near and far.
        shadow: Widest strip beside a near edge that stays dark, pixels.
    """

    flat: float = 0.0012
    growth: float = 0.0019
    step: float = 0.00285
    edge: float = 0.6
    speckle: float = 0.01
    blobs: float = 2.0
    reach: float = 8.0
    flying: float = 0.05
    shadow: int = 4


XTION = SensorNoise()
AZURE_KINECT = SensorNoise(0.0015, 0.0005, 0.0, 0.7, 0.003, 1.0, 5.5, 0.2, 0)
SENSORS = {"xtion": XTION, "azure-kinect": AZURE_KINECT}


def spoiled(z: Floats, sensor: SensorNoise, rng: np.random.Generator) -> Floats:
    """A map (H, W) as the sensor would give it."""
    right = np.zeros(z.shape, np.float32)
    right[:, :-1] = np.diff(z, axis=1)
    jump = np.abs(right) > 0.08
    jump[:, 1:] |= jump[:, :-1]
    down = np.abs(np.diff(z, axis=0)) > 0.08
    jump[:-1] |= down
    jump[1:] |= down
    chance = rng.random(z.shape, np.float32)
    found = np.where(jump & (chance > 1 - sensor.flying), z + 0.5 * right, z)
    spread = sensor.flat + sensor.growth * (z - 0.4) ** 2
    found = found + spread * rng.standard_normal(z.shape, np.float32)
    if sensor.step:
        size = np.maximum(sensor.step * z * z, 1e-4)
        found = np.rint(found / size) * size
    lost = (chance < sensor.speckle) | (jump & (chance < sensor.edge)) | (z > sensor.reach) | (z <= 0)
    # beside a near edge the projector's light does not arrive; on which side depends on the sensor
    for column in range(1, sensor.shadow + 1):
        lost[:, column:] |= right[:, :-column] > 0.06 * column
    height, width = z.shape
    for _ in range(rng.poisson(sensor.blobs)):
        v, u = rng.integers(0, height), rng.integers(0, width)
        size = np.exp(rng.uniform(np.log(2), np.log(0.06 * height), 2)).astype(int)
        lost[max(v - size[0], 0) : v + size[0] + 1, max(u - size[1], 0) : u + size[1] + 1] = True
    return np.where(lost, 0, found).astype(np.float32)
