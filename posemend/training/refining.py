"""Batches for refiners: raw poses of several makers, with the evidence for and against them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.contract.codec import HIDDEN_SCORE, trust, turn
from posemend.contract.evidence import assemble
from posemend.errors import RecipeError
from posemend.filters import bridged
from posemend.training.batches import Batch
from posemend.training.recipe import Recipe
from posemend.training.sources import source
from posemend.training.spoil3d import spoil3d

Floats = NDArray[np.float32]

_TO_16 = np.array([H36M_17.index(name) for name in H36M_16.joints])


@dataclass(frozen=True)
class RefinerBatch:
    """One step's data of a refiner.

    Attributes:
        evidence: (B, T, 17, 13), see ``contract.evidence``.
        clip: (B, T, 7) likewise.
        target: (B, T, 17, 3) truth, virtual-camera axes, metres.
        hidden: (B, T, 17) which joints were hidden.
        raw: (B, T, 17, 3) the pose to repair.
    """

    evidence: Floats
    clip: Floats
    target: Floats
    hidden: NDArray[np.bool_]
    raw: Floats

    def inputs(self) -> tuple[Floats, Floats]:
        """What the network is given."""
        return self.evidence, self.clip


def filled(xy: Floats, score: Floats) -> Floats:
    """(B, T, J, 2) with missing joints interpolated over time: what occlusion-blind lifters are given."""
    middle = (xy * score[..., None]).sum(2) / np.maximum(score.sum(2), 1e-6)[..., None]
    result = xy.copy()
    for row, joint in zip(*np.nonzero((score == 0).any(1)), strict=True):
        known = score[row, :, joint] > 0
        result[row, :, joint] = bridged(xy[row, :, joint], known) if known.any() else middle[row]
    return result


def _checkpoint(folder: str) -> Path:
    """The checkpoint of a training folder, or the folder itself where it is one."""
    inner = Path(folder) / "checkpoint"
    return inner if inner.exists() else Path(folder)


class Lifted(Protocol):
    """What makes a lifter's batches."""

    @property
    def seed(self) -> int: ...

    def batch(self, number: int) -> Batch:
        """Batch ``number``, always the same."""
        ...


class RefinerSource:
    """Lifter batches, lifted, spoiled and put together as evidence.

    Raises:
        RecipeError: The lifter that gives opinions, SemGCN or a published lifter is missing.
    """

    def __init__(self, recipe: Recipe, base: Lifted) -> None:
        from posemend.nn import checkpoint

        self._recipe, self._base = recipe, base
        raw = recipe.raw
        if not raw.opinion:
            raise RecipeError("A refiner's recipe wants raw.opinion: the training folder of posemend's own lifter.")
        if raw.published > 0 and not raw.lifters:
            raise RecipeError("raw.published wants raw.lifters: training folders of task 'blind', at least one.")
        self._lifter, _ = checkpoint.load_network(_checkpoint(raw.opinion))
        self._published = [checkpoint.load_network(_checkpoint(folder))[0] for folder in raw.lifters]
        # graphs of poses alone do not look at it, and it costs as much as the rest of a batch
        self._asks = recipe.network.options.get("inputs") != "pose" or raw.own > 0 or raw.mediocre > 0
        self._semgcn: Any = None
        if raw.semgcn > 0:
            from posemend.nn.published import semgcn_from_file

            self._semgcn = semgcn_from_file(Path(raw.semgcn_file))

    def batch(self, number: int) -> RefinerBatch:
        """Batch ``number``, always the same."""
        rng = np.random.default_rng([self._base.seed, number, 7])
        given = self._base.batch(number)
        opinion, log_error = self._own(given.joints, given.clip) if self._asks else (None, None)
        raw = self._raw(given, opinion, rng)
        flags = np.where(given.hidden, np.float32(HIDDEN_SCORE), np.float32(1))
        flags[rng.random(len(flags)) < 0.5] = 1  # nobody says what is hidden
        with_keypoints = rng.random(len(raw)) < self._recipe.raw.keypoints
        worth = np.where(with_keypoints[:, None, None], trust(given.score), flags)
        evidence, clip = assemble(raw, worth, given.joints, given.clip, opinion, log_error, given.fps)
        without = ~with_keypoints
        evidence[without, ..., 3:8] = 0
        evidence[without, ..., 9:] = 0
        clip[without, :, :3] = 0
        clip[without, :, 4:] = 0
        return RefinerBatch(evidence, clip, given.target, given.hidden, evidence[..., :3])

    def _own(self, joints: Floats, clip: Floats) -> tuple[Floats, Floats]:
        """What posemend's own lifter answers: positions and log expected errors."""
        import torch

        with torch.inference_mode():
            positions, log_error = self._lifter(torch.from_numpy(joints), torch.from_numpy(clip))
        return positions.numpy(), log_error.numpy()

    def _raw(self, given: Batch, opinion: Floats | None, rng: np.random.Generator) -> Floats:
        shares = self._recipe.raw
        semgcn = shares.semgcn if self._semgcn is not None else 0
        weights = np.array([shares.own, semgcn, shares.corrupted, shares.published, shares.mediocre])
        kind = rng.choice(len(weights), len(given.target), p=weights / weights.sum())
        raw = np.zeros_like(given.target) if opinion is None else opinion.copy()
        semgcn_rows, spoiled, published, mediocre = (np.flatnonzero(kind == k) for k in range(1, 5))
        if len(spoiled):
            raw[spoiled] = spoil3d(given.target[spoiled], given.hidden[spoiled], given.fps, rng)
        if len(semgcn_rows):
            raw[semgcn_rows] = self._by_semgcn(given, semgcn_rows)
        if len(published):
            raw[published] = self._by_published(given, published, rng)
        if len(mediocre):
            raw[mediocre] = self._mediocre(given, mediocre, rng)
        return raw

    def _mediocre(self, given: Batch, rows: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """A calm lifter that is wrong everywhere: the own one, given gaps on straight lines as if seen, and spoiled."""
        joints = given.joints[rows].copy()
        joints[..., :2] = filled(joints[..., :2], joints[..., 2])
        joints[..., 2] = 1
        return spoil3d(self._own(joints, given.clip[rows])[0], given.hidden[rows], given.fps, rng)

    def _by_published(self, given: Batch, rows: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Each sample by one of the published lifters, without the averaging over the mirror image: half the work."""
        from posemend.nn.lifters.apply import Manner, frame_by_frame, lift_array

        xy = filled(given.rays[rows], given.score[rows]) / given.half[rows, None, None, None]
        chosen = rng.integers(0, len(self._published), len(rows))
        manner = Manner(flip=False, seed=int(rng.integers(0, 2**31)))
        lifted = np.empty((*xy.shape[:-1], 3), np.float32)
        for place, network in enumerate(self._published):
            own = np.flatnonzero(chosen == place)
            if len(own) and frame_by_frame(network):  # all samples as if they were one recording: half the time
                line = xy[own].reshape(-1, *xy.shape[2:])
                lifted[own] = lift_array(network, line, manner).reshape(lifted[own].shape)
                continue
            for row in own:
                lifted[row] = lift_array(network, xy[row], manner)
        return turn(lifted, given.rotation[rows])

    def _by_semgcn(self, given: Batch, rows: NDArray[np.int64]) -> Floats:
        import torch

        xy = filled(given.rays[rows], given.score[rows]) / given.half[rows, None, None, None]
        flat = xy[:, :, _TO_16].reshape(-1, 16, 2)
        with torch.inference_mode():
            lifted = self._semgcn(torch.from_numpy(np.ascontiguousarray(flat))).numpy()
        lifted = lifted.reshape(len(rows), -1, 16, 3)
        whole = np.empty((*lifted.shape[:2], 17, 3), np.float32)
        whole[:, :, _TO_16] = lifted
        nose, thorax, top = (H36M_17.index(name) for name in ("nose", "thorax", "head_top"))
        whole[:, :, nose] = 0.5 * (whole[:, :, thorax] + whole[:, :, top])
        return turn(whole - whole[:, :, :1], given.rotation[rows])


def refiner_source(recipe: Recipe, held_out: bool = False) -> RefinerSource:
    """What makes a refiner's batches.

    Raises:
        RecipeError: Data, the lifter that gives opinions, or SemGCN is missing.
    """
    return RefinerSource(recipe, source(recipe, held_out))
