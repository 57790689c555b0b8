"""Module A: what the depth map shows round each 2D joint moves the joint.

RefiNet (D'Eusanio et al., ICPR 2020) stacks the 15 cut-outs as channels of one
ResNet that ends in a global mean, and normalises distances by two constants.
Here one small network looks at every joint's cut-out, at distances relative to
the body, with holes told apart from distances, and keeps *where* in the
cut-out things are; then all joints, with their places in the body, are thought
over together. It also says which joints have something else in front of them,
and how large an error it expects. ``PUBLISHED`` gives the original.

Offsets are in ITOP's pixels (``contract.depth.reference_step``) and are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from posemend.contract.depth import DEFAULT_DEPTH, HOLE, JOINTS, LAYOUT_FEATURES, PATCH

NEAR = 0.6  # metres; what is farther than this from the body is as good as anything else there
PUBLISHED: dict[str, Any] = {"shared": False, "layout": False, "widths": (64, 128), "hidden": 256, "dropout": 0.2}
_MEAN, _SPREAD = 3.59297, 0.49173  # metres, RefiNet's constants for ITOP


@dataclass(frozen=True)
class Config:
    """Options.

    Attributes:
        shared: One network for every joint's cut-out; ``False`` stacks cut-outs as channels of one ResNet.
        layout: Look at the joints' places, scores and lifted depths too.
        widths: Channels; of the shared network's three layers, or of the ResNet's two stages.
        hidden: Width of the layers after the pictures.
        dropout: Share of features dropped in training.
        size: Samples per side of a cut-out.
    """

    shared: bool = True
    layout: bool = True
    widths: tuple[int, ...] = (24, 40, 48)
    hidden: int = 128
    dropout: float = 0.0
    size: int = PATCH


class _Residual(nn.Module):
    """Two 3 x 3 convolutions and a way round them; as in RefiNet the *second* one has the stride."""

    def __init__(self, given: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(given, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip
        self.way: nn.Module = nn.Identity()
        if stride != 1 or given != width:
            self.way = nn.Sequential(nn.Conv2d(given, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.way(x))


class PatchRefiner(nn.Module):
    """Cut-outs and layout to offsets, expected errors and doubts."""

    inputs: ClassVar[tuple[str, ...]] = ("patches", "layout")
    outputs: ClassVar[tuple[str, ...]] = ("offset", "log_error", "hidden")
    names: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        if config.shared:
            one, two, three = config.widths
            self.look = nn.Sequential(
                nn.Conv2d(2, one, 5, 2, 2), nn.ReLU(),
                nn.Conv2d(one, two, 3, 2, 1), nn.ReLU(),
                nn.Conv2d(two, three, 3, 2, 1), nn.ReLU(), nn.Flatten(),
            )  # fmt: skip
            self.sum_up = nn.Linear(three * (-(-config.size // 8)) ** 2, 48)
            features = JOINTS * 48
        else:
            first, second = config.widths
            self.look = nn.Sequential(
                nn.Conv2d(JOINTS, first, 7, 2, 3, bias=False), nn.BatchNorm2d(first), nn.ReLU(), nn.MaxPool2d(2),
                _Residual(first, first, 1), _Residual(first, first, 1),
                _Residual(first, second, 2), _Residual(second, second, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            )  # fmt: skip
            features = second
        whole = features + (JOINTS * LAYOUT_FEATURES if config.layout else 0)
        if config.shared:
            self.think = nn.Sequential(
                nn.Linear(whole, width), nn.ReLU(), nn.Dropout(config.dropout),
                nn.Linear(width, width), nn.ReLU(), nn.Dropout(config.dropout),
            )  # fmt: skip
        else:
            self.think = nn.Sequential(
                nn.Linear(whole, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(config.dropout),
                nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(config.dropout),
            )  # fmt: skip
        # the shared form answers joint by joint: from its own cut-out and from what all joints say together
        answers = 4 if config.shared else 4 * JOINTS
        own = 48 + (LAYOUT_FEATURES if config.layout else 0) + JOINTS if config.shared else 0
        self.answer = nn.Sequential(nn.Linear(width + own, 64), nn.ReLU()) if config.shared else nn.Identity()
        self.last = nn.Linear(64 if config.shared else width, answers)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("names", torch.eye(JOINTS), persistent=False)

    def example(self, batch: int) -> tuple[Tensor, Tensor]:
        """Input of the right form, for export and tests."""
        chance = torch.Generator().manual_seed(batch)
        near = torch.randn(batch, JOINTS, self.config.size, self.config.size, generator=chance) * 0.3
        near[torch.rand(near.shape, generator=chance) < 0.1] = HOLE
        return near, torch.randn(batch, JOINTS, LAYOUT_FEATURES, generator=chance) * 0.5

    def forward(self, patches: Tensor, layout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Offsets (B, 15, 2) in ITOP's pixels, log expected errors (B, 15) likewise, and logits of being hidden.

        Args:
            patches: (B, 15, S, S) metres from the body's distance, ``HOLE`` without depth.
            layout: (B, 15, 6), see ``contract.depth``.
        """
        size = self.config.size
        seen = (patches > HOLE / 2).to(patches.dtype)
        if self.config.shared:
            near = patches.clamp(-NEAR, NEAR) / NEAR * seen
            pictures = torch.stack([near, seen], 2).reshape(-1, 2, size, size)
            joints = torch.relu(self.sum_up(self.look(pictures))).reshape(-1, JOINTS, 48)
        else:
            metres = patches + layout[:, :1, 5:6, None] + DEFAULT_DEPTH
            mean = (metres * seen).sum((1, 2, 3), keepdim=True) / seen.sum((1, 2, 3), keepdim=True).clamp_min(1)
            joints = self.look((torch.where(seen > 0, metres, mean) - _MEAN) / _SPREAD)
        parts = [joints.flatten(1)]
        if self.config.layout:
            parts.append(layout.flatten(1))
        whole = self.think(torch.cat(parts, 1))
        if self.config.shared:
            names = self.names.expand(layout.shape[0], JOINTS, JOINTS)
            own = [joints, whole[:, None].expand(-1, JOINTS, -1), names]
            if self.config.layout:
                own.append(layout)
            whole = self.answer(torch.cat(own, -1))
        answer = self.last(whole).reshape(-1, JOINTS, 4)
        return answer[..., :2] * 10, answer[..., 2] + 1, answer[..., 3]
