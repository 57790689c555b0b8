"""Which part of the body each bone of an armature moves, and where its joints are.

A bone's part is that of the joint's bone that carries it; of the trunk, by its
height between pelvis and neck; of a bone that hangs on none, by the nearest
limb.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.datasets.bone_file import Place
from posemend.datasets.bone_names import Floats, Rigged
from posemend.occlusion.figure import PARTS, owned_parts

LIMBS = tuple(f"{side}_{joint}" for side in "lr" for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))
NEEDED = (*LIMBS, "thorax", "nose")  # the others follow from these
_PART_OF = {"hip": "thigh", "knee": "shank", "ankle": "foot", "shoulder": "upper_arm", "elbow": "forearm",
            "wrist": "hand"}  # fmt: skip
_LAYERS = 0.002  # of the armature's largest extent; bones that begin so near to one another are layers of one
_REACH = 0.6  # of a forearm; how far hands and feet reach


def own_parts() -> list[list[int]]:
    """By joint of Human3.6M the parts that it lies in, as `bone_parts` numbers them."""
    return [(np.flatnonzero(row) + 1).tolist() for row in owned_parts(H36M_17)]


def place_at(rigged: Rigged, place: Place, rest: bool = False) -> Floats:
    """(T, 3) where a place is in the frames that are known, or (3,) at rest."""
    matrices = rigged.rest if rest else rigged.posed
    points = [matrices[..., bone, :3, :3] @ np.asarray(local) + matrices[..., bone, :3, 3] for bone, local in place]
    return np.asarray(np.mean(points, axis=0))


def bone_parts(rigged: Rigged, known: Mapping[str, Place]) -> dict[str, int]:
    """Every bone's part: its place in `posemend.occlusion.figure.PARTS`, plus 1.

    Args:
        rigged: The armature.
        known: Where all 17 joints of Human3.6M are.
    """
    rest = {joint: place_at(rigged, known[joint], rest=True) for joint in H36M_17.joints}
    head = rigged.heads()
    trunk = {bone for joint in ("l_hip", "r_hip", "thorax", "l_shoulder", "r_shoulder") for place in [known[joint]]
             for bone in rigged.above(place[0][0])}  # fmt: skip
    begins = _begins(rigged, known, rest, trunk)
    pieces = _pieces(rest)
    hips, neck = pieces["trunk"]
    up = neck - hips
    numbers = {}
    for bone, name in enumerate(rigged.bones):
        carried = next((above for above in (bone, *rigged.above(bone)) if above in begins or above in trunk), None)
        children = [child for child, parent in enumerate(rigged.parents) if parent == bone]
        end = head[children].mean(0) if children else rigged.tails()[bone]
        middle = (head[bone] + end) / 2
        if carried in begins:
            part = begins[carried]
        elif carried is not None and rigged.parents[carried] >= 0:
            part = "trunk"
        else:  # it hangs on the root alone: handles, and bones that only constraints move
            part = min(pieces, key=lambda piece: _distance(middle, *pieces[piece]))
        if part == "trunk":
            height = float((middle - hips) @ up) / max(float(up @ up), 1e-9)
            part = "hips" if height < 0.25 else "belly" if height < 0.55 else "chest"
        numbers[name] = PARTS.index(part) + 1
    return numbers


def _begins(rigged: Rigged, known: Mapping[str, Place], rest: Mapping[str, Floats], trunk: set[int]) -> dict[int, str]:
    """Bones at which a part of the body begins: the joint's own, and of a control rig all layers that begin there."""
    begins: dict[int, str] = {}
    heads = rigged.heads()
    near = _LAYERS * float(np.ptp(heads, axis=0).max())
    for joint in NEEDED:
        side, _, limb = joint.partition("_")
        part = f"{side}_{_PART_OF[limb]}" if joint in LIMBS else "neck" if joint == "thorax" else "head"
        there = np.flatnonzero(np.linalg.norm(heads - rest[joint], axis=-1) <= near)
        begins |= {int(bone): part for bone in there if bone not in trunk}
        if len(known[joint]) == 1 and not any(known[joint][0][1]):
            begins[known[joint][0][0]] = part
    if len(known["pelvis"]) == 1:
        begins.setdefault(known["pelvis"][0][0], "hips")
    return begins


def _pieces(rest: Mapping[str, Floats]) -> dict[str, tuple[Floats, Floats]]:
    """The stretch of each part; the trunk is one."""
    pieces = {"neck": (rest["thorax"], rest["nose"]), "head": (rest["nose"], rest["head_top"]),
              "trunk": ((rest["l_hip"] + rest["r_hip"]) / 2, rest["thorax"])}  # fmt: skip
    for side in "lr":
        for first, second in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            pieces[f"{side}_{_PART_OF[first]}"] = rest[f"{side}_{first}"], rest[f"{side}_{second}"]
        reach = _REACH * float(np.linalg.norm(rest[f"{side}_wrist"] - rest[f"{side}_elbow"]))
        for last, before in (("ankle", "knee"), ("wrist", "elbow")):
            way = rest[f"{side}_{last}"] - rest[f"{side}_{before}"]
            way = way / max(float(np.linalg.norm(way)), 1e-9)
            pieces[f"{side}_{_PART_OF[last]}"] = rest[f"{side}_{last}"], rest[f"{side}_{last}"] + reach * way
    return pieces


def _distance(point: Floats, start: Floats, end: Floats) -> float:
    """From a point to a stretch."""
    way = end - start
    share = float(np.clip((point - start) @ way / max(float(way @ way), 1e-12), 0, 1))
    return float(np.linalg.norm(point - start - share * way))
