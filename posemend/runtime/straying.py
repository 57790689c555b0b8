"""What only time can tell of a pose: left and right exchanged for a moment, and joints gone astray for a moment.

A body whose sides are exchanged is a possible body, and so is one whose hand is
half a metre off; no single frame says what is wrong. But joints do not jump
there and back. Both are found by the cheapest way through the clip (Viterbi's
algorithm): which frames are exchanged, and which places of a joint to believe.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.body.skeleton import Skeleton

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

PARTS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))  # exchanged together
STEP = 0.08  # of a body half high as the median joint is far: a motion of this costs 1
MOST = 4.0  # cost of one joint's jump, whatever its length
EXCHANGED = 0.3  # cost of each frame that is exchanged: most are not
LONGEST = 1.0  # seconds that a joint is astray at most
SPEED = {"wrist": 1.5, "elbow": 1.1, "ankle": 1.5, "knee": 1.1}  # m/s that cost nothing; others 0.7
TREMBLE = 1.5  # of a joint's median way from frame to frame, that cost nothing as well
JUMP = 0.03  # metres beyond that cost 1
HIGHEST = 8.0  # cost of a jump
ASTRAY = 0.35  # cost of each frame that is not believed
CROWD = 0.25  # of the joints; more do not go astray at once: the body itself is as quick as that


def unswapped(positions: Floats, there: Bools, skeleton: Skeleton) -> tuple[Floats, Bools]:
    """Arms or legs that are exchanged for some frames put right.

    Args:
        positions: (T, J, C) in any unit, 2D or 3D.
        there: (T, J) joints that have a position.
        skeleton: For left and right.

    Returns:
        Positions, and (T, J) joints that were exchanged.
    """
    changed = np.zeros(there.shape, bool)
    frames = len(positions)
    if frames < 3 or not there.any():
        return positions, changed
    size = _size(positions, there)
    mirror = list(skeleton.mirror)
    for part in PARTS:
        joints = np.flatnonzero([name.endswith(part) for name in skeleton.joints])
        if not len(joints):
            continue
        here, crossed = positions[:, joints], positions[:, mirror][:, joints]
        both = (there & there[:, mirror])[:, joints]
        known = both[1:] & both[:-1]

        def cost(one: Floats, other: Floats, known: Bools = known) -> NDArray[np.float64]:
            steps = np.linalg.norm(one.astype(np.float64) - other, axis=-1) / (STEP * size)
            return (np.minimum(steps, MOST) * known).sum(-1)

        stay, turn = cost(here[1:], here[:-1]), cost(crossed[1:], here[:-1])
        total = np.array([0.0, EXCHANGED])
        came = np.zeros((frames, 2), np.intp)
        for frame in range(1, frames):
            ways = total[:, None] + np.array([[stay[frame - 1], turn[frame - 1]], [turn[frame - 1], stay[frame - 1]]])
            came[frame] = ways.argmin(0)
            total = ways.min(0) + [0, EXCHANGED]
        state = int(total.argmin())
        for frame in range(frames - 1, -1, -1):
            changed[frame, joints] = bool(state)
            state = int(came[frame, state])
    return np.where(changed[..., None], positions[:, mirror], positions), changed


def astray(positions: Floats, there: Bools, skeleton: Skeleton, fps: float) -> Bools:
    """(T, J) places that a joint would have to jump to, and back from.

    Where more than a quarter of a body would have to, it bows or falls, and all of it is believed.

    Args:
        positions: (T, J, 3) metres.
        there: (T, J) joints that have a position.
        skeleton: Names of joints; hands are quicker than heads.
        fps: Frames per second.
    """
    frames, joints = there.shape
    if frames < 3:
        return np.zeros(there.shape, bool)
    speed = np.array([SPEED.get(name.split("_")[-1], 0.7) for name in skeleton.joints])
    back = max(1, min(frames, round(LONGEST * fps)) + 1)
    gaps = np.arange(1, back + 1)
    best, came = np.zeros((frames, joints)), np.full((frames, joints), -1)
    # a joint that is missing waits where it was last
    latest = np.maximum.accumulate(np.where(there, np.arange(frames)[:, None], there.argmax(0)), axis=0)
    x = np.take_along_axis(positions, latest[..., None], 0).astype(np.float64)
    usual = np.median(np.linalg.norm(np.diff(x, axis=0), axis=-1), axis=0)
    # nobody keeps such a speed for long, so ways grow with the root of time
    allowed = TREMBLE * usual + speed * np.sqrt(gaps[:, None] / fps) * np.sqrt(1 / fps)
    for frame in range(frames):
        # the first believed frame: everything before it is not
        cheapest, way = ASTRAY * frame * np.ones(joints), np.full(joints, -1)
        count = min(frame, back)
        if count:
            rows = frame - gaps[:count]
            off = np.linalg.norm(x[frame] - x[rows], axis=-1) - allowed[:count]
            price = best[rows] + np.clip(off / JUMP, 0, HIGHEST) + ASTRAY * (gaps[:count, None] - 1)
            chosen = price.argmin(0)
            lowest = np.take_along_axis(price, chosen[None], 0)[0]
            better = lowest <= cheapest
            cheapest, way = np.where(better, lowest, cheapest), np.where(better, rows[chosen], way)
        best[frame], came[frame] = cheapest, way
    ends = best + ASTRAY * (frames - 1 - np.arange(frames))[:, None]
    believed = np.zeros(there.shape, bool)
    for joint in range(joints):
        frame = int(ends[:, joint].argmin())
        while frame >= 0:
            believed[frame, joint] = True
            frame = int(came[frame, joint])
    lost = there & ~believed
    crowd = lost.sum(1) > CROWD * there.sum(1)
    return lost & ~crowd[:, None]


def _size(positions: Floats, there: Bools) -> float:
    """Twice the median distance of joints from the middle of the body."""
    some = there.any(1)
    middle = np.nanmedian(np.where(there[..., None], positions, np.nan)[some], axis=1, keepdims=True)
    off = np.linalg.norm(positions[some] - middle, axis=-1)[there[some]]
    return max(2 * float(np.median(off)), 1e-6)
