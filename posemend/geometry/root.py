"""Where the pelvis is: the shift that best lays a root-relative pose on its keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEAREST = 0.3  # metres


def place_root(positions: Floats, rays: Floats, score: Floats) -> Floats:
    """(T, 3) pelvis in camera axes, metres.

    For each joint, ``(X + t)_xy = ray * (X + t)_z`` is linear in ``t``: two
    equations per joint, solved by weighted least squares in closed form.
    Frames with fewer than three joints take the nearest frame's answer.

    Args:
        positions: (T, J, 3) root-relative, camera axes.
        rays: (T, J, 2) image coordinates over focal length.
        score: (T, J) weights.
    """
    weight = score.astype(np.float64)
    x, y = rays[..., 0].astype(np.float64), rays[..., 1].astype(np.float64)
    right_x = x * positions[..., 2] - positions[..., 0]
    right_y = y * positions[..., 2] - positions[..., 1]
    total = weight.sum(1)
    sum_x, sum_y = (weight * x).sum(1), (weight * y).sum(1)
    square = (weight * (x * x + y * y)).sum(1)
    b_x, b_y = (weight * right_x).sum(1), (weight * right_y).sum(1)
    b_z = -(weight * (x * right_x + y * right_y)).sum(1)
    # eliminate t_x and t_y: t_x = (b_x + sum_x * t_z) / total, and likewise t_y
    safe = np.maximum(total, 1e-9)
    lower = square - (sum_x**2 + sum_y**2) / safe
    upper = b_z + (sum_x * b_x + sum_y * b_y) / safe
    enough = ((score > 0).sum(1) >= 3) & (lower > 1e-9)
    depth = np.where(enough, upper / np.maximum(lower, 1e-9), np.nan)
    enough &= depth > NEAREST
    if not enough.any():
        return np.tile(np.array([0, 0, 3], np.float32), (len(positions), 1))
    root = np.stack([(b_x + sum_x * depth) / safe, (b_y + sum_y * depth) / safe, depth], -1)
    frames = np.arange(len(positions))
    good = np.flatnonzero(enough)
    filled = [np.interp(frames, good, root[good, axis]) for axis in range(3)]
    return np.stack(filled, -1).astype(np.float32)
