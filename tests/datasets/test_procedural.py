"""The motion generator: bodies that keep their bones, stay above the floor and bend the right way."""

from __future__ import annotations

import time

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.handedness import handedness
from posemend.body.kinematics import bone_lengths
from posemend.body.pose import Pose3D
from posemend.body.proportions import human_shape
from posemend.datasets.mannequin import random_person
from posemend.datasets.packs import Motion
from posemend.datasets.procedural import demo_clip, demo_scene, generate, perform
from posemend.datasets.repertoire import BEHAVIOURS, bridges
from posemend.errors import InputError
from posemend.occlusion.labels import occlusion_kind
from posemend.occlusion.solids import boxes as solid_boxes
from posemend.occlusion.solids import contains


@pytest.fixture(scope="module")
def motion() -> Motion:
    return generate(5, seconds=60)


def test_shape_type_and_labels(motion: Motion) -> None:
    assert motion.positions.shape == (3000, 17, 3)
    assert motion.positions.dtype == np.float32
    assert np.isfinite(motion.positions).all()
    assert motion.skeleton == H36M_17 and motion.fps == 50
    assert motion.source == "procedural"


def test_same_seed_same_motion_other_seed_other_motion() -> None:
    one, again, other = (generate(seed, 4).positions for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", sorted(BEHAVIOURS))
def test_every_behaviour_keeps_bones_floor_and_tempo(name: str) -> None:
    x = np.concatenate([generate(seed, 6, script=[name]).positions for seed in (21, 22)]).astype(np.float64)
    for part in (x[:300], x[300:]):
        assert np.ptp(bone_lengths(part, H36M_17), axis=0).max() < 1e-5
        assert part[..., 2].min() > 0.015
        speed = np.linalg.norm(np.diff(part, axis=0), axis=-1) * 50
        assert np.quantile(speed.max(1), 0.98) < 14  # a fist or a kicking foot, not a teleport


def test_left_and_right_are_right_over_many_people() -> None:
    for seed in range(4):
        found = handedness(Pose3D(generate(seed, 60).positions, H36M_17))
        assert found.verdict == "right" and found.share > 0.82  # elbows roll, knees do not


def test_proportions_are_human_and_differ() -> None:
    heights = []
    for seed in range(30):
        person = random_person(np.random.default_rng(seed))
        x, _ = perform(np.random.default_rng(seed), person, 10, 50, ["stand"])
        assert human_shape(Pose3D(x, H36M_17)).ok
        top = x[:, H36M_17.index("head_top"), 2].max()
        assert 0.85 < top / person.height < 1.05
        heights.append(person.height)
    assert np.ptp(heights) > 0.25


def test_poses_that_corpora_lack_are_there() -> None:
    x = np.concatenate([generate(seed, 90, fps=10).positions for seed in range(12)])
    pelvis = x[:, 0, 2]
    assert 0.05 < (pelvis < 0.35).mean() < 0.5  # on the floor
    assert 0.15 < ((pelvis > 0.35) & (pelvis < 0.68)).mean() < 0.6  # chairs, knees, deep bends
    assert (pelvis > 0.75).mean() > 0.25
    trunk = x[:, H36M_17.index("thorax")] - x[:, 0]
    assert (trunk[:, 2] < 0.5 * np.linalg.norm(trunk, axis=-1)).mean() > 0.08  # trunk more than 60 degrees over


def test_standing_feet_do_not_slide() -> None:
    x = generate(2, 10, script=["walk"]).positions
    for joint in ("l_ankle", "r_ankle"):
        foot = x[:, H36M_17.index(joint)]
        low = foot[:-1, 2] < np.quantile(foot[:, 2], 0.25)
        slide = np.linalg.norm(np.diff(foot[:, :2], axis=0), axis=-1)[low] * 50
        assert np.median(slide) < 0.1


def test_frame_rate_changes_the_clock_only() -> None:
    for fps in (10, 25, 120):
        x = generate(1, 5, fps=fps).positions
        assert len(x) == 5 * fps and np.isfinite(x).all()


def test_one_frame() -> None:
    assert generate(1, 0.02).positions.shape == (1, 17, 3)


def test_nobody_falls_flat_in_one_fade() -> None:
    assert bridges("stand", "lie") == ["kneel", "floor_sit"]
    assert bridges("lie", "push_up") == ["floor_sit", "kneel"]
    assert bridges("walk", "sit") == bridges("kneel", "stand") == bridges("lie", "lie") == []


def test_mistakes_are_told() -> None:
    with pytest.raises(InputError, match="Did you mean 'squat'"):
        generate(1, 1, script=["squatt"])
    for seconds, fps in ((0, 50), (float("nan"), 50), (1, 0), (1e9, 50)):
        with pytest.raises(InputError):
            generate(1, seconds, fps)
    with pytest.raises(InputError):
        generate(-1, 1)


def test_ten_minutes_take_seconds() -> None:
    start = time.process_time()
    generate(9, 600)
    assert time.process_time() - start < 30  # about 3 s on one idle core


def test_demo_clip_is_a_take_with_truth() -> None:
    take = demo_clip()
    assert take.keypoints.positions.shape == (1000, 17, 2) and take.keypoints.fps == 50
    camera = take.keypoints.camera
    assert camera is not None and take.truth.root is not None
    projected = camera.project(take.truth.positions.astype(np.float64) + take.truth.root[:, None])
    assert np.abs(projected - take.keypoints.positions).max() < 0.01
    assert np.array_equal(take.keypoints.visible, take.truth.visible)
    assert handedness(take.truth).verdict == "right"
    again = demo_clip()
    assert np.array_equal(again.keypoints.positions, take.keypoints.positions)


def test_demo_clip_hides_by_body_boxes_and_edge() -> None:
    world, camera, boxes = demo_scene()
    kind = occlusion_kind(world, camera, boxes)
    assert set(np.unique(kind)) == {0, 1, 2, 3}
    assert 0.2 < (kind != 0).mean() < 0.45
    assert (kind == 2).mean() > 0.08
    assert ((kind == 2).sum(1) == 0).mean() > 0.2  # there are frames in the open, too
    furniture = solid_boxes(boxes, len(world))
    for joint in range(17):  # nobody walks through the furniture
        assert not contains(furniture, world[:, joint]).any()
