"""The table of networks: name to class, built from a plain dictionary of options."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import asdict, fields
from typing import Any

from torch import nn

from posemend.errors import RecipeError

NETWORKS: dict[str, str] = {
    "patch-tcn": "posemend.nn.lifters.patch_tcn:PatchTCN",
    "videopose3d": "posemend.nn.lifters.videopose3d:VideoPose3D",
    "semgcn": "posemend.nn.lifters.semgcn:SemGCN",
    "martinez": "posemend.nn.lifters.martinez:Martinez",
    "poseformerv2": "posemend.nn.lifters.poseformerv2:PoseFormerV2",
    "d3dp": "posemend.nn.lifters.d3dp:D3DP",
    "lnet": "posemend.nn.lifters.lnet:LNet",
    "stgcn-six": "posemend.nn.refiners.stgcn:SixClassSTGCN",
    "stgcn-published": "posemend.nn.refiners.stgcn_published:PublishedSTGCN",
    "masked-graph": "posemend.nn.refiners.masked_stgcn:MaskedSTGCN",
    "smoothnet": "posemend.nn.refiners.smoothnet:SmoothNet",
    "depth-patch": "posemend.nn.depth.patch:PatchRefiner",
    "depth-body": "posemend.nn.depth.vitruvian:VitruvianRefiner",
    "depth-cloud": "posemend.nn.depth.pointcloud:CloudRefiner",
    "depth-time": "posemend.nn.depth.overtime:TimeRefiner",
}


def build(name: str, options: dict[str, Any] | None = None) -> nn.Module:
    """A network with fresh weights.

    Args:
        name: Name in ``NETWORKS``.
        options: Fields of the network's ``Config``; the rest keep their defaults.

    Raises:
        RecipeError: No such network or option; the message guesses.
    """
    if name not in NETWORKS:
        guess = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f" Did you mean '{guess[0]}'?" if guess else ""
        raise RecipeError(f"No network is called '{name}'.{hint} Known: {', '.join(NETWORKS)}.")
    module_name, class_name = NETWORKS[name].split(":")
    module = importlib.import_module(module_name)
    known = {field.name: field for field in fields(module.Config)}
    values = {}
    for key, value in (options or {}).items():
        if key not in known:
            guess = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{guess[0]}'?" if guess else ""
            raise RecipeError(f"Network '{name}' has no option '{key}'.{hint} Known: {', '.join(known)}.")
        values[key] = tuple(value) if isinstance(value, list) else value
    return getattr(module, class_name)(module.Config(**values))


def options_of(network: nn.Module) -> dict[str, Any]:
    """The options that would build the same network."""
    config: Any = network.config
    return asdict(config)


def size(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
