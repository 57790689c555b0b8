"""Smoothing: less trembling, the motion left alone, and everything else as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose3D
from posemend.errors import InputError
from posemend.filters import METHODS, smooth
from posemend.metrics import accel_error, mpjpe

FPS = 50.0


def swinging(frames: int = 200, hertz: float = 1.0) -> np.ndarray:
    """(T, 17, 3) joints that swing 10 cm to and fro."""
    time = np.arange(frames) / FPS
    rng = np.random.default_rng(0)
    place, phase = rng.normal(size=(17, 3)), rng.uniform(0, 6, (17, 3))
    return place + 0.1 * np.sin(2 * np.pi * hertz * time[:, None, None] + phase)


def pose(positions: np.ndarray, **more) -> Pose3D:
    return Pose3D(positions, H36M_17, fps=FPS, **more)


@pytest.mark.parametrize("method", METHODS)
def test_trembling_goes_and_motion_stays(method: str) -> None:
    true = swinging()
    noisy = true + np.random.default_rng(1).normal(0, 0.02, true.shape)
    calm = smooth(pose(noisy), method).positions
    assert accel_error(calm, true) < 0.5 * accel_error(noisy, true)
    if method != "one-euro":  # which lags, as it sees no future frame
        assert mpjpe(calm, true) < 0.75 * mpjpe(noisy, true)
    else:
        assert mpjpe(calm, true) < mpjpe(noisy, true)


@pytest.mark.parametrize("method", ["butterworth", "savitzky-golay"])
def test_slow_motion_passes_untouched(method: str) -> None:
    true = swinging(hertz=0.5)
    assert mpjpe(smooth(pose(true), method).positions[10:-10], true[10:-10]) < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_standing_still_stays_exactly(method: str) -> None:
    still = np.repeat(swinging(1), 40, 0)
    np.testing.assert_allclose(smooth(pose(still), method).positions, still, atol=1e-6)


def test_butterworth_halves_the_power_at_its_cutoff_each_way() -> None:
    wave = np.zeros((1000, 17, 3))
    wave[:, 3, 0] = np.sin(2 * np.pi * 6 * np.arange(1000) / FPS)
    left = smooth(pose(wave), "butterworth", strength=6.0).positions[200:-200, 3, 0]
    assert np.abs(left).max() == pytest.approx(0.5, abs=0.02)  # (1 / sqrt 2)²


def test_one_euro_sees_no_future_frame() -> None:
    true = swinging()
    changed = true.copy()
    changed[120:] += 1
    one, other = (smooth(pose(x), "one-euro").positions for x in (true, changed))
    np.testing.assert_array_equal(one[:120], other[:120])
    assert (one[120] != other[120]).all()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_smoothed_across_a_cut(method: str) -> None:
    jump = swinging()
    jump[100:] += 5
    cut = smooth(pose(jump), method, cuts=[100]).positions
    alone = smooth(pose(jump[:100]), method).positions
    np.testing.assert_array_equal(cut[:100], alone)


@pytest.mark.parametrize("method", METHODS)
def test_absent_joints_stay_absent_and_do_not_pull(method: str) -> None:
    true = swinging() + 3
    score = np.ones((200, 17))
    score[50:70, 5] = 0
    score[:, 8] = 0
    sigma = np.full((200, 17), 0.02)
    given = pose(true, score=score, sigma=sigma, root=true[:, 0])
    done = smooth(given, method)
    np.testing.assert_array_equal(done.score, given.score)
    np.testing.assert_array_equal(done.sigma, given.sigma)
    assert (done.positions[50:70, 5] == 0).all() and (done.positions[:, 8] == 0).all()
    assert np.linalg.norm(done.positions[45:50, 5] - true[45:50, 5], axis=-1).max() < 0.15
    assert done.root is not None and np.abs(done.root - true[:, 0]).max() < 0.15


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 9])
def test_short_clips(method: str, frames: int) -> None:
    assert len(smooth(pose(swinging(frames)), method)) == frames


@pytest.mark.parametrize("method", METHODS)
def test_slow_clocks(method: str) -> None:
    assert np.isfinite(smooth(replace(pose(swinging(60)), fps=5.0), method).positions).all()


def test_impossible_wishes() -> None:
    with pytest.raises(InputError, match="butterworth, savitzky-golay, one-euro"):
        smooth(pose(swinging(9)), "kalman")
    with pytest.raises(InputError, match="above 0"):
        smooth(pose(swinging(9)), strength=0)
