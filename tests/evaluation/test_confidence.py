"""Stated errors against true ones: coverage by hand, and a ranking whose area is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.evaluation.compare import compare
from posemend.evaluation.confidence import LEVELS, REMOVED, ConfidenceTally, exponential_multiples, sparsification
from posemend.evaluation.protocol import evaluate


def take(frames: int = 400, hidden_joint: int = 3) -> Take:
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(frames, 17, 3)) * 0.3
    visible = np.ones((frames, 17), bool)
    visible[:, hidden_joint] = False
    truth = Pose3D(positions - positions[:, :1], H36M_17, visible=visible, name="S1/Sit/0")
    keypoints = Pose2D(np.zeros((frames, 17, 2)), H36M_17, visible=visible, width=100, height=100, name="S1/Sit/0")
    return Take(keypoints, truth, "S1", "Sit", "0")


def predicted(clip: Take, sigma: np.ndarray, stated: float = 1.0, seed: int = 1) -> Pose3D:
    """Joints off by exponential distances of mean ``sigma`` (T, J), which is stated times ``stated``."""
    rng = np.random.default_rng(seed)
    way = rng.normal(size=clip.truth.positions.shape)
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    far = rng.exponential(1.0, sigma.shape) * sigma
    far[:, 0] = 0
    return replace(clip.truth, positions=clip.truth.positions + far[..., None] * way, sigma=stated * sigma)


def measured(clip: Take, pose: Pose3D, **more) -> dict:
    tally = ConfidenceTally(**more)
    tally.add(compare(clip, pose))
    found = tally.summary()
    assert found is not None
    return found


def test_multiples_are_quantiles_of_the_exponential_law() -> None:
    draws = np.random.default_rng(0).exponential(1.0, 400_000)
    for level, multiple in exponential_multiples().items():
        assert (draws <= multiple).mean() == pytest.approx(level, abs=3e-3)
        assert 1 - math.exp(-multiple) == pytest.approx(level)


def test_honest_errors_are_covered_as_stated() -> None:
    clip = take()
    sigma = np.random.default_rng(2).uniform(0.01, 0.1, (400, 17))
    found = measured(clip, predicted(clip, sigma))
    assert found["joint_frames"] == {"all": 6400, "visible": 6000, "hidden": 400}
    for level in LEVELS:
        covered = found["coverage"][f"{level:.0%}"]
        assert covered["all"] == pytest.approx(level, abs=0.015)
        assert covered["visible"] == pytest.approx(level, abs=0.015)
        assert covered["hidden"] == pytest.approx(level, abs=0.06)


def test_boastful_and_timid_errors_are_seen() -> None:
    clip, sigma = take(), np.full((400, 17), 0.05)
    boastful, timid = (measured(clip, predicted(clip, sigma, stated)) for stated in (0.5, 2.0))
    assert boastful["coverage"]["90%"]["all"] == pytest.approx(1 - 0.1**0.5, abs=0.02)
    assert timid["coverage"]["90%"]["all"] == pytest.approx(0.99, abs=0.01)
    assert timid["mean_sigma_mm"]["all"] == pytest.approx(100)
    own = measured(clip, predicted(clip, sigma, 0.5), multiples={0.9: 2 * exponential_multiples()[0.9]})
    assert own["coverage"] == {"90%": own["coverage"]["90%"]} and own["coverage"]["90%"]["all"] == pytest.approx(
        0.9, abs=0.02
    )


def test_the_multiples_that_would_have_been_right() -> None:
    clip, sigma = take(), np.full((400, 17), 0.05)
    pose = predicted(clip, sigma, 0.5)
    needed = measured(clip, pose)["needed_radius_over_sigma"]
    assert needed["90%"]["visible"] == pytest.approx(2 * exponential_multiples()[0.9], rel=0.06)
    own = measured(clip, pose, multiples={0.9: needed["90%"]["all"]})
    assert own["coverage"]["90%"]["all"] == pytest.approx(0.9, abs=1e-3)


def test_visible_and_hidden_apart() -> None:
    clip, sigma = take(), np.full((400, 17), 0.02)
    pose = predicted(clip, sigma)
    off = pose.positions.copy()
    off[:, 3] = clip.truth.positions[:, 3] + [1, 0, 0]  # hidden, and far outside of what is stated
    found = measured(clip, replace(pose, positions=off))["coverage"]["95%"]
    assert found["hidden"] == 0 and found["visible"] == pytest.approx(0.95, abs=0.02)


def test_sparsification_by_hand() -> None:
    errors = np.arange(1.0, 101)
    best = sparsification(errors, errors)
    assert best[0] == pytest.approx(50.5) and best[10] == pytest.approx(25.5) and best[-1] == pytest.approx(3)
    worst = sparsification(errors, -errors)
    assert worst[10] == pytest.approx(75.5)
    assert len(best) == len(REMOVED) == 20


def test_area_is_nought_for_a_perfect_ranking_and_larger_for_a_poor_one() -> None:
    clip = take()
    pose = predicted(clip, np.full((400, 17), 0.05))
    error = np.linalg.norm(pose.positions - clip.truth.positions, axis=-1)
    perfect = measured(clip, replace(pose, sigma=error))
    shuffled = measured(clip, replace(pose, sigma=np.random.default_rng(3).permutation(error.ravel()).reshape(400, 17)))
    inverse = measured(clip, replace(pose, sigma=1 - error))
    assert perfect["ause_mm"]["all"] == pytest.approx(0, abs=1e-3)
    assert 10 < shuffled["ause_mm"]["all"] < inverse["ause_mm"]["all"]
    curve = perfect["sparsification"]["by_sigma_mm"]
    assert curve[0] == pytest.approx(shuffled["sparsification"]["by_sigma_mm"][0])
    assert (np.diff(curve) < 0).all()


def test_no_stated_errors_is_null() -> None:
    clip = take(20)
    result = evaluate([clip], lambda keypoints: clip.truth, input="gt")
    assert result["confidence"] is None
    stated = replace(clip.truth, sigma=np.full((20, 17), 0.01))
    result = evaluate([clip], lambda keypoints: stated, input="gt", raw=lambda keypoints: clip.truth)
    assert result["confidence"]["coverage"]["50%"]["all"] == 1 and result["raw"]["confidence"] is None
    everything = replace(clip, truth=replace(clip.truth, visible=np.ones((20, 17), bool)))
    result = evaluate([everything], lambda keypoints: stated, input="gt")
    assert result["confidence"]["coverage"]["50%"]["hidden"] is None
