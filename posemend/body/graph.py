"""The body as a graph: hop distance and the six neighbour classes.

Lino et al. (CVPR-W 2024, section 4, after Cai et al., ICCV 2019) sort the
neighbours of a joint into six classes, each with its own weights: itself,
neighbours closer to the middle of the body, neighbours farther from it, the
mirror joint, the same joint one step earlier and one step later.
"""

from __future__ import annotations

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
    distance = hops(skeleton, centre)
    joints = len(skeleton)
    spatial = np.zeros((4, joints, joints))
    spatial[0] = np.eye(joints)
    for a, b in skeleton.bone_indices:
        near, far = (a, b) if distance[a] < distance[b] else (b, a)
        spatial[1, far, near] = 1  # the farther joint receives from the closer one
        spatial[2, near, far] = 1
    for joint, twin in enumerate(skeleton.mirror):
        if twin != joint:
            spatial[3, joint, twin] = 1
    temporal = np.ones((2, joints))
    if normalisation == "joint":
        degree = spatial.sum((0, 2)) + temporal.sum(0)
        spatial = spatial / degree[:, None]
        temporal = temporal / degree
    else:
        receives = np.maximum(spatial.sum(2), 1)
        sends = np.maximum(spatial.sum(1), 1)
        spatial = spatial / np.sqrt(receives[:, :, None] * sends[:, None, :])
    return SixClasses(spatial.astype(np.float32), temporal.astype(np.float32))
