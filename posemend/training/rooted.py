"""Task ``lift-rooted``: a lifter that is told the true distance of the root while it learns (arXiv 2402.11036).

The pose is assembled with the true distance, and the network's own estimate
of it is taught beside. Held-out errors are those of the network by itself.
True distances fit the rays only where the focal length is known, so recipes
want ``views.calibrated = 1``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from posemend.nn import losses
from posemend.training import posing
from posemend.training.batches import Batch, Floats, Source
from posemend.training.recipe import Recipe
from posemend.training.sources import source


@dataclass(frozen=True)
class RootedBatch(Batch):
    """A lifter's batch whose true root distances are shown to the network."""

    def inputs(self) -> tuple[Floats, ...]:  # type: ignore[override]
        """What the network is given."""
        return self.joints, self.clip, self.distance


class RootedSource:
    """A lifter's batches with the root's distance among the inputs."""

    def __init__(self, base: Source) -> None:
        self._base = base

    def batch(self, number: int) -> RootedBatch:
        """Batch ``number``, always the same."""
        made = self._base.batch(number)
        return RootedBatch(**{field.name: getattr(made, field.name) for field in fields(made)})


def rooted_source(recipe: Recipe, held_out: bool = False) -> RootedSource | Source:
    """What makes the batches; held-out ones do not tell the distance.

    Raises:
        RecipeError: Data is missing.
    """
    base = source(recipe, held_out)
    return base if held_out else RootedSource(base)


def loss(answer: tuple[Tensor, ...], batch: RootedBatch, recipe: Recipe, device: torch.device) -> tuple[Tensor, float]:
    """The lifters' loss plus ``loss.root`` times that of the distance, and the mean error in mm."""
    found, error = posing.loss((answer[0], answer[1]), batch, recipe, device)
    if len(answer) > 2 and recipe.loss.root:
        target = torch.from_numpy(np.ascontiguousarray(batch.distance)).to(device)
        found = found + recipe.loss.root * losses.distance(answer[2].float(), target)
    return found, error
