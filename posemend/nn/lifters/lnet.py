"""LNet: one frame's 2D joints to distances along their rays; the lifter before the occlusion-resilient graph.

Roy et al., "Occlusion Resilient 3D Human Pose Estimation" (arXiv 2402.11036):
a multilayer perceptron reads the 2D joints of a frame and answers with the
distance of the root from the camera and the distance of each joint relative
to that; with the rays through the 2D joints these are points in space,
X_j = (d_root + d_j) ray_j. The paper's authors put the true root distance in.
Here it is a choice: given the true one the network assembles with it (task
``lift-rooted``), else with its own, which is the honest single view.

Sizes are not published; two hidden layers of 1024 with batch norm and dropout
are ours. So are the expected errors, and what happens to a joint without a
keypoint, which has no ray: its place in the image is answered, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posemend.contract.codec import CLIP_FEATURES, JOINT_FEATURES

# a person of apparent size s (codec) is about this many metres / s away: the answer is a correction to it
_TYPICAL = 0.45
_SIZE = 2  # clip's channel: log size + 2


@dataclass(frozen=True)
class Config:
    """Sizes of an LNet.

    Attributes:
        joints: Joints in and out; joint 0 is the root.
        width: Channels of a hidden layer.
        layers: Hidden layers.
        dropout: Share of channels switched off in training.
        patch: Frames per token, always 1.
    """

    joints: int = 17
    width: int = 1024
    layers: int = 2
    dropout: float = 0.5
    patch: int = 1


def unit_rays(xy: Tensor, clip: Tensor) -> Tensor:
    """Directions of joints in virtual-camera axes.

    Args:
        xy: (..., J, 2) from the codec, in sizes.
        clip: (..., 5) from the codec.

    Returns:
        (..., J, 3), length 1.
    """
    flat = xy.float() * torch.exp(clip[..., None, _SIZE : _SIZE + 1].float() - 2.0)
    ray = torch.cat([flat, torch.ones_like(flat[..., :1])], -1)
    return ray / torch.sqrt((ray * ray).sum(-1, keepdim=True))


def on_rays(root: Tensor, relative: Tensor, rays: Tensor) -> Tensor:
    """X_j = (d_root + d_j) ray_j, minus the root's.

    Args:
        root: (...) distance of the root, metres.
        relative: (..., J) distance of each joint minus that of the root; 0 for the root, joint 0.
        rays: (..., J, 3) unit vectors.

    Returns:
        (..., J, 3) metres, root at 0.
    """
    points = (root[..., None] + relative)[..., None] * rays
    return points - points[..., :1, :]


class LNet(nn.Module):
    """2D joints with scores to root-relative 3D joints with expected errors, frame by frame."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        inputs = c.joints * JOINT_FEATURES + CLIP_FEATURES
        hidden: list[nn.Module] = []
        for _ in range(c.layers):
            hidden += [nn.Linear(inputs, c.width), nn.BatchNorm1d(c.width), nn.ReLU(), nn.Dropout(c.dropout)]
            inputs = c.width
        self.hidden = nn.Sequential(*hidden)
        # root distance (1), relative distances (J - 1), expected errors (J), places of absent joints (2 J)
        self.head = nn.Linear(inputs, 4 * c.joints)

    @property
    def reach(self) -> int:
        """Frames before and after that can change an output frame: none."""
        return 0

    def forward(self, joints: Tensor, clip: Tensor, distance: Tensor | None = None) -> tuple[Tensor, ...]:
        """Lift clips.

        Args:
            joints: (B, T, J, 3) from the codec.
            clip: (B, T, 5) from the codec.
            distance: (B, T) true distance of the root, metres; ``None``: the network's own is taken.

        Returns:
            positions (B, T, J, 3) in metres, root at 0, virtual-camera axes;
            log of the expected error (B, T, J), metres. If ``distance`` was
            given also the log of the network's own root distance (B, T).
        """
        batch, frames, count = joints.shape[:3]
        x = torch.cat([joints.flatten(2), clip], -1).flatten(0, 1)
        x = self.head(self.hidden(x)).reshape(batch, frames, 4 * count).float()
        size = torch.exp(clip[..., _SIZE].float() - 2.0)
        own = torch.exp(x[..., 0].clamp(-3, 3)) * _TYPICAL / size
        relative = torch.cat([torch.zeros_like(x[..., :1]), x[..., 1:count]], -1)
        guessed = x[..., 2 * count :].reshape(batch, frames, count, 2)
        xy = torch.where(joints[..., 2:3] > 0, joints[..., :2].float(), guessed)
        positions = on_rays(own if distance is None else distance, relative, unit_rays(xy, clip))
        log_error = torch.cat([x[..., count : count + 1] - 7.0, x[..., count + 1 : 2 * count] - 3.0], -1)
        return (positions, log_error) if distance is None else (positions, log_error, own.log())
