"""glTF's skins: rest poses by the file's own formula, and files that are not what they should be."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from posemend.errors import FormatError
from posemend.formats import gltf
from posemend.occlusion.figure import figure
from posemend.occlusion.meshes import tessellate
from tests.formats.skinned_glb import MIXAMO, Y_UP, write_glb
from tests.occlusion.standing import STANDING

pytest.importorskip("pygltflib")


def test_a_scaled_and_turned_armature_comes_out_in_metres_y_up(tmp_path: Path) -> None:
    mesh = gltf.read(write_glb(tmp_path / "kim.glb", STANDING[0]))
    skin = np.concatenate([part.vertices[0] for part in tessellate(figure(STANDING), 16, 4)]) @ Y_UP.T
    assert np.abs(mesh.vertices - skin).max() < 1e-5
    assert {name.removeprefix("mixamorig:") for name in mesh.joints} == set(MIXAMO)
    assert all(parent < place for place, parent in enumerate(mesh.parents))
    knee = mesh.places[mesh.joints.index("mixamorig:LeftLeg")]
    assert knee == pytest.approx(Y_UP @ STANDING[0, 5], abs=1e-9)
    assert mesh.weights.sum(1) == pytest.approx(1) and (mesh.weights > 0).sum(1).max() == 2


def test_text_with_the_buffer_inside_is_the_same(tmp_path: Path) -> None:
    glb = write_glb(tmp_path / "kim.glb", STANDING[0]).read_bytes()
    size = struct.unpack("<I", glb[12:16])[0]
    table, blob = json.loads(glb[20 : 20 + size]), glb[28 + size :]
    table["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(blob).decode()
    (tmp_path / "kim.gltf").write_text(json.dumps(table))
    one, two = gltf.read(tmp_path / "kim.glb"), gltf.read(tmp_path / "kim.gltf")
    assert np.array_equal(one.vertices, two.vertices) and one.joints == two.joints


def test_weights_as_bytes(tmp_path: Path) -> None:
    one = gltf.read(write_glb(tmp_path / "kim.glb", STANDING[0]))
    two = gltf.read(write_glb(tmp_path / "small.glb", STANDING[0], quantised=True))
    assert np.abs(one.weights - two.weights).max() < 1e-6 and np.abs(one.vertices - two.vertices).max() < 1e-6


def test_a_file_that_stands_in_another_pose_than_it_was_bound(tmp_path: Path) -> None:
    """The skin follows the nodes: a leg turned about the hip takes its triangles along."""

    def kick(table: dict) -> None:
        (hip,) = (node for node in table["nodes"] if node["name"].endswith("LeftUpLeg"))
        hip["rotation"] = [-np.sqrt(0.5), 0, 0, np.sqrt(0.5)]  # a right angle about x: the leg points ahead

    still = gltf.read(write_glb(tmp_path / "kim.glb", STANDING[0]))
    kicking = gltf.read(write_glb(tmp_path / "kick.glb", STANDING[0], change=kick))
    hip, foot = (still.joints.index(f"mixamorig:Left{name}") for name in ("UpLeg", "Foot"))
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
    went = still.places[hip] + turn @ (still.places[foot] - still.places[hip])
    assert kicking.places[foot] == pytest.approx(went, abs=1e-9) and went[2] > 0.8
    only = (still.bones == foot) & (still.weights > 0.99)
    feet = only.any(1)
    assert feet.sum() > 50
    moved = still.places[hip] + (still.vertices[feet] - still.places[hip]) @ turn.T
    assert np.abs(kicking.vertices[feet] - moved).max() < 1e-5
    head = still.vertices[:, 1] > 1.5
    assert np.array_equal(kicking.vertices[head], still.vertices[head])


def _spoil(key: str, value: object):
    def change(table: dict) -> None:
        *way, last = key.split(".")
        for step in way:
            table = table[int(step) if step.isdecimal() else step]
        table[int(last) if last.isdecimal() else last] = value

    return change


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("nodes.1", {"name": "Body", "mesh": 0}, "has no skin"),
        ("meshes.0.primitives.0.attributes", {"POSITION": 0}, "no skinned mesh has triangles"),
        ("extensionsRequired", ["KHR_draco_mesh_compression"], "compressed"),
        ("accessors.0.count", 10**12, "at most"),
        ("accessors.0.count", 99_999, "cannot be read as glTF"),
        ("accessors.3.count", 0, "without triangles"),
        ("accessors.2.count", 7, "2210 vertices"),
        ("skins.0.joints", [2], "a joint that is not there"),
        ("skins.0.joints", [99], "cannot be read as glTF"),
        ("nodes.3.children", [1], "no tree"),
        ("nodes.0.children", [], "go round in a ring|no tree|cannot be read"),
    ],
)
def test_damage_is_told(tmp_path: Path, key: str, value: object, word: str) -> None:
    def change(table: dict) -> None:
        _spoil(key, value)(table)
        if key == "nodes.0.children":
            table["nodes"][-1]["children"] = [2]  # the root hangs on a fingertip

    with pytest.raises(FormatError, match=word) as told:
        gltf.read(write_glb(tmp_path / "kim.glb", STANDING[0], change=change))
    assert "kim.glb" in str(told.value)


def test_files_that_are_no_gltf(tmp_path: Path) -> None:
    whole = write_glb(tmp_path / "kim.glb", STANDING[0]).read_bytes()
    for name, content, word in (
        ("cut.glb", whole[: len(whole) // 2], "cut off"), ("text.glb", b"solid teapot, and more", "no GLB"),
        ("head.glb", whole[:5], "cannot be read"), ("kim.gltf", b"{", "cannot be read"),
        ("empty.glb", b"", "empty"), ("kim.fbx", b"Kaydara", "as glTF 2.0"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=word):
            gltf.read(tmp_path / name)
    with pytest.raises(FormatError, match="No such file"):
        gltf.read(tmp_path / "nobody.glb")
