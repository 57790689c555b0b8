"""Left and right: found by geometry, repaired or refused, in any frame of reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemend.body.catalogue import BLENDMIMIC3D_17, H36M_17, SKELETONS
from posemend.body.convert import to_skeleton
from posemend.body.handedness import check_handedness, handedness, swap_sides
from posemend.body.kinematics import turns
from posemend.body.pose import Pose3D
from posemend.body.skeleton import Skeleton
from posemend.datasets.procedural import generate
from posemend.errors import HandednessError


@pytest.fixture(scope="module")
def person() -> Pose3D:
    return Pose3D(generate(4, 10, script=["walk", "sit"]).positions, H36M_17, frame="world")


def converted(pose: Pose3D, body: Skeleton) -> Pose3D:
    """Onto a skeleton, however many of its joints cannot be had."""
    positions = np.zeros((len(pose), len(body), 3))
    score = np.zeros((len(pose), len(body)))
    for place, joint in enumerate(body.joints):
        if joint in pose.skeleton.joints:
            positions[:, place], score[:, place] = pose.positions[:, pose.skeleton.index(joint)], 1
    return Pose3D(positions, body, score)


@pytest.mark.parametrize("body", SKELETONS.values(), ids=SKELETONS)
def test_right_and_mirrored_on_every_skeleton(person: Pose3D, body: Skeleton) -> None:
    pose = converted(person, body)
    right, swapped = handedness(pose), handedness(swap_sides(pose))
    assert right.verdict == "right" and right.share > 0.9
    assert swapped.verdict == "mirrored" and swapped.share == pytest.approx(1 - right.share)
    assert swapped.evidence == right.evidence


def test_a_mirror_image_in_space_is_mirrored_too(person: Pose3D) -> None:
    assert handedness(Pose3D(person.positions * [1, -1, 1], H36M_17)).verdict == "mirrored"


def test_file_order_read_as_another_is_found(person: Pose3D) -> None:
    file = to_skeleton(person, BLENDMIMIC3D_17).positions
    assert handedness(Pose3D(file, H36M_17)).verdict == "mirrored"
    assert handedness(Pose3D(file, BLENDMIMIC3D_17)).verdict == "right"


@settings(max_examples=20, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_rotation_and_shift_do_not_matter(
    angles: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    pose = Pose3D(generate(4, 3, script=["walk"]).positions, H36M_17)
    moved = Pose3D(pose.positions @ turns(np.array(angles)).T + np.array(shift), H36M_17)
    before, after = handedness(pose), handedness(moved)
    assert after.verdict == before.verdict == "right"
    assert after.share == pytest.approx(before.share, abs=0.02)


def test_repair_gives_back_the_original(person: Pose3D) -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(0.5, 1, person.score.shape)
    sigma = rng.uniform(0, 0.1, person.score.shape)
    kinds = rng.integers(0, 3, score.shape)
    pose = Pose3D(person.positions, H36M_17, score, score > 0.6, sigma=sigma, provenance=kinds)
    mended = check_handedness(swap_sides(pose), repair=True)
    for field in ("positions", "score", "visible", "sigma", "provenance"):
        assert np.array_equal(getattr(mended, field), getattr(pose, field)), field


def test_right_pose_passes_unchanged(person: Pose3D) -> None:
    assert check_handedness(person) is person
    assert check_handedness(person, repair=True) is person


def test_mirrored_is_refused_with_the_cure(person: Pose3D) -> None:
    with pytest.raises(HandednessError, match="swapped.*--fix-handedness"):
        check_handedness(swap_sides(person))


def test_no_evidence_is_no_verdict(person: Pose3D) -> None:
    straight = np.zeros((50, 17, 3))
    for place, name in enumerate(H36M_17.joints):
        side = {"l": 0.1, "r": -0.1}.get(name[0], 0.0) if name[1] == "_" else 0.0
        height = {"ankle": 0.1, "knee": 0.5, "hip": 0.9, "wrist": 0.9, "elbow": 1.1, "shoulder": 1.4}
        straight[:, place] = (0, side, height.get(name.split("_")[-1], 1.0))
    assert handedness(Pose3D(straight, H36M_17)).verdict == "unknown"
    unseen = Pose3D(person.positions, H36M_17, np.zeros(person.score.shape))
    assert handedness(unseen).verdict == "unknown"
    assert check_handedness(unseen) is unseen


def test_absent_limbs_do_not_count(person: Pose3D) -> None:
    score = np.ones(person.score.shape)
    for name in ("l_knee", "r_knee", "l_elbow", "r_elbow"):
        score[:, H36M_17.index(name)] = 0
    assert handedness(Pose3D(person.positions, H36M_17, score)).evidence == 0


def test_a_skeleton_that_cannot_show_it() -> None:
    legs = Skeleton("legs", ("l_hip", "r_hip"), (), ("l_hip", "r_hip"))
    found = handedness(Pose3D(np.ones((30, 2, 3)), legs))
    assert found.verdict == "unknown" and np.isnan(found.share)
