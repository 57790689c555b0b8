"""Pseudo-labels: what several cameras of one moment agree on.

Clips of one group are triangulated once, before training; each camera's clip
then has a 3D pose in its own axes, with a weight that falls with the expected
error. One camera alone is given to the network, in training as in use: several
views teach, one view runs (weighted triangulation as a teacher: Roy et al.,
arXiv 2203.15865, and the semi-supervised part of arXiv 2402.11036).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.errors import InputError
from posemend.geometry.triangulate import LEAST, triangulate
from posemend.training.footage import Footage

Floats = NDArray[np.float32]

BELIEVED = 0.05  # metres of expected error at which a pseudo-label counts about a third


def pseudo_labels(footage: Footage, tolerance: float = 0.1) -> tuple[Floats, Floats]:
    """Positions (N, 17, 3) in camera axes, metres, and weights (N, 17), 0 where cameras say nothing together.

    The pelvis must be known for a pose to have a root; frames without it have weight 0.

    Raises:
        InputError: No moment was seen by two placed cameras, or cameras contradict the 2D.
    """
    positions = np.zeros((footage.frames, 17, 3), np.float32)
    weight = np.zeros((footage.frames, 17), np.float32)
    groups = footage.groups_of(LEAST)
    if not groups:
        raise InputError(
            "Multi-view pseudo-labels want moments that two or more calibrated cameras saw at once; there is none. "
            "Give weak.cameras = 2 or more, takes by several cameras, or weak.pseudo = 0."
        )
    used = reported = 0
    for clips in groups:
        frames = int(footage.length[clips].min())
        rows = footage.start[clips][:, None] + np.arange(frames)  # (V, T)
        rays = footage.rays[rows].astype(np.float64)
        score = footage.score[rows].astype(np.float64)
        outer = footage.outer[clips]
        found = triangulate(
            rays.reshape(len(clips), -1, 2), score.reshape(len(clips), -1) ** 2, outer[:, :, :3], outer[:, :, 3],
            tolerance,
        )  # fmt: skip
        used += int(found.used.sum())
        reported += int(((score > 0) & ((score > 0).sum(0) >= LEAST)).sum())
        points = np.nan_to_num(found.positions).reshape(frames, 17, 3)
        believed = np.where(np.isfinite(found.sigma), np.exp(-np.nan_to_num(found.sigma) / BELIEVED), 0.0)
        believed = believed.reshape(frames, 17)
        believed = believed * (believed[:, :1] > 0)  # without a pelvis there is no root to be relative to
        for clip, row in zip(clips, rows, strict=True):
            own = footage.outer[clip]
            positions[row] = points @ own[:, :3].T + own[:, 3]
            weight[row] = believed
    if used < 0.5 * reported:
        raise InputError(
            f"The cameras contradict the 2D: only {used / max(1, reported):.0%} of the keypoints lie within "
            f"{tolerance * 1000:.0f} mm of one point. Check that cameras and files are in one order and frame by frame."
        )
    return positions, weight
