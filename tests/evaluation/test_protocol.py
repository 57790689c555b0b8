"""The protocol: what is averaged how, on made-up takes whose errors are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import COCO_17, H36M_16, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.errors import InputError
from posemend.evaluation.protocol import evaluate, evaluate_refiner
from posemend.evaluation.report import check_result

FRAMES = 10


def make(action: str, hidden: dict[int, slice] | None = None, cuts=(), frames: int = FRAMES) -> Take:
    rng = np.random.default_rng(len(action))
    positions = rng.normal(size=(frames, 17, 3)) * 0.3
    positions -= positions[:, :1]
    visible = np.ones((frames, 17), bool)
    for joint, when in (hidden or {}).items():
        visible[when, joint] = False
    name = f"S1/{action}/Cam_0"
    keypoints = Pose2D(rng.uniform(0, 900, (frames, 17, 2)), H36M_17, visible=visible, width=1000, height=1000,
                       name=name)  # fmt: skip
    truth = Pose3D(positions, H36M_17, visible=visible, name=name)
    return Take(keypoints, truth, "S1", action, "Cam_0", cuts)


@pytest.fixture
def takes() -> list[Take]:
    return [make("Sit", {3: slice(0, 5), 6: slice(0, 2)}), make("Greet")]


def off(takes: list[Take], errors: dict[str, dict[int, float]]):
    """A predictor that is so many mm off along x, by take and joint."""
    by_name = {take.name: take for take in takes}

    def predict(keypoints: Pose2D) -> Pose3D:
        take = by_name[keypoints.name]
        positions = take.truth.positions.copy()
        for joint, error in errors.get(take.action, {}).items():
            positions[:, joint, 0] += error / 1000
        return replace(take.truth, positions=positions)

    return predict


def test_perfect_prediction(takes):
    result = evaluate(takes, off(takes, {}), input="gt", on="made up", split="all")
    assert result["clips"] == 2 and result["frames"] == 2 * FRAMES
    for key in ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm"):
        assert result[key] == pytest.approx({"all": 0, "visible": 0, "hidden": 0}, abs=1e-3)
    assert result["pck150"] == 100 and result["mpjve_mm"] == pytest.approx(0, abs=1e-3)
    assert result["harm_mm"]["mean"] is None and result["raw"] is None
    check_result(result)


def test_columns_by_hand(takes):
    # Sit: right ankle (3) 80 mm off, hidden in half of the frames; Greet: head top (10) 32 mm off.
    result = evaluate(takes, off(takes, {"Sit": {3: 80}, "Greet": {10: 32}}), input="gt")
    sit = {"all": 80 / 16, "visible": 5 * 80 / (160 - 7), "hidden": 5 * 80 / 7}
    greet = {"all": 2.0, "visible": 2.0}
    assert result["mpjpe_mm"]["all"] == pytest.approx((sit["all"] + greet["all"]) / 2, abs=1e-3)
    assert result["mpjpe_mm"]["visible"] == pytest.approx((sit["visible"] + greet["visible"]) / 2, abs=1e-3)
    assert result["mpjpe_mm"]["hidden"] == pytest.approx(sit["hidden"], abs=1e-3)  # Greet has no hidden joint
    assert result["by_action"]["Greet"]["mpjpe_mm"]["hidden"] is None
    assert result["by_action"]["Sit"]["mpjpe_mm"]["all"] == pytest.approx(5, abs=1e-3)
    assert result["by_joint_mm"]["r_ankle"] == pytest.approx({"all": 40, "visible": 40, "hidden": 80}, abs=1e-3)
    assert "pelvis" not in result["by_joint_mm"]
    low, high = result["ci95_mm"]
    assert 2 - 1e-3 <= low <= result["mpjpe_mm"]["all"] <= high <= 5 + 1e-3


def test_by_hidden_joints_and_run(takes):
    result = evaluate(takes, off(takes, {"Sit": {3: 80}}), input="gt")
    counts = {key: value["frames"] for key, value in result["by_hidden_joints"].items()}
    assert counts == {"0": 15, "1": 3, "2": 2}
    assert result["by_hidden_joints"]["0"]["mpjpe_mm"] == pytest.approx(5 * 5 / 15, abs=1e-3)
    runs = result["by_hidden_run_frames"]
    assert runs["1-5"] == {"joint_frames": 7, "mpjpe_mm": pytest.approx(400 / 7, abs=1e-3)}
    assert runs["101+"] == {"joint_frames": 0, "mpjpe_mm": None}


def test_clips_count_alike_whatever_their_length():
    takes = [make("Sit", frames=40), make("Greet", frames=10)]
    result = evaluate(takes, off(takes, {"Sit": {3: 160}}), input="gt")
    assert result["mpjpe_mm"]["all"] == pytest.approx(5, abs=1e-3)


def test_true_flags_decide_not_the_given_ones(takes):
    by_input = [evaluate(takes, off(takes, {"Sit": {3: 80}}), input=name)["mpjpe_mm"] for name in ("gt", "missing")]
    assert by_input[0] == by_input[1]


def test_the_model_is_given_what_the_input_says(takes):
    seen = []

    def predict(keypoints: Pose2D) -> Pose3D:
        seen.append(int((keypoints.score == 0).sum()))
        return off(takes, {})(keypoints)

    evaluate(takes, predict, input="missing")
    evaluate(takes, predict, input="gt")
    assert seen == [7, 0, 0, 0]


def test_root_is_taken_off_and_camera_frame_is_fine(takes):
    def predict(keypoints: Pose2D) -> Pose3D:
        pose = off(takes, {})(keypoints)
        return replace(pose, positions=pose.positions + np.float32([1, 2, 3]), frame="camera")

    assert evaluate(takes, predict, input="gt")["mpjpe_mm"]["all"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("skeleton", [H36M_16, COCO_17])
def test_other_skeletons_are_compared_by_name(takes, skeleton):
    def predict(keypoints: Pose2D) -> Pose3D:
        return to_skeleton(off(takes, {"Sit": {3: 80}})(keypoints), skeleton)

    result = evaluate(takes, predict, input="gt")
    shared = set(skeleton.joints) & set(H36M_17.joints) - {"pelvis"}
    assert set(result["by_joint_mm"]) == shared
    assert result["mpjpe_mm"]["all"] == pytest.approx(80 / len(shared) / 2, abs=1e-3)


def test_leaving_joints_out_does_not_pay(takes):
    def predict(keypoints: Pose2D) -> Pose3D:
        pose = off(takes, {})(keypoints)
        score = np.ones((FRAMES, 17))
        score[:, 13] = 0
        return replace(pose, score=score)

    result = evaluate(takes, predict, input="gt")
    reach = np.mean([np.linalg.norm(take.truth.positions[:, 13], axis=-1).mean() for take in takes]) * 1000
    assert result["mpjpe_mm"]["all"] == pytest.approx(reach / 16, rel=1e-3)
    assert result["absent_share"] == pytest.approx(1 / 16, abs=1e-3)


def test_velocity_stops_at_cuts():
    take = make("Cut", cuts=(4,))

    def predict(keypoints: Pose2D) -> Pose3D:
        positions = take.truth.positions.copy()
        positions[4:, 1:] += 0.5
        return replace(take.truth, positions=positions)

    assert evaluate([take], predict, input="gt")["mpjve_mm"] == pytest.approx(0, abs=1e-3)
    assert evaluate([replace(take, cuts=())], predict, input="gt")["mpjve_mm"] > 50


def test_refiner_harm_by_hand(takes):
    raw = off(takes, {"Sit": {3: 80}, "Greet": {10: 32}})

    def refine(pose: Pose3D, keypoints: Pose2D) -> Pose3D:
        assert keypoints.name == pose.name
        return off(takes, {"Sit": {3: 48}, "Greet": {10: 64}})(keypoints)

    result = evaluate_refiner(takes, raw, refine, input="gt", lifter="a", refiner="b")
    # nothing hidden: Sit goes from 5 to 3 in its last 5 frames, Greet from 2 to 4 in all
    assert result["harm_mm"] == pytest.approx({"mean": 0, "worst_clip": 2, "share_worse": 0.5, "clips": 2}, abs=1e-3)
    assert result["mpjpe_mm"]["all"] == pytest.approx(3.5, abs=1e-3)
    assert result["raw"]["mpjpe_mm"]["all"] == pytest.approx(3.5, abs=1e-3)
    assert result["protocol"]["refiner"] == "b"
    same = evaluate(takes, lambda keypoints: refine(raw(keypoints), keypoints), input="gt", raw=raw)
    assert same["harm_mm"] == result["harm_mm"]


def test_result_is_strict_json_and_repeatable(takes):
    takes = [make("One", {joint: slice(None) for joint in range(17)})]  # nothing visible, one clip
    result = evaluate(takes, off(takes, {"One": {3: 10}}), input="detector", seed=3)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["mpjpe_mm"]["visible"] is None and result["ci95_mm"] is None
    assert result == evaluate(takes, off(takes, {"One": {3: 10}}), input="detector", seed=3)
    check_result(result)


def test_one_frame_has_no_velocity():
    takes = [make("One", frames=1)]
    result = evaluate(takes, off(takes, {}), input="gt")
    assert result["mpjve_mm"] is None and result["accel_mm"] is None


def test_progress_is_told(takes):
    told = []
    evaluate(takes, off(takes, {}), input="gt", progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_what_does_not_fit_is_refused(takes):
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate([], off(takes, {}), input="gt")
    with pytest.raises(InputError, match="No input"):
        evaluate(takes, off(takes, {}), input="film")
    with pytest.raises(InputError, match="9 frames"):
        evaluate(takes, lambda keypoints: off(takes, {})(keypoints)[:9], input="gt")
    with pytest.raises(InputError, match="world"):
        evaluate(takes, lambda keypoints: replace(off(takes, {})(keypoints), frame="world"), input="gt")


def test_a_still_mean_pose_on_real_takes(shared_data):
    from posemend.datasets import blendmimic3d

    takes = blendmimic3d.read(shared_data / "blendmimic3d", ["S1"], ["WalkCircle"], [0, 1])
    still = np.mean([take.truth.positions.mean(0) for take in takes], 0)

    def predict(keypoints: Pose2D) -> Pose3D:
        return Pose3D(np.repeat(still[None], len(keypoints), 0), H36M_17, fps=keypoints.fps)

    result = evaluate(takes, predict, input="gt", on="blendmimic3d")
    check_result(result)
    assert 150 < result["mpjpe_mm"]["all"] < 500
    assert result["p_mpjpe_mm"]["all"] < result["mpjpe_mm"]["all"]
    assert result["bone_length_spread_mm"] == pytest.approx(0, abs=1e-3)
