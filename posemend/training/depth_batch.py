"""One step's data of the depth trainings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class DepthBatch:
    """One step's data of any of the depth trainings; (B, 15) for each frame alone, (B, T, 15) over time.

    Attributes:
        given: What the network is given, in its order.
        target: (..., 15, C) what it should answer.
        hidden: (..., 15) which joints are hidden.
        metre: (..., 15) metres per unit of the target.
        before: (..., 15) error before, in metres.
    """

    given: tuple[Floats, ...]
    target: Floats
    hidden: Bools
    metre: Floats
    before: Floats

    def inputs(self) -> tuple[Floats, ...]:
        """What the network is given."""
        return self.given
