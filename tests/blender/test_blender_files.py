"""Somebody's .blend files: rigs of any names, one skinned mesh, and files that are wrong. Needs Blender."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from posemend.blender import launch
from posemend.body.catalogue import H36M_17
from posemend.errors import BlenderError
from posemend.occlusion.labels import KINDS

HERE = Path(__file__).resolve().parent
BONE = {"pelvis": "Hips", "l_hip": "LeftUpLeg", "r_knee": "RightLeg", "l_ankle": "LeftFoot", "thorax": "Neck",
        "nose": "Head", "l_shoulder": "LeftArm", "r_elbow": "RightForeArm", "l_wrist": "LeftHand"}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        blender = launch.find()
    except BlenderError:
        pytest.skip("needs Blender (set POSEMEND_BLENDER)")
    folder = tmp_path_factory.mktemp("skin")
    subprocess.run(launch.command(blender, HERE / "make_skin.py", folder), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def truth(files: Path) -> dict[str, Any]:
    return json.loads((files / "truth.json").read_text())


def labels(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.mark.parametrize("name", ["skin", "numbered"])
def test_joints_of_a_rig_that_no_table_knows(name: str, files: Path, truth: dict[str, Any], call, tmp_path) -> None:
    said = call("blender", "extract", files / f"{name}.blend", "-o", "set", "--json")
    assert said.code == 0, said.err
    how = {"skin": "names", "numbered": "structure"}[name]
    assert said.json["bones"]["Hero"]["how"] == how
    assert any("'Door' has no body" in remark for remark in said.json["remarks"])
    data = labels(tmp_path / "set" / "labels" / f"{name}.npz")
    assert list(data["people"]) == ["Hero"] and list(data["size"][0]) == [321, 481]  # 643 x 963 at 50 %, cut
    for frame, heads in enumerate(truth["heads"]):  # an armature hidden in the window moves all the same
        for joint, bone in BONE.items():
            at = data["positions_3d"][0, frame, H36M_17.index(joint)]
            assert at == pytest.approx(heads[bone], abs=1e-5), joint
    crown = data["positions_3d"][0, 0, H36M_17.index("head_top")]
    assert crown == pytest.approx(np.add(truth["heads"][0]["Head"], (0, 0, 0.2)), abs=1e-5)
    assert data["t"][0, 0, 2] < 10  # metres, though the scene is in centimetres
    front, back = (list(data["cameras"]).index(camera) for camera in ("Front", "Back"))
    # the box round everything is in no render; a panel that a door's armature moves is a thing
    assert not (data["kind"][0, back] == KINDS["object"]).any()
    assert (data["kind"][0, front, :, H36M_17.index("nose")] == KINDS["visible"]).all()


def test_a_file_of_bones(files: Path, truth: dict[str, Any], call, tmp_path: Path) -> None:
    said = call("blender", "bones", files / "skin.blend")
    assert said.code == 0 and 'l_knee = "Hero_LowLeg_L"' in said.out and said.err == ""
    other = said.out.replace('"Hero_Pelvis"', '["Hero_UpLeg_L", { bone = "Hero_UpLeg_R", at = "head" }]')
    Path("mine.toml").write_text(other)
    said = call("blender", "extract", files / "skin.blend", "-o", "set", "--bones", "mine.toml", "--last", 1)
    assert said.code == 0, said.err
    pelvis = labels(tmp_path / "set" / "labels" / "skin.npz")["positions_3d"][0, 0, H36M_17.index("pelvis")]
    heads = truth["heads"][0]
    assert pelvis == pytest.approx(np.add(heads["LeftUpLeg"], heads["RightUpLeg"]) / 2, abs=1e-5)
    Path("mine.toml").write_text('[joints]\nl_knee = "Kniegelenk"\n')
    said = call("blender", "extract", files / "skin.blend", "-o", "set", "--bones", "mine.toml")
    assert said.code == 2 and "wants bone 'Kniegelenk' for l_knee" in said.err
    said = call("blender", "extract", files / "skin.blend", "-o", "set", "--metres", 1)
    assert said.code == 2 and "--metres" in said.err  # a person of 170 metres


def test_parts_of_one_skinned_mesh(files: Path, truth: dict[str, Any], call, tmp_path: Path) -> None:
    words = ["-o", "pictures", "--most", 1, "--samples", 1, "--film", "--json"]
    said = call("blender", "render", files / "skin.blend", *words)
    assert said.code == 0, said.err
    assert said.json["fps"] == 20 and said.json["people"] == ["Hero"]
    assert call("blender", "extract", files / "skin.blend", "-o", "set", "--last", 1).code == 0
    data = labels(tmp_path / "set" / "labels" / "skin.npz")
    heads = {name: np.array(place) for name, place in truth["heads"][0].items()}
    pieces = {
        "l_thigh": ("LeftUpLeg", "LeftLeg"), "r_thigh": ("RightUpLeg", "RightLeg"), "neck": ("Neck", "Head"),
        "head": ("Head", "HeadTop_End"), "l_forearm": ("LeftForeArm", "LeftHand"), "chest": ("Spine1", "Neck"),
        "r_upper_arm": ("RightArm", "RightForeArm"), "hips": ("Hips", "Spine"), "belly": ("Spine", "Spine1"),
    }  # fmt: skip
    for number, camera in enumerate(data["cameras"]):
        maps = labels(tmp_path / "pictures" / str(camera) / "passes.npz")
        names = maps["parts"][maps["part"][0]]
        picture = np.asarray(Image.open(tmp_path / "pictures" / str(camera) / "000001.png").convert("RGB")).astype(int)
        assert picture.shape[:2] == maps["part"].shape[1:] == (481, 321)  # whole, whatever the artist's border
        for part, (start, end) in pieces.items():
            point = (heads[start] + heads[end]) / 2 @ data["R"][number, 0].T + data["t"][number, 0]
            x, y = (data["K"][number] @ point)[:2] / point[2]
            assert names[int(y), int(x)] == part, camera
            assert 0.02 < point[2] - maps["depth"][0, int(y), int(x)] / 1000 < 0.2  # the skin before the bone
            red, _, blue = picture[int(y), int(x)]
            if camera == "Front":  # lit from here; the clothes keep their colours
                assert (red > blue + 20) == ("thigh" not in part), part
        owned = maps["owner"][maps["index"][0]]
        assert ((owned == 0) == (maps["part"][0] > 0)).all() and (owned == 0).sum() > 3000
        assert maps["objects"][maps["index"][0]][owned == 0][0] == "skin"
    for film in ("Front.mp4", "Front_depth.mp4", "Front_parts.mp4"):
        assert (tmp_path / "pictures" / film).stat().st_size > 500


def test_two_people_one_behind_the_other(files: Path, call, tmp_path: Path) -> None:
    """Both rigs are found, each hides the other, and a file that is wrong does not stop the next."""
    said = call("blender", "extract", files / "empty.blend", files / "two.blend", "-o", "set", "--last", 1)
    assert said.code == 2 and "empty.blend: The scene has no armature" in said.err and "two: 2 people" in said.out
    data = labels(tmp_path / "set" / "labels" / "two.npz")
    assert list(data["people"]) == ["Extra", "Hero"]
    front, back = (list(data["cameras"]).index(camera) for camera in ("Front", "Back"))
    chest = [H36M_17.index(joint) for joint in ("pelvis", "spine", "thorax")]
    assert (data["kind"][0, front, 0, chest] == KINDS["person"]).all()
    assert (data["kind"][1, back, 0, chest] == KINDS["person"]).all()
    assert not (data["kind"][1, front] == KINDS["person"]).any()
    alone = call("blender", "extract", files / "two.blend", "-o", "one", "--last", 1, "--armatures", "Extra")
    assert alone.code == 0, alone.err
    one = labels(tmp_path / "one" / "labels" / "two.npz")
    assert list(one["people"]) == ["Extra"] and (one["kind"][0] == data["kind"][0]).all()
    assert call("blender", "bones", files / "two.blend", "-o", "both.toml").code == 0
    listed = Path("both.toml").read_text()
    assert '[armatures."Extra"]' in listed and '[armatures."Hero"]' in listed and "Door" not in listed
    again = call("blender", "extract", files / "two.blend", "-o", "set", "--last", 1, "--bones", "both.toml")
    assert again.code == 0, again.err
    assert (labels(tmp_path / "set" / "labels" / "two.npz")["positions_3d"] == data["positions_3d"]).all()
    assert call("blender", "extract", files / "two.blend", files / "skin.blend", "-o", "x", "--name", "y").code == 2


def test_rigify(files: Path, call) -> None:
    """A real control rig of hundreds of bones: those that move the mesh are found, and every one has its part."""
    if not (files / "rigify.blend").is_file():
        pytest.skip("this Blender brings no Rigify")
    said = call("blender", "extract", files / "rigify.blend", "-o", "set", "--json")
    assert said.code == 0, said.err
    found = said.json["bones"]["rig"]
    joints = {joint: bones[0][0] for joint, bones in zip(H36M_17.joints, found["joints"].values(), strict=True)}
    limbs = {"hip": "thigh", "knee": "shin", "ankle": "foot", "shoulder": "upper_arm", "elbow": "forearm",
             "wrist": "hand"}  # fmt: skip
    for side in "lr":
        for joint, bone in limbs.items():
            assert joints[f"{side}_{joint}"] == f"DEF-{bone}.{side.upper()}"
    parts = {bone: part for bone, part in found["parts"].items() if bone.startswith("DEF-")}
    want = {"spine": "hips", "spine.003": "chest", "spine.004": "neck", "spine.006": "head", "shoulder.L": "chest"}
    want |= {"upper_arm.L.001": "l_upper_arm", "thigh.R.001": "r_thigh", "toe.R": "r_foot", "pelvis.L": "hips"}
    assert {bone: parts[f"DEF-{bone}"] for bone in want} == want
    assert any("moves no mesh" in remark for remark in said.json["remarks"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("inside", "Camera 'Back' is inside the body of 'Hero' in frames 1 to 3"),
        ("blind", "has no camera. It has: armature, light, mesh"),
        ("empty", "has no armature. It has: camera, light, mesh"),
        ("broken", "Blender cannot open 'broken.blend'"),
        ("half", "Blender cannot open 'half.blend'"),
    ],
)
def test_files_that_are_wrong(name: str, said: str, files: Path, call) -> None:
    answer = call("blender", "extract", files / f"{name}.blend", "-o", "set")
    assert answer.code == 2 and said in " ".join(answer.err.split())
    assert not Path("set").exists()
