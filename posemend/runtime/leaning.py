"""Whom to believe on the whole: another lifter's pose, or our own lifter's opinion.

The refiner judges each joint and frame, and takes a calm pose for a good one: it cannot know how good a lifter is on
the whole. Bones tell: theirs is a length that no truth changes. A pose whose bones change their length more than those
of our own opinion was lifted less well, and its repair is carried on towards that opinion. One whose bones change less
was lifted better than we can: where its joints were seen they stay, and only what is far off is repaired. One whose
bones hardly change at all (a measured pose, a fitted body) tells nothing that way, and is left to the refiner alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.filters import low_pass

Floats = NDArray[np.float32]

# How many times as much as ours bones may change before the repair leans towards our opinion, and from where on that is
# all that counts. Found on BlendMimic3D's validation actions: truth is below 0.1 there, lifters as good as ours near 1.
BEGINS, WHOLE = 1.2, 2.2
# Between which shares of ours bones tell of a better lifter, and over how much either bound is soft. On those actions
# the research lifter, which has learnt from their setting, is at 0.4 to 0.9 of the default one's; a worse lifter
# was never below 0.9.
BETTER, SOFT = (0.25, 0.9), (0.1, 0.2)
NEAR, FAR = 0.06, 0.12  # metres by which a joint may be moved: below it is held, above it was astray
SLOW = 4.0  # Hz; what changes faster is tremble, which the refiner knows how to deal with
FEWEST = 12  # frames from which bones tell anything
SHORTEST = 0.02  # metres
_JOINTS = np.arange(1, 17)
_PARENTS = np.array(H36M_17.parents)[1:]


def wavering(pose: Floats, scored: NDArray[np.bool_], fps: float) -> float | None:
    """How much bones change their length: the median over bones of spread over mean; ``None`` where nothing tells.

    Args:
        pose: (T, 17, 3) metres.
        scored: (T, 17) which joints there are.
        fps: Frames per second.
    """
    whole = scored[:, _JOINTS].all(0) & scored[:, _PARENTS].all(0)
    if len(pose) < FEWEST or not whole.any():
        return None
    bones = low_pass(pose[:, _JOINTS[whole]] - pose[:, _PARENTS[whole]], fps, SLOW)
    lengths = np.linalg.norm(bones, axis=-1)
    return float(np.median(lengths.std(0) / np.maximum(lengths.mean(0), SHORTEST)))


def settled(
    refined: Floats, raw: Floats, opinion: Floats, scored: NDArray[np.bool_], seen: NDArray[np.bool_], fps: float
) -> Floats:
    """A repair, carried on towards our own lifter's opinion or held back, as far as bones ask for it.

    Args:
        refined: (T, 17, 3) the refiner's answer, metres, root-relative.
        raw: (T, 17, 3) the pose that was to be repaired, in the same axes.
        opinion: (T, 17, 3) what our own lifter says.
        scored: (T, 17) which joints the raw pose has.
        seen: (T, 17) which joints were seen and are trusted.
        fps: Frames per second.

    Returns:
        (T, 17, 3) refined pose.
    """
    theirs, ours = wavering(raw, scored, fps), wavering(opinion, scored, fps)
    if theirs is None or ours is None:
        return refined
    ratio = theirs / max(ours, 1e-6)
    (low, high), (rise, fall) = BETTER, SOFT
    better = float(np.clip((ratio - low) / rise, 0, 1) * np.clip((high - ratio) / fall, 0, 1))
    if better > 0:
        return _held(refined, raw, seen, better, fps)
    return _leaned(refined, raw, opinion, float(np.clip((ratio - BEGINS) / (WHOLE - BEGINS), 0, 1)))


def _held(refined: Floats, raw: Floats, seen: NDArray[np.bool_], share: float, fps: float) -> Floats:
    """Seen joints where they were, by a share, as far as changes are slow; what is quick is `apply._calmed`'s."""
    change = low_pass(refined - raw, fps, SLOW)
    far = np.clip((np.linalg.norm(change, axis=-1) - NEAR) / (FAR - NEAR), 0, 1)
    return (refined - (share * seen * (1 - far))[..., None] * change).astype(np.float32)


def _leaned(refined: Floats, raw: Floats, opinion: Floats, wanted: float) -> Floats:
    """A share of the way to our opinion, as far as the refiner has not gone it by itself."""
    way = opinion - raw
    gone = np.einsum("tjc,tjc->tj", refined - raw, way) / np.maximum(np.einsum("tjc,tjc->tj", way, way), 1e-9)
    more = np.clip(wanted - np.clip(gone, 0, 1), 0, 1)
    return (refined + more[..., None] * way).astype(np.float32)
