"""AlphaPose and COCO keypoint files: one flat list of detections, or COCO's ground truth.

AlphaPose leaves frames without people out of the file; here they come back as
missing frames. Its ``idx`` is a track id only when it was run with tracking.
COCO files are often separate pictures and no clip: when sizes differ or
numbers leap, every person becomes a clip of one frame.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, SkeletonError
from posemend.formats import openpose
from posemend.formats.detections import (
    Detections,
    Person,
    checked_keypoints,
    checked_together,
    is_sparse,
    numbers_in_names,
    on_one_clock,
    triples,
    whole_number,
)
from posemend.formats.layouts import from_names, rows, to_people
from posemend.formats.limits import checked_size


def track_id(entry: dict[str, Any]) -> str | None:
    """A usable track id of a detection, or ``None``."""
    for key in ("track_id", "idx"):
        value = entry.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and abs(value) < 2**53:
            return str(int(value)) if value == int(value) else str(value)
    return None


def _flat(entry: Any, where: str, skeleton: Skeleton | None) -> tuple[np.ndarray, Skeleton]:
    if not isinstance(entry, dict) or "image_id" not in entry or not isinstance(entry["image_id"], (str, int)):
        raise FormatError(f"{where}: a detection without 'image_id'. Write the results again.")
    table = triples(entry.get("keypoints"), where)
    found, order = rows(len(table), skeleton, where)
    return table[list(order)], found


def read_list(content: Any, path: Path, skeleton: Skeleton | None) -> Detections:
    """AlphaPose's or COCO's list of detections.

    Raises:
        FormatError: Damaged, or boxes without keypoints.
        SkeletonError: Joint counts that differ or fit no skeleton.
    """
    where = f"'{path}'"
    if not isinstance(content, list) or not content:
        raise FormatError(f"{where} holds no detections: nothing to lift. Run the detector again.")
    if not any(isinstance(entry, dict) and entry.get("keypoints") for entry in content):
        raise FormatError(f"{where} holds boxes and no 'keypoints'. Give the results of a keypoint detector.")
    tables = [_flat(entry, f"{where}, detection {place}", skeleton) for place, entry in enumerate(content)]
    skeletons = {found.name for _, found in tables}
    if len(skeletons) > 1:
        raise SkeletonError(f"{where} mixes skeletons {sorted(skeletons)}. Use one model for all frames.")
    third = np.unique(np.stack([table[:, 2] for table, _ in tables]))
    flags = bool(np.isin(third, (0, 1, 2)).all() and 2 in third)  # COCO's 0/1/2 written in place of scores
    people: dict[str | int, list[Person]] = {}
    raw = [table for table, _ in tables]
    if flags:
        raw = [np.concatenate([table[:, :2], table[:, 2:] > 0], axis=1) for table in raw]
    xy, score = checked_together(raw, lambda number: f"{where}, image {content[number]['image_id']}")
    for place, entry in enumerate(content):
        visible = tables[place][0][:, 2] == 2 if flags else None
        person = Person(xy[place], score[place], visible, track_id(entry))
        people.setdefault(entry["image_id"], []).append(person)
    frames, labels, stills = _clock(people, where)
    return Detections(frames, tables[0][1], stills=stills, labels=labels)


def _labelled(table: np.ndarray, track: str | None, where: str) -> Person:
    """A person of COCO's ground truth, whose third column is the flag 0, 1 or 2."""
    third = table[:, 2]
    xy, score = checked_keypoints(table[:, :2], (third > 0).astype(float), where)
    return Person(xy, score, third == 2, track)


def _clock(people: dict[str | int, list[Person]], where: str) -> tuple[list[list[Person]], list[str], bool]:
    """Frames, labels, and whether these are separate pictures."""
    names = list(people)
    first = 1
    try:
        if all(isinstance(name, str) for name in names):
            numbers = numbers_in_names([str(name) for name in names], where)
            digits = re.findall(r"[0-9]+", Path(str(names[0])).stem)
            if not any(len(group) > 1 and group[0] == "0" for group in digits):
                first = 0  # AlphaPose numbers a video's frames from 0, unpadded; image tools from 1, padded
        else:
            numbers = [whole_number(name, where) for name in names]
        if is_sparse(numbers):
            raise FormatError("numbers leap")
    except FormatError:
        return [people[name] for name in names], [str(name) for name in names], True
    entries = [(number, people[name]) for number, name in zip(numbers, names, strict=True)]
    return on_one_clock(entries, where, first), [], False


def read_images(content: dict[str, Any], path: Path, skeleton: Skeleton | None) -> Detections:
    """AlphaPose's other two forms: a dict from image name to ``people`` or ``bodies``.

    Raises:
        FormatError: Damaged.
        SkeletonError: Joint counts that differ or fit no skeleton.
    """
    where = f"'{path}'"
    names = [name for name, value in content.items() if isinstance(value, dict)]
    numbers = numbers_in_names(names, where)
    frames = []
    for number, name in zip(numbers, names, strict=True):
        value: Any = content[name]
        if "bodies" in value:
            bodies: Any = value["bodies"] if isinstance(value["bodies"], list) else [None]
            if any(not isinstance(body, dict) or "joints" not in body for body in bodies):
                raise FormatError(f"{where}, '{name}': a body without 'joints'.")
            value = {"people": [{"pose_keypoints_2d": body["joints"]} for body in bodies]}
        frames.append((number, openpose.people_of(value, f"{where}, '{name}'")))
    entries, found = to_people(frames, skeleton, where)
    return Detections(on_one_clock(entries, where, 0), found)


def read_truth(content: dict[str, Any], path: Path, skeleton: Skeleton | None) -> Detections:
    """COCO's (or Halpe's) ground truth: ``images`` and ``annotations`` with flags 0, 1, 2.

    Flag 2 is visible, 1 is labelled but hidden (score 1, not visible), 0 is absent.

    Raises:
        FormatError: Damaged, or no keypoints.
        SkeletonError: Joint counts that differ or fit no skeleton.
    """
    where = f"'{path}'"
    images: Any = content.get("images")
    annotations: Any = content.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list) or not images:
        raise FormatError(f"{where} wants lists 'images' and 'annotations', as COCO's keypoint files have.")
    if not all(isinstance(image, dict) and isinstance(image.get("id"), (int, str)) for image in images):
        raise FormatError(f"{where}: an image without 'id'.")
    wanted = skeleton or from_names(_joint_names(content), where)
    people: dict[Any, list[Person]] = {image["id"]: [] for image in images}
    found = None
    for place, entry in enumerate(annotations):
        if not isinstance(entry, dict) or not entry.get("keypoints"):
            continue  # a box or outline only
        table, mine = _flat(entry, f"{where}, annotation {place}", wanted)
        if found is not None and mine != found:
            raise SkeletonError(f"{where} mixes skeletons '{found.name}' and '{mine.name}'.")
        found = mine
        if entry["image_id"] not in people:
            raise FormatError(f"{where}: annotation {place} belongs to image {entry['image_id']}, which is not listed.")
        if (table[:, 2] > 0).any():
            people[entry["image_id"]].append(_labelled(table, track_id(entry), f"{where}, annotation {place}"))
    if found is None:
        raise FormatError(f"{where} has no annotation with 'keypoints': nothing to lift.")
    sizes = [_size(image, where) for image in images]
    labels = [Path(str(image.get("file_name", image["id"]))).stem for image in images]
    numbers = _numbers(images, labels, where)
    if numbers is None or len(set(sizes)) > 1:
        return Detections([people[image["id"]] for image in images], found, None, None, None, True, labels, sizes)
    entries = [(number, people[image["id"]]) for number, image in zip(numbers, images, strict=True)]
    return Detections(on_one_clock(entries, where), found, None, *sizes[0])


def _joint_names(content: dict[str, Any]) -> list[Any]:
    categories = content.get("categories")
    for category in categories if isinstance(categories, list) else []:
        if isinstance(category, dict) and isinstance(category.get("keypoints"), list) and category["keypoints"]:
            return category["keypoints"]
    return []


def _size(image: dict[str, Any], where: str) -> tuple[int | None, int | None]:
    if image.get("width") is None or image.get("height") is None:
        return None, None
    return checked_size(image["width"], where), checked_size(image["height"], where)


def _numbers(images: list[dict[str, Any]], labels: list[str], where: str) -> list[int] | None:
    """Frame numbers of a clip's images, or ``None`` for separate pictures."""
    try:
        named = all("file_name" in image for image in images)
        numbers = numbers_in_names(labels, where) if named else [whole_number(image["id"], where) for image in images]
    except FormatError:
        return None
    return None if is_sparse(numbers) or len(set(numbers)) < len(numbers) else numbers
