"""Batches: the same by number, and true to the geometry that they claim."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from posemend.body.catalogue import H36M_17
from posemend.datasets.procedural import demo_clip, generate
from posemend.errors import InputError
from posemend.training.batches import Batch, Recordings, Source
from posemend.training.hiding import Hiding, spans
from posemend.training.motions import Pool
from posemend.training.vary import Variety
from posemend.training.views import NEAREST, Views, look

EXACT = Hiding(exact=1, flagged=0, missing=0, detector=0)


@pytest.fixture(scope="module")
def source() -> Source:
    pool = Pool.of([([generate(seed, 6) for seed in (1, 2)], 1.0)])
    return Source(pool, None, 0.0, 32, 48, Variety(), Views(), Hiding(), seed=5)


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Batch))


def test_same_number_same_batch(source: Source) -> None:
    third = source.batch(3)
    assert not same(third, source.batch(4))
    assert same(third, source.batch(3)), "whatever was made in between"
    assert not same(third, replace(source, seed=6).batch(3))


def test_shapes(source: Source) -> None:
    batch = source.batch(0)
    wanted = {
        "joints": (32, 48, 17, 3), "clip": (32, 48, 5), "target": (32, 48, 17, 3), "hidden": (32, 48, 17),
        "rotation": (32, 48, 3, 3), "rays": (32, 48, 17, 2), "score": (32, 48, 17),
    }  # fmt: skip
    for name, shape in wanted.items():
        array = getattr(batch, name)
        assert array.shape == shape, name
        assert array.dtype == (bool if name == "hidden" else np.float32), name
        assert np.isfinite(array).all(), name


def test_sanity_of_many(source: Source) -> None:
    made = [source.batch(number) for number in range(6)]
    hidden = np.mean([batch.hidden.mean() for batch in made])
    assert 0.1 < hidden < 0.5
    for batch in made:
        assert (batch.target[:, :, 0] == 0).all()
        assert np.linalg.norm(batch.target, axis=-1).max() < 2.5, "nobody is that tall"
        assert batch.score.min() >= 0 and batch.score.max() <= 1
        assert (batch.score.max((1, 2)) > 0).all(), "nobody is lifted from nothing"
        assert (batch.joints[..., :2][batch.score == 0] == 0).all()
        assert (batch.joints[..., 2] == batch.score).all()
    score = np.concatenate([batch.score for batch in made])
    concealed = np.concatenate([batch.hidden for batch in made])
    assert score[concealed].mean() < 0.5 < 0.8 < score[~concealed].mean()
    exact = (score == 1).all((1, 2))
    assert 0.08 < exact.mean() < 0.35
    assert not concealed[exact & ~concealed.any((1, 2))].any()


def test_input_and_target_fit_together(source: Source) -> None:
    """From exact input, the root's place follows by least squares, with nothing left over."""
    clean = replace(source, hiding=EXACT, variety=Variety(definition=0), views=Views(calibrated=1))
    batch = clean.batch(1)
    size = np.exp(batch.clip[..., 2] - 2)[..., None, None]
    image = (batch.joints[..., :2] * size).astype(np.float64)
    inside = (np.abs(batch.joints[..., :2]) < 5.9).all((2, 3))
    x, y, t = image[..., 0], image[..., 1], batch.target.astype(np.float64)
    one, nothing = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([one, nothing, -x], -1), np.stack([nothing, one, -y], -1)], 2)
    wanted = np.concatenate([x * t[..., 2] - t[..., 0], y * t[..., 2] - t[..., 1]], 2)
    root = np.linalg.solve(np.swapaxes(rows, -1, -2) @ rows, np.swapaxes(rows, -1, -2) @ wanted[..., None])
    left = np.abs(rows @ root - wanted[..., None])[..., 0]
    assert inside.mean() > 0.95
    assert left[inside].max() < 2e-3
    assert root[inside][:, 2].min() > 0.5, "before the camera"
    assert not batch.hidden.any()


def test_told_focal_lengths(source: Source) -> None:
    assert (replace(source, views=Views(calibrated=1)).batch(0).clip[..., 4] == 1).all()
    assert (replace(source, views=Views(calibrated=0)).batch(0).clip[..., 4] == 0).all()


def test_kinds_of_input(source: Source) -> None:
    missing = replace(source, hiding=replace(EXACT, exact=0, missing=1)).batch(0)
    assert set(np.unique(missing.score)) == {0, 1}
    assert ((missing.score == 0) == missing.hidden).all()
    flagged = replace(source, hiding=replace(EXACT, exact=0, flagged=1)).batch(0)
    assert ((flagged.score < 1) == flagged.hidden).all() and (flagged.score > 0).all()
    detector = replace(source, hiding=replace(EXACT, exact=0, detector=1)).batch(0)
    assert len(np.unique(detector.score)) > 1000
    assert detector.score[detector.hidden].mean() < detector.score[~detector.hidden].mean() - 0.1


def test_recordings_take_their_share(source: Source) -> None:
    take = demo_clip()
    recordings = Recordings.of([take])
    mixed = replace(source, recordings=recordings, recorded=0.25, views=Views(calibrated=1))
    batch = mixed.batch(2)
    assert len(batch.joints) == 32
    assert same(batch, mixed.batch(2))
    rate = np.log(take.truth.fps / 50)
    assert (np.abs(batch.clip[-8:, :, 3] - rate) < 1e-6).all(), "the last quarter keeps its recorded frame rate"
    assert np.unique(batch.clip[:-8, :, 3]).size == 1


def test_recordings_are_cut_and_true(source: Source) -> None:
    take = replace(demo_clip(), cuts=(300,))
    recordings = Recordings.of([take])
    assert recordings.length.tolist() == [300, len(take.truth) - 300]
    seen, hidden = recordings.windows(np.random.default_rng(0), 40, 64, 1.0)
    assert hidden.any() and not hidden.all()
    camera = take.keypoints.camera
    assert camera is not None
    rays = (take.keypoints.positions - np.array(camera.centre)) / np.array(camera.focal)
    flipped = rays[:, list(H36M_17.mirror)] * np.array([-1, 1])
    for row in range(40):
        first = seen.rays[row, 0]
        apart = min(np.abs(part - first).max((1, 2)).min() for part in (rays, flipped))
        assert apart < 2e-3


def test_cameras_see_people_in_front_of_them(source: Source) -> None:
    rng = np.random.default_rng(0)
    windows = source.pool.windows(rng, 64, 32, 25.0)
    positions, path = windows - windows[:, :, :1], windows[:, :, 0]
    seen = look(positions, path, Views(), rng)
    assert seen.camera[..., 2].min() > NEAREST - 1e-4
    # a rigid move: distances between joints are kept
    before = np.linalg.norm(positions[:, :, 3] - positions[:, :, 13], axis=-1)
    after = np.linalg.norm(seen.camera[:, :, 3] - seen.camera[:, :, 13], axis=-1)
    assert after == pytest.approx(before, abs=1e-4)
    upright = (seen.camera[:, :, H36M_17.index("head_top"), 1] < seen.camera[:, :, H36M_17.index("r_ankle"), 1]).mean()
    assert upright > 0.9, "image y points down"
    within = (np.abs(seen.rays) < seen.half[:, None, None]).all(-1).mean()
    assert 0.6 < within < 0.99
    known = seen.calibrated == 1
    assert (seen.told[known] == 1).all() and known.any() and not known.all()
    image = seen.camera[..., :2] / seen.camera[..., 2:]
    assert seen.rays[known] == pytest.approx(image[known], abs=1e-4)


def test_spans_follow_their_mean() -> None:
    rng = np.random.default_rng(0)
    none = spans(50, 60, 25.0, replace(EXACT, spans=0), rng)
    few, many = (spans(400, 60, 25.0, replace(EXACT, spans=count), rng).mean() for count in (1.0, 6.0))
    assert not none.any()
    assert 0.01 < few < many < 0.7


def test_detectors_may_err_as_real_ones_do(source: Source) -> None:
    pool, seed = source.pool, source.seed
    only = Hiding(exact=0, flagged=0, missing=0, detector=1)
    plain = Source(pool, None, 0.0, 16, 48, Variety(definition=0), Views(), only, seed)
    fitted = replace(plain, hiding=replace(only, fitted=1.0))
    half = replace(plain, hiding=replace(only, fitted=0.5))
    one, other, mixed = plain.batch(2), fitted.batch(2), half.batch(2)
    assert same(other, fitted.batch(2))
    assert np.array_equal(one.target[:, :, 0], other.target[:, :, 0]) and np.array_equal(one.hidden, other.hidden)
    assert not np.array_equal(one.rays, other.rays) and np.isfinite(other.rays).all()
    changed = [not np.array_equal(a, b) for a, b in zip(one.rays, mixed.rays, strict=True)]
    assert 2 <= sum(changed) <= 14, "a share of the samples"
    # hidden joints err more and are believed less, as the real detector's
    limbs = [place for place, name in enumerate(H36M_17.joints) if name.endswith(("wrist", "ankle"))]
    score, hidden = other.score[:, :, limbs], other.hidden[:, :, limbs]
    assert np.median(score[hidden]) < np.median(score[~hidden]) - 0.1


def test_a_share_of_fitted_detectors_wants_known_ones() -> None:
    with pytest.raises(InputError, match="No detector is called 'mediapie'"):
        Hiding(fitted=0.5, detectors=("mediapie",))
    with pytest.raises(InputError, match="wants one by name"):
        Hiding(fitted=0.5, detectors=())
    Hiding(detectors=("mediapie",))  # not asked for
