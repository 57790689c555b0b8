"""ITOP's frames as what the depth networks learn from; RefiNet's split of people."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from posemend.datasets.itop import VALIDATION_PEOPLE, Recording
from posemend.errors import InputError, RecipeError
from posemend.training.depth_scenes import Looks


class ItopLooks:
    """Random valid frames of the training part; people 04 and 05 are the held-out ones.

    Raises:
        RecipeError: The files are not there, or nobody is in the wanted part.
    """

    def __init__(self, root: Path, side: Literal["side", "top"], held_out: bool) -> None:
        try:
            self._recording = Recording(root, side, "train")
        except InputError as error:
            raise RecipeError(f"The recipe wants ITOP at depth.itop: {error}") from None
        self._chosen = np.flatnonzero(np.isin(self._recording.person, VALIDATION_PEOPLE) == held_out)
        if not len(self._chosen):
            raise RecipeError(f"ITOP at {root} has nobody {'held out' if held_out else 'to learn from'}.")

    def looks(self, rng: np.random.Generator, count: int) -> Looks:
        """``count`` frames."""
        frames = self._recording.frames(rng.choice(self._chosen, count))
        return Looks(self._recording.camera, frames.joints, ~frames.visible, frames.depth)
