"""Papers' averages, by hand, and where they differ from ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import H36M_16, H36M_17, MPI_INF_3DHP_17, SMPL_24
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.errors import InputError
from posemend.evaluation.papers import AVERAGINGS
from posemend.evaluation.protocol import evaluate


def take(action: str, frames: int = 10, skeleton=H36M_17, subject: str = "S9", score=None, camera: str = "0") -> Take:
    rng = np.random.default_rng(frames)
    positions = rng.normal(size=(frames, len(skeleton), 3)) * 0.3
    positions -= positions[:, [skeleton.index("pelvis")]]
    name = f"{subject}/{action}/{camera}"
    keypoints = Pose2D(np.zeros((frames, len(skeleton), 2)), skeleton, width=9, height=9, name=name)
    return Take(keypoints, Pose3D(positions, skeleton, score, name=name), subject, action, camera)


def paper(takes: list[Take], averaging: str, change, **more) -> dict:
    by_name = {one.name: one for one in takes}

    def predict(keypoints: Pose2D) -> Pose3D:
        one = by_name[keypoints.name]
        return change(one, one.truth)

    return evaluate(takes, predict, input="gt", averaging=averaging, **more)["paper"]


def shifted(joints: dict[str, float]):
    """A predictor that is off by so many mm along x."""

    def change(one: Take, pose: Pose3D) -> Pose3D:
        positions = pose.positions.copy()
        for joint, error in joints.items():
            positions[:, pose.skeleton.index(joint), 0] += error / 1000
        return replace(pose, positions=positions)

    return change


def test_ours_has_no_paper() -> None:
    one = take("Walking")
    assert paper([one], "ours", lambda _, pose: pose) is None
    with pytest.raises(InputError, match="h36m"):
        paper([one], "theirs", lambda _, pose: pose)
    assert AVERAGINGS == ("ours", "h36m", "h36m-16", "3dhp", "3dpw")


def test_h36m_counts_the_root_and_averages_over_actions() -> None:
    takes = [take("Walking 1", 30), take("Walking", 10), take("Sitting", 20)]

    def change(one: Take, pose: Pose3D) -> Pose3D:
        return shifted({"r_wrist": {"Walking 1": 17, "Walking": 51, "Sitting": 170}[one.action]})(one, pose)

    found = paper(takes, "h36m", change)
    assert found["by_action"]["Walking"]["mpjpe_mm"] == pytest.approx((30 * 1 + 10 * 3) / 40, abs=1e-3)
    assert found["by_action"]["Sitting"]["mpjpe_mm"] == pytest.approx(10, abs=1e-3)
    assert found["mpjpe_mm"] == pytest.approx((1.5 + 10) / 2, abs=1e-3)
    assert (found["joints"], found["frames"], found["mean_over"]) == (17, 60, "actions")
    ours = evaluate(takes, lambda k: change(*[(t, t.truth) for t in takes if t.name == k.name][0]), input="gt")
    assert ours["mpjpe_mm"]["all"] == pytest.approx((17 + 51 + 170) / 16 / 3, abs=1e-3)
    assert set(ours["by_action"]) == {"Walking", "Sitting"}


def test_h36m_takes_the_predicted_root_as_it_is() -> None:
    moved = paper([take("Walking")], "h36m", lambda _, pose: replace(pose, positions=pose.positions + np.float32(0.01)))
    assert moved["mpjpe_mm"] == pytest.approx(10 * 3**0.5, abs=1e-3), "the root's own offset is an error"
    assert moved["p_mpjpe_mm"] == pytest.approx(0, abs=1e-3) and moved["mpjve_mm"] == pytest.approx(0, abs=1e-3)
    in_camera = paper(
        [take("Walking")],
        "h36m",
        lambda _, pose: replace(pose, positions=pose.positions + np.float32(2), frame="camera"),
    )
    assert in_camera["mpjpe_mm"] == pytest.approx(0, abs=1e-3)


def test_sixteen_joints() -> None:
    one = take("Walking")
    found = paper([one], "h36m-16", lambda t, pose: to_skeleton(shifted({"r_knee": 16})(t, pose), H36M_16))
    assert found["mpjpe_mm"] == pytest.approx(1, abs=1e-3) and found["made_up_joints"] == []
    seventeen = paper([one], "h36m", lambda _, pose: to_skeleton(pose, H36M_16))
    assert seventeen["made_up_joints"] == ["nose"]
    nose = one.truth.skeleton.index("nose")
    ends = [one.truth.skeleton.index(joint) for joint in ("thorax", "head_top")]
    off = np.linalg.norm(one.truth.positions[:, ends].mean(1) - one.truth.positions[:, nose], axis=-1).mean() * 1000
    assert seventeen["mpjpe_mm"] == pytest.approx(off / 17, rel=1e-3)


def test_3dhp_pools_frames_that_count_and_has_14_joints_for_pck() -> None:
    score = np.ones((10, 17))
    score[5:] = 0
    takes = [
        take("test", 10, MPI_INF_3DHP_17, "TS1", score),
        take("test", 15, MPI_INF_3DHP_17, "TS2"),
    ]

    def change(one: Take, pose: Pose3D) -> Pose3D:
        wrong = {"l_wrist": 200, "head": 900, "spine": 900} if one.subject == "TS1" else {}
        return replace(shifted(wrong)(one, pose), score=np.ones(pose.score.shape))

    found = paper(takes, "3dhp", change)
    assert found["frames"] == 20 and found["mean_over"] == "frames"
    assert found["mpjpe_mm"] == pytest.approx(5 * 2000 / 17 / 20, abs=1e-2)
    assert found["pck150"] == pytest.approx(100 * (1 - 5 / (14 * 20)), abs=1e-3)
    # an error of 0 passes 30 of 31 thresholds: none is below 0
    assert found["auc150"] == pytest.approx(100 * 30 / 31 * (1 - 5 / (14 * 20)), abs=0.01)
    assert found["by_sequence"]["TS1/test"]["frames"] == 5
    assert found["by_sequence"]["TS2/test"]["pck150"] == 100


def test_3dpw_centres_on_the_hips_and_has_the_challenge_beside() -> None:
    one = take("walk", 10, SMPL_24, "test", camera="p0")
    hips = paper([one], "3dpw", shifted({"l_hip": 14, "r_hip": 14}))
    # the middle of the hips moves by 14 mm, so all other 12 joints are off by as much
    assert hips["joints"] == 14 and hips["mpjpe_mm"] == pytest.approx(12 * 14 / 14, abs=1e-2)
    assert hips["challenge"]["mpjpe_mm"] == pytest.approx(2 * 14 / 24, abs=1e-2)
    wrist = paper([one], "3dpw", shifted({"l_wrist": 80, "l_hand": 80}))
    assert wrist["mpjpe_mm"] == pytest.approx(80 / 14, abs=1e-2)
    assert wrist["challenge"]["pck50"] == pytest.approx(100 * 11 / 12, abs=1e-3)
    assert wrist["challenge"]["auc200"] == pytest.approx(100 * (11 + 119.5 / 199) / 12, abs=0.1)


def test_joints_that_cannot_be_had_make_null() -> None:
    one = take("walk", 10, SMPL_24, "test", camera="p0")
    found = paper([one], "3dpw", lambda _, pose: to_skeleton(pose, H36M_17))
    assert found["challenge"] is None and found["lacking_joints"] == []
    assert found["made_up_joints"] == ["neck", "skull"]
    assert found["mpjpe_mm"] is not None

    def blind_to_wrists(_: Take, pose: Pose3D) -> Pose3D:
        score = np.ones(pose.score.shape)
        score[:, pose.skeleton.index("l_wrist")] = 0
        return replace(pose, score=score)

    lacking = paper([one], "3dpw", blind_to_wrists)
    assert lacking["mpjpe_mm"] is None and lacking["lacking_joints"] == ["l_wrist"]


def test_another_data_sets_average_is_refused() -> None:
    with pytest.raises(InputError, match="'3dpw' counts .*skull"):
        paper([take("Walking")], "3dpw", lambda _, pose: pose)


def test_raw_and_refined_each_have_theirs() -> None:
    one = take("Walking")
    result = evaluate(
        [one], lambda keypoints: one.truth, input="gt", averaging="h36m",
        raw=lambda keypoints: shifted({"r_knee": 17})(one, one.truth),
    )  # fmt: skip
    assert result["paper"]["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert result["raw"]["paper"]["mpjpe_mm"] == pytest.approx(1, abs=1e-3)
