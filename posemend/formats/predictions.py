"""Predictions grouped by frame: MMPose, and the Kinetics-style JSON of GAST-Net.

MMPose counts frames from 0 and keeps empty ones; it may name its joints.
GAST-Net and Kinetics count from 1; Kinetics gives positions as shares of the
image, which need the image size.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.catalogue import SKELETONS
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, InputError
from posemend.formats.detections import (
    Detections,
    numbers,
    on_one_clock,
    triples,
    whole_number,
)
from posemend.formats.layouts import from_names, to_people
from posemend.formats.results import track_id

SIZE_CURE = "Give --width and --height of the image in pixels."
_MMPOSE_H36M = re.compile("h36m|human3", re.IGNORECASE)


def _instance(entry: Any, where: str) -> tuple[np.ndarray, str | None]:
    if not isinstance(entry, dict) or "keypoints" not in entry:
        raise FormatError(f"{where}: a person without 'keypoints'. Write MMPose predictions with --save-predictions.")
    points = numbers(entry["keypoints"], where)
    if points.ndim == 2 and points.shape[1] == 3 and "keypoint_scores" in entry:
        raise FormatError(
            f"{where}: 3D keypoints of MMPose's pose3d. Give the 2D predictions, or the 3D as a (T, J, 3) .npy file."
        )
    if "keypoint_scores" not in entry:
        return triples(entry["keypoints"], where), track_id(entry)
    scores = numbers(entry["keypoint_scores"], where)
    if points.ndim != 2 or points.shape[1] != 2 or scores.shape != (len(points),):
        raise FormatError(
            f"{where}: keypoints of shape {points.shape} with scores of shape {scores.shape}; wanted (J, 2) and (J,)."
        )
    return np.concatenate([points, scores[:, None]], axis=1), track_id(entry)


def read_mmpose(content: Any, path: Path, skeleton: Skeleton | None) -> Detections:
    """MMPose predictions: the dict of a video, its list of frames alone, or the people of one image.

    Raises:
        FormatError: Damaged, or 3D.
        SkeletonError: Joints fit no skeleton.
    """
    where = f"'{path}'"
    meta = content.get("meta_info") if isinstance(content, dict) else None
    frames = content.get("instance_info") if isinstance(content, dict) else content
    if not isinstance(frames, list) or not frames:
        raise FormatError(f"{where} holds no frames ('instance_info'): nothing to lift. Run the detector again.")
    if all(isinstance(entry, dict) and "instances" not in entry for entry in frames):
        frames = [{"frame_id": 0, "instances": frames}]
    gathered = []
    for place, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("instances"), list):
            raise FormatError(f"{where}, entry {place}: wanted a frame with a list 'instances'.")
        number = whole_number(frame.get("frame_id", place), where)
        gathered.append((number, [_instance(entry, f"{where}, frame {number}") for entry in frame["instances"]]))
    if skeleton is None and isinstance(meta, dict):
        skeleton = _from_meta(meta, where)
    # the frame counter starts at 0 or 1; every frame is in the file, so the first one there is the first
    entries, found = to_people(gathered, skeleton, where)
    return Detections(on_one_clock(entries, where, first=1), found)


def _from_meta(meta: dict[str, Any], where: str) -> Skeleton | None:
    names = meta.get("keypoint_id2name")
    if isinstance(names, dict) and names and all(str(key).isdigit() and len(str(key)) < 6 for key in names):
        return from_names([names[key] for key in sorted(names, key=lambda key: int(key))], where)
    if _MMPOSE_H36M.search(str(meta.get("dataset_name", ""))):
        return SKELETONS["h36m_17"]
    return None


def _gastnet_person(entry: Any, size: tuple[int | None, int | None], where: str) -> tuple[np.ndarray, str | None]:
    if not isinstance(entry, dict) or "pose" not in entry or "score" not in entry:
        raise FormatError(f"{where}: a person without 'pose' and 'score'.")
    points, scores = numbers(entry["pose"], where), numbers(entry["score"], where).reshape(-1)
    if points.ndim == 1 and len(points) == 2 * len(scores):
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1:] != (2,) or len(points) != len(scores) or not len(points):
        raise FormatError(f"{where}: pose of shape {points.shape} with {len(scores)} scores; wanted (J, 2) and J.")
    found = points[(scores > 0) & np.isfinite(points).all(1)]
    if len(found) and np.abs(found).max() <= 1.5:  # shares of the image, as in Kinetics-Skeleton
        if None in size:
            raise InputError(f"{where}: positions are shares of the image (0 to 1). {SIZE_CURE}")
        points = points * np.array(size, float)
    return np.concatenate([points, scores[:, None]], axis=1), track_id(entry)


def read_gastnet(
    content: Any, path: Path, skeleton: Skeleton | None, width: int | None, height: int | None
) -> Detections:
    """GAST-Net's or Kinetics-Skeleton's JSON: ``data`` with ``frame_index`` and ``skeleton``.

    Raises:
        FormatError: Damaged.
        InputError: Positions are shares of the image and its size is not known.
        SkeletonError: Joints fit no skeleton.
    """
    where = f"'{path}'"
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, list) or not data:
        raise FormatError(f"{where} holds no frames ('data'): nothing to lift. Run the detector again.")
    gathered = []
    for place, frame in enumerate(data):
        if not isinstance(frame, dict) or not isinstance(frame.get("skeleton"), list):
            raise FormatError(f"{where}, entry {place}: wanted a frame with 'frame_index' and a list 'skeleton'.")
        number = whole_number(frame.get("frame_index", place + 1), where)
        here = f"{where}, frame {number}"
        gathered.append((number, [_gastnet_person(entry, (width, height), here) for entry in frame["skeleton"]]))
    entries, found = to_people(gathered, skeleton, where)
    return Detections(on_one_clock(entries, where, first=1), found)
