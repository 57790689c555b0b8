"""VideoPose3D: two ways to the same numbers, padding, and what it can see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from posemend.errors import InputError, RecipeError
from posemend.nn.lifters.videopose3d import Config, VideoPose3D
from posemend.nn.table import build, size

SMALL = Config(widths=(3, 5, 3), channels=12)


def network(config: Config) -> VideoPose3D:
    torch.manual_seed(0)
    made = VideoPose3D(config)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):  # so that a norm that is left out or swapped is noticed
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return made.eval()


@pytest.mark.parametrize(
    ("widths", "parameters"), [((3,) * 5, 16_952_371), ((3,) * 4, 12_753_971), ((3,) * 3, 8_555_571)]
)
def test_sizes(widths: tuple[int, ...], parameters: int) -> None:
    with torch.device("meta"):
        made = VideoPose3D(Config(widths=widths))
    assert size(made) == parameters
    assert made.receptive_field == 3 ** len(widths)


@pytest.mark.parametrize("causal", [False, True])
def test_strided_twin_gives_the_same_numbers(causal: bool) -> None:
    dense = network(replace(SMALL, causal=causal))
    strided = network(replace(SMALL, causal=causal, strided=True))
    strided.load_state_dict(dense.state_dict())
    field = dense.receptive_field
    assert field == 45
    x = torch.randn(2, 3 * field, 17, 2)
    with torch.no_grad():
        every, one = dense.lift(x), strided.lift(x)
        assert every.shape == (2, 2 * field + 1, 17, 3) and one.shape == (2, 3, 17, 3)
        torch.testing.assert_close(one, every[:, ::field], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(strided.lift(x[:, :field]), dense.lift(x[:, :field]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_what_it_sees(causal: bool) -> None:
    made = network(replace(SMALL, causal=causal))
    x = torch.randn(1, 120, 17, 3)
    clip = torch.randn(1, 120, 5)
    other = x.clone()
    other[:, 60, :, :2] += 1
    with torch.no_grad():
        changed = (made(x, clip)[0] - made(other, clip)[0]).abs().amax((0, 2, 3)) > 0
    seen_from = changed.nonzero()
    first, last = (60, 104) if causal else (38, 82)
    assert seen_from.min() == first and seen_from.max() == last


@pytest.mark.parametrize("causal", [False, True])
def test_clips_are_padded_with_their_ends(causal: bool) -> None:
    made = network(replace(SMALL, causal=causal))
    x = torch.randn(2, 7, 17, 3)
    before, after = made.pad
    assert before + after == made.receptive_field - 1 and (after == 0) == causal
    padded = torch.cat([x[:, :1]] * before + [x] + [x[:, -1:]] * after, 1)
    with torch.no_grad():
        positions, log_error = made(x, torch.zeros(2, 7, 5))
        raw = made.lift(padded[..., :2])
    torch.testing.assert_close(positions, raw - raw[:, :, :1])
    assert positions.shape == (2, 7, 17, 3)
    assert log_error.shape == (2, 7, 17) and (log_error == 0).all()


def test_scores_count_only_when_asked_for() -> None:
    x, clip = torch.randn(1, 5, 17, 3), torch.zeros(1, 5, 5)
    other = x.clone()
    other[..., 2] += 1
    for features, matters in ((2, False), (3, True)):
        made = network(replace(SMALL, in_features=features))
        with torch.no_grad():
            assert ((made(x, clip)[0] - made(other, clip)[0]).abs().max() > 0) == matters


def test_a_step_of_learning_moves_every_weight() -> None:
    made = network(SMALL).train()
    made(torch.randn(2, 9, 17, 3), torch.zeros(2, 9, 5))[0].square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in made.parameters())


def test_momentum_is_set_everywhere() -> None:
    made = network(SMALL)
    made.set_momentum(0.01)
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm1d)]
    assert len(norms) == 5 and all(norm.momentum == 0.01 for norm in norms)


def test_wrong_use_is_told() -> None:
    with pytest.raises(RecipeError, match="odd"):
        build("videopose3d", {"widths": [3, 4]})
    with pytest.raises(RecipeError, match="in_features"):
        build("videopose3d", {"in_features": 4})
    with pytest.raises(InputError, match="at least 45 frames, got 7"):
        network(SMALL).lift(torch.zeros(1, 7, 17, 2))
    with pytest.raises(RecipeError, match="strided"):
        network(replace(SMALL, strided=True))(torch.zeros(1, 7, 17, 3), torch.zeros(1, 7, 5))
