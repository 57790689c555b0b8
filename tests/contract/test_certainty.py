"""A card's calibration: read, looked up by what the input says, and refused where it makes no sense."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from posemend.body.pose import Take
from posemend.contract import certainty
from posemend.contract.codec import encode, rays_of
from posemend.datasets.procedural import demo_clip
from posemend.errors import BundleError
from posemend.occlusion.hide import keypoints_for


def table(**routes: float) -> dict:
    """A calibration with one scale for each route; noisy keypoints have twice, absent joints three times as much."""

    def one(factor: float) -> dict:
        return {
            "scale": {"seen": factor, "doubted": factor, "absent": 3 * factor},
            "radius_over_sigma": {"seen": [1.0, 2.0], "hidden": [0.5, 1.5]},
        }

    return {
        "data": "made up", "levels": [0.5, 0.9],
        "routes": {name: {"clean": one(factor), "noisy": one(2 * factor)} for name, factor in routes.items()},
    }  # fmt: skip


@pytest.fixture(scope="module")
def clip() -> Take:
    return demo_clip()


def noise(take: Take, given: str, part: slice = slice(None)) -> float:
    keypoints = keypoints_for(take, given)[part]
    rays, known = rays_of(keypoints)
    return certainty.noise_of(encode(rays, keypoints.score, keypoints.fps, known).joints)


def test_exact_keypoints_are_clean_and_a_detectors_are_noisy(clip: Take) -> None:
    assert noise(clip, "gt") == 0 and noise(clip, "missing") == 0
    assert noise(clip, "detector") == 1
    assert noise(clip, "detector", slice(3)) == 1  # too short to tell


def test_of_a_long_clip_enough_is_looked_at() -> None:
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.normal(0, 0.004, (30_000, 17, 2)), np.ones((30_000, 17, 1))], -1).astype(np.float32)
    whole = certainty.noise_of(joints[:4000])
    assert 0 < whole < 1 and certainty.noise_of(joints) == pytest.approx(whole, abs=0.03)
    joints[..., 2] = 0
    assert certainty.noise_of(joints) == 1  # nothing was seen


def test_scale_and_radii_by_input_and_state() -> None:
    found = certainty.read(table(lift=1.5), "lift")
    assert found is not None
    seen = np.array([[True, False, False]])
    state = certainty.states(seen, np.array([[False, False, True]]))
    assert [certainty.STATES[place] for place in state[0]] == ["seen", "doubted", "absent"]
    np.testing.assert_allclose(np.exp(found.shift(state, 0.0)), [[1.5, 1.5, 4.5]], rtol=1e-5)
    np.testing.assert_allclose(np.exp(found.shift(state, 1.0)), [[3, 3, 9]], rtol=1e-5)
    np.testing.assert_allclose(np.exp(found.shift(state, 0.5))[0, 0], 1.5 * 2**0.5, rtol=1e-5)
    np.testing.assert_allclose(found.table(0.3), [[0.5, 1, 0.5], [0.9, 2, 1.5]], rtol=1e-6)


def test_no_calibration_is_none() -> None:
    assert certainty.read({}, "lift") is None
    assert certainty.read(table(keypoints=1.0), "lift") is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("levels",), [0.9, 0.5]),
        (("levels",), [0.5]),
        (("routes", "keypoints", "clean"), None),
        (("routes", "keypoints", "noisy", "scale", "seen"), -1),
        (("routes", "keypoints", "noisy", "scale", "absent"), "much"),
        (("routes", "keypoints", "clean", "radius_over_sigma", "hidden"), [0.5, float("nan")]),
    ],
)
def test_nonsense_is_refused(place: tuple[str, ...], value: object) -> None:
    damaged = copy.deepcopy(table(keypoints=1.0))
    at = damaged
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    with pytest.raises(BundleError, match="posemend calibrate"):
        certainty.read(damaged, "keypoints")
