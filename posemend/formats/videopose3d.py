"""VideoPose3D-style 2D files: ``positions_2d`` as a dict subject → action → list of (T, J, 2) pixels.

The dicts are pickled inside the ``.npz``, so this reader is asked for by
``trust=True`` and then lets in nothing but data (`unpickle`). There are no
scores: every joint counts as found unless it is NaN.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.catalogue import SKELETONS
from posemend.body.pose import Pose2D
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, SkeletonError
from posemend.formats.archive import TRUST_CURE, Archive
from posemend.formats.detections import checked_keypoints, numbers
from posemend.formats.layouts import candidates
from posemend.formats.limits import DEFAULT_FPS, checked_fps, checked_frames, checked_size
from posemend.formats.unpickle import unpickle

POSITIONS, METADATA = "positions_2d", "metadata"
# left and right joints as the file's metadata gives them
_SYMMETRY = {
    (tuple(range(1, 17, 2)), tuple(range(2, 17, 2))): "coco_17",
    ((4, 5, 6, 11, 12, 13), (1, 2, 3, 14, 15, 16)): "h36m_17",
    ((4, 5, 6, 10, 11, 12), (1, 2, 3, 13, 14, 15)): "h36m_16",  # SemGCN's files, under the same names
}
_LAYOUT = {"coco": "coco_17", "h36m": "h36m_17"}


def is_one(archive: Archive) -> bool:
    """Whether an archive looks like such a file."""
    return POSITIONS in archive.names and archive.is_object(POSITIONS)


def _only(archive: Archive, name: str) -> Any:
    shape, stream = archive.pickled(name)
    where = f"'{archive.path}', array '{name}'"
    value = unpickle(stream, where)
    if shape != () or not isinstance(value, np.ndarray) or value.shape != () or value.dtype != object:
        raise FormatError(f"{where}: wanted one dict.")
    return value[()]


def _skeleton(metadata: dict[str, Any], joints: int, where: str) -> Skeleton:
    sides = metadata.get("keypoints_symmetry")
    if isinstance(sides, (list, tuple)) and len(sides) == 2 and all(isinstance(side, list) for side in sides):
        key = tuple(tuple(side) for side in sides)
        if key in _SYMMETRY and joints == len(SKELETONS[_SYMMETRY[key]]):
            return SKELETONS[_SYMMETRY[key]]
    elif joints == 17 and metadata.get("layout_name") in _LAYOUT:
        return SKELETONS[_LAYOUT[metadata["layout_name"]]]
    names = ", ".join(candidates(joints)) or "none known"
    raise SkeletonError(
        f"{where}: {joints} joints whose order the file does not settle. Name the skeleton (--skeleton): {names}."
    )


def _clips(positions: Any, where: str, subjects: Collection[str] | None) -> list[tuple[str, str, int, np.ndarray]]:
    """Subject, action, camera number and (T, J, 2) of every clip."""
    clips = []
    for subject, actions in positions.items() if isinstance(positions, dict) else ():
        if subjects is not None and str(subject) not in subjects:
            continue
        for action, cameras in actions.items() if isinstance(actions, dict) else ():
            if isinstance(cameras, np.ndarray) and cameras.ndim == 3 and cameras.dtype != object:
                cameras = [cameras]
            for number, table in enumerate(cameras if isinstance(cameras, (list, np.ndarray)) else ()):
                clips.append((str(subject), str(action), number, numbers(table, f"{where}, {subject}/{action}")))
    if not clips:
        raise FormatError(f"{where}: wanted positions_2d as subject → action → list of arrays, found no array.")
    return clips


def _size(metadata: dict[str, Any], subject: str, where: str) -> tuple[int | None, int | None]:
    videos = metadata.get("video_metadata")
    video = videos.get(subject) if isinstance(videos, dict) else None
    if not isinstance(video, dict) or "w" not in video or "h" not in video:
        return None, None
    return checked_size(video["w"], where), checked_size(video["h"], where)


def read(
    path: Path,
    skeleton: Skeleton | None,
    fps: float | None,
    size: tuple[int | None, int | None] = (None, None),
    trust: bool = False,
    subjects: Collection[str] | None = None,
) -> list[Pose2D]:
    """All clips of a file, or those of some subjects, named ``subject/action/camera``.

    Raises:
        FormatError: Not trusted, damaged, or holding anything but data.
        SkeletonError: The joints' order is not settled by the file.
    """
    where = f"'{path}'"
    archive = Archive(path)
    if not is_one(archive):
        raise FormatError(f"{where} has no dict '{POSITIONS}'. It has: {', '.join(archive.names)}.")
    if not trust:
        raise FormatError(f"{where}, array '{POSITIONS}' is an array of Python objects (a pickle). {TRUST_CURE}")
    metadata = _only(archive, METADATA) if METADATA in archive.names and archive.is_object(METADATA) else {}
    metadata = metadata if isinstance(metadata, dict) else {}
    rate = checked_fps(DEFAULT_FPS if fps is None else fps, where)
    poses = []
    for subject, action, camera, table in _clips(_only(archive, POSITIONS), where, subjects):
        here = f"{where}, {subject}/{action}/{camera}"
        if table.ndim != 3 or table.shape[2] not in (2, 3):
            raise FormatError(f"{here}: shape {table.shape}, wanted (frames, joints, 2).")
        checked_frames(len(table), here)
        found = skeleton or _skeleton(metadata, table.shape[1], here)
        if len(found) != table.shape[1]:
            raise SkeletonError(f"{here} has {table.shape[1]} joints, but skeleton '{found.name}' has {len(found)}.")
        belief = table[..., 2] if table.shape[2] == 3 else np.ones(table.shape[:2])
        xy, score = checked_keypoints(table[..., :2], belief, here, nan_is_missing=True)
        own = _size(metadata, subject, here)
        width, height = (mine or theirs for mine, theirs in zip(size, own, strict=True))
        poses.append(Pose2D(xy, found, score, score > 0, rate, width, height, name=f"{subject}/{action}/{camera}"))
    return poses
