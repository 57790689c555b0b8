"""Varied bodies are bodies still: constant, symmetric bones; and pools resample time truly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.datasets.packs import Motion
from posemend.datasets.procedural import generate
from posemend.errors import RecipeError
from posemend.training import vary
from posemend.training.motions import Pool

Floats = NDArray[np.float32]
STILL = vary.Variety(mix=0, swing=0, sit=0, tilt=0, lengths=0, stature=0, definition=0)
WILD = vary.Variety(mix=1, swing=1, sit=1, tilt=1, lengths=0.3, stature=0.2, definition=0)

HIPS = np.isin(H36M_17.joints[1:], ("l_hip", "r_hip"))


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool.of([([generate(seed, 6) for seed in (1, 2, 3)], 1.0)])


@pytest.fixture(scope="module")
def windows(pool: Pool) -> Floats:
    return pool.windows(np.random.default_rng(0), 24, 40, 25.0)


def lengths(positions: Floats) -> Floats:
    return np.linalg.norm(vary.to_bones(positions), axis=-1)


def test_bones_there_and_back(windows: Floats) -> None:
    assert vary.from_bones(vary.to_bones(windows)) == pytest.approx(windows - windows[:, :, :1], abs=1e-5)


def test_lengths_stay_constant_and_symmetric(windows: Floats) -> None:
    before = windows.copy()
    positions, path = vary.vary(windows, WILD, np.random.default_rng(1))
    assert (windows == before).all(), "the pool's own motion must not be touched"
    assert positions.shape == (24, 40, 17, 3) and path.shape == (24, 40, 3)
    assert (positions[:, :, 0] == 0).all()
    # resampling along straight lines shortens quick bones by a millimetre at most
    assert lengths(positions).std(1).max() < 1e-3
    bone = lengths(positions).mean(1)
    assert bone == pytest.approx(bone[:, vary.MIRROR[1:] - 1], abs=1e-3)
    assert np.abs(bone / lengths(windows).mean(1) - 1).max() > 0.2, "bodies must differ"


def test_factors_are_symmetric_and_bounded() -> None:
    bones = np.ones((200, 3, 16, 3), np.float32)
    vary._lengths(bones, 0.17, 0.0, np.random.default_rng(0))
    factor = bones[..., 0]
    assert (bones == factor[:, :1, :, None]).all(), "one factor for a bone at all times"
    assert (factor == factor[..., vary.MIRROR[1:] - 1]).all()
    assert factor[..., ~HIPS].min() >= 0.83 and factor[..., ~HIPS].max() <= 1.17
    assert factor[..., ~HIPS].std() > 0.05


def test_without_variety_only_mirrored_and_hips_as_wide_as_somebody_says(windows: Floats) -> None:
    positions, _ = vary.vary(windows, STILL, np.random.default_rng(2))
    bones, own = vary.to_bones(positions), vary.to_bones(windows)
    wider = lengths(positions)[:, :1, HIPS] / lengths(windows)[:, :1, HIPS]
    assert 0.89 < wider.min() < wider.max() < 1.41
    bones[:, :, HIPS] /= wider[..., None]
    positions, plain = vary.from_bones(bones), vary.from_bones(own)
    mirrored = plain[:, :, vary.MIRROR] * np.array([-1, 1, 1], np.float32)
    is_plain = np.abs(positions - plain).max((1, 2, 3)) < 1e-5
    is_mirrored = np.abs(positions - mirrored).max((1, 2, 3)) < 1e-5
    assert (is_plain | is_mirrored).all()
    assert 0 < is_plain.sum() < len(windows)


@pytest.mark.parametrize("name", ["mix", "swing", "sit", "tilt"])
def test_each_change_changes_directions_alone(windows: Floats, name: str) -> None:
    variety = vary.Variety(**{**vars(STILL), name: 1.0})
    positions, _ = vary.vary(windows, variety, np.random.default_rng(3))
    plain = vary.vary(windows, STILL, np.random.default_rng(3))[0]
    assert np.abs(positions - plain).max() > 0.1
    if name != "mix":  # which takes over the other's upper body as it is
        assert lengths(positions)[..., ~HIPS] == pytest.approx(lengths(windows)[..., ~HIPS], abs=5e-3)


def test_rotations() -> None:
    vector = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    turn = vary.rotation(vector)
    assert turn @ np.swapaxes(turn, -1, -2) == pytest.approx(np.tile(np.eye(3), (50, 1, 1)), abs=1e-5)
    assert np.linalg.det(turn) == pytest.approx(np.ones(50), abs=1e-5)
    assert (turn @ vector[..., None])[..., 0] == pytest.approx(vector, abs=1e-5)
    quarter = vary.rotation(np.array([[0, 0, np.pi / 2]], np.float32))[0]
    assert quarter @ np.array([1, 0, 0]) == pytest.approx([0, 1, 0], abs=1e-6)
    assert vary.about_z(np.array([np.pi / 2]))[0] == pytest.approx(quarter, abs=1e-6)


def test_sitting_raises_thighs_forward(windows: Floats) -> None:
    positions, _ = vary.vary(windows, vary.Variety(**{**vars(STILL), "sit": 1.0}), np.random.default_rng(4))
    forward = vary.torso_axes(positions)[..., 1]
    thigh = np.mean([positions[:, :, H36M_17.index(f"{s}_knee")] - positions[:, :, H36M_17.index(f"{s}_hip")]
                     for s in "lr"], axis=0)  # fmt: skip
    assert np.median((thigh * forward).sum(-1)) > 0.15


def test_definition_offsets_are_symmetric(windows: Floats) -> None:
    spread = 0.02
    offset = vary.definition_offsets(windows, spread, np.random.default_rng(5))
    assert 0.5 * spread < offset.std() < 2 * spread
    axes = vary.torso_axes(windows)
    local = np.matmul(offset, axes)
    assert local.std(1).max() < 1e-5, "constant in axes of the trunk"
    mirrored = local[:, :, vary.MIRROR] * np.array([-1, 1, 1], np.float32)
    sides = [i for i, name in enumerate(H36M_17.joints) if name[1] == "_"]
    assert mirrored[:, :, sides] == pytest.approx(local[:, :, sides], abs=1e-5)


def steady(frames: int, fps: float) -> Motion:
    """Everything slides along x at 1 m/s."""
    place = np.zeros((frames, 17, 3), np.float32)
    place[..., 0] = (np.arange(frames) / fps)[:, None]
    return Motion(place, H36M_17, fps, "s", "slide", "slide", "made up", "none")


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_windows_keep_time(fps: float) -> None:
    pool = Pool.of([([steady(500, 50.0)], 1.0)])
    speed = np.diff(pool.windows(np.random.default_rng(0), 50, 30, fps)[:, :, 0, 0], axis=1) * fps
    assert speed.std(1).max() < 1e-2, "steady motion stays steady"
    assert speed.min() > 0.74 and speed.max() < 1.36
    assert speed.std() > 0.1, "people are slower or faster"


def test_windows_never_cross_from_one_motion_to_the_next() -> None:
    far = steady(40, 50.0)
    far.positions[..., 1] += 100
    pool = Pool.of([([steady(40, 50.0)], 1.0), ([far], 1.0)])
    y = pool.windows(np.random.default_rng(0), 60, 64, 25.0)[..., 1]
    assert set(np.unique(y.round(3))) == {0.0, 100.0}
    assert (y.max((1, 2)) - y.min((1, 2))).max() < 1e-3


def test_shares() -> None:
    far = steady(400, 50.0)
    far.positions[..., 1] += 100
    pool = Pool.of([([steady(40, 50.0)] * 3, 3.0), ([far], 1.0), ([far], 0.0), ([], 5.0)])
    assert pool.weight == pytest.approx([0.25, 0.25, 0.25, 0.25])
    drawn = pool.windows(np.random.default_rng(0), 400, 4, 50.0)[:, 0, 0, 1] > 50
    assert drawn.mean() == pytest.approx(0.25, abs=0.07)


def test_no_motion_at_all() -> None:
    with pytest.raises(RecipeError, match="No motion"):
        Pool.of([([], 1.0)])
