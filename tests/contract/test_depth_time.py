"""What module D is shown, and what a clip says of late maps and wrong lenses."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.contract.depth_time import NEAR, TIME_FEATURES, Held, faults, time_input

T = 60


def moving(seed: int = 0) -> np.ndarray:
    """(60, 15, 3) joints three metres away that swing, each its own way."""
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 0.35, (1, 15, 3)) + [0, 0, 3]
    phase, speed = rng.uniform(0, 6, (1, 15, 3)), rng.uniform(2, 6, (1, 15, 3))
    return (base + 0.25 * np.sin(speed * np.arange(T)[:, None, None] / 30 + phase)).astype(np.float32)


def told(chain: np.ndarray, laid: np.ndarray, moved: np.ndarray | None = None, guess: np.ndarray | None = None):
    pixels = laid[..., :2] / laid[..., 2:] * 285
    return faults(pixels, pixels if moved is None else moved, chain, laid, np.ones((T, 15), np.float32), guess)


def test_a_clip_without_faults_says_so() -> None:
    laid = moving()
    guess = laid[:, [9, 10]].mean(1)
    assert np.abs(told(laid, laid, guess=guess)).max() < 0.05
    still = np.repeat(laid[:1], T, 0)
    assert np.isfinite(told(still + 0.02, still)).all()


def test_late_depth_shows_as_lag() -> None:
    laid = moving()
    late = np.concatenate([laid[:2], laid[:-2]])
    chain = laid.copy()
    chain[..., 2] = late[..., 2]
    moved = late[..., :2] / late[..., 2:] * 285  # module A follows the maps
    found = told(chain, laid, moved)
    assert found[0] == pytest.approx(2, abs=0.5) and found[1] == pytest.approx(2, abs=0.5)
    early = np.concatenate([laid[2:], laid[-2:]])
    assert told(laid, laid, early[..., :2] / early[..., 2:] * 285)[0] < -1.3


def test_a_wrong_focal_length_shows_as_width() -> None:
    laid = moving()
    narrow = laid * np.float32([1 / 1.1, 1 / 1.1, 1])
    found = told(narrow, laid, guess=laid[:, [9, 10]].mean(1) * 1.1)
    assert found[2] == pytest.approx(-np.log(1.1), abs=0.02) and found[3] < -0.08
    assert found[4] == pytest.approx(-np.log(1.1), abs=0.02)


def held(at: np.ndarray, **changes: np.ndarray) -> Held:
    ones, no = np.full(at.shape[:2], 0.05, np.float32), np.zeros(at.shape[:2], np.float32)
    rays = at[..., :2] / at[..., 2:]
    known = {
        "estimate": at, "sigma": ones, "chain": at, "chain_sigma": ones, "laid": at, "laid_sigma": ones, "lifted": at,
        "found": no == 0, "rays": rays, "score": no + 1, "doubt": no, "faults": np.zeros(5, np.float32), "fps": 30.0,
    } | changes  # fmt: skip
    return Held(**known)  # type: ignore[arg-type]


def test_features_say_how_far_opinions_are() -> None:
    at = moving()
    features, clip = time_input(held(at))
    assert features.shape == (T, 15, TIME_FEATURES) and clip.shape == (T, 5)
    assert np.abs(features[..., 6:15]).max() < 1e-4, "everybody agrees"
    other = at + np.float32([0.1, 0, 5])
    rays = at[..., :2] / at[..., 2:]
    rays[3, 4] = np.nan
    features, _ = time_input(held(at, laid=other, rays=rays))
    assert np.allclose(features[..., 9], 0.4, atol=1e-5) and np.allclose(features[..., 11], 4 * NEAR)
    assert np.isfinite(features).all() and (features[3, 4, 12:14] == 0).all()


def test_one_frame_is_a_clip() -> None:
    assert np.isfinite(time_input(held(moving()[:1]))[0]).all()
