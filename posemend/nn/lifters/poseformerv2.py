"""PoseFormerV2: the middle frame from a few frames and the lowest frequencies of many.

Zhao et al., "PoseFormerV2: Exploring Frequency Domain for Efficient and Robust
3D Human Pose Estimation" (CVPR 2023). Written anew from the paper and the sizes
of the published weights, whose names are kept so that they can be loaded. A
window of ``frames`` frames becomes two kinds of tokens: the ``kept`` frames in
its middle, each seen by a small spatial transformer, and the lowest ``coefficients``
of a cosine transform of all joints over the whole window. Four blocks mix them.
Cosine transforms are matrix products here, scaled as ``torch_dct`` scales them
with ``norm=None``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posemend.errors import InputError, RecipeError
from posemend.nn.lifters.vit import EPS, Attention, Block, DropPath, Mlp, full_precision, rising


@dataclass(frozen=True)
class Config:
    """Sizes of a PoseFormerV2.

    Attributes:
        joints: Joints in and out; joint 0 is the root.
        frames: Frames of a window; odd, the middle one is answered.
        kept: Frames in the middle that are seen one by one; odd.
        coefficients: Lowest frequencies that are seen of the whole window; 0 for as many as ``kept``.
        width: Channels of a joint; a token has ``joints`` times as many.
        depth: Spatial blocks, and as many mixing ones.
        heads: Attention heads; they divide ``width``.
        mlp_ratio: Channels inside an MLP over those of its token.
        drop_path: Share of samples that skip a branch of the last block in training.
    """

    joints: int = 17
    frames: int = 243
    kept: int = 27
    coefficients: int = 0
    width: int = 32
    depth: int = 4
    heads: int = 8
    mlp_ratio: float = 2.0
    drop_path: float = 0.2


def cosine_matrix(length: int) -> Tensor:
    """(length, length) type-II cosine transform, twice the unscaled sum: ``X_k = 2 Σ x_n cos(π k (2n + 1) / 2N)``."""
    n = torch.arange(length, dtype=torch.float64)
    return 2 * torch.cos(math.pi * n[:, None] * (2 * n + 1) / (2 * length))


def inverse_cosine_matrix(length: int) -> Tensor:
    """(length, length) the inverse of ``cosine_matrix``: its rows are orthogonal, of squared length 2N (first 4N)."""
    forward = cosine_matrix(length)
    return forward.T / (forward * forward).sum(1)


class FrequencyMlp(nn.Module):
    """An MLP on the frequencies of a run of tokens instead of on the tokens.

    Args:
        width: Channels of a token.
        hidden: Channels inside.
        tokens: Tokens of the run.
    """

    there: Tensor
    back: Tensor

    def __init__(self, width: int, hidden: int, tokens: int) -> None:
        super().__init__()
        inner = Mlp(width, hidden)
        self.fc1, self.fc2 = inner.fc1, inner.fc2  # under the names of the published weights
        self.register_buffer("there", cosine_matrix(tokens).float(), persistent=False)
        self.register_buffer("back", inverse_cosine_matrix(tokens).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, width) to the same."""
        x = self.fc2(nn.functional.gelu(self.fc1(self.there.to(x.dtype) @ x)))
        return self.back.to(x.dtype) @ x


class MixedBlock(nn.Module):
    """Attention over all tokens; then an MLP on the first half of them, a frequency MLP on the second.

    The halves are those of the published code: where ``kept`` and
    ``coefficients`` are equal they are the frequencies and the frames.
    """

    def __init__(self, width: int, heads: int, hidden: int, tokens: int, drop_path: float) -> None:
        super().__init__()
        self.first = tokens // 2
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp1 = Mlp(width, hidden)
        self.norm3 = nn.LayerNorm(width, eps=EPS)
        self.mlp2 = FrequencyMlp(width, hidden, tokens - self.first)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, width) to the same."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        first, second = x[:, : self.first], x[:, self.first :]
        first = first + self.drop_path(self.mlp1(self.norm2(first)))
        second = second + self.drop_path(self.mlp2(self.norm3(second)))
        return torch.cat([first, second], 1)


class PoseFormerV2(nn.Module):
    """Windows of 2D joints to the 3D joints of their middle frames.

    Raises:
        RecipeError: ``frames`` or ``kept`` is even, more is kept than there is, or heads do not divide the width.
    """

    lowest: Tensor

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        self.coefficients = count = c.coefficients or c.kept
        if c.frames % 2 == 0 or c.kept % 2 == 0 or not 0 < c.kept <= c.frames or not 0 < count <= c.frames:
            raise RecipeError(
                "PoseFormerV2 wants odd frames and kept, and at most as many kept and coefficients as frames; "
                f"got frames {c.frames}, kept {c.kept}, coefficients {count}."
            )
        if c.width % c.heads:
            raise RecipeError(f"PoseFormerV2: {c.heads} heads do not divide a width of {c.width}.")
        wide = c.joints * c.width
        shares = rising(c.drop_path, c.depth)
        self.Joint_embedding = nn.Linear(2, c.width)
        self.Freq_embedding = nn.Linear(2 * c.joints, wide)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, c.joints, c.width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, c.kept, wide))
        self.Temporal_pos_embed_ = nn.Parameter(torch.zeros(1, count, wide))
        self.Spatial_blocks = nn.ModuleList(
            Block(c.width, c.heads, int(c.width * c.mlp_ratio), share) for share in shares
        )
        self.blocks = nn.ModuleList(
            MixedBlock(wide, c.heads, int(wide * c.mlp_ratio), c.kept + count, share) for share in shares
        )
        self.Spatial_norm = nn.LayerNorm(c.width, eps=EPS)
        self.Temporal_norm = nn.LayerNorm(wide, eps=EPS)
        self.weighted_mean = nn.Conv1d(count, 1, 1)
        self.weighted_mean_ = nn.Conv1d(c.kept, 1, 1)
        self.head = nn.Sequential(nn.LayerNorm(2 * wide), nn.Linear(2 * wide, 3 * c.joints))
        self.register_buffer("lowest", cosine_matrix(c.frames)[:count].float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Lift the middle frames of windows.

        Args:
            x: (B, frames, joints, 2); x from -1 to 1 over the image's width, y in the same unit.

        Returns:
            (B, 1, joints, 3) metres, camera axes; the root is near 0, not at it.

        Raises:
            InputError: A window has another length.
        """
        c = self.config
        if x.shape[1] != c.frames:
            raise InputError(f"PoseFormerV2 wants windows of {c.frames} frames, got {x.shape[1]}. Cut the clip.")
        first = (c.frames - c.kept) // 2
        with full_precision(x):
            near = self.Joint_embedding(x[:, first : first + c.kept]) + self.Spatial_pos_embed
            far = self.Freq_embedding(self.lowest.to(x.dtype) @ x.flatten(2)) + self.Temporal_pos_embed_
        near = near.flatten(0, 1)  # (B * kept, joints, width)
        for block in self.Spatial_blocks:
            near = block(near)
        near = self.Spatial_norm(near).reshape(-1, c.kept, c.joints * c.width) + self.Temporal_pos_embed
        tokens = torch.cat([far, near], 1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.Temporal_norm(tokens)
        with full_precision(x):
            tokens = tokens.to(x.dtype)
            means = [self.weighted_mean(tokens[:, : self.coefficients]), self.weighted_mean_(tokens[:, -c.kept :])]
            return self.head(torch.cat(means, -1)).reshape(-1, 1, c.joints, 3)


def config_of(weights: dict[str, Tensor], frames: int) -> Config:
    """The sizes that published weights speak of; of the window's length they say nothing.

    Raises:
        KeyError: A weight that tells a size is missing.
        ValueError: Sizes that no such network can have.
    """
    place, near, far = weights["Spatial_pos_embed"], weights["Temporal_pos_embed"], weights["Temporal_pos_embed_"]
    hidden = weights["blocks.0.mlp1.fc1.weight"]
    if not all(table.ndim == 3 and table.shape[0] == 1 for table in (place, near, far)):
        raise ValueError(f"position tables of shape {tuple(place.shape)}, {tuple(near.shape)} and {tuple(far.shape)}")
    joints, width = place.shape[1:]
    depth = sum(name.startswith("blocks.") and name.endswith(".norm1.weight") for name in weights)
    ratio = hidden.shape[0] / (joints * width)
    return Config(joints, frames, near.shape[1], far.shape[1], width, depth, mlp_ratio=ratio)
