"""Martinez et al.'s residual MLP: one frame's 2D joints to 3D by plain linear layers.

"A simple yet effective baseline for 3d human pose estimation" (ICCV 2017).
Written anew from the paper; names and sizes are those of the PyTorch version
that SemGCN's authors publish weights of, which reads joints relative to the
image and answers in metres. The paper's own standardising of inputs and outputs
by the training set's mean and spread is left out: weights that need it carry no
such numbers with them. Its constraint on the norm of weights is an option.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posemend.errors import RecipeError
from posemend.nn.lifters.vit import full_precision


@dataclass(frozen=True)
class Config:
    """Sizes of the residual MLP.

    Attributes:
        joints: Joints in and out, 16 or 17 of Human3.6M; joint 0 is the root and is not answered but 0.
        width: Channels inside ("linear size").
        blocks: Residual blocks of two linear layers each.
        dropout: Share of channels switched off in training.
        max_norm: Largest norm of a weight matrix (section 3.2 of the paper), 0 for no limit. The paper's is 1.
    """

    joints: int = 17
    width: int = 1024
    blocks: int = 2
    dropout: float = 0.5
    max_norm: float = 1.0


class _Linear(nn.Linear):
    """A linear layer whose weight matrix is scaled down to ``max_norm`` where it is used.

    The norm is that of the whole matrix, as the paper's code takes it
    (TensorFlow's ``clip_by_norm``). The gradient goes through the scaling.
    """

    def __init__(self, inputs: int, outputs: int, max_norm: float) -> None:
        super().__init__(inputs, outputs)
        self.max_norm = max_norm
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.max_norm > 0:
            weight = weight * (self.max_norm / weight.norm().clamp_min(self.max_norm))
        return nn.functional.linear(x, weight, self.bias)


class _Residual(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.w1 = _Linear(config.width, config.width, config.max_norm)
        self.batch_norm1 = nn.BatchNorm1d(config.width)
        self.w2 = _Linear(config.width, config.width, config.max_norm)
        self.batch_norm2 = nn.BatchNorm1d(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(self.batch_norm1(self.w1(x)).relu())
        return x + self.dropout(self.batch_norm2(self.w2(y)).relu())


class Martinez(nn.Module):
    """2D joints in the image to root-relative 3D joints, frame by frame.

    Raises:
        RecipeError: ``max_norm`` is below 0.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        if c.max_norm < 0:
            raise RecipeError(f"Martinez: max_norm wants a number of at least 0, got {c.max_norm}.")
        self.w1 = _Linear(2 * c.joints, c.width, c.max_norm)
        self.batch_norm1 = nn.BatchNorm1d(c.width)
        self.linear_stages = nn.ModuleList(_Residual(c) for _ in range(c.blocks))
        self.w2 = _Linear(c.width, 3 * (c.joints - 1), c.max_norm)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Lift single frames.

        Args:
            x: (N, joints, 2); x from -1 to 1 over the image's width, y in the same unit.

        Returns:
            (N, joints, 3) metres, camera axes, joint 0 at 0.
        """
        with full_precision(x):
            h = self.w1(x.flatten(1))
        h = self.dropout(self.batch_norm1(h).relu())
        for block in self.linear_stages:
            h = block(h)
        with full_precision(x):
            answer = self.w2(h.to(x.dtype)).reshape(-1, self.config.joints - 1, 3)
        return torch.cat([torch.zeros_like(answer[:, :1]), answer], 1)


def config_of(weights: dict[str, Tensor]) -> Config:
    """The sizes that published weights speak of; they were trained without the limit on norms.

    Raises:
        KeyError: A weight that tells a size is missing.
        ValueError: Sizes that no such network can have.
    """
    first, last = weights["w1.weight"], weights["w2.weight"]
    if first.ndim != 2 or last.ndim != 2 or first.shape[1] % 2 or last.shape[0] % 3:
        raise ValueError(f"layers of shape {tuple(first.shape)} and {tuple(last.shape)}")
    joints, answered = first.shape[1] // 2, last.shape[0] // 3
    if answered != joints - 1:
        raise ValueError(
            f"{joints} joints in and {answered} out; wanted one less out than in, because the root is not answered. "
            "Weights with as many out as in belong to versions that standardise by the mean and spread of their "
            "training set, which the file does not hold"
        )
    blocks = sum(name.startswith("linear_stages.") and name.endswith(".w1.weight") for name in weights)
    return Config(joints, int(first.shape[0]), blocks, max_norm=0.0)
