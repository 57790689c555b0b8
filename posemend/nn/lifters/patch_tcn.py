"""PatchTCN: the lifter that ships.

Two frames make one token (a *patch* in time); tokens go through residual
blocks of plain ``Linear`` layers that also see a token ``d`` before and one
``d`` after. Plain matrix products are what CPUs are fastest at, in training
(bfloat16) and in use; patches halve the work per frame.

What it keeps of VideoPose3D (Pavllo et al., CVPR 2019): dilated temporal
convolution with residuals, whole clips in one pass. What is new: patches,
scores as input, joints may be missing, an expected error for each joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posemend.contract.codec import CLIP_FEATURES, JOINT_FEATURES


@dataclass(frozen=True)
class Config:
    """Sizes of a PatchTCN.

    Attributes:
        joints: Joints in and out; joint 0 is the root.
        patch: Frames per token.
        width: Channels of a token.
        hidden: Channels inside a block.
        dilations: Distance in tokens of each block's neighbours.
        dropout: Share of inner channels switched off in training.
    """

    joints: int = 17
    patch: int = 2
    width: int = 320
    hidden: int = 512
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1)
    dropout: float = 0.0


def shift(x: Tensor, by: int) -> Tensor:
    """(B, N, C) moved along time: row ``n`` of the result is row ``n + by``; zeros come in at the ends."""
    pad = x.new_zeros(x.shape[0], abs(by), x.shape[2])
    if by > 0:
        return torch.cat([x, pad], 1)[:, by:]
    return torch.cat([pad, x], 1)[:, : by or None] if by else x


class Block(nn.Module):
    """Residual block: half of the channels of a past and of a future token join in."""

    def __init__(self, width: int, hidden: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.part = width // 2
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(2 * width, hidden)
        self.out = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)  # (B, N, C)
        past = shift(h[..., : self.part], -self.dilation)
        future = shift(h[..., self.part :], self.dilation)
        h = nn.functional.relu(self.mix(torch.cat([h, past, future], -1)))
        return x + self.out(self.dropout(h))


class PatchTCN(nn.Module):
    """2D joints with scores to root-relative 3D joints with expected errors."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c = config
        self.stem = nn.Linear(c.patch * (c.joints * JOINT_FEATURES + CLIP_FEATURES), c.width)
        self.blocks = nn.ModuleList(Block(c.width, c.hidden, d, c.dropout) for d in c.dilations)
        self.norm = nn.LayerNorm(c.width)
        self.head = nn.Linear(c.width, c.patch * (c.joints - 1) * 4)

    @property
    def reach(self) -> int:
        """Frames before and after that can change an output frame."""
        return self.config.patch * (sum(self.config.dilations) + 1)

    def forward(self, joints: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Lift whole clips.

        Args:
            joints: (B, T, J, 3) from the codec; T a multiple of ``patch``.
            clip: (B, T, 5) from the codec.

        Returns:
            positions (B, T, J, 3) in metres, root at 0, virtual-camera axes;
            log of the expected error (B, T, J), metres.
        """
        c = self.config
        batch, frames = joints.shape[:2]
        x = torch.cat([joints.flatten(2), clip], -1)  # (B, T, J*3 + 5)
        x = x.reshape(batch, frames // c.patch, -1)  # (B, N, patch*(J*3 + 5))
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.head(self.norm(x))
        x = x.reshape(batch, frames, c.joints - 1, 4).float()
        x = torch.cat([x.new_zeros(batch, frames, 1, 4), x], 2)
        log_error = torch.cat([x[:, :, :1, 3] - 7.0, x[:, :, 1:, 3] - 3.0], 2)
        return x[..., :3], log_error
