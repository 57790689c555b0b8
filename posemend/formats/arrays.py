"""Bare arrays: any lifter's 3D (T, J, 3), or keypoints (T, J, 2), in ``.npy`` or ``.npz``.

An array says nothing about its joints, so the skeleton must be named: 17
joints can be four different orders, and a wrong guess gives wrong numbers
that look right. Units are checked by the size of the body.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, SkeletonError
from posemend.formats.archive import Archive, read_npy
from posemend.formats.detections import checked_keypoints
from posemend.formats.layouts import candidates, tangle
from posemend.formats.limits import DEFAULT_FPS, checked_fps, checked_frames

SMALLEST, LARGEST = 0.05, 20.0  # metres across a body; beyond, the unit is wrong
CENTRED = 1e-3  # metres from the origin up to which a pelvis counts as the origin


def _shape_fits(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 3) and shape[-1] in (2, 3) and shape[-2] >= 5


def _pick(archive: Archive, key: str | None) -> NDArray[np.generic]:
    """The one array of an archive that can be a pose."""
    if key is not None:
        if key not in archive.names:
            raise FormatError(f"'{archive.path}' has no array '{key}'. It has: {', '.join(archive.names)}.")
        return archive.array(key)
    fitting = [
        name for name, (shape, _, dtype) in archive.headers.items() if not dtype.hasobject and _shape_fits(shape)
    ]
    if len(fitting) == 1:
        return archive.array(fitting[0])
    shapes = ", ".join(f"{name} {header[0]}" for name, header in archive.headers.items())
    if not fitting:
        objects = [name for name in archive.names if archive.is_object(name)]
        if objects:
            archive.array(objects[0])  # says what to do about object arrays
        raise FormatError(f"'{archive.path}' holds no array of shape (T, J, 3) or (T, J, 2). It has: {shapes}.")
    raise FormatError(
        f"'{archive.path}' holds several arrays that could be the pose: {', '.join(fitting)}. Name one (key=...)."
    )


def _hint(array: NDArray[np.floating]) -> str:
    names = candidates(array.shape[1])
    if not names:
        return "No known skeleton has that many joints."
    from posemend.body.catalogue import SKELETONS

    present = np.isfinite(array).all(-1).astype(np.float32)
    clean = np.where(present[..., None] > 0, array, 0)[:: max(1, len(array) // 200)]
    score = present[:: max(1, len(array) // 200)]
    order = sorted(names, key=lambda name: np.nan_to_num(tangle(clean, score, SKELETONS[name]), nan=9))
    return f"Skeletons with {array.shape[1]} joints, best fitting bones first: {', '.join(order)} (--skeleton)."


def _checked_metres(array: NDArray[np.float64], where: str) -> None:
    if np.isinf(array).any():
        raise FormatError(f"{where}: infinite positions. Repair those frames, or leave them out of the clip's ends.")
    if np.isnan(array).any():
        frame = int(np.argwhere(np.isnan(array).any((1, 2)))[0, 0])
        raise FormatError(
            f"{where}: NaN positions (first in frame {frame}). An array cannot say which joints are missing: "
            "fill them, or write posemend's own .npz with score 0 for missing joints (posemend.formats.write)."
        )
    across = np.linalg.norm(array.max(1) - array.min(1), axis=-1)
    typical = float(np.median(across))
    if typical == 0:
        raise FormatError(f"{where}: all joints lie in one point; there is no pose in this array.")
    if not SMALLEST < typical < LARGEST:
        raise FormatError(
            f"{where}: bodies are {typical:.3g} across, wanted metres (about 1 to 2). If these are millimetres divide "
            "by 1000; if they are pixels and scores, give keypoints as (T, J, 2)."
        )


def read(
    path: Path,
    skeleton: Skeleton | None,
    fps: float | None,
    size: tuple[int | None, int | None] = (None, None),
    key: str | None = None,
) -> Pose2D | Pose3D:
    """A pose from a bare array; (J, 3) is a clip of one frame.

    3D comes back as ``"root"`` when the pelvis is at the origin, as
    ``"camera"`` otherwise: camera axes (x right, y down, z forward) are taken
    for granted. In 2D arrays NaN means that a joint is missing.

    Raises:
        FormatError: Damaged, several arrays, wrong units, NaN in 3D, infinite numbers.
        SkeletonError: No skeleton named, or it has another number of joints.
    """
    array = _pick(Archive(path), key) if path_is_zip(path) else read_npy(path)
    where = f"'{path}'"
    if array.dtype.kind not in "iuf" or not _shape_fits(array.shape):
        raise FormatError(
            f"{where}: an array of shape {array.shape} and type {array.dtype}; wanted numbers of shape "
            "(frames, joints, 3) in metres or (frames, joints, 2) in pixels."
        )
    values = np.asarray(array[None] if array.ndim == 2 else array, np.float64)
    checked_frames(len(values), where)
    if skeleton is None:
        raise SkeletonError(f"{where}: an array does not say which joints it has: name the skeleton. {_hint(values)}")
    if values.shape[1] != len(skeleton):
        raise SkeletonError(
            f"{where} has {values.shape[1]} joints, but skeleton '{skeleton.name}' has {len(skeleton)}. {_hint(values)}"
        )
    rate = checked_fps(DEFAULT_FPS if fps is None else fps, where)
    if values.shape[2] == 2:
        xy, score = checked_keypoints(values, np.ones(values.shape[:2]), where, nan_is_missing=True)
        if not (score > 0).any():
            raise FormatError(f"{where}: all joints are missing in all frames: nothing to lift.")
        return Pose2D(xy, skeleton, score, score > 0, rate, *size)
    _checked_metres(values, where)
    pelvis = values[:, list(skeleton.root_indices)].mean(1)
    frame = "root" if np.abs(pelvis).max() < CENTRED else "camera"
    root = None if frame == "root" else pelvis
    return Pose3D(values, skeleton, None, None, rate, frame, root)  # type: ignore[arg-type]


def path_is_zip(path: Path) -> bool:
    """Whether a file starts like a zip archive."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"
