"""What is done to keypoints before or after networks: here, filling gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posemend.body.pose import Pose2D
from posemend.errors import InputError


def fill_gaps(pose: Pose2D) -> Pose2D:
    """Keypoints with every joint in every frame, as tools want them that know nothing of occlusion.

    Absent joints (score 0) are put on a straight line in time between the
    frames that have them, held at the ends, and put amid the others if no
    frame has them. Scores become 1 and flags True: this is the habit of
    occlusion-blind tools, kept to compare with.

    Raises:
        InputError: No joint is present at all.
    """
    positions = pose.positions.copy()
    present = pose.score > 0
    if not present.any():
        raise InputError("No joint is present in any frame. Wanted at least one score above 0.")
    time = np.arange(len(pose))
    seen = present.any(0)
    for joint in np.flatnonzero(seen & ~present.all(0)):
        at = np.flatnonzero(present[:, joint])
        for axis in (0, 1):
            positions[:, joint, axis] = np.interp(time, at, positions[at, joint, axis])
    positions[:, ~seen] = positions[:, seen].mean(1, keepdims=True)
    return replace(pose, positions=positions, score=np.ones_like(pose.score), visible=np.ones_like(pose.visible))
