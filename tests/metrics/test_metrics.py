"""Metrics on cases worked out by hand, and their invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemend import metrics
from posemend.body.catalogue import H36M_17
from posemend.errors import InputError

T, J = 6, 4


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(T, J, 3))


def rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def shifted(truth: np.ndarray, joint: int, metres: float) -> np.ndarray:
    moved = truth.copy()
    moved[:, joint, 0] += metres
    return moved


def test_mpjpe_by_hand(truth):
    moved = truth.copy()
    moved[0, 0] += (0.03, 0.04, 0)  # 50 mm in one of 24 joint-frames
    assert metrics.mpjpe(moved, truth) == pytest.approx(50 / 24)


def test_masks_choose_a_subset(truth):
    moved = truth + np.random.default_rng(1).normal(size=truth.shape) * 0.1
    mask = np.zeros((T, J), bool)
    mask[2:5, 1:3] = True
    frames = np.zeros(T, bool)
    frames[3:] = True
    assert metrics.mpjpe(moved, truth, mask) == pytest.approx(metrics.mpjpe(moved[2:5, 1:3], truth[2:5, 1:3]))
    assert metrics.mpjpe(moved, truth, frames=frames) == pytest.approx(metrics.mpjpe(moved[3:], truth[3:]))
    assert metrics.pck(moved, truth, mask, frames) == pytest.approx(metrics.pck(moved[3:5, 1:3], truth[3:5, 1:3]))
    assert metrics.auc(moved, truth, mask) == pytest.approx(metrics.auc(moved[2:5, 1:3], truth[2:5, 1:3]))
    visible, hidden = metrics.mpjpe(moved, truth, mask), metrics.mpjpe(moved, truth, ~mask)
    assert metrics.mpjpe(moved, truth) == pytest.approx((6 * visible + 18 * hidden) / 24)


def test_nothing_counted_is_nan(truth):
    none = np.zeros((T, J), bool)
    for metric in (metrics.mpjpe, metrics.p_mpjpe, metrics.n_mpjpe, metrics.mpjve, metrics.accel_error, metrics.pck,
                   metrics.auc, metrics.map_10cm):  # fmt: skip
        assert np.isnan(metric(truth, truth, none))


@given(seed=st.integers(0, 10_000), scale=st.floats(0.2, 5))
@settings(max_examples=25, deadline=None)
def test_p_mpjpe_does_not_see_similarity(seed, scale):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(3, 17, 3))
    predicted = truth + rng.normal(size=truth.shape) * 0.1
    moved = scale * predicted @ rotation(rng).T + rng.normal(size=3) * 10
    assert metrics.p_mpjpe(moved, truth) == pytest.approx(metrics.p_mpjpe(predicted, truth), rel=1e-6)
    exact = scale * truth @ rotation(rng).T + 3
    assert metrics.p_mpjpe(exact, truth) == pytest.approx(0, abs=1e-6)


def test_p_mpjpe_does_not_reflect():
    truth = np.random.default_rng(3).normal(size=(5, 17, 3))
    assert metrics.p_mpjpe(truth * (-1, 1, 1), truth) > 100


def test_p_mpjpe_is_the_best_and_aligns_on_all(truth):
    predicted = truth + np.random.default_rng(4).normal(size=truth.shape) * 0.2
    mask = np.zeros((T, J), bool)
    mask[:, 0] = True
    errors = metrics.aligned_errors(predicted, truth)
    assert metrics.p_mpjpe(predicted, truth, mask) == pytest.approx(errors[:, 0].mean())
    assert (metrics.joint_errors(predicted, truth) ** 2).sum() > (errors**2).sum()


def test_alignment_leaves_out_what_it_is_told():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(4, 17, 3))
    predicted = 2 * truth @ rotation(rng).T
    predicted[:, 16] += 9
    known = np.ones((4, 17), bool)
    known[:, 16] = False
    assert metrics.p_mpjpe(predicted, truth, known, align_on=known) == pytest.approx(0, abs=1e-6)
    assert metrics.p_mpjpe(predicted, truth, known) > 10


def test_degenerate_poses_stay_finite():
    zeros, flat = np.zeros((2, 17, 3)), np.zeros((2, 17, 3))
    flat[..., 0] = np.arange(17)
    for one, other in ((zeros, flat), (flat, zeros), (zeros, zeros), (flat, flat)):
        assert np.isfinite(metrics.aligned_errors(one, other)).all()
        assert np.isfinite(metrics.n_mpjpe(one, other))


def test_n_mpjpe_does_not_see_scale_alone(truth):
    assert metrics.n_mpjpe(truth * 3, truth) == pytest.approx(0, abs=1e-9)
    assert metrics.n_mpjpe(truth + 1, truth) > 10


def test_velocity_by_hand(truth):
    moving = truth + np.arange(T)[:, None, None] * np.array([0.01, 0, 0])  # 10 mm more in every frame
    assert metrics.mpjve(moving, truth) == pytest.approx(10)
    assert metrics.accel_error(moving, truth) == pytest.approx(0, abs=1e-9)
    bent = truth + (np.arange(T) ** 2)[:, None, None] * np.array([0, 0.01, 0])  # second difference 20 mm
    assert metrics.accel_error(bent, truth) == pytest.approx(20)


def test_velocity_never_crosses_a_cut(truth):
    predicted = truth.copy()
    predicted[3:] += 1.0  # constant before and after: the only change is at frame 3
    assert metrics.mpjve(predicted, truth) > 100
    assert metrics.mpjve(predicted, truth, cuts=(3,)) == pytest.approx(0, abs=1e-9)
    assert metrics.accel_error(predicted, truth) > 100
    assert metrics.accel_error(predicted, truth, cuts=(3,)) == pytest.approx(0, abs=1e-9)
    assert metrics.mpjve(predicted, truth, cuts=(2,)) > 100


def test_velocity_wants_both_frames(truth):
    predicted = shifted(truth, 0, 0)
    predicted[2, 0] += 1
    mask = np.ones((T, J), bool)
    mask[2, 0] = False
    assert metrics.mpjve(predicted, truth, mask) == pytest.approx(0, abs=1e-9)
    assert metrics.accel_error(predicted, truth, mask) == pytest.approx(0, abs=1e-9)
    assert np.isnan(metrics.mpjve(truth[:1], truth[:1]))


def test_pck_and_auc_by_hand(truth):
    predicted = shifted(shifted(truth, 0, 0.2), 1, 0.0501)  # 200 mm, 50.1 mm and twice 0 mm
    assert metrics.pck(predicted, truth) == pytest.approx(75)
    assert metrics.map_10cm(predicted, truth) == pytest.approx(75)
    # thresholds 55 … 150 take 50.1 mm: 20 of 31; 5 … 150 take 0 mm: 30 of 31 (an error of 0 is not below 0)
    assert metrics.auc(predicted, truth) == pytest.approx((0 + 20 + 30 + 30) / 4 / 31 * 100)
    by_pck = np.mean([metrics.pck(predicted, truth, threshold_mm=t) for t in metrics.AUC_THRESHOLDS])
    assert metrics.auc(predicted, truth) == pytest.approx(by_pck)


def test_bone_length_spread_by_hand():
    still = np.random.default_rng(6).normal(size=(1, 17, 3)).repeat(4, 0)
    assert metrics.bone_length_spread(still, H36M_17) == pytest.approx(0, abs=1e-9)
    head, neck = H36M_17.index("head_top"), H36M_17.index("nose")
    moving = still.copy()
    unit = (still[0, head] - still[0, neck]) / np.linalg.norm(still[0, head] - still[0, neck])
    moving[::2, head] += 0.02 * unit  # lengths differ by 20 mm: standard deviation 10 mm in one of 16 bones
    assert metrics.bone_length_spread(moving, H36M_17) == pytest.approx(10 / 16)
    without = np.ones((4, 17), bool)
    without[:, head] = False
    assert metrics.bone_length_spread(moving, H36M_17, without) == pytest.approx(0, abs=1e-9)


def test_batches_are_means(truth):
    other = truth + 0.1
    assert metrics.mpjpe(np.stack([truth, other]), np.stack([truth, truth])) == pytest.approx(
        metrics.mpjpe(other, truth) / 2
    )


def test_shapes_are_checked(truth):
    with pytest.raises(InputError, match="one shape"):
        metrics.mpjpe(truth, truth[:, :3])
    with pytest.raises(InputError, match="'mask' wants bool"):
        metrics.mpjpe(truth, truth, np.ones((T, J + 1), bool))
    with pytest.raises(InputError, match="'frames' wants bool"):
        metrics.mpjpe(truth, truth, frames=np.ones(T))


def test_oks_by_hand() -> None:
    truth = np.zeros((3, 4, 2))
    found = truth.copy()
    found[1, 0, 0] = 20.0  # exp(-400 / (8 * 0.107^2 * 10000)) in one of four joints
    found[2] += 500.0
    area = np.full(3, 10_000.0)
    one = (3 + np.exp(-400 / (8 * 0.107**2 * 10_000))) / 4
    assert metrics.oks(found, truth, area) == pytest.approx([1, one, 0], abs=1e-9)
    assert metrics.oks_ap(found, truth, area) == pytest.approx(100 * (10 + (one > metrics.OKS_THRESHOLDS).sum()) / 30)
    mask = np.ones((3, 4), bool)
    mask[1, 0] = mask[2] = False
    masked = metrics.oks(found, truth, area, mask)
    assert masked[:2].tolist() == [1, 1] and np.isnan(masked[2])
    assert metrics.oks_ap(found, truth, area, mask) == 100
    with pytest.raises(InputError, match="areas above 0"):
        metrics.oks(found, truth, area * 0)
    with pytest.raises(InputError, match="two arrays of one shape"):
        metrics.oks(found, truth[:2], area)
