"""What labelled and unlabelled samples teach: the loss and the errors of task ``weak``.

    L = position, velocity, expected error      of labelled samples, always
      + ramp * ( reprojection + bones + symmetry + constancy + usual bones
               + consistency + pseudo-labels )  of unlabelled samples, after a warm-up

The first line and the warm-up, reprojection and bones are WS-GCN's; its paper
names a symmetry loss that its code lacks, so it is a switch of its own. One
forward pass serves both kinds of sample, so that batch statistics are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.nn import losses, unlabelled
from posemend.training.recipe import Recipe, Weak
from posemend.training.weak import WeakBatch

Answer = Tensor | tuple[Tensor, ...]

_SIXTEEN = [H36M_17.index(name) for name in H36M_16.joints]
_NOSE, _THORAX, _TOP = (H36M_17.index(name) for name in ("nose", "thorax", "head_top"))
BELIEVED = 0.1  # metres of expected error at which a teacher counts about a third


def poses(answer: Answer, rotation: Tensor, frame_joints: int) -> tuple[Tensor, Tensor | None]:
    """(B, T, 17, 3) in virtual-camera axes, root at 0, and log of the expected error where the network says it.

    Args:
        answer: What the network said.
        rotation: (B, T, 3, 3) camera to virtual camera.
        frame_joints: 0, or how many joints a frame-by-frame network answers with, in camera axes.
    """
    if not frame_joints:
        positions, log_error = answer[0].float(), answer[1].float()
        return positions, log_error
    flat = (answer if isinstance(answer, Tensor) else answer[0]).float()
    flat = flat.reshape(*rotation.shape[:2], frame_joints, 3)
    if frame_joints == 16:
        # the nose, which such a network does not know, is put between thorax and head top and never counted
        whole = flat.new_zeros(*flat.shape[:2], 17, 3)
        whole[:, :, _SIXTEEN] = flat
        whole[:, :, _NOSE] = 0.5 * (whole[:, :, _THORAX] + whole[:, :, _TOP])
        flat = whole
    flat = flat - flat[:, :, :1]
    return flat @ rotation.transpose(-1, -2), None


def strength(number: int, weak: Weak) -> float:
    """How much of the unlabelled terms' weights counts at a step: 0 in the warm-up, then up to 1."""
    if weak.supervision != "weak" or number < weak.warmup:
        return 0.0
    return 1.0 if not weak.ramp else min(1.0, (number - weak.warmup + 1) / weak.ramp)


def taught(batch: WeakBatch, ask: Callable[[tuple[Any, ...]], Answer]) -> WeakBatch:
    """The batch with the teacher's answer to the unmasked view of the unlabelled, where one is wanted."""
    return replace(batch, lesson=ask(batch.teacher)) if batch.teacher else batch


def loss(answer: Answer, batch: WeakBatch, recipe: Recipe, device: torch.device) -> tuple[Tensor, float]:
    """The recipe's weighted sum of losses, and the mean error of labelled samples in mm."""

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(getattr(batch, name))).to(device)

    rotation, target = tensor("rotation"), tensor("target")
    predicted, log_error = poses(answer, rotation, batch.frame_joints)
    own = batch.labelled
    counted = torch.ones(17, device=device)
    if batch.frame_joints == 16:
        counted[_NOSE] = 0
    known = tensor("truth") * counted
    labelled = torch.from_numpy(own).to(device)
    wanted, given = target[labelled], predicted[labelled]
    error = losses.mpjpe(given, wanted, known[labelled])
    total = recipe.loss.position * error
    if recipe.loss.velocity and not batch.frame_joints:
        total = total + recipe.loss.velocity * losses.velocity(given, wanted)
    if recipe.loss.symmetry:
        total = total + recipe.loss.symmetry * losses.symmetry(given, H36M_17)
    if recipe.loss.sigma and log_error is not None:
        total = total + recipe.loss.sigma * losses.expected_error(log_error[labelled], given, wanted)
    part = strength(batch.number, recipe.weak)
    if part and not own.all():
        others = ~labelled
        total = total + part * _unlabelled(
            predicted[others], target[others], batch, recipe.weak, tensor, others, counted
        )  # fmt: skip
    return total, float(error.detach()) * 1000


def _unlabelled(
    predicted: Tensor, target: Tensor, batch: WeakBatch, weak: Weak, tensor: Callable[[str], Tensor], others: Tensor,
    counted: Tensor,
) -> Tensor:  # fmt: skip
    lengths = tensor("lengths")
    total = predicted.new_zeros(())
    if weak.reprojection:
        size = torch.exp(tensor("clip")[others][..., 2] - 2.0)
        root = tensor("root")[others] if weak.root == "true" else None
        weight = tensor("score")[others] * counted
        seen = unlabelled.reprojection(predicted, tensor("image")[others], weight, size, root)
        total = total + weak.reprojection * seen
    if weak.bones:
        total = total + weak.bones * unlabelled.mean_bones(predicted, lengths[0], H36M_17)
    if weak.symmetry:
        total = total + weak.symmetry * losses.symmetry(predicted, H36M_17)
    if weak.constancy:
        total = total + weak.constancy * unlabelled.constant_bones(predicted, H36M_17)
    if weak.usual:
        total = total + weak.usual * unlabelled.usual_bones(predicted, lengths[1], lengths[2], H36M_17)
    if weak.pseudo:
        weight = tensor("pseudo")[others] * counted
        total = total + weak.pseudo * losses.mpjpe(predicted, target, weight)
    if weak.consistency and batch.lesson is not None:
        total = total + weak.consistency * _consistency(predicted, batch, tensor, others, counted)
    return total


def _consistency(
    predicted: Tensor, batch: WeakBatch, tensor: Callable[[str], Tensor], others: Tensor, counted: Tensor
) -> Tensor:
    assert batch.to_student is not None
    turned = tensor("to_student")
    if batch.frame_joints:  # the teacher answers in camera axes, which both share
        lesson, log_error = poses(batch.lesson, tensor("rotation")[others], batch.frame_joints)
    else:
        lesson, log_error = poses(batch.lesson, turned, 0)
        lesson = lesson @ turned.transpose(-1, -2)
    belief = counted.expand(lesson.shape[:3])
    if log_error is not None:
        belief = belief * torch.exp(-log_error.exp() / BELIEVED)
    return unlabelled.consistency(predicted, lesson, belief)


def errors(answer: Answer, batch: WeakBatch) -> dict[str, float]:
    """Mean errors of watched people in mm: all, visible and hidden joints, without the root."""
    rotation = torch.from_numpy(batch.rotation)
    parts = [x.detach().cpu() for x in ((answer,) if isinstance(answer, Tensor) else answer)]
    predicted, _ = poses(parts[0] if batch.frame_joints else tuple(parts), rotation, batch.frame_joints)
    distance = np.linalg.norm(predicted.numpy() - batch.target, axis=-1) * 1000
    joints = [place for place in range(1, 17) if batch.frame_joints != 16 or place != _NOSE]
    distance, hidden = distance[:, :, joints], batch.hidden[:, :, joints]
    return {
        "all": float(distance.mean()),
        "visible": float(distance[~hidden].mean()) if not hidden.all() else np.nan,
        "hidden": float(distance[hidden].mean()) if hidden.any() else np.nan,
    }
