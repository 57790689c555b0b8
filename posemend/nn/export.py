"""Checkpoint to bundle: ONNX with weights stored as float16, and a card.

Weights are widened to float32 once, when the model is loaded; arithmetic stays
float32. A model is only written after ONNX Runtime has given torch's
numbers on random input.
"""

from __future__ import annotations

import os
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posemend.contract.card import DEPTH_TASKS, Card, file_hash, write_card
from posemend.contract.codec import CLIP_FEATURES, JOINT_FEATURES
from posemend.contract.evidence import EVIDENCE_CLIP_FEATURES, EVIDENCE_FEATURES
from posemend.errors import BundleError, require
from posemend.nn import checkpoint
from posemend.nn.table import size

PARITY = 1e-4  # metres
LARGE = 4096  # arrays with fewer weights stay as they are
OTHER_INPUT = ("semgcn", "martinez", "poseformerv2", "d3dp")  # not what the codec gives, whatever they learnt by
IN_USE = {"lift-rooted": "lift", "weak": "lift", "masked": "refine"}  # what a network that learnt by another task does

# data -> (what it is, licence, commercial use)
DATA_LICENCES: dict[str, tuple[str, str, bool]] = {
    "cmu": ("CMU motion capture (mocap.cs.cmu.edu)", "free for all uses", True),
    "reactidle": ("ReActIdle", "MIT", True),
    "procedural": ("posemend's own procedural motions", "Apache-2.0", True),
    "bandai": ("Bandai-Namco Research Motiondataset", "CC BY-NC 4.0", False),
    "blendmimic3d": ("BlendMimic3D training split (S1, S2)", "no licence stated, research use", False),
    "made-up-depth": ("made-up depth maps, of no real sensor", "Apache-2.0", True),
    "itop": ("ITOP's depth maps (training part)", "see the data set's own terms", False),
}


def data_of(recipe: dict[str, Any]) -> tuple[list[str], str, bool]:
    """What a recipe learns from: lines for the card, licence, whether commercial use is allowed; older recipes too."""
    names = set(recipe["data"]["packs"])
    if recipe["data"]["blendmimic3d"] > 0:
        names.add("blendmimic3d")
    if recipe["task"] in DEPTH_TASKS:
        names = {"itop"} if recipe["depth"]["itop"] else names | {"made-up-depth"}
    kinds = sorted({kind for kind in DATA_LICENCES for name in names if name.startswith(kind)})
    unknown = [name for name in names if not any(name.startswith(kind) for kind in DATA_LICENCES)]
    lines = [f"{DATA_LICENCES[kind][0]}: {DATA_LICENCES[kind][1]}" for kind in kinds]
    lines += [f"{name}: licence not known to posemend" for name in unknown]
    commercial = not unknown and all(DATA_LICENCES[kind][2] for kind in kinds)
    if commercial:
        return lines, "Apache-2.0; trained only on data that anybody may use", True
    return lines, "Research and other non-commercial use only, because of the training data", False


def _example(network: nn.Module, task: str, frames: int) -> tuple[Tensor, ...]:
    if task in DEPTH_TASKS:
        return network.example(frames)  # type: ignore[operator]
    generator = torch.Generator().manual_seed(frames)
    sizes = (JOINT_FEATURES, CLIP_FEATURES) if task == "lift" else (EVIDENCE_FEATURES, EVIDENCE_CLIP_FEATURES)
    joints = torch.randn(1, frames, 17, sizes[0], generator=generator) * 0.5
    return joints, torch.randn(1, frames, sizes[1], generator=generator) * 0.3


def _compress(path: Path) -> None:
    """Store large weight matrices as float16, to be widened when the model is loaded."""
    onnx = require("onnx", "train")
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    kept, casts = [], []
    for tensor in graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.size < LARGE or weights.dtype != np.float32:
            kept.append(tensor)
            continue
        kept.append(numpy_helper.from_array(weights.astype(np.float16), f"{tensor.name}.half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _names(network: nn.Module, task: str) -> list[str]:
    """Names of a network's inputs."""
    if task in DEPTH_TASKS:
        return list(network.inputs)  # type: ignore[arg-type]
    return ["joints" if task == "lift" else "evidence", "clip"]


def _run(path: Path, names: list[str], inputs: tuple[Tensor, ...]) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = {entry.name for entry in session.get_inputs()}  # ONNX forgets inputs that are not looked at
    return session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True) if name in known})[0]


def _write_onnx(network: nn.Module, task: str, path: Path) -> None:
    names = _names(network, task)
    answers = ["positions", "log_error"]
    if task in DEPTH_TASKS:
        answers = list(network.outputs)  # type: ignore[arg-type]
    axes = {name: {0: "batch", 1: "time"} for name in [*names, *answers]}
    if task in DEPTH_TASKS and not getattr(network, "over_time", False):
        axes = {name: {0: "batch"} for name in [*names, *answers]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor on every call
        torch.onnx.export(
            network, _example(network, task, 32), str(path), input_names=names,
            output_names=answers, dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip


def export(source: str | Path, folder: str | Path, version: str = "1") -> Card:
    """Write the bundle of a checkpoint.

    Args:
        source: Checkpoint folder, or a training folder that holds one.
        folder: Where the bundle goes; must not exist yet.
        version: Version of the weights.

    Returns:
        The bundle's card.

    Raises:
        BundleError: The checkpoint cannot be read, the folder exists, or ONNX
            Runtime does not give torch's numbers.
    """
    require("onnx", "train")
    source, folder = Path(source), Path(folder)
    if not (source / "checkpoint.json").is_file() and (source / "checkpoint").exists():
        source = source / "checkpoint"
    if folder.exists():
        raise BundleError(f"{folder} exists already. Choose another output folder, or remove it.")
    network, about = checkpoint.load_network(source)
    recipe = about["recipe"]
    task = IN_USE.get(recipe["task"], recipe["task"])
    if task == "blind" or about["network"]["name"] in OTHER_INPUT:
        raise BundleError(
            f"{source} is a published lifter, which is not made a bundle: it reads another input. Judge it with "
            f"posemend evaluate --lifter {about['network']['name']}=FOLDER; posemend.nn.plain_onnx writes its network."
        )
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        path = fresh / "model.onnx"
        _write_onnx(network, task, path)
        parity = _parity(network, task, path)
        lines, licence, commercial = data_of(recipe)
        config = network.config
        card = Card(
            name=recipe["name"], version=version, task=task,
            skeleton="itop_15" if task in DEPTH_TASKS else "h36m_17", patch=getattr(config, "patch", 1),
            reach=getattr(network, "reach", 0), network=about["network"], parameters=size(network),
            data=lines, licence=licence, commercial=commercial, recipe=recipe, commit=about["commit"],
            parity=parity, sha256=file_hash(path),
        )  # fmt: skip
        write_card(fresh, card)
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return replace(card)


def _parity(network: nn.Module, task: str, path: Path) -> dict[str, float]:
    """Check ONNX Runtime against torch, then compress and measure what that changes."""
    worst = 0.0
    exact = []
    names = _names(network, task)
    lengths = [getattr(network.config, "patch", 1) * n for n in (1, 8, 57)]
    for frames in lengths:
        inputs = _example(network, task, frames)
        with torch.no_grad():
            wanted = network(*inputs)[0].numpy()
        got = _run(path, names, inputs)
        worst = max(worst, float(np.abs(wanted - got).max()))
        exact.append(got)
    if not worst <= PARITY:
        raise BundleError(
            f"ONNX Runtime is {worst:.2e} m (or pixels) off torch; at most {PARITY:.0e} is allowed. Nothing written."
        )
    _compress(path)
    changes = [
        np.abs(_run(path, names, _example(network, task, n)) - before) for n, before in zip(lengths, exact, strict=True)
    ]
    return {"torch_m": worst, "float16_mean_m": float(np.mean([change.mean() for change in changes]))}
