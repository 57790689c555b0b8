"""Published lifters with their public weights, or with those of our own ``blind`` recipes.

Each loader reads sizes off the weights, builds the network and fills it
strictly: a name or shape too many, too few or different is told. Nothing in
the file is run (``posemend.nn.legacy``). What the weights do not tell (whether
VideoPose3D is causal, how long PoseFormerV2's windows are) must be said, or is
read off the file's name where its authors put it there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from posemend.body.catalogue import COCO_17
from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import BundleError, InputError
from posemend.nn import checkpoint
from posemend.nn.legacy import load_legacy
from posemend.nn.lifters import d3dp, martinez, poseformerv2, semgcn, videopose3d
from posemend.nn.lifters.apply import Manner, lift

NetworkT = TypeVar("NetworkT", bound=nn.Module)

LIFTERS = ("martinez", "semgcn", "videopose3d", "poseformerv2", "d3dp")
# PoseFormerV2's authors name files by kept frames, window and error: 27_243_45.2.bin
_WINDOW = re.compile(r"^\d+_(\d+)_")
_NUMBERED = re.compile(r"^([a-z]*)(\d+)$")


def _filled(network: NetworkT, weights: dict[str, Tensor], source: str) -> NetworkT:
    """Filled strictly and ready to use; batch counters that PyTorch before 0.4.1 did not keep may be missing."""
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    checkpoint.fill(network, {**counters, **weights}, source)
    return network.eval()


def _config(path: str | Path, name: str, weights: dict[str, Tensor], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (KeyError, ValueError, IndexError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BundleError(
            f"{path} holds no weights of {name} ({what}); it has {', '.join(list(weights)[:6])}, ..."
        ) from None


def martinez_from_file(path: str | Path) -> martinez.Martinez:
    """Martinez' residual MLP with the weights that SemGCN's authors publish (``ckpt_linear.pth.tar``).

    Raises:
        FormatError: As ``load_legacy``.
        BundleError: These are not such weights; the message lists the differences.
    """
    weights = load_legacy(path)
    config = _config(path, "the residual MLP", weights, lambda: martinez.config_of(weights))
    return _filled(martinez.Martinez(config), weights, str(path))


def semgcn_from_file(path: str | Path) -> semgcn.SemGCN:
    """SemGCN, or WS-GCN of the same form.

    Raises:
        FormatError: As ``load_legacy``.
        BundleError: These are not a SemGCN's weights; the message lists the differences.
    """
    # the first release calls the non-local block by a word that became a keyword
    weights = {name.replace(".nonlocal.", ".nonlocal1."): tensor for name, tensor in load_legacy(path).items()}
    return _filled(semgcn.SemGCN(semgcn.config_of(weights)), weights, str(path))


def videopose3d_from_file(path: str | Path, causal: bool = False) -> videopose3d.VideoPose3D:
    """VideoPose3D's position network.

    Args:
        path: Checkpoint with ``model_pos``.
        causal: Whether it was trained to see the past only; the weights do not tell.

    Raises:
        FormatError: As ``load_legacy``.
        BundleError: These are not a VideoPose3D's weights; the message lists the differences.
    """
    weights = load_legacy(path)
    config = _config(path, "VideoPose3D", weights, lambda: videopose3d.config_of(weights, causal))
    return _filled(videopose3d.VideoPose3D(config), weights, str(path))


def poseformerv2_from_file(path: str | Path, frames: int | None = None) -> poseformerv2.PoseFormerV2:
    """PoseFormerV2.

    Args:
        path: Checkpoint with ``model_pos``.
        frames: Length of a window. The weights do not tell; left out, it is read off the name that its
            authors gave the file (``27_243_45.2.bin``: 243).

    Raises:
        FormatError: As ``load_legacy``.
        BundleError: These are not a PoseFormerV2's weights; the message lists the differences.
        InputError: The length of a window is not known, or cannot be.
    """
    weights = load_legacy(path)
    told = _WINDOW.match(Path(path).name)
    frames = frames or (int(told.group(1)) if told else None)
    if frames is None:
        raise InputError(
            f"How many frames PoseFormerV2's window has is not in {path}, and its name does not tell (27_243_45.2.bin "
            "does). Say it: poseformerv2-243=FILE, or frames=243 in Python."
        )
    config = _config(path, "PoseFormerV2", weights, lambda: poseformerv2.config_of(weights, frames))
    if frames % 2 == 0 or frames < max(config.kept, config.coefficients):
        raise InputError(f"PoseFormerV2's window wants an odd number of frames, at least {config.kept}; got {frames}.")
    return _filled(poseformerv2.PoseFormerV2(config), weights, str(path))


def d3dp_from_file(path: str | Path) -> d3dp.D3DP:
    """D3DP. The tables of its noise schedule, which the file holds too, are compared with ours.

    Raises:
        FormatError: As ``load_legacy``.
        BundleError: These are not a D3DP's weights, or it has another noise schedule; the message tells.
    """
    weights = load_legacy(path)
    tables = {name: weights.pop(name) for name in d3dp.published_buffers(2) if name in weights}
    timesteps = len(tables["betas"]) if "betas" in tables and tables["betas"].ndim == 1 else d3dp.Config.timesteps
    config = _config(path, "D3DP", weights, lambda: d3dp.config_of(weights, max(2, timesteps)))
    ours = d3dp.published_buffers(config.timesteps)
    other = [
        name
        for name, table in tables.items()
        if table.shape != ours[name].shape or not torch.allclose(table.double(), ours[name], rtol=1e-4, atol=1e-6)
    ]
    if other:
        raise BundleError(
            f"{path} was trained with another noise schedule than the cosine one of {config.timesteps} steps: "
            f"{', '.join(other)} differ."
        )
    return _filled(d3dp.D3DP(config), weights, str(path))


def _trained(folder: Path, name: str) -> nn.Module:
    """A network out of a training folder."""
    network, about = checkpoint.load_network(folder / "checkpoint" if (folder / "checkpoint").exists() else folder)
    if about["network"]["name"] != name or about["recipe"]["task"] != "blind":
        raise InputError(
            f"{folder} holds the network '{about['network']['name']}' of task '{about['recipe']['task']}'; "
            f"wanted '{name}' of task 'blind'. Networks of other tasks read another input."
        )
    return network


class PlainLifter:
    """A published lifter, ready to be called with keypoints.

    Attributes:
        network: In evaluation mode.
        manner: How it is run.
    """

    def __init__(self, network: nn.Module, manner: Manner | None = None) -> None:
        self.network = network
        self.manner = manner or Manner()

    def __call__(self, pose2d: Pose2D) -> Pose3D:
        """Human3.6M's 17 joints, root-relative, metres; see ``posemend.nn.lifters.apply.lift``."""
        return lift(self.network, pose2d, self.manner)


def plain_lifter(name: str, file: str | Path) -> PlainLifter:
    """The lifter called ``name`` with the weights in ``file``.

    Args:
        name: One of ``LIFTERS``, and after dashes what else must be said: ``flip`` or ``noflip``;
            ``videopose3d-coco`` (given COCO's joints), ``videopose3d-causal``; ``poseformerv2-81``
            (frames of a window); ``d3dp-h5-k5`` (hypotheses and steps).
        file: A public checkpoint, or a folder that a ``blind`` recipe was trained into.

    Raises:
        InputError: No such name or word.
        FormatError, BundleError: The file cannot be read or does not fit.
    """
    kind, *words = name.lower().split("-")
    if kind not in LIFTERS:
        raise InputError(f"No published lifter is called '{name}'. There are: {', '.join(LIFTERS)}.")
    manner, more = Manner(), {}  # type: Manner, dict[str, Any]
    for word in words:
        numbered = _NUMBERED.match(word)
        letter, number = (numbered.group(1), int(numbered.group(2))) if numbered else (word, 0)
        if word in ("flip", "noflip"):
            manner = replace(manner, flip=word == "flip")
        elif kind == "videopose3d" and word == "coco":
            manner = replace(manner, skeleton=COCO_17)
        elif kind == "videopose3d" and word == "causal":
            more["causal"] = True
        elif kind == "poseformerv2" and numbered and not letter:
            more["frames"] = number
        elif kind == "d3dp" and letter in ("h", "k") and number:
            manner = replace(manner, hypotheses=number) if letter == "h" else replace(manner, steps=number)
        else:
            raise InputError(
                f"'{word}' in '{name}' is not understood. Known: flip, noflip; coco and causal after videopose3d; "
                "a number of frames after poseformerv2; h and k with a number after d3dp, such as d3dp-h5-k5."
            )
    if Path(file).is_dir():
        return PlainLifter(_trained(Path(file), kind), manner)
    loaders: dict[str, Callable[..., nn.Module]] = {
        "martinez": martinez_from_file, "semgcn": semgcn_from_file, "videopose3d": videopose3d_from_file,
        "poseformerv2": poseformerv2_from_file, "d3dp": d3dp_from_file,
    }  # fmt: skip
    return PlainLifter(loaders[kind](file, **more), manner)
