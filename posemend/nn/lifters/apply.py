"""A published lifter as its authors run it: keypoints in, 3D out, nothing known of occlusion.

One way in and out for all of them. They cannot be told that a joint is missing,
so gaps are filled by straight lines in time, scores and flags are not looked
at, and every joint of the answer is as good as any other. That habit is what
errs when joints are hidden; it is kept because it is what people do.

How frames are cut differs from network to network:

- single frames (``Martinez``, ``SemGCN``): many at once;
- ``VideoPose3D``: the whole clip, first and last frame repeated beyond the ends;
- ``PoseFormerV2``: one window around each frame, ends repeated likewise;
- ``D3DP``: chunks side by side. What is left over at the end is answered from
  the last whole chunk of frames, and only what no other chunk answered is taken
  of it; a clip shorter than a chunk is filled up with its last frame, and those
  frames are dropped again. (The published evaluation counts both twice.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, singledispatch
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.contract.codec import rays_of
from posemend.errors import InputError
from posemend.filters import fill_gaps
from posemend.nn.lifters.d3dp import D3DP, choose_by_reprojection
from posemend.nn.lifters.martinez import Martinez
from posemend.nn.lifters.poseformerv2 import PoseFormerV2
from posemend.nn.lifters.semgcn import SemGCN
from posemend.nn.lifters.videopose3d import VideoPose3D

Floats = NDArray[np.float32]

FRAMES_AT_ONCE = 4096  # of networks that see one frame, and answers of VideoPose3D
WINDOWS_AT_ONCE = 256  # of PoseFormerV2
TOKENS_AT_ONCE = 30_000  # joints times frames of D3DP


@dataclass(frozen=True)
class Manner:
    """How a lifter is run, where there is a choice.

    Attributes:
        flip: Average with the answer to the mirror image. ``None`` as its authors do:
            windows and chunks yes, single frames no.
        hypotheses: Poses that D3DP draws ("H"); one is chosen joint by joint.
        steps: Looks of its denoiser ("K").
        seed: Of its noise; each clip starts anew, so the answer depends on the clip alone.
        skeleton: Which joints VideoPose3D is given, where 17 could be several: its published weights
            want Human3.6M's, or COCO's. ``None`` for Human3.6M's.
    """

    flip: bool | None = None
    hypotheses: int = 1
    steps: int = 1
    seed: int = 0
    skeleton: Skeleton | None = None


def normalise(pixels: Floats, width: int, height: int) -> Floats:
    """Pixels (..., 2) to x in -1 ... 1 and y in the same unit: the convention of Human3.6M's lifters."""
    return (pixels / width * 2 - np.array([1, height / width])).astype(np.float32)


def turned_round(x: Tensor, skeleton: Skeleton) -> Tensor:
    """(..., J, 2 or 3) as in a mirror: x turned round, left and right exchanged by name."""
    swapped = x[..., list(skeleton.mirror), :]
    return torch.cat([-swapped[..., :1], swapped[..., 1:]], -1)


def repeated_ends(x: Tensor, before: int, after: int) -> Tensor:
    """(T, ...) with the first frame repeated ``before`` times and the last one ``after`` times."""
    return torch.cat([x[:1].expand(before, *x.shape[1:]), x, x[-1:].expand(after, *x.shape[1:])])


@singledispatch
def answer(network: nn.Module, x: Tensor) -> Tensor:
    """What a network answers for each frame of one clip.

    Args:
        network: One of the published lifters, in evaluation mode.
        x: (T, J, 2) from ``normalise``.

    Returns:
        (T, J', 3) metres, camera axes.

    Raises:
        InputError: The network is none of them.
    """
    raise InputError(f"{type(network).__name__} is no published lifter that can be run by itself.")


def frame_by_frame(network: nn.Module) -> bool:
    """Whether a lifter answers for each frame by itself."""
    return isinstance(network, (Martinez, SemGCN))


@answer.register(Martinez)
@answer.register(SemGCN)
def _by_frame(network: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([network(part) for part in x.split(FRAMES_AT_ONCE)])


@answer.register
def _by_clip(network: VideoPose3D, x: Tensor) -> Tensor:
    padded = repeated_ends(x, *network.pad)
    field = network.receptive_field
    if network.config.strided:  # one window for each answer
        windows = padded.unfold(0, field, 1).movedim(-1, 1)
        return torch.cat([network.lift(part)[:, 0] for part in windows.split(WINDOWS_AT_ONCE)])
    starts = range(0, len(x), FRAMES_AT_ONCE)
    parts = [padded[first : first + FRAMES_AT_ONCE + field - 1] for first in starts]
    return torch.cat([network.lift(part[None])[0] for part in parts])


@answer.register
def _by_window(network: PoseFormerV2, x: Tensor) -> Tensor:
    half = network.config.frames // 2
    windows = repeated_ends(x, half, half).unfold(0, network.config.frames, 1).movedim(-1, 1)  # (T, F, J, 2)
    return torch.cat([network(part)[:, 0] for part in windows.split(WINDOWS_AT_ONCE)])


def chunks(frames: int, length: int) -> Iterator[tuple[int, int]]:
    """Where chunks of ``length`` frames begin, and the first frame that is taken of each: every frame once."""
    for start in range(0, frames, length):
        yield max(0, min(start, frames - length)), start


def _noise(like: Tensor, chance: torch.Generator) -> Tensor:
    """Standard normal numbers, three for each joint of (B, F, J, 2); drawn on the processor, alike on every device."""
    return torch.randn(*like.shape[:-1], 3, generator=chance).to(like)


def hypotheses_of(network: D3DP, x: Tensor, manner: Manner) -> Floats:
    """D3DP's hypotheses (H, T, 17, 3) for a clip (T, 17, 2), metres, camera axes, the root at 0."""
    c = network.config
    if manner.hypotheses < 1:
        raise InputError(f"D3DP wants at least 1 hypothesis, got {manner.hypotheses}.")
    chance = torch.Generator().manual_seed(manner.seed)
    padded = repeated_ends(x, 0, max(0, c.frames - len(x)))
    places = list(chunks(len(x), c.frames))
    cut = torch.stack([padded[first : first + c.frames] for first, _ in places])
    rows = cut.repeat(manner.hypotheses, 1, 1, 1)  # hypothesis by hypothesis, each of all chunks
    found = []
    for part in rows.split(max(1, TOKENS_AT_ONCE // (c.frames * c.joints))):
        draw = partial(_noise, part, chance)
        found.append(network.sample(part, draw, manner.steps, manner.flip is not False))
    poses = torch.cat(found).reshape(manner.hypotheses, len(places), c.frames, c.joints, 3)
    taken = [
        poses[:, number, start - first : min(c.frames, len(x) - first)] for number, (first, start) in enumerate(places)
    ]
    return torch.cat(taken, 1).float().cpu().numpy()


def _skeletons(network: nn.Module, manner: Manner) -> tuple[Skeleton, Skeleton]:
    """What is given and what is answered."""
    if isinstance(network, VideoPose3D):
        c = network.config
        known = {16: H36M_16, 17: H36M_17}
        given = manner.skeleton or known.get(c.joints_in)
        if c.in_features != 2 or given is None or len(given) != c.joints_in or c.joints_out not in known:
            raise InputError(
                f"This VideoPose3D takes {c.joints_in} joints of {c.in_features} numbers and gives {c.joints_out}; "
                "wanted 16 or 17 joints (x, y), or as many as the skeleton has that it was named with."
            )
        return given, known[c.joints_out]
    joints: Any = getattr(network.config, "joints", None)
    both = {16: H36M_16, 17: H36M_17}.get(joints)
    if both is None:
        raise InputError(f"{type(network).__name__} has {joints} joints; 16 or 17 of Human3.6M are wanted.")
    return both, both


def lift(network: nn.Module, pose2d: Pose2D, manner: Manner | None = None, root: Floats | None = None) -> Pose3D:
    """Lift a recording as people do who do not care about occlusion.

    Absent joints (score 0) are put on a straight line in time between the
    frames that have them, held at the ends, and put amid the others if no
    frame has them; scores and flags are not looked at otherwise.

    Args:
        network: A published lifter (``posemend.nn.published``), or one trained by a ``blind`` recipe.
        pose2d: Any skeleton that the network's joints can be made from; ``width`` and ``height`` known.
        manner: How it is run; as its authors do if left out.
        root: D3DP with several hypotheses only: (T, 3) the *true* way of the pelvis in camera axes, metres, to
            choose by as the paper does. Results that used it are not to be compared with others.

    Returns:
        Human3.6M's 17 joints, metres, frame ``"root"``, score 1; a nose that the network does not
        have is half-way from thorax to head top. Flags and clock are those of ``pose2d``.

    Raises:
        InputError: The image size is not known, no joint is present at all, or the network is none of these.
        SkeletonError: The skeletons have too little in common.
    """
    manner = manner or Manner()
    camera = pose2d.camera
    width = pose2d.width or (camera.width if camera else None)
    height = pose2d.height or (camera.height if camera else None)
    if not width or not height:
        raise InputError(
            f"The frame size is missing: {type(network).__name__} reads joints relative to the image. "
            "Wanted width and height in pixels; give --width and --height (or width=, height= in Python)."
        )
    if root is not None and root.shape != (len(pose2d), 3):
        raise InputError(f"lift wants a root of shape {(len(pose2d), 3)}, got {root.shape}.")
    given, answered = _skeletons(network, manner)
    filled = fill_gaps(to_skeleton(pose2d, given))
    weight = next(network.parameters())
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            x = torch.from_numpy(normalise(filled.positions, width, height)).to(weight.device, weight.dtype)
            positions = _root_relative(network, x, filled, answered, manner, root)
    finally:
        network.train(was_training)
    pose = to_skeleton(Pose3D(positions, answered, fps=pose2d.fps, frame="root", name=pose2d.name), H36M_17)
    visible = to_skeleton(pose2d, H36M_17).visible
    return Pose3D(
        pose.positions, H36M_17, score=pose.score, visible=visible, fps=pose2d.fps, frame="root", name=pose2d.name
    )


def lift_array(network: nn.Module, xy: Floats, manner: Manner | None = None) -> Floats:
    """The same for bare arrays, as training a refiner wants it.

    Args:
        network: As for ``lift``.
        xy: (T, 17, 2) Human3.6M's joints, no gaps; x from -1 to 1 over the image's width, y in the same unit.
        manner: How it is run; as its authors do if left out.

    Returns:
        (T, 17, 3) root-relative, metres, camera axes.

    Raises:
        InputError: As ``lift``.
    """
    # an image two pixels wide and high, whose middle is where xy is 0
    return lift(network, Pose2D(xy + 1, H36M_17, width=2, height=2), manner).positions


def _root_relative(
    network: nn.Module, x: Tensor, filled: Pose2D, answered: Skeleton, manner: Manner, root: Floats | None
) -> Floats:
    if isinstance(network, D3DP):
        found = hypotheses_of(network, x, manner)
        return found[0] if len(found) == 1 else choose_by_reprojection(found, rays_of(filled)[0], root)
    lifted = answer(network, x)
    if manner.flip or (manner.flip is None and not frame_by_frame(network)):
        lifted = (lifted + turned_round(answer(network, turned_round(x, filled.skeleton)), answered)) / 2
    positions = lifted.float().cpu().numpy()
    return positions - positions[:, :1]
