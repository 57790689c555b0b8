"""Other people's files are read, and nothing in them is run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posemend.errors import BundleError, FormatError
from posemend.nn import legacy
from posemend.nn.legacy import load_legacy, semgcn_from_file, videopose3d_from_file
from posemend.nn.lifters import semgcn, videopose3d

LAYOUTS = pytest.mark.parametrize("zipped", [False, True], ids=["row", "zip"])


def save(path: Path, value: Any, zipped: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


@LAYOUTS
def test_tensors_of_all_kinds(tmp_path: Path, zipped: bool) -> None:
    base = torch.randn(4, 6)
    weights = {
        "base": base, "turned": base.t(), "part": base[1:3, ::2], "one": base[2, 3], "none": torch.zeros(0, 3),
        "half": base.half(), "brain": base.bfloat16(), "double": base.double(), "count": torch.tensor(7),
        "flags": base > 0, "parameter": torch.nn.Parameter(base * 2),
    }  # fmt: skip
    read = load_legacy(save(tmp_path / "w.pt", weights, zipped))
    assert list(read) == list(weights)
    for name, tensor in weights.items():
        assert read[name].dtype == tensor.dtype and read[name].is_contiguous()
        assert torch.equal(read[name], tensor), name
    read["base"].zero_()
    assert read["turned"].abs().max() > 0, "tensors must not share memory"


@LAYOUTS
def test_the_rest_of_a_checkpoint_is_read_over(tmp_path: Path, zipped: bool) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimiser = torch.optim.Adam(network.parameters(), amsgrad=True)
    network(torch.randn(4, 2)).square().mean().backward()
    optimiser.step()
    value = {
        "epoch": 3, "lr": 1e-3, "random_state": np.random.RandomState(1), "optimizer": optimiser.state_dict(),
        "args": argparse.Namespace(batch=3), "error": np.float64(42.3), "random_state_semi": None,
        "model_pos": {f"module.{name}": tensor for name, tensor in network.state_dict().items()},
    }  # fmt: skip
    read = load_legacy(save(tmp_path / "w.bin", value, zipped))
    assert all(torch.equal(read[name], tensor) for name, tensor in network.state_dict().items())
    assert list(read) == list(network.state_dict())


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@LAYOUTS
def test_nothing_is_run(tmp_path: Path, zipped: bool) -> None:
    sprung = tmp_path / "sprung"
    path = save(tmp_path / "w.pt", {"state_dict": {"w": torch.ones(2)}, "note": Trap(sprung)}, zipped)
    with pytest.raises(FormatError, match="forbidden object .*mkdir"):
        load_legacy(path)
    assert not sprung.exists()


@LAYOUTS
def test_whole_modules_are_refused(tmp_path: Path, zipped: bool) -> None:
    with pytest.raises(FormatError, match="forbidden object torch|whole pickled module"):
        load_legacy(save(tmp_path / "w.pt", torch.nn.Linear(2, 2), zipped))


@LAYOUTS
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.97])
def test_damage_is_told(tmp_path: Path, zipped: bool, kept: float) -> None:
    path = save(tmp_path / "w.pt", {"w": torch.randn(300), "v": torch.randn(300)}, zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(FormatError, match=r"w\.pt"):
        load_legacy(path)


def test_storage_that_claims_too_much(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pt", {"w": torch.arange(300.0)}, False)
    whole = path.read_bytes()
    count = (300).to_bytes(8, "little")
    assert whole.count(count) == 1
    path.write_bytes(whole.replace(count, (1 << 60).to_bytes(8, "little")))
    with pytest.raises(FormatError, match="longer than the file"):
        load_legacy(path)
    path.write_bytes(whole.replace(count, (10).to_bytes(8, "little")))
    with pytest.raises(FormatError, match="beyond its storage"):
        load_legacy(path)


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [(0, (5,), (1,)), (2, (3,), (1,)), (0, (2, 2), (3, 1)), (0, (3,), (2,)), (-1, (2,), (1,)), (3, (2,), (-1,)),
     (0, (2, 2), (1,)), (0, (2.0,), (1,))],
)  # fmt: skip
def test_tensors_stay_inside_their_storage(offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    storage = legacy._Storage(torch.float32, "0", 4)
    good = legacy._Record(storage, 0, (2, 2), (2, 1)).tensor({"0": np.arange(4, dtype="<f4").tobytes()})
    assert good.tolist() == [[0, 1], [2, 3]]
    with pytest.raises(FormatError):
        legacy._Record(storage, offset, shape, stride).tensor({"0": bytes(16)})


def test_no_weights_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no table of weights.*epoch"):
        load_legacy(save(tmp_path / "w.pt", {"epoch": 3}, True))
    with pytest.raises(FormatError, match="cannot be read"):
        load_legacy(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("no weights at all")
    with pytest.raises(FormatError, match=r"text\.pt"):
        load_legacy(tmp_path / "text.pt")


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
    with pytest.raises(BundleError, match="no VideoPose3D"):
        videopose3d_from_file(save(tmp_path / "w.bin", {"model_pos": {"w": torch.ones(2)}}, True))


def test_published_file(shared_data: Path) -> None:
    weights = load_legacy(shared_data / "lifters" / "semgcn" / "ckpt_semgcn.pth.tar")
    counted = sum(t.numel() for name, t in weights.items() if "running" not in name and "num_batches" not in name)
    assert counted == 267_343
    assert weights["gconv_output.W"].shape == (2, 128, 3)
