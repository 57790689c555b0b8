"""Scenes refuse what does not belong together, and measure what the protocol says."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose3D
from posemend.errors import InputError
from posemend.viewer import Layer, Scene
from posemend.viewer.scene import clip_means, joint_errors
from tests.viewer.clips import FPS, scene, walk


def pose(frames: int = 10, **changes: object) -> Pose3D:
    settings: dict[str, object] = {"fps": FPS, **changes}
    return Pose3D(walk(frames), H36M_17, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([], "at least one|1 to 4"),
        ([Layer(pose(), "a", "truth"), Layer(pose(), "b", "truth")], "at most one truth"),
        ([Layer(pose(), str(i), "raw") for i in range(5)], "1 to 4"),
        ([Layer(pose(), "a", "raw"), Layer(pose(), "a", "refined")], "different label"),
        ([Layer(pose(), "a", "raw"), Layer(pose(11), "b", "refined")], "10 frames.*11"),
        ([Layer(pose(), "a", "raw"), Layer(pose(fps=30.0), "b", "refined")], "25 fps.*30"),
        ([Layer(pose(), "a", "raw"), Layer(pose(frame="world"), "b", "truth")], "z up"),
    ],
)
def test_scene_refuses(layers: list[Layer], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Scene(layers)


def test_layer_refuses_an_unknown_role_and_an_empty_label() -> None:
    with pytest.raises(InputError, match="role"):
        Layer(pose(), "a", "guess")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="label"):
        Layer(pose(), " ", "raw")


def test_keypoints_must_be_on_the_same_clock() -> None:
    with pytest.raises(InputError, match="keypoints"):
        Scene([Layer(pose(), "a", "raw")], scene(11).keypoints)


def test_errors_are_root_relative_millimetres() -> None:
    moved = walk(10)
    moved[:, H36M_17.index("l_wrist")] += [0.03, 0, 0.04]
    truth = Layer(Pose3D(walk(10) + np.array([1, 2, 3]), H36M_17, fps=FPS, frame="camera"), "truth", "truth")
    errors = joint_errors(Layer(Pose3D(moved, H36M_17, fps=FPS), "raw", "raw"), truth)
    wanted = np.zeros((10, 17))
    wanted[:, H36M_17.index("l_wrist")] = 50
    np.testing.assert_allclose(errors, wanted, atol=1e-3)


def test_joints_are_compared_by_name_and_absent_ones_left_out() -> None:
    truth = Layer(pose(), "truth", "truth")
    other = Layer(to_skeleton(pose(), COCO_17), "coco", "raw")
    errors = joint_errors(other, truth)
    eyes_and_ears = [COCO_17.index(name) for name in ("l_eye", "r_eye", "l_ear", "r_ear")]
    assert np.isnan(errors[:, eyes_and_ears]).all()
    rest = np.setdiff1d(np.arange(17), eyes_and_ears)
    np.testing.assert_allclose(errors[:, rest], 0, atol=1e-3)


def test_without_a_shared_pelvis_the_hips_are_the_origin() -> None:
    off_centre = walk(10)
    off_centre[:, 0] += [0, 0.08, 0]  # a truth whose pelvis is not between its hips
    truth = Layer(Pose3D(off_centre, H36M_17, fps=FPS), "truth", "truth")
    errors = joint_errors(Layer(to_skeleton(pose(), COCO_17), "coco", "raw"), truth)
    np.testing.assert_allclose(errors[:, COCO_17.index("l_wrist")], 0, atol=1e-3)


def test_no_pelvis_no_error() -> None:
    score = np.ones((10, 17))
    score[3, 0] = 0
    lost = Layer(Pose3D(walk(10) + np.array([0, 0, 4]), H36M_17, score=score, fps=FPS, frame="camera"), "raw", "raw")
    errors = joint_errors(lost, Layer(pose(), "truth", "truth"))
    assert np.isnan(errors[3]).all()
    assert np.isfinite(errors[4]).all()


def test_means_leave_the_pelvis_out_and_part_hidden_from_visible() -> None:
    moved, visible = walk(10), np.ones((10, 17), bool)
    wrist = H36M_17.index("r_wrist")
    visible[5:, wrist] = False
    moved[5:, wrist, 0] += 0.1
    layers = [
        Layer(Pose3D(moved, H36M_17, fps=FPS), "raw", "raw"),
        Layer(Pose3D(walk(10), H36M_17, visible=visible, fps=FPS), "truth", "truth"),
    ]
    raw, truth = clip_means(Scene(layers))
    assert truth is None
    assert raw == pytest.approx({"all": 5 * 100 / 160, "visible": 0, "hidden": 100}, abs=1e-3)


def test_nothing_hidden_has_no_hidden_mean_and_no_truth_no_means() -> None:
    raw = Layer(pose(), "raw", "raw")
    means = clip_means(Scene([raw, Layer(pose(), "truth", "truth")]))[0]
    assert means is not None and means["hidden"] is None
    assert clip_means(Scene([raw])) == [None]


def test_flags_come_from_the_truth_first() -> None:
    hidden = np.ones((10, 17), bool)
    hidden[0, 3] = False
    plain, marked = pose(), pose(visible=hidden)
    assert Scene([Layer(plain, "a", "raw"), Layer(marked, "b", "truth")]).flags_from.label == "b"
    assert Scene([Layer(marked, "a", "raw"), Layer(plain, "b", "truth")]).flags_from.label == "a"
    assert Scene([Layer(plain, "a", "raw"), Layer(plain, "b", "truth")]).flags_from.label == "b"
