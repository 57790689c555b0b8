"""One height for a human, several for a wreck."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D
from posemend.body.proportions import human_shape, implied_heights, stature
from posemend.datasets import packs
from posemend.datasets.procedural import generate


@pytest.fixture(scope="module")
def person() -> Pose3D:
    return Pose3D(generate(11, 5).positions, H36M_17, frame="world")


def test_a_made_up_person_is_human_at_any_scale(person: Pose3D) -> None:
    found = human_shape(person)
    assert found.ok and found.spread < 0.12
    small = Pose3D(person.positions * 0.01, H36M_17)
    assert human_shape(small).spread == pytest.approx(found.spread, rel=1e-3)
    assert stature(small) == pytest.approx(0.01 * stature(person), rel=1e-3)
    assert 1.4 < stature(person) < 2.1


def test_two_values_can_be_unpacked(person: Pose3D) -> None:
    ok, spread = human_shape(person)
    assert ok and spread > 0


def test_swapped_joints_and_squeezed_axes_are_not_human(person: Pose3D) -> None:
    order = np.arange(17)
    order[[2, 13]] = order[[13, 2]]
    assert human_shape(Pose3D(person.positions[:, order], H36M_17)).ok is False
    assert human_shape(Pose3D(person.positions * [1, 1, 0.1], H36M_17)).ok is False
    assert human_shape(Pose3D(np.zeros((3, 17, 3)), H36M_17)).ok is False


def test_absent_joints_say_nothing(person: Pose3D) -> None:
    score = np.ones((len(person), 17))
    score[:, H36M_17.index("l_knee")] = 0
    heights = implied_heights(Pose3D(person.positions, H36M_17, score))
    assert "l_thigh" not in heights and "l_shank" not in heights and "r_thigh" in heights
    nobody = Pose3D(person.positions, H36M_17, np.zeros((len(person), 17)))
    ok, spread = human_shape(nobody)
    assert ok is None and np.isnan(spread) and np.isnan(stature(nobody))


def test_height_by_hand() -> None:
    x = np.zeros((2, 17, 3))
    x[:, H36M_17.index("r_knee"), 2] = -0.42
    assert implied_heights(Pose3D(x, H36M_17))["r_thigh"] == pytest.approx(0.42 / 0.247)


def test_other_skeletons_agree(person: Pose3D) -> None:
    assert stature(to_skeleton(person, COCO_17)) == pytest.approx(stature(person))


def test_real_recordings_are_human(shared_data: Path) -> None:
    for name in ("cmu_asfamc", "reactidle"):
        for motion in packs.read(shared_data / "motion" / "packs" / f"{name}.npz")[:20]:
            assert human_shape(Pose3D(motion.positions, motion.skeleton, fps=motion.fps)).ok, motion.name
