"""LNet: distances along rays are points in space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from posemend.contract.codec import CLIP_FEATURES, JOINT_FEATURES, encode, turn
from posemend.nn import export, losses
from posemend.nn.lifters.lnet import LNet, on_rays, unit_rays
from posemend.nn.table import build

SMALL = {"width": 24, "layers": 2}


def given(frames: int = 6, batch: int = 2) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    joints = torch.randn(batch, frames, 17, JOINT_FEATURES, generator=chance)
    joints[..., 2] = (joints[..., 2] > -1).float()
    return joints, torch.randn(batch, frames, CLIP_FEATURES, generator=chance) * 0.3


def network() -> LNet:
    torch.manual_seed(0)
    return build("lnet", SMALL).eval()  # type: ignore[return-value]


def test_true_distances_along_the_codecs_rays_are_the_truth() -> None:
    rng = np.random.default_rng(0)
    camera = rng.normal(0, 0.4, (1, 9, 17, 3)) + np.array([0.4, -0.3, 4.0])
    rays = (camera[..., :2] / camera[..., 2:]).astype(np.float32)
    code = encode(rays, np.ones(rays.shape[:-1], np.float32), 50.0, True)
    away = torch.from_numpy(np.linalg.norm(camera, axis=-1))
    found = on_rays(
        away[..., 0], away - away[..., :1],
        unit_rays(torch.from_numpy(code.joints[..., :2]), torch.from_numpy(code.clip)).double(),
    )  # fmt: skip
    wanted = turn((camera - camera[:, :, :1]).astype(np.float32), code.rotation)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


def test_shapes_and_what_is_told() -> None:
    made = network()
    joints, clip = given()
    with torch.no_grad():
        positions, log_error = made(joints, clip)
        farther, _, own = made(joints, clip, torch.full((2, 6), 9.0))
        same = made(joints, clip, own.exp())[0]
    assert positions.shape == (2, 6, 17, 3) and log_error.shape == (2, 6, 17) and own.shape == (2, 6)
    assert positions[:, :, 0].abs().max() == 0
    assert not torch.allclose(farther, positions)
    torch.testing.assert_close(same, positions, rtol=1e-4, atol=1e-5)
    assert made.reach == 0


def test_frames_know_nothing_of_each_other() -> None:
    made = network()
    joints, clip = given()
    other = joints.clone()
    other[:, 3] += 1
    with torch.no_grad():
        changed = (made(joints, clip)[0] - made(other, clip)[0]).abs().amax((0, 2, 3)) > 1e-6
    assert changed.nonzero().flatten().tolist() == [3]


def test_the_ray_of_a_seen_joint_is_kept() -> None:
    """Whatever the distances, a joint with a keypoint lies on its keypoint."""
    made = network()
    joints, clip = given()
    joints[..., 2] = 1
    distance = torch.full((2, 6), 3.0)
    with torch.no_grad():
        positions = made(joints, clip, distance)[0]
    rays = unit_rays(joints[..., :2], clip)
    points = positions + 3.0 * rays[:, :, :1]
    torch.testing.assert_close(points[..., :2] / points[..., 2:], rays[..., :2] / rays[..., 2:], rtol=1e-3, atol=1e-4)


def test_absent_joints_do_not_say_where_they_are() -> None:
    made = network()
    joints, clip = given()
    joints[:, :, 5] = 0
    with torch.no_grad():
        positions = made(joints, clip, torch.full((2, 6), 3.0))[0]
    assert (positions[:, :, 5, :2] + 3 * unit_rays(joints[..., :2], clip)[:, :, 0, :2]).abs().min() > 1e-4


def test_gradients() -> None:
    torch.manual_seed(0)
    rays = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    root, relative = (torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3), (2, 3, 4)))
    assert torch.autograd.gradcheck(on_rays, (root, relative, rays))
    away = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda away: losses.distance(away, torch.full((2, 3), 4.0).double()), (away,))
    assert losses.distance(torch.tensor([[0.1]]), torch.tensor([[1.0]])).item() == pytest.approx(0.1)
    hidden = network().double().hidden
    x = torch.randn(3, 17 * JOINT_FEATURES + CLIP_FEATURES, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(hidden, (x,))


def test_onnx_gives_the_same_numbers(tmp_path: Path) -> None:
    made = network()
    export._write_onnx(made, "lift", tmp_path / "model.onnx")
    for frames in (1, 7, 40):
        inputs = given(frames, 1)
        with torch.no_grad():
            wanted = made(*inputs)[0].numpy()
        got = export._run(tmp_path / "model.onnx", ["joints", "clip"], inputs)
        assert np.abs(got - wanted).max() < 1e-4
