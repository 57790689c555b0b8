"""Which skeleton a row of keypoints is.

A count alone often decides (26 is Halpe). Where it does not, the skeleton has
to be named, except for OpenPose's two models with 25 joints: read in the wrong
order a body turns into a tangle three times as long, which is easy to see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import SKELETONS
from posemend.body.catalogue import skeleton as skeleton_named
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, SkeletonError
from posemend.formats.detections import Person, checked_together
from posemend.formats.notes import tell

# OpenPose's old COCO model: nose, neck, right arm, left arm, right leg, left leg, eyes, ears. Without
# its neck (the middle of the shoulders) it is COCO-17 in another order.
_FROM_COCO_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)

# joints in the file -> skeleton, and which rows of the file are its joints
_BY_COUNT: dict[int, tuple[str, tuple[int, ...]]] = {
    17: ("coco_17", tuple(range(17))),
    18: ("coco_17", _FROM_COCO_18),
    23: ("coco_wholebody_23", tuple(range(23))),
    25: ("openpose_body_25", tuple(range(25))),
    26: ("halpe_26", tuple(range(26))),
    33: ("mediapipe_33", tuple(range(33))),
    68: ("halpe_26", tuple(range(26))),  # Halpe with hands
    133: ("coco_wholebody_23", tuple(range(23))),
    136: ("halpe_26", tuple(range(26))),  # Halpe with face and hands
}
CLEARLY_BETTER = 0.6  # ratio of bone lengths at which one order beats the other
SAME_NAMES = 0.7  # share of joint names in place at which a list is a known one
SURE = 0.3  # score from which a joint may vote


def named(name: str | Skeleton | None) -> Skeleton | None:
    """A skeleton from its name, itself, or ``None``.

    Raises:
        SkeletonError: No such skeleton.
    """
    return skeleton_named(name) if isinstance(name, str) else name


def rows(count: int, wanted: Skeleton | None, where: str) -> tuple[Skeleton, tuple[int, ...]]:
    """The skeleton of keypoints, and which rows of the file are its joints.

    Args:
        count: Joints in the file.
        wanted: The skeleton that the user named, or ``None``.
        where: For messages.

    Raises:
        SkeletonError: The count fits no known skeleton, or not the one named.
    """
    if wanted is not None:
        if len(wanted) == count:
            return wanted, tuple(range(count))
        usual = _BY_COUNT.get(count)
        if usual is not None and usual[0] == wanted.name:
            return wanted, usual[1]
        if count == 133 and wanted.name == "coco_17":
            return wanted, tuple(range(17))
        raise SkeletonError(
            f"{where} has {count} joints, but skeleton '{wanted.name}' has {len(wanted)}. {_candidates(count)}"
        )
    if count not in _BY_COUNT:
        raise SkeletonError(f"{where} has {count} joints, which no detector read here gives. {_candidates(count)}")
    name, order = _BY_COUNT[count]
    return SKELETONS[name], order


def _candidates(count: int) -> str:
    names = candidates(count)
    if count in _BY_COUNT and _BY_COUNT[count][0] not in names:
        names = [*names, _BY_COUNT[count][0]]
    if names:
        return f"With {count} joints it could be: {', '.join(names)} (--skeleton)."
    return f"Keypoints are read with {', '.join(str(known) for known in _BY_COUNT)} joints, or by --skeleton."


def candidates(count: int) -> list[str]:
    """Names of all skeletons with that many joints."""
    return [name for name, skeleton in SKELETONS.items() if len(skeleton) == count]


def from_names(names: Sequence[object], where: str) -> Skeleton | None:
    """The skeleton whose joints a file's own list names, ``None`` without a list.

    Raises:
        SkeletonError: There is a list, and it fits no skeleton.
    """
    own = [re.sub(r"^right_", "r_", re.sub(r"^left_", "l_", str(name).lower().replace(" ", "_"))) for name in names]
    if not own:
        return None
    best, share = None, 0.0
    for skeleton in SKELETONS.values():
        if len(own) < len(skeleton):
            continue
        same = sum(mine == theirs for mine, theirs in zip(own, skeleton.joints, strict=False)) / len(skeleton)
        whole = len(own) == len(skeleton) or _BY_COUNT.get(len(own), ("",))[0] == skeleton.name
        if whole and same > share:
            best, share = skeleton, same
    if share < SAME_NAMES:
        raise SkeletonError(
            f"{where} names its joints {', '.join(own[:5])}, ...: no known order. {_candidates(len(own))}"
        )
    return best


def tangle(xy: NDArray[np.floating], score: NDArray[np.floating], skeleton: Skeleton) -> float:
    """Mean bone length as a share of the person's size, median over frames; large = wrong joint order.

    Args:
        xy: (N, J, C) positions in any unit.
        score: (N, J).
        skeleton: The order to try.

    Returns:
        NaN when no frame shows enough.
    """
    sure = score > SURE
    low = np.where(sure[..., None], xy, np.inf).min(1)
    high = np.where(sure[..., None], xy, -np.inf).max(1)
    with np.errstate(invalid="ignore"):
        size = np.linalg.norm(high - low, axis=-1)
    parent, child = np.array(skeleton.bone_indices).T
    both = sure[:, parent] & sure[:, child]
    length = np.linalg.norm(xy[:, parent] - xy[:, child], axis=-1)
    enough = (both.sum(1) >= 6) & np.isfinite(size) & (size > 0)
    if not enough.any():
        return float("nan")
    share = (length * both).sum(1)[enough] / both.sum(1)[enough] / size[enough]
    return float(np.median(share))


def which_body_25(people: Sequence[Person], wanted: Skeleton | None, where: str) -> Skeleton:
    """BODY_25 or BODY_25B, by how tangled each makes the bodies.

    A warning says when the geometry decided for BODY_25B, or contradicts the
    skeleton that was named (the named one is kept).
    """
    usual, other = SKELETONS["openpose_body_25"], SKELETONS["openpose_body_25b"]
    sample = list(people[:: max(1, len(people) // 200)])
    if not sample:
        return wanted or usual
    xy = np.stack([person.xy for person in sample])
    score = np.stack([person.score for person in sample])
    found = usual
    if tangle(xy, score, other) < CLEARLY_BETTER * tangle(xy, score, usual):
        found = other
    elif not tangle(xy, score, usual) < CLEARLY_BETTER * tangle(xy, score, other):
        return wanted or usual
    if wanted is None and found is other:
        tell(
            f"{where}: 25 joints whose bones only fit OpenPose's BODY_25B; read as openpose_body_25b "
            "(name it with --skeleton to be quiet)."
        )
    if wanted in (usual, other) and wanted != found:
        tell(f"{where}: read as '{wanted.name}' as asked, but the bones fit '{found.name}'.")
    return wanted or found


def to_people(
    frames: Sequence[tuple[int, list[tuple[np.ndarray, str | None]]]], skeleton: Skeleton | None, where: str
) -> tuple[list[tuple[int, list[Person]]], Skeleton]:
    """Raw keypoints as people on one skeleton.

    Raises:
        FormatError: Impossible numbers.
        SkeletonError: Joint counts that differ or fit no skeleton.
    """
    counts = {len(keypoints) for _, people in frames for keypoints, _ in people}
    if not counts:
        raise FormatError(f"{where}: nobody in any of {len(frames)} frames: nothing to lift. Run the detector again.")
    if len(counts) > 1:
        raise SkeletonError(f"{where}: people with {sorted(counts)} joints in one clip. Use one model for all frames.")
    found, order = rows(counts.pop(), skeleton, where)
    flat = [(number, keypoints[list(order)], track) for number, people in frames for keypoints, track in people]
    xy, score = checked_together(
        [keypoints for _, keypoints, _ in flat], lambda place: f"{where}, frame {flat[place][0]}"
    )
    everybody = [Person(xy[place], score[place], None, track) for place, (_, _, track) in enumerate(flat)]
    waiting = iter(everybody)
    entries = [(number, [next(waiting) for _ in people]) for number, people in frames]
    if found.name in ("openpose_body_25", "openpose_body_25b"):
        found = which_body_25(everybody, skeleton, where)
    return entries, found
