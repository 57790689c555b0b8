"""The set of masks has the number, share, overlap and runs that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.errors import InputError
from posemend.occlusion.masks import OVERLAP_TOLERANCE, RunLengths, least_overlap, measure, omega, tiled

SETS = [
    (1, 0.2, 0.0, 32), (4, 0.2, 0.0, 32), (8, 0.1, 0.3, 8), (8, 0.2, 0.1, 32), (8, 0.2, 0.5, 32), (8, 0.3, 0.8, 32),
    (8, 0.3, 1.0, 32), (16, 0.3, 0.2, 32), (8, 0.5, 0.4, 32), (4, 0.2, 0.2, 128), (3, 0.0, 0.0, 8),
]  # fmt: skip


@pytest.mark.parametrize(("number", "share", "overlap", "frames"), SETS)
def test_what_was_asked_for_is_met(number: int, share: float, overlap: float, frames: int) -> None:
    hidden = omega(number, share, overlap, frames, seed=2)
    assert hidden.shape == (number, frames, 17) and hidden.dtype == bool
    found = measure(hidden)
    assert (hidden.sum((1, 2)) == round(share * frames * 17)).all()
    np.testing.assert_allclose(found.shares, share, atol=0.5 / (frames * 17) + 1e-9)
    if number > 1 and share:
        assert abs(found.overlap - overlap) <= OVERLAP_TOLERANCE


def test_measured_by_hand() -> None:
    hidden = np.zeros((2, 4, 2), bool)
    hidden[0, :2, 0] = True
    hidden[1, 1:4, 0] = True
    hidden[1, 0, 1] = True
    found = measure(hidden)
    assert found.shares.tolist() == [0.25, 0.5]
    assert found.overlap == pytest.approx(1 / 5)
    assert sorted(found.runs.tolist()) == [1, 2, 3]


def test_the_same_arguments_give_the_same_masks() -> None:
    one, other = omega(6, 0.25, 0.3, 24, seed=5), omega(6, 0.25, 0.3, 24, seed=5)
    assert np.array_equal(one, other)
    assert not np.array_equal(one, omega(6, 0.25, 0.3, 24, seed=6))


def test_runs_follow_their_distribution() -> None:
    """Lengths of whole sets against fresh draws: the largest gap between the two distribution functions."""
    lengths, frames = RunLengths(10, 1.0), 64
    found = np.concatenate([measure(omega(8, 0.2, 0.15, frames, seed=n, lengths=lengths)).runs for n in range(6)])
    wanted = lengths.draw(20_000, frames, np.random.default_rng(0))
    at = np.arange(1, frames + 1)
    gap = np.abs((found[:, None] <= at).mean(0) - (wanted[:, None] <= at).mean(0)).max()
    assert len(found) > 500
    assert gap < 0.15  # one run of each mask is cut short to fit
    flat = measure(np.random.default_rng(0).random((8, frames, 17)) < 0.2).runs
    assert np.abs((flat[:, None] <= at).mean(0) - (wanted[:, None] <= at).mean(0)).max() > 0.5


def test_every_joint_and_most_frames_get_hidden() -> None:
    hidden = omega(8, 0.2, 0.1111, 32)
    assert hidden.any((0, 1)).all()
    assert hidden.any(0).mean() > 0.75


def test_impossible_sets_are_refused() -> None:
    assert least_overlap(2, 5, 10) == 0
    assert least_overlap(4, 5, 10) == pytest.approx((10 * 1 / 6) / (10 - 10 / 6))
    with pytest.raises(InputError, match=r"overlap by 0\.06 at least, wanted 0\.02"):
        omega(8, 0.2, 0.02, 32)
    with pytest.raises(InputError, match="smaller share"):
        omega(2, 0.99, 1.0, 16)
    for wrong in ((0, 0.2, 0.1, 8), (2, 1.0, 0.1, 8), (2, 0.2, 1.5, 8), (2, 0.2, 0.1, 0)):
        with pytest.raises(InputError, match="Masks want"):
            omega(*wrong)


def test_tiled_over_longer_clips() -> None:
    hidden = omega(2, 0.2, 0.2, 8)
    assert np.array_equal(tiled(hidden, 20)[:, 16:], hidden[:, :4])
    assert tiled(hidden, 3).shape == (2, 3, 17)
