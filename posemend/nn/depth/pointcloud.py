"""Module C: the points round a joint move it in 3D.

RefiNet (D'Eusanio et al., ICPR 2020): one PointNet (Qi et al., CVPR 2017) for
every joint's cube of points, run cloud by cloud, with padding points in the
inner maxima and each cloud scaled to unit spread, so that the place of the
joint in the cloud and the size of things are lost. Here all clouds go through
at once, padding never wins a maximum, points stay in metres from the joint,
and the network knows which joint it is and how the body lies round it.
``PUBLISHED`` gives the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from posemend.contract.depth import CONTEXT_FEATURES, GRID, HALF, JOINTS

PUBLISHED: dict[str, Any] = {
    "masked": False, "keep_scale": False, "context": False, "transforms": True,
    "widths": (64, 128, 1024), "hidden": 128, "dropout": 0.2,
}  # fmt: skip
_OUTSIDE = -1e4  # what a padding point says; lower than anything a point can say


@dataclass(frozen=True)
class Config:
    """Options.

    Attributes:
        masked: Keep padding out of the maxima; ``False`` lets zeros take part.
        keep_scale: Points in cube halves from the joint; ``False`` scales each cloud to zero mean and unit spread.
        context: Which joint it is, and the body round it.
        transforms: PointNet's two learned transforms of the points and of their features.
        widths: Of the three layers that each point goes through.
        hidden: Width after the maximum.
        dropout: Share of features dropped in training.
    """

    masked: bool = True
    keep_scale: bool = True
    context: bool = True
    transforms: bool = False
    widths: tuple[int, ...] = (48, 64, 128)
    hidden: int = 96
    dropout: float = 0.0


def highest(x: Tensor, mask: Tensor, masked: bool) -> Tensor:
    """(C, F) maximum over the points (C, N, F) that are there; 0 for a cloud without any."""
    mask = mask.to(x.dtype)  # or all of it would become float32 where the network is not
    if not masked:
        return (x * mask).max(1).values
    # max() and not amax(), whose gradient has to compare all of x with the maxima
    return (x + (1 - mask) * _OUTSIDE).max(1).values * mask.max(1).values


class _Transform(nn.Module):
    """PointNet's transform: a (k, k) matrix made from all points, the identity at first."""

    identity: Tensor

    def __init__(self, size: int, masked: bool) -> None:
        super().__init__()
        self.size, self.masked = size, masked
        self.points = nn.Sequential(nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 1024))
        self.matrix = nn.Sequential(
            nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, size * size)
        )
        last = cast(nn.Linear, self.matrix[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("identity", torch.eye(size), persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        matrix = self.matrix(highest(self.points(x), mask, self.masked)).reshape(-1, self.size, self.size)
        return torch.bmm(x, matrix + self.identity)


class CloudRefiner(nn.Module):
    """Local clouds to offsets and expected errors."""

    inputs: ClassVar[tuple[str, ...]] = ("points", "mask", "context")
    outputs: ClassVar[tuple[str, ...]] = ("offset", "log_error")
    answer: nn.Module
    names: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        one, two, three = config.widths
        hidden = config.hidden
        named = JOINTS if config.context else 0
        self.enter = nn.Linear(3 + named, one)
        self.points = nn.Sequential(nn.Linear(one, two), nn.ReLU(), nn.Linear(two, three))
        self.turn_points = _Transform(3, config.masked) if config.transforms else None
        self.turn_features = _Transform(one, config.masked) if config.transforms else None
        if config.context:
            self.joint = nn.Sequential(
                nn.Linear(three + named + CONTEXT_FEATURES, hidden), nn.ReLU(), nn.Dropout(config.dropout)
            )
            self.summary = nn.Linear(hidden, 16)
            self.body = nn.Sequential(nn.Linear(16 * JOINTS, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
            self.answer = nn.Sequential(nn.Linear(hidden + 64, 64), nn.ReLU())
        else:  # as published
            self.joint = nn.Sequential(
                nn.Linear(three, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(config.dropout)
            )
            self.answer = nn.Identity()
        self.last = nn.Linear(64 if config.context else hidden, 4)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("names", torch.eye(JOINTS), persistent=False)

    def example(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Input of the right form, for export and tests."""
        chance = torch.Generator().manual_seed(batch)
        mask = (torch.rand(batch, JOINTS, GRID * GRID, generator=chance) < 0.6).float()
        mask[:, 0] = 0  # a joint without any point
        points = (torch.rand(batch, JOINTS, GRID * GRID, 3, generator=chance) * 2 - 1) * HALF * mask[..., None]
        return points, mask, torch.randn(batch, JOINTS, CONTEXT_FEATURES, generator=chance) * 0.3

    def forward(self, points: Tensor, mask: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets (B, 15, 3) in metres, and log expected errors (B, 15).

        Args:
            points: (B, 15, N, 3) metres from the joint.
            mask: (B, 15, N) 1 for points, 0 for padding.
            context: (B, 15, 5), see ``contract.depth``.
        """
        batch, count = points.shape[0], points.shape[2]
        config = self.config
        x = points.reshape(-1, count, 3)
        there = mask.reshape(-1, count, 1)
        x = x / HALF if config.keep_scale else _standard(x, there)
        if self.turn_points is not None:
            x = self.turn_points(x, there)
        if config.context:  # which joint: the same for all its points, so it is a bias
            weight = self.enter.weight
            names = torch.matmul(self.names, weight[:, 3:].T) + self.enter.bias
            x = torch.matmul(x, weight[:, :3].T) + names.repeat(batch, 1)[:, None]
        else:
            x = self.enter(x)
        x = torch.relu(x)
        if self.turn_features is not None:
            x = self.turn_features(x, there)
        best = highest(self.points(x), there, config.masked)
        if config.context:
            seen = best.reshape(batch, JOINTS, -1)
            joint = self.joint(torch.cat([seen, context, self.names.expand(batch, JOINTS, JOINTS)], -1))
            body = self.body(self.summary(joint).flatten(1))
            joint = torch.cat([joint, body[:, None].expand(-1, JOINTS, -1)], -1)
        else:
            joint = self.joint(best).reshape(batch, JOINTS, -1)
        answer = self.last(self.answer(joint))
        return answer[..., :3] * 0.1, answer[..., 3] - 3


def _standard(x: Tensor, mask: Tensor) -> Tensor:
    """RefiNet's normalisation: zero mean and unit spread of each cloud's points, along each axis."""
    count = mask.sum(1, keepdim=True).clamp_min(1)
    mean = (x * mask).sum(1, keepdim=True) / count
    spread = ((x - mean).pow(2) * mask).sum(1, keepdim=True) / count
    return (x - mean) / torch.sqrt(spread + 1e-6) * mask
