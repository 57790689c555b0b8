"""Depth maps: their unit, their points, and what lies round a joint.

A depth map holds, for each pixel, the distance *along the optical axis* (z),
not along the ray; 0 means that the sensor saw nothing there. Everything else is metres
in camera axes (x right, y down, z forward), and pixels are continuous: the
first pixel reaches from 0 to 1, its middle is 0.5, as in the rest of posemend.
(Sensor makers call the middle of the first pixel 0; readers of their
intrinsics add the half.)

A joint outside the map, or over a hole, has no depth, and every function here
says so in a mask; a zero is never taken for a distance. Crops are as large at
the border of the picture as in its middle (RefiNet's were not): what lies
outside is a hole.

Left out on purpose: radial distortion (undistort first, sensors' own software
does), and maps of distances along the ray (multiply by the ray's z first).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.errors import InputError
from posemend.geometry.camera import Camera

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

NEAREST, FARTHEST = 0.15, 20.0  # metres; what a depth sensor for people can measure, generously
UNITS = {"m": 1.0, "mm": 0.001}


@dataclass(frozen=True, eq=False)
class DepthClip:
    """Depth maps over time from one camera.

    Attributes:
        maps: (T, H, W) distances, any number type; also a memory map or an
            HDF5 data set, of which only what is needed is loaded.
        camera: Intrinsics of the depth camera; its size is the maps' size.
        unit: Metres per count: 1 for metres, 0.001 for millimetres. ``None``
            guesses from the numbers, and refuses where they do not tell.
        fps: Frames per second.

    Raises:
        InputError: Shape, size, unit or fps are impossible, or there is no depth in any frame.
    """

    maps: Any
    camera: Camera
    unit: float | None = None
    fps: float = 30.0

    def __post_init__(self) -> None:
        shape, kind = tuple(self.maps.shape), np.dtype(self.maps.dtype).kind
        if len(shape) != 3 or 0 in shape or kind not in "uif":
            raise InputError(f"DepthClip wants maps of numbers, (T, H, W), got shape {shape} of {self.maps.dtype}.")
        check_size(shape[1:], self.camera)
        if not (np.isfinite(self.fps) and 0 < self.fps <= 10_000):
            raise InputError(f"DepthClip wants fps between 0 and 10000, got {self.fps}.")
        chosen = np.unique(np.linspace(0, shape[0] - 1, min(shape[0], 16)).astype(int))
        some = np.stack([np.asarray(self.maps[int(frame)]) for frame in chosen])
        object.__setattr__(self, "unit", checked_unit(some, self.unit))

    def __len__(self) -> int:
        return int(self.maps.shape[0])

    def __getitem__(self, part: slice) -> DepthClip:
        """The frames of a slice, same clock."""
        return replace(self, maps=self.maps[part])

    def metres(self, part: slice | None = None) -> Floats:
        """(N, H, W) float32 metres of some frames; 0 where there is no depth."""
        assert self.unit is not None
        return cleaned(np.asarray(self.maps[part if part is not None else slice(None)]), self.unit)


def cleaned(maps: NDArray[Any], unit: float) -> Floats:
    """Metres; everything that is no distance (NaN, saturated, too near or too far) becomes 0."""
    metres = np.asarray(maps, np.float32) * np.float32(unit)
    with np.errstate(invalid="ignore"):
        good = (metres > NEAREST) & (metres < FARTHEST)
    if maps.dtype.kind in "ui":
        good &= maps < np.iinfo(maps.dtype).max
    return np.where(good, metres, np.float32(0))


def checked_unit(maps: NDArray[Any], unit: float | None = None) -> float:
    """Metres per count: as told if the numbers can be that, guessed if nothing is told.

    People stand 0.3 to 15 m from a depth sensor, so metres and millimetres
    cannot be mixed up.

    Raises:
        InputError: No distances at all, a unit that gives impossible distances,
            or numbers that fit no unit.
    """
    values = np.asarray(maps)
    saturated = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else np.inf
    with np.errstate(invalid="ignore"):
        values = values[(values > 0) & (values < saturated)]
    if not values.size:
        raise InputError(
            "The depth maps hold no distance in any frame looked at: all pixels are 0, not a number or saturated. "
            "Check the sensor's output, or leave the depth out."
        )
    middle = float(np.median(values.astype(np.float64)))
    fits = {name: scale for name, scale in UNITS.items() if 0.3 <= middle * scale <= 15}
    if unit is None:
        if len(fits) != 1:
            raise InputError(
                f"The unit of the depth maps cannot be told: the middle value is {middle:g}, and people stand 0.3 to "
                "15 m from a sensor. Say it (--depth-unit m, mm, or metres per count)."
            )
        return next(iter(fits.values()))
    if not (np.isfinite(unit) and unit > 0):
        raise InputError(f"Wanted the depth's unit in metres per count, above 0, got {unit}.")
    if not NEAREST <= middle * unit <= FARTHEST:
        hint = f" They look like {next(iter(fits))}." if fits else ""
        raise InputError(
            f"With {unit:g} m per count the depth maps are {middle * unit:g} m away in the middle; "
            f"a sensor sees {NEAREST} to {FARTHEST} m.{hint} Correct the unit."
        )
    return float(unit)


def check_size(shape: tuple[int, ...], camera: Camera) -> None:
    """Maps (H, W) and intrinsics belong together.

    Raises:
        InputError: They do not.
    """
    if shape != (camera.height, camera.width):
        raise InputError(
            f"The depth maps are {shape[1]}x{shape[0]} pixels and the intrinsics are for "
            f"{camera.width}x{camera.height}. Give the intrinsics of this mode of the sensor "
            "(of the picture that depth was registered to, if it was)."
        )


def scaled(camera: Camera, factor: float) -> Camera:
    """The camera of the same picture at another resolution."""
    width, height = round(camera.width * factor), round(camera.height * factor)
    by = np.array([width / camera.width, height / camera.height])
    focal, centre = np.array(camera.focal) * by, np.array(camera.centre) * by
    return replace(camera, focal=tuple(focal.tolist()), centre=tuple(centre.tolist()), width=width, height=height)


def points(depth: Floats, camera: Camera) -> tuple[Floats, Bools]:
    """All pixels as points in camera axes.

    Args:
        depth: (..., H, W) metres, 0 = none.
        camera: Its intrinsics.

    Returns:
        (..., H, W, 3) metres, 0 where there is no depth, and (..., H, W) where there is.
    """
    check_size(depth.shape[-2:], camera)
    v, u = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.rays(np.stack([u, v], -1)).astype(np.float32)
    return rays * depth[..., None], depth > 0


def project(xyz: Floats, camera: Camera) -> Floats:
    """Pixels (..., 2) of points (..., 3) in camera axes; points behind the camera land far outside."""
    z = xyz[..., 2:]
    flat = xyz[..., :2] / np.maximum(z, 1e-3) * np.asarray(camera.focal) + np.asarray(camera.centre)
    return np.where(z > 1e-3, flat, -1e6).astype(np.float32)


def unproject(pixels: Floats, depth: Floats, camera: Camera) -> Floats:
    """Points (..., 3) at pixels (..., 2) and depths (...)."""
    return (camera.rays(pixels) * depth[..., None]).astype(np.float32)


def look_up(depth: Floats, pixels: Floats) -> Floats:
    """Depth of the pixels that places lie in.

    Args:
        depth: (T, H, W) metres.
        pixels: (T, ..., 2).

    Returns:
        (T, ...) metres; 0 outside the map and in holes.
    """
    height, width = depth.shape[-2:]
    inside = (pixels >= 0).all(-1) & (pixels[..., 0] < width) & (pixels[..., 1] < height)
    safe = np.where(inside[..., None], pixels, 0)
    u, v = safe[..., 0].astype(np.intp), safe[..., 1].astype(np.intp)
    frame = np.arange(len(depth)).reshape(-1, *([1] * (u.ndim - 1)))
    return np.where(inside, depth[frame, v, u], np.float32(0)).astype(np.float32)


def patches(depth: Floats, pixels: Floats, size: int = 40, step: float = 1.0) -> Floats:
    """Square cut-outs round joints, (T, J, size, size) metres.

    The joint lies at row and column ``size // 2``. Outside the map there are
    holes, so that a cut-out at the border is centred like any other.

    Args:
        depth: (T, H, W) metres.
        pixels: (T, J, 2) joints.
        size: Samples per side.
        step: Pixels between samples; above 1 for finer maps, so that cut-outs see the same angle.
    """
    along = (np.arange(size) - size // 2).astype(np.float32) * np.float32(step)
    height, width = depth.shape[-2:]
    safe = np.clip(np.nan_to_num(pixels, nan=-1e6), -1e6, 1e6)
    u = np.floor(safe[..., :1] + along).astype(np.intp)  # (T, J, size)
    v = np.floor(safe[..., 1:] + along).astype(np.intp)
    in_u, in_v = (u >= 0) & (u < width), (v >= 0) & (v < height)
    rows = np.where(in_v, v, 0)[..., :, None]
    columns = np.where(in_u, u, 0)[..., None, :]
    frame = np.arange(len(depth))[:, None, None, None]
    return np.where(in_v[..., :, None] & in_u[..., None, :], depth[frame, rows, columns], np.float32(0))


def lift(
    depth: Floats, pixels: Floats, camera: Camera, window: int = 9, quantile: float = 0.5, step: float = 1.0
) -> tuple[Floats, Bools]:
    """Joints lifted by what the map holds at their pixels.

    RefiNet takes the median of what is not 0 among 9 x 9 pixels. Round a thin
    limb most of those show the wall behind; a lower quantile of a smaller
    window keeps to the limb.

    Args:
        depth: (T, H, W) metres.
        pixels: (T, J, 2) joints.
        camera: Intrinsics.
        window: Samples per side.
        quantile: Which of the window's distances, 0 the nearest, 1 the farthest.
        step: Pixels between samples.

    Returns:
        (T, J, 3) metres in camera axes, 0 where there is no depth, and (T, J) where there is.
    """
    near = patches(depth, pixels, window, step).reshape(*pixels.shape[:2], -1)
    count = (near > 0).sum(-1)
    ordered = np.sort(np.where(near > 0, near, np.inf), axis=-1)
    place = np.floor(quantile * np.maximum(count - 1, 0)).astype(np.intp)
    z = np.take_along_axis(ordered, place[..., None], -1)[..., 0]
    found = (count > 0) & np.isfinite(pixels).all(-1)
    z = np.where(found, z, 0).astype(np.float32)
    return unproject(np.where(found[..., None], pixels, 0), z, camera), found


def clouds(depth: Floats, centres: Floats, camera: Camera, half: float = 0.15, grid: int = 12) -> tuple[Floats, Bools]:
    """Points of the map inside a cube round each joint, always equally many.

    The cube's face, as it appears at the joint's distance, is sampled on a
    regular grid; samples whose depth lies outside the cube, in a hole or
    outside the map are padding. So all joints of all frames make one array.

    Args:
        depth: (T, H, W) metres.
        centres: (T, J, 3) joints in camera axes.
        camera: Intrinsics.
        half: Half the cube's edge, metres.
        grid: Samples per side; N is its square.

    Returns:
        (T, J, N, 3) metres relative to the joint, 0 in padding, and (T, J, N) False in padding.
    """
    along = (((np.arange(grid) + 0.5) / grid * 2 - 1) * half).astype(np.float32)
    dy, dx = np.meshgrid(along, along, indexing="ij")
    offset = np.stack([dx.ravel(), dy.ravel(), np.zeros(grid * grid, np.float32)], -1)
    z = np.maximum(centres[..., None, 2:], 0.05)
    pixels = (centres[..., None, :2] + offset[:, :2]) / z * np.asarray(camera.focal) + np.asarray(camera.centre)
    in_front = centres[..., None, 2] > 0.05
    pixels = np.where(in_front[..., None], np.floor(pixels) + 0.5, -1e6).astype(np.float32)
    found = look_up(depth, pixels)
    near = unproject(pixels, found, camera) - centres[..., None, :]
    inside = (found > 0) & (np.abs(near) < half).all(-1)
    return np.where(inside[..., None], near, np.float32(0)).astype(np.float32), inside


def register(depth: Floats, source: Camera, target: Camera) -> Floats:
    """The map as another camera would see it: what makes depth fit keypoints of the colour picture.

    Each point is drawn on four pixels, the nearest wins. Give the target at
    about the source's resolution (``scaled``), or holes appear.

    Args:
        depth: (H, W) metres.
        source: The depth camera, with its pose.
        target: The other camera, with its pose.

    Returns:
        (H', W') metres, 0 = none.
    """
    xyz, there = points(depth, source)
    moved = target.to_camera(source.to_world(xyz[there])).astype(np.float32)
    moved = moved[moved[:, 2] > NEAREST]
    pixels = np.floor(project(moved, target) - 0.5).astype(np.intp)
    result = np.full((target.height, target.width), np.inf, np.float32)
    for shift in ((0, 0), (1, 0), (0, 1), (1, 1)):
        u, v = (pixels + shift).T
        good = (u >= 0) & (u < target.width) & (v >= 0) & (v < target.height)
        np.minimum.at(result, (v[good], u[good]), moved[good, 2])
    return np.where(np.isfinite(result), result, np.float32(0))
