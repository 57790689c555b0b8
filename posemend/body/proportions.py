"""Is it human-shaped? Every limb, by its usual share of the stature, implies a height.

A real body implies about one height, whatever its size; limbs that disagree
mean a broken or mirrored-up reconstruction, wrong units on one axis, or joints
read in the wrong order. The test needs no truth and no scale. (The idea of
comparing implied heights is FreeMoCap's; the shares are our own round figures
between textbook anthropometry and the joint definitions of motion capture.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose3D

# limb -> (one end, other end, share of the stature); an end is a joint or the middle of two
_Ends = tuple[str, ...]
LIMBS: dict[str, tuple[_Ends, _Ends, float]] = {
    "l_thigh": (("l_hip",), ("l_knee",), 0.247),
    "r_thigh": (("r_hip",), ("r_knee",), 0.247),
    "l_shank": (("l_knee",), ("l_ankle",), 0.245),
    "r_shank": (("r_knee",), ("r_ankle",), 0.245),
    "l_upper_arm": (("l_shoulder",), ("l_elbow",), 0.160),
    "r_upper_arm": (("r_shoulder",), ("r_elbow",), 0.160),
    "l_forearm": (("l_elbow",), ("l_wrist",), 0.143),
    "r_forearm": (("r_elbow",), ("r_wrist",), 0.143),
    "trunk": (("l_hip", "r_hip"), ("l_shoulder", "r_shoulder"), 0.285),
}
MAX_SPREAD = 0.25  # real recordings of nine sources: median 0.05 to 0.13, worst clip 0.23
MIN_LIMBS = 4


class HumanShape(NamedTuple):
    """``ok`` is None where too few limbs are known to tell; ``spread`` is relative (0.1 = 10 %)."""

    ok: bool | None
    spread: float


def limb_lengths(pose: Pose3D) -> dict[str, NDArray[np.float64]]:
    """Length (T,) of every limb in ``LIMBS`` in metres; NaN where an end is not known.

    Limbs whose joints the skeleton does not name are left out.
    """
    names = set(pose.skeleton.joints)
    lengths = {}
    for limb, (one, other, _) in LIMBS.items():
        if not {*one, *other} <= names:
            continue
        places = [[pose.skeleton.index(name) for name in ends] for ends in (one, other)]
        ends = [pose.positions[:, place].astype(np.float64).mean(1) for place in places]
        known = (pose.score[:, places[0] + places[1]] > 0).all(1)
        lengths[limb] = np.where(known, np.linalg.norm(ends[0] - ends[1], axis=-1), np.nan)
    return lengths


def implied_heights(pose: Pose3D) -> dict[str, float]:
    """Stature in metres that each limb implies: median length over the clip / its share of a body.

    Limbs never seen are left out.
    """
    heights = {}
    for limb, length in limb_lengths(pose).items():
        seen = length[np.isfinite(length)]
        if len(seen):
            heights[limb] = float(np.median(seen)) / LIMBS[limb][2]
    return heights


def stature(pose: Pose3D) -> float:
    """Stature in metres that the limbs imply together (median), NaN without limbs."""
    heights = implied_heights(pose)
    return float(np.median(list(heights.values()))) if heights else float("nan")


def human_shape(pose: Pose3D) -> HumanShape:
    """Do the limbs agree on one height?

    Returns:
        ``(ok, spread)``: spread is the standard deviation of the implied
        heights over their mean, and ``ok`` says that it is at most
        ``MAX_SPREAD``. With fewer than ``MIN_LIMBS`` known limbs
        ``(None, nan)``: it cannot be told.
    """
    heights = np.array(list(implied_heights(pose).values()))
    if len(heights) < MIN_LIMBS:
        return HumanShape(None, float("nan"))
    mean = float(heights.mean())
    if mean <= 0:
        return HumanShape(False, float("inf"))  # all joints in one place
    spread = float(heights.std()) / mean
    return HumanShape(spread <= MAX_SPREAD, spread)
