"""posemend's own ``.npz``: everything a pose holds, without loss and without pickles.

3D: ``positions_3d`` float32 (T, J, 3) metres, ``frame``, and if known
``root`` (T, 3), ``sigma`` and ``provenance`` (T, J), ``radii`` (L, 3). 2D: ``positions_2d`` float32 (T, J, 2)
pixels, and if known ``width``, ``height`` and ``camera_*``. Both:
``skeleton``, ``joints`` (J names), ``score``, ``visible``, ``fps``, ``name``.
One kind and one person per file.
"""

from __future__ import annotations

import zipfile
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from posemend.body.catalogue import SKELETONS
from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, SkeletonError
from posemend.formats.archive import Archive
from posemend.formats.layouts import candidates
from posemend.formats.limits import DEFAULT_FPS, checked_fps, checked_frames, checked_size
from posemend.geometry.camera import Camera

OPTIONAL_3D = ("root", "sigma", "provenance", "radii")
KEYS = {Pose2D: "positions_2d", Pose3D: "positions_3d"}


def is_one(archive: Archive) -> bool:
    """Whether an archive is posemend's own."""
    has = [key for key in KEYS.values() if key in archive.names and not archive.is_object(key)]
    return bool(has) and "skeleton" in archive.names


def table_of(pose: Pose2D | Pose3D) -> dict[str, NDArray[Any]]:
    """The arrays of a pose by key, as they are in the file."""
    table: dict[str, NDArray[Any]] = {
        KEYS[type(pose)]: pose.positions,
        "skeleton": np.array(pose.skeleton.name),
        "joints": np.array(pose.skeleton.joints),
        "score": pose.score,
        "visible": pose.visible,
        "fps": np.array(float(pose.fps)),
        "name": np.array(pose.name),
    }
    if isinstance(pose, Pose3D):
        table["frame"] = np.array(pose.frame)
        table |= {key: getattr(pose, key) for key in OPTIONAL_3D if getattr(pose, key) is not None}
        return table
    table |= {key: np.array(getattr(pose, key)) for key in ("width", "height") if getattr(pose, key) is not None}
    if pose.camera is not None:
        camera = pose.camera
        table["camera_focal"], table["camera_centre"] = np.array(camera.focal), np.array(camera.centre)
        table["camera_size"] = np.array([camera.width, camera.height])
        table["camera_rotation"], table["camera_translation"] = camera.rotation, camera.translation
    return table


def write(pose: Pose2D | Pose3D, stream: BinaryIO) -> None:
    """Write a pose; the same pose gives the same bytes."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in table_of(pose).items():
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))  # a fixed date, so that bytes repeat
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                npy.write_array(member, np.asanyarray(array), allow_pickle=False)  # type: ignore[arg-type]


def _scalar(archive: Archive, key: str) -> Any:
    if key not in archive.names:
        return None
    value = archive.array(key)
    if value.size != 1:
        raise FormatError(f"'{archive.path}', array '{key}': wanted one value, got shape {value.shape}.")
    return value.reshape(()).item()


def skeleton_of(name: object, joints: list[str] | None, wanted: Skeleton | None, where: str) -> Skeleton:
    """The skeleton that a file names, compared with its own joint list and with the user's wish.

    Raises:
        SkeletonError: Unknown, or they do not agree.
    """
    found = SKELETONS.get(str(name))
    if found is None:
        raise SkeletonError(f"{where} is on skeleton '{name}', which is not known. Known: {', '.join(SKELETONS)}.")
    if joints is not None and tuple(joints) != found.joints:
        raise SkeletonError(
            f"{where} says skeleton '{found.name}' but lists other joints or another order ({', '.join(joints[:4])}, "
            f"...). Skeletons with {len(joints)} joints: {', '.join(candidates(len(joints))) or 'none'}."
        )
    if wanted is not None and wanted != found:
        raise SkeletonError(f"{where} is on skeleton '{found.name}', not '{wanted.name}'. Leave out --skeleton.")
    return found


def read(
    archive: Archive, skeleton: Skeleton | None, fps: float | None, size: tuple[int | None, int | None] = (None, None)
) -> Pose2D | Pose3D:
    """The pose of posemend's own file. Arguments given here win over the file's.

    Raises:
        FormatError: Damaged, incomplete, NaN or infinite numbers.
        SkeletonError: The skeleton is unknown or does not fit.
    """
    where = f"'{archive.path}'"
    has = [kind for kind, key in KEYS.items() if key in archive.names]
    if len(has) != 1:
        raise FormatError(f"{where}: wanted one of positions_2d and positions_3d, found {len(has)}.")
    key, coordinates = KEYS[has[0]], 2 if has[0] is Pose2D else 3
    positions = np.asarray(archive.array(key), np.float32)
    if positions.ndim != 3 or positions.shape[2] != coordinates:
        raise FormatError(f"{where}: {key} of shape {positions.shape}, wanted (frames, joints, {coordinates}).")
    checked_frames(len(positions), where)
    joints = [str(name) for name in archive.array("joints")] if "joints" in archive.names else None
    found = skeleton_of(_scalar(archive, "skeleton"), joints, skeleton, where)
    if positions.shape[1] != len(found):
        raise SkeletonError(f"{where}: {positions.shape[1]} joints, but skeleton '{found.name}' has {len(found)}.")
    score = archive.array("score") if "score" in archive.names else None
    visible = archive.array("visible") if "visible" in archive.names else None
    rate = _scalar(archive, "fps") if fps is None else fps
    rate = checked_fps(DEFAULT_FPS if rate is None else rate, where)
    name = str(_scalar(archive, "name") or "")
    values = (positions, found, checked_score(positions, score, coordinates, where), visible, rate)
    if coordinates == 3:
        extra = {key: archive.array(key) for key in OPTIONAL_3D if key in archive.names}
        frame = str(_scalar(archive, "frame") or "root")
        return Pose3D(*values, frame, name=name, **extra)  # type: ignore[arg-type]
    own = [_scalar(archive, key) for key in ("width", "height")]
    width, height = (mine if mine is not None else theirs for mine, theirs in zip(size, own, strict=True))
    width, height = (None if value is None else checked_size(value, where) for value in (width, height))
    return Pose2D(*values, width, height, _camera(archive), name)  # type: ignore[arg-type]


def checked_score(
    positions: NDArray[np.float32], score: NDArray[Any] | None, coordinates: int, where: str
) -> NDArray[np.float32]:
    """Scores (T, J); in 2D a NaN position makes a joint missing, in 3D it is an error.

    Raises:
        FormatError: Infinite numbers, NaN scores, NaN in 3D, or all joints missing.
    """
    values = np.ones(positions.shape[:2], np.float32) if score is None else np.asarray(score, np.float32)
    if values.shape != positions.shape[:2]:
        raise FormatError(f"{where}: score of shape {values.shape}, wanted {positions.shape[:2]}.")
    if np.isinf(positions).any() or not np.isfinite(values).all():
        raise FormatError(f"{where}: infinite positions or unusable scores. Give joints that were not found score 0.")
    lost = np.isnan(positions).any(-1)
    if coordinates == 2:
        values = np.where(lost, np.float32(0), values)
    elif (lost & (values > 0)).any():
        raise FormatError(f"{where}: NaN positions where the score is above 0. Give those joints score 0.")
    if not (values > 0).any():
        raise FormatError(f"{where}: all joints are missing in all frames: nothing to lift.")
    return values


def _camera(archive: Archive) -> Camera | None:
    keys = ("focal", "centre", "size", "rotation", "translation")
    if f"camera_{keys[0]}" not in archive.names:
        return None
    if any(f"camera_{key}" not in archive.names for key in keys):
        raise FormatError(f"'{archive.path}': the camera wants {', '.join(f'camera_{key}' for key in keys)}.")
    focal, centre, size, rotation, translation = (archive.array(f"camera_{key}") for key in keys)
    if focal.shape != (2,) or centre.shape != (2,) or size.shape != (2,):
        raise FormatError(f"'{archive.path}': camera_focal, camera_centre and camera_size want two numbers each.")
    (fx, fy), (cx, cy), (width, height) = (array.tolist() for array in (focal, centre, size))
    return Camera((fx, fy), (cx, cy), int(width), int(height), rotation, translation)  # type: ignore[arg-type]
