"""Losses against values worked out by hand, and their gradients against differences."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import pytest
import torch
from torch import Tensor

from posemend.body.catalogue import H36M_17
from posemend.nn import losses


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


TARGET = random(1, 3, 17, 3, seed=1)
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "mpjpe": lambda x: losses.mpjpe(x, TARGET),
    "mpjpe, weighted": lambda x: losses.mpjpe(x, TARGET, random(1, 3, 17, seed=2).abs()),
    "velocity": lambda x: losses.velocity(x, TARGET),
    "stillness": lambda x: losses.stillness(x),
    "stillness, weighted": lambda x: losses.stillness(x, random(17, seed=3)),
    "harm": lambda x: losses.harm(x, TARGET + 0.7 * random(1, 3, 17, 3, seed=4), TARGET),
    "symmetry": lambda x: losses.symmetry(x, H36M_17),
    "symmetry_signed": lambda x: losses.symmetry_signed(x * 0.05, H36M_17),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradient(name: str) -> None:
    x = random(1, 3, 17, 3).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], (x,))
    LOSSES[name](x).backward()
    assert x.grad is not None and x.grad.abs().max() > 0


def test_gradient_of_expected_error() -> None:
    x = random(1, 3, 17, 3)
    log_error = random(1, 3, 17).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: losses.expected_error(e, x, TARGET), (log_error,))


def test_expected_error_teaches_no_position() -> None:
    x = random(1, 3, 17, 3).requires_grad_()
    losses.expected_error(random(1, 3, 17).requires_grad_(), x, TARGET).backward()
    assert x.grad is None


@pytest.mark.parametrize("name", ["mpjpe", "velocity"])
def test_gradient_is_finite_where_nothing_is_wrong(name: str) -> None:
    x = TARGET.clone().requires_grad_()
    LOSSES[name](x).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_mpjpe() -> None:
    target = torch.zeros(1, 1, 2, 3)
    predicted = target.clone()
    predicted[0, 0, 1] = torch.tensor([3.0, 4.0, 0.0])
    assert losses.mpjpe(predicted, target).item() == pytest.approx(2.5, abs=1e-5)
    assert losses.mpjpe(predicted, target, torch.tensor([[[0.0, 2.0]]])).item() == pytest.approx(5, abs=1e-5)
    assert losses.mpjpe(predicted, target, torch.zeros(1, 1, 2)).item() == 0


def test_velocity_is_the_error_of_change() -> None:
    target = random(1, 5, 17, 3)
    assert losses.velocity(target + 7, target).item() == pytest.approx(0, abs=1e-5)
    drift = torch.arange(5, dtype=torch.float64)[None, :, None, None] * torch.tensor([0.0, 0.6, 0.8])
    assert losses.velocity(target + drift, target).item() == pytest.approx(1)


def test_stillness_is_the_change_itself() -> None:
    moving = torch.zeros(1, 2, 1, 3)
    moving[0, 1, 0, 0] = 2
    assert losses.stillness(torch.ones(1, 4, 17, 3)).item() == 0
    assert losses.stillness(moving).item() == pytest.approx(4 / 3)
    assert losses.stillness(moving, torch.tensor([3.0])).item() == pytest.approx(12)


def long_left_arm(by: float) -> Tensor:
    """A body on which every bone is a metre, but the left forearm is longer."""
    pose = torch.zeros(1, 2, 17, 3, dtype=torch.float64)
    for parent, child in H36M_17.bone_indices:
        length = 1 + by if H36M_17.joints[child] == "l_wrist" else 1.0
        pose[..., child, :] = pose[..., parent, :] + torch.tensor([0, 0, length], dtype=torch.float64)
    return pose


def test_symmetry() -> None:
    pairs = len(H36M_17.mirror_bones())
    assert pairs == 6
    for by in (0.05, -0.05):
        pose = long_left_arm(by)
        assert losses.symmetry(pose, H36M_17).item() == pytest.approx(0.05 / pairs)
        assert losses.symmetry_signed(pose, H36M_17).item() == pytest.approx(by / pairs)


def test_signed_symmetry_does_not_fall_without_bound() -> None:
    pairs = len(H36M_17.mirror_bones())
    assert losses.symmetry_signed(long_left_arm(-0.9), H36M_17).item() == pytest.approx(-0.1 / pairs)
    assert losses.symmetry_signed(long_left_arm(50), H36M_17, bound=0.3).item() == pytest.approx(0.3 / pairs)
    for seed in range(5):
        wild = random(2, 3, 17, 3, seed=seed) * 1000
        assert abs(losses.symmetry_signed(wild, H36M_17).item()) <= 0.1


def test_expected_error_is_least_at_the_true_error() -> None:
    target = torch.zeros(1, 1, 17, 3)
    predicted = target.clone()
    predicted[..., 0] = 0.2

    def at(error: float) -> float:
        return losses.expected_error(torch.full((1, 1, 17), log(error)), predicted, target).item()

    assert at(0.2) == pytest.approx(1 + log(0.2), abs=1e-5)
    assert at(0.2) < at(0.15) < at(0.1)
    assert at(0.2) < at(0.25) < at(0.4)
