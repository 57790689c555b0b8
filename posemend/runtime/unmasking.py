"""Which joints are hidden, found out by where the pose itself expects them.

The depth at a hidden joint is that of the thing in front: nearer than the
joint's own skin would be. Module A judges by what a cut-out looks like; here a
whole pose (the lifter's, laid on the joints that are believed so far) says at
what distance each joint should be met, and Bayes' rule puts both together. What
stands in front of most of a person stands in front of the rest as well: in a
frame where most joints are hidden the others are believed less.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15
from posemend.runtime.fusion import PER_AXIS

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

# metres that the skin is nearer than the joint inside: medians of the training scenes' bodies
_SKIN = {"head": 0.09, "neck": 0.12, "shoulder": 0.08, "elbow": 0.05, "wrist": 0.047, "torso": 0.14, "hip": 0.11,
         "knee": 0.078, "ankle": 0.058}  # fmt: skip
SKIN = np.array([_SKIN[name.split("_")[-1]] for name in ITOP_15.joints], np.float32)
BUILDS = 0.04  # metres, spread of that
KNOWN = 0.25  # metres; a pose that is less sure of a distance than this still says this much
FAR = 0.4  # metres, how much nearer things in front are on average
MISSED = 0.25  # hidden joints that are taken for visible for each that is told
SHARE = 0.2  # of joints are hidden, where nothing is known of the frame
STRONGEST = (-4.0, 6.0)  # least and most that one distance says, as log odds


def doubt(said: Floats, lifted: Floats, found: Bools, expected: Floats, sigma: Floats, hidden: float) -> Floats:
    """How surely each joint is hidden.

    Args:
        said: (T, 15) what module A says.
        lifted: (T, 15, 3) metres, camera axes: what the maps show at each joint.
        found: (T, 15) where they show anything.
        expected: (T, 15, 3) metres: the pose.
        sigma: (T, 15) its expected errors, metres.
        hidden: What ``said`` calls hidden, as a probability.

    Returns:
        (T, 15) probabilities.
    """
    certain = np.clip(said.astype(np.float64), 1e-4, 1 - 1e-4)
    odds = np.log(certain / (1 - certain))
    told = said > hidden
    number = told.sum(1, keepdims=True)
    share = np.clip(MISSED * number / np.maximum(len(ITOP_15) - number, 1), SHARE, 0.97)
    odds += np.where(told, 0, np.log(share / (1 - share)) - np.log(SHARE / (1 - SHARE)))
    nearer = lifted[..., 2] - (expected[..., 2] - SKIN)
    spread = np.minimum(np.hypot(BUILDS, sigma.astype(np.float64) * PER_AXIS), KNOWN)
    skin = -0.5 * (nearer / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi))
    # what is behind the body shows where a keypoint is beside it: that is not the joint's depth either
    thing = np.where(nearer < 0, nearer / FAR - np.log(FAR), -nearer / 0.1)
    odds += np.where(found, np.clip(thing - skin, *STRONGEST), 0)
    return (1 / (1 + np.exp(-odds))).astype(np.float32)
