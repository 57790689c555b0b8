"""The occlusion-resilient graph: joints over time as nodes, hidden ones cut off from sending.

Roy et al., "Occlusion Resilient 3D Human Pose Estimation" (arXiv 2402.11036):
a lifter's 3D joints over T frames are nodes of one graph; skeleton edges
inside a frame, edges from a joint to itself at t +- k * stride for k = 1 ...
t_p; graph convolutions refine the poses. In training a fixed set of
structured masks (``posemend.occlusion.masks``) switches joints, and with them
their edges, off for spans of time; so the network learns to do without them.

Neither code nor sizes, kind of convolution, t_p's meaning or the treatment at
test time are published as far as we could find; these are ours. Each layer is
a graph convolution with weights by class of neighbour (self, closer to the
middle of the body, farther, each step in time) and symmetric normalisation,
degrees counted anew after masking, with a residual. As the graph repeats
itself in time, it runs over whole clips; T is what it is trained on.

A hidden joint sends nothing, and what was said about it is not looked at: it
begins as a learned token, listens to the joints that were seen, and is put
between two guesses, by a gate, plus predicted changes (``masked_carry``): its
place relative to the root between the last and the next time that it was
seen, and its parent's answer plus the bone that it was seen with. Seen joints
are answered with the raw pose plus a change that starts at zero. Raw poses
are relative to the pelvis; where that is hidden they are moved to where the
seen joints say that it is. Hidden is what the evidence trusts less than
``SEEN``; training masks hide more. Beside its position each joint shows the
bone to its parent, where both were seen; all nodes are told which joints of
their frame were seen.

Beyond the paper: attention to the seen joints of the same frame, as a limb
that is hidden as a whole has no neighbour left to listen to; expected errors.
Left out: the paper's semi-supervised training on several views.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posemend.body.catalogue import H36M_17
from posemend.contract.codec import SEEN
from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES, OPINION
from posemend.errors import RecipeError
from posemend.nn.mirror import mean_with_mirror, mirrored_evidence
from posemend.nn.refiners.masked_carry import bones_of, carried, hung, placed, rooted
from posemend.nn.refiners.masked_layers import Layer, Noise, SeenAttention
from posemend.occlusion.masks import omega

# metres downwards from its parent, of somebody who stands: where predicted bones begin
_HANGS = {
    "knee": 0.42, "ankle": 0.42, "spine": -0.24, "thorax": -0.25, "nose": -0.1, "head_top": -0.12, "elbow": 0.28,
    "wrist": 0.25,
}  # fmt: skip

_TRUST = 8  # evidence's channel
_FREE = 1.5  # hidden joints begin with sigmoid(-1.5) = 18 % of the way to where their bone hangs
_FRAME_RATE, _HAS_OPINION = 3, 6  # clip's channels


@dataclass(frozen=True)
class Config:
    """Sizes of the graph network.

    Attributes:
        width: Channels of a node.
        neighbours: t_p, neighbours in time on either side of a node.
        strides: Delta of each layer, in frames; the paper's graph has the same for all. As many layers as strides.
        inputs: ``"pose"``: raw position, bone and trust, as in the paper; ``"evidence"``: all that refiners are shown.
        hide: ``"trust"``: joints trusted less than ``SEEN`` are hidden; ``"never"``: all are taken as seen.
        memory: Frames over which a hidden joint is told with which place and bone it was last and will next be seen.
        attention: Whether nodes also attend to the seen joints of their frame.
        masks: At test time, average over the answer without and with each of so many masks; 0 = no averaging.
        share, overlap, frames, masks_seed: Of these masks, see ``posemend.occlusion.masks.omega``.
        mirror: Average over the mirror image when not learning.
        patch: Frames per token, always 1.
    """

    width: int = 64
    neighbours: int = 2
    strides: tuple[int, ...] = (1, 2, 4, 8, 1)
    inputs: str = "evidence"
    hide: str = "trust"
    memory: int = 512
    attention: bool = True
    masks: int = 0
    share: float = 0.2
    overlap: float = 0.1
    frames: int = 32
    masks_seed: int = 0
    mirror: bool = False
    patch: int = 1


class MaskedSTGCN(nn.Module):
    """3D poses with evidence to repaired 3D poses with expected errors; hidden joints are inferred from seen ones.

    Raises:
        RecipeError: Sizes that the network cannot have.
    """

    masks: Tensor

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        if not c.strides or min(c.strides) < 1 or min(c.neighbours, c.memory) < 0 or c.patch != 1:
            raise RecipeError(
                "masked-graph wants strides of 1 or more, one for each layer, neighbours and memory of 0 or more "
                f"and patch = 1; got {list(c.strides)}, {c.neighbours}, {c.memory} and {c.patch}."
            )
        if c.inputs not in ("pose", "evidence") or c.hide not in ("trust", "never"):
            raise RecipeError(
                "masked-graph: inputs wants 'pose' or 'evidence' and hide wants 'trust' or 'never'; "
                f"got '{c.inputs}' and '{c.hide}'."
            )
        joints = len(H36M_17)
        everything = c.inputs == "evidence"
        self.stem = nn.Linear((EVIDENCE_FEATURES if everything else 4) + 3, c.width)
        self.clip = nn.Linear(EVIDENCE_CLIP_FEATURES if everything else 1, c.width)
        self.identity = nn.Parameter(torch.randn(joints, c.width) * 0.1)
        self.token = nn.Parameter(torch.randn(joints, c.width) * 0.1)
        hangs = [_HANGS.get(name.removeprefix("l_").removeprefix("r_"), 0.0) for name in H36M_17.joints]
        self.hang = nn.Linear(9, c.width)
        self.pattern = nn.Linear(joints, c.width, bias=False)
        self.bones = nn.Parameter(torch.tensor([[0.0, down, 0.0] for down in hangs]))
        self.layers = nn.ModuleList(Layer(c.width, stride, c.neighbours) for stride in c.strides)
        self.attention = nn.ModuleList(SeenAttention(c.width) for _ in c.strides[1::2] if c.attention)
        self.norm = nn.LayerNorm(c.width)
        self.head = nn.Linear(c.width, 8)  # change (3), change of bone (3), log error, gate
        nn.init.zeros_(self.head.weight)  # seen joints begin unchanged, hidden ones where they were seen
        nn.init.zeros_(self.head.bias)
        if c.masks:
            masks = omega(c.masks, c.share, c.overlap, c.frames, joints, seed=c.masks_seed)
            self.register_buffer("masks", torch.from_numpy(masks), persistent=False)

    @property
    def reach(self) -> int:
        """Frames before and after that can change an output frame."""
        return 2 * self.config.memory + self.config.neighbours * sum(self.config.strides)

    def forward(
        self, evidence: Tensor, clip: Tensor, keep: Tensor | None = None, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Refine whole clips.

        Args:
            evidence: (B, T, 17, E) from ``contract.evidence``.
            clip: (B, T, F) likewise.
            keep: (B, T, 17) false = hidden by a training mask.
            noise: (3,) chances of edges and of channels to be dropped, and a seed: what training without masks does.

        Returns:
            positions (B, T, 17, 3) in metres, root at 0; log of the expected error (B, T, 17), metres.
        """
        seen = evidence[..., _TRUST] >= SEEN
        if self.config.hide == "never":
            seen = torch.ones_like(seen)
        if keep is not None:
            seen = seen & keep
        if self.training:
            return self._answer(evidence, clip, seen, noise)
        answer = self._averaged(evidence, clip, seen, noise)
        if self.config.mirror:
            swapped = seen[:, :, list(H36M_17.mirror)]
            return mean_with_mirror(answer, self._averaged(*mirrored_evidence(evidence, clip), swapped, noise))
        return answer

    def _averaged(self, evidence: Tensor, clip: Tensor, seen: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """The answer, averaged over masks if the network has any to average over.

        A joint that was seen is averaged over those answers that were allowed
        to see it: hiding it on purpose would only lose what is known.
        """
        if not self.config.masks:
            return self._answer(evidence, clip, seen, noise)
        batch, frames, joints = seen.shape
        masks = self.masks[:, torch.arange(frames, device=seen.device) % self.config.frames]
        masks = torch.cat([torch.zeros_like(masks[:1]), masks])[None]  # (1, M, T, J), the first one hides nothing
        count = self.config.masks + 1

        def again(x: Tensor) -> Tensor:
            return x[:, None].expand(-1, count, *x.shape[1:]).flatten(0, 1)

        allowed = seen[:, None] & ~masks
        positions, log_error = self._answer(again(evidence), again(clip), allowed.flatten(0, 1), noise)
        positions = positions.reshape(batch, count, frames, joints, 3)
        errors = log_error.reshape(batch, count, frames, joints).exp()
        weight = (allowed | ~seen[:, None]).float()
        weight = (weight / weight.sum(1, keepdim=True))[..., None]
        mean = (positions * weight).sum(1)
        apart = (positions - mean[:, None]).square().sum(-1)
        variance = ((errors.square() + apart) * weight[..., 0]).sum(1)
        return mean, 0.5 * variance.clamp_min(1e-12).log()

    def _answer(self, evidence: Tensor, clip: Tensor, seen: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        chance = None
        if noise is not None:
            edges, features, seed = noise.tolist()
            generator = torch.Generator(device=evidence.device).manual_seed(int(seed))
            chance = Noise(edges, features, generator)
        raw = rooted(evidence[..., :3], seen, self.bones, self.config.memory)
        toward = self._toward(evidence, clip, raw)
        if self.config.inputs == "pose":
            given = torch.cat([raw, evidence[..., _TRUST : _TRUST + 1]], -1)
            whole = clip[..., _FRAME_RATE : _FRAME_RATE + 1]
        else:
            given = torch.cat([raw, evidence[..., 3 : OPINION.start], toward, evidence[..., OPINION.stop :]], -1)
            whole = clip
        bones, known = bones_of(evidence[..., :3], seen)
        kept, near = carried(bones, known, self.bones, clip[..., _FRAME_RATE], self.config.memory)
        places, ever = placed(raw, seen, hung(raw, kept, seen), self.config.memory)
        x = self.stem(torch.cat([given, bones.to(given.dtype)], -1))
        token = self.token.to(x.dtype) + self.hang(torch.cat([kept, near, places, ever], -1).to(given.dtype))
        x = torch.where(seen[..., None], x, token.to(x.dtype))  # nothing of a hidden joint gets in
        # lifters of whole bodies err at seen joints too where others are hidden: all are told how far each is trusted
        shown = torch.where(seen, evidence[..., _TRUST], torch.zeros_like(evidence[..., _TRUST]))
        x = x + self.identity.to(x.dtype) + (self.clip(whole) + self.pattern(shown))[:, :, None]
        sends = seen[..., None].to(x.dtype)
        for number, layer in enumerate(self.layers):
            x = layer(x, sends, chance)
            if number % 2 and self.config.attention:
                x = self.attention[number // 2](x, sends)
        x = self.head(self.norm(x)).float()
        own = torch.where(seen[..., None], raw, places) + x[..., :3]
        if self.config.inputs == "evidence":
            own = own + torch.tanh(x[..., 7:]) * torch.where(seen[..., None], toward, torch.zeros_like(toward))
        # the root is at 0 by construction: its error is next to nothing
        log_error = torch.cat([x[:, :, :1, 6] - 7.0, x[:, :, 1:, 6] - 3.0], 2)
        hangs = torch.where(seen[..., None], torch.zeros_like(x[..., 7:]), torch.sigmoid(x[..., 7:] - _FREE))
        return hung(own, kept + x[..., 3:6], seen, hangs), log_error

    @staticmethod
    def _toward(evidence: Tensor, clip: Tensor, raw: Tensor) -> Tensor:
        """(B, T, 17, 3) from the pose that is worked on to the opinion; 0 where there is none."""
        given = clip[:, :, None, _HAS_OPINION : _HAS_OPINION + 1] > 0
        return torch.where(given, evidence[..., OPINION] + (evidence[..., :3] - raw), torch.zeros_like(raw))


def monte_carlo(
    network: MaskedSTGCN, evidence: Tensor, clip: Tensor, features: float, passes: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """MC-dropout at test time (Gal & Ghahramani, ICML 2016): mean over passes with channels dropped.

    Args:
        network: Trained with channels dropped.
        evidence, clip: As for the network.
        features: Chance of a channel to be dropped.
        passes: How many answers.
        seed: Of all chance.

    Returns:
        positions and log expected errors; the errors include how far the answers lie apart.
    """
    with in_use(network), torch.no_grad():
        answers = [
            network(evidence, clip, None, torch.tensor([0.0, features, seed + number], dtype=torch.float64))
            for number in range(passes)
        ]
    positions = torch.stack([positions for positions, _ in answers])
    errors = torch.stack([log_error for _, log_error in answers]).exp()
    mean = positions.mean(0)
    variance = errors.square().mean(0) + (positions - mean).square().sum(-1).mean(0)
    return mean, 0.5 * variance.clamp_min(1e-12).log()


@contextmanager
def in_use(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode for a while."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
