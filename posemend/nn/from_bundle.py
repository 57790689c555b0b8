"""A bundle's ONNX back into a network that can learn on: what ships is enough to start from.

Exporting folds a ``Linear`` layer's weight into a transposed, nameless matrix;
biases and norms keep their names. So each nameless matrix is found by the bias
that is added to its product. The network's name and options are in the card.
Half-precision storage has rounded the weights a little (``card.parity``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posemend.contract.card import Card, read_card
from posemend.errors import BundleError, require
from posemend.nn.checkpoint import fill
from posemend.nn.table import build

CLOSE = 1e-3  # metres; ONNX Runtime's answer and that of the network that was read back


def network_of(folder: str | Path) -> tuple[nn.Module, Card]:
    """The network of a bundle, ready to learn on, and the bundle's card.

    Args:
        folder: Bundle folder (``card.json`` and ``model.onnx``).

    Raises:
        BundleError: Damaged, weights that cannot be told apart, or a network
            that does not answer as the bundle does.
        MissingExtra: The package onnx is not installed.
    """
    folder = Path(folder)
    card = read_card(folder)
    network = build(card.network["name"], card.network["options"])
    found = _initialisers(folder / "model.onnx")
    wanted = network.state_dict()
    weights = {name: _fitting(found, name, tensor.shape, folder) for name, tensor in wanted.items()}
    fill(network, weights, str(folder))
    network.eval()
    _same_answers(network, folder / "model.onnx")
    return network, card


def _initialisers(path: Path) -> dict[str, Tensor]:
    """Arrays by parameter name; nameless matrices under the name that their bias gives away."""
    onnx = require("onnx", "train")
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf's decoding errors have no base class of ONNX's
        raise BundleError(f"{path} cannot be read: {error}. Install or export it again.") from None
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        # halves are widened, and arrays that were equal when exported are stored once
        if node.op_type in ("Cast", "Identity") and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]].astype(np.float32)
    made_by: dict[str, Any] = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        bias = next((name for name in node.input if name.endswith(".bias") and name in arrays), None)
        product = next((made_by[name] for name in node.input if name in made_by), None)
        if bias is None or product is None or product.op_type != "MatMul" or product.input[1] not in arrays:
            continue
        arrays[bias.removesuffix("bias") + "weight"] = arrays[product.input[1]].T
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in arrays.items()
            if array.dtype.kind == "f"}  # fmt: skip


def _fitting(found: dict[str, Tensor], name: str, shape: torch.Size, folder: Path) -> Tensor:
    if name not in found or found[name].shape != shape:
        raise BundleError(
            f"The weights of {folder} cannot be read back into a network: '{name}' {tuple(shape)} is not among them. "
            "Start from a checkpoint instead (start_from in a recipe)."
        )
    return found[name]


def _same_answers(network: nn.Module, path: Path) -> None:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise BundleError(f"ONNX Runtime cannot load {path}: {error}") from None
    generator = np.random.default_rng(1)
    sizes = [entry.shape for entry in session.get_inputs()]
    frames = 24
    inputs = [
        (0.3 * generator.standard_normal([1, frames, *(int(n) for n in shape[2:])])).astype(np.float32)
        for shape in sizes
    ]
    names = [entry.name for entry in session.get_inputs()]
    theirs = session.run(None, dict(zip(names, inputs, strict=True)))[0]
    with torch.no_grad():
        ours = network(*map(torch.from_numpy, inputs))[0].numpy()
    apart = float(np.abs(ours - theirs).max())
    if not apart <= CLOSE:
        raise BundleError(
            f"The network read back from {path} is {apart:.4f} m off the bundle; at most {CLOSE} m is allowed. "
            "Start from a checkpoint instead (start_from in a recipe)."
        )
