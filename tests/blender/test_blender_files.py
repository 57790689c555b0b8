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
