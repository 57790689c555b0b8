"""Truth spoiled on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.datasets.procedural import generate
from posemend.training.refining import filled
from posemend.training.spoil3d import FEW_STRAY, LEFT_ALONE, spoil3d


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    motion = generate(5, seconds=60).positions
    windows = np.stack([motion[first : first + 64] for first in range(0, 2560, 40)])
    return (windows - windows[:, :, :1]).astype(np.float32)


def test_spoiled_poses_are_finite_and_rooted(truth: np.ndarray) -> None:
    hidden = np.zeros(truth.shape[:3], bool)
    raw = spoil3d(truth, hidden, 50.0, np.random.default_rng(0))
    assert raw.dtype == np.float32
    assert np.isfinite(raw).all()
    assert np.abs(raw[:, :, 0]).max() == 0


def test_some_are_left_alone_and_most_are_not(truth: np.ndarray) -> None:
    hidden = np.zeros(truth.shape[:3], bool)
    error = np.linalg.norm(spoil3d(truth, hidden, 50.0, np.random.default_rng(1)) - truth, axis=-1).mean((1, 2))
    assert LEFT_ALONE / 2 < (error < 0.01).mean() < LEFT_ALONE * 2
    assert np.median(error) > 0.015


def test_hidden_joints_go_astray_more(truth: np.ndarray) -> None:
    hidden = np.zeros(truth.shape[:3], bool)
    hidden[:, :, [13, 16]] = True
    error = np.linalg.norm(spoil3d(truth, hidden, 50.0, np.random.default_rng(2)) - truth, axis=-1).mean((0, 1))
    seen = np.linalg.norm(spoil3d(truth, np.zeros_like(hidden), 50.0, np.random.default_rng(2)) - truth, axis=-1).mean(
        (0, 1)
    )
    assert error[[13, 16]].mean() > 1.3 * seen[[13, 16]].mean()


def test_in_some_only_a_few_joints_stray(truth: np.ndarray) -> None:
    hidden = np.zeros(truth.shape[:3], bool)
    error = np.linalg.norm(spoil3d(truth, hidden, 50.0, np.random.default_rng(4)) - truth, axis=-1)
    worst = np.sort(error.max(1), axis=-1)  # (B, 17) the worst moment of each joint, joints by how bad they are
    few = (worst[:, -1] > 0.1) & (np.median(error, axis=(1, 2)) < 0.03)
    assert FEW_STRAY / 2 < few.mean() < 1.5 * FEW_STRAY
    assert (worst[few, -5] < 0.1).mean() > 0.8  # all but at most three or so are about right


def test_same_chance_same_poses(truth: np.ndarray) -> None:
    hidden = np.zeros(truth.shape[:3], bool)
    first = spoil3d(truth, hidden, 50.0, np.random.default_rng(9))
    assert (first == spoil3d(truth, hidden, 50.0, np.random.default_rng(9))).all()


def test_gaps_are_filled_in_time() -> None:
    xy = np.arange(10, dtype=np.float32)[None, :, None, None] * np.ones((1, 10, 3, 2), np.float32)
    score = np.ones((1, 10, 3), np.float32)
    score[0, 3:6, 1] = 0
    score[0, :, 2] = 0
    broken = np.where(score[..., None] > 0, xy, 0)
    whole = filled(broken, score)
    assert whole[0, :, 1] == pytest.approx(xy[0, :, 1])
    assert whole[0, :, 2] == pytest.approx(xy[0, :, 2])  # never seen: amid the others
