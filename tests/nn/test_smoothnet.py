"""SmoothNet: the authors' layers and sizes, windows that slide, and a clip that nothing is done to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES
from posemend.errors import RecipeError
from posemend.nn import export, losses
from posemend.nn.mirror import mirrored_evidence, mirrored_joints
from posemend.nn.refiners.smoothnet import Config, SmoothNet
from posemend.nn.table import build, size

SMALL = {"frames": 6, "width": 12, "inner": 5, "blocks": 2}


def made(**options: object) -> SmoothNet:
    torch.manual_seed(0)
    network = SmoothNet(Config(**{**SMALL, **options})).eval()  # type: ignore[arg-type]
    for parameter in network.parameters():
        if parameter.abs().max() == 0:
            nn.init.normal_(parameter, std=0.2)
    return network


def given(frames: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    evidence = torch.randn(batch, frames, 17, EVIDENCE_FEATURES, generator=chance)
    evidence[:, :, 0, :3] = 0
    return evidence, torch.randn(batch, frames, EVIDENCE_CLIP_FEATURES, generator=chance)


def test_parameters_and_names_are_the_authors() -> None:
    network = build("smoothnet")
    assert size(network) == 822_048
    assert size(build("smoothnet", {"frames": 8})) == 797_448
    names = set(network.state_dict())
    assert {"encoder.0.weight", "res_blocks.2.linear1.weight", "res_blocks.0.linear2.bias", "decoder.weight"} <= names
    assert len(names) == 2 * (1 + 2 * 3 + 1)


@pytest.mark.parametrize("frames", [1, 2, 5, 6, 7, 23])
def test_a_frame_is_the_mean_of_the_windows_that_hold_it(frames: int) -> None:
    network = made()
    x = torch.randn(4, frames, generator=torch.Generator().manual_seed(2))
    window = network.config.frames
    filled = torch.cat([x, x[:, -1:].expand(-1, max(0, window - frames))], 1)
    with torch.no_grad():
        got = network.smooth(x)
        total, number = torch.zeros_like(filled), torch.zeros(filled.shape[1])
        for first in range(filled.shape[1] - window + 1):
            total[:, first : first + window] += network.windows(filled[:, first : first + window])
            number[first : first + window] += 1
    torch.testing.assert_close(got, (total / number)[:, :frames], rtol=1e-5, atol=1e-6)


def test_joints_and_axes_know_nothing_of_each_other() -> None:
    network = made()
    evidence, clip = given(15)
    other = evidence.clone()
    other[:, :, 4, 1] += 1
    other[..., 3:] = 0  # only the raw pose is looked at
    with torch.no_grad():
        before, after = network(evidence, clip)[0], network(other, 0 * clip)[0]
    changed = (before - after).abs().amax((0, 1)) > 1e-6
    assert changed[4, 1] and changed.sum() == 1
    with torch.no_grad():  # one set of weights for all of them
        again = network(evidence[:, :, [0, *range(2, 17), 1]], clip)[0]
    torch.testing.assert_close(again[:, :, -1], before[:, :, 1])


@pytest.mark.parametrize("frames", [3, 40])
def test_untrained_with_residual_it_changes_nothing(frames: int) -> None:
    evidence, clip = given(frames)
    with torch.no_grad():
        positions, log_error = SmoothNet(Config(residual=True))(evidence, clip)
    torch.testing.assert_close(positions, evidence[..., :3], rtol=0, atol=1e-6)
    assert log_error.shape == (2, frames, 17) and (log_error == 0).all()


def test_one_that_means_its_window_leaves_still_poses_and_smooths_others() -> None:
    """Without blocks the network is linear but for the rectifier, which a large bias takes out of play."""
    network = SmoothNet(Config(frames=6, width=6, inner=1, blocks=0)).eval()
    with torch.no_grad():
        network.encoder[0].weight.copy_(torch.full((6, 6), 1 / 6))  # type: ignore[union-attr,operator]
        network.encoder[0].bias.fill_(100.0)  # type: ignore[union-attr,operator]
        network.decoder.weight.copy_(torch.eye(6))
        network.decoder.bias.fill_(-100.0)
        still = torch.full((3, 20), 0.7)
        torch.testing.assert_close(network.smooth(still), still, rtol=0, atol=1e-4)
        trembling = still + 0.1 * torch.randn(3, 20, generator=torch.Generator().manual_seed(3))
        smoothed = network.smooth(trembling)
    assert smoothed.diff(n=2).abs().mean() < 0.2 * trembling.diff(n=2).abs().mean()


def test_it_learns_to_smooth_what_it_has_not_seen() -> None:
    """By its own losses, from trembling curves to smooth ones."""
    chance = torch.Generator().manual_seed(5)
    network = made(frames=8, residual=True, dropout=0.0).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)

    def curves(number: int) -> tuple[Tensor, Tensor]:
        phase, pace = torch.rand(2, number, 1, generator=chance)
        smooth = torch.sin(6 * phase + (0.05 + 0.1 * pace) * torch.arange(24.0))
        return smooth, smooth + 0.05 * torch.randn(number, 24, generator=chance)

    for _ in range(150):
        target, raw = (x[:, :, None, None] for x in curves(64))
        answer = network.smooth(raw[..., 0, 0])[:, :, None, None]
        loss = losses.absolute(answer, target) + losses.acceleration(answer, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    target, raw = curves(200)
    with torch.no_grad():
        answer = network.eval().smooth(raw)
    assert (answer - target).abs().mean() < 0.6 * (raw - target).abs().mean()
    assert (answer - target).diff(n=2).abs().mean() < 0.2 * (raw - target).diff(n=2).abs().mean()


def test_mirror_images_give_mirror_images() -> None:
    network = made(mirror=True)
    evidence, clip = given(15)
    with torch.no_grad():
        plain, turned = network(evidence, clip)[0], network(*mirrored_evidence(evidence, clip))[0]
    torch.testing.assert_close(turned, mirrored_joints(plain), rtol=1e-5, atol=1e-6)


def test_gradients() -> None:
    network = made(dropout=0.0).double()
    x = torch.randn(2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network.smooth, (x,))
    target = torch.randn(1, 5, 2, 3, dtype=torch.float64)
    near = (target + 0.3).requires_grad_()
    weight = torch.rand(1, 5, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: losses.absolute(p, target, weight), (near,))
    bent = (target + torch.arange(5.0, dtype=torch.float64)[None, :, None, None] ** 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: losses.acceleration(p, target), (bent,))


def test_its_losses() -> None:
    target = torch.zeros(1, 4, 1, 3)
    moved = target + torch.tensor([0.3, 0.0, -0.6])
    assert losses.absolute(moved, target).item() == pytest.approx(0.3)
    assert losses.acceleration(moved, target).item() == 0  # at rest, though elsewhere
    bent = target.clone()
    bent[0, 2, 0, 0] = 0.3  # second differences 0.3 and -0.6 along one of three axes
    assert losses.acceleration(bent, target).item() == pytest.approx(0.15)
    weight = torch.tensor([[[1.0], [0.0], [0.0], [0.0]]])
    assert losses.absolute(bent, target, weight).item() == 0


def test_onnx_runtime_gives_the_same_at_every_length(tmp_path: Path) -> None:
    network = made(residual=True)
    export._write_onnx(network, "refine", tmp_path / "model.onnx")
    for frames in (1, 5, 6, 57):
        inputs = given(frames, batch=1)
        with torch.no_grad():
            wanted = network(*inputs)[0].numpy()
        assert np.abs(export._run(tmp_path / "model.onnx", ["evidence", "clip"], inputs) - wanted).max() < 1e-5


@pytest.mark.parametrize("options", [{"frames": 2}, {"width": 0}, {"blocks": -1}, {"patch": 2}])
def test_impossible_sizes(options: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match="smoothnet wants"):
        build("smoothnet", options)
