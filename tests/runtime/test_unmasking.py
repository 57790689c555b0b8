"""Hidden joints found out by where the pose expects them."""

from __future__ import annotations

import numpy as np

from posemend.runtime import unmasking


def judged(nearer: float, said: float = 0.2, hidden: int = 0, sigma: float = 0.08, found: bool = True) -> float:
    """The doubt about a wrist whose depth is ``nearer`` metres before its skin; ``hidden`` other joints are told."""
    expected = np.tile(np.array([0, 0, 3.0], np.float32), (1, 15, 1))
    lifted = expected - np.array([0, 0, 1.0], np.float32) * unmasking.SKIN[:, None]
    lifted[0, 6, 2] -= nearer
    doubts = np.full((1, 15), 0.02, np.float32)
    doubts[0, 8 : 8 + hidden] = 0.95
    doubts[0, 6] = said
    there = np.ones((1, 15), bool)
    there[0, 6] = found
    return float(unmasking.doubt(doubts, lifted, there, expected, np.full((1, 15), sigma, np.float32), 0.5)[0, 6])


def test_what_is_nearer_than_the_skin_is_something_else() -> None:
    assert judged(0.0) < 0.2 < 0.9 < judged(0.4)
    assert judged(0.1) < judged(0.2) < judged(0.4)
    assert judged(0.0, said=0.7) < 0.7, "where it is expected it is believed again"
    assert judged(-0.5) > 0.9, "the wall beside a joint is not the joint either"


def test_an_unsure_pose_says_less() -> None:
    assert judged(0.25, sigma=0.5) < judged(0.25, sigma=0.05)
    assert judged(0.4, found=False) < 0.25, "a hole says nothing"


def test_where_most_is_hidden_the_rest_is_believed_less() -> None:
    assert judged(0.1, hidden=7) > judged(0.1, hidden=0)
