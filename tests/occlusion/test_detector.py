"""The simulated detector does what the protocol says it does."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.errors import InputError
from posemend.occlusion import detector, hide
from posemend.occlusion.detector import OTHER, SELF, VISIBLE, Detector, simulate_arrays

QUIET = Detector(gross_share=0, swap_share=0)


def take(subject: str = "S1", frames: int = 300, width: int | None = 1000, cuts=()) -> Take:
    rng = np.random.default_rng(5)
    positions = rng.uniform(100, 900, (frames, 17, 2))
    positions[:, 3] = (1100, 500)  # right ankle beside the image
    visible = rng.random((frames, 17)) < 0.7
    visible[:, 3] = False
    keypoints = Pose2D(positions, H36M_17, visible=visible, width=width, height=1000, fps=50, name=f"{subject}/A/Cam_0")
    truth = Pose3D(rng.normal(size=(frames, 17, 3)), H36M_17, visible=visible, fps=50)
    return Take(keypoints, truth, subject, "A", "Cam_0", cuts)


def area_under_curve(score: np.ndarray, seen: np.ndarray) -> float:
    ranks = np.empty(score.size)
    ranks[np.argsort(score, axis=None)] = np.arange(1, score.size + 1)
    n = seen.sum()
    return float((ranks[seen.ravel()].sum() - n * (n + 1) / 2) / (n * (~seen).sum()))


@pytest.fixture(scope="module")
def many():
    kind = np.random.default_rng(1).integers(0, 3, (40, 500, 17)).astype(np.int8)
    found, score = simulate_arrays(np.zeros((*kind.shape, 2)), kind, 500, 50, H36M_17, np.random.default_rng(2), QUIET)
    return kind, np.linalg.norm(found, axis=-1), score, found


def test_mean_errors_scale_with_width(many):
    kind, error, _, _ = many
    for which, wanted in ((VISIBLE, 6.1), (SELF, 11.5), (OTHER, 40.0)):
        assert error[kind == which].mean() * 2 == pytest.approx(wanted, rel=0.02)  # the image is 500 px wide


def test_errors_remember_a_quarter_of_a_second():
    kind = np.zeros((40, 500, 17), np.int8)
    error, _ = simulate_arrays(np.zeros((*kind.shape, 2)), kind, 1000, 40, H36M_17, np.random.default_rng(3), QUIET)

    def likeness(lag: int) -> float:
        return float((error[:, lag:] * error[:, :-lag]).mean() / (error**2).mean())

    assert likeness(10) == pytest.approx(np.exp(-1), abs=0.03)  # 10 frames at 40 per second
    assert likeness(60) == pytest.approx(0, abs=0.03)
    assert (error[:, 0] ** 2).mean() == pytest.approx((error[:, -1] ** 2).mean(), rel=0.15)  # no warming up


def test_scores_tell_hidden_joints_with_an_area_of_085(many):
    kind, _, score, _ = many
    assert area_under_curve(score, kind == VISIBLE) == pytest.approx(0.85, abs=0.01)
    assert score.min() > 0 and score.max() < 1


def test_gross_errors_come_in_short_runs():
    kind = np.zeros((60, 500, 17), np.int8)
    setting = Detector(visible_px=0, swap_share=0)
    found, _ = simulate_arrays(np.zeros((*kind.shape, 2)), kind, 1000, 50, H36M_17, np.random.default_rng(4), setting)
    far = np.linalg.norm(found, axis=-1)
    gross = far > 0
    assert gross.mean() == pytest.approx(0.02, abs=0.003)
    assert far[gross].min() >= 30 and far[gross].max() <= 300
    begins = (gross[:, 1:] & ~gross[:, :-1]).sum()
    assert gross.sum() / begins == pytest.approx(6, rel=0.25)  # 0.12 s at 50 per second


def test_swaps_exchange_whole_legs_or_arms():
    positions = np.broadcast_to(np.arange(17, dtype=float)[:, None], (60, 500, 17, 2))
    setting = Detector(visible_px=0, gross_share=0)
    kind = np.zeros(positions.shape[:-1], np.int8)
    found, _ = simulate_arrays(positions, kind, 1000, 50, H36M_17, np.random.default_rng(6), setting)
    swapped = found[..., 0] != positions[..., 0]
    legs, arms = [1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]
    assert swapped.any(-1).mean() == pytest.approx(0.02, abs=0.005)
    for group in (legs, arms):
        assert (swapped[..., group].all(-1) == swapped[..., group].any(-1)).all()
        assert swapped[..., group].any()
    assert not (swapped[..., legs].any(-1) & swapped[..., arms].any(-1)).any()
    assert not swapped[..., [0, 7, 8, 9, 10]].any()
    assert set(found[..., 1, 0][swapped[..., 1]]) == {4.0}


def test_kinds_of_hidden_joints_by_rule():
    own, others = detector.hidden_kind(take("S1")), detector.hidden_kind(take("S2"))
    visible = take().keypoints.visible
    assert (own[visible] == VISIBLE).all() and (others[visible] == VISIBLE).all()
    assert (own[:, 3] == OTHER).all()
    inside = ~visible
    inside[:, 3] = False
    assert (own[inside] == SELF).all() and (others[inside] == OTHER).all()


def test_detector_gives_scores_and_no_flags():
    recording = take(cuts=(100,))
    found = hide.keypoints_for(recording, "detector", seed=1)
    assert found.visible.all() and found.positions.shape == (300, 17, 2)
    assert (found.score > 0).all() and (found.score < 1).all()
    assert found.name == recording.name and found.skeleton == H36M_17


def test_equal_seeds_give_equal_keypoints_and_names_differ():
    first, again = (hide.keypoints_for(take(), "detector", seed=3).positions for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, hide.keypoints_for(take(), "detector", seed=4).positions)
    noise = first - take().keypoints.positions
    other = hide.keypoints_for(take("S2"), "detector", seed=3).positions - take("S2").keypoints.positions
    seen = take().keypoints.visible
    assert not np.allclose(noise[seen], other[seen])


def test_absent_joints_stay_absent():
    recording = take()
    score = np.ones((300, 17))
    score[:, 5] = 0
    keypoints = Pose2D(recording.keypoints.positions, H36M_17, score=score, width=1000, height=1000)
    found = detector.simulate(Take(keypoints, recording.truth, "S1", "A", "0"), np.random.default_rng(0))
    assert (found.score[:, 5] == 0).all() and not found.visible[:, 5].any()


def test_what_cannot_be_simulated_is_refused():
    with pytest.raises(InputError, match="width"):
        hide.keypoints_for(take(width=None), "detector")
    with pytest.raises(InputError, match="hidden_kind"):
        simulate_arrays(np.zeros((5, 17, 2)), np.zeros((4, 17), np.int8), 1000, 50, H36M_17, np.random.default_rng(0))
    with pytest.raises(InputError, match="17"):
        simulate_arrays(np.zeros((5, 16, 2)), np.zeros((5, 16), np.int8), 1000, 50, H36M_17, np.random.default_rng(0))


def test_one_frame():
    found, score = simulate_arrays(
        np.zeros((1, 17, 2)), np.zeros((1, 17), np.int8), 1000, 50, H36M_17, np.random.default_rng(0)
    )
    assert np.isfinite(found).all() and score.shape == (1, 17)


def test_real_takes(shared_data):
    from posemend.datasets import blendmimic3d

    takes = blendmimic3d.read(shared_data / "blendmimic3d", actions=blendmimic3d.VALIDATION_ACTIONS)
    rng = np.random.default_rng(0)
    found = [detector.simulate(take, rng) for take in takes]
    seen = np.concatenate([take.keypoints.visible for take in takes])
    score = np.concatenate([pose.score for pose in found])
    error = np.concatenate(
        [
            np.linalg.norm(pose.positions - take.keypoints.positions, axis=-1)
            for pose, take in zip(found, takes, strict=True)
        ]
    )
    assert area_under_curve(score, seen) == pytest.approx(0.85, abs=0.015)
    assert np.median(error[seen]) < np.median(error[~seen])
