"""Thinned clips and what lies between their frames."""

from __future__ import annotations

import numpy as np
import pytest

from posemend.runtime.clocks import between, kept


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 30, 31, 32])
def test_straight_lines_come_back(frames: int, every: int, parts: int) -> None:
    rows = kept(frames, parts, every)
    line = np.arange(frames, dtype=np.float32)[:, None, None] * np.ones((2, 3), np.float32)
    back = between(line[rows], frames, parts, every)
    assert back.shape == line.shape and back.dtype == np.float32
    for phase in range(min(parts, frames)):
        mine, stays = np.arange(phase, frames, parts), rows[rows % parts == phase]
        inner = mine[mine <= stays.max()]
        assert back[inner] == pytest.approx(line[inner], abs=1e-5)
        # beyond the last frame that stays, its value is held
        assert (back[mine[mine > stays.max()]] == line[stays.max()]).all()


def test_interleaved_clips_are_thinned_apart() -> None:
    assert kept(10, 2, 2).tolist() == [0, 1, 4, 5, 8, 9]
    odd_is_high = np.where(np.arange(10) % 2, 100, 0).astype(np.float32)[:, None]
    assert (between(odd_is_high[kept(10, 2, 2)], 10, 2, 2) == odd_is_high).all()


def test_the_values_given_stay_as_they_are() -> None:
    values = np.arange(5, dtype=np.float32)[:, None]
    before = values.copy()
    between(values, 9, 1, 2)
    assert (values == before).all()
