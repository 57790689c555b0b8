"""The three depth trainings: batches, losses and errors of cut-outs, bodies and clouds.

What a network will be given in use is imitated, from truth with noise: pixels
as detectors have them or with RefiNet's Gaussian; bodies lifted by whatever is
on the ray, or as other depth-based estimators err (a few joints 25 to 50 cm
off, hands worst, sides swapped); clouds round joints that are some centimetres
off. Everything is metres, and pixels of ITOP's camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemend.body.catalogue import ITOP_15
from posemend.contract.depth import body_input, cloud_input, keypoint_rays, patch_input, reference_step
from posemend.errors import RecipeError
from posemend.nn import losses
from posemend.nn.depth.vitruvian import body_plane
from posemend.training.depth_batch import DepthBatch
from posemend.training.depth_scenes import Looks, SceneMaker
from posemend.training.motions import Pool
from posemend.training.recipe import Recipe
from posemend.training.sources import depth_motions
from posemend.training.vary import Variety

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

MOST_POINTS = 80  # of a cloud, in training
UNTOLD = 0.25  # doubt about joints of which nobody says whether they are hidden
HANDS = np.array([name.endswith(("wrist", "elbow")) for name in ITOP_15.joints])
FEET = np.array([name.endswith(("ankle", "knee")) for name in ITOP_15.joints])
_SWAPS = [np.array([name.endswith(part) for name in ITOP_15.joints])
          for part in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))]  # fmt: skip


class LooksMaker(Protocol):
    """Where frames with truth come from."""

    def looks(self, rng: np.random.Generator, count: int) -> Looks:
        """``count`` frames."""
        ...


@dataclass(frozen=True)
class DepthSource:
    """Batches of one of the three trainings; each depends on nothing but its number."""

    recipe: Recipe
    maker: LooksMaker
    seed: int

    def batch(self, number: int) -> DepthBatch:
        """Batch ``number``, always the same."""
        rng = np.random.default_rng([self.seed, number])
        times = self.recipe.depth.again if self.recipe.task != "depth-body" else 1
        looks = self.maker.looks(rng, -(-self.recipe.optim.batch // times)).again(times)
        return {"depth-patch": _patches, "depth-body": _bodies, "depth-cloud": _clouds}[self.recipe.task](
            looks, self.recipe, rng
        )


def source(recipe: Recipe, held_out: bool = False) -> DepthSource:
    """What makes the batches of a depth recipe.

    Raises:
        RecipeError: Data is missing, or the kind of data is not the task's.
    """
    depth = recipe.depth
    wanted = {"depth-patch": "depth", "depth-body": "base", "depth-cloud": "pcloud"}[recipe.task]
    if depth.type != wanted:
        raise RecipeError(f'Task \'{recipe.task}\' learns from depth.type = "{wanted}", got "{depth.type}".')
    seed = recipe.seed + (1_000_003 if held_out else 0)
    if depth.itop:
        from posemend.training.depth_recordings import ItopLooks

        return DepthSource(recipe, ItopLooks(Path(depth.itop), depth.side, held_out), seed)
    return DepthSource(recipe, scene_maker(recipe, held_out), seed)


def scene_maker(recipe: Recipe, held_out: bool) -> SceneMaker:
    """What makes a recipe's scenes, of the people to learn from or of those held out."""
    depth = recipe.depth
    variety = Variety(**recipe.variety.model_dump())
    return SceneMaker(
        Pool.of(depth_motions(recipe, held_out)), variety, depth.sensor, depth.distance, depth.boxes,
        1.0 if depth.side == "top" else 0.0,
    )  # fmt: skip


def keypoints(looks: Looks, recipe: Recipe, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Pixels (B, 15, 2) and scores (B, 15) as a detector would give them; 0 = not found.

    With ``depth.from_gt`` each coordinate is off by a Gaussian of ``mu`` and
    ``sigma`` pixels of ITOP, as in RefiNet's training; else by what detectors
    do: each person by an amount of its own, hidden joints more, now and then
    grossly, now and then the other side's joint.
    """
    truth, covered = looks.pixels, looks.hidden
    step = reference_step(looks.camera)
    batch = len(truth)
    if recipe.depth.from_gt:
        found = truth + step * rng.normal(recipe.depth.mu, recipe.depth.sigma, truth.shape)
        return found.astype(np.float32), np.ones((batch, 15), np.float32)
    close = 3.0 / np.maximum(looks.joints[..., 2].mean(1), 0.5)  # detectors err by a share of the person's size
    amount = np.exp(rng.uniform(np.log(0.8), np.log(4.5), batch)) * close
    spread = amount[:, None] * np.where(covered, 2.5, 1.0) * np.exp(rng.normal(0, 0.3, (batch, 15)))
    found = truth + step * spread[..., None] * rng.standard_normal(truth.shape)
    gross = rng.random((batch, 15)) < 0.02
    found += gross[..., None] * rng.normal(0, 18, truth.shape) * step * close[:, None, None]
    for part in _SWAPS:
        rows = np.flatnonzero(rng.random(batch) < 0.012)
        found[rows[:, None], np.flatnonzero(part)] = found[rows][:, list(ITOP_15.mirror)][:, part]
    level = rng.normal(1.1, 0.9, (batch, 15)) - 1.5 * covered - 1.0 * gross
    score = 1 / (1 + np.exp(-level))
    score[rng.random((batch, 15)) < np.where(covered, 0.2, 0.02)] = 0
    told = rng.random(batch) < 0.25  # whoever knows that joints are hidden says so
    score[told] *= np.where(covered[told], 0.3, 1)
    return found.astype(np.float32), score.astype(np.float32)


def _patches(looks: Looks, recipe: Recipe, rng: np.random.Generator) -> DepthBatch:
    pixels, score = keypoints(looks, recipe, rng)
    step = reference_step(looks.camera)
    given = patch_input(looks.depth, pixels, score, looks.camera, recipe.depth.patch)
    size = recipe.depth.patch / 2
    target = np.clip((looks.pixels - pixels) / step, -size, size).astype(np.float32)
    target[score == 0] = 0
    metre = looks.joints[..., 2] / np.asarray(looks.camera.focal).mean() * step
    before = np.linalg.norm(target, axis=-1) * metre
    return DepthBatch(given, target, looks.hidden, metre.astype(np.float32), before.astype(np.float32))


def _bodies(looks: Looks, recipe: Recipe, rng: np.random.Generator) -> DepthBatch:
    """Two thirds lifted by depth, a third as others' estimates err; RefiNet's Gaussian with ``from_gt``."""
    batch = len(looks)
    covered = looks.hidden
    rays = np.full((batch, 15, 2), np.nan, np.float32)  # of whose keypoints there are
    if recipe.depth.from_gt:
        off = rng.normal(recipe.depth.mu / 1000, recipe.depth.sigma / 1000, looks.joints.shape)
        position: NDArray[np.floating] = looks.joints + off
        given, doubt = np.ones((batch, 15), bool), np.full((batch, 15), UNTOLD)
    else:
        pixels, score = keypoints(looks, recipe, rng)
        better = rng.random(batch) < 0.75  # module A was there before
        pixels[better] = looks.pixels[better] + (pixels - looks.pixels)[better] * rng.uniform(
            0.3, 0.8, (int(better.sum()), 15, 1)
        )
        position, given = looks.lift(pixels)
        given &= score > 0
        rays = keypoint_rays(pixels, score > 0, looks.camera)
        doubt = doubts(looks, position, given, rng)
        doubt[~better] = UNTOLD
        others = np.flatnonzero(rng.random(batch) < 0.35)
        position[others], given[others] = estimated(looks.joints[others], rng)
        doubt[others] = UNTOLD
        rays[others] = np.nan
    features, centre = body_input(position.astype(np.float32), given, doubt.astype(np.float32), rays)
    target = (looks.joints - centre[:, None]).astype(np.float32)
    before = np.linalg.norm(features[..., :3] - target, axis=-1)
    return DepthBatch((features, centre), target, covered, np.ones_like(before), before)


def doubts(looks: Looks, lifted: NDArray[np.floating], found: Bools, rng: np.random.Generator) -> Floats:
    """(B, 15) how surely joints are hidden, as the chain says it: less surely, the closer what hides them is.

    The figures are those of a trained module A on made-up people that it had
    not seen. In half of all samples the pose's own expectation was asked as well.
    """
    batch = len(looks)
    gap = np.where(found, looks.joints[..., 2] - lifted[..., 2], 0)  # metres
    asked = (rng.random((batch, 1)) < 0.5).astype(np.float32)
    level = np.where(looks.hidden, np.clip(5 * gap - 1.2, -1, 3) + asked * np.clip(8 * gap - 1.2, -0.5, 3), -3.6)
    sure = level + rng.normal(0, np.where(looks.hidden, 2.1, 2.2))
    return (1 / (1 + np.exp(-sure))).astype(np.float32)


def estimated(joints: Floats, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Joints (B, 15, 3) as other depth-based estimators give them, and which they give at all."""
    batch = len(joints)
    spread = np.exp(rng.uniform(np.log(0.008), np.log(0.06), (batch, 1, 1)))
    found = joints + spread * rng.standard_normal(joints.shape) + rng.normal(0, 0.02, (batch, 1, 3))
    chance = rng.uniform(0, 0.12, (batch, 1)) * np.where(HANDS, 2.2, np.where(FEET, 1.2, 0.5))
    astray = rng.random((batch, 15)) < chance
    way = rng.standard_normal(joints.shape)
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    found += astray[..., None] * way * rng.uniform(0.15, 0.6, (batch, 15, 1))
    for part in _SWAPS:
        rows = np.flatnonzero(rng.random(batch) < 0.04)
        found[rows[:, None], np.flatnonzero(part)] = found[rows][:, list(ITOP_15.mirror)][:, part]
    return found.astype(np.float32), rng.random((batch, 15)) > 0.03


def _clouds(looks: Looks, recipe: Recipe, rng: np.random.Generator) -> DepthBatch:
    batch = len(looks)
    depth = recipe.depth
    if depth.from_gt:
        off = rng.normal(depth.mu / 1000, depth.sigma / 1000, looks.joints.shape)
    else:
        spread = np.exp(rng.uniform(np.log(0.01), np.log(0.13), (batch, 1, 1))) * np.exp(
            rng.normal(0, 0.35, (batch, 15, 1))
        )
        off = spread * np.where(looks.hidden, 2.5, 1)[..., None] * rng.standard_normal(looks.joints.shape)
        off += rng.normal(0, 0.012, (batch, 1, 3))
    # a Gaussian's sigma is millimetres here, so that pixels are those of the truth
    pixels = looks.pixels if depth.from_gt else keypoints(looks, recipe, rng)[0]
    lifted, found = looks.lift(pixels)
    doubt = doubts(looks, lifted, found, rng)
    if not depth.from_gt:
        # a hidden joint that nobody doubted was lifted, and module B has left it about half way on what hides it
        way = np.where(looks.hidden & found & (doubt < 0.5), rng.uniform(0.2, 0.8, looks.hidden.shape), 0)
        off += way[..., None] * np.clip(lifted - looks.joints, -0.8, 0.8)
    body = (looks.joints + off).astype(np.float32)
    doubt[rng.random(batch) < 0.25] = UNTOLD
    given = cloud_input(looks.depth, body, doubt, looks.camera, depth.cube_mm / 2000, depth.grid)
    given = (*_packed(*given[:2]), given[2])
    target = (looks.joints - body).astype(np.float32)
    before = np.linalg.norm(target, axis=-1)
    return DepthBatch(given, target, looks.hidden, np.ones_like(before), before)


def _packed(points: Floats, mask: Floats) -> tuple[Floats, Floats]:
    """At most ``MOST_POINTS`` points of each cloud, evenly taken: seven of ten samples are padding, which is dear."""
    count = mask.shape[-1]
    if count <= MOST_POINTS:
        return points, mask
    filled = mask.sum(-1, keepdims=True)
    every = np.maximum(filled / MOST_POINTS, 1)  # of a fuller cloud, one point in so many
    taken = np.minimum(np.floor(np.arange(MOST_POINTS) * every), count - 1).astype(np.intp)
    order = np.argsort(mask < 0.5, axis=-1, kind="stable")
    chosen = np.take_along_axis(order, taken, -1)
    return np.take_along_axis(points, chosen[..., None], 2), np.take_along_axis(mask, chosen, -1)


def loss(answer: tuple[Tensor, ...], batch: DepthBatch, recipe: Recipe, device: torch.device) -> tuple[Tensor, float]:
    """The recipe's loss, and the mean error in mm."""
    predicted, log_error = answer[0].float(), answer[1].float()
    target, covered, metre = (
        torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in (batch.target, batch.hidden, batch.metre)
    )
    weight = torch.where(covered, recipe.depth.hidden_weight, 1.0)
    distance = torch.sqrt((predicted - target).pow(2).sum(-1) + 1e-8)
    if recipe.depth.criterion == "mse":  # RefiNet's: squares of visible joints over all joints
        total = ((predicted - target).pow(2).sum(-1) * ~covered).mean()
    else:
        counted = distance
        if recipe.depth.near_mm:  # a body that is lost as a whole must not outweigh all that can be mended
            counted = distance / (1 + distance * metre * 1000 / recipe.depth.near_mm)
        total = recipe.loss.position * (counted * weight).sum() / weight.sum()
    if recipe.loss.sigma:
        unit = metre.mean() if recipe.task == "depth-patch" else 1.0
        total = total + recipe.loss.sigma * (distance.detach() * torch.exp(-log_error) + log_error).mean() / unit
    if recipe.loss.harm:
        before = torch.from_numpy(batch.before).to(device) / metre
        total = total + recipe.loss.harm * (distance - before).clamp_min(0).mean()
    if len(answer) > 2:
        total = total + recipe.depth.doubt * torch.nn.functional.binary_cross_entropy_with_logits(
            answer[2].float(), covered.float()
        )
    if recipe.task == "depth-body":
        if recipe.loss.symmetry:
            total = total + recipe.loss.symmetry * losses.symmetry(predicted[:, None], ITOP_15)
        if recipe.depth.plane:
            total = total + recipe.depth.plane * body_plane(predicted)
    return total, float((distance.detach() * metre).mean()) * 1000


def errors(answer: tuple[Tensor, ...], batch: DepthBatch) -> dict[str, float]:
    """Mean errors in mm, of all, visible and hidden joints and before; per cent of hidden joints told apart."""
    distance = np.linalg.norm(answer[0].float().cpu().numpy() - batch.target, axis=-1) * batch.metre * 1000
    covered = batch.hidden
    found = {
        "all": float(distance.mean()),
        "visible": float(distance[~covered].mean()),
        "hidden": float(distance[covered].mean()) if covered.any() else np.nan,
        "raw": float(batch.before.mean() * 1000),
        "raw_visible": float(batch.before[~covered].mean() * 1000),
    }
    if len(answer) > 2:
        said = answer[2].float().cpu().numpy() > 0
        found["told_apart"] = float(
            ((said == covered).mean(where=covered) + (said == covered).mean(where=~covered)) * 50
        )
    return found
