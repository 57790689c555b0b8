"""A skinned person written as GLB in the layout that exporters use, byte by byte: nothing here reads what it writes.

The skin is the capsule body as triangles, so that what a ray should meet is
known. As out of Blender with a Mixamo rig: the armature node is turned and
scaled by 0.01, vertices are centimetres with z up, inverse bind matrices undo both.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.occlusion.figure import figure
from posemend.occlusion.meshes import tessellate

# name: (parent, joint of Human3.6M or the two joints that it lies between, and how far)
MIXAMO: dict[str, tuple[str, tuple[str, str, float]]] = {
    "Hips": ("", ("pelvis", "spine", 0.1)),
    "Spine": ("Hips", ("pelvis", "spine", 0.5)),
    "Spine1": ("Spine", ("spine", "spine", 0)),
    "Spine2": ("Spine1", ("spine", "thorax", 0.5)),
    "Neck": ("Spine2", ("thorax", "thorax", 0)),
    "Head": ("Neck", ("thorax", "head_top", 0.4)),
    "HeadTop_End": ("Head", ("head_top", "head_top", 0)),
}
for _side, _s in (("Left", "l"), ("Right", "r")):
    MIXAMO |= {
        f"{_side}Shoulder": ("Spine2", ("thorax", f"{_s}_shoulder", 0.3)),
        f"{_side}Arm": (f"{_side}Shoulder", (f"{_s}_shoulder", f"{_s}_shoulder", 0)),
        f"{_side}ForeArm": (f"{_side}Arm", (f"{_s}_elbow", f"{_s}_elbow", 0)),
        f"{_side}Hand": (f"{_side}ForeArm", (f"{_s}_wrist", f"{_s}_wrist", 0)),
        f"{_side}UpLeg": ("Hips", (f"{_s}_hip", f"{_s}_hip", 0)),
        f"{_side}Leg": (f"{_side}UpLeg", (f"{_s}_knee", f"{_s}_knee", 0)),
        f"{_side}Foot": (f"{_side}Leg", (f"{_s}_ankle", f"{_s}_ankle", 0)),
    }
_BONES = {"chest": "Spine2", "belly": "Spine", "hips": "Hips", "head": "Head", "neck": "Neck"}
for _side, _s in (("Left", "l"), ("Right", "r")):
    _BONES |= {f"{_s}_upper_arm": f"{_side}Arm", f"{_s}_forearm": f"{_side}ForeArm", f"{_s}_hand": f"{_side}Hand",
               f"{_s}_thigh": f"{_side}UpLeg", f"{_s}_shank": f"{_side}Leg", f"{_s}_foot": f"{_side}Foot"}  # fmt: skip
Y_UP = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], float)  # world with x ahead, z up -> glTF with z ahead, y up
TURN = (-np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))  # Blender's: z up -> y up


def write_glb(
    path: Path, standing: np.ndarray, *, prefix: str = "mixamorig:", around: int = 16, quantised: bool = False,
    change: Any = None,
) -> Path:  # fmt: skip
    """Write a person.

    Args:
        path: Where to.
        standing: (17, 3) joints at rest, metres, x ahead and z up.
        prefix: Before each joint's name.
        around: Corners of a limb.
        quantised: Weights as bytes that stand for shares, as packing tools write them.
        change: Called with the JSON before it is written.
    """
    at = {name: standing[n] for n, name in enumerate(H36M_17.joints)}
    place = {bone: at[a] * (1 - s) + at[b] * s for bone, (_, (a, b, s)) in MIXAMO.items()}
    names = list(MIXAMO)
    vertices, bones, weights, faces = [], [], [], []
    for mesh in tessellate(figure(standing[None]), around, 4):
        points, bone = mesh.vertices[0].astype(float), _BONES[mesh.part]
        b, w = np.zeros((len(points), 4), np.uint8), np.zeros((len(points), 4), np.float32)
        b[:, 0], w[:, 0] = names.index(bone), 1
        if bone.endswith(("ForeArm", "Leg", "Foot", "Hand", "Arm")):  # half and half round the joint with the parent
            near = np.linalg.norm(points - place[bone], axis=1) < 0.05
            b[near, 1], w[near, 0], w[near, 1] = names.index(MIXAMO[bone][0]), 0.6, 0.4
        faces.append(mesh.faces + sum(map(len, vertices)))
        vertices.append(points), bones.append(b), weights.append(w)
    armature = np.eye(4)
    armature[:3, :3] = 0.01 * np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
    bind = [np.linalg.inv(_shift(Y_UP @ place[bone])) @ armature for bone in names]
    stored = np.concatenate(vertices) @ Y_UP.T @ np.linalg.inv(armature[:3, :3]).T
    arrays = [
        stored.astype("<f4"), np.concatenate(bones), np.concatenate(weights).astype("<f4"),
        np.concatenate(faces).reshape(-1, 1).astype("<u4"),
        np.stack([matrix.T.ravel() for matrix in bind]).astype("<f4"),
    ]  # fmt: skip
    nodes: list[dict[str, Any]] = [
        {"name": "Armature", "rotation": list(TURN), "scale": [0.01] * 3, "children": [1, 2]},
        {"name": "Body", "mesh": 0, "skin": 0},
    ]
    back = np.linalg.inv(armature)
    for bone in names:
        parent = MIXAMO[bone][0]
        if parent:
            step = Y_UP @ (place[bone] - place[parent])
            nodes.append({"name": prefix + bone, "translation": step.tolist()})
            nodes[2 + names.index(parent)].setdefault("children", []).append(len(nodes) - 1)
        else:  # the root undoes the armature's turn and scale
            local = back @ _shift(Y_UP @ place[bone])
            nodes.append({"name": prefix + bone, "matrix": local.T.ravel().tolist()})
    if quantised:
        arrays[2] = np.rint(arrays[2] * 255).astype(np.uint8)
    kinds = [("VEC3", 5126), ("VEC4", 5121), ("VEC4", 5121 if quantised else 5126), ("SCALAR", 5125), ("MAT4", 5126)]
    views, blob = [], b""
    for array in arrays:
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": array.nbytes})
        blob += array.tobytes() + b"\0" * (-array.nbytes % 4)
    whole: dict[str, Any] = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": nodes,
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2}, "indices": 3}]}],
        "skins": [{"joints": list(range(2, 2 + len(names))), "inverseBindMatrices": 4}],
        "accessors": [{"bufferView": n, "componentType": kind, "count": len(arrays[n]), "type": wide}
                      for n, (wide, kind) in enumerate(kinds)],
        "bufferViews": views, "buffers": [{"byteLength": len(blob)}],
    }  # fmt: skip
    whole["accessors"][2]["normalized"] = quantised
    if change is not None:
        change(whole)
    text = json.dumps(whole).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(blob)
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, size) + struct.pack("<I4s", len(text), b"JSON") + text
                     + struct.pack("<I4s", len(blob), b"BIN\0") + blob)  # fmt: skip
    return path


def _shift(place: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = place
    return matrix
