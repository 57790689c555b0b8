"""More poses than were ever recorded.

Motion capture holds much walking and little else. Here upper and lower bodies
of different clips are put together, limbs and trunks are swung, bodies lean or
lie down, bones grow and shrink, joints are *defined* a little elsewhere (as
they are from one data set or detector to the next), and half of everything is
mirrored. Poses are handled as bone vectors, so lengths stay constant over a
window whatever is done to directions.

All functions take batches: positions (B, T, 17, 3) or bones (B, T, 16, 3),
metres, world axes, z up, Human3.6M order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.trunk import torso_axes
from posemend.training.likeness import Body, in_body

Floats = NDArray[np.float32]

PARENTS = np.array(H36M_17.parents[1:])
MIRROR = np.array(H36M_17.mirror)


def _ancestors() -> Floats:
    """(17, 16) matrix that sums bone vectors to joint positions."""
    matrix = np.zeros((17, 16), np.float32)
    for joint in range(1, 17):
        at = joint
        while at > 0:
            matrix[joint, at - 1] = 1
            at = H36M_17.parents[at]
    return matrix


_ANCESTORS = _ancestors()


def _bones(*names: str) -> NDArray[np.int64]:
    return np.array([H36M_17.index(name) - 1 for name in names])


UPPER = _bones("spine", "thorax", "nose", "head_top", "l_shoulder", "l_elbow", "l_wrist",
               "r_shoulder", "r_elbow", "r_wrist")  # fmt: skip
LIMBS = (
    _bones("l_elbow", "l_wrist"),
    _bones("r_elbow", "r_wrist"),
    _bones("l_wrist"),
    _bones("r_wrist"),
    _bones("l_knee", "l_ankle"),
    _bones("r_knee", "r_ankle"),
    UPPER,
    _bones("nose", "head_top"),
)
SWING = np.array([1.0, 1.0, 0.9, 0.9, 0.8, 0.8, 0.6, 0.4], np.float32)  # radians, typical largest, per limb
KNEES = (_bones("l_knee", "r_knee"), _bones("l_ankle", "r_ankle"))


@dataclass(frozen=True)
class Variety:
    """How much the poses are varied; shares are chances per sample.

    Attributes:
        mix: Upper body of one clip on the lower body of another.
        swing: Limbs swung (each by up to about a radian).
        sit: Both thighs raised as on a chair, shanks down.
        tilt: The whole body leaning or lying.
        lengths: Largest relative change of single bone lengths (hips vary
            from 0.9 to 1.4 whatever this is: no two data sets agree on them).
        stature: Largest relative change of the whole body's size.
        definition: Spread (metres) of where joints are defined.
        like: Bodies that a share ``alike`` of the samples is put into.
        alike: That share.
    """

    mix: float = 0.35
    swing: float = 0.4
    sit: float = 0.1
    tilt: float = 0.2
    lengths: float = 0.17
    stature: float = 0.12
    definition: float = 0.02
    like: tuple[Body, ...] = ()
    alike: float = 1.0


def to_bones(positions: Floats) -> Floats:
    """(B, T, 17, 3) joints to (B, T, 16, 3) bone vectors, parent to child."""
    return positions[:, :, 1:] - positions[:, :, PARENTS]


def from_bones(bones: Floats) -> Floats:
    """Bone vectors to joints, root at 0."""
    batch, frames = bones.shape[:2]
    flat = bones.transpose(2, 0, 1, 3).reshape(16, -1)
    return (_ANCESTORS @ flat).reshape(17, batch, frames, 3).transpose(1, 2, 0, 3)


def heading(bones: Floats) -> Floats:
    """(B, T) angle about z of the person's left, from hips and shoulders."""
    left = bones[:, :, H36M_17.index("l_hip") - 1] - bones[:, :, H36M_17.index("r_hip") - 1]
    left = left + 0.5 * (bones[:, :, H36M_17.index("l_shoulder") - 1] - bones[:, :, H36M_17.index("r_shoulder") - 1])
    return np.arctan2(left[..., 1], left[..., 0])


def about_z(angle: Floats) -> Floats:
    """(..., 3, 3) rotations about z."""
    c, s, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    return np.stack([np.stack([c, -s, o], -1), np.stack([s, c, o], -1), np.stack([o, o, o + 1], -1)], -2)


def rotation(vector: Floats) -> Floats:
    """(..., 3, 3) from rotation vectors (..., 3), Rodrigues' formula."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    axis = vector / np.maximum(angle[..., 0], 1e-8)
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    o = np.zeros_like(x)
    k = np.stack([np.stack([o, -z, y], -1), np.stack([z, o, -x], -1), np.stack([-y, x, o], -1)], -2)
    return (np.eye(3, dtype=np.float32) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)).astype(np.float32)


def _turn(bones: Floats, rows: NDArray[np.int64], which: NDArray[np.int64], by: Floats) -> None:
    """Rotate some bones of some samples in place; ``by``: (R, T, 3, 3)."""
    for bone in which:
        bones[rows, :, bone] = np.matmul(by, bones[rows, :, bone][..., None])[..., 0]


def _mix(bones: Floats, share: float, rng: np.random.Generator) -> None:
    rows = np.flatnonzero(rng.random(len(bones)) < share)
    if not len(rows):
        return
    other = rng.permutation(len(bones))[: len(rows)]
    donor = bones[other]
    by = about_z(heading(bones[rows]) - heading(donor))
    upper = np.matmul(donor[:, :, UPPER], np.swapaxes(by, -1, -2))
    bones[rows[:, None], :, UPPER] = upper.transpose(0, 2, 1, 3)


def _in_body_axes(rotate: Floats, yaw: Floats) -> Floats:
    """Rotations given relative to the body's heading, (R, T, 3, 3), as world rotations."""
    turn = about_z(yaw).astype(np.float32)
    turned: Floats = turn @ rotate
    return turned @ np.swapaxes(turn, -1, -2)


def _swing(bones: Floats, share: float, rng: np.random.Generator) -> None:
    frames = bones.shape[1]
    yaw = heading(bones)
    time = np.linspace(0, 1, frames, dtype=np.float32)
    active = rng.random(len(bones)) < share
    for limb, most in zip(LIMBS, SWING, strict=True):
        rows = np.flatnonzero(active & (rng.random(len(bones)) < 0.5))
        if not len(rows):
            continue
        axis = rng.normal(size=(len(rows), 1, 3)).astype(np.float32)
        axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
        still = rng.normal(0, most * 0.6, (len(rows), 1))
        moving = rng.normal(0, most * 0.3, (len(rows), 1))
        wave = np.sin(2 * np.pi * (rng.uniform(0.3, 2, (len(rows), 1)) * time + rng.random((len(rows), 1))))
        angle = np.clip(still + moving * wave, -1.6, 1.6).astype(np.float32)
        _turn(bones, rows, limb, _in_body_axes(rotation(axis * angle[..., None]), yaw[rows]))


def _sit(bones: Floats, share: float, rng: np.random.Generator) -> None:
    rows = np.flatnonzero(rng.random(len(bones)) < share)
    if not len(rows):
        return
    frames = bones.shape[1]
    yaw = heading(bones[rows])
    # x is the person's left here, so forward is -y and raising a thigh turns about -x
    for thigh, shank in zip(KNEES[0], KNEES[1], strict=True):
        raised = rng.uniform(0.9, 1.7, (len(rows), 1, 1)).astype(np.float32)
        spread = rng.normal(0, 0.3, (len(rows), 1, 1)).astype(np.float32)
        vector = np.concatenate([-raised, np.zeros_like(raised), spread], -1).repeat(frames, 1)
        _turn(bones, rows, np.array([thigh]), _in_body_axes(rotation(vector), yaw))
        back = rng.uniform(-0.5, 0.3, (len(rows), 1, 1)).astype(np.float32)
        vector = np.concatenate([back, np.zeros_like(back), np.zeros_like(back)], -1).repeat(frames, 1)
        _turn(bones, rows, np.array([shank]), _in_body_axes(rotation(vector), yaw))


def _lengths(bones: Floats, most: float, stature: float, rng: np.random.Generator) -> None:
    factor = rng.uniform(1 - most, 1 + most, (len(bones), 1, 16, 1)).astype(np.float32)
    twin = np.array(MIRROR[1:]) - 1
    factor = factor[:, :, np.minimum(np.arange(16), twin)]  # left as long as right
    factor[:, :, _bones("l_hip", "r_hip")] *= rng.uniform(0.9, 1.4, (len(bones), 1, 1, 1))  # widest disagreement
    factor *= rng.uniform(1 - stature, 1 + stature, (len(bones), 1, 1, 1))
    bones *= factor


# joints whose place is a matter of definition, and how much: hips, spine, thorax, nose, head, shoulders, pelvis
_DEFINED = {
    "pelvis": 1.5, "l_hip": 0.7, "r_hip": 0.7, "spine": 2.0, "thorax": 1.7, "nose": 2.0, "head_top": 1.7,
    "l_shoulder": 1.0, "r_shoulder": 1.0, "l_ankle": 0.6, "r_ankle": 0.6, "l_wrist": 0.5, "r_wrist": 0.5,
}  # fmt: skip


def definition_offsets(positions: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """(B, T, 17, 3) constant offsets in trunk axes, mirror-symmetric, of joints that are defined variously."""
    batch = len(positions)
    size = np.zeros(17, np.float32)
    for name, weight in _DEFINED.items():
        size[H36M_17.index(name)] = weight * spread
    local = rng.normal(size=(batch, 17, 3)).astype(np.float32) * size[:, None]
    middle = np.arange(17) == MIRROR
    local[:, middle, 0] *= 0.2  # the spine stays in the middle
    right = np.array([i for i, name in enumerate(H36M_17.joints) if name.startswith("r_")])
    local[:, right] = local[:, MIRROR[right]] * np.array([-1, 1, 1], np.float32)
    return np.matmul(local[:, None], np.swapaxes(torso_axes(positions), -1, -2))


def vary(windows: Floats, variety: Variety, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Varied poses and where their roots go.

    Args:
        windows: (B, T, 17, 3) recorded positions, world metres.
        variety: How much.
        rng: Source of chance.

    Returns:
        Positions (B, T, 17, 3) relative to the root and the root's path (B, T, 3).
    """
    path = windows[:, :, 0].copy()
    bones = to_bones(windows)
    _mix(bones, variety.mix, rng)
    _sit(bones, variety.sit, rng)
    _swing(bones, variety.swing, rng)
    _lengths(bones, variety.lengths, variety.stature, rng)
    rows = np.flatnonzero(rng.random(len(bones)) < variety.tilt)
    if len(rows):
        # two thirds lean, one third lies
        leaning = rng.random(len(rows)) < 0.65
        angle = np.where(leaning, rng.normal(0, 0.35, len(rows)), rng.uniform(-1.8, 1.8, len(rows)))
        about = rng.uniform(0, 2 * np.pi, len(rows))
        vector = np.stack([np.cos(about) * angle, np.sin(about) * angle, np.zeros(len(rows))], -1).astype(np.float32)
        bones[rows] = np.matmul(bones[rows], np.swapaxes(rotation(vector), -1, -2)[:, None])
    positions = from_bones(bones)
    if variety.like:
        rows = np.flatnonzero(rng.random(len(positions)) < variety.alike)
        if len(rows):
            chosen = [variety.like[k] for k in rng.integers(0, len(variety.like), len(rows))]
            positions[rows] = in_body(positions[rows], chosen)
    if variety.definition > 0:
        positions = positions + definition_offsets(positions, variety.definition, rng)
        positions -= positions[:, :, :1]
    flip = rng.random(len(positions)) < 0.5
    positions[flip] = positions[flip][:, :, MIRROR] * np.array([-1, 1, 1], np.float32)
    path[flip] *= np.array([-1, 1, 1], np.float32)
    return positions, path
