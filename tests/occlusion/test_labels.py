"""Labels of joints: who hides whom, softly, from cameras that stand and cameras that move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D
from posemend.errors import InputError, SkeletonError
from posemend.occlusion.figure import figure
from posemend.occlusion.labels import KINDS, Labels, View, label_joints, occlusion_kind
from posemend.occlusion.runs import counted, run_lengths, summary
from posemend.occlusion.solids import Box, boxes, together
from tests.occlusion.standing import BACK, FRONT, LEFT, STANDING, camera_at, joint, with_wrist


def look(people, camera, things=(), **how) -> list[Labels]:
    solids = [figure(world, owner=n) for n, world in enumerate(people)]
    if things:
        solids.append(boxes(list(things), len(people[0])))
    view = camera if isinstance(camera, View) else View.still(camera, len(people[0]))
    return label_joints(people, H36M_17, together(solids), view, **how)


def names(labels: Labels, kind: str, frame: int = 0) -> set[str]:
    return {name for name, k in zip(H36M_17.joints, labels.kind[frame], strict=True) if k == KINDS[kind]}


def test_from_the_front_all_is_seen_and_from_the_left_the_far_side_is_not() -> None:
    assert look([STANDING], FRONT)[0].visible.all()
    hidden = names(look([STANDING], LEFT)[0], "self")
    assert {"r_hip", "r_knee", "r_shoulder", "r_elbow"} <= hidden
    assert hidden.isdisjoint({"l_knee", "l_ankle", "l_shoulder", "l_elbow", "l_wrist", "nose", "head_top"})


def test_hand_behind_the_back() -> None:
    for place, seen_from in (((-0.25, 0.0, 1.1), BACK), ((0.33, 0.0, 1.1), FRONT)):
        for camera in (FRONT, BACK):
            kind = look([with_wrist(place)], camera)[0].kind[0, joint("r_wrist")]
            assert (kind == KINDS["visible"]) == (camera is seen_from)


def test_who_is_nearest_gives_the_label_its_kind() -> None:
    counter = Box((1.0, 0.0, 0.4), (0.3, 2.0, 0.8))
    labels = look([STANDING], FRONT, [counter])[0]
    assert names(labels, "object") == {"l_knee", "r_knee", "l_ankle", "r_ankle"}
    assert (labels.blocker[0][labels.kind[0] == KINDS["object"]] == 17).all()
    assert (labels.blocker[labels.visible] == -1).all()
    assert look([STANDING], FRONT, [Box((-1.0, 0.0, 0.4), (0.3, 2.0, 0.8))])[0].visible.all()
    friend = STANDING + np.array([1.0, 0.1, 0])
    first, second = look([STANDING, friend], FRONT)
    assert {"spine", "l_hip", "nose"} <= names(first, "person")
    assert second.visible.all()
    # somebody behind the counter behind somebody else: the friend is met first
    both = look([STANDING, friend + np.array([1, 0, 0])], FRONT, [counter])[0]
    assert names(both, "person") & {"l_knee", "r_knee"}


def test_out_of_frame_and_behind_the_camera() -> None:
    close = look([STANDING], camera_at((1.0, 0, 1.0), focal=800))[0]
    assert {"l_ankle", "head_top"} <= names(close, "out_of_frame")
    assert "spine" not in names(close, "out_of_frame")
    turned = View.still(FRONT, 1)
    turned = View(turned.camera, turned.rotation * np.array([[-1], [1], [-1]]), turned.translation * [-1, 1, -1])
    assert (look([STANDING], turned)[0].kind == KINDS["out_of_frame"]).all()


def test_the_first_part_rule_hides_more_joints_at_borders() -> None:
    rng = np.random.default_rng(0)
    cameras = [camera_at((4 * np.cos(a), 4 * np.sin(a), rng.uniform(0.5, 2.5))) for a in np.linspace(0, 6, 12)]
    hips = [joint("pelvis"), joint("l_hip"), joint("r_hip")]
    ours, theirs = (
        np.mean([look([STANDING], c, rule=rule)[0].kind[0, hips] > 0 for c in cameras])
        for rule in ("anatomy", "first-part")
    )
    assert theirs != ours


def test_soft_visibility_lies_between_and_agrees_where_all_is_clear() -> None:
    knee = STANDING[0, joint("l_knee")]
    edge = Box((1.0, knee[1] * 0.8 - 0.5, 0.5), (0.1, 1.0, 1.0))  # its side passes before the knee
    labels = look([STANDING], FRONT, [edge], soft_rays=64, soft_radius=0.05)[0]
    assert 0.2 < labels.soft[0, joint("l_knee")] < 0.8
    assert labels.soft[0, joint("r_knee")] == 0
    assert labels.soft[0, joint("head_top")] > 0.9
    assert (np.abs(labels.soft - labels.visible) < 0.75).all()


def test_a_moving_camera_is_many_still_ones() -> None:
    cameras = [camera_at((4 * np.cos(a), 4 * np.sin(a), 1.5)) for a in np.linspace(0, 3, 7)]
    view = View(cameras[0], np.stack([c.rotation for c in cameras]), np.stack([c.translation for c in cameras]))
    assert view.moves
    still = np.concatenate([look([STANDING], c)[0].kind for c in cameras])
    assert np.array_equal(look([STANDING.repeat(7, 0)], view)[0].kind, still)
    assert view.eyes[3] == pytest.approx(cameras[3].to_world(np.zeros(3)))


def test_other_skeletons_carry_a_body_too() -> None:
    coco = to_skeleton(Pose3D(STANDING, H36M_17, frame="world"), COCO_17)
    known = coco.score[0] > 0
    world = np.where(known[:, None], coco.positions, STANDING[0, joint("nose")])
    view = View.still(LEFT, 1)
    kind = label_joints([world], COCO_17, figure(STANDING), view)[0].kind[0]
    assert kind[COCO_17.index("r_hip")] == KINDS["self"]
    assert kind[COCO_17.index("l_wrist")] == KINDS["visible"]


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="1 to 3 people"):
        look([STANDING] * 100, FRONT)
    with pytest.raises(InputError, match="inside of person 0"):
        look([STANDING], camera_at((0.01, 0, 1.2)))
    with pytest.raises(InputError, match="inside of box0"):
        look([STANDING], FRONT, [Box((5, 0, 1), (1, 1, 1))])
    with pytest.raises(InputError, match="rule"):
        look([STANDING], FRONT, rule="magic")
    with pytest.raises(SkeletonError, match="16 joints"):
        label_joints([STANDING[:, :16]], H36M_17, figure(STANDING), View.still(FRONT, 1))


def test_runs_are_counted_to_the_ends_of_the_clip() -> None:
    hidden = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [1, 0]], bool)
    assert sorted(run_lengths(hidden)) == [1, 2, 3]
    runs, counts = counted([hidden, ~hidden])
    found = summary(runs, counts)
    assert found["runs"] == len(runs) == 6 and found["frames"] == 12
    assert found["hidden_mean"] == 1.0 and found["run_mean"] == 2.0
    assert summary(*counted([]))["run_median"] is None


def test_one_call_for_one_person_among_boxes() -> None:
    """`occlusion_kind`: what the demo clip is labelled with."""
    counter = Box((1.0, 0.0, 0.4), (0.3, 2.0, 0.8))
    assert np.array_equal(occlusion_kind(STANDING, FRONT, [counter]), look([STANDING], FRONT, [counter])[0].kind)
    edge_on = Box((1.0, 0.0, 1.0), (0.05, 3.0, 3.0), yaw=np.pi / 2)
    kind = occlusion_kind(STANDING, FRONT, [edge_on])[0]
    assert kind[joint("pelvis")] == KINDS["object"] and kind[joint("l_wrist")] == KINDS["visible"]
    tele, wall = camera_at((5, 0, 1.2), focal=3000), Box((1.0, 0.0, 1.0), (0.1, 4.0, 4.0))
    kind = occlusion_kind(STANDING, tele, [wall])[0]
    assert kind[joint("l_ankle")] == KINDS["out_of_frame"] and kind[joint("pelvis")] == KINDS["object"]
    for height, word in ((-1, "above 0"), (17, "metres")):
        with pytest.raises(InputError, match=word):
            occlusion_kind(STANDING, FRONT, height=height)


def test_chunks_do_not_matter() -> None:
    world = STANDING + np.random.default_rng(0).normal(size=(900, 1, 3)) * [0.3, 0.3, 0]
    whole = occlusion_kind(world, LEFT)
    assert np.array_equal(whole[300:310], occlusion_kind(world[300:310], LEFT))
    assert whole.dtype == np.int8 and whole.shape == (900, 17)


def test_agrees_with_blendmimic3d(shared_data: Path) -> None:
    """Self-occlusion of S1/Greeting: measured 0.78; ``benchmarks/flags.py`` says what the rest is."""
    from posemend.datasets import blendmimic3d

    shown, ours = [], []
    for take in blendmimic3d.read(shared_data / "blendmimic3d", subjects=["S1"], actions=["Greeting"]):
        camera, root = take.keypoints.camera, take.truth.root
        assert camera is not None and root is not None
        world = camera.to_world(take.truth.positions[::5].astype(float) + root[::5, None])
        ours.append(occlusion_kind(world, camera) == KINDS["visible"])
        shown.append(take.truth.visible[::5])
    seen, told = np.concatenate(shown), np.concatenate(ours)
    balanced = (told[seen].mean() + (~told[~seen]).mean()) / 2
    assert balanced > 0.76
