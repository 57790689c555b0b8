"""From the log error that a network states to the sigma and radii of a pose, by the bundle's calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.contract.certainty import states
from posemend.runtime.session import model

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def stated(
    bundle: str | Path, route: str, log_error: Floats, seen: Bools, absent: Bools, noise: float
) -> tuple[Floats, Floats | None]:
    """Expected errors, and the radii that go with them.

    Args:
        bundle: Whose card is asked.
        route: One of ``certainty.ROUTES``.
        log_error: (T, 17) as the network states it.
        seen: (T, 17) which joints were seen and are trusted.
        absent: (T, 17) joints without any keypoint.
        noise: How noisy the clip's keypoints are (``certainty.noise_of``).

    Returns:
        sigma (T, 17) metres, and ``Pose3D.radii`` or ``None`` where the card has no calibration.
    """
    found = model(bundle, "lift" if route == "lift" else "refine").calibration(route)
    if found is None:
        return np.exp(log_error), None
    return np.exp(log_error + found.shift(states(seen, absent), noise)), found.table(noise)
