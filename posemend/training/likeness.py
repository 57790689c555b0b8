"""Motions put into a given body: its bone lengths, and where its joints lie in the trunk.

No two data sets define joints alike, and a lifter that must serve all of them
errs by what it cannot know. Whoever knows the body (a rig's skeleton, one
recording of the person) can have motions of others in it: trunk joints are
moved, in the trunk's own axes, to where the body has them on average, and
limbs get its lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D
from posemend.body.trunk import torso_axes
from posemend.errors import InputError

Floats = NDArray[np.float32]

FEWEST = 20  # frames with all joints that a body is read from
_AT = H36M_17.index
TRUNK = np.array([_AT(name) for name in ("spine", "thorax", "l_shoulder", "r_shoulder", "l_hip", "r_hip")])
HEAD = np.array([_AT("nose"), _AT("head_top")])  # turns on its own, so a window's average says little
LIMBS = tuple((_AT(parent), _AT(child)) for parent, child in (
    ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"), ("r_shoulder", "r_elbow"), ("r_elbow", "r_wrist"),
    ("l_hip", "l_knee"), ("l_knee", "l_ankle"), ("r_hip", "r_knee"), ("r_knee", "r_ankle"),
))  # fmt: skip
_MIRROR = np.array(H36M_17.mirror)


@dataclass(frozen=True)
class Body:
    """A body's measures, alike on both sides.

    Attributes:
        places: (17, 3) mean places in trunk axes (left, forward, up) from the pelvis, metres; of limbs unused.
        lengths: (8,) of ``LIMBS``, metres.
    """

    places: Floats
    lengths: Floats


def local(positions: Floats) -> Floats:
    """(..., 17, 3) from the pelvis, in trunk axes."""
    return np.matmul(positions - positions[..., :1, :], torso_axes(positions))


def body_of(pose: Pose3D) -> Body:
    """The body that a recording shows.

    Raises:
        InputError: Fewer than ``FEWEST`` frames have all of Human3.6M's 17 joints, or a bone has no length.
    """
    body = to_skeleton(pose, H36M_17)
    whole = (body.score > 0).all(1)
    if whole.sum() < FEWEST:
        raise InputError(
            f"A body is read from at least {FEWEST} frames that have all 17 joints; '{pose.name}' has {whole.sum()}."
        )
    positions = body.positions[whole]
    places = local(positions).mean(0)
    places = (places + places[_MIRROR] * [-1, 1, 1]) / 2
    lengths = np.array(
        [np.median(np.linalg.norm(positions[:, child] - positions[:, parent], axis=-1)) for parent, child in LIMBS]
    )
    lengths = lengths.reshape(2, 2, 2).mean(1, keepdims=True).repeat(2, 1).reshape(-1)  # left as long as right
    if lengths.min() < 0.02:
        raise InputError(f"A limb of '{pose.name}' is {lengths.min() * 1000:.0f} mm long: no body in metres.")
    return Body(places.astype(np.float32), lengths.astype(np.float32))


def in_body(positions: Floats, bodies: list[Body]) -> Floats:
    """Poses (B, T, 17, 3) in other bodies, one for each sample; the pelvis stays where it is.

    Trunk joints move by what parts a window's average from the body's, the head by what parts the
    batch's average from it, elbows, wrists, knees and ankles keep their directions.
    """
    axes = torso_axes(positions)
    places = np.stack([body.places for body in bodies])  # (B, 17, 3)
    lengths = np.stack([body.lengths for body in bodies])  # (B, 8)
    here = np.matmul(positions - positions[:, :, :1], axes).mean(1)  # (B, 17, 3)
    offset = np.zeros_like(places)
    offset[:, TRUNK] = places[:, TRUNK] - here[:, TRUNK]
    offset[:, HEAD] = places[:, HEAD] - here[:, HEAD].mean(0)
    moved = positions + np.matmul(offset[:, None], np.swapaxes(axes, -1, -2))
    for limb, (parent, child) in enumerate(LIMBS):  # from the trunk outwards
        bone = positions[:, :, child] - positions[:, :, parent]
        bone = bone / np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-6)
        moved[:, :, child] = moved[:, :, parent] + bone * lengths[:, None, limb, None]
    return moved.astype(np.float32)
