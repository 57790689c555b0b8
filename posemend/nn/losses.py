"""What networks are taught by. Metres in, one number out.

Position and derivative losses: Lino et al. (CVPR-W 2024, section 4) and
Pavllo et al. (CVPR 2019). The published *code* of the former punishes the
predicted velocity itself instead of its error, and has a signed symmetry term
that can fall without bound; both readings are here, the latter bounded.
Coordinate by coordinate and on accelerations: Zeng et al. (ECCV 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

from posemend.body.skeleton import Skeleton


def _length(x: Tensor) -> Tensor:
    """Euclidean length over the last axis, with a gradient at zero."""
    return torch.sqrt((x * x).sum(-1) + 1e-12)


def mpjpe(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean distance of joints. (B, T, J, 3) metres; ``weight`` (B, T, J)."""
    distance = _length(predicted - target)
    return distance.mean() if weight is None else (distance * weight).sum() / weight.sum().clamp_min(1e-6)


def absolute(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute error of coordinates. (B, T, J, 3) metres; ``weight`` (B, T, J)."""
    distance = (predicted - target).abs().mean(-1)
    return distance.mean() if weight is None else (distance * weight).sum() / weight.sum().clamp_min(1e-6)


def acceleration(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of second differences over time, by coordinate. Metres per frame squared."""
    return (predicted - target).diff(n=2, dim=1).abs().mean()


def velocity(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance of frame-to-frame changes: the derivative loss as the paper words it. Metres per frame."""
    return _length(predicted.diff(dim=1) - target.diff(dim=1)).mean()


def stillness(predicted: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean square of predicted changes: the derivative loss as the published code has it.

    ``weight`` (J,) is applied before squaring, as there.
    """
    change = predicted.diff(dim=1)
    if weight is not None:
        change = change * weight[:, None]
    return (change * change).mean()


def symmetry(predicted: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean absolute difference of left and right bone lengths. (B, T, J, 3) to metres, never below 0."""
    left, right = _mirror_lengths(predicted, skeleton)
    return (left - right).abs().mean()


def symmetry_signed(predicted: Tensor, skeleton: Skeleton, bound: float = 0.1) -> Tensor:
    """The published code's signed difference, each pair clipped to ``bound`` metres so that it cannot run away."""
    left, right = _mirror_lengths(predicted, skeleton)
    return (left - right).clamp(-bound, bound).mean()


def _mirror_lengths(predicted: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    bones = skeleton.bone_indices
    lengths = torch.stack(
        [_length(predicted[..., child, :] - predicted[..., parent, :]) for parent, child in bones], -1
    )
    pairs = skeleton.mirror_bones()
    return lengths[..., [pair[0] for pair in pairs]], lengths[..., [pair[1] for pair in pairs]]


def expected_error(log_error: Tensor, predicted: Tensor, target: Tensor) -> Tensor:
    """Teaches the expected error: exponential likelihood of the (detached) distance. (B, T, J) logs of metres."""
    distance = _length(predicted - target).detach()
    return (distance * torch.exp(-log_error) + log_error).mean()


def harm(predicted: Tensor, raw: Tensor, target: Tensor) -> Tensor:
    """Mean amount by which joints got worse than they were. (B, T, J, 3) metres, never below 0."""
    return (_length(predicted - target) - _length(raw - target)).clamp_min(0).mean()


def distance(log_predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of log distances: 0.1 is 10 % too near or too far. (B, T) logs of metres, (B, T) metres."""
    return (log_predicted - target.log()).abs().mean()
