"""Sides exchanged and joints astray for a moment, in clips whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.body.catalogue import ITOP_15
from posemend.datasets.procedural import generate
from posemend.runtime.straying import astray, unswapped

ARMS = [place for place, name in enumerate(ITOP_15.joints) if name.endswith(("shoulder", "elbow", "wrist"))]


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    """(90, 15, 3) a person in motion, trembling by a centimetre."""
    from posemend.body.catalogue import H36M_17
    from posemend.body.convert import weights_matrix

    positions = generate(77, 5, 30.0).positions[30:120]
    joints = np.einsum("kj,tjc->tkc", weights_matrix(H36M_17, ITOP_15)[0], positions)
    return (joints + np.random.default_rng(0).normal(0, 0.006, joints.shape)).astype(np.float32)


def test_nothing_is_found_in_a_clip_without_faults(walk: np.ndarray) -> None:
    there = np.ones(walk.shape[:2], bool)
    same, changed = unswapped(walk, there, ITOP_15)
    assert not changed.any() and np.array_equal(same, walk)
    assert astray(walk, there, ITOP_15, 30.0).mean() < 0.01


@pytest.mark.parametrize("part", [ARMS, list(range(15))])
def test_exchanged_sides_are_put_right(walk: np.ndarray, part: list[int]) -> None:
    spoiled = walk.copy()
    spoiled[40:52, part] = walk[40:52][:, list(ITOP_15.mirror)][:, part]
    there = np.ones(walk.shape[:2], bool)
    there[45, 3] = False
    found, changed = unswapped(spoiled, there, ITOP_15)
    wrong = np.linalg.norm(spoiled - walk, axis=-1) > 0.1
    assert wrong.sum() > 60 and changed[wrong].mean() > 0.9
    left = np.linalg.norm(found - walk, axis=-1) > 0.1
    assert left.sum() < 0.1 * wrong.sum()
    flat, _ = unswapped(spoiled[..., [0, 2]] * 500, there, ITOP_15)  # pixels do as well
    assert (np.linalg.norm(flat - walk[..., [0, 2]] * 500, axis=-1) > 50).sum() < 0.3 * wrong.sum()


def test_joints_that_jump_there_and_back_are_not_believed(walk: np.ndarray) -> None:
    spoiled, wrist = walk.copy(), ITOP_15.index("r_wrist")
    spoiled[30:42, wrist] += [0.25, 0.2, 0.1]
    there = np.ones(walk.shape[:2], bool)
    there[60:64, wrist] = False
    spoiled[60:64, wrist] = 0
    lost = astray(spoiled, there, ITOP_15, 30.0)
    assert lost[30:42, wrist].mean() > 0.8
    lost[30:42, wrist] = False
    assert lost.mean() < 0.02 and not lost[60:64, wrist].any()


def test_short_and_empty_clips(walk: np.ndarray) -> None:
    nothing = np.zeros((5, 15), bool)
    assert not unswapped(walk[:5], nothing, ITOP_15)[1].any()
    assert not astray(walk[:5], nothing, ITOP_15, 30.0).any()
    assert not astray(walk[:1], np.ones((1, 15), bool), ITOP_15, 30.0).any()


def test_a_body_that_bows_at_once_is_believed(walk: np.ndarray) -> None:
    """Head, arms and trunk go down and come back within a second: that is a motion, not nine faults."""
    there = np.ones(walk.shape[:2], bool)
    bowed = walk.copy()
    upper = [ITOP_15.index(name) for name in ITOP_15.joints if name.split("_")[-1] not in ("knee", "ankle", "hip")]
    down = 0.9 * np.sin(np.linspace(0, np.pi, 24)) ** 2
    bowed[20:44, upper] += down[:, None, None] * np.array([0.3, 1.0, 0.6], np.float32)
    lost = astray(bowed, there, ITOP_15, 30.0)
    assert lost[20:44][:, upper].mean() < 0.1
    alone = walk.copy()  # one wrist that does the same is doubted as before
    wrist = ITOP_15.index("r_wrist")
    alone[24:40, wrist] += np.array([0.3, 0.9, 0.6], np.float32)
    assert astray(alone, there, ITOP_15, 30.0)[24:40, wrist].all()
