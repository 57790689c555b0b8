"""The pre-norm transformer block that PoseFormerV2 and D3DP are built of.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021), with the names
that the published weights have (``norm1``, ``attn.qkv``, ``attn.proj``,
``norm2``, ``mlp.fc1``, ``mlp.fc2``). Stochastic depth: Huang et al. (ECCV
2016). Dropout inside blocks is left out: both papers train with none.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

EPS = 1e-6  # of the layer norms in blocks; the published heads use PyTorch's 1e-5


def full_precision(x: Tensor) -> AbstractContextManager[None]:
    """Keeps a layer out of mixed precision.

    bfloat16 has three decimal digits: a joint at 0.7 of the image's half width
    would jump by 2 pixels in a thousand, and one at 0.7 m by 3 mm. So layers
    that read coordinates, and those that write metres, compute in float32.
    """
    return torch.autocast(x.device.type, enabled=False)


class Attention(nn.Module):
    """Multi-head self-attention over tokens (N, L, C), scaled by the root of a head's width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        # written out: on processors PyTorch's fused attention learns ten times slower in bfloat16
        weight = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)  # (N, heads, L, L)
        mixed = weight.to(v.dtype) @ v  # (N, heads, L, C / heads)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """Leaves a residual branch out for a share of the samples, in training only; the kept ones are scaled up."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        kept = torch.rand(x.shape[0], *(1,) * (x.ndim - 1), device=x.device) >= self.share
        return x * kept / (1 - self.share)


class Block(nn.Module):
    """Attention and MLP, each on normalised tokens and added to what came in.

    Args:
        width: Channels of a token.
        heads: Attention heads; they divide ``width``.
        hidden: Channels inside the MLP.
        drop_path: Share of samples that skip a branch in training.
    """

    def __init__(self, width: int, heads: int, hidden: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width) to the same."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def rising(share: float, depth: int) -> list[float]:
    """Drop-path shares of ``depth`` blocks, from 0 to ``share``."""
    return [share * number / max(1, depth - 1) for number in range(depth)]
