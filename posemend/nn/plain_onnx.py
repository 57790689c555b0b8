"""A published lifter's network as ONNX, for speed measured in one runtime and for programs that have no torch.

Only the network: normalising, filling gaps, cutting windows and putting chunks
together stay with whoever runs it (``posemend.nn.lifters.apply`` says how). It
is no bundle: bundles read the codec's input, these read the image's.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from posemend.errors import BundleError, InputError, require
from posemend.nn.lifters.d3dp import D3DP
from posemend.nn.lifters.martinez import Martinez
from posemend.nn.lifters.poseformerv2 import PoseFormerV2
from posemend.nn.lifters.semgcn import SemGCN
from posemend.nn.lifters.videopose3d import VideoPose3D

PARITY = 1e-4  # metres


def _example(network: nn.Module, batch: int) -> dict[str, Tensor]:
    """Input by name; VideoPose3D's clips are a little longer than its field of view, and differ with ``batch``."""
    chance = torch.Generator().manual_seed(batch)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance) * 0.4

    if isinstance(network, (Martinez, SemGCN)):
        return {"keypoints": normal(batch, network.config.joints, 2)}
    if isinstance(network, VideoPose3D):
        frames = network.receptive_field * (1 if network.config.strided else 2) + 3 * batch
        return {"keypoints": normal(batch, frames, network.config.joints_in, network.config.in_features)}
    if isinstance(network, PoseFormerV2):
        return {"keypoints": normal(batch, network.config.frames, network.config.joints, 2)}
    if isinstance(network, D3DP):
        c = network.config
        step = torch.randint(0, c.timesteps, (batch,), generator=chance)
        return {
            "keypoints": normal(batch, c.frames, c.joints, 2),
            "noisy": normal(batch, c.frames, c.joints, 3),
            "step": step,
        }
    raise InputError(f"{type(network).__name__} is no published lifter; posemend export writes other networks.")


def write_onnx(network: nn.Module, path: str | Path) -> float:
    """Write a network as ONNX, after ONNX Runtime has given torch's numbers on batches of 1, 2 and 3.

    Args:
        network: A published lifter, in evaluation mode. A strided VideoPose3D answers once per window.
        path: The ``.onnx`` to write.

    Returns:
        Largest difference between torch and ONNX Runtime, metres.

    Raises:
        InputError: The network is no published lifter.
        BundleError: The numbers differ by more than 1e-4 m; nothing is written then.
    """
    require("onnx", "train")
    import onnxruntime

    path = Path(path)
    fresh = path.with_name(path.name + ".new")
    given = _example(network, 2)
    axes = {name: {0: "batch"} for name in [*given, "positions"]}
    if isinstance(network, VideoPose3D):
        axes["keypoints"][1], axes["positions"][1] = "time", "answers"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracing exporter announces its successor on every call
            torch.onnx.export(
                network, tuple(given.values()), str(fresh), input_names=list(given), output_names=["positions"],
                dynamic_axes=axes, opset_version=17, dynamo=False,
            )  # fmt: skip
        session = onnxruntime.InferenceSession(str(fresh), providers=["CPUExecutionProvider"])
        worst = 0.0
        for batch in (1, 2, 3):
            example = _example(network, batch)
            with torch.no_grad():
                wanted = network(*example.values()).numpy()
            got = session.run(None, {name: x.numpy() for name, x in example.items()})[0]
            worst = max(worst, float(np.abs(wanted - got).max()) if got.shape == wanted.shape else np.inf)
        if not worst <= PARITY:
            raise BundleError(f"ONNX Runtime is {worst:.2e} m off torch; at most {PARITY:.0e} m is allowed.")
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return worst
