"""What can be taught without 3D truth: the picture, the skeleton, and what labelled people are like.

- Reprojection: a root-relative pose, put where it best fits its own keypoints,
  should be seen where they are. WS-GCN and VideoPose3D (Pavllo et al., CVPR
  2019, section 4) want the root's trajectory for this; the published WS-GCN
  reads it from the truth of the "unlabelled" people, VideoPose3D trains a second
  network. Here it is solved: the equations are linear in the root, so the
  answer has a closed form, and gradients pass through it.
- Bone lengths: on average those of the labelled people (both papers); the same
  in all frames of a clip; inside the range of labelled people. Left as long as
  right is ``losses.symmetry``.

Image positions are those of the codec's virtual camera (x/z, y/z); poses are
in its axes, metres.
"""

from __future__ import annotations

import torch
from torch import Tensor

from posemend.body.skeleton import Skeleton

NEAREST = 0.3  # metres; nearer than this a body is not seen whole
LEAST = 3  # joints that a placement wants


def _length(x: Tensor) -> Tensor:
    return torch.sqrt((x * x).sum(-1) + 1e-12)


def place_root(positions: Tensor, image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Where the root is: the shift that best lays each pose on its image.

    ``(X + t)_xy = image * (X + t)_z`` is linear in ``t``; weighted least
    squares in closed form, differentiable in ``positions``.

    Args:
        positions: (..., J, 3) root-relative, metres.
        image: (..., J, 2) x/z and y/z.
        weight: (..., J) from 0; frames with fewer than three joints cannot be placed.

    Returns:
        (..., 3) metres, and (...) 1 where it could be placed at all, else 0 (the
        root is then 3 m ahead, without a gradient).
    """
    x, y = image[..., 0].double(), image[..., 1].double()
    position, w = positions.double(), weight.double()
    right_x = x * position[..., 2] - position[..., 0]
    right_y = y * position[..., 2] - position[..., 1]
    total = w.sum(-1).clamp_min(1e-9)
    mean_x, mean_y = (w * x).sum(-1) / total, (w * y).sum(-1) / total
    dx, dy = x - mean_x[..., None], y - mean_y[..., None]
    # with t_x and t_y eliminated, one equation is left: the spread of the image against that of the right sides
    lower = (w * (dx * dx + dy * dy)).sum(-1)
    upper = -(w * (dx * right_x + dy * right_y)).sum(-1)
    good = ((weight > 0).sum(-1) >= LEAST) & (lower > 1e-7 * total)
    depth = upper / torch.where(good, lower, torch.ones_like(lower))
    good = good & (depth > NEAREST)
    depth = torch.where(good, depth, torch.full_like(depth, 3.0))
    shift_x = torch.where(good, (w * right_x).sum(-1) / total + mean_x * depth, 3.0 * mean_x)
    shift_y = torch.where(good, (w * right_y).sum(-1) / total + mean_y * depth, 3.0 * mean_y)
    return torch.stack([shift_x, shift_y, depth], -1).to(positions.dtype), good.to(positions.dtype)


def reprojection(positions: Tensor, image: Tensor, weight: Tensor, size: Tensor, root: Tensor | None = None) -> Tensor:
    """Mean distance in the image between keypoints and the pose seen, in sizes of the person.

    One size is the root mean square distance of the joints from their middle,
    about half a metre on an upright body, so the figure is comparable to metres.

    Args:
        positions: (B, T, J, 3) root-relative, metres.
        image: (B, T, J, 2).
        weight: (B, T, J) how much each keypoint is believed; 0 = none.
        size: (B, T) in the unit of ``image``.
        root: (B, T, 3) the root's true place, if it is known (which leaks depth and scale); ``None`` solves it.
    """
    if root is None:
        root, good = place_root(positions, image, weight)
        weight = weight * good[..., None]
    points = positions + root[..., None, :]
    depth = points[..., 2:].clamp_min(0.1)
    off = (points[..., :2] / depth - image) / size[..., None, None]
    return (_length(off) * weight).sum() / weight.sum().clamp_min(1e-6)


def bone_lengths(positions: Tensor, skeleton: Skeleton) -> Tensor:
    """(..., bones) metres of (..., J, 3)."""
    parents, children = (list(ends) for ends in zip(*skeleton.bone_indices, strict=True))
    return _length(positions[..., children, :] - positions[..., parents, :])


def mean_bones(positions: Tensor, lengths: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean absolute difference between the batch's mean bone lengths and those of labelled people.

    Args:
        positions: (B, T, J, 3) of people without labels.
        lengths: (bones,) mean lengths of labelled people, metres.
        skeleton: Whose bones.
    """
    found = bone_lengths(positions, skeleton)
    return (found.flatten(0, -2).mean(0) - lengths).abs().mean()


def constant_bones(positions: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean standard deviation of bone lengths over the time of a clip, metres. (B, T, J, 3), T at least 2."""
    found = bone_lengths(positions, skeleton)
    off = found - found.mean(1, keepdim=True)
    return torch.sqrt((off * off).mean(1) + 1e-12).mean()


def usual_bones(positions: Tensor, low: Tensor, high: Tensor, skeleton: Skeleton) -> Tensor:
    """Mean amount by which a clip's mean bone lengths leave the range of labelled people, metres.

    Args:
        positions: (B, T, J, 3).
        low, high: (bones,) metres.
        skeleton: Whose bones.
    """
    found = bone_lengths(positions, skeleton).mean(1)
    return ((low - found).clamp_min(0) + (found - high).clamp_min(0)).mean()


def consistency(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Mean distance between what a student says of a hidden view and its teacher of the whole one, metres.

    Args:
        student: (B, T, J, 3).
        teacher: (B, T, J, 3); nothing flows back into it.
        weight: (B, T, J) how much the teacher believes itself.
    """
    distance = _length(student - teacher.detach())
    return (distance * weight).sum() / weight.sum().clamp_min(1e-6)
