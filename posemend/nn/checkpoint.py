"""Checkpoints: a folder with ``weights.safetensors``, ``state.safetensors`` and ``checkpoint.json``.

Weights are the running average that is meant to be used; the state holds what
exact resumption needs. Everything is written to a new folder first and then
moved, so that a kill at any time leaves a whole checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posemend.errors import BundleError
from posemend.nn.table import build


def save(folder: Path, weights: dict[str, Tensor], state: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint folder as one step."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, fresh / "weights.safetensors")
    if state:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, fresh / "state.safetensors")
    (fresh / "checkpoint.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put back the older checkpoint if a kill came between the two moves of ``save``."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        os.replace(old, folder)


def facts(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself.

    Raises:
        BundleError: There is no checkpoint, or it is damaged.
    """
    recover(folder)
    try:
        return json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder} is no checkpoint: {error}. Wanted a folder that `posemend train` wrote.") from None


def load_state(folder: Path) -> dict[str, Tensor]:
    """The state for resumption.

    Raises:
        BundleError: It is a small copy, which has none.
    """
    if not (folder / "state.safetensors").is_file():
        raise BundleError(f"{folder} is a small copy without the optimiser's state. Name it as start_from in a recipe.")
    return load_file(folder / "state.safetensors")


def load_network(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a checkpoint with its averaged weights, ready to use, and the checkpoint's facts.

    Raises:
        BundleError: The weights do not fit; the message lists the differences.
    """
    folder = Path(folder)
    about = facts(folder)
    network = build(about["network"]["name"], about["network"]["options"])
    fill(network, load_file(folder / "weights.safetensors"), str(folder))
    return network.eval(), about


def fill(network: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Load weights strictly, with a difference that a person can read.

    Raises:
        BundleError: Names or shapes differ.
    """
    own = network.state_dict()
    missing = sorted(set(own) - set(weights))
    foreign = sorted(set(weights) - set(own))
    bent = [
        f"{name}: wanted {tuple(own[name].shape)}, got {tuple(weights[name].shape)}"
        for name in sorted(set(own) & set(weights))
        if own[name].shape != weights[name].shape
    ]
    if missing or foreign or bent:
        raise BundleError(
            f"Weights of {source} do not fit. Missing: {missing[:8]}. Not known: {foreign[:8]}. Shapes: {bent[:8]}."
        )
    with torch.no_grad():
        network.load_state_dict(weights)


def keep(folder: Path, place: Path) -> None:
    """Write a small copy of a checkpoint: averaged weights as float16, no state of the optimiser.

    Such a copy can be exported and started from (``start_from``), but not
    resumed. It is what the repository keeps of its own models.

    Raises:
        BundleError: ``folder`` is no checkpoint.
    """
    about = facts(folder)
    weights = load_file(folder / "weights.safetensors")
    small = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    save(place, small, {}, {**about, "history": about.get("history", [])[-1:]})
