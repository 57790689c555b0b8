"""SemGCN: one frame's 2D joints to 3D by graph convolutions with learned edge weights.

Zhao et al., "Semantic Graph Convolutional Networks for 3D Human Pose
Regression" (CVPR 2019). Written anew from the paper and the sizes of the
published weights, whose names are kept so that they can be loaded. It sees one
frame, wants all 16 joints and knows of no score: the kind of lifter that a
refiner has to clean up after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import InputError
from posemend.filters import fill_gaps

# Pairs of neighbouring joints that the non-local block pools: forearm, shank, ...
GROUPS = (
    ("r_knee", "r_ankle"), ("l_knee", "l_ankle"), ("r_hip", "l_hip"), ("pelvis", "spine"),
    ("thorax", "head_top"), ("r_elbow", "r_wrist"), ("l_elbow", "l_wrist"), ("l_shoulder", "r_shoulder"),
)  # fmt: skip
FRAMES_AT_ONCE = 4096


@dataclass(frozen=True)
class Config:
    """Sizes of a SemGCN.

    Attributes:
        hidden: Channels of a joint.
        layers: Residual layers of two graph convolutions each.
        non_local: Whether every joint also looks at every other after each layer.
        dropout: Share of channels switched off in training.
    """

    hidden: int = 128
    layers: int = 4
    non_local: bool = False
    dropout: float = 0.0


def neighbours() -> Tensor:
    """(16, 16) which joints share a bone, or are the same."""
    linked = torch.eye(len(H36M_16), dtype=torch.bool)
    for parent, child in H36M_16.bone_indices:
        linked[parent, child] = linked[child, parent] = True
    return linked


class SemGraphConv(nn.Module):
    """Each joint from itself and its neighbours, weighed by a learned softmax over its edges.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        linked: (J, J) which joints see which; every joint must see itself.
    """

    linked: Tensor
    itself: Tensor

    def __init__(self, inputs: int, outputs: int, linked: Tensor) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(2, inputs, outputs))  # from itself, from neighbours
        self.e = nn.Parameter(torch.ones(1, int(linked.sum())))  # one per edge, row by row
        self.bias = nn.Parameter(torch.empty(outputs))
        self.register_buffer("linked", linked, persistent=False)
        self.register_buffer("itself", torch.eye(len(linked), dtype=torch.bool), persistent=False)
        nn.init.xavier_uniform_(self.W, gain=1.414)
        nn.init.uniform_(self.bias, -(outputs**-0.5), outputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(N, J, inputs) to (N, J, outputs)."""
        edges = x.new_full(self.linked.shape, -9e15).masked_scatter(self.linked, self.e.to(x.dtype))
        share = edges.softmax(1)
        own = share.diagonal()[:, None] * (x @ self.W[0])
        return own + share.masked_fill(self.itself, 0) @ (x @ self.W[1]) + self.bias


class _GraphConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, linked: Tensor, dropout: float) -> None:
        super().__init__()
        self.gconv = SemGraphConv(inputs, outputs, linked)
        self.bn = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.gconv(x).transpose(1, 2)).transpose(1, 2)
        return self.dropout(x.relu())


class _ResGraphConv(nn.Module):
    def __init__(self, channels: int, linked: Tensor, dropout: float) -> None:
        super().__init__()
        self.gconv1 = _GraphConv(channels, channels, linked, dropout)
        self.gconv2 = _GraphConv(channels, channels, linked, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gconv2(self.gconv1(x))


class _Attention(nn.Module):
    """Non-local block of the concatenation kind (Wang et al., CVPR 2018); begins as doing nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        pooled = nn.MaxPool1d(2)
        self.g = nn.Sequential(nn.Conv1d(channels, inner, 1), pooled)
        self.theta = nn.Conv1d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv1d(channels, inner, 1), pooled)
        self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, 1, bias=False), nn.ReLU())
        norm = nn.BatchNorm1d(channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv1d(inner, channels, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, J) to the same."""
        theta, phi = self.theta(x)[..., None], self.phi(x)[:, :, None]  # (N, C/2, J, 1), (N, C/2, 1, J/2)
        joints, groups = theta.shape[2], phi.shape[3]
        both = torch.cat([theta.expand(-1, -1, -1, groups), phi.expand(-1, -1, joints, -1)], 1)
        weight = self.concat_project(both)[:, 0] / groups  # (N, J, J/2)
        return x + self.W((weight @ self.g(x).transpose(1, 2)).transpose(1, 2))


class _NonLocal(nn.Module):
    """Attention with joints in the order of their groups."""

    order: Tensor
    restored: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        order = torch.tensor([H36M_16.index(name) for group in GROUPS for name in group])
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("restored", order.argsort(), persistent=False)
        self.nonlocal1 = _Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlocal1(x[:, self.order].transpose(1, 2)).transpose(1, 2)[:, self.restored]


class SemGCN(nn.Module):
    """16 joints of Human3.6M in the image to 16 joints in camera axes."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        linked = neighbours()
        first: list[nn.Module] = [_GraphConv(2, c.hidden, linked, c.dropout)]
        rest: list[nn.Module] = []
        if c.non_local:
            first.append(_NonLocal(c.hidden))
        for _ in range(c.layers):
            rest.append(_ResGraphConv(c.hidden, linked, c.dropout))
            if c.non_local:
                rest.append(_NonLocal(c.hidden))
        self.gconv_input = nn.Sequential(*first)
        self.gconv_layers = nn.Sequential(*rest)
        self.gconv_output = SemGraphConv(c.hidden, 3, linked)

    def forward(self, x: Tensor) -> Tensor:
        """Lift single frames.

        Args:
            x: (N, 16, 2) joints; x from -1 to 1 over the image's width, y in the same unit (``normalise``).

        Returns:
            (N, 16, 3) metres, camera axes; the pelvis is near 0, not at it.
        """
        return self.gconv_output(self.gconv_layers(self.gconv_input(x)))


def config_of(weights: dict[str, Tensor]) -> Config:
    """The sizes that weights speak of; defaults where they do not look like a SemGCN's."""
    first = weights.get("gconv_input.0.gconv.W")
    layers = sum(name.startswith("gconv_layers.") and name.endswith(".gconv1.gconv.W") for name in weights)
    if first is None or first.ndim != 3 or not 0 < layers < 64:
        return Config()
    return Config(int(first.shape[2]), layers, any(".nonlocal1." in name for name in weights))


def normalise(pixels: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Pixels (..., 2) to x in -1 ... 1 and y in the same unit: the convention of Human3.6M's lifters."""
    return (pixels / width * 2 - np.array([1, height / width])).astype(np.float32)


def lift_pose2d(network: SemGCN, pose2d: Pose2D) -> Pose3D:
    """Lift a recording frame by frame, as people do who do not care about occlusion.

    The network cannot be told that a joint is missing. So absent joints
    (score 0) are put on a straight line in time between the frames that have
    them, held at the ends, and put amid the others if no frame has them;
    scores and flags are not looked at otherwise. That habit is what errs.

    Args:
        network: In evaluation mode, as ``semgcn_from_file`` gives it.
        pose2d: Any skeleton that 16 joints of Human3.6M can be made from; ``width`` and ``height`` known.

    Returns:
        Human3.6M's 17 joints, metres, frame ``"root"``, score 1; the nose, which the network does not have,
        is half-way from thorax to head top. Flags and clock are those of ``pose2d``.

    Raises:
        InputError: The image size is not known, or no joint is present at all.
        SkeletonError: The skeletons have too little in common.
    """
    camera = pose2d.camera
    width = pose2d.width or (camera.width if camera else None)
    height = pose2d.height or (camera.height if camera else None)
    if not width or not height:
        raise InputError(
            "The frame size is missing: SemGCN reads joints relative to the image. "
            "Wanted width and height in pixels; give --width and --height (or width=, height= in Python)."
        )
    given = normalise(fill_gaps(to_skeleton(pose2d, H36M_16)).positions, width, height)
    weight = network.gconv_output.W
    was_training = network.training
    network.eval()
    with torch.no_grad():
        parts = torch.from_numpy(given).to(weight.device, weight.dtype).split(FRAMES_AT_ONCE)
        lifted = torch.cat([network(part) for part in parts]).float().cpu().numpy()
    network.train(was_training)
    sixteen = Pose3D(lifted - lifted[:, :1], H36M_16, fps=pose2d.fps, frame="root", name=pose2d.name)
    pose = to_skeleton(sixteen, H36M_17)
    visible = to_skeleton(pose2d, H36M_17).visible
    return Pose3D(
        pose.positions, H36M_17, score=pose.score, visible=visible, fps=pose2d.fps, frame="root", name=pose2d.name
    )
