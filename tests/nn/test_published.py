"""Public checkpoints of the published lifters, on made-up files in their real layout, and lifters by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from posemend.body.catalogue import COCO_17
from posemend.errors import BundleError, FormatError, InputError
from posemend.nn import checkpoint
from posemend.nn.lifters import d3dp, martinez, poseformerv2, semgcn, videopose3d
from posemend.nn.published import (
    LIFTERS,
    d3dp_from_file,
    martinez_from_file,
    plain_lifter,
    poseformerv2_from_file,
    semgcn_from_file,
    videopose3d_from_file,
)
from posemend.nn.table import NETWORKS, options_of

LAYOUTS = pytest.mark.parametrize("zipped", [False, True], ids=["row", "zip"])
POSEFORMER = poseformerv2.Config(frames=9, kept=3, width=8, depth=2)
D3DP = d3dp.Config(frames=5, width=8, depth=2)


def save(path: Path, value: Any, zipped: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def jumbled(network: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(4)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.5)
    return network.eval()


@LAYOUTS
@pytest.mark.parametrize("non_local", [False, True])
def test_semgcn_file(tmp_path: Path, zipped: bool, non_local: bool) -> None:
    network = jumbled(semgcn.SemGCN(semgcn.Config(hidden=8, layers=2, non_local=non_local)))
    # as the first release names its non-local block
    weights = {name.replace(".nonlocal1.", ".nonlocal."): tensor for name, tensor in network.state_dict().items()}
    assert any(".nonlocal." in name for name in weights) == non_local
    path = save(tmp_path / "ckpt.pth.tar", {"epoch": 1, "state_dict": weights, "error": 42.3}, zipped)
    read = semgcn_from_file(path)
    assert read.config == network.config and not read.training
    x = torch.randn(3, 16, 2)
    with torch.no_grad():
        assert torch.equal(read(x), network(x))


def test_semgcn_file_that_does_not_fit(tmp_path: Path) -> None:
    weights = dict(semgcn.SemGCN(semgcn.Config(hidden=8, layers=2)).state_dict())
    weights["gconv_output.other"] = weights.pop("gconv_output.bias")
    weights["gconv_output.e"] = torch.ones(1, 48)
    with pytest.raises(BundleError) as told:
        semgcn_from_file(save(tmp_path / "ckpt.pth.tar", {"state_dict": weights}, False))
    for part in ("gconv_output.bias", "gconv_output.other", "(1, 46)", "(1, 48)", "ckpt.pth.tar"):
        assert part in str(told.value)


@LAYOUTS
@pytest.mark.parametrize(
    "config",
    [
        videopose3d.Config(channels=8),
        videopose3d.Config(channels=8, widths=(3, 3, 3), in_features=3),
        videopose3d.Config(channels=8, widths=(5, 3), joints_in=16, causal=True),
    ],
)
def test_videopose3d_file(tmp_path: Path, zipped: bool, config: videopose3d.Config) -> None:
    network = jumbled(videopose3d.VideoPose3D(config))
    weights = network.state_dict()
    layers = 2 * (len(config.widths) - 1)
    assert {name for name in weights if name.endswith("weight")} == {
        "expand_conv.weight", "expand_bn.weight", "shrink.weight",
        *(f"layers_{kind}.{number}.weight" for kind in ("conv", "bn") for number in range(layers)),
    }  # fmt: skip
    # files of before PyTorch 0.4.1 have no counters
    old = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    value = {"epoch": 80, "lr": 1e-5, "random_state": np.random.RandomState(0), "model_pos": old, "model_traj": None}
    read = videopose3d_from_file(save(tmp_path / "pretrained.bin", value, zipped), causal=config.causal)
    assert read.config == config
    x = torch.randn(1, network.receptive_field + 2, config.joints_in, config.in_features)
    with torch.no_grad():
        assert torch.equal(read.lift(x), network.lift(x))


def test_videopose3d_file_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no weights of VideoPose3D"):
        videopose3d_from_file(save(tmp_path / "w.bin", {"model_pos": {"w": torch.ones(2)}}, True))


def trained(weights: dict[str, Tensor], prefix: str = "module.") -> dict[str, Any]:
    """What VideoPose3D's training script, and those made of it, write: weights amid everything else."""
    parameter = torch.nn.Parameter(torch.ones(2))
    optimiser = torch.optim.AdamW([parameter], amsgrad=True)
    parameter.sum().backward()
    optimiser.step()
    return {
        "epoch": 7, "lr": 1e-4, "random_state": np.random.RandomState(1), "optimizer": optimiser.state_dict(),
        "model_pos": {f"{prefix}{name}": tensor for name, tensor in weights.items()}, "min_loss": np.float64(45.2),
    }  # fmt: skip


@LAYOUTS
def test_martinez_file(tmp_path: Path, zipped: bool) -> None:
    network = jumbled(martinez.Martinez(martinez.Config(joints=16, width=8, max_norm=0)))
    weights = network.state_dict()
    assert {name for name in weights if name.endswith("weight")} == {
        "w1.weight", "batch_norm1.weight", "w2.weight",
        *(f"linear_stages.{i}.{part}{k}.weight" for i in (0, 1) for part in ("w", "batch_norm") for k in (1, 2)),
    }  # fmt: skip
    value = {"epoch": 1, "lr": 1e-3, "step": 9, "optimizer": {}, "state_dict": dict(weights), "error": 44.4}
    read = martinez_from_file(save(tmp_path / "ckpt_linear.pth.tar", value, zipped))
    assert read.config == martinez.Config(16, 8, 2, max_norm=0) and not read.training
    x = torch.randn(3, 16, 2)
    with torch.no_grad():
        assert torch.equal(read(x), network(x))


def test_martinez_file_in_standard_units(tmp_path: Path) -> None:
    weights = dict(martinez.Martinez(martinez.Config(joints=16, width=8)).state_dict())
    weights["w2.weight"], weights["w2.bias"] = torch.ones(48, 8), torch.ones(48)
    with pytest.raises(BundleError, match="16 joints in and 16 out.*mean and spread"):
        martinez_from_file(save(tmp_path / "gt_ckpt_best.pth.tar", {"state_dict": weights}, True))


@LAYOUTS
@pytest.mark.parametrize("per_channel", [False, True])
def test_semgcn_file_of_17_joints(tmp_path: Path, zipped: bool, per_channel: bool) -> None:
    config = semgcn.Config(hidden=8, layers=1, non_local=True, joints=17, per_channel=per_channel)
    network = jumbled(semgcn.SemGCN(config))
    read = semgcn_from_file(save(tmp_path / "ckpt.pth.tar", {"state_dict": dict(network.state_dict())}, zipped))
    assert read.config == config


@LAYOUTS
def test_poseformerv2_file(tmp_path: Path, zipped: bool) -> None:
    network = jumbled(poseformerv2.PoseFormerV2(POSEFORMER))
    weights = network.state_dict()
    block = [f"{part}.{kind}" for part in ("norm1", "attn.qkv", "attn.proj", "norm2") for kind in ("weight", "bias")]
    assert set(weights) == {
        "Spatial_pos_embed", "Temporal_pos_embed", "Temporal_pos_embed_",
        *(f"{part}.{kind}" for part in ("Joint_embedding", "Freq_embedding", "Spatial_norm", "Temporal_norm",
                                        "weighted_mean", "weighted_mean_", "head.0", "head.1")
          for kind in ("weight", "bias")),
        *(f"Spatial_blocks.{i}.{part}" for i in (0, 1)
          for part in (*block, *(f"mlp.fc{k}.{kind}" for k in (1, 2) for kind in ("weight", "bias")))),
        *(f"blocks.{i}.{part}" for i in (0, 1)
          for part in (*block, "norm3.weight", "norm3.bias",
                       *(f"mlp{m}.fc{k}.{kind}" for m in (1, 2) for k in (1, 2) for kind in ("weight", "bias")))),
    }  # fmt: skip
    assert weights["Temporal_pos_embed"].shape == (1, 3, 136) and weights["weighted_mean.weight"].shape == (1, 3, 1)
    read = poseformerv2_from_file(save(tmp_path / "3_9_48.7.bin", trained(weights), zipped))
    x = torch.randn(2, 9, 17, 2)
    with torch.no_grad():
        assert torch.equal(read(x), network(x))


def test_poseformerv2_file_without_its_window(tmp_path: Path) -> None:
    path = save(tmp_path / "best.bin", trained(poseformerv2.PoseFormerV2(POSEFORMER).state_dict()), True)
    with pytest.raises(InputError, match="poseformerv2-243=FILE"):
        poseformerv2_from_file(path)
    assert poseformerv2_from_file(path, frames=27).config.frames == 27
    assert plain_lifter("poseformerv2-27", path).network.config.frames == 27
    with pytest.raises(InputError, match="odd number of frames"):
        poseformerv2_from_file(path, frames=8)


@LAYOUTS
def test_d3dp_file(tmp_path: Path, zipped: bool) -> None:
    network = jumbled(d3dp.D3DP(D3DP))
    weights = network.state_dict()
    block = [f"{p}.{k}" for p in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
             for k in ("weight", "bias")]  # fmt: skip
    assert {name.removeprefix("pose_estimator.") for name in weights} == {
        "Spatial_pos_embed", "Temporal_pos_embed",
        *(f"{p}.{k}" for p in ("Spatial_patch_to_embedding", "time_mlp.1", "time_mlp.3", "Spatial_norm",
                               "Temporal_norm", "head.0", "head.1") for k in ("weight", "bias")),
        *(f"{kind}blocks.{i}.{part}" for kind in ("STE", "TTE") for i in (0, 1) for part in block),
    }  # fmt: skip
    assert all(name.startswith("pose_estimator.") for name in weights)
    tables = d3dp.published_buffers(1000)
    read = d3dp_from_file(save(tmp_path / "h36m_best_epoch.bin", trained({**tables, **weights}), zipped))
    assert read.config.frames == 5 and read.config.timesteps == 1000
    given = torch.randn(1, 5, 17, 2), torch.randn(1, 5, 17, 3), torch.tensor([500])
    with torch.no_grad():
        assert torch.equal(read(*given), network(*given))
    tables["alphas_cumprod"] = tables["alphas_cumprod"] ** 2
    with pytest.raises(BundleError, match="another noise schedule.*alphas_cumprod"):
        d3dp_from_file(save(tmp_path / "other.bin", trained({**tables, **weights}), zipped))


@pytest.mark.parametrize(
    ("load", "network"),
    [(poseformerv2_from_file, poseformerv2.PoseFormerV2(POSEFORMER)), (d3dp_from_file, d3dp.D3DP(D3DP))],
)
def test_differences_are_told(tmp_path: Path, load: Any, network: torch.nn.Module) -> None:
    weights = dict(network.state_dict())
    last = next(name for name in weights if name.endswith("head.1.bias"))
    other = next(name for name in weights if name.endswith("head.1.weight"))
    weights["something.else"] = weights.pop(last)
    weights[other] = torch.ones(2, 2)
    with pytest.raises(BundleError) as told:
        load(save(tmp_path / "3_9_1.bin", trained(weights), True))
    for part in (last, "something.else", "got (2, 2)", "3_9_1.bin"):
        assert part in str(told.value)
    with pytest.raises(BundleError, match="holds no weights of"):
        load(save(tmp_path / "3_9_1.bin", trained({"w": torch.ones(2)}), True))


def test_one_lifters_file_is_not_anothers(tmp_path: Path) -> None:
    path = save(tmp_path / "3_9_1.bin", trained(d3dp.D3DP(D3DP).state_dict()), True)
    for name in LIFTERS[:-1]:
        with pytest.raises(BundleError):
            plain_lifter(name, path)


def test_lifters_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "w.bin", trained(d3dp.D3DP(D3DP).state_dict()), True)
    manner = plain_lifter("d3dp-h5-k3-noflip", path).manner
    assert (manner.hypotheses, manner.steps, manner.flip) == (5, 3, False)
    video = videopose3d.VideoPose3D(videopose3d.Config(channels=8, widths=(3, 3)))
    path = save(tmp_path / "v.bin", trained(video.state_dict(), prefix=""), True)
    lifter = plain_lifter("videopose3d-coco-causal-flip", path)
    assert lifter.manner.skeleton == COCO_17 and lifter.network.config.causal and lifter.manner.flip
    for wrong in ("d3dp-coco", "martinez-81", "videopose3d-h5", "poseformerv2-f81", "d3dp-h0"):
        with pytest.raises(InputError, match="not understood"):
            plain_lifter(wrong, path)
    with pytest.raises(InputError, match="No published lifter is called 'hourglass'"):
        plain_lifter("hourglass", path)
    with pytest.raises(FormatError, match="cannot be read"):
        plain_lifter("semgcn", tmp_path / "absent.bin")
    assert set(LIFTERS) <= set(NETWORKS)


def test_training_folders(tmp_path: Path) -> None:
    network = jumbled(martinez.Martinez(martinez.Config(width=8)))

    def write(task: str) -> Path:
        facts = {"network": {"name": "martinez", "options": options_of(network)}, "recipe": {"task": task}}
        checkpoint.save(tmp_path / task / "checkpoint", network.state_dict(), {}, json.loads(json.dumps(facts)))
        return tmp_path / task

    lifter = plain_lifter("martinez", write("blind"))
    assert lifter.network.config == network.config
    with pytest.raises(InputError, match="task 'blind'"):
        plain_lifter("martinez", write("lift"))
    with pytest.raises(InputError, match="wanted 'semgcn'"):
        plain_lifter("semgcn", tmp_path / "blind")
