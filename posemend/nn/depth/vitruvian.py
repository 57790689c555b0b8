"""Module B: the body itself says where its joints can be.

RefiNet (D'Eusanio et al., ICPR 2020): a residual network on the whole 3D
skeleton (Martinez et al., ICCV 2017), taught that left and right are equally
long (the "vitruvian" loss) and that no joint is farther from the torso, in
depth, than a body reaches (the "forcing" loss). The published configuration
has both switched off, and the second one compared samples with one another;
here each sample is its own.

What differs: positions are relative to the body's middle, so that it does not
matter where somebody stands; missing and doubtful joints are told apart from
positions, and a hidden joint's keypoint still says on which ray it lies; each
joint has a gate between the position that was given and the one that the body
suggests, and an expected error. ``PUBLISHED`` gives the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from posemend.body.catalogue import ITOP_15
from posemend.contract.depth import BODY_FEATURES, JOINTS

PUBLISHED: dict[str, Any] = {"relative": False, "gated": False, "width": 1024, "dropout": 0.2}
_MEAN = (-0.069996, -0.267574, 2.941162)  # metres, RefiNet's constants for ITOP (y up there)
_SPREAD = (0.181096, 0.501316, 0.175272)


@dataclass(frozen=True)
class Config:
    """Options.

    Attributes:
        relative: Positions from the body's middle; ``False`` normalises absolute ones by RefiNet's constants.
        gated: Flags of what is given and doubted are looked at, and a gate keeps what was given;
            ``False`` answers with positions only, as published.
        width: Of the layers.
        blocks: Residual blocks of two layers.
        dropout: Share of features dropped in training.
    """

    relative: bool = True
    gated: bool = True
    width: int = 192
    blocks: int = 2
    dropout: float = 0.0


class _Block(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class VitruvianRefiner(nn.Module):
    """A skeleton to a better one, with expected errors."""

    outputs: ClassVar[tuple[str, ...]] = ("positions", "log_error")
    mean: Tensor
    spread: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        given = JOINTS * (BODY_FEATURES if config.gated else 3)
        self.first = nn.Sequential(
            nn.Linear(given, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.blocks = nn.Sequential(*(_Block(width, config.dropout) for _ in range(config.blocks)))
        self.last = nn.Linear(width, JOINTS * (8 if config.gated else 4))
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("mean", torch.tensor(_MEAN) * torch.tensor([1.0, -1.0, 1.0]), persistent=False)
        self.register_buffer("spread", torch.tensor(_SPREAD), persistent=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what is looked at: the body's place matters to the published form only."""
        return ("body",) if self.config.relative else ("body", "middle")

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Input of the right form, for export and tests."""
        chance = torch.Generator().manual_seed(batch)
        body = torch.randn(batch, JOINTS, BODY_FEATURES, generator=chance) * 0.4
        body[..., 3] = (body[..., 3] > -0.3).float()
        body[..., 4] = body[..., 4].abs().clamp(0, 1)
        middle = torch.randn(batch, 3, generator=chance) + torch.tensor([0.0, 0.0, 3.0])
        return (body,) if self.config.relative else (body, middle)

    def forward(self, body: Tensor, middle: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Positions (B, 15, 3) in metres from the body's middle, and log expected errors (B, 15).

        Args:
            body: (B, 15, 9) position from the middle, given, doubt, ray; see ``contract.depth``.
            middle: (B, 3) metres, camera axes; wanted where ``relative`` is off.
        """
        where = torch.zeros_like(body[:, 0, :3]) if middle is None else middle
        given, there = body[..., :3], body[..., 3:4]
        x = given
        if not self.config.relative:
            absolute = given + where[:, None]
            x = (absolute - self.mean) / self.spread * there
        if self.config.gated:
            x = torch.cat([x, body[..., 3:]], -1)
        answer = self.last(self.blocks(self.first(x.flatten(1)))).reshape(-1, JOINTS, 8 if self.config.gated else 4)
        if not self.config.gated:
            suggested = answer[..., :3]
            if not self.config.relative:
                suggested = suggested * self.spread + self.mean - where[:, None]
            return suggested, answer[..., 3] - 3
        gate = torch.sigmoid(answer[..., 7:8] + 1) * there
        suggested = answer[..., :3]
        if not self.config.relative:
            suggested = suggested * self.spread + self.mean - where[:, None]
        positions = gate * (given + answer[..., 3:6]) + (1 - gate) * suggested
        return positions, answer[..., 6] - 3


_TORSO, _HEAD = ITOP_15.index("torso"), ITOP_15.index("head")
_FEET = [ITOP_15.index("l_ankle"), ITOP_15.index("r_ankle")]
REACH = 1.5  # RefiNet: a joint is no farther from the torso, in depth, than the height over this


def body_plane(positions: Tensor) -> Tensor:
    """The "forcing" loss: mean distance, in depth, beyond what a body of this height reaches.

    The height is that of *each* sample, from its head to its lower foot; the
    published code took the lowest foot of the batch.

    Args:
        positions: (B, 15, 3) metres, camera axes; y is down.
    """
    foot = positions[:, _FEET, 1].amax(1)
    height = (foot - positions[:, _HEAD, 1]).clamp_min(0.5)  # somebody bent over does not shrink to nothing
    aside = (positions[..., 2] - positions[:, _TORSO, None, 2]).abs()
    return (aside - height[:, None] / REACH).clamp_min(0).mean()
