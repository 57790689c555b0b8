"""Other people's files are read, and nothing in them is run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posemend.errors import FormatError
from posemend.nn import legacy
from posemend.nn.legacy import load_legacy

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


def test_published_file(shared_data: Path) -> None:
    weights = load_legacy(shared_data / "lifters" / "semgcn" / "ckpt_semgcn.pth.tar")
    counted = sum(t.numel() for name, t in weights.items() if "running" not in name and "num_batches" not in name)
    assert counted == 267_343
    assert weights["gconv_output.W"].shape == (2, 128, 3)
