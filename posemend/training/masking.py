"""Batches for the occlusion-resilient graph: graphs of T frames, and what is switched off in them.

As in arXiv 2402.11036 a fixed set of structured masks is drawn once, and each
sample of each step is given one of them. The methods that masks are compared
with see the same samples in the same order: edges dropped at random
(``dropedge``), channels dropped at random (``mc-dropout``), or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.contract.codec import FRAME_RATE
from posemend.errors import InputError, RecipeError
from posemend.occlusion.masks import RunLengths, omega
from posemend.training.batches import Batch, Source
from posemend.training.recipe import Recipe
from posemend.training.refining import RefinerBatch, RefinerSource
from posemend.training.sources import source


@dataclass(frozen=True)
class MaskedBatch(RefinerBatch):
    """One step's data of the masked graph.

    Attributes:
        keep: (B, T, 17) false = hidden by a training mask.
        noise: (3,) chances of edges and of channels to be dropped, and the seed of that.
    """

    keep: NDArray[np.bool_]
    noise: NDArray[np.float64]

    def inputs(self) -> tuple[Any, ...]:  # type: ignore[override]
        """What the network is given."""
        return self.evidence, self.clip, self.keep, self.noise


class Thinned:
    """Another source's batches with every so many-th frame kept, from a random one on.

    A graph whose edges in time all span the same number of frames falls apart
    into that many graphs which share nothing; one of them teaches as much and
    costs a part.

    Args:
        base: What makes the batches.
        every: Keep one frame of so many.
    """

    def __init__(self, base: Source, every: int) -> None:
        self._base, self._every, self.seed = base, every, base.seed

    def batch(self, number: int) -> Batch:
        """Batch ``number``, always the same."""
        whole = self._base.batch(number)
        if self._every == 1:
            return whole
        first = int(np.random.default_rng([self.seed, number, 17]).integers(self._every))
        kept = slice(first, first + (whole.target.shape[1] - self._every + 1), self._every)
        parts = {f.name: getattr(whole, f.name) for f in fields(whole)}
        cut = {name: part[:, kept] for name, part in parts.items() if np.ndim(part) > 1}
        cut["clip"] = thinned_clip(whole.clip[:, kept], self._every)
        return replace(whole, **cut, fps=whole.fps / self._every)


def thinned_clip(clip: NDArray[np.float32], every: int) -> NDArray[np.float32]:
    """Clip features (..., F) of frames that were thinned out: their frame rate is lower."""
    clip = clip.copy()
    clip[..., FRAME_RATE] -= np.float32(np.log(every))
    return clip


class MaskedSource:
    """A refiner's batches, cut into graphs of T frames, each with one mask of the set.

    Raises:
        RecipeError: T does not divide the samples' frames, there is no such set of masks, or data is missing.
    """

    def __init__(self, recipe: Recipe, refiner: RefinerSource) -> None:
        self._refiner, self._masked, self._seed = refiner, recipe.masked, recipe.seed
        m = recipe.masked
        if recipe.optim.frames % (m.frames * m.every):
            raise RecipeError(
                f"masked.frames times masked.every wants to be a divisor of optim.frames, so that samples can be cut "
                f"into graphs; got {m.frames}, {m.every} and {recipe.optim.frames}."
            )
        self._hidden: NDArray[np.bool_] | None = None
        if m.kind == "structured":
            try:
                lengths = RunLengths(m.median, m.spread)
                self._hidden = omega(m.number, m.share, m.overlap, m.frames, seed=m.seed, lengths=lengths)
            except InputError as error:
                raise RecipeError(f"Section masked: {error}") from None

    def batch(self, number: int) -> MaskedBatch:
        """Batch ``number``, always the same."""
        whole = self._refiner.batch(number)
        m = self._masked
        parts = [getattr(whole, field.name) for field in fields(whole)]
        parts = [part.reshape(-1, m.frames, *part.shape[2:]) for part in parts]
        graphs = len(parts[0])
        rng = np.random.default_rng([self._seed, number, 13])
        keep = np.ones((graphs, m.frames, 17), bool)
        if self._hidden is not None:
            keep = ~self._hidden[rng.integers(0, len(self._hidden), graphs)]
        keep[rng.random(graphs) < m.clean] = True
        edges = m.share if m.kind == "dropedge" else 0.0
        features = m.share if m.kind == "mc-dropout" else 0.0
        return MaskedBatch(*parts, keep, np.array([edges, features, rng.integers(2**31)]))  # type: ignore[call-arg]


def masked_source(recipe: Recipe, held_out: bool = False) -> MaskedSource | RefinerSource:
    """What makes the batches; held-out ones are whole clips without masks, as in use.

    Raises:
        RecipeError: The recipe's masks cannot be made, or data is missing.
    """
    refiner = RefinerSource(recipe, Thinned(source(recipe, held_out), recipe.masked.every))
    return refiner if held_out else MaskedSource(recipe, refiner)
