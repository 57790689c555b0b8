"""Whom to believe on the whole: bones that change their length give a lifter away."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.body.pose import Take
from posemend.runtime.leaning import BEGINS, FAR, FEWEST, WHOLE, settled, wavering

FPS = 50.0


def _stretched(truth: np.ndarray, by: float, seed: int) -> np.ndarray:
    """Joints that wander slowly and each on its own: bones change their length."""
    rng = np.random.default_rng(seed)
    time = np.arange(len(truth))[:, None, None] / FPS
    waves = [by * np.sin(2 * np.pi * rng.uniform(0.2, 1.5, (1, 17, 3)) * time + rng.uniform(0, 6, (1, 17, 3)))]
    off = np.sum(waves, 0)
    off[:, 0] = 0
    return (truth + off).astype(np.float32)


@pytest.fixture
def truth(clip: Take) -> np.ndarray:
    return clip.truth.positions[:400]


@pytest.fixture
def seen(truth: np.ndarray) -> np.ndarray:
    return np.ones(truth.shape[:2], bool)


def _error(pose: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(pose - truth, axis=-1).mean())


def test_bones_of_truth_hardly_waver(truth: np.ndarray, seen: np.ndarray) -> None:
    steady, wanders = wavering(truth, seen, FPS), wavering(_stretched(truth, 0.03, 1), seen, FPS)
    assert steady is not None and wanders is not None
    assert steady < 0.02 < wanders


def test_a_lifter_whose_bones_waver_more_than_ours_gives_way(truth: np.ndarray, seen: np.ndarray) -> None:
    raw, ours = _stretched(truth, 0.08, 1), _stretched(truth, 0.02, 2)
    refined = (0.5 * (raw + ours)).astype(np.float32)
    result = settled(refined, raw, ours, seen, seen, FPS)
    np.testing.assert_allclose(result, ours, atol=1e-5)
    assert _error(result, truth) < 0.6 * _error(refined, truth)


def test_a_measured_pose_is_left_to_the_refiner(truth: np.ndarray, seen: np.ndarray) -> None:
    ours = _stretched(truth, 0.05, 2)
    refined = (0.9 * truth + 0.1 * ours).astype(np.float32)
    np.testing.assert_array_equal(settled(refined, truth, ours, seen, seen, FPS), refined)


def _better(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A lifter whose bones waver half as much as ours, our opinion, and a refiner that went most of the way to it."""
    raw, ours = _stretched(truth, 0.02, 1), _stretched(truth, 0.04, 2)
    return raw, ours, (0.2 * raw + 0.8 * ours).astype(np.float32)


def test_a_better_lifter_stays_where_joints_were_seen(truth: np.ndarray, seen: np.ndarray) -> None:
    raw, ours, refined = _better(truth)
    some = seen.copy()
    some[:, 11:14] = False
    result = settled(refined, raw, ours, seen, some, FPS)
    moved = np.linalg.norm(result - raw, axis=-1)
    assert moved[some].mean() < 0.2 * np.linalg.norm(refined - raw, axis=-1)[some].mean()
    np.testing.assert_array_equal(result[~some], refined[~some])
    assert _error(result, truth) < 0.8 * _error(refined, truth)


def test_a_joint_astray_is_repaired_for_a_better_lifter_too(truth: np.ndarray, seen: np.ndarray) -> None:
    raw, ours, refined = _better(truth)
    raw[100:200, 13] += 2 * FAR  # a seen wrist, for two seconds
    refined[100:200, 13] = truth[100:200, 13]
    result = settled(refined, raw, ours, seen, seen, FPS)
    np.testing.assert_allclose(result[120:180, 13], truth[120:180, 13], atol=1e-3)


def test_only_slow_changes_are_held_back(truth: np.ndarray, seen: np.ndarray) -> None:
    raw, ours, refined = _better(truth)
    noise = np.random.default_rng(4).normal(0, 0.01, truth.shape)
    noise[:, 0] = 0
    result = settled(refined, (raw + noise).astype(np.float32), ours, seen, seen, FPS)
    shaken, calmed = (np.abs(np.diff(pose, 2, axis=0)).mean() for pose in (raw + noise, result))
    assert calmed < 0.4 * shaken


def test_one_joint_astray_is_no_bad_lifter(truth: np.ndarray, seen: np.ndarray) -> None:
    raw, ours = truth.copy(), _stretched(truth, 0.03, 2)
    raw[100:200, 13] += 0.4
    np.testing.assert_array_equal(settled(raw, raw, ours, seen, seen, FPS), raw)


def test_tremble_is_no_bad_lifter_either(truth: np.ndarray, seen: np.ndarray) -> None:
    """Noise from frame to frame says little about where a lifter is on the whole."""
    ours = _stretched(truth, 0.03, 2)
    raw = truth + np.random.default_rng(4).normal(0, 0.02, truth.shape).astype(np.float32)
    np.testing.assert_array_equal(settled(raw, raw, ours, seen, seen, FPS), raw)


def test_what_the_refiner_did_already_is_not_done_twice(truth: np.ndarray, seen: np.ndarray) -> None:
    raw, ours = _stretched(truth, 0.08, 1), _stretched(truth, 0.02, 2)
    np.testing.assert_allclose(settled(ours, raw, ours, seen, seen, FPS), ours, atol=1e-6)


def test_the_share_follows_the_bones(truth: np.ndarray, seen: np.ndarray) -> None:
    ours = _stretched(truth, 0.02, 2)
    way = []
    for by in (0.01, 0.03, 0.04, 0.06):
        raw = _stretched(truth, by, 1)
        result = settled(raw, raw, ours, seen, seen, FPS)
        way.append(float(np.linalg.norm(result - raw) / np.linalg.norm(ours - raw)))
        theirs, own = wavering(raw, seen, FPS), wavering(ours, seen, FPS)
        assert theirs is not None and own is not None
        assert way[-1] == pytest.approx(np.clip((theirs / own - BEGINS) / (WHOLE - BEGINS), 0, 1), abs=1e-3)
    assert way == sorted(way) and way[0] == 0 and way[-1] == pytest.approx(1)


@pytest.mark.parametrize("frames", [1, 5, FEWEST - 1])
def test_short_clips_tell_nothing(truth: np.ndarray, seen: np.ndarray, frames: int) -> None:
    raw, ours = _stretched(truth, 0.08, 1)[:frames], _stretched(truth, 0.02, 2)[:frames]
    np.testing.assert_array_equal(settled(raw, raw, ours, seen[:frames], seen[:frames], FPS), raw)


def test_a_pose_without_joints_tells_nothing(truth: np.ndarray, seen: np.ndarray) -> None:
    raw, ours = _stretched(truth, 0.08, 1), _stretched(truth, 0.02, 2)
    np.testing.assert_array_equal(settled(raw, raw, ours, ~seen, ~seen, FPS), raw)
    some = seen.copy()
    some[::3, 3:] = False  # hips and a knee alone: a bone that is always there suffices
    assert wavering(raw, some, FPS) is not None
