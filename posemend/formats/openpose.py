"""OpenPose JSON: one file per frame, everybody in ``people`` (OpenPose, and RTMPose and Pose2Sim writing the same).

A joint that was not found is 0, 0, 0. Files carry neither frame rate nor image
size; the frame number is in the file name, so a missing file is a missing frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError
from posemend.formats.detections import (
    Detections,
    numbers_in_names,
    on_one_clock,
    triples,
    whole_number,
)
from posemend.formats.layouts import to_people
from posemend.formats.limits import MAX_FRAMES, checked_file, parse_json

_KEYPOINTS = "pose_keypoints_2d"


def frame_files(folder: Path) -> list[Path]:
    """The JSON files of a folder: ``*_keypoints.json`` if there are any, else all ``*.json``.

    Raises:
        FormatError: None, too many, or the folder cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json")
    except OSError as error:
        raise FormatError(f"Cannot read the folder '{folder}': {error.strerror or error}.") from None
    files = [path for path in files if path.stem.endswith("_keypoints")] or files
    if not files:
        raise FormatError(
            f"The folder '{folder}' holds no .json files. Give the folder that OpenPose wrote with --write_json."
        )
    if len(files) > MAX_FRAMES:
        raise FormatError(f"The folder '{folder}' holds {len(files)} files; at most {MAX_FRAMES} are read.")
    return files


def people_of(content: Any, where: str) -> list[tuple[np.ndarray, str | None]]:
    """Keypoints (J, 3) and track id of everybody in one frame's JSON.

    Raises:
        FormatError: Not an OpenPose frame.
    """
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise FormatError(f"{where} has no list 'people': not an OpenPose frame.")
    found: list[tuple[np.ndarray, str | None]] = []
    for person in people:
        if not isinstance(person, dict) or _KEYPOINTS not in person:
            raise FormatError(f"{where}: a person without '{_KEYPOINTS}'. Write 2D body keypoints with OpenPose.")
        if person[_KEYPOINTS] == []:
            continue  # face or hands only
        known = person.get("person_id", -1)
        known = known[0] if isinstance(known, list) and len(known) == 1 else known
        track = str(whole_number(known, where)) if isinstance(known, (int, float)) and known >= 0 else None
        found.append((triples(person[_KEYPOINTS], where), track))
    return found


def read(path: Path, skeleton: Skeleton | None) -> Detections:
    """The people of an OpenPose folder, or of one file as a clip of one frame.

    Raises:
        FormatError: A file is damaged or no OpenPose frame; the message names it.
        SkeletonError: The joint count fits no skeleton.
    """
    where = f"'{path}'"
    files = frame_files(path) if path.is_dir() else [path]
    numbers = numbers_in_names([path.name for path in files], where)
    frames = [
        (number, people_of(parse_json(checked_file(file)), f"'{file}'"))
        for number, file in zip(numbers, files, strict=True)
    ]
    entries, found = to_people(frames, skeleton, where)
    return Detections(on_one_clock(entries, where), found)
