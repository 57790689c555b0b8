"""Motion clips to windows of motion at any frame rate.

A pool holds world positions of many sequences in one array. Windows are cut
at random places and resampled in time, so that a network meets 15 to 60
frames per second and slower or faster people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from posemend.errors import RecipeError

Floats = NDArray[np.float32]


class MotionLike(Protocol):
    """What a pool needs of a motion: (T, 17, 3) world metres, z up, and its clock."""

    @property
    def positions(self) -> Floats: ...

    @property
    def fps(self) -> float: ...


@dataclass(frozen=True)
class Pool:
    """Sequences in one array, each with a weight.

    Attributes:
        positions: (N, J, 3) metres, world, z up.
        start: First row of each sequence.
        length: Rows of each sequence.
        fps: Frame rate of each sequence.
        weight: Chance of each sequence, sums to 1.
    """

    positions: Floats
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    fps: Floats
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, sources: Sequence[tuple[Sequence[MotionLike], float]]) -> Pool:
        """A pool of (motions, share) pairs; inside a source longer sequences come more often.

        Raises:
            RecipeError: There is no motion at all.
        """
        positions: list[Floats] = []
        length: list[int] = []
        fps: list[float] = []
        weight: list[float] = []
        for motions, share in sources:
            frames = np.array([len(motion.positions) for motion in motions], np.float64)
            if not len(frames) or share <= 0:
                continue
            # a very long clip of standing still should not crowd out the short ones
            chance = np.sqrt(frames) / np.sqrt(frames).sum() * share
            for motion, p in zip(motions, chance, strict=True):
                positions.append(np.asarray(motion.positions, np.float32))
                length.append(len(motion.positions))
                fps.append(motion.fps)
                weight.append(float(p))
        if not positions:
            raise RecipeError("No motion to train on: every source is empty or has share 0.")
        lengths = np.array(length)
        return cls(
            np.concatenate(positions),
            np.concatenate([[0], np.cumsum(lengths)[:-1]]),
            lengths,
            np.array(fps, np.float32),
            np.array(weight) / sum(weight),
        )

    def windows(self, rng: np.random.Generator, count: int, frames: int, fps: float) -> Floats:
        """(count, frames, J, 3) random windows as a camera of ``fps`` would sample them."""
        chosen = rng.choice(len(self.length), count, p=self.weight)
        speed = np.exp(rng.uniform(np.log(0.75), np.log(1.35), count))
        step = self.fps[chosen] / fps * speed  # source rows per frame
        room = self.length[chosen] - 1
        step = np.minimum(step, np.maximum(room / frames, 0.25))  # short clips are slowed down to fit
        span = step * (frames - 1)
        first = rng.uniform(0, 1, count) * np.maximum(room - span, 0)
        at = np.minimum(first[:, None] + step[:, None] * np.arange(frames), room[:, None])
        low = at.astype(np.int64)
        part = (at - low).astype(np.float32)[..., None, None]
        rows = self.start[chosen][:, None] + low
        next_rows = np.minimum(rows + 1, (self.start + self.length - 1)[chosen][:, None])
        return self.positions[rows] * (1 - part) + self.positions[next_rows] * part
