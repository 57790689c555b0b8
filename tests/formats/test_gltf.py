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
