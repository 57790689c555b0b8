"""What turns a network's own expected error into one that holds: a scale, and radii over it.

Networks state their errors (``log_error``) as they learnt to on training data,
and are too timid on some input and too bold on other. A *calibration* is measured
once per bundle (``posemend calibrate``), kept on its card, and says, apart for

- the route that a pose took (``ROUTES``),
- how noisy the keypoints are (``INPUTS``; judged from the keypoints themselves, by ``noise_of``),
- what the network was told of the joint (``STATES``),

by how much the stated error is to be multiplied so that its mean is right
(temperature scaling), and how large a ball round the joint must be, in multiples
of that, to hold the truth at each level (split conformal prediction, one group
for each of these cases; Vovk et al. 2005). Nothing here looks at truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.contract.codec import SEEN
from posemend.errors import BundleError

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

LEVELS = (0.5, 0.8, 0.9, 0.95)
ROUTES = ("lift", "keypoints", "alone")
"""Lifted here; another tool's pose refined with its keypoints; without them."""
INPUTS = ("clean", "noisy")
STATES = ("seen", "doubted", "absent")
"""Seen and trusted; a keypoint that is hardly believed; no keypoint at all."""

# Tremble (see noise_of) of exact projections of motion stays below the first, of detectors above the second: measured
# on BlendMimic3D's training actions and on simulated cameras at 20 to 60 frames per second, in sizes of the body.
_TREMBLE = (1.5e-3, 4e-3)
_WHITE = float(np.sqrt(70.0))  # what fourth differences make of white noise of spread 1
_LOOKED_AT = (8, 512)  # blocks and their frames: enough of a long clip


def noise_of(joints: Floats) -> float:
    """How noisy a clip's keypoints are: 0 as exact as projected motion, 1 as a detector's, on a log scale between.

    Fourth differences over time leave next to nothing of what bodies do, and much of a detector's tremble.

    Args:
        joints: (T, J, 3) of the codec: x, y in sizes of the body, and score.
    """
    blocks, length = _LOOKED_AT
    frames = len(joints)
    if frames <= blocks * length:
        parts = [joints]
    else:
        parts = [joints[first : first + length] for first in np.linspace(0, frames - length, blocks).astype(int)]
    found = []
    for part in parts:
        seen = part[..., 2] >= SEEN
        five = seen[4:] & seen[3:-1] & seen[2:-2] & seen[1:-3] & seen[:-4] if len(part) > 4 else seen[:0]
        if five.any():
            found.append(np.abs(np.diff(part[..., :2], n=4, axis=0)[five]).ravel())
    if not found:
        return 1.0  # too short to tell: as most keypoints in use are
    tremble = float(np.median(np.concatenate(found))) / _WHITE
    low, high = np.log(_TREMBLE)
    return float(np.clip((np.log(max(tremble, 1e-9)) - low) / (high - low), 0, 1))


def states(seen: Bools, absent: Bools) -> NDArray[np.uint8]:
    """(T, J) places in ``STATES``."""
    return np.where(seen, 0, np.where(absent, 2, 1)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of one route.

    Attributes:
        scale: (2, 3) factors of the stated error, by input and state.
        radii: (L, 2, 2) radius over the scaled error, by level, by input, seen and hidden.
        levels: (L,)
    """

    scale: NDArray[np.float64]
    radii: NDArray[np.float64]
    levels: tuple[float, ...]

    def shift(self, state: NDArray[np.uint8], noise: float) -> Floats:
        """(T, J) what to add to the log of stated errors, from states (T, J)."""
        log = np.log(self.scale)
        return ((1 - noise) * log[0] + noise * log[1]).astype(np.float32)[state]

    def table(self, noise: float) -> Floats:
        """(L, 3) for ``Pose3D.radii``: level, radius over sigma where seen and where hidden."""
        radii = (1 - noise) * self.radii[:, 0] + noise * self.radii[:, 1]
        return np.column_stack([self.levels, radii]).astype(np.float32)


def read(table: Mapping[str, Any], route: str) -> Calibration | None:
    """The calibration of a route from a card's ``calibration``; ``None`` where there is none.

    Raises:
        BundleError: It is there, and makes no sense.
    """
    if not table or route not in table.get("routes", {}):
        return None
    try:
        levels = tuple(float(level) for level in table["levels"])
        given = [table["routes"][route][name] for name in INPUTS]
        scale = np.array([[one["scale"][state] for state in STATES] for one in given], np.float64)
        radii = np.array([[one["radius_over_sigma"][key] for key in ("seen", "hidden")] for one in given], np.float64)
        radii = radii.transpose(2, 0, 1)
        ordered = all(0 < a < b < 1 for a, b in zip(levels, (*levels[1:], 1 - 1e-9), strict=True))
        if radii.shape != (len(levels), 2, 2) or not ordered or not (np.isfinite(radii).all() and (radii > 0).all()):
            raise ValueError(f"levels {levels}, radii of shape {radii.shape}")
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("scales that are not above 0")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BundleError(
            f"The calibration on the card makes no sense ({type(error).__name__}: {error}). "
            "Measure it again: posemend calibrate."
        ) from None
    return Calibration(scale, radii, levels)
