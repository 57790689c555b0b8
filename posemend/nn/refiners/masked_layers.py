"""Layers of the occlusion-resilient graph, where a hidden joint sends nothing (see ``masked_stgcn``)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posemend.body.catalogue import H36M_17
from posemend.body.graph import six_classes


class Noise:
    """What is dropped at random in training by the methods that structured masks are compared with.

    Args:
        edges: Chance of an edge to be dropped (DropEdge, Rong et al., ICLR 2020), anew in each layer.
        features: Chance of a channel of a node to be dropped (dropout).
        generator: Source of chance.
    """

    def __init__(self, edges: float, features: float, generator: torch.Generator) -> None:
        self.edges, self.features, self._generator = edges, features, generator

    def kept(self, shape: tuple[int, ...], rate: float, like: Tensor) -> Tensor:
        """Ones with zeros among them, of the type of ``like``."""
        drawn = torch.rand(shape, generator=self._generator, device=like.device)
        return (drawn >= rate).to(like.dtype)

    def dropped(self, x: Tensor) -> Tensor:
        """``x`` with channels dropped and the others made larger for it."""
        return x * self.kept(tuple(x.shape), self.features, x) / (1 - self.features) if self.features else x


def later(x: Tensor, by: int) -> Tensor:
    """(B, T, J, C): frame ``t`` of the result is frame ``t + by``; zeros come in at the ends."""
    pad = x.new_zeros(x.shape[0], abs(by), x.shape[2], x.shape[3])
    return torch.cat([x, pad], 1)[:, by:] if by > 0 else torch.cat([pad, x], 1)[:, :by]


class MaskedGraphConv(nn.Module):
    """sum over classes of D^-1/2 A_k S D^-1/2 X W_k, S = which joints were seen, D = degrees after masking.

    Args:
        width: Channels in and out.
        stride: Frames between neighbours in time.
        neighbours: Neighbours in time on either side.
    """

    spatial: Tensor

    def __init__(self, width: int, stride: int, neighbours: int) -> None:
        super().__init__()
        self.steps = [sign * k * stride for k in range(1, neighbours + 1) for sign in (-1, 1)]
        closer_and_farther = six_classes(H36M_17).spatial[1:3] > 0
        self.register_buffer("spatial", torch.from_numpy(closer_and_farther).float(), persistent=False)  # (2, J, J)
        self.weights = nn.Linear((3 + len(self.steps)) * width, width)

    def forward(self, x: Tensor, seen: Tensor, noise: Noise | None = None) -> Tensor:
        """Convolve.

        Args:
            x: (B, T, J, C).
            seen: (B, T, J, 1) 1 = the joint sends, 0 = it does not.
            noise: Drops edges.
        """
        spatial = self.spatial.to(x.dtype)
        kept: list[Tensor | None] = [None] * len(self.steps)
        if noise is not None and noise.edges:
            spatial, kept = self._dropped(spatial, noise, x)
        # degrees are counted in messages that arrive, the own one included
        degree = 1 + torch.matmul(spatial.sum(-3), seen)
        for by, edge in zip(self.steps, kept, strict=True):
            degree = degree + (later(seen, by) if edge is None else later(seen, by) * edge)
        root = degree.rsqrt()
        sent = x * (seen * root)
        parts = [x * root, torch.matmul(spatial[..., 0, :, :], sent), torch.matmul(spatial[..., 1, :, :], sent)]
        for by, edge in zip(self.steps, kept, strict=True):
            arrived = later(sent, by)
            parts.append(arrived if edge is None else arrived * edge)
        return self.weights(torch.cat(parts, -1) * root)

    def _dropped(self, spatial: Tensor, noise: Noise, x: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """Graph with edges dropped, in both directions at once: (B, T, 2, J, J), and (B, T, J, 1) for each step."""
        batch, frames, joints = x.shape[:3]
        one_way = noise.kept((batch, frames, joints, joints), noise.edges, x).triu(1)
        both = (one_way + one_way.transpose(-1, -2)).unsqueeze(2)
        kept: list[Tensor | None] = []
        for by in self.steps[1::2]:  # the edge t to t + by, for both of its ends
            forward = noise.kept((batch, frames, joints, 1), noise.edges, x)
            kept += [later(forward, -by), forward]
        return spatial * both, kept


class Layer(nn.Module):
    """Graph convolution, then a pointwise layer, with a residual."""

    def __init__(self, width: int, stride: int, neighbours: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.graph = MaskedGraphConv(width, stride, neighbours)
        self.point = nn.Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor, noise: Noise | None = None) -> Tensor:
        """(B, T, J, C) to the same."""
        h = torch.relu(self.graph(self.norm(x), seen, noise))
        return x + self.point(h if noise is None else noise.dropped(h))


class SeenAttention(nn.Module):
    """Every joint attends to the seen joints of its frame, and to nobody if it likes; zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width // 2)
        self.key = nn.Linear(width, width // 2)
        self.value = nn.Linear(width, width // 2)
        self.nobody = nn.Parameter(torch.zeros(2, width // 2))  # key and value of one who is always there
        self.out = nn.Linear(width // 2, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, T, J, C) to the same; ``seen`` (B, T, J, 1)."""
        h = self.norm(x)
        query = self.query(h) * self.query.out_features**-0.5
        others = torch.matmul(query, self.key(h).transpose(-1, -2))
        others = others.masked_fill(seen.transpose(-1, -2) == 0, -1e4)
        nobody = torch.matmul(query, self.nobody[0].to(query.dtype)[:, None])
        weight = torch.cat([others, nobody], -1).softmax(-1)  # (B, T, J, J + 1)
        found = torch.matmul(weight[..., :-1], self.value(h) * seen) + weight[..., -1:] * self.nobody[1].to(h.dtype)
        return x + self.out(found)
