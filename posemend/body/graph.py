"""The body as a graph: hop distance and the six neighbour classes.

Lino et al. (CVPR-W 2024, section 4, after Cai et al., ICCV 2019) sort the
neighbours of a joint into six classes, each with its own weights: itself,
neighbours closer to the middle of the body, neighbours farther from it, the
mirror joint, the same joint one step earlier and one step later.

Two readings of time are here: ``six_classes`` for clips of any length, and
``window_classes`` for a graph of a few frames with a beginning and an end, as
the published networks have it; ``part_classes`` is the coarser graph of limbs
that Cai et al. pool it to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from posemend.body.skeleton import Skeleton
from posemend.errors import SkeletonError

CLASSES = ("self", "closer", "farther", "mirror", "past", "future")
Normalisation = Literal["per-class", "joint"]


def hops(skeleton: Skeleton, centre: str) -> NDArray[np.int64]:
    """Number of bones from each joint to ``centre``.

    Raises:
        SkeletonError: Some joint cannot be reached.
    """
    distance = np.full(len(skeleton), -1)
    distance[skeleton.index(centre)] = 0
    for _ in range(len(skeleton)):
        for a, b in skeleton.bone_indices:
            for here, there in ((a, b), (b, a)):
                if distance[here] >= 0 and distance[there] < 0:
                    distance[there] = distance[here] + 1
    if (distance < 0).any():
        raise SkeletonError(f"Skeleton '{skeleton.name}' is not connected; the graph needs one body.")
    return distance


@dataclass(frozen=True)
class SixClasses:
    """Adjacency of the six classes.

    Attributes:
        spatial: (4, J, J) self, closer, farther, mirror; row = the joint that
            receives, column = the neighbour that sends.
        temporal: (2, J) weight of the same joint in the past and the future step.
    """

    spatial: NDArray[np.float32]
    temporal: NDArray[np.float32]


def six_classes(skeleton: Skeleton, centre: str = "spine", normalisation: Normalisation = "per-class") -> SixClasses:
    """Sort every joint's neighbours into the six classes.

    Args:
        skeleton: A connected skeleton.
        centre: The joint that "closer" and "farther" refer to.
        normalisation: ``"per-class"`` is the paper's equation (2), with each
            class on its own, D_k^-1/2 A_k D_k^-1/2 (degrees of 0 count as 1);
            ``"joint"`` is the ancestor's code: all classes together are
            divided by the number of neighbours, so that the weights that
            reach a joint sum to 1.
    """
    spatial = _sorted(skeleton.bone_indices, skeleton.mirror, hops(skeleton, centre))
    temporal = np.ones((2, len(skeleton)))
    if normalisation == "joint":
        degree = spatial.sum((0, 2)) + temporal.sum(0)
        spatial = spatial / degree[:, None]
        temporal = temporal / degree
    else:
        spatial = _per_class(spatial)
    return SixClasses(spatial.astype(np.float32), temporal.astype(np.float32))


def _sorted(
    edges: Sequence[tuple[int, int]], mirror: Sequence[int], distance: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.float64]:
    """(4, J, J) of 0 and 1: self, closer, farther, mirror; row = receiver, column = sender."""
    joints = len(mirror)
    spatial = np.zeros((4, joints, joints))
    spatial[0] = np.eye(joints)
    for a, b in edges:
        near, far = (a, b) if distance[a] < distance[b] else (b, a)
        spatial[1, far, near] = 1  # the farther joint receives from the closer one
        spatial[2, near, far] = 1
    for joint, twin in enumerate(mirror):
        if twin != joint:
            spatial[3, joint, twin] = 1
    return spatial


def _per_class(classes: NDArray[np.float64]) -> NDArray[np.float64]:
    """D_k^-1/2 A_k D_k^-1/2 of each class (K, N, N); degrees of 0 count as 1."""
    receives = np.maximum(classes.sum(2), 1)
    sends = np.maximum(classes.sum(1), 1)
    return classes / np.sqrt(receives[:, :, None] * sends[:, None, :])


def _windowed(spatial: NDArray[np.float64], frames: int, normalisation: Normalisation) -> NDArray[np.float32]:
    """(K, T*J, T*J) from the spatial classes of one frame; node ``t * J + j``, no time classes if T is 1."""
    if frames < 1 or frames % 2 == 0:
        raise SkeletonError(f"A window wants an odd number of frames, so that one is in the middle; got {frames}.")
    joints = spatial.shape[1]
    classes = [np.kron(np.eye(frames), one) for one in spatial]
    if frames > 1:
        past = np.kron(np.eye(frames, k=-1), np.eye(joints))  # row t receives from column t - 1
        classes += [past, past.T]
    stack = np.stack(classes)
    if normalisation == "joint":
        stack = stack / stack.sum((0, 2))[None, :, None]
    else:
        stack = _per_class(stack)
    return stack.astype(np.float32)


def window_classes(
    skeleton: Skeleton, frames: int, centre: str = "spine", normalisation: Normalisation = "joint"
) -> NDArray[np.float32]:
    """The classes of a graph of a few frames, as the published networks have it.

    Args:
        skeleton: A connected skeleton of J joints.
        frames: Frames T of the window, odd.
        centre: The joint that "closer" and "farther" refer to.
        normalisation: As for ``six_classes``; degrees are those of the
            window, where the first and the last frame lack a neighbour.

    Returns:
        (K, T*J, T*J) in the order of ``CLASSES``; K is 6, and 4 for one
        frame. Node ``t * J + j``; row = receiver, column = sender.

    Raises:
        SkeletonError: ``frames`` is even, or the skeleton is not connected.
    """
    return _windowed(_sorted(skeleton.bone_indices, skeleton.mirror, hops(skeleton, centre)), frames, normalisation)


PARTS = (
    ("l_shoulder", "l_elbow", "l_wrist"), ("r_shoulder", "r_elbow", "r_wrist"),
    ("l_hip", "l_knee", "l_ankle"), ("r_hip", "r_knee", "r_ankle"),
    ("pelvis", "spine", "thorax", "nose", "head_top"),
)  # fmt: skip
"""Limbs and trunk of Human3.6M's 17 joints: what Cai et al. (ICCV 2019) pool the body to."""


def part_classes(frames: int, normalisation: Normalisation = "joint") -> NDArray[np.float32]:
    """The classes of the pooled graph: four limbs around the trunk, (K, T*5, T*5), see ``window_classes``."""
    trunk = len(PARTS) - 1
    edges = [(trunk, limb) for limb in range(trunk)]
    return _windowed(_sorted(edges, (1, 0, 3, 2, 4), (1, 1, 1, 1, 0)), frames, normalisation)
