"""Bones of a pose: vectors, lengths, rebuilding, and small rotations for posing a body.

Rotation matrices act on column vectors (``x_parent = R @ x_child``). Two-bone
inverse kinematics places the middle joint of a limb (knee, elbow) on the side
that a pole vector points to, so that limbs never bend the wrong way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.body.skeleton import Skeleton
from posemend.errors import InputError, SkeletonError

Array = NDArray[np.float64]


def _positions(positions: ArrayLike, skeleton: Skeleton) -> Array:
    points = np.asarray(positions, np.float64)
    if points.ndim < 2 or points.shape[-2] != len(skeleton):
        raise SkeletonError(
            f"Bones of '{skeleton.name}' want positions of shape (..., {len(skeleton)}, C), got {points.shape}. "
            "Name the skeleton that the data really has."
        )
    return points


def bone_vectors(positions: ArrayLike, skeleton: Skeleton) -> Array:
    """Child minus parent of every bone, (..., B, C) in the unit of ``positions`` (..., J, C).

    Raises:
        SkeletonError: The joint count is not the skeleton's.
    """
    points = _positions(positions, skeleton)
    parents, children = np.array(skeleton.bone_indices).T
    return points[..., children, :] - points[..., parents, :]


def bone_lengths(positions: ArrayLike, skeleton: Skeleton) -> Array:
    """Length of every bone, (..., B), in the unit of ``positions`` (..., J, C).

    Raises:
        SkeletonError: The joint count is not the skeleton's.
    """
    return np.linalg.norm(bone_vectors(positions, skeleton), axis=-1)


def rebuild(positions: ArrayLike, skeleton: Skeleton, lengths: ArrayLike) -> Array:
    """The same bone directions with other bone lengths.

    Joints without a parent stay where they are; every other joint follows from
    its parent. A bone of length 0 has no direction and keeps pointing nowhere.

    Args:
        positions: (..., J, C) joints.
        skeleton: Their names and bones, parents listed before children.
        lengths: (B,) or (..., B) wanted lengths, same unit.

    Raises:
        SkeletonError: The joint count is not the skeleton's.
        InputError: Lengths are negative, not finite, or of another count.
    """
    points = _positions(positions, skeleton)
    wanted = np.asarray(lengths, np.float64)
    if wanted.shape[-1:] != (len(skeleton.bones),) or not np.isfinite(wanted).all() or (wanted < 0).any():
        raise InputError(
            f"rebuild wants {len(skeleton.bones)} finite lengths >= 0 in the last axis, got shape {wanted.shape}."
        )
    vectors = bone_vectors(points, skeleton)
    norms = np.linalg.norm(vectors, axis=-1)
    scaled = vectors * (wanted / np.maximum(norms, 1e-12))[..., None]
    out = np.broadcast_to(points, scaled.shape[:-2] + points.shape[-2:]).copy()
    for place, (parent, child) in enumerate(skeleton.bone_indices):
        out[..., child, :] = out[..., parent, :] + scaled[..., place, :]
    return out


def unit(vectors: Array) -> Array:
    """Vectors (..., C) of length 1; a zero vector stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def turn(axis: str, angle: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) by ``angle`` (...) radians about one of the axes x, y, z."""
    angle = np.asarray(angle, np.float64)
    cos, sin = np.cos(angle), np.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out = np.zeros((*angle.shape, 3, 3))
    out[..., :, :] = np.eye(3)
    out[..., first, first] = out[..., second, second] = cos
    out[..., second, first] = sin
    out[..., first, second] = -sin
    return out


def turns(angles: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) of ``angles`` (..., 3): about x, then about y, then about z (fixed axes)."""
    angles = np.asarray(angles, np.float64)
    return turn("z", angles[..., 2]) @ turn("y", angles[..., 1]) @ turn("x", angles[..., 0])


def rotate(matrices: Array, vectors: ArrayLike) -> Array:
    """``R @ v`` for matrices (..., 3, 3) and vectors (..., 3), broadcast."""
    return np.einsum("...ij,...j->...i", matrices, np.asarray(vectors, np.float64))


def rotate_about(vectors: Array, axes: Array, angle: ArrayLike) -> Array:
    """Vectors (..., 3) turned about unit ``axes`` (..., 3) by ``angle`` (...) radians (Rodrigues)."""
    angle = np.asarray(angle, np.float64)[..., None]
    along = (vectors * axes).sum(-1, keepdims=True) * axes
    return along + (vectors - along) * np.cos(angle) + np.cross(axes, vectors) * np.sin(angle)


def quaternion(roll: ArrayLike = 0.0, pitch: ArrayLike = 0.0, twist: ArrayLike = 0.0) -> Array:
    """Unit quaternions wxyz of: twist about z first, then roll about x, then pitch about y (forward > 0)."""
    roll, pitch, twist = np.broadcast_arrays(*(np.asarray(a, np.float64) / 2 for a in (roll, pitch, twist)))
    zero = np.zeros_like(roll)
    q = _times(
        np.stack([np.cos(pitch), zero, np.sin(pitch), zero], -1),
        _times(
            np.stack([np.cos(roll), np.sin(roll), zero, zero], -1),
            np.stack([np.cos(twist), zero, zero, np.sin(twist)], -1),
        ),
    )
    return np.where(q[..., :1] < 0, -q, q)


def _times(a: Array, b: Array) -> Array:
    w, v = a[..., :1], a[..., 1:]
    s, u = b[..., :1], b[..., 1:]
    return np.concatenate([w * s - (v * u).sum(-1, keepdims=True), w * u + s * v + np.cross(v, u)], -1)


def quaternion_matrix(quaternions: Array) -> Array:
    """Rotation matrices (..., 3, 3) of quaternions wxyz (..., 4), normalised on the way."""
    w, x, y, z = np.moveaxis(unit(quaternions), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def two_bone_ik(
    start: Array,
    target: Array,
    pole: Array,
    upper: float,
    lower: float,
    *,
    folded: float = 0.27,
    softness: float = 0.03,
) -> tuple[Array, Array]:
    """Middle and end joint of a two-bone limb that reaches for a target.

    Bone lengths are kept exactly. A target out of reach is approached as far
    as the limb goes, and smoothly so: near full stretch the limb slows down
    instead of snapping straight.

    Args:
        start: (..., 3) hip or shoulder.
        target: (..., 3) wanted ankle or wrist.
        pole: (..., 3) direction in which the middle joint bulges; only its
            part across the line start-target counts.
        upper: Length of the first bone.
        lower: Length of the second bone.
        folded: Least start-end distance as a share of ``upper + lower``.
        softness: Share of the reach over which the stretch slows down.

    Returns:
        (..., 3) middle joint, (..., 3) end joint.
    """
    reach = upper + lower
    line = target - start
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    direction = np.where(distance > 1e-9, line / np.maximum(distance, 1e-9), (0.0, 0.0, -1.0))
    knee_point = reach * (1 - softness)
    soft = knee_point + reach * softness * (1 - np.exp(-np.maximum(distance - knee_point, 0) / (reach * softness)))
    distance = np.where(distance > knee_point, np.minimum(soft, reach * (1 - 1e-4)), distance)
    distance = np.maximum(distance, max(folded * reach, abs(upper - lower) * 1.001))
    across = pole - (pole * direction).sum(-1, keepdims=True) * direction
    spare = np.cross(direction, np.where(np.abs(direction[..., :1]) < 0.9, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    across = unit(np.where(np.linalg.norm(across, axis=-1, keepdims=True) > 1e-6, across, spare))
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(upper**2 - along**2, 0))
    return start + direction * along + across * height, start + direction * distance
