"""What a refiner is shown."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.contract.evidence import FARTHEST, LARGEST, assemble, bounded, contradiction


@pytest.fixture
def body() -> np.ndarray:
    raw = np.random.default_rng(3).uniform(-0.6, 0.6, (5, 17, 3)).astype(np.float32)
    return raw - raw[:, :1]


def test_a_pose_that_fits_its_keypoints_is_not_contradicted(body: np.ndarray) -> None:
    xy = body[..., :2] / 0.4 + 0.3  # seen from afar: another scale, another place
    assert contradiction(body, xy, np.ones(body.shape[:2], np.float32)) == pytest.approx(0, abs=1e-5)


def test_a_joint_astray_is_contradicted_in_metres(body: np.ndarray) -> None:
    xy = body[..., :2] / 0.4
    astray = body.copy()
    astray[:, 13, 0] += 0.2
    score = np.ones(body.shape[:2], np.float32)
    score[:, 13] = 0.01  # hardly counts for the fit, but has a keypoint
    found = contradiction(astray, xy, score)
    assert found[:, 13, 0] == pytest.approx(-0.2, abs=0.02)
    others = np.delete(found, 13, axis=1)
    assert np.abs(others).max() < 0.02


def test_contradictions_are_bounded_and_absent_without_keypoints(body: np.ndarray) -> None:
    xy = body[..., :2] / 0.4
    xy[:, 5] = 1e6
    score = np.ones(body.shape[:2], np.float32)
    score[:, 7] = 0
    found = contradiction(body, xy, score)
    assert np.abs(found).max() <= FARTHEST
    assert (found[:, 7] == 0).all()


def test_parts_that_are_not_given_are_zero(body: np.ndarray) -> None:
    trust = np.full(body.shape[:2], 0.5, np.float32)
    evidence, clip = assemble(body, trust, None, None, None, None, fps=25.0)
    assert (evidence[..., :3] == body).all()
    assert (evidence[..., 8] == 0.5).all()
    assert (np.delete(evidence, [0, 1, 2, 8], axis=-1) == 0).all()
    assert clip[:, 3] == pytest.approx(np.log(0.5))
    assert (np.delete(clip, 3, axis=-1) == 0).all()


def test_an_opinion_is_shown_as_a_difference(body: np.ndarray) -> None:
    trust = np.ones(body.shape[:2], np.float32)
    evidence, clip = assemble(body, trust, None, None, body + 0.1, np.full(body.shape[:2], -3.0), fps=50.0)
    assert evidence[..., 9:12] == pytest.approx(0.1, abs=1e-5)
    assert evidence[..., 12] == pytest.approx(0)
    assert (clip[..., 6] == 1).all()
    assert (clip[..., 5] == 0).all()


def test_giants_are_shrunk_and_others_are_not(body: np.ndarray) -> None:
    mixed = np.stack([body[0], body[1] * 50])
    found = bounded(mixed)
    assert (found[0] == body[0]).all()
    assert np.abs(found[1]).max() == pytest.approx(LARGEST)
    assert found[1] / np.abs(found[1]).max() == pytest.approx(body[1] / np.abs(body[1]).max(), abs=1e-5)
