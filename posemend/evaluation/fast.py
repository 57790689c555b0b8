"""Fast motion apart: a smoother that wins on average may lose exactly where people move.

The speed of a frame is the mean over joints of how fast the *true* root-relative
joints move (central difference, mm per second). The fastest tenth of all frames
of all clips is measured apart, beside the rest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.evaluation.compare import Comparison
from posemend.metrics import MM

SHARE = 0.1


class FastTally:
    """Collects speeds, errors and acceleration errors of frames."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float32]] = []  # rows of speed, MPJPE, acceleration error

    def add(self, compared: Comparison) -> None:
        """Take a clip along. Frames at an end or a cut, and those not measured in full, are passed over."""
        length = len(compared.truth)
        if length < 3:
            return
        piece = np.zeros(length, int)
        for cut in compared.cuts:
            piece[cut:] += 1
        # a joint counts in frame t if it is measured in t - 1, t and t + 1
        counted = compared.scored[:-2] & compared.scored[1:-1] & compared.scored[2:]
        frames = (piece[:-2] == piece[2:]) & counted.any(1)
        if not frames.any():
            return
        number = counted.sum(1)[frames]

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return (values * counted).sum(1)[frames] / number

        off = compared.predicted - compared.truth
        speed = np.linalg.norm(compared.truth[2:] - compared.truth[:-2], axis=-1) * MM * compared.fps / 2
        bend = np.linalg.norm(off[2:] - 2 * off[1:-1] + off[:-2], axis=-1) * MM
        self._parts.append(np.stack([mean(speed), mean(compared.errors()[1:-1]), mean(bend)], 1).astype(np.float32))

    def summary(self) -> dict[str, Any] | None:
        """The numbers for JSON; ``None`` if no three frames follow each other."""
        if not self._parts:
            return None
        speed, error, bend = np.concatenate(self._parts).astype(np.float64).T
        number = max(1, math.ceil(SHARE * len(speed)))
        order = np.argsort(-speed, kind="stable")
        fast, rest = order[:number], order[number:]
        return {
            "frames": number,
            "from_mm_per_s": float(speed[fast].min()),
            "mpjpe_mm": float(error[fast].mean()),
            "accel_mm": float(bend[fast].mean()),
            "rest": {
                "frames": len(rest),
                "mpjpe_mm": float(error[rest].mean()) if len(rest) else math.nan,
                "accel_mm": float(bend[rest].mean()) if len(rest) else math.nan,
            },
        }
