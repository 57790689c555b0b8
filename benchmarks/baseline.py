"""What posemend is compared with: VideoPose3D of 243 frames and 1024 channels, in the same runtime.

Weights are random: arithmetic takes the same time whatever the numbers are.
So nothing here says how wrong VideoPose3D is.

Called as a program it writes the networks (this part needs torch, the `train`
extra). It does so in a process of its own, so that no torch is in the process
where things are timed:

    python benchmarks/baseline.py FOLDER CHANNELS
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTHS = (3, 3, 3, 3, 3)
Floats = NDArray[np.float32]
TOLERANCE = 1e-3  # of the largest number answered


def write(folder: Path, channels: int) -> dict[str, Any]:
    """Export the dense network and its strided twin, with the same random weights, to ``folder``.

    Returns:
        Parameters, receptive field and channels.

    Raises:
        RuntimeError: ONNX Runtime does not give torch's numbers.
    """
    import torch

    from posemend.nn.lifters.videopose3d import Config, VideoPose3D

    class Bare(torch.nn.Module):
        """The network without its padding."""

        def __init__(self, network: VideoPose3D) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network.lift(x)

    torch.manual_seed(0)
    dense = VideoPose3D(Config(widths=WIDTHS, channels=channels)).eval()
    strided = VideoPose3D(Config(widths=WIDTHS, channels=channels, strided=True)).eval()
    strided.load_state_dict(dense.state_dict())
    field = dense.receptive_field
    for name, network in (("dense", dense), ("strided", strided)):
        bare, path = Bare(network).eval(), folder / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracing exporter announces its successor on every call
            torch.onnx.export(
                bare, (torch.randn(1, field + 3, 17, 2),), str(path), input_names=["x"], output_names=["positions"],
                dynamic_axes={"x": {1: "time"}, "positions": {1: "time"}}, opset_version=17, dynamo=False,
            )  # fmt: skip
        run = session(path, 1)
        for frames in (field, field + 20) if name == "dense" else (field,):
            x = torch.randn(1, frames, 17, 2)
            with torch.no_grad():
                wanted = bare(x).numpy()
            got = run(x.numpy())
            if got.shape != wanted.shape or np.abs(got - wanted).max() > TOLERANCE * np.abs(wanted).max():
                raise RuntimeError(f"The exported {name} VideoPose3D does not give torch's numbers.")
    parameters = sum(weights.numel() for weights in dense.parameters())
    return {"parameters": parameters, "receptive_field": field, "channels": channels, "weights": "random"}


def written(folder: Path, channels: int, env: Mapping[str, str]) -> dict[str, Any]:
    """``write`` in another process.

    Raises:
        RuntimeError: It failed there; the message ends with why.
    """
    done = subprocess.run(
        [sys.executable, __file__, str(folder), str(channels)],
        env=dict(env), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RuntimeError(f"VideoPose3D could not be written (it needs torch: the `train` extra): {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def session(path: Path, threads: int) -> Callable[[Floats], Floats]:
    """A network in ONNX Runtime, with the options that posemend gives its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    network = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: network.run(None, {"x": x})[0]


def padded(frames: int, field: int, seed: int = 0) -> Floats:
    """(1, frames + field - 1, 17, 2) input that makes the dense network answer ``frames`` frames."""
    return np.random.default_rng(seed).normal(0, 0.5, (1, frames + field - 1, 17, 2)).astype(np.float32)


def over_clip(run: Callable[[Floats], Floats], x: Floats, field: int, at_once: int) -> None:
    """Answer every frame of a padded clip, ``at_once`` frames per call."""
    frames = x.shape[1] - field + 1
    for first in range(0, frames, at_once):
        last = min(first + at_once, frames)
        assert run(x[:, first : last + field - 1]).shape[1] == last - first


def by_window(run: Callable[[Floats], Floats], x: Floats, field: int, windows: int) -> None:
    """Answer one frame per call from its own window, as a live demo does."""
    for first in range(windows):
        assert run(np.ascontiguousarray(x[:, first : first + field])).shape[1] == 1


if __name__ == "__main__":
    print(json.dumps(write(Path(sys.argv[1]), int(sys.argv[2]))))
