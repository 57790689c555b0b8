"""Losses without truth: values worked out by hand, gradients against differences, and zero where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from posemend.body.catalogue import H36M_17
from posemend.geometry.root import place_root as place_in_numpy
from posemend.nn import unlabelled as u


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


BODY = random(2, 3, 17, 3, seed=1) * 0.3
ROOT = torch.tensor([0.2, -0.1, 4.0], dtype=torch.float64) + 0.1 * random(2, 3, 3, seed=2)
IMAGE = (BODY + ROOT[..., None, :])[..., :2] / (BODY + ROOT[..., None, :])[..., 2:]
WEIGHT = random(2, 3, 17, seed=3).abs() + 0.1
SIZE = torch.full((2, 3), 0.12, dtype=torch.float64)
LENGTHS = random(16, seed=4).abs() * 0.2

LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "reprojection": lambda x: u.reprojection(x, IMAGE, WEIGHT, SIZE),
    "reprojection, true root": lambda x: u.reprojection(x, IMAGE, WEIGHT, SIZE, ROOT),
    "mean bones": lambda x: u.mean_bones(x, LENGTHS, H36M_17),
    "constant bones": lambda x: u.constant_bones(x, H36M_17),
    "usual bones": lambda x: u.usual_bones(x, LENGTHS, LENGTHS + 0.05, H36M_17),
    "consistency": lambda x: u.consistency(x, BODY, WEIGHT),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradient(name: str) -> None:
    x = (BODY + 0.05 * random(2, 3, 17, 3, seed=5)).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], (x,))
    LOSSES[name](x).backward()
    assert x.grad is not None and x.grad.abs().max() > 0


def test_gradient_of_the_root() -> None:
    x = (BODY + 0.05 * random(2, 3, 17, 3, seed=5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: u.place_root(p, IMAGE, WEIGHT)[0], (x,))


def test_root_is_solved_exactly_and_as_in_use() -> None:
    root, good = u.place_root(BODY, IMAGE, WEIGHT)
    assert (good == 1).all()
    torch.testing.assert_close(root, ROOT)
    noisy = IMAGE + 0.01 * random(2, 3, 17, 2, seed=6)
    found, _ = u.place_root(BODY[:1], noisy[:1], WEIGHT[:1])
    wanted = place_in_numpy(
        BODY[0].numpy().astype(np.float32), noisy[0].numpy().astype(np.float32), WEIGHT[0].numpy().astype(np.float32)
    )
    np.testing.assert_allclose(found[0].numpy(), wanted, rtol=1e-3, atol=1e-3)


def test_true_poses_cost_nothing_and_size_does_not_show() -> None:
    for pose in (BODY, 0.5 * BODY):  # a body half as large, half as far, looks the same
        assert float(u.reprojection(pose, IMAGE, WEIGHT, SIZE)) < 1e-5
    assert float(u.reprojection(0.5 * BODY, IMAGE, WEIGHT, SIZE, ROOT)) > 0.1  # the true root gives the size away
    flat = BODY * torch.tensor([1, 1, 0.0], dtype=torch.float64)
    assert float(u.reprojection(flat, IMAGE, WEIGHT, SIZE)) > 0.01


def test_nothing_can_be_placed_on_two_joints_or_behind_the_camera() -> None:
    weight = torch.zeros_like(WEIGHT)
    weight[..., :2] = 1
    x = BODY.clone().requires_grad_()
    loss = u.reprojection(x, IMAGE, weight, SIZE)
    loss.backward()
    assert loss.item() == 0 and x.grad is not None and (x.grad == 0).all()
    root, good = u.place_root(-BODY, IMAGE, WEIGHT)  # point-mirrored: it would have to stand behind the camera
    assert (good == 0).all() and torch.isfinite(root).all()
    hidden = u.reprojection(BODY, IMAGE, torch.zeros_like(WEIGHT), SIZE)
    assert float(hidden) == 0 and torch.isfinite(hidden)


def test_bone_lengths_by_hand() -> None:
    pose = torch.zeros(1, 2, 17, 3, dtype=torch.float64)
    pose[0, :, H36M_17.index("l_knee"), 0] = torch.tensor([0.4, 0.6], dtype=torch.float64)
    bones = H36M_17.bones
    lengths = u.bone_lengths(pose, H36M_17)
    thigh, shank = bones.index(("l_hip", "l_knee")), bones.index(("l_knee", "l_ankle"))
    assert lengths[0, 1, thigh] == pytest.approx(0.6) and lengths[0, 0, shank] == pytest.approx(0.4)
    assert float(u.constant_bones(pose, H36M_17)) == pytest.approx(2 * 0.1 / 16, abs=1e-5)
    zero = torch.zeros(16, dtype=torch.float64)
    assert float(u.mean_bones(pose, zero, H36M_17)) == pytest.approx(2 * 0.5 / 16, abs=1e-5)
    assert float(u.usual_bones(pose, zero, zero + 0.45, H36M_17)) == pytest.approx(2 * 0.05 / 16, abs=1e-5)
    assert float(u.usual_bones(pose, zero + 0.1, zero + 0.45, H36M_17)) == pytest.approx(
        (2 * 0.05 + 14 * 0.1) / 16, abs=1e-5
    )


def test_consistency_teaches_the_student_alone_and_by_weight() -> None:
    student, teacher = BODY.clone().requires_grad_(), (BODY + 1).requires_grad_()
    weight = torch.zeros_like(WEIGHT)
    weight[0, 0, 3] = 2
    u.consistency(student, teacher, weight).backward()
    assert teacher.grad is None
    assert student.grad is not None and (student.grad.abs().sum(-1) > 0).nonzero().tolist() == [[0, 0, 3]]
