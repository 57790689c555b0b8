"""Checkpoints: there and back, and readable complaints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from posemend.errors import BundleError
from posemend.nn import checkpoint
from posemend.nn.table import build, options_of

OPTIONS = {"width": 8, "hidden": 8, "dilations": [1, 2]}


def kept(folder: Path, step: int = 1) -> torch.nn.Module:
    torch.manual_seed(step)
    network = build("patch-tcn", OPTIONS)
    facts = {"step": step, "network": {"name": "patch-tcn", "options": options_of(network)}}
    checkpoint.save(folder, network.state_dict(), {"some.state": torch.arange(step)}, facts)
    return network


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_there_and_back(tmp_path: Path) -> None:
    network = kept(tmp_path / "c", 3)
    read, facts = checkpoint.load_network(tmp_path / "c")
    assert same(read, network) and not read.training
    assert read.config == network.config
    assert facts["step"] == 3
    assert checkpoint.load_state(tmp_path / "c")["some.state"].tolist() == [0, 1, 2]


def test_saving_again_replaces(tmp_path: Path) -> None:
    kept(tmp_path / "c", 1)
    second = kept(tmp_path / "c", 2)
    assert same(checkpoint.load_network(tmp_path / "c")[0], second)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_kill_between_the_two_moves(tmp_path: Path) -> None:
    network = kept(tmp_path / "c", 1)
    os.replace(tmp_path / "c", tmp_path / "c.old")
    assert same(checkpoint.load_network(tmp_path / "c")[0], network)


def test_kill_while_writing(tmp_path: Path) -> None:
    network = kept(tmp_path / "c", 1)
    (tmp_path / "c.new").mkdir()
    (tmp_path / "c.new" / "weights.safetensors").write_bytes(b"half")
    assert same(checkpoint.load_network(tmp_path / "c")[0], network)
    assert same(kept(tmp_path / "c", 2), checkpoint.load_network(tmp_path / "c")[0])


def test_differences_are_listed() -> None:
    network = build("patch-tcn", OPTIONS)
    weights = dict(network.state_dict())
    weights["head.foreign"] = weights.pop("head.bias")
    weights["stem.bias"] = torch.zeros(9)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(BundleError) as told:
        checkpoint.fill(network, weights, "some.file")
    for part in ("some.file", "head.bias", "head.foreign", "stem.bias: wanted (8,), got (9,)"):
        assert part in str(told.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("damage", ["nothing there", "no facts", "no json"])
def test_what_is_no_checkpoint(tmp_path: Path, damage: str) -> None:
    if damage != "nothing there":
        kept(tmp_path / "c")
        facts = tmp_path / "c" / "checkpoint.json"
        facts.unlink() if damage == "no facts" else facts.write_text("{")
    with pytest.raises(BundleError, match="no checkpoint"):
        checkpoint.load_network(tmp_path / "c")


def test_a_small_copy_can_be_used_but_not_resumed(tmp_path: Path) -> None:
    network = build("patch-tcn", {"width": 16, "hidden": 16, "dilations": [1]})
    about = {"network": {"name": "patch-tcn", "options": options_of(network)}, "history": [{"step": 1}, {"step": 2}]}
    checkpoint.save(tmp_path / "whole", network.state_dict(), {"slot": torch.zeros(3)}, about)
    checkpoint.keep(tmp_path / "whole", tmp_path / "small")
    copied, facts = checkpoint.load_network(tmp_path / "small")
    assert facts["history"] == [{"step": 2}]
    for name, tensor in copied.state_dict().items():
        assert torch.allclose(tensor, network.state_dict()[name], atol=1e-3)
        assert tensor.dtype == network.state_dict()[name].dtype
    with pytest.raises(BundleError, match="start_from"):
        checkpoint.load_state(tmp_path / "small")
