"""The fastest tenth of frames: chosen by the truth, across clips and clocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.evaluation.protocol import evaluate


def take(speed: np.ndarray, fps: float = 50.0, cuts: tuple[int, ...] = (), name: str = "A") -> Take:
    """All joints but the root move along x by ``speed`` (T,) metres per second."""
    still = np.random.default_rng(0).normal(size=(1, 17, 3)) * 0.3
    positions = np.repeat(still - still[:, :1], len(speed), 0)
    positions[:, 1:, 0] += (np.cumsum(speed) / fps)[:, None]
    label = f"S1/{name}/0"
    keypoints = Pose2D(np.zeros((len(speed), 17, 2)), H36M_17, fps=fps, width=9, height=9, name=label)
    return Take(keypoints, Pose3D(positions, H36M_17, fps=fps, name=label), "S1", name, "0", cuts)


def fast_of(takes: list[Take], change) -> dict:
    by_name = {one.name: one for one in takes}

    def predict(keypoints: Pose2D) -> Pose3D:
        truth = by_name[keypoints.name].truth
        return replace(truth, positions=change(truth.positions.copy()))

    return evaluate(takes, predict, input="gt")["fast"]


def test_errors_on_the_fast_frames_by_hand() -> None:
    speed = np.full(202, 0.1)
    speed[100:121] = 2.0  # central differences: frames 100 to 119 move at full speed

    def off(positions):
        positions[100:120, 1:, 1] += 0.05
        return positions

    found = fast_of([take(speed)], off)
    assert found["frames"] == 20 and found["rest"]["frames"] == 180
    assert found["from_mm_per_s"] == pytest.approx(2000, abs=1)
    assert found["mpjpe_mm"] == pytest.approx(50, abs=1e-2)
    assert found["rest"]["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    # second differences at the four frames next to the two steps; two of them are fast
    assert found["accel_mm"] == pytest.approx(2 * 50 / 20, abs=1e-2)
    assert found["rest"]["accel_mm"] == pytest.approx(2 * 50 / 180, abs=1e-2)


def test_clips_are_compared_in_metres_per_second() -> None:
    slow, fast = take(np.full(92, 0.5), fps=25.0, name="slow"), take(np.full(12, 0.9), fps=100.0, name="fast")

    def off(positions):
        positions[:, 1:, 1] += 0.001 * len(positions)
        return positions

    found = fast_of([slow, fast], off)
    assert found["frames"] == 10 and found["from_mm_per_s"] == pytest.approx(900, abs=1)
    assert found["mpjpe_mm"] == pytest.approx(12, abs=1e-2), "all ten frames are of the fast clip"


def test_jumps_at_cuts_are_not_fast() -> None:
    speed = np.full(103, 0.1)
    speed[50] = 100.0
    assert fast_of([take(speed, cuts=(50,))], lambda x: x)["from_mm_per_s"] == pytest.approx(100, abs=0.5)
    assert fast_of([take(speed)], lambda x: x)["from_mm_per_s"] < 150  # only two frames of eleven see the jump


def test_too_short_is_null() -> None:
    assert fast_of([take(np.ones(2))], lambda x: x) is None
