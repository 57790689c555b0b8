"""RefiNet's modules: both forms, padding, samples apart, losses per sample, and export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from posemend.body.catalogue import ITOP_15
from posemend.nn import export
from posemend.nn.depth import patch, pointcloud, vitruvian
from posemend.nn.table import build

MODULES = {"depth-patch": patch, "depth-body": vitruvian, "depth-cloud": pointcloud}
SMALLER: dict[str, dict[str, Any]] = {
    "depth-patch": {"widths": (16, 16), "hidden": 32}, "depth-body": {"width": 64},
    "depth-cloud": {"widths": (16, 24, 32)},
}  # fmt: skip
FORMS = [(name, published) for name in MODULES for published in (False, True)]


def network(name: str, published: bool) -> nn.Module:
    torch.manual_seed(0)
    options = {**MODULES[name].PUBLISHED, **SMALLER[name]} if published else {}
    made = build(name, options).eval()
    for parameter in made.parameters():
        if parameter.abs().max() == 0:  # what begins as doing nothing shall do something here
            nn.init.normal_(parameter, std=0.2)
    return made


@pytest.mark.parametrize(("name", "published"), FORMS)
def test_shapes_and_samples_apart(name: str, published: bool) -> None:
    made = network(name, published)
    given = made.example(3)
    with torch.no_grad():
        together = made(*given)
        alone = [made(*(x[row : row + 1] for x in given)) for row in range(3)]
    assert len(together) == len(made.outputs)
    assert together[0].shape == (3, 15, 2 if name == "depth-patch" else 3)
    assert all(part.shape == (3, 15) for part in together[1:])
    for place, part in enumerate(together):
        torch.testing.assert_close(part, torch.cat([one[place] for one in alone]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "published"), FORMS)
def test_every_weight_learns(name: str, published: bool) -> None:
    made = network(name, published).train()
    given = made.example(4)
    sum(part.pow(2).sum() for part in made(*given)).backward()
    dead = [key for key, p in made.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert dead == []


@pytest.mark.parametrize(("name", "published"), FORMS)
def test_onnx_runtime_gives_torchs_numbers(name: str, published: bool, tmp_path: Path) -> None:
    """For one frame and for many; inputs that a form does not look at are left out."""
    made = network(name, published)
    export._write_onnx(made, name, tmp_path / "model.onnx")
    parity = export._parity(made, name, tmp_path / "model.onnx")
    assert parity["torch_m"] <= export.PARITY and parity["float16_mean_m"] < 0.01


@pytest.mark.parametrize("masked", [True, False])
def test_padding_never_wins(masked: bool) -> None:
    """What lies in padding must not matter; in the published form zeros take part in the maximum."""
    torch.manual_seed(1)
    made = pointcloud.CloudRefiner(pointcloud.Config(masked=masked)).eval()
    nn.init.normal_(made.last.weight, std=0.3)
    points, mask, context = made.example(2)
    other = points + (1 - mask[..., None]) * torch.randn(points.shape) * 0.1
    more, more_mask = torch.cat([points, torch.zeros_like(points)], 2), torch.cat([mask, torch.zeros_like(mask)], 2)
    with torch.no_grad():
        one, changed, longer = made(points, mask, context), made(other, mask, context), made(more, more_mask, context)
    torch.testing.assert_close(one[0], changed[0])
    torch.testing.assert_close(one[0], longer[0])
    highest = pointcloud.highest(torch.full((1, 4, 2), -3.0), torch.tensor([[[1.0], [1], [0], [0]]]), masked)
    assert highest.tolist() == [[-3.0, -3.0]] if masked else highest.tolist() == [[0.0, 0.0]]


def test_scale_is_kept_or_lost() -> None:
    def moved(keep: bool) -> float:
        torch.manual_seed(2)
        made = pointcloud.CloudRefiner(pointcloud.Config(keep_scale=keep)).eval()
        nn.init.normal_(made.last.weight, std=0.3)
        points, mask, context = made.example(2)
        with torch.no_grad():
            first, second = (made((points * size + 0.02) * mask[..., None], mask, context)[0] for size in (1.0, 0.5))
        return float((first - second).abs().max())

    assert moved(True) > 1e-3
    assert moved(False) < 2e-3  # zero mean and unit spread: size and place are gone


def test_untrained_offsets_change_nothing() -> None:
    for name in ("depth-patch", "depth-cloud"):
        made = build(name).eval()
        with torch.no_grad():
            assert made(*made.example(2))[0].abs().max() == 0


def test_body_gate_ignores_what_is_not_given() -> None:
    made = network("depth-body", False)
    (body,) = made.example(2)
    centre = torch.zeros(2, 3)
    body[:, 3, 3] = 0
    other = body.clone()
    body[:, 3, :3] = 0
    other[:, 3, :3] = 0
    with torch.no_grad():
        positions = made(body, centre)[0]
    assert torch.isfinite(positions).all()
    torch.testing.assert_close(positions, made(other, centre + 1)[0])  # it does not matter where somebody stands


def person(height: float, forward: float) -> torch.Tensor:
    pose = torch.zeros(15, 3)
    pose[ITOP_15.index("head"), 1] = -height / 2
    for side in "lr":
        pose[ITOP_15.index(f"{side}_ankle"), 1] = height / 2
    pose[ITOP_15.index("l_wrist"), 2] = forward
    return pose


def test_body_plane_is_of_each_sample() -> None:
    """The published loss took the lowest foot of the batch; a neighbour must not matter here."""
    tall, small = person(1.8, 1.1), person(1.2, 1.1)
    alone = vitruvian.body_plane(small[None]) / 2
    together = vitruvian.body_plane(torch.stack([tall, small]))
    assert vitruvian.body_plane(tall[None]) == 0  # 1.8 m / 1.5 reaches 1.2 m
    assert together == pytest.approx(float(alone))
    assert float(alone) * 2 * 15 == pytest.approx(1.1 - 1.2 / 1.5, abs=1e-6)
    moving = small.clone().requires_grad_()
    vitruvian.body_plane(moving[None]).backward()
    assert moving.grad is not None and moving.grad[ITOP_15.index("l_wrist"), 2] > 0


def test_holes_are_no_distances() -> None:
    """A hole and a wall at any distance are told apart."""
    made = network("depth-patch", False)
    near, layout = made.example(1)
    far = near.clone()
    far[near < -50] = 0.6
    with torch.no_grad():
        assert not torch.allclose(made(near, layout)[0], made(far, layout)[0])
        clipped = made(torch.where(near < -50, near, near.clamp(-0.6, 0.6)), layout)[0]
    torch.testing.assert_close(made(near, layout)[0], clipped)
    assert np.isfinite(clipped.numpy()).all()
