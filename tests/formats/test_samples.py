"""Real files, as other tools wrote them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import FormatError, InputError
from posemend.formats import read, read_people


def _upright(pose: Pose2D) -> None:
    """The shoulders are above the hips, joints are inside of a picture, in most frames."""
    shoulder = pose.skeleton.index("l_shoulder")
    hips = [pose.skeleton.index(name) for name in ("l_hip", "r_hip")]
    seen = (pose.score[:, [shoulder, *hips]] > 0.3).all(1)
    assert seen.any()
    assert (pose.positions[seen, shoulder, 1] < pose.positions[seen][:, hips, 1].min(1)).mean() > 0.9
    assert pose.positions.min() > -200
    assert pose.positions.max() < 4000


def test_openpose_body_25(shared_data: Path) -> None:
    with pytest.warns(UserWarning, match="short tracks"):
        people = read_people(shared_data / "formats" / "openpose_body25")
    main = people[0]
    assert main.skeleton.name == "openpose_body_25"
    assert len(main) == 90
    assert 80 <= (main.score > 0).any(1).sum() <= 90
    _upright(main)
    assert main.positions[0, main.skeleton.index("nose")] == pytest.approx([400.086, 100.333])
    assert main.score[0, main.skeleton.index("r_ear")] == 0  # 0, 0, 0 in the file


@pytest.mark.parametrize(("camera", "people"), [("cam01", 3), ("cam02", 2), ("cam03", 1), ("cam04", 1)])
def test_openpose_body_25b_is_told_from_its_bones(shared_data: Path, camera: str, people: int) -> None:
    folder = shared_data / "formats" / "pose2sim_demo" / "pose" / f"{camera}_json"
    with pytest.warns(UserWarning, match="BODY_25B"):
        found = read_people(folder)
    assert found[0].skeleton.name == "openpose_body_25b"
    assert len(found) == people
    assert all(len(one) == 100 for one in found)
    _upright(found[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_people(folder, skeleton="BODY_25B")[0].positions == pytest.approx(found[0].positions)
    with pytest.warns(UserWarning, match="fit 'openpose_body_25b'"):
        assert read_people(folder, skeleton="BODY_25")[0].skeleton.name == "openpose_body_25"


def test_alphapose_without_tracking(shared_data: Path) -> None:
    with pytest.warns(UserWarning, match="short tracks"):
        people = read_people(shared_data / "formats" / "alphapose" / "alphapose-results.json")
    assert {len(one) for one in people} == {130}
    assert {one.skeleton.name for one in people} == {"coco_17"}
    scores = np.concatenate([one.score[one.score > 0] for one in people])
    assert 0.15 < (scores < 0.4).mean() < 0.4  # weak keypoints are kept with their scores


def test_coco_truth_is_separate_pictures(shared_data: Path) -> None:
    with pytest.warns(UserWarning, match="separate pictures"):
        people = read_people(shared_data / "formats" / "coco" / "test_coco.json")
    assert len(people) == 12
    assert all(len(one) == 1 for one in people)
    first = people[0]
    assert first.name == "000000000785/0"
    assert (first.width, first.height) == (640, 425)
    assert first.positions[0, first.skeleton.index("l_eye")].tolist() == [374, 73]
    hidden = sum(int(((one.score > 0) & ~one.visible).sum()) for one in people)
    assert hidden == 17  # flag 1: labelled and not visible


def test_halpe_truth_keeps_the_body(shared_data: Path) -> None:
    with pytest.warns(UserWarning, match="separate pictures"):
        people = read_people(shared_data / "formats" / "halpe" / "test_halpe.json")
    assert len(people) == 12
    assert people[0].skeleton.name == "halpe_26"
    assert people[0].positions[0, people[0].skeleton.index("head_top")].tolist() == [370, 52]
    assert people[0].positions[0, people[0].skeleton.index("r_heel")].tolist() == [414, 353]


def test_boxes_without_keypoints(shared_data: Path) -> None:
    with pytest.raises(FormatError, match="no 'keypoints'"):
        read_people(shared_data / "formats" / "coco" / "test_coco_det_AP_H_56.json")


@pytest.mark.parametrize(("name", "skeleton"), [("baseball", "coco_17"), ("baseball_wholebody", "coco_wholebody_23")])
def test_gastnet(shared_data: Path, name: str, skeleton: str) -> None:
    pose = read(shared_data / "formats" / "gastnet" / f"{name}.json")
    assert isinstance(pose, Pose2D)
    assert pose.skeleton.name == skeleton
    assert len(pose) == 277
    assert (pose.score > 0).any(1).all()
    # seen from the front: the person's left is on the right of the picture
    assert pose.positions[0, pose.skeleton.index("l_hip"), 0] > pose.positions[0, pose.skeleton.index("r_hip"), 0]


def test_mediapipe_image_landmarks(shared_data: Path) -> None:
    path = shared_data / "formats" / "mediapipe" / "image_landmarks_33.csv"
    with pytest.raises(InputError, match="--width"):
        read(path)
    with pytest.warns(UserWarning, match="leaps"):
        pose = read(path, width=1920, height=1080, fps=25)
    assert isinstance(pose, Pose2D)
    assert (len(pose), pose.fps, pose.width) == (300, 25, 1920)
    missing = np.flatnonzero(~(pose.score > 0).any(1))
    assert missing.tolist() == [15]
    assert pose.positions[0, 0] == pytest.approx([0.18186557 * 1920, 0.32517201 * 1080], rel=1e-5)


def test_mediapipe_world_landmarks(shared_data: Path) -> None:
    pose = read(shared_data / "formats" / "mediapipe" / "world_landmarks_17.csv")
    assert isinstance(pose, Pose3D)
    assert pose.skeleton.name == "mediapipe_33"
    assert (len(pose), pose.fps, pose.frame) == (421, 60.0, "root")
    seen = (pose.score > 0).any(1)
    assert seen.sum() == 119
    assert not seen[:104].any()
    assert (pose.score[seen] > 0).sum(1).max() == 17
    head, ankle = (pose.skeleton.index(name) for name in ("nose", "l_ankle"))
    assert (pose.positions[seen, head, 1] < pose.positions[seen, ankle, 1]).all()  # y down


def test_other_kinds_are_refused_by_name(shared_data: Path) -> None:
    for name in ("trc/comma_separated.trc", "c3d/Sample_Static.c3d", "bvh_rigs/bvh_test2.bvh"):
        with pytest.raises(FormatError):
            read_people(shared_data / "formats" / name)


def test_blendmimic_arrays_need_a_skeleton(shared_data: Path) -> None:
    files = sorted((shared_data / "blendmimic3d").glob("**/D3_Positions/**/*.npz"))
    if not files:
        pytest.skip("needs BlendMimic3D")
    with pytest.raises(InputError, match="blendmimic3d_17"):
        read(files[0])
    pose = read(files[0], skeleton="blendmimic3d_17", fps=50)
    assert isinstance(pose, Pose3D)
    assert pose.positions.shape[1:] == (17, 3)
