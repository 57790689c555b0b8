"""The last step of the depth chain: all frames of a clip, and all that is known of each joint, to one pose.

RefiNet (D'Eusanio et al., ICPR 2020) ends with module C, frame by frame. A
joint that something hides has no depth there, and often a bad keypoint; what
says where it is are the frames in which it was seen, the lifter's pose, and the
keypoint's ray. This network is shown those (``contract.depth_time``) and moves a
first estimate, the mean weighted by expected errors, by what dilated
convolutions over time make of them. Its expected error also knows how late maps
and wrong lenses look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from posemend.contract.depth import JOINTS
from posemend.contract.depth_time import FAULTS, TIME_FEATURES


@dataclass(frozen=True)
class Config:
    """Options.

    Attributes:
        width: Channels of each joint.
        dilations: Of the convolutions, three frames each; their sum is how many frames to each side count.
        shared: Channels in which joints tell one another what they know, after each convolution.
        dropout: Share of what joints tell one another that is dropped in training.
    """

    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    shared: int = 8
    dropout: float = 0.2


class TimeRefiner(nn.Module):
    """Evidence over time to offsets from the estimate and expected errors.

    Each round looks along time, joint by joint with the same weights, and then
    across the body: joints tell one another a few numbers, and hear something each
    of its own. So a hidden ankle follows the knee that was seen. What speaks against
    a clip as a whole moves no joint, but makes errors expected larger: films could
    be told apart by it, and learned by heart.
    """

    inputs: ClassVar[tuple[str, ...]] = ("evidence", "faults")
    outputs: ClassVar[tuple[str, ...]] = ("offset", "log_error")
    over_time: ClassVar[bool] = True  # inputs are (B, T, ...): for export
    names: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.reach = sum(config.dilations)
        self.enter = nn.Linear(TIME_FEATURES + JOINTS, width)
        self.mix = nn.ModuleList(nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in config.dilations)
        told = JOINTS * config.shared
        self.tell = nn.ModuleList(nn.Linear(width, config.shared) for _ in config.dilations)
        self.across = nn.ModuleList(nn.Linear(told, told) for _ in config.dilations)
        self.hear = nn.ModuleList(nn.Linear(config.shared, width) for _ in config.dilations)
        self.dropout = nn.Dropout(config.dropout)
        self.answer = nn.Sequential(nn.Linear(width + JOINTS, 64), nn.ReLU())
        self.last = nn.Linear(64, 3)
        self.doubt = nn.Sequential(nn.Linear(width + JOINTS + FAULTS, 32), nn.ReLU(), nn.Linear(32, 1))
        for layer in (self.last, cast(nn.Linear, self.doubt[-1])):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("names", torch.eye(JOINTS), persistent=False)

    def example(self, batch: int) -> tuple[Tensor, Tensor]:
        """Input of the right form, for export and tests."""
        chance = torch.Generator().manual_seed(batch)
        evidence = torch.randn(2, batch, JOINTS, TIME_FEATURES, generator=chance) * 0.5
        return evidence, torch.randn(2, batch, FAULTS, generator=chance) * 0.2

    def forward(self, evidence: Tensor, faults: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets (B, T, 15, 3) in metres, and log expected errors (B, T, 15).

        Args:
            evidence: (B, T, 15, 21), see ``contract.depth_time``.
            faults: (B, T, 5).
        """
        batch, frames = evidence.shape[:2]
        names = self.names.expand(batch, frames, JOINTS, JOINTS)
        x = torch.relu(self.enter(torch.cat([evidence, names], -1)))
        width = x.shape[-1]
        for along, tell, across, hear in zip(self.mix, self.tell, self.across, self.hear, strict=True):
            one = x.permute(0, 2, 3, 1).reshape(-1, width, frames)  # joints are samples
            one = one + torch.relu(along(one))
            x = one.reshape(batch, JOINTS, width, frames).permute(0, 3, 1, 2)
            said = torch.relu(across(self.dropout(tell(x).flatten(2))))
            x = x + hear(said.reshape(batch, frames, JOINTS, -1))
        known = torch.cat([x, names], -1)
        told = faults[:, :, None].expand(batch, frames, JOINTS, FAULTS).abs()  # either way is wrong
        doubt = self.doubt(torch.cat([known, told], -1))[..., 0]
        # the estimate's own expected error is where the answer's begins
        return self.last(self.answer(known)) * 0.1, doubt + evidence[..., 15] - 3
