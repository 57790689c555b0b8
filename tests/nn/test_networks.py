"""Shapes, reach and start of the networks, and building them by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from posemend.contract.codec import CLIP_FEATURES, JOINT_FEATURES
from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES
from posemend.errors import RecipeError
from posemend.nn.lifters import patch_tcn
from posemend.nn.refiners import stgcn
from posemend.nn.table import NETWORKS, build, options_of, size

FRAMES = 48
SMALL = {
    "patch-tcn": {"width": 32, "hidden": 64, "dilations": (1, 2)},
    "stgcn-six": {"width": 16, "dilations": (1, 2)},
    "smoothnet": {"frames": 8, "width": 16, "inner": 8, "blocks": 1},
}
LESS = {"videopose3d": {"channels": 64}, "poseformerv2": {"width": 8}, "d3dp": {"width": 64, "depth": 2}}
FEATURES = {
    "patch-tcn": (JOINT_FEATURES, CLIP_FEATURES),
    "stgcn-six": (EVIDENCE_FEATURES, EVIDENCE_CLIP_FEATURES),
    "smoothnet": (EVIDENCE_FEATURES, EVIDENCE_CLIP_FEATURES),
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = build(name, SMALL[name]).eval()
    for parameter in made.parameters():
        if parameter.abs().max() == 0:  # what begins as doing nothing shall do something here
            nn.init.normal_(parameter, std=0.2)
    return made


def clips(name: str, batch: int = 2, frames: int = FRAMES) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    joints, clip = FEATURES[name]
    return torch.randn(batch, frames, 17, joints, generator=chance), torch.randn(batch, frames, clip, generator=chance)


@pytest.mark.parametrize("name", SMALL)
def test_shapes_and_root(name: str) -> None:
    with torch.no_grad():
        positions, log_error = network(name)(*clips(name))
    assert positions.shape == (2, FRAMES, 17, 3)
    assert log_error.shape == (2, FRAMES, 17)
    assert positions[:, :, 0].abs().max() == 0
    assert positions[:, :, 1:].abs().min(-1).values.max() > 0


@pytest.mark.parametrize("name", SMALL)
def test_reach(name: str) -> None:
    made = network(name)
    x, clip = clips(name, batch=1)
    middle = FRAMES // 2
    with torch.no_grad():
        before = torch.cat([part.flatten(2) for part in made(x, clip)], -1)
        other, other_clip = x.clone(), clip.clone()
        other[:, middle] += 1
        other_clip[:, middle] += 1
        after = torch.cat([part.flatten(2) for part in made(other, other_clip)], -1)
    changed = (before - after).abs().amax((0, 2)) > 0
    distance = (torch.arange(FRAMES) - middle).abs()
    assert made.reach < middle, "the clip must be longer than what is tested"
    assert not changed[distance > made.reach].any()
    assert changed[distance <= made.reach - 2 * made.config.patch].all()


@pytest.mark.parametrize("name", SMALL)
def test_samples_know_nothing_of_each_other(name: str) -> None:
    made = network(name)
    x, clip = clips(name, batch=3)
    with torch.no_grad():
        together = made(x, clip)[0]
        alone = torch.cat([made(x[row : row + 1], clip[row : row + 1])[0] for row in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by", [-3, -1, 0, 1, 3, 9])
def test_shift_along_time(by: int) -> None:
    x = torch.arange(1.0, 7).reshape(1, 6, 1)
    wanted = [x[0, n + by, 0].item() if 0 <= n + by < 6 else 0 for n in range(6)]
    if abs(by) <= 6:
        assert patch_tcn.shift(x, by).flatten().tolist() == wanted
    if by:
        assert stgcn._later(x[..., None], by).flatten().tolist() == wanted


def test_untrained_refiner_changes_nothing() -> None:
    evidence, clip = clips("stgcn-six")
    raw = evidence[..., :3] - evidence[:, :, :1, :3]
    with torch.no_grad():
        positions, _ = build("stgcn-six", SMALL["stgcn-six"])(evidence, clip)
    torch.testing.assert_close(positions, raw)


@pytest.mark.parametrize("normalisation", ["per-class", "joint"])
def test_gradient_of_six_class_convolution(normalisation: str) -> None:
    torch.manual_seed(0)
    layer = stgcn.SixClassConv(2, 2, 2, stgcn.Config(normalisation=normalisation)).double()
    x = torch.randn(1, 4, 17, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_gradient_of_patch_tcn_block() -> None:
    torch.manual_seed(0)
    block = patch_tcn.Block(6, 8, 2, 0.0).double()
    x = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_named_network_can_be_built(name: str) -> None:
    made = build(name, LESS.get(name))
    assert size(made) > 10_000
    again = build(name, options_of(made))
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in made.state_dict().items()}


def test_unknown_network() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'patch-tcn'"):
        build("patch_tcn")


def test_unknown_option() -> None:
    with pytest.raises(RecipeError, match="'patch-tcn' has no option 'widht'.*Did you mean 'width'"):
        build("patch-tcn", {"widht": 3})


def test_lists_of_a_recipe_are_understood() -> None:
    made = build("patch-tcn", {"width": 8, "hidden": 8, "dilations": [1, 4]})
    assert made.config.dilations == (1, 4)
    assert len(made.blocks) == 2
