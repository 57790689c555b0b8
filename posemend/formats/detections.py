"""What every 2D reader hands on: the people of each frame, before anybody is followed over time.

Numbers are checked here once for all formats, and frame numbers become one
clock: a frame without anybody is an empty list in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError
from posemend.formats.limits import MAX_FRAMES, MAX_PEOPLE

MAX_CELLS = 200_000_000  # people x frames x joints; about 2.6 GB as a pose
SPARSE = 100  # a clip may be this many times longer than the frames that hold anything
SPARSE_SLACK = 1_000


@dataclass(frozen=True, eq=False, slots=True)
class Person:
    """One detection of one person in one frame.

    Attributes:
        xy: (J, 2) pixels.
        score: (J,) belief, 0 = not detected.
        visible: (J,) seen by the camera, ``None`` = where the score is above 0.
        track: The file's own id of this person, ``None`` if it gives none.
    """

    xy: NDArray[np.float32]
    score: NDArray[np.float32]
    visible: NDArray[np.bool_] | None = None
    track: str | None = None


@dataclass(eq=False)
class Detections:
    """The people of every frame of a clip.

    Attributes:
        frames: One list of people per frame, empty where nobody was found.
        skeleton: Order of the joints.
        fps: The file's frame rate, ``None`` if it has none.
        width: Image width in pixels, ``None`` if the file does not say.
        height: Image height in pixels, ``None`` if the file does not say.
        stills: Separate pictures rather than a clip: nobody is followed.
        labels: Name of each picture, for ``stills``.
        sizes: (width, height) of each picture, for ``stills``.
    """

    frames: list[list[Person]]
    skeleton: Skeleton
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    stills: bool = False
    labels: Sequence[str] = ()
    sizes: Sequence[tuple[int | None, int | None]] = field(default_factory=tuple)


def numbers(values: Any, where: str) -> NDArray[np.float64]:
    """A nested list of numbers as an array; texts, truth values and ragged lists are errors.

    Raises:
        FormatError: Anything but numbers.
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        raise FormatError(f"{where}: wanted a table of numbers with rows of one length.") from None
    if array.size and array.dtype.kind not in "iuf":
        raise FormatError(f"{where}: wanted numbers, got {array.dtype} values.")
    return array.astype(np.float64)


def triples(values: Any, where: str) -> NDArray[np.float64]:
    """Keypoints (J, 3) as x, y, score from a flat list or a list of rows (two per row: score 1).

    Raises:
        FormatError: The length fits no joints.
    """
    array = numbers(values, where)
    if array.ndim == 1 and array.size and array.size % 3 == 0:
        return array.reshape(-1, 3)
    if array.ndim == 2 and array.shape[1] == 2:
        return np.concatenate([array, np.ones((len(array), 1))], axis=1)
    if array.ndim == 2 and array.shape[1] == 3:
        return array
    raise FormatError(
        f"{where}: got keypoints of shape {array.shape}; wanted x, y, score for each joint (three numbers per joint)."
    )


def checked_keypoints(
    xy: NDArray[np.float64], score: NDArray[np.float64], where: str, nan_is_missing: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Finite float32 pixels and scores; absent joints are 0.

    Args:
        xy: (..., J, 2) pixels.
        score: (..., J); below 0 counts as 0, above 1 as 1.
        where: For messages.
        nan_is_missing: The format writes NaN for a joint that was not found.

    Raises:
        FormatError: Infinite numbers, or NaN where the joint counts as found.
    """
    if np.isinf(xy).any() or np.isinf(score).any():
        raise FormatError(f"{where}: infinite numbers. Give joints that were not found the score 0.")
    lost = np.isnan(xy).any(-1)
    if nan_is_missing:
        score = np.where(lost | np.isnan(score), 0, score)
    if np.isnan(score).any() or (lost & (score > 0)).any():
        raise FormatError(f"{where}: NaN where a joint counts as found. Give joints that were not found the score 0.")
    score = np.clip(score, 0, 1)
    if np.abs(xy[score > 0]).max(initial=0) > 1e7:
        raise FormatError(f"{where}: positions beyond 10 million pixels. The file is damaged.")
    return np.where(score[..., None] > 0, xy, 0).astype(np.float32), score.astype(np.float32)


def checked_together(
    tables: Sequence[NDArray[np.float64]], where: Callable[[int], str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`checked_keypoints` of many people at once, which is many times faster than one by one.

    Args:
        tables: (J, 3) x, y, score of each person.
        where: Names the person of that number, for messages.

    Returns:
        (N, J, 2) pixels and (N, J) scores.

    Raises:
        FormatError: As `checked_keypoints`, naming the first bad one.
    """
    whole = np.stack(tables)
    try:
        return checked_keypoints(whole[..., :2], whole[..., 2], "together")
    except FormatError:
        for number, table in enumerate(tables):
            checked_keypoints(table[:, :2], table[:, 2], where(number))
        raise


def whole_number(value: Any, where: str) -> int:
    """A frame number.

    Raises:
        FormatError: Not a whole number, negative, or beyond any clip.
    """
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and abs(value) < 2**53
    if not good or value != int(value) or value < 0:
        raise FormatError(f"{where}: frame number {value!r}, wanted a whole number from 0.")
    return int(value)


def numbers_in_names(names: Sequence[str], where: str) -> list[int]:
    """Frame numbers from file names: the last group of digits that tells all names apart.

    ``cam02.0080.json`` → 80, ``clip_000000000012_keypoints.json`` → 12. A
    single name without digits is frame 0.

    Raises:
        FormatError: No digits, two names with one number, or names of several series.
    """
    stems = [re.sub(r"_keypoints$", "", Path(name).stem) for name in names]
    groups = [re.findall(r"[0-9]+", stem) for stem in stems]
    if len(names) == 1:
        return [int(groups[0][-1]) if groups[0] else 0]
    one_series = len({re.sub(r"[0-9]+", "#", stem) for stem in stems}) == 1
    for place in range(len(groups[0]) - 1, -1, -1) if one_series else ():
        numbers = [int(group[place]) for group in groups]
        others = {(*group[:place], *group[place + 1 :]) for group in groups}
        if len(set(numbers)) == len(names) and len(others) == 1:
            return numbers
    raise FormatError(
        f"{where}: the names do not number the frames one by one (first '{names[0]}', last '{names[-1]}'). "
        "Give the frames of one camera, such as name_000012_keypoints.json."
    )


def is_sparse(seen: Sequence[int]) -> bool:
    """Whether frame numbers are so far apart that they cannot be one clip."""
    return max(seen) - min(seen) + 1 > SPARSE * len(set(seen)) + SPARSE_SLACK


def clip_span(seen: Sequence[int], where: str, first: int | None = None) -> tuple[int, int]:
    """Number of the first frame, and how many frames the clip has.

    Args:
        seen: Frame numbers that occur, in any order.
        where: For messages.
        first: Number of the first frame in formats that leave out frames
            without people. Not believed when more than half of the clip
            would be missing before the first person (a piece cut from a
            longer recording). ``None`` = the smallest number that occurs.

    Raises:
        FormatError: No frames, too many, or numbers that leap.
    """
    if not seen:
        raise FormatError(f"{where} holds no frames. Run the detector again.")
    start, end = min(seen), max(seen)
    if first is not None and first < start <= first + (end - start + 1):
        start = first
    if end - start >= MAX_FRAMES or is_sparse(seen):
        raise FormatError(
            f"{where}: frame numbers run from {start} to {end} but only {len(set(seen))} frames are there "
            f"(at most {MAX_FRAMES} frames, and not more than {SPARSE} times those there, make a clip). "
            "Number the frames one by one."
        )
    return start, end - start + 1


def on_one_clock(
    entries: Sequence[tuple[int, list[Person]]], where: str, first: int | None = None
) -> list[list[Person]]:
    """People by frame number as a list without holes; arguments as in `clip_span`.

    Raises:
        FormatError: Impossible frame numbers, or a frame with too many people.
    """
    start, count = clip_span([number for number, _ in entries], where, first)
    frames: list[list[Person]] = [[] for _ in range(count)]
    for number, people in entries:
        frames[number - start].extend(people)
        if len(frames[number - start]) > MAX_PEOPLE:
            raise FormatError(f"{where}: frame {number} has more than {MAX_PEOPLE} people. The file is damaged.")
    return frames
