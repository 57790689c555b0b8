"""A calibration fitted on errors whose law is known gives that law back, case by case."""

from __future__ import annotations

import math

import numpy as np
import pytest

from posemend.contract import certainty
from posemend.errors import InputError
from posemend.evaluation.calibration import CalibrationTally

SCALES = {("clean", 0): 2.0, ("clean", 1): 0.5, ("clean", 2): 3.0, ("noisy", 0): 1.2, ("noisy", 1): 0.8}


def fitted(scales: dict = SCALES, clips: int = 12, joint_frames: int = 4000, route: str = "keypoints") -> dict:
    """Exponential errors of mean (scale x stated)."""
    rng = np.random.default_rng(0)
    tally = CalibrationTally()
    for place, given in enumerate(("clean", "noisy")):
        kinds = [kind for name, kind in scales if name == given]
        for _ in range(clips if kinds else 0):
            state = rng.choice(kinds, joint_frames).astype(np.uint8)
            stated = rng.uniform(10, 100, joint_frames)
            factor = np.array([scales[given, kind] for kind in state])
            tally.add(route, rng.exponential(1.0, joint_frames) * stated * factor, stated, state, float(place))
    return tally.fit("made up")


def test_the_law_comes_back() -> None:
    found = fitted()
    assert found["levels"] == list(certainty.LEVELS) and found["data"] == "made up"
    for (given, kind), scale in SCALES.items():
        own = found["routes"]["keypoints"][given]
        assert own["scale"][certainty.STATES[kind]] == pytest.approx(scale, rel=0.05)
        for key in ("seen", "hidden"):
            for level, radius in zip(certainty.LEVELS, own["radius_over_sigma"][key], strict=True):
                assert radius == pytest.approx(-math.log1p(-level), rel=0.07)


def test_what_hardly_occurs_borrows() -> None:
    noisy = fitted()["routes"]["keypoints"]["noisy"]
    assert noisy["joint_frames"]["absent"] == 0
    assert noisy["scale"]["absent"] == noisy["scale"]["doubted"]  # the case most like it
    only = fitted({("noisy", 0): 1.5})["routes"]["keypoints"]
    assert only["clean"]["clips"] == 0
    for key in ("scale", "radius_over_sigma"):
        assert only["clean"][key] == only["noisy"][key]
    few = fitted({("clean", 0): 2.0}, clips=2)["routes"]["keypoints"]["clean"]
    assert few["scale"]["seen"] == 1 and few["radius_over_sigma"]["seen"][2] == pytest.approx(2.3026)


def test_a_card_with_it_can_be_read() -> None:
    found = certainty.read(fitted(), "keypoints")
    assert found is not None and found.scale.shape == (2, 3) and found.radii.shape == (4, 2, 2)


def test_every_clip_counts_the_same() -> None:
    tally = CalibrationTally()
    for length, error in ((3000, 10.0), (100, 30.0), (100, 30.0), (100, 30.0)):
        tally.add("lift", np.full(length, error), np.full(length, 10.0), np.zeros(length, np.uint8), 0.0)
    clean = tally.fit("")["routes"]["lift"]["clean"]
    assert clean["scale"]["seen"] == pytest.approx(2.5)
    assert clean["radius_over_sigma"]["seen"][0] == pytest.approx(3 / 2.5)  # three clips of four err by 30


def test_nothing_to_calibrate_on() -> None:
    with pytest.raises(InputError, match="nothing to calibrate"):
        CalibrationTally().fit("")
