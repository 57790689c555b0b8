"""Weighing estimates by certainty, over time and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.runtime import fusion


def way(frames: int = 90, fps: float = 30.0) -> np.ndarray:
    """(T, 2, 3) two joints on smooth ways."""
    t = np.arange(frames) / fps
    first = np.stack([0.4 * np.sin(2 * t), 0.2 * t, 2 + 0.3 * np.cos(t)], -1)
    return np.stack([first, first[::-1] + 0.3], 1).astype(np.float32)


def test_the_surer_one_counts_more() -> None:
    a, b = np.zeros((1, 2, 3), np.float32), np.full((1, 2, 3), 0.01, np.float32)
    s, t = np.array([[0.02, 0.02]], np.float32), np.array([[0.04, fusion.UNKNOWN]], np.float32)
    position, sigma = fusion.combine(a, s, b, t)
    assert position[0, 0, 0] == pytest.approx(0.01 * (1 / 16) / (1 / 4 + 1 / 16))
    assert position[0, 1, 0] == pytest.approx(0, abs=1e-5)
    assert sigma[0, 0] == pytest.approx(0.024)  # errors that hang together: no surer than the weighted mean
    assert sigma[0, 1] == pytest.approx(0.02, rel=0.01)


def test_a_contradiction_is_not_averaged() -> None:
    a, b = np.zeros((1, 1, 3), np.float32), np.full((1, 1, 3), 1.0, np.float32)
    position, _ = fusion.combine(a, np.full((1, 1), 0.02, np.float32), b, np.full((1, 1), 0.03, np.float32))
    assert np.abs(position).max() < 0.01


def test_noise_is_smoothed_and_gaps_are_bridged() -> None:
    truth, rng = way(), np.random.default_rng(0)
    noisy = truth + rng.normal(0, 0.03, truth.shape).astype(np.float32)
    sigma = np.full(truth.shape[:2], 0.048, np.float32)
    sigma[30:42, 0] = fusion.UNKNOWN
    noisy[30:42, 0] = 77.0  # never looked at
    found, error = fusion.smooth(noisy, sigma, 30.0, np.array([3.0, 3.0]))
    off = np.linalg.norm(found - truth, axis=-1)
    assert off[:30].mean() < 0.6 * np.linalg.norm(noisy - truth, axis=-1)[:30].mean()
    assert off[30:42, 0].max() < 0.1, "the way through the gap"
    assert error[36, 0] > 1.1 * error[15, 0] and error[36, 0] > error[31, 0], "and doubt about it"
    assert error[36, 1] == pytest.approx(error[15, 1], rel=0.2)


def test_nothing_known_says_so() -> None:
    found, error = fusion.smooth(np.ones((20, 2, 3), np.float32), np.full((20, 2), 9.0, np.float32), 30, np.ones(2))
    assert np.isfinite(found).all() and (error >= 2.5).all()
    one = np.ones((1, 2, 3), np.float32), np.full((1, 2), 0.1, np.float32)
    assert fusion.smooth(*one, 30, np.ones(2))[0] is one[0]


def test_a_pose_is_laid_where_joints_are_seen() -> None:
    rng = np.random.default_rng(1)
    body = rng.normal(0, 0.4, (60, 15, 3)).astype(np.float32)
    where = np.array([0.5, -0.2, 3.0]) + np.linspace(0, 1, 60)[:, None, None] * [0.6, 0, 0]
    seen = (body * 1.1 + where).astype(np.float32)
    t = np.full((60, 15), 0.03, np.float32)
    t[:, 8:] = fusion.UNKNOWN
    seen[:, 8:] = -5  # hidden: what is in front
    t[20:26] = fusion.UNKNOWN  # no depth at all for a moment
    laid, s = fusion.place(body, np.full((60, 15), 0.05, np.float32), seen, t, 30.0)
    truth = body * 1.1 + where
    off = np.linalg.norm(laid - truth, axis=-1)
    assert off.max() < 0.06 and s[23].mean() > s[5].mean()


def test_the_pictures_own_idea_of_a_place_is_weighed_in() -> None:
    """Alone where no joint is known, a little beside two doubtful ones, hardly at all beside eight sure ones."""
    body = np.random.default_rng(2).normal(0, 0.4, (40, 15, 3)).astype(np.float32)
    s = np.full((40, 15), 0.1, np.float32)
    guess = np.tile(np.array([0, 0, 3.3], np.float32), (40, 1))
    found = {}
    for joints, error in ((0, 0.2), (2, 0.2), (8, 0.04)):
        t = np.full((40, 15), fusion.UNKNOWN, np.float32)
        t[:, :joints] = error
        laid, _ = fusion.place(body, s, (body + [0, 0, 3.0]).astype(np.float32), t, 30.0, guess)
        found[joints] = float((laid - body)[..., 2].mean())
    assert abs(found[0] - 3.3) < 0.02 and found[2] > 3.02 and abs(found[8] - 3) < found[2] - 3
