"""Batches for module D: lessons from disk (``scripts/depth_lessons.py``), mirrored and shaken.

Lessons are what the chain makes of films; they take longer to make than to
learn from, so each is used many times. Half of all samples are mirrored, joints
lose their keypoints, and opinions tremble a little, differently each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import ITOP_15
from posemend.contract.depth_time import FAULTS, VECTORS
from posemend.errors import RecipeError
from posemend.training.depth_batch import DepthBatch
from posemend.training.recipe import Recipe

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

NAMES = ("evidence", "faults", "target", "hidden")
MIRROR = np.array(ITOP_15.mirror)
TREMBLE = 0.04  # features: a centimetre
FAULTS_TREMBLE = 0.03  # of what a clip says of itself, the same in all its frames


@dataclass(frozen=True)
class Lessons:
    """N films: evidence (N, T, 15, 21), faults (N, T, 5), target (N, T, 15, 3) metres, hidden (N, T, 15).

    Attributes:
        recipe: Batch, frames and seed.
        seed: Of the batches.
    """

    recipe: Recipe
    seed: int
    evidence: Floats
    faults: Floats
    target: Floats
    hidden: Bools

    def batch(self, number: int) -> DepthBatch:
        """Batch ``number``, always the same."""
        rng = np.random.default_rng([self.seed, number])
        rows = rng.integers(0, len(self.target), self.recipe.optim.batch)
        first = int(rng.integers(0, self.target.shape[1] - self.recipe.optim.frames + 1))
        part = slice(first, first + self.recipe.optim.frames)
        evidence, target = self.evidence[rows, part].astype(np.float32), self.target[rows, part].copy()
        hidden = self.hidden[rows, part].copy()
        flip = rng.random(len(rows)) < 0.5
        evidence[flip], target[flip], hidden[flip] = mirrored(evidence[flip], target[flip], hidden[flip])
        evidence[..., :15] += TREMBLE * rng.standard_normal((len(rows), 1, 15, 15), np.float32)
        lost = rng.random((len(rows), 1, 15)) < 0.02
        evidence[..., 12:14] = np.where(lost[..., None], 0, evidence[..., 12:14])
        evidence[..., 18] = np.where(lost, 0, evidence[..., 18])
        told = self.faults[rows, part] + FAULTS_TREMBLE * rng.standard_normal((len(rows), 1, FAULTS), np.float32)
        before = np.linalg.norm(target, axis=-1)
        return DepthBatch(
            (evidence, told), target, hidden, np.ones_like(before), before.astype(np.float32)
        )


def mirrored(evidence: Floats, target: Floats, hidden: Bools) -> tuple[Floats, Floats, Bools]:
    """The same films with left and right exchanged."""
    evidence, target = evidence[:, :, MIRROR].copy(), target[:, :, MIRROR].copy()
    evidence[..., list(VECTORS)] *= -1
    target[..., 0] *= -1
    return evidence, target, hidden[:, :, MIRROR]


def source(recipe: Recipe, held_out: bool = False) -> Lessons:
    """The lessons in the recipe's folder.

    Raises:
        RecipeError: There are none, or a file holds something else.
    """
    folder = Path(recipe.depth.lessons or ".")
    found = sorted(folder.glob("held-*.npz" if held_out else "learn-*.npz")) if recipe.depth.lessons else []
    if not found:
        raise RecipeError(
            f"depth.lessons names '{recipe.depth.lessons}', which holds no lessons. Make them with "
            "python scripts/depth_lessons.py."
        )
    parts = []
    for path in found:
        try:
            with np.load(path, allow_pickle=False) as file:
                parts.append([file[name] for name in NAMES])
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise RecipeError(f"Lessons {path} cannot be read: {error}. Remove the file and make it again.") from None
    whole = [np.concatenate(part) for part in zip(*parts, strict=True)]
    if recipe.optim.frames > whole[2].shape[1]:
        raise RecipeError(f"optim.frames is {recipe.optim.frames}, and lessons have {whole[2].shape[1]} frames.")
    return Lessons(recipe, recipe.seed + (1_000_003 if held_out else 0), *whole)


def any_held_out(recipe: Recipe) -> bool:
    """Whether there are lessons of people who are kept for validation."""
    return bool(recipe.depth.lessons) and any(Path(recipe.depth.lessons).glob("held-*.npz"))
