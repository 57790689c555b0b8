"""D3DP: poses out of noise, several hypotheses, and a choice joint by joint.

Shan et al., "Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis
Aggregation" (ICCV 2023). Written anew from the paper and the sizes of the
published weights, whose names are kept so that they can be loaded. The
denoiser is MixSTE (Zhang et al., CVPR 2022): transformer blocks that look
across joints and across time in turn, given the 2D joints, a noisy 3D pose and
how noisy it is; it answers with the clean pose. Sampling is DDIM (Song et al.,
ICLR 2021) with fresh noise at every step, over Nichol and Dhariwal's cosine
schedule (ICML 2021, eq. 17).

The paper's choice among hypotheses reprojects them with the *true* way of the
root through space, which nobody has. Here the way is solved from the pose and
its keypoints (``posemend.geometry.root``); the paper's is an option that one
must ask for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemend.body.catalogue import H36M_17
from posemend.errors import InputError, RecipeError
from posemend.geometry.root import place_root
from posemend.nn.lifters.vit import EPS, Block, full_precision, rising

FARTHEST = 1.1  # times the scale: noisy and answered coordinates are clamped to it
NEAREST = 0.1  # metres; joints are reprojected as if at least so far away

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """Sizes of a D3DP.

    Attributes:
        joints: Joints in and out: Human3.6M's 17, joint 0 is the root.
        frames: Frames of a chunk, no more and no less.
        width: Channels of a joint in a frame; even.
        depth: Pairs of a spatial and a temporal block.
        heads: Attention heads; they divide ``width``.
        mlp_ratio: Channels inside an MLP over ``width``.
        timesteps: Steps from clean to pure noise.
        scale: Metres are multiplied by it before noise is added.
        drop_path: Share of samples that skip a branch of the last block in training.
    """

    joints: int = 17
    frames: int = 243
    width: int = 512
    depth: int = 8
    heads: int = 8
    mlp_ratio: float = 2.0
    timesteps: int = 1000
    scale: float = 1.0
    drop_path: float = 0.1


def kept_signal(timesteps: int, offset: float = 0.008) -> Tensor:
    """(timesteps,) share of the signal's variance left after each step, float64: the cosine schedule.

    Each step's loss is at most 0.999, so that the last step is not quite
    nothing (2.4e-9 for 1000 steps).
    """
    step = torch.arange(timesteps + 1, dtype=torch.float64)
    curve = torch.cos((step / timesteps + offset) / (1 + offset) * math.pi / 2) ** 2
    return torch.cumprod(1 - (1 - curve[1:] / curve[:-1]).clamp(0, 0.999), 0)


def published_buffers(timesteps: int) -> dict[str, Tensor]:
    """The tables that published files hold beside the weights; all follow from ``kept_signal``."""
    kept = kept_signal(timesteps)
    before = torch.cat([torch.ones(1, dtype=kept.dtype), kept[:-1]])
    betas = 1 - kept / before
    variance = betas * (1 - before) / (1 - kept)
    return {
        "betas": betas,
        "alphas_cumprod": kept,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": kept.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - kept).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - kept).log(),
        "sqrt_recip_alphas_cumprod": (1 / kept).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / kept - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp_min(1e-20).log(),
        "posterior_mean_coef1": betas * before.sqrt() / (1 - kept),
        "posterior_mean_coef2": (1 - before) * (kept / before).sqrt() / (1 - kept),
    }


class _TimeTable(nn.Module):
    """Sines and cosines of a step number (B,) at geometric frequencies: (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, step: Tensor) -> Tensor:
        half = self.width // 2
        rates = torch.exp(torch.arange(half, device=step.device) * (-math.log(10_000) / (half - 1)))
        angle = step[:, None] * rates
        return torch.cat([angle.sin(), angle.cos()], -1)


class Denoiser(nn.Module):
    """MixSTE with a noisy pose and its step as further inputs."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config
        hidden, shares = int(c.width * c.mlp_ratio), rising(c.drop_path, c.depth)
        self.Spatial_patch_to_embedding = nn.Linear(2 + 3, c.width)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, c.joints, c.width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, c.frames, c.width))
        self.time_mlp = nn.Sequential(
            _TimeTable(c.width), nn.Linear(c.width, 2 * c.width), nn.GELU(), nn.Linear(2 * c.width, c.width)
        )
        self.STEblocks = nn.ModuleList(Block(c.width, c.heads, hidden, share) for share in shares)
        self.TTEblocks = nn.ModuleList(Block(c.width, c.heads, hidden, share) for share in shares)
        self.Spatial_norm = nn.LayerNorm(c.width, eps=EPS)
        self.Temporal_norm = nn.LayerNorm(c.width, eps=EPS)
        self.head = nn.Sequential(nn.LayerNorm(c.width), nn.Linear(c.width, 3))

    def forward(self, x2d: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        """(B, F, J, 2), (B, F, J, 3) over the scale, and (B,) step numbers to clean poses (B, F, J, 3)."""
        batch, frames, joints = x2d.shape[:3]
        with full_precision(x2d):
            x = self.Spatial_patch_to_embedding(torch.cat([x2d, noisy], -1)) + self.Spatial_pos_embed
            x = x + self.time_mlp(step.to(x.dtype))[:, None, None]
        for number, (across, along) in enumerate(zip(self.STEblocks, self.TTEblocks, strict=True)):
            x = self.Spatial_norm(across(x.reshape(batch * frames, joints, -1)))
            x = x.reshape(batch, frames, joints, -1).transpose(1, 2).reshape(batch * joints, frames, -1)
            if number == 0:
                x = x + self.Temporal_pos_embed
            x = self.Temporal_norm(along(x))
            x = x.reshape(batch, joints, frames, -1).transpose(1, 2)
        with full_precision(x2d):
            return self.head(x.to(x2d.dtype))


class D3DP(nn.Module):
    """Chunks of 2D joints to 3D joints, by denoising.

    Raises:
        RecipeError: Heads do not divide the width, or a size is one that cannot be.
    """

    kept: Tensor

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        if c.width % c.heads or c.width % 2 or c.width < 4:
            raise RecipeError(f"D3DP: {c.heads} heads do not divide a width of {c.width}, or it is odd or below 4.")
        if c.joints != len(H36M_17):
            raise RecipeError(f"D3DP wants Human3.6M's 17 joints, got {c.joints}.")
        if c.timesteps < 2 or c.scale <= 0:
            raise RecipeError(f"D3DP wants at least 2 timesteps and a scale above 0; got {c.timesteps} and {c.scale}.")
        self.pose_estimator = Denoiser(c)
        self.register_buffer("kept", kept_signal(c.timesteps), persistent=False)

    def spoiled(self, pose: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """A pose (B, F, J, 3) in metres as it is after ``step`` (B,) steps of noise: what training gives."""
        kept = self.kept[step].to(pose.dtype)[:, None, None, None]
        return kept.sqrt() * self.config.scale * pose + (1 - kept).sqrt() * noise

    def forward(self, x2d: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        """One look of the denoiser.

        Args:
            x2d: (B, frames, joints, 2); x from -1 to 1 over the image's width, y in the same unit.
            noisy: (B, frames, joints, 3) as ``spoiled`` gives it.
            step: (B,) step numbers, 0 to ``timesteps - 1``.

        Returns:
            (B, frames, joints, 3) the clean pose it believes in, metres, camera axes, not clamped.

        Raises:
            InputError: The chunk has another length.
        """
        c = self.config
        if x2d.shape[1] != c.frames:
            raise InputError(f"D3DP wants chunks of {c.frames} frames, got {x2d.shape[1]}. Cut or pad the clip.")
        limit = FARTHEST * c.scale
        return self.pose_estimator(x2d, noisy.clamp(-limit, limit) / c.scale, step)

    def _clean(self, x2d: Tensor, noisy: Tensor, step: Tensor, flip: bool) -> Tensor:
        """The clean pose times the scale, clamped; from the picture and, if asked for, its mirror image."""
        pose = self(x2d, noisy, step)
        if flip:
            pose = (pose + mirrored(self(mirrored(x2d), mirrored(noisy), step))) / 2
        limit = FARTHEST * self.config.scale
        return (pose * self.config.scale).clamp(-limit, limit)

    @torch.no_grad()
    def sample(self, x2d: Tensor, draw: Callable[[], Tensor], steps: int = 1, flip: bool = True) -> Tensor:
        """Poses out of noise (section 3.2 of the paper).

        Args:
            x2d: (B, frames, joints, 2), one row for each wanted pose: repeat a chunk for more hypotheses.
            draw: Gives standard normal noise (B, frames, joints, 3) each time it is called.
            steps: Looks of the denoiser ("K"); 1 is a single look at pure noise.
            flip: Average each look with one at the mirror image.

        Returns:
            (B, frames, joints, 3) metres, camera axes, the root at 0.

        Raises:
            InputError: ``steps`` is below 1 or above ``timesteps``.
        """
        c = self.config
        if not 1 <= steps <= c.timesteps:
            raise InputError(f"D3DP wants 1 to {c.timesteps} steps, got {steps}.")
        times = torch.linspace(-1, c.timesteps - 1, steps + 1).int().tolist()[::-1]
        kept = self.kept
        noisy = draw()
        for now, then in zip(times[:-1], times[1:], strict=True):
            step = torch.full((len(x2d),), now, device=x2d.device)
            clean = self._clean(x2d, noisy, step, flip)
            if then < 0:
                break
            noise = (noisy - kept[now].sqrt() * clean) / (1 - kept[now]).sqrt()
            fresh = ((1 - kept[now] / kept[then]) * (1 - kept[then]) / (1 - kept[now])).sqrt()  # eta = 1
            old = (1 - kept[then] - fresh**2).clamp_min(0).sqrt()
            noisy = (kept[then].sqrt() * clean + old * noise + fresh * draw()).to(x2d.dtype)
        pose = clean / c.scale
        pose[:, :, 0] = 0
        return pose


def mirrored(x: Tensor) -> Tensor:
    """(..., 17, 2 or 3) seen in a mirror: x turned round, left and right exchanged."""
    turned = x[..., list(H36M_17.mirror), :]
    return torch.cat([-turned[..., :1], turned[..., 1:]], -1)


def choose_by_reprojection(hypotheses: Floats, rays: Floats, root: Floats | None = None) -> Floats:
    """The pose put together from the joints that lie best on the keypoints (JPMA, section 3.3 of the paper).

    Args:
        hypotheses: (H, T, J, 3) root-relative, metres, camera axes.
        rays: (T, J, 2) keypoints over the focal length, origin at the principal point.
        root: (T, 3) the root's *true* way in camera axes, as the paper uses it. ``None``, and what anybody can
            have: the way that lays the mean of the hypotheses on the keypoints.

    Returns:
        (T, J, 3); the root at 0.
    """
    if root is None:
        root = place_root(hypotheses.mean(0), rays, np.ones(rays.shape[:2], np.float32))
    placed = hypotheses + root[:, None]
    seen = placed[..., :2] / np.maximum(placed[..., 2:], NEAREST)
    best = np.linalg.norm(seen - rays, axis=-1).argmin(0)  # (T, J)
    return np.take_along_axis(hypotheses, best[None, ..., None], 0)[0]


def config_of(weights: dict[str, Tensor], timesteps: int) -> Config:
    """The sizes that published weights speak of.

    Raises:
        KeyError: A weight that tells a size is missing.
        ValueError: Sizes that no such network can have.
    """
    place, time = weights["pose_estimator.Spatial_pos_embed"], weights["pose_estimator.Temporal_pos_embed"]
    if place.ndim != 3 or time.ndim != 3:
        raise ValueError(f"position tables of shape {tuple(place.shape)} and {tuple(time.shape)}")
    depth = sum(name.startswith("pose_estimator.STEblocks.") and name.endswith(".norm1.weight") for name in weights)
    ratio = weights["pose_estimator.STEblocks.0.mlp.fc1.weight"].shape[0] / place.shape[2]
    return Config(place.shape[1], time.shape[1], place.shape[2], depth, mlp_ratio=ratio, timesteps=timesteps)
