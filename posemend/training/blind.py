"""Batches, loss and errors for the published lifters, taught as their authors teach them: nothing is ever hidden.

A network is given all joints, x and y relative to the image (from -1 to 1 over
its width), exactly or with a detector's small errors, and is wanted to answer
with the root-relative pose in the *camera's* axes. No scores, no flags, no
turning towards the person. Motions, variety and cameras are those of the other
recipes, so that lifters differ by nothing but themselves.

How a window of frames becomes input is the network's affair (``prepare``):
single frames, a long window with an answer wherever the field of view allows,
one window for each answer, or a chunk with noise added to the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.errors import RecipeError
from posemend.nn import losses
from posemend.nn.lifters.d3dp import D3DP, kept_signal
from posemend.nn.lifters.martinez import Martinez
from posemend.nn.lifters.poseformerv2 import PoseFormerV2
from posemend.nn.lifters.semgcn import SemGCN
from posemend.nn.lifters.videopose3d import VideoPose3D
from posemend.nn.table import build
from posemend.training.batches import Source, Window
from posemend.training.hiding import wandering
from posemend.training.recipe import BlindSection, Recipe
from posemend.training.refining import filled
from posemend.training.sources import source
from posemend.training.vary import vary
from posemend.training.views import Seen, look

Floats = NDArray[np.float32]

MEMORY_SECONDS = (0.05, 0.5)  # how long a detector's error lasts


@dataclass(frozen=True)
class BlindBatch:
    """One step's data.

    Attributes:
        given: What the network is given, ready for it.
        target: Truth for what it answers, (..., J, 3) metres, camera axes, joint 0 at 0.
    """

    given: tuple[NDArray[Any], ...]
    target: Floats

    def inputs(self) -> tuple[NDArray[Any], ...]:
        """What the network is given."""
        return self.given


def blurred(seen: Seen, blind: BlindSection, rng: np.random.Generator) -> Floats:
    """(B, T, 17, 2) relative to the image; some samples exact, others with errors that wander over time."""
    batch = len(seen.rays)
    blur = rng.uniform(0, blind.noise, batch) / np.sqrt(np.pi / 2)  # from mean distance to spread per axis
    blur[rng.random(batch) < blind.exact] = 0
    memory = float(rng.uniform(*MEMORY_SECONDS))
    noise = wandering(seen.rays.shape, blind.fps, memory, rng)
    rays = seen.rays + noise * (blur * seen.unit / 1000).astype(np.float32)[:, None, None, None]
    return rays / seen.half[:, :1, None, None]


def relative_to_the_image(window: Window, blind: BlindSection, rng: np.random.Generator) -> Floats:
    """(B, T, 17, 2) what a lifter is given: a detector's own keypoints, gaps filled, or exact ones made ``blurred``."""
    half = window.seen.half[:, :1, None, None]
    if window.given is None:
        return blurred(window.seen, blind, rng) + window.aside[:, None, None] / half
    found = filled(window.given[..., :2], (window.given[..., 2] > 0).astype(np.float32))
    return (found + window.aside[:, None, None]) / half


def spread(frames: int, count: int) -> NDArray[np.int64]:
    """``count`` of ``frames`` places, evenly apart; all of them if ``count`` is 0 or more than there are."""
    count = min(count, frames) or frames
    return ((np.arange(count) + 0.5) * frames / count).astype(np.int64)


@singledispatch
def prepare(
    network: nn.Module, xy: Floats, target: Floats, blind: BlindSection, rng: np.random.Generator, held_out: bool
) -> BlindBatch:
    """What a network is given and what is wanted of it.

    Args:
        network: Of the kind that is trained; only its sizes are looked at.
        xy: (B, T, 17, 2) relative to the image.
        target: (B, T, 17, 3) root-relative, camera axes, metres.
        blind: ``answers`` is how many frames of a window are asked for, where the network leaves a choice.
        rng: Source of chance.
        held_out: Whether this is to watch, not to learn: D3DP is then asked as in use, from pure noise.

    Raises:
        RecipeError: The network cannot be taught so, or a window is too short for it.
    """
    raise RecipeError(
        f"Task 'blind' is for martinez, semgcn, videopose3d, poseformerv2 and d3dp; got {type(network).__name__}."
    )


@prepare.register(Martinez)
@prepare.register(SemGCN)
def _frames(
    network: nn.Module, xy: Floats, target: Floats, blind: BlindSection, rng: np.random.Generator, held_out: bool
) -> BlindBatch:
    config: Any = network.config
    joints = [H36M_17.index(name) for name in (H36M_16 if config.joints == 16 else H36M_17).joints]
    chosen = spread(xy.shape[1], blind.answers)
    given, wanted = (whole[:, chosen][:, :, joints] for whole in (xy, target))
    return BlindBatch((given.reshape(-1, len(joints), 2),), wanted.reshape(-1, len(joints), 3))


def _long_enough(network: str, frames: int, wanted: int) -> None:
    if frames < wanted:
        raise RecipeError(f"{network} looks at {wanted} frames; optim.frames is {frames}. Make it longer.")


@prepare.register
def _clips(
    network: VideoPose3D, xy: Floats, target: Floats, blind: BlindSection, rng: np.random.Generator, held_out: bool
) -> BlindBatch:
    field, (before, _) = network.receptive_field, network.pad
    _long_enough("VideoPose3D", xy.shape[1], field)
    step = field if network.config.strided else 1
    answers = xy.shape[1] // field if network.config.strided else xy.shape[1] - field + 1
    return BlindBatch((xy,), target[:, before : before + answers * step : step])


@prepare.register
def _windows(
    network: PoseFormerV2, xy: Floats, target: Floats, blind: BlindSection, rng: np.random.Generator, held_out: bool
) -> BlindBatch:
    field = network.config.frames
    _long_enough("PoseFormerV2", xy.shape[1], field)
    first = spread(xy.shape[1] - field + 1, blind.answers)
    cut = xy[:, first[:, None] + np.arange(field)]  # (B, answers, field, 17, 2)
    middle = target[:, first + field // 2]
    return BlindBatch((cut.reshape(-1, *cut.shape[2:]),), middle.reshape(-1, 1, *middle.shape[2:]))


@prepare.register
def _chunks(
    network: D3DP, xy: Floats, target: Floats, blind: BlindSection, rng: np.random.Generator, held_out: bool
) -> BlindBatch:
    c = network.config
    if xy.shape[1] != c.frames:
        raise RecipeError(f"D3DP looks at chunks of {c.frames} frames; optim.frames is {xy.shape[1]}. Make them equal.")
    step = np.full(len(xy), c.timesteps - 1) if held_out else rng.integers(0, c.timesteps, len(xy))
    kept = kept_signal(c.timesteps).numpy()[step, None, None, None]
    noise = rng.standard_normal(target.shape, np.float32)
    noisy = np.sqrt(kept) * c.scale * target + np.sqrt(1 - kept) * noise
    return BlindBatch((xy, noisy.astype(np.float32), step), target)


class BlindSource:
    """Motions, seen by cameras, as the published lifters want them."""

    def __init__(self, recipe: Recipe, base: Source, held_out: bool) -> None:
        with torch.random.fork_rng():  # its weights are of no use; the training's own chance stays as it is
            self._network = build(recipe.network.name, recipe.network.options)
        self._blind, self._base, self._held_out = recipe.blind, base, held_out

    def batch(self, number: int) -> BlindBatch:
        """Batch ``number``, always the same."""
        base, fps = self._base, self._blind.fps
        rng = np.random.default_rng([base.seed, number, 11])
        recorded = round(base.size * base.recorded) if base.recordings is not None else 0
        parts: list[Window] = []
        if base.pool is not None and recorded < base.size:
            positions, path = vary(base.pool.windows(rng, base.size - recorded, base.frames, fps), base.variety, rng)
            seen = look(positions, path, base.views, rng)
            parts.append(
                Window(seen, np.zeros(seen.rays.shape[:3], bool), None, np.zeros((len(seen.rays), 2), np.float32))
            )
        if base.recordings is not None and recorded:
            rate = base.recordings.rate(rng)
            parts.append(base.recordings.window(rng, recorded, base.frames, base.views.calibrated, rate))
        xy = np.concatenate([relative_to_the_image(part, self._blind, rng) for part in parts])
        target = np.concatenate([part.seen.camera - part.seen.camera[:, :, :1] for part in parts])
        return prepare(self._network, xy, target, self._blind, rng, self._held_out)


def blind_source(recipe: Recipe, held_out: bool = False) -> BlindSource:
    """What makes the batches of a published lifter.

    Raises:
        RecipeError: Data is missing, or the network is none of them.
    """
    return BlindSource(recipe, source(recipe, held_out), held_out)


def loss(answer: Tensor, batch: BlindBatch, recipe: Recipe, device: torch.device) -> tuple[Tensor, float]:
    """The authors' loss (``blind.loss``: mean distance, or mean square of coordinates), and the mean error in mm."""
    predicted, target = answer.float(), torch.from_numpy(np.ascontiguousarray(batch.target)).to(device)
    distance = losses.mpjpe(predicted, target)
    wanted = nn.functional.mse_loss(predicted, target) if recipe.blind.loss == "mse" else distance
    return wanted, float(distance.detach()) * 1000


def errors(answer: Tensor, batch: BlindBatch) -> dict[str, float]:
    """Mean error in mm of all joints but the root, root-relative."""
    predicted = answer.float().cpu().numpy()
    predicted = predicted - predicted[..., :1, :]
    return {"all": float(np.linalg.norm(predicted - batch.target, axis=-1)[..., 1:].mean() * 1000)}
