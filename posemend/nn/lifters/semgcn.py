"""SemGCN: one frame's 2D joints to 3D by graph convolutions with learned edge weights.

Zhao et al., "Semantic Graph Convolutional Networks for 3D Human Pose
Regression" (CVPR 2019). Written anew from the paper and the sizes of the
published weights, whose names are kept so that they can be loaded. It sees one
frame, wants all its joints and knows of no score: the kind of lifter that a
refiner has to clean up after.

Three variations: with or without non-local blocks; 16 joints as published, or
17; one weight per edge, or one per edge and channel (the paper's eq. 3, in the
code of SemGCN and of the weakly supervised WS-GCN).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.body.skeleton import Skeleton
from posemend.errors import RecipeError
from posemend.nn.lifters.vit import full_precision

# Pairs of neighbouring joints that the non-local block pools: forearm, shank, ...
GROUPS = (
    ("r_knee", "r_ankle"), ("l_knee", "l_ankle"), ("r_hip", "l_hip"), ("pelvis", "spine"),
    ("thorax", "head_top"), ("r_elbow", "r_wrist"), ("l_elbow", "l_wrist"), ("l_shoulder", "r_shoulder"),
)  # fmt: skip
# with 17 joints the nose, which the published weights do not know, is a group by itself
ALONE = ("nose", "nose")
SKELETONS = {16: H36M_16, 17: H36M_17}
FAR = -9e15  # logit of an edge that is not there


@dataclass(frozen=True)
class Config:
    """Sizes of a SemGCN.

    Attributes:
        hidden: Channels of a joint.
        layers: Residual layers of two graph convolutions each.
        non_local: Whether every joint also looks at every other after each layer.
        dropout: Share of channels switched off in training.
        joints: 16 of Human3.6M (without the nose, as published) or 17.
        per_channel: Whether each channel weighs the edges in its own way.
    """

    hidden: int = 128
    layers: int = 4
    non_local: bool = False
    dropout: float = 0.0
    joints: int = 16
    per_channel: bool = False


def neighbours(skeleton: Skeleton = H36M_16) -> Tensor:
    """(J, J) which joints share a bone, or are the same."""
    linked = torch.eye(len(skeleton), dtype=torch.bool)
    for parent, child in skeleton.bone_indices:
        linked[parent, child] = linked[child, parent] = True
    return linked


class SemGraphConv(nn.Module):
    """Each joint from itself and its neighbours, weighed by a learned softmax over its edges.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        linked: (J, J) which joints see which; every joint must see itself.
        per_channel: Whether each output channel has edge weights of its own.
    """

    place: Tensor
    itself: Tensor

    def __init__(self, inputs: int, outputs: int, linked: Tensor, per_channel: bool = False) -> None:
        super().__init__()
        edges = int(linked.sum())
        self.W = nn.Parameter(torch.empty(2, inputs, outputs))  # from itself, from neighbours
        self.e = nn.Parameter(torch.ones(outputs if per_channel else 1, edges))  # one per edge, row by row
        self.bias = nn.Parameter(torch.empty(outputs))
        place = torch.full(linked.shape, edges)  # where each pair's weight is; those without an edge share the last
        place[linked] = torch.arange(edges)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("itself", torch.eye(len(linked), dtype=torch.bool), persistent=False)
        bound = (inputs if per_channel else outputs) ** -0.5
        nn.init.xavier_uniform_(self.W, gain=1.414)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(N, J, inputs) to (N, J, outputs)."""
        edges = torch.cat([self.e, self.e.new_full((len(self.e), 1), FAR)], 1)
        share = edges[:, self.place].softmax(-1)  # (1 or outputs, J, J)
        own = share.diagonal(dim1=-2, dim2=-1).T  # (J, 1 or outputs)
        rest = share.masked_fill(self.itself, 0)
        of_itself, near = (x @ torch.cat([*self.W], 1)).chunk(2, -1)  # one product is faster than two
        if len(self.e) == 1:
            around = rest[0].to(near.dtype) @ near
        else:  # every channel gathers by its own shares
            around = (rest.to(near.dtype) @ near.permute(2, 1, 0)).permute(2, 1, 0)
        return own * of_itself + around + self.bias


class _GraphConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, linked: Tensor, config: Config) -> None:
        super().__init__()
        self.gconv = SemGraphConv(inputs, outputs, linked, config.per_channel)
        self.bn = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gconv(x)
        x = self.bn(x.flatten(0, 1)).reshape(x.shape)  # over all joints of all samples
        return self.dropout(x.relu())


class _ResGraphConv(nn.Module):
    def __init__(self, linked: Tensor, config: Config) -> None:
        super().__init__()
        self.gconv1 = _GraphConv(config.hidden, config.hidden, linked, config)
        self.gconv2 = _GraphConv(config.hidden, config.hidden, linked, config)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gconv2(self.gconv1(x))


class _Attention(nn.Module):
    """Non-local block of the concatenation kind (Wang et al., CVPR 2018); begins as doing nothing.

    Every joint looks at the groups of joints: what the two of a group have
    most of. The layers are named and shaped as the published weights have them,
    convolutions over (N, C, J); they are applied as products with (N, J, C), the
    layout of everything round them, which saves copies to and fro.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.g = nn.Sequential(nn.Conv1d(channels, inner, 1))
        self.theta = nn.Conv1d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv1d(channels, inner, 1))
        self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, 1, bias=False), nn.ReLU())
        norm = nn.BatchNorm1d(channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv1d(inner, channels, 1), norm)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        """(N, J, C), and (2, G) the joints of each group, to (N, J, C)."""
        theta, phi = _product(self.theta, x), _product(self.phi[0], x)
        phi, g = _most(phi, pairs), _most(_product(self.g[0], x), pairs)  # (N, G, C/2)
        # one number out of each pair put end to end is a sum of one number each
        of_theta, of_phi = self.concat_project[0].weight[0, :, 0, 0].chunk(2)  # type: ignore[index]  # (C/2,) each
        both = (theta @ of_theta.to(theta.dtype))[:, :, None] + (phi @ of_phi.to(phi.dtype))[:, None]  # (N, J, G)
        seen = _product(self.W[0], (both.relu() / phi.shape[1]) @ g)
        return x + self.W[1](seen.flatten(0, 1)).reshape(seen.shape)  # over all joints of all samples


def _product(layer: nn.Module, x: Tensor) -> Tensor:
    """(N, J, C) through a convolution that sees one joint."""
    return functional.linear(x, layer.weight[..., 0], layer.bias)  # type: ignore[index, arg-type]


def _most(x: Tensor, pairs: Tensor) -> Tensor:
    """(N, J, C) to (N, G, C): the larger of the two of each group."""
    return torch.maximum(x[:, pairs[0]], x[:, pairs[1]])


class _NonLocal(nn.Module):
    """Attention of all joints to the groups of joints."""

    pairs: Tensor

    def __init__(self, channels: int, skeleton: Skeleton = H36M_16) -> None:
        super().__init__()
        groups = GROUPS + ((ALONE,) if ALONE[0] in skeleton.joints else ())
        pairs = torch.tensor([[skeleton.index(name) for name in group] for group in groups]).T.contiguous()
        self.register_buffer("pairs", pairs, persistent=False)
        self.nonlocal1 = _Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, J, C) to the same."""
        return self.nonlocal1(x, self.pairs)


class SemGCN(nn.Module):
    """16 or 17 joints of Human3.6M in the image to as many in camera axes.

    Raises:
        RecipeError: Neither 16 nor 17 joints.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        if c.joints not in SKELETONS:
            raise RecipeError(f"SemGCN: joints wants 16 (without the nose) or 17, got {c.joints}.")
        self.skeleton = SKELETONS[c.joints]
        linked = neighbours(self.skeleton)
        first: list[nn.Module] = [_GraphConv(2, c.hidden, linked, c)]
        rest: list[nn.Module] = []
        if c.non_local:
            first.append(_NonLocal(c.hidden, self.skeleton))
        for _ in range(c.layers):
            rest.append(_ResGraphConv(linked, c))
            if c.non_local:
                rest.append(_NonLocal(c.hidden, self.skeleton))
        self.gconv_input = nn.Sequential(*first)
        self.gconv_layers = nn.Sequential(*rest)
        self.gconv_output = SemGraphConv(c.hidden, 3, linked, c.per_channel)

    def forward(self, x: Tensor) -> Tensor:
        """Lift single frames.

        Args:
            x: (N, joints, 2); x from -1 to 1 over the image's width, y in the same unit.

        Returns:
            (N, joints, 3) metres, camera axes; the pelvis is near 0, not at it.
        """
        with full_precision(x):
            h = self.gconv_input(x)
        h = self.gconv_layers(h)
        with full_precision(x):
            return self.gconv_output(h.to(x.dtype))


def config_of(weights: dict[str, Tensor]) -> Config:
    """The sizes that weights speak of; defaults where they do not look like a SemGCN's."""
    first, edges = weights.get("gconv_input.0.gconv.W"), weights.get("gconv_input.0.gconv.e")
    layers = sum(name.startswith("gconv_layers.") and name.endswith(".gconv1.gconv.W") for name in weights)
    if first is None or first.ndim != 3 or edges is None or edges.ndim != 2 or not 0 < layers < 64:
        return Config()
    counts = {int(neighbours(skeleton).sum()): joints for joints, skeleton in SKELETONS.items()}
    return Config(
        hidden=int(first.shape[2]),
        layers=layers,
        non_local=any(".nonlocal1." in name for name in weights),
        joints=counts.get(edges.shape[1], 16),
        per_channel=edges.shape[0] > 1,
    )
