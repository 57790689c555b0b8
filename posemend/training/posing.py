"""Loss and errors of tasks whose network answers with a pose and its expected error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from posemend.body.catalogue import H36M_17
from posemend.nn import losses
from posemend.training.recipe import Recipe

if TYPE_CHECKING:
    from posemend.training.batches import Batch
    from posemend.training.refining import RefinerBatch


def loss(
    answer: tuple[Tensor, Tensor], batch: Batch | RefinerBatch, recipe: Recipe, device: torch.device
) -> tuple[Tensor, float]:
    """The recipe's weighted sum of losses, and the mean error in mm."""
    predicted, log_error = (x.float() for x in answer)
    target = torch.from_numpy(np.ascontiguousarray(batch.target)).to(device)
    raw = None if batch.raw is None else torch.from_numpy(np.ascontiguousarray(batch.raw)).to(device)
    weight = None
    if recipe.loss.hidden != 1:
        hidden = torch.from_numpy(batch.hidden).to(device)
        weight = torch.where(hidden, recipe.loss.hidden, 1.0)
    error = float(losses.mpjpe(predicted.detach(), target)) * 1000
    return total(predicted, log_error, target, recipe, raw, weight), error


def total(
    predicted: Tensor, log_error: Tensor, target: Tensor, recipe: Recipe, raw: Tensor | None, joints: Tensor | None
) -> Tensor:
    """The recipe's weighted sum of losses.

    ``raw`` is the pose that a refiner was given; ``joints`` (B, T, J) is how much each joint's distance counts.
    """
    weight = recipe.loss
    loss = weight.position * losses.mpjpe(predicted, target, joints)
    if weight.absolute:
        loss = loss + weight.absolute * losses.absolute(predicted, target, joints)
    if weight.acceleration:
        loss = loss + weight.acceleration * losses.acceleration(predicted, target)
    if weight.velocity:
        loss = loss + weight.velocity * losses.velocity(predicted, target)
    if weight.symmetry:
        loss = loss + weight.symmetry * losses.symmetry(predicted, H36M_17)
    if weight.sigma:
        loss = loss + weight.sigma * losses.expected_error(log_error, predicted, target)
    if weight.harm and raw is not None:
        loss = loss + weight.harm * losses.harm(predicted, raw, target)
    return loss


def errors(answer: tuple[Tensor, Tensor], batch: Batch | RefinerBatch) -> dict[str, float]:
    """Mean errors in mm: all, visible and hidden joints, and of the raw pose where there is one."""
    distance = np.linalg.norm(answer[0].float().cpu().numpy() - batch.target, axis=-1)[:, :, 1:] * 1000
    hidden = batch.hidden[:, :, 1:]
    found = {
        "all": float(distance.mean()),
        "visible": float(distance[~hidden].mean()) if not hidden.all() else np.nan,
        "hidden": float(distance[hidden].mean()) if hidden.any() else np.nan,
    }
    if batch.raw is not None:
        found["raw"] = float(np.linalg.norm(batch.raw - batch.target, axis=-1)[:, :, 1:].mean() * 1000)
    return found
