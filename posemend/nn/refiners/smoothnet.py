"""SmoothNet: each coordinate of each joint smoothed over time by itself, by one small fully connected network.

Zeng et al., "SmoothNet: A Plug-and-Play Network for Refining Human Poses in
Videos" (ECCV 2022): a window of one coordinate over T frames passes a linear
layer, residual blocks and a linear layer back to T frames; all joints and axes
share the weights. In use the window slides by one frame, and a frame is the
mean of all windows that hold it. Poses are root-relative; the root stays at 0.

It knows nothing of bodies, keypoints or flags, which makes it the learnt
smoother to compare refiners with. Names of weights and sizes are the authors'
(theirs for 32 frames: 822,048 parameters; ``inner = 128, blocks = 5, dropout =
0.25`` is what they train on Martinez' lifter). Beyond the paper: ``residual``
answers with the raw pose plus a change that starts at zero, ``mirror`` averages
over the mirror image, and a clip shorter than a window is filled up with its
last frame. Learning wants float32: bfloat16 rounds a metre to some millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d
from torch.onnx.operators import shape_as_tensor

from posemend.errors import RecipeError
from posemend.nn.mirror import mean_with_mirror, mirrored_evidence


@dataclass(frozen=True)
class Config:
    """Sizes of the network.

    Attributes:
        frames: Length of a window.
        width: Numbers between the blocks.
        inner: Numbers inside a block.
        blocks: How many.
        dropout: Share of numbers switched off in training, inside of blocks.
        residual: Answer with raw pose plus change, which starts at zero.
        mirror: Average over the mirror image when not learning.
        patch: Frames per token, always 1.
    """

    frames: int = 32
    width: int = 512
    inner: int = 256
    blocks: int = 3
    dropout: float = 0.5
    residual: bool = False
    mirror: bool = False
    patch: int = 1


class Block(nn.Module):
    """Two linear layers, each followed by dropout and a leaky rectifier, beside a way round them."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, inner)
        self.linear2 = nn.Linear(inner, width)
        self.bend = nn.LeakyReLU(0.2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        h = self.bend(self.dropout(self.linear1(x)))
        return x + self.bend(self.dropout(self.linear2(h)))


class SmoothNet(nn.Module):
    """Raw 3D poses to smooth ones, coordinate by coordinate.

    Raises:
        RecipeError: Sizes that the network cannot have.
    """

    places: Tensor

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        if c.frames < 3 or c.blocks < 0 or min(c.width, c.inner) < 1 or c.patch != 1:
            raise RecipeError(
                "smoothnet wants windows of 3 frames or more, sizes of 1 or more and patch = 1; "
                f"got {c.frames}, {c.width} and {c.inner}, {c.blocks} blocks, patch = {c.patch}."
            )
        self.encoder = nn.Sequential(nn.Linear(c.frames, c.width), nn.LeakyReLU(0.1))
        self.res_blocks = nn.Sequential(*(Block(c.width, c.inner, c.dropout) for _ in range(c.blocks)))
        self.decoder = nn.Linear(c.width, c.frames)
        # as the kernel of a convolution it cuts windows out, and turned round it lays them over each other again
        self.register_buffer("places", torch.eye(c.frames)[:, None], persistent=False)
        if c.residual:
            nn.init.zeros_(self.decoder.weight)
            nn.init.zeros_(self.decoder.bias)

    @property
    def reach(self) -> int:
        """Frames before and after that can change an output frame."""
        return self.config.frames - 1

    def windows(self, x: Tensor) -> Tensor:
        """The published network itself: (..., frames) metres of one coordinate to the same."""
        change = self.decoder(self.res_blocks(self.encoder(x)))
        return x + change if self.config.residual else change

    def smooth(self, x: Tensor) -> Tensor:
        """Whole clips by windows that slide by one frame; a frame is the mean of the windows that hold it.

        Args:
            x: (N, T) one coordinate over time in each row, metres.

        Returns:
            (N, T) likewise.
        """
        length = shape_as_tensor(x)[1]  # as a tensor, so that an exported model takes clips of any length
        rows = torch.arange(length.clamp(min=self.config.frames)).clamp(max=length - 1)  # type: ignore[call-overload]
        cut = conv1d(x[:, rows.to(x.device)][:, None], self.places).transpose(1, 2)  # (N, windows, frames)
        answers = self.windows(cut).to(x.dtype).transpose(1, 2)
        total = conv_transpose1d(answers, self.places)[:, 0]
        number = conv_transpose1d(torch.ones_like(answers[:1]), self.places)[:, 0]
        return (total / number)[:, : x.shape[1]]

    def _clip(self, evidence: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        batch, frames, joints = evidence.shape[:3]
        body = evidence[:, :, 1:, :3]  # the root is at 0 and stays there
        flat = body.permute(0, 2, 3, 1).reshape(-1, frames)
        smoothed = self.smooth(flat).reshape(batch, joints - 1, 3, frames).permute(0, 3, 1, 2)
        positions = torch.cat([torch.zeros_like(evidence[:, :, :1, :3]), smoothed.float()], 2)
        # no error is estimated; an exported model drops inputs that nothing hangs on
        return positions, 0.0 * evidence[..., 0].float() + 0.0 * clip[..., :1].float()

    def forward(self, evidence: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Smooth whole clips.

        Args:
            evidence: (B, T, 17, E) from ``contract.evidence``; only the raw pose is looked at.
            clip: (B, T, F) likewise, unused.

        Returns:
            positions (B, T, 17, 3) in metres, root at 0; log of the expected error (B, T, 17), 0 everywhere.
        """
        answer = self._clip(evidence, clip)
        if self.config.mirror and not self.training:
            return mean_with_mirror(answer, self._clip(*mirrored_evidence(evidence, clip)))
        return answer
