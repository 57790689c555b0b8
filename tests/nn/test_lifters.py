"""The published lifters: their sizes, layers, mirror images and ONNX."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.errors import BundleError, InputError, RecipeError
from posemend.nn import plain_onnx
from posemend.nn.lifters import d3dp, martinez, poseformerv2, semgcn, videopose3d, vit
from posemend.nn.lifters.apply import answer, turned_round
from posemend.nn.plain_onnx import write_onnx
from posemend.nn.table import build, size

SMALL: dict[str, dict[str, Any]] = {
    "martinez": {"width": 24},
    "semgcn": {"hidden": 8, "layers": 1, "joints": 17, "non_local": True},
    "videopose3d": {"widths": (3, 3), "channels": 12},
    "poseformerv2": {"frames": 9, "kept": 3, "width": 8, "depth": 2, "heads": 2},
    "d3dp": {"frames": 6, "width": 8, "depth": 2, "heads": 2},
}


def network(name: str, **more: Any) -> Any:
    torch.manual_seed(0)
    made = build(name, SMALL[name] | more)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):  # so that a norm that is left out or swapped is noticed
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    for parameter in made.parameters():
        if parameter.abs().max() == 0:  # what begins as nothing shall be something
            nn.init.normal_(parameter, std=0.2)
    return made.eval()


def gradients(module: nn.Module, *x: Tensor) -> bool:
    """Gradients by all weights and by the floating-point input, in float64."""
    module = module.double()
    names = [name for name, _ in module.named_parameters()]
    floats = [part.double().requires_grad_() if part.is_floating_point() else part for part in x]

    def run(*values: Tensor) -> Tensor:
        return functional_call(module, dict(zip(names, values[len(x) :], strict=True)), values[: len(x)])

    weights = [parameter.detach().double().requires_grad_() for parameter in module.parameters()]
    return torch.autograd.gradcheck(run, (*floats, *weights), fast_mode=True)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("martinez", {"joints": 16}, 4_288_557),
        ("semgcn", {}, 267_343),
        ("semgcn", {"non_local": True}, 434_703),
        ("poseformerv2", {"frames": 27, "kept": 3}, 14_355_739),
        ("poseformerv2", {"frames": 81, "kept": 9}, 14_362_279),
        ("poseformerv2", {"frames": 243, "kept": 27}, 14_381_899),
    ],
)
def test_published_sizes(name: str, options: dict[str, Any], parameters: int) -> None:
    assert size(build(name, options)) == parameters


def test_published_size_of_d3dp() -> None:
    with torch.device("meta"):
        assert size(d3dp.D3DP()) == 34_835_459


def test_graph_convolution_with_a_weight_per_channel() -> None:
    linked = semgcn.neighbours()
    layer = semgcn.SemGraphConv(128, 128, linked, per_channel=True)
    assert size(layer) == 38_784
    assert size(semgcn.SemGraphConv(128, 128, linked)) == 32_942
    # alike in all channels it is the plain one; a channel of its own weighs in its own way
    torch.manual_seed(0)
    plain, own = semgcn.SemGraphConv(3, 4, linked), semgcn.SemGraphConv(3, 4, linked, per_channel=True)
    x = torch.randn(2, 16, 3)
    with torch.no_grad():
        plain.e.uniform_(-1, 1)
        for name, parameter in plain.named_parameters():
            own.get_parameter(name).copy_(parameter)
        torch.testing.assert_close(own(x), plain(x))
        own.e[2].neg_()
        torch.testing.assert_close(own(x)[..., [0, 1, 3]], plain(x)[..., [0, 1, 3]])
        assert (own(x)[..., 2] - plain(x)[..., 2]).abs().max() > 1e-3


def test_17_joints_have_a_group_of_the_nose() -> None:
    block = semgcn._NonLocal(4, H36M_17)
    assert block.pairs[:, -1].tolist() == [H36M_17.index("nose")] * 2
    assert sorted(set(block.pairs.flatten().tolist())) == list(range(17))
    assert semgcn.neighbours(H36M_17).sum() == 17 + 2 * 16
    with pytest.raises(RecipeError, match="16 .* or 17, got 15"):
        build("semgcn", {"joints": 15})


def test_norm_of_weights_is_limited() -> None:
    free, bound = network("martinez", max_norm=0.0), network("martinez", max_norm=1.0)
    bound.load_state_dict(free.state_dict())
    x = torch.randn(5, 17, 2)
    with torch.no_grad():
        assert free.w1.weight.norm() > 1.5
        assert (bound(x) - free(x)).abs().max() > 1e-3
        for module in free.modules():
            if isinstance(module, nn.Linear):
                module.weight.div_(module.weight.norm().clamp_min(1.0))
        torch.testing.assert_close(bound(x), free(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(RecipeError, match="max_norm"):
        build("martinez", {"max_norm": -1.0})


@pytest.mark.parametrize("length", [1, 2, 9, 27])
def test_cosine_transform(length: int) -> None:
    from scipy.fft import dct, idct

    x = np.random.default_rng(0).normal(size=(length, 4))
    there, back = poseformerv2.cosine_matrix(length).numpy(), poseformerv2.inverse_cosine_matrix(length).numpy()
    assert there @ x == pytest.approx(dct(x, axis=0), abs=1e-9)  # SciPy's, unscaled, has the factor 2 as torch_dct has
    assert back @ x == pytest.approx(idct(x, axis=0), abs=1e-9)
    assert back @ there == pytest.approx(np.eye(length), abs=1e-9)


def test_poseformer_sees_the_whole_window_and_only_it() -> None:
    made = network("poseformerv2")
    x = torch.randn(1, 9, 17, 2)
    with torch.no_grad():
        before = made(x)
        assert before.shape == (1, 1, 17, 3)
        for frame in (0, 4, 8):
            other = x.clone()
            other[:, frame] += 0.5
            assert (made(other) - before).abs().max() > 1e-5
    with pytest.raises(InputError, match="9 frames, got 10"):
        made(torch.zeros(1, 10, 17, 2))


@pytest.mark.parametrize("kept", [1, 3])
def test_poseformer_with_other_numbers_of_frames_and_frequencies(kept: int) -> None:
    made = network("poseformerv2", kept=kept, coefficients=3)
    assert made(torch.randn(2, 9, 17, 2)).shape == (2, 1, 17, 3)


@pytest.mark.parametrize(
    ("name", "options"),
    [("poseformerv2", {"frames": 8}), ("poseformerv2", {"frames": 9, "kept": 11}), ("poseformerv2", {"heads": 5}),
     ("d3dp", {"heads": 3}), ("d3dp", {"joints": 16}), ("d3dp", {"timesteps": 1})],
)  # fmt: skip
def test_impossible_sizes_are_told(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        build(name, SMALL[name] | options)


def test_gradients_of_transformer_blocks() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8)
    assert gradients(vit.Block(8, 2, 12), x)
    assert gradients(poseformerv2.FrequencyMlp(8, 6, 6), x)
    assert gradients(poseformerv2.MixedBlock(8, 2, 12, 6, 0.0), x)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_of_networks(name: str) -> None:
    made = network(name)
    if name in ("martinez", "semgcn"):
        # away from the kinks of ReLU and of the pooling: a chance point is, but for a hair's breadth
        x: tuple[Tensor, ...] = (torch.rand(2, 17, 2),)
    elif name == "d3dp":
        x = (torch.rand(1, 6, 17, 2), torch.rand(1, 6, 17, 3) * 0.5, torch.tensor([3]))
    else:
        x = (torch.rand(1, 9, 17, 2),)
    assert gradients(made, *x)


def test_dropped_paths() -> None:
    torch.manual_seed(0)
    drop = vit.DropPath(0.25)
    x = torch.ones(4000, 2)
    dropped = drop(x)
    assert dropped.mean() == pytest.approx(1, abs=0.05) and (dropped[:, 0] == dropped[:, 1]).all()
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(drop.eval()(x), x)
    assert vit.rising(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3]) and vit.rising(0.3, 1) == [0]


@pytest.mark.parametrize("name", ["martinez", "semgcn", "videopose3d", "poseformerv2"])
def test_averaged_with_the_mirror_image_networks_are_symmetric(name: str) -> None:
    made = network(name)
    x = torch.randn(5, 17, 2)

    def averaged(given: Tensor) -> Tensor:
        return (answer(made, given) + turned_round(answer(made, turned_round(given, H36M_17)), H36M_17)) / 2

    with torch.no_grad():
        mirrored = turned_round(x, H36M_17)
        torch.testing.assert_close(averaged(mirrored), turned_round(averaged(x), H36M_17), rtol=1e-4, atol=1e-5)
        assert (answer(made, mirrored) - turned_round(answer(made, x), H36M_17)).abs().max() > 1e-3, "by itself not"


def test_d3dp_is_symmetric_with_mirrored_noise() -> None:
    made = network("d3dp")
    x = torch.randn(2, 6, 17, 2)
    noise = [torch.randn(2, 6, 17, 3) for _ in range(3)]
    straight, turned = iter(noise), iter([d3dp.mirrored(part) for part in noise])
    one = made.sample(x, lambda: next(straight), steps=3)
    other = made.sample(d3dp.mirrored(x), lambda: next(turned), steps=3)
    torch.testing.assert_close(other, d3dp.mirrored(one), rtol=1e-4, atol=1e-5)
    again = iter(noise)
    assert (made.sample(x, lambda: next(again), steps=3, flip=False) - one).abs().max() > 1e-3


def test_noise_schedule() -> None:
    kept = d3dp.kept_signal(1000)
    assert kept[-1].item() == pytest.approx(2.43e-9, rel=0.01)  # what a single step starts from
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    curve = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(kept[:-1], curve[:-1])
    tables = d3dp.published_buffers(1000)
    assert len(tables) == 12 and all(torch.isfinite(table).all() for table in tables.values())
    assert tables["posterior_variance"][0] == 0
    # an answer x and the noise that belongs to it give the noisy pose back
    back = tables["sqrt_recip_alphas_cumprod"] - tables["sqrt_recipm1_alphas_cumprod"] * (1 - kept).sqrt()
    torch.testing.assert_close(back, kept.sqrt(), rtol=1e-6, atol=1e-6)


class Perfect(nn.Module):
    """A denoiser that knows the truth, and writes down what it was shown."""

    def __init__(self, truth: Tensor) -> None:
        super().__init__()
        self.truth, self.seen = truth, []  # type: Tensor, list[tuple[Tensor, int]]

    def forward(self, x2d: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        self.seen.append((noisy, int(step[0])))
        return self.truth.expand(len(x2d), -1, -1, -1)


def test_sampling_with_a_perfect_denoiser() -> None:
    made = network("d3dp")
    torch.manual_seed(1)
    truth = torch.rand(1, 6, 17, 3) * 2 - 1
    made.pose_estimator = Perfect(truth)
    x = torch.zeros(400, 6, 17, 2)
    pose = made.sample(x, lambda: torch.randn(400, 6, 17, 3), steps=4, flip=False)
    assert [step for _, step in made.pose_estimator.seen] == [999, 749, 499, 249]
    torch.testing.assert_close(pose[:, :, 1:], truth.expand_as(pose)[:, :, 1:])
    assert pose[:, :, 0].abs().max() == 0
    # in between poses have the mean and the spread that the schedule says, but for the clamping
    for noisy, step in made.pose_estimator.seen[2:]:
        kept = made.kept[step].item()
        inside = (truth.abs() < 0.3)[0]
        assert noisy.mean(0)[inside] == pytest.approx(math.sqrt(kept) * truth[0][inside].numpy(), abs=0.2)
    assert (made.pose_estimator.seen[3][0].std(0).mean()) == pytest.approx(math.sqrt(1 - made.kept[249]), abs=0.06)
    with pytest.raises(InputError, match="1 to 1000 steps, got 0"):
        made.sample(x, lambda: x, steps=0)


def test_noise_in_training() -> None:
    made = network("d3dp")
    pose, noise = torch.randn(2, 6, 17, 3), torch.randn(2, 6, 17, 3)
    spoiled = made.spoiled(pose, noise, torch.tensor([0, 999]))
    torch.testing.assert_close(spoiled[0], pose[0], rtol=0, atol=0.05)
    torch.testing.assert_close(spoiled[1], noise[1], rtol=0, atol=1e-3)


def test_choice_by_reprojection() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.3, (4, 17, 3)).astype(np.float32)
    truth[:, 0] = 0
    root = np.tile(np.array([0.3, -0.2, 4.0], np.float32), (4, 1))
    placed = truth + root[:, None]
    rays = placed[..., :2] / placed[..., 2:]
    # each hypothesis is right about one half of the joints
    odd = np.arange(17) % 2 == 1
    hypotheses = np.stack([truth, truth])
    hypotheses[0, :, odd, :2] += 0.1
    hypotheses[1, :, ~odd, :2] -= 0.1
    hypotheses[:, :, 0] = 0
    assert d3dp.choose_by_reprojection(hypotheses, rays, root) == pytest.approx(truth, abs=1e-6)
    assert d3dp.choose_by_reprojection(hypotheses, rays) == pytest.approx(truth, abs=1e-6), "with a solved root too"
    assert d3dp.choose_by_reprojection(hypotheses[:1], rays) == pytest.approx(hypotheses[0])


ONNX = [
    *((name, {}) for name in SMALL),
    ("semgcn", {"joints": 16, "non_local": False}), ("semgcn", {"per_channel": True}),
    ("videopose3d", {"causal": True}), ("videopose3d", {"strided": True}), ("martinez", {"max_norm": 0.0}),
    ("poseformerv2", {"kept": 1, "coefficients": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), ONNX)
def test_onnx_gives_the_same_numbers(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    assert write_onnx(network(name, **options), tmp_path / "model.onnx") <= 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_onnx_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_onnx, "PARITY", -1.0)
    with pytest.raises(BundleError, match="off torch"):
        write_onnx(network("martinez"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no published lifter"):
        write_onnx(nn.Linear(2, 2), tmp_path / "model.onnx")


def test_strided_and_dense_are_the_same_lifter() -> None:
    dense = network("videopose3d")
    strided = network("videopose3d", strided=True)
    strided.load_state_dict(dense.state_dict())
    x = torch.randn(7, 17, 2)
    with torch.no_grad():
        torch.testing.assert_close(answer(strided, x), answer(dense, x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(dense(x[None].repeat(1, 2, 1, 1)), dense.lift(x[None].repeat(1, 2, 1, 1)))


def test_16_joints() -> None:
    x = torch.randn(3, 16, 2)
    for name in ("martinez", "semgcn"):
        assert network(name, joints=16)(x).shape == (3, len(H36M_16), 3)
    assert martinez.Config().joints == 17 and videopose3d.Config().joints_in == 17
