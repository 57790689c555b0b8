"""Skinned meshes as people have them: a glTF file's rig found among the known ones, its bones put to our segments."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from posemend.datasets import rigs
from posemend.datasets.mocap import USUAL_LEG
from posemend.errors import FormatError, InputError, SkeletonError
from posemend.formats import gltf
from posemend.formats.armature import END, ArmatureMotion
from posemend.occlusion.skinned import SEGMENTS, Skin

WANTED = (
    "thorax",
    "nose",
    *(f"{side}_{joint}" for side in "lr" for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")),
)
_MAY = ("spine", "head_top")
_STARTS = {"hip": "thigh", "knee": "shank", "ankle": "foot", "shoulder": "upper_arm", "elbow": "forearm",
           "wrist": "hand"}  # fmt: skip


def read_rig(path: str | Path) -> dict[str, str]:
    """Names of a rig's joints from a TOML file: ``l_hip = "Thigh.L"`` and so on, one line for each of `WANTED`.

    Raises:
        FormatError: It cannot be read, or says something else than text.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FormatError(f"Rig {path} cannot be read: {error}") from None
    if not all(isinstance(value, str) for value in table.values()):
        raise FormatError(f'Rig {path} wants a joint\'s name for each key, such as l_hip = "Thigh.L".')
    return table


def read_skin(path: str | Path, joints: Mapping[str, str] | None = None) -> Skin:
    """A user's skinned mesh as a body.

    Args:
        path: ``.glb`` or ``.gltf``, at rest in any pose near T or A.
        joints: Human3.6M's joints (`WANTED`, and ``spine`` and ``head_top`` if there are such joints) to the rig's
            names; ``None`` recognises the rigs of `posemend.datasets.rigs` by their names.

    Returns:
        The mesh, brought to metres by the length of its legs.

    Raises:
        FormatError: Not glTF, damaged, or without a skin.
        SkeletonError: The rig is not known, or has not the joints named.
        InputError: Its proportions cannot carry a body.
        MissingExtra: pygltflib is not installed.
    """
    path = Path(path)
    mesh = gltf.read(path)
    parent = np.array(mesh.parents)
    offsets = mesh.places - np.where(parent[:, None] >= 0, mesh.places[parent], 0)
    still: tuple[None, ...] = (None,) * len(parent)
    motion = ArmatureMotion(mesh.joints, mesh.parents, offsets, still, still, frames=1, fps=None)
    fit = _named(motion, joints, path) if joints is not None else _recognised(motion, path)
    metres = USUAL_LEG / max(rigs.leg_length(motion, fit), 1e-9)
    places, _ = rigs.to_h36m(motion, fit, metres)
    share = np.zeros((len(mesh.vertices), len(SEGMENTS)), np.float32)
    carrier = np.array([SEGMENTS.index(name) for name in _segments(motion, fit)])
    rows = np.arange(len(share))
    for bones, weights in zip(mesh.bones.T, mesh.weights.T, strict=True):
        np.add.at(share, (rows, carrier[bones]), weights)
    return Skin((mesh.vertices * metres).astype(np.float32), mesh.faces, share, places[0].astype(np.float32), path.name)


def _recognised(motion: ArmatureMotion, path: Path) -> rigs.Fit:
    try:
        return rigs.recognise(motion)
    except SkeletonError as error:
        raise SkeletonError(f"'{path}': {error} Say which joint is which in a file of its own (rig = ...).") from None


def _named(motion: ArmatureMotion, joints: Mapping[str, str], path: Path) -> rigs.Fit:
    unknown = [name for name in joints if name not in (*WANTED, *_MAY)]
    lacking = [name for name in WANTED if name not in joints]
    if unknown or lacking:
        what = f"has no use for {', '.join(unknown)}" if unknown else f"lacks {', '.join(lacking)}"
        raise InputError(
            f"The rig for '{path}' {what}. It names: {', '.join(WANTED)}; "
            f"{' and '.join(_MAY)} if there are such joints."
        )
    absent = [name for name in joints.values() if name not in motion.joints]
    if absent:
        raise SkeletonError(f"'{path}' has no joint {', '.join(absent)}. It has: {', '.join(motion.joints[:40])}.")
    table = {name: (word,) for name, word in joints.items()}
    tip = rigs.plain_name(joints["head_top"]) if "head_top" in joints else "head" + END
    places = {name: motion.index(word) for name, word in joints.items() if name != "head_top"}
    return rigs.Fit(rigs.Rig("given", table, tips=(tip,)), places)


def _above(motion: ArmatureMotion, place: int) -> list[int]:
    """A joint and all that carry it."""
    chain = []
    while place >= 0:
        chain.append(place)
        place = motion.parents[place]
    return chain


def _segments(motion: ArmatureMotion, fit: rigs.Fit) -> list[str]:
    """Which of `SEGMENTS` each joint of the rig turns; joints not named go with what carries them."""
    at = dict(fit.joints)
    spine = at.get("spine", rigs.spine_joint(motion.parents, fit.joints, motion.rest()))
    neck = _above(motion, at["thorax"])
    legs = {place for side in "lr" for place in _above(motion, at[f"{side}_hip"])}
    starts = dict.fromkeys(legs, "hips")
    starts |= {place: "belly" if spine is not None else "chest" for place in neck if place not in legs}
    if spine is not None:
        starts |= {place: "chest" for place in neck if place not in _above(motion, spine)[1:] and place not in legs}
    for side in "lr":
        arm = _above(motion, at[f"{side}_shoulder"])
        starts |= {place: f"{side}_clavicle" for place in arm if place not in neck and place not in legs}
        starts |= {at[f"{side}_{joint}"]: f"{side}_{limb}" for joint, limb in _STARTS.items()}
    starts |= {at["thorax"]: "neck", at["nose"]: "head"}
    found: list[str] = []
    for place, parent in enumerate(motion.parents):
        found.append(starts.get(place, found[parent] if parent >= 0 else "hips"))
    return found
