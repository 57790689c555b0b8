"""Bones and two-bone inverse kinematics against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17, SKELETONS
from posemend.body.kinematics import (
    bone_lengths,
    bone_vectors,
    quaternion,
    quaternion_matrix,
    rebuild,
    rotate,
    rotate_about,
    turn,
    turns,
    two_bone_ik,
)
from posemend.errors import InputError, SkeletonError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_rebuild_gives_wanted_lengths_and_keeps_directions(name: str) -> None:
    skeleton = SKELETONS[name]
    x = RNG.normal(size=(5, len(skeleton), 3))
    wanted = RNG.uniform(0.1, 0.5, len(skeleton.bones))
    y = rebuild(x, skeleton, wanted)
    assert np.allclose(bone_lengths(y, skeleton), wanted)
    before, after = bone_vectors(x, skeleton), bone_vectors(y, skeleton)
    cosine = (before * after).sum(-1) / (np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1))
    assert np.allclose(cosine, 1)
    assert np.allclose(rebuild(x, skeleton, bone_lengths(x, skeleton)), x)


def test_rebuild_and_bones_refuse() -> None:
    with pytest.raises(SkeletonError):
        bone_lengths(np.zeros((4, 16, 3)), H36M_17)
    for bad in (np.ones(3), np.full(16, -1.0), np.full(16, np.nan)):
        with pytest.raises(InputError):
            rebuild(np.zeros((4, 17, 3)), H36M_17, bad)


def test_turns_by_hand() -> None:
    assert np.allclose(rotate(turn("y", np.pi / 2), (0, 0, 1)), (1, 0, 0))  # pitch > 0 leans forward
    assert np.allclose(rotate(turn("z", np.pi / 2), (1, 0, 0)), (0, 1, 0))
    assert np.allclose(rotate(turn("x", np.pi / 2), (0, 1, 0)), (0, 0, 1))
    angles = RNG.normal(size=(7, 3))
    assert np.allclose(turns(angles), turn("z", angles[:, 2]) @ turn("y", angles[:, 1]) @ turn("x", angles[:, 0]))
    axis = np.array([0.0, 0.0, 1.0])
    assert np.allclose(rotate_about(np.array([1.0, 0, 2]), axis, np.pi / 2), (0, 1, 2))


def test_quaternion_is_pitch_after_roll_after_twist() -> None:
    roll, pitch, twist = RNG.uniform(-1, 1, (3, 9))
    wanted = turn("y", pitch) @ turn("x", roll) @ turn("z", twist)
    assert np.allclose(quaternion_matrix(quaternion(roll, pitch, twist)), wanted)


def test_ik_reaches_and_bends_to_the_pole() -> None:
    start = RNG.normal(size=(200, 3))
    target = start + RNG.normal(size=(200, 3)) * 0.25
    pole = RNG.normal(size=(200, 3))
    middle, end = two_bone_ik(start, target, pole, 0.45, 0.4)
    assert np.allclose(np.linalg.norm(middle - start, axis=-1), 0.45)
    assert np.allclose(np.linalg.norm(end - middle, axis=-1), 0.4)
    distance = np.linalg.norm(target - start, axis=-1)
    within = (distance > 0.3) & (distance < 0.8)
    assert within.sum() > 50 and np.allclose(end[within], target[within])
    assert (((middle - (start + end) / 2) * pole).sum(-1)[within] > -0.02).all()


def test_ik_out_of_reach_and_degenerate_stays_finite() -> None:
    zero = np.zeros((3, 3))
    target = np.array([[9.0, 0, 0], [0, 0, 0], [0.0, 0, -0.6]])
    pole = np.array([[0.0, 1, 0], [0, 1, 0], [0, 0, 1]])  # the last lies along the limb
    middle, end = two_bone_ik(zero, target, pole, 0.4, 0.4)
    assert np.isfinite(middle).all() and np.isfinite(end).all()
    assert np.allclose(np.linalg.norm(middle, axis=-1), 0.4) and np.allclose(np.linalg.norm(end - middle, axis=-1), 0.4)
    assert 0.78 < np.linalg.norm(end[0]) < 0.8
    assert np.linalg.norm(end[1]) > 0.2  # a limb does not fold flat
