"""The BlendMimic3D refinement block: a spatio-temporal graph network with six neighbour classes.

Lino et al., "3D Human Pose Estimation with Occlusions" (CVPR-W 2024), section
4: ST-GCN layers whose neighbours are sorted into six classes with weights of
their own, Z = sum_k A_k X W_k with A_k from equation (2), then a non-local
block and a linear layer to coordinates.

Kept from the paper: classes, normalisation (the published code's is an
option), layers, non-local block, losses. Changed, because the published block
makes clean poses worse: the network predicts a *change*, starts at zero (an
untrained block changes nothing), and sees how much each joint is to be
trusted, where the keypoints say it is, and what posemend's own lifter thinks.
Set ``patch=1``, ``dilations=(1, 1, 1)`` for the paper's neighbourhoods.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posemend.body.catalogue import H36M_17
from posemend.body.graph import six_classes
from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES, OPINION


@dataclass(frozen=True)
class Config:
    """Sizes of the block.

    Attributes:
        patch: Frames per token.
        width: Channels of a joint.
        dilations: Steps in time of each layer's past and future neighbours.
        normalisation: ``"per-class"`` (paper, eq. 2) or ``"joint"`` (published code).
        centre: Joint that "closer" and "farther" refer to.
        non_local: Whether every joint also attends to all joints of its token.
        dropout: Share of channels switched off in training.
    """

    patch: int = 4
    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1)
    normalisation: str = "per-class"
    centre: str = "spine"
    non_local: bool = True
    dropout: float = 0.0


def _later(x: Tensor, by: int) -> Tensor:
    """(B, N, J, C): token ``n`` of the result is token ``n + by``; zeros come in at the ends."""
    pad = x.new_zeros(x.shape[0], abs(by), x.shape[2], x.shape[3])
    return torch.cat([x, pad], 1)[:, by:] if by > 0 else torch.cat([pad, x], 1)[:, :by]


class SixClassConv(nn.Module):
    """Z = sum_k A_k X W_k over the six classes."""

    own: Tensor
    others: Tensor
    temporal: Tensor

    def __init__(self, width: int, out: int, dilation: int, config: Config) -> None:
        super().__init__()
        self.dilation = dilation
        graph = six_classes(H36M_17, config.centre, config.normalisation)  # type: ignore[arg-type]
        spatial = torch.from_numpy(graph.spatial)
        self.register_buffer("own", spatial[0].diagonal().clone()[:, None], persistent=False)  # (J, 1)
        self.register_buffer("others", spatial[1:].reshape(-1, spatial.shape[-1]), persistent=False)  # (3J, J)
        self.register_buffer("temporal", torch.from_numpy(graph.temporal)[:, :, None], persistent=False)
        self.weights = nn.Linear(6 * width, out)

    def forward(self, x: Tensor) -> Tensor:
        joints = x.shape[2]
        near = torch.matmul(self.others.to(x.dtype), x)  # (B, N, 3J, C)
        parts = [x * self.own.to(x.dtype)]
        parts += [near[:, :, k * joints : (k + 1) * joints] for k in range(3)]
        past, future = self.temporal.to(x.dtype)
        parts += [_later(x, -self.dilation) * past, _later(x, self.dilation) * future]
        return self.weights(torch.cat(parts, -1))


class Layer(nn.Module):
    """ST-GCN unit: six-class convolution, then a pointwise layer, with a residual."""

    def __init__(self, dilation: int, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.graph = SixClassConv(config.width, config.width, dilation, config)
        self.point = nn.Linear(config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.graph(self.norm(x)))
        return x + self.point(self.dropout(h))


class NonLocal(nn.Module):
    """Every joint attends to all joints of its token (embedded Gaussian form, Wang et al. 2018); zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width // 2)
        self.key = nn.Linear(width, width // 2)
        self.value = nn.Linear(width, width // 2)
        self.out = nn.Linear(width // 2, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        affinity = torch.matmul(self.query(h), self.key(h).transpose(-1, -2)) * self.query.out_features**-0.5
        return x + self.out(torch.matmul(affinity.softmax(-1), self.value(h)))


class SixClassSTGCN(nn.Module):
    """3D poses with evidence to repaired 3D poses with expected errors."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        c = config
        self.stem = nn.Linear(c.patch * EVIDENCE_FEATURES, c.width)
        self.clip = nn.Linear(c.patch * EVIDENCE_CLIP_FEATURES, c.width)
        self.identity = nn.Parameter(torch.randn(len(H36M_17), c.width) * 0.1)
        middle = len(c.dilations) // 2
        layers: list[nn.Module] = [Layer(d, c) for d in c.dilations]
        if c.non_local:
            layers.insert(middle, NonLocal(c.width))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(c.width)
        self.head = nn.Linear(c.width, c.patch * 5)  # change (3), log error, gate
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def reach(self) -> int:
        """Frames before and after that can change an output frame."""
        return self.config.patch * (sum(self.config.dilations) + 1)

    def forward(self, evidence: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Repair whole clips.

        Args:
            evidence: (B, T, 17, E) from ``contract.evidence``; the first three
                channels are the raw pose in metres, root at 0.
            clip: (B, T, F) likewise.

        Returns:
            positions (B, T, 17, 3) in metres; log of the expected error (B, T, 17), metres.
        """
        c = self.config
        batch, frames, joints, features = evidence.shape
        tokens = frames // c.patch
        x = evidence.reshape(batch, tokens, c.patch, joints, features).transpose(2, 3).flatten(3)
        whole = clip.reshape(batch, tokens, 1, -1)
        x = self.stem(x) + self.clip(whole) + self.identity.to(x.dtype)  # (B, N, J, C)
        for layer in self.layers:
            x = layer(x)
        x = self.head(self.norm(x)).float()  # (B, N, J, patch*5)
        x = x.reshape(batch, tokens, joints, c.patch, 5).transpose(2, 3).reshape(batch, frames, joints, 5)
        # a trembling raw pose is hard to cancel but easy to replace: the gate moves it towards the lifter's opinion
        towards_opinion = torch.tanh(x[..., 4:]) * evidence[..., OPINION]
        positions = evidence[..., :3] + towards_opinion + x[..., :3]
        # the root is at 0 by construction: its error is next to nothing
        log_error = torch.cat([x[:, :, :1, 3] - 7.0, x[:, :, 1:, 3] - 3.0], 2)
        return positions - positions[:, :, :1], log_error
