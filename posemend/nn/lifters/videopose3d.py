"""VideoPose3D: dilated temporal convolutions over 2D joints.

Pavllo et al., "3D human pose estimation in video with temporal convolutions
and semi-supervised training" (CVPR 2019). Written anew from the paper and the
sizes of the published weights, whose names are kept so that they can be
loaded. A *dense* network answers for every frame of a clip; its *strided*
twin has the same weights and answers once per window, which is cheaper when
single windows are drawn for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from posemend.errors import InputError, RecipeError
from posemend.nn.lifters.vit import full_precision


@dataclass(frozen=True)
class Config:
    """Sizes of a VideoPose3D network.

    Attributes:
        joints_in: Joints given.
        joints_out: Joints answered.
        in_features: Numbers per given joint: 2 (x, y) or 3 (and the score).
        widths: Frames that each layer joins, all odd; their product is the field of view in frames.
        channels: Channels inside.
        causal: Answer from the past only.
        dropout: Share of channels switched off in training.
        strided: Skip frames between answers; ``lift`` then answers once per field of view.
    """

    joints_in: int = 17
    joints_out: int = 17
    in_features: int = 2
    widths: tuple[int, ...] = (3, 3, 3, 3, 3)
    channels: int = 1024
    causal: bool = False
    dropout: float = 0.25
    strided: bool = False


class VideoPose3D(nn.Module):
    """2D joints over time to 3D joints.

    Raises:
        RecipeError: A width is even or below 1, or ``in_features`` is neither 2 nor 3.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        if not c.widths or any(width < 1 or width % 2 == 0 for width in c.widths):
            raise RecipeError(f"VideoPose3D: widths wants odd numbers of frames, such as [3, 3, 3]; got {c.widths}.")
        if c.in_features not in (2, 3):
            raise RecipeError(f"VideoPose3D: in_features wants 2 (x, y) or 3 (x, y, score); got {c.in_features}.")

        # strided: each layer takes a whole step of its own width, so nothing is computed that is not asked for
        def conv(inputs: int, width: int, reach: int) -> nn.Conv1d:
            stride, dilation = (width, 1) if c.strided else (1, reach)
            return nn.Conv1d(inputs, c.channels, width, stride, dilation=dilation, bias=False)

        self.expand_conv = conv(c.joints_in * c.in_features, c.widths[0], 1)
        self.expand_bn = nn.BatchNorm1d(c.channels, momentum=0.1)
        layers, norms, reach = [], [], c.widths[0]
        for width in c.widths[1:]:
            layers += [conv(c.channels, width, reach), nn.Conv1d(c.channels, c.channels, 1, bias=False)]
            norms += [nn.BatchNorm1d(c.channels, momentum=0.1) for _ in range(2)]
            reach *= width
        self.layers_conv = nn.ModuleList(layers)
        self.layers_bn = nn.ModuleList(norms)
        self.shrink = nn.Conv1d(c.channels, c.joints_out * 3, 1)
        self.drop = nn.Dropout(c.dropout)

    @property
    def receptive_field(self) -> int:
        """Frames that one answer is made from."""
        return prod(self.config.widths)

    @property
    def pad(self) -> tuple[int, int]:
        """Frames to repeat before and after a clip so that every frame is answered."""
        missing = self.receptive_field - 1
        return (missing, 0) if self.config.causal else (missing // 2, missing // 2)

    def set_momentum(self, momentum: float) -> None:
        """Momentum of all batch norms; the paper lets it fall from 0.1 to 0.001."""
        for norm in (self.expand_bn, *self.layers_bn):
            norm.momentum = momentum

    def _skip(self, x: Tensor, width: int, reach: int) -> Tensor:
        """The frames of ``x`` (B, C, T) that a layer's answers stand for: the middle ones, or the last if causal."""
        if self.config.strided:
            return x[:, :, (width - 1 if self.config.causal else width // 2) :: width]
        cut = (width - 1) * reach
        first = cut if self.config.causal else cut // 2
        return x[:, :, first : x.shape[2] - (cut - first)]

    def lift(self, x: Tensor) -> Tensor:
        """The network itself, without padding.

        Args:
            x: (B, T, joints_in, in_features), T at least the receptive field.

        Returns:
            (B, T - receptive field + 1, joints_out, 3) metres; from a strided
            network (B, T // receptive field, joints_out, 3), one per window.

        Raises:
            InputError: The clip is shorter than the receptive field.
        """
        c = self.config
        batch, frames = x.shape[:2]
        if frames < self.receptive_field:
            raise InputError(f"lift wants at least {self.receptive_field} frames, got {frames}. Pad the clip.")
        if c.strided:
            x = x[:, : frames // self.receptive_field * self.receptive_field]
        with full_precision(x):
            h = self.expand_conv(x.flatten(2).transpose(1, 2))
        h = self.drop(self.expand_bn(h).relu())
        reach = c.widths[0]
        for number, width in enumerate(c.widths[1:]):
            past, one = self.layers_conv[2 * number], self.layers_conv[2 * number + 1]
            norm, norm_one = self.layers_bn[2 * number], self.layers_bn[2 * number + 1]
            inner = self.drop(norm(past(h)).relu())
            h = self._skip(h, width, reach) + self.drop(norm_one(one(inner)).relu())
            reach *= width
        with full_precision(x):
            return self.shrink(h.to(x.dtype)).transpose(1, 2).reshape(batch, -1, c.joints_out, 3)

    def forward(self, joints: Tensor, clip: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Lift as the training loop wants it: windows alone, or whole clips with what is known of them.

        Without ``clip`` this is ``lift``: frames are answered whose whole field
        of view is there, as the network was published. With it frames beyond
        the ends repeat the first and the last one; what ``clip`` tells is not
        looked at, as the published network has no such input.

        Args:
            joints: (B, T, joints_in, in_features); with ``clip`` (B, T, joints_in, 3) x, y and score.
            clip: (B, T, 5), unused.

        Returns:
            With ``clip``: positions (B, T, joints_out, 3) in metres, joint 0 at 0; log of the
            expected error (B, T, joints_out), 0 everywhere: it is not estimated. Without: see ``lift``.

        Raises:
            RecipeError: The network is strided and is given whole clips.
            InputError: As ``lift``.
        """
        if clip is None:
            return self.lift(joints)
        if self.config.strided:
            raise RecipeError("VideoPose3D: strided answers once per window. Whole clips want strided = false.")
        before, after = self.pad
        x = joints[..., : self.config.in_features]
        x = torch.cat([x[:, :1].expand(-1, before, -1, -1), x, x[:, -1:].expand(-1, after, -1, -1)], 1)
        positions = self.lift(x).float()
        positions = positions - positions[:, :, :1]
        return positions, torch.zeros_like(positions[..., 0])


def config_of(weights: dict[str, Tensor], causal: bool = False) -> Config:
    """The sizes that published weights speak of.

    Raises:
        KeyError: A weight that tells a size is missing.
        ValueError: Sizes that no such network can have.
    """
    first, last = weights["expand_conv.weight"], weights["shrink.weight"]
    if first.ndim != 3 or last.ndim != 3 or last.shape[0] % 3:
        raise ValueError(f"layers of shape {tuple(first.shape)} and {tuple(last.shape)}")
    layers = sum(name.startswith("layers_conv.") and name.endswith(".weight") for name in weights)
    widths = (first.shape[2], *(weights[f"layers_conv.{number}.weight"].shape[2] for number in range(0, layers, 2)))
    joints_out, inputs = last.shape[0] // 3, first.shape[1]
    # 51 numbers are 17 joints with scores, 34 are 17 without; the joints answered settle what could be either
    features = 3 if inputs == joints_out * 3 or inputs % 2 else 2
    if inputs % features:
        raise ValueError(f"{inputs} input numbers, which are no whole joints")
    return Config(inputs // features, joints_out, features, tuple(map(int, widths)), int(first.shape[0]), causal)
