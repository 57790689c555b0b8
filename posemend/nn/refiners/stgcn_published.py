"""The BlendMimic3D block as published: ST-GCN on a window of a few frames, six neighbour classes.

Lino et al., "3D Human Pose Estimation with Occlusions" (CVPR-W 2024), section
4, publish losses and data flow of their block and not the network; it is that
of Cai et al., "Exploiting Spatial-temporal Relationships for 3D Pose
Estimation via Graph Convolutional Networks" (ICCV 2019), fed with 3D. Written
anew from the sizes of its layers; weights have the ancestor's names.

Two forms, chosen by the recipe: the ancestor's, where limbs are pooled to a
coarser graph and joined back (``pooled = true``), and the one that Lino et
al. draw, without it. Both normalisations of the graph are here: the
ancestor's code (``"joint"``) and the paper's equation (2) (``"per-class"``).
``eps`` of the input's batch norm is 0.1 because the ancestor hands its
momentum over in that place; coordinates in metres vary by 0.01 to 0.02 m2, so
it matters.

Ours, and off for the published network: ``residual`` adds the answer to the
pose that came in, and starts the last layer at zero, so that an untrained
block changes nothing; ``expected_error`` adds an output; ``mirror`` averages
over the mirror image when not learning, which the authors do outside the
network.

Left out: the ancestor's ``post_refine`` network, which works on two
coordinates and cannot be joined to one that answers with three.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posemend.body.catalogue import H36M_17
from posemend.body.graph import PARTS, part_classes, window_classes
from posemend.errors import RecipeError
from posemend.nn.mirror import mean_with_mirror, mirrored_evidence

# the ancestor's weights hold the classes in this order: self, farther, closer, mirror, past, future
_ANCESTORS = (0, 2, 1, 3, 4, 5)


@dataclass(frozen=True)
class Config:
    """Sizes and readings of the published block.

    Attributes:
        frames: Frames of a window, odd; the paper's T is 3, the ancestor's code has up to 7.
        features: 3 reads the raw pose (Lino et al.), 2 the keypoints (Cai et al.).
        widths: Channels of the first two layers, of the third, and of the pooled branch.
        normalisation: ``"joint"`` (published code) or ``"per-class"`` (paper, equation 2).
        centre: Joint that "closer" and "farther" refer to.
        pooled: Whether there is a branch on the graph of limbs.
        eps: Of the input's batch norm; 0.1 in the ancestor's code, 1e-5 is what PyTorch has.
        dropout: Whether channels are switched off in training, by the ancestor's shares.
        residual: Answer with raw pose plus change, which starts at zero.
        expected_error: Answer with an expected error, too.
        mirror: Average over the mirror image when not learning.
        patch: Frames per token, always 1.
    """

    frames: int = 3
    features: int = 3
    widths: tuple[int, ...] = (128, 256, 512)
    normalisation: str = "joint"
    centre: str = "spine"
    pooled: bool = True
    eps: float = 0.1
    dropout: bool = True
    residual: bool = False
    expected_error: bool = False
    mirror: bool = False
    patch: int = 1


class ClassConv(nn.Module):
    """sum_k A_k (X W_k + b_k), class by class, so that only one class lies in memory at a time.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        graph: (K, N, N), row = receiver.
    """

    graph: Tensor

    def __init__(self, inputs: int, outputs: int, graph: Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs * len(graph), 1
        )  # holds the weights of all classes, as the ancestor's does
        self.register_buffer("graph", graph.transpose(1, 2).clone(), persistent=False)  # (K, N senders, N receivers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, 1, N) to (B, outputs, 1, N)."""
        graph = self.graph.to(x.dtype)
        classes = len(graph)
        weight = self.conv.weight.reshape(classes, -1, x.shape[1])  # (K, outputs, inputs)
        # biases are sent along the edges too
        sent = self.conv.bias.reshape(classes, -1).t().to(x.dtype) @ graph.sum(1)  # type: ignore[union-attr]
        flat = x.squeeze(2)
        for one, senders in zip(weight, graph, strict=True):
            sent = sent + torch.matmul(one, torch.matmul(flat, senders))
        return sent.unsqueeze(2)


class Unit(nn.Module):
    """ST-GCN unit: class convolution, norm, a pointwise layer, norm; plus what came in, if ``residual``."""

    def __init__(self, inputs: int, outputs: int, graph: Tensor, dropout: float, residual: bool = True) -> None:
        super().__init__()
        self.gcn = ClassConv(inputs, outputs, graph)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(dropout),
            nn.Conv2d(outputs, outputs, 1), nn.BatchNorm2d(outputs), nn.Dropout(dropout),
        )  # fmt: skip
        self.skips = residual
        self.residual: nn.Module = nn.Identity()
        if residual and inputs != outputs:
            self.residual = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, 1, N) to (B, outputs, 1, N)."""
        h = self.tcn(self.gcn(x))
        return (h + self.residual(x) if self.skips else h).relu()


class NonLocal(nn.Module):
    """Every node attends to every node of the window (embedded Gaussian, Wang et al. 2018); zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(width, width // 2, 1)
        self.theta = nn.Conv2d(width, width // 2, 1)
        self.phi = nn.Conv2d(width, width // 2, 1)
        norm = nn.BatchNorm2d(width)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv2d(width // 2, width, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, J) to the same."""
        g, theta, phi = (part(x).flatten(2) for part in (self.g, self.theta, self.phi))  # (B, C/2, T*J)
        affinity = torch.matmul(theta.transpose(1, 2), phi).softmax(-1)
        seen = torch.matmul(affinity, g.transpose(1, 2)).transpose(1, 2)
        return x + self.W(seen.reshape(x.shape[0], -1, x.shape[2], x.shape[3]))


class PublishedSTGCN(nn.Module):
    """Raw 3D poses to refined ones, window by window.

    Raises:
        RecipeError: Sizes that the network cannot have.
    """

    places: Tensor

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        if c.frames < 1 or c.frames % 2 == 0 or c.features not in (2, 3) or len(c.widths) != 3 or c.patch != 1:
            raise RecipeError(
                "stgcn-published wants an odd number of frames, 2 or 3 features, three widths and patch = 1; "
                f"got {c.frames}, {c.features}, {list(c.widths)} and {c.patch}."
            )
        if c.normalisation not in ("joint", "per-class"):
            raise RecipeError(f"stgcn-published: normalisation wants 'joint' or 'per-class', got '{c.normalisation}'.")
        few, some, many = c.widths
        graph = self._stack(window_classes(H36M_17, c.frames, c.centre, c.normalisation))  # type: ignore[arg-type]
        light, more, most = (0.05, 0.1, 0.25) if c.dropout else (0.0, 0.0, 0.0)
        self.data_bn = nn.BatchNorm1d(len(H36M_17) * c.features, eps=c.eps)
        self.st_gcn_networks = nn.ModuleList(
            [
                Unit(c.features, few, graph, light, residual=False),
                Unit(few, few, graph, light),
                Unit(few, some, graph, light),
            ]
        )
        if c.pooled:
            coarse = self._stack(part_classes(c.frames, c.normalisation))  # type: ignore[arg-type]
            self.st_gcn_pool = nn.ModuleList([Unit(some, many, coarse, light), Unit(many, many, coarse, light)])
            across = 3 if c.frames > 1 else 1
            self.conv4 = nn.Sequential(
                nn.Conv2d(many, many, (across, 1), padding=(across // 2, 0)),
                nn.BatchNorm2d(many), nn.ReLU(), nn.Dropout(most),
            )  # fmt: skip
            self.conv2 = nn.Sequential(
                nn.Conv2d(2 * many, some, 1), nn.BatchNorm2d(some), nn.ReLU(), nn.Dropout(more)
            )  # fmt: skip
            part_of = {name: number for number, part in enumerate(PARTS) for name in part}
            places = torch.tensor([part_of[name] for name in H36M_17.joints])
            self.register_buffer("places", places, persistent=False)
        last = 2 * some if c.pooled else some
        self.non_local = NonLocal(last)
        self.fcn = nn.Sequential(nn.Dropout(more), nn.Conv2d(last, 4 if c.expected_error else 3, 1))
        if c.residual:
            nn.init.zeros_(self.fcn[1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.fcn[1].bias)  # type: ignore[arg-type]

    @staticmethod
    def _stack(graph) -> Tensor:  # type: ignore[no-untyped-def]
        return torch.from_numpy(graph[list(_ANCESTORS[: len(graph)])])

    @property
    def reach(self) -> int:
        """Frames before and after that can change an output frame."""
        return self.config.frames // 2

    def _coarse(self, x: Tensor) -> Tensor:
        """(B, C, T, J) through the graph of limbs and back to joints, (B, C, T, J)."""
        joined = [x[..., [H36M_17.index(name) for name in part]].amax(-1) for part in PARTS]
        h = torch.stack(joined, -1)  # (B, C, T, 5)
        frames, parts = self.config.frames, len(PARTS)
        h = h.flatten(2).unsqueeze(2)
        for unit in self.st_gcn_pool:
            h = unit(h)
        h = h.reshape(h.shape[0], -1, frames, parts)
        body = self.conv4(h.amax(-1, keepdim=True)).expand(-1, -1, -1, parts)
        return self.conv2(torch.cat([body, h], 1))[..., self.places]

    def windows(self, x: Tensor) -> Tensor:
        """The published network itself.

        Args:
            x: (N, frames, 17, features) metres (or keypoints), root-relative.

        Returns:
            (N, frames, 17, 3): all frames of the window, the root not forced
            to 0. With ``expected_error`` a fourth number, its logarithm.
        """
        count, frames, joints, features = x.shape
        h = x.permute(0, 2, 3, 1).reshape(count, joints * features, frames)
        h = self.data_bn(h).reshape(count, joints, features, frames)
        h = h.permute(0, 2, 3, 1).reshape(count, features, 1, frames * joints)
        for unit in self.st_gcn_networks:
            h = unit(h)
        h = h.reshape(count, -1, frames, joints)
        if self.config.pooled:
            h = torch.cat([h, self._coarse(h)], 1)
        return self.fcn(self.non_local(h)).permute(0, 2, 3, 1)

    def _clip(self, evidence: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        c = self.config
        batch, frames, joints = evidence.shape[:3]
        x = evidence[..., :3] if c.features == 3 else evidence[..., 5:7]
        half = c.frames // 2
        if half:
            x = torch.cat([x[:, :1].expand(-1, half, -1, -1), x, x[:, -1:].expand(-1, half, -1, -1)], 1)
        # frame t of every window: the clip, moved by t
        moved = [x[:, t : (t + 1 - c.frames) or None] for t in range(c.frames)]
        stacked = torch.stack(moved, 2).reshape(batch * frames, c.frames, joints, c.features)
        out = self.windows(stacked)[:, half].reshape(batch, frames, joints, -1).float()
        positions = out[..., :3] + evidence[..., :3] if c.residual else out[..., :3]
        log_error = torch.zeros_like(out[..., 0])
        if c.expected_error:  # the root is at 0 by construction: its error is next to nothing
            log_error = torch.cat([out[:, :, :1, 3] - 7.0, out[:, :, 1:, 3] - 3.0], 2)
        log_error = log_error + 0.0 * clip[..., :1].float()  # an exported model drops inputs that nothing hangs on
        return positions - positions[:, :, :1], log_error

    def forward(self, evidence: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Refine whole clips: each frame is the middle of its own window; the ends are repeated.

        Args:
            evidence: (B, T, 17, E) from ``contract.evidence``. Only the raw
                pose is looked at (only the keypoints if ``features`` is 2).
            clip: (B, T, F) likewise, unused.

        Returns:
            positions (B, T, 17, 3) in metres, root at 0; log of the expected
            error (B, T, 17), 0 everywhere unless ``expected_error``: the
            published network does not estimate it.
        """
        answer = self._clip(evidence, clip)
        if self.config.mirror and not self.training:
            return mean_with_mirror(answer, self._clip(*mirrored_evidence(evidence, clip)))
        return answer
