"""Joints that the networks do not know ride along with those they do.

Networks speak Human3.6M's 17 joints. Other skeletons have eyes, ears, toes,
fingers. Such a joint is put on its own camera ray at the depth of the joint
that carries it (lifting), or moves with that joint (refining).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import recipe
from posemend.body.pose import Pose2D
from posemend.body.skeleton import Skeleton
from posemend.contract.codec import rays_of

Floats = NDArray[np.float32]

_CARRIERS = {
    "eye": "nose", "ear": "nose", "mouth": "nose", "head": "nose",
    "hand": "wrist", "pinky": "wrist", "index": "wrist", "thumb": "wrist", "fingers": "wrist",
    "toe": "ankle", "heel": "ankle", "foot": "ankle",
    "clavicle": "thorax", "neck": "thorax", "spine": "spine", "back": "spine",
    "hip_joint": "hip",
}  # fmt: skip


def _carrier(joint: str) -> str:
    """The Human3.6M joint that a foreign joint rides on."""
    side = joint[:2] if joint[:2] in ("l_", "r_") else ""
    # longer names first, so that foot_index is a foot and no finger
    for part in ("foot", "hip_joint", *_CARRIERS):
        if part in joint:
            carrier = _CARRIERS[part]
            sided = f"{side}{carrier}"
            return sided if sided in H36M_17.joints else carrier
    return "pelvis"


@lru_cache(maxsize=32)
def weights(target: Skeleton) -> tuple[Floats, NDArray[np.bool_]]:
    """(J, 17) weights that carry the 17 joints to ``target``, and which joints only ride along."""
    matrix = np.zeros((len(target), 17), np.float32)
    rides = np.zeros(len(target), bool)
    for row, joint in enumerate(target.joints):
        made = recipe(joint, H36M_17)
        if made is None:
            rides[row] = True
            made = {_carrier(joint): 1.0}
        for name, weight in made.items():
            matrix[row, H36M_17.index(name)] = weight
    return matrix, rides


def carry(change: Floats, sigma: Floats, target: Skeleton) -> tuple[Floats, Floats]:
    """Changes (T, 17, 3) and expected errors (T, 17) for the joints of ``target``."""
    if target == H36M_17:
        return change, sigma
    matrix, _ = weights(target)
    return np.einsum("jk,tkc->tjc", matrix, change), sigma @ np.abs(matrix).T


REPAIRED = 0.02  # metres; a joint that is moved farther counts as repaired


def origins(seen: NDArray[np.bool_], moved: Floats | None, target: Skeleton) -> NDArray[np.uint8]:
    """Provenance (T, J) of the joints of ``target``, as in ``Pose3D``.

    Args:
        seen: (T, 17) which joints were seen and are trusted; a joint made of several is seen if all of them are.
        moved: (T, J, 3) metres by which each joint was changed; ``None`` if none was.
        target: The pose's skeleton.
    """
    hidden = ~seen
    if target != H36M_17:
        matrix, _ = weights(target)
        hidden = hidden.astype(np.float32) @ (matrix != 0).astype(np.float32).T > 0
    provenance = np.zeros(hidden.shape, np.uint8)
    if moved is not None:
        provenance[np.einsum("tjc,tjc->tj", moved, moved) > REPAIRED**2] = 1
    provenance[hidden] = 2
    return provenance


def spread(camera: Floats, sigma: Floats, keypoints: Pose2D, root: Floats) -> tuple[Floats, Floats]:
    """Lifted joints (T, 17, 3) on the keypoints' skeleton, and their expected errors.

    Riders with a keypoint lie on its ray at their carrier's depth; riders
    without one lie on their carrier.
    """
    target = keypoints.skeleton
    if target == H36M_17:
        return camera, sigma
    matrix, rides = weights(target)
    positions = np.einsum("jk,tkc->tjc", matrix, camera)
    riders = np.flatnonzero(rides & (keypoints.score > 0).any(0))
    if len(riders):
        rays, _ = rays_of(keypoints)
        depth = positions[:, riders, 2] + root[:, None, 2]
        flat = rays[:, riders] * depth[..., None] - root[:, None, :2]
        # a hand is no further than 30 cm from its wrist: a gross error of the detector stays small
        off = flat - positions[:, riders, :2]
        far = np.linalg.norm(off, axis=-1, keepdims=True)
        off = off * np.minimum(1, 0.3 / np.maximum(far, 1e-6)) * (keypoints.score[:, riders, None] > 0)
        positions[:, riders, :2] += off
    return positions, sigma @ np.abs(matrix).T
