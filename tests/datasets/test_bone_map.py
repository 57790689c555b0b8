"""Which bone is which joint: rigs with the names that exporters give, files of bones, and guesses that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posemend.datasets.bone_file import read_bones
from posemend.datasets.bone_map import NoBodyError, resolve, toml
from posemend.datasets.bone_names import Rigged, words
from posemend.errors import FormatError, HandednessError, InputError, SkeletonError
from posemend.occlusion.figure import PARTS

# name: (place at rest in metres, the person looks along x and their left is y), parent
BODY = {
    "root": ((0, 0, 0), ""), "hips": ((0, 0, 0.95), "root"), "spine": ((0, 0, 1.05), "hips"),
    "chest": ((0, 0, 1.2), "spine"), "neck": ((0, 0, 1.43), "chest"), "head": ((0.02, 0, 1.54), "neck"),
    "l_clavicle": ((0, 0.04, 1.4), "chest"), "l_upperarm": ((0, 0.18, 1.4), "l_clavicle"),
    "l_forearm": ((-0.03, 0.45, 1.4), "l_upperarm"), "l_hand": ((0, 0.7, 1.4), "l_forearm"),
    "l_finger": ((0.03, 0.8, 1.4), "l_hand"),
    "l_thigh": ((0, 0.1, 0.92), "hips"), "l_shin": ((0.03, 0.1, 0.5), "l_thigh"),
    "l_foot": ((0, 0.1, 0.08), "l_shin"), "l_toe": ((0.14, 0.1, 0.02), "l_foot"),
}  # fmt: skip
for _name, ((_x, _y, _z), _parent) in list(BODY.items()):
    if _name.startswith("l_"):
        BODY["r_" + _name[2:]] = ((_x, -_y, _z), _parent.replace("l_", "r_") if _parent.startswith("l_") else _parent)
BONE_OF = {"hip": "thigh", "knee": "shin", "ankle": "foot", "shoulder": "upperarm", "elbow": "forearm", "wrist": "hand"}
WANT = {f"{s}_{joint}": f"{s}_{bone}" for s in "lr" for joint, bone in BONE_OF.items()}
WANT |= {"thorax": "neck", "nose": "head"}


def rigged(
    name: Callable[[str], str], more: dict[str, tuple[tuple[float, float, float], str, bool]] | None = None,
    bend: float = 1.0, frames: int = 5,
) -> Rigged:  # fmt: skip
    """An armature whose bones are called ``name(ours)``; ``more`` are bones under their own names."""
    places = {name(ours): (place, name(parent) if parent else "", True) for ours, (place, parent) in BODY.items()}
    places |= more or {}
    order: list[str] = []
    while len(order) < len(places):
        order += [b for b, (_, parent, _) in places.items() if b not in order and (not parent or parent in order)]
    head = np.array([places[bone][0] for bone in order], float) * (bend, 1, 1)
    parents = tuple(order.index(places[bone][1]) if places[bone][1] else -1 for bone in order)
    rest = np.tile(np.eye(4), (len(order), 1, 1))
    rest[:, :3, 3] = head
    rest[:, :3, :3] = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # bones point up
    length = np.full(len(order), 0.1)
    length[order.index(name("head"))] = 0.2
    deform = np.array([places[bone][2] for bone in order])
    return Rigged("Bob", tuple(order), parents, deform, length, rest, np.tile(rest, (frames, 1, 1, 1)), ("skin",))


def sided(pattern: str, table: dict[str, str]) -> Callable[[str], str]:
    """Names out of a table; ``pattern`` says where ``{s}`` (l), ``{S}`` (L) or ``{Side}`` (Left) and the name go."""

    def name(ours: str) -> str:
        side = ours[0] if ours[:2] in ("l_", "r_") else ""
        bare = table[ours[2:] if side else ours]
        if not side:
            return pattern.split("{")[0].removesuffix(" ") + bare if not pattern.startswith("{") else bare
        return pattern.format(s=side, S=side.upper(), Side={"l": "Left", "r": "Right"}[side], name=bare)

    return name


def _table(**names: str) -> dict[str, str]:
    return {ours.removeprefix("l_"): ours.removeprefix("l_") for ours in BODY} | names


SCHEMES = {
    "mixamo": sided("mixamorig:{Side}{name}", _table(
        hips="Hips", spine="Spine", chest="Spine1", neck="Neck", head="Head", clavicle="Shoulder", upperarm="Arm",
        forearm="ForeArm", hand="Hand", thigh="UpLeg", shin="Leg", foot="Foot", toe="ToeBase")),
    "rigify": sided("{name}.{S}", _table(
        hips="spine", spine="spine.001", chest="spine.003", neck="spine.004", head="spine.006", clavicle="shoulder",
        upperarm="upper_arm")),
    "unreal": sided("{name}_{s}", _table(hips="pelvis", neck="neck_01", shin="calf", forearm="lowerarm")),
    "daz": sided("{s}{name}", _table(
        hips="pelvis", spine="abdomen", chest="chest", clavicle="Collar", upperarm="Shldr", forearm="ForeArm",
        hand="Hand", thigh="Thigh", shin="Shin", foot="Foot")),
    "genesis 8": sided("{s}{name}", _table(
        hips="pelvis", spine="abdomenLower", chest="chestUpper", neck="neckLower", clavicle="Collar",
        upperarm="ShldrBend", forearm="ForearmBend", hand="Hand", thigh="ThighBend", shin="Shin", foot="Foot")),
    "biped": sided("Bip01 {S} {name}", _table(
        hips="Bip01 Pelvis", spine="Spine", chest="Spine1", neck="Bip01 Neck", head="Head", clavicle="Clavicle",
        upperarm="UpperArm", forearm="Forearm", hand="Hand", thigh="Thigh", shin="Calf", foot="Foot")),
    "vroid": sided("J_Bip_{S}_{name}", _table(
        hips="C_Hips", spine="C_Spine", chest="C_Chest", neck="C_Neck", head="C_Head", upperarm="UpperArm",
        forearm="LowerArm", hand="Hand", thigh="UpperLeg", shin="LowerLeg", foot="Foot", clavicle="Shoulder")),
    "studio": sided("Hero_{name}_{S}_jnt", _table(
        hips="Pelvis_jnt", spine="Spine_jnt", chest="Chest_jnt", neck="Neck_jnt", head="Head_jnt", thigh="UpLeg",
        shin="LowLeg", foot="Ankle", upperarm="UpArm", forearm="Elbow", hand="Wrist", clavicle="Clav")),
    "plain": sided("{s}_{name}", _table(thigh="leg1", shin="leg2", upperarm="arm1", forearm="arm2")),
}  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_names_that_exporters_give(scheme: str) -> None:
    name = SCHEMES[scheme]
    rig = rigged(name)
    body = resolve(rig)
    for joint, bone in WANT.items():
        assert body.joints[joint] == ((name(bone), (0.0, 0.0, 0.0)),), joint
    assert body.joints["pelvis"] == ((name("hips"), (0.0, 0.0, 0.0)),)
    middle = "spine" if scheme == "daz" else "chest"  # nearest to the middle of the trunk, but the table knows Daz's
    assert body.joints["spine"] == ((name(middle), (0.0, 0.0, 0.0)),)
    assert body.joints["head_top"] == ((name("head"), (0.0, 0.2, 0.0)),)
    part = {ours: PARTS[body.parts[name(ours)] - 1] for ours in BODY}
    assert {part[f"{s}_{limb}"] for s in "l" for limb in ("hand", "finger")} == {"l_hand"}
    assert part["r_shin"] == "r_shank" and part["r_toe"] == "r_foot" and part["l_upperarm"] == "l_upper_arm"
    assert [part[bone] for bone in ("hips", "spine", "l_clavicle", "head", "neck")] == [
        "hips", "belly", "chest", "head", "neck"]  # fmt: skip


def test_layers_of_a_control_rig() -> None:
    """Bones that move the mesh are taken, not the handles that lie on them or the poles beside them."""
    layers = {}
    for side in "lr":
        for bone, spelt in (("upperarm", "upper_arm"), ("forearm", "forearm"), ("hand", "hand"), ("thigh", "thigh"),
                            ("shin", "shin"), ("foot", "foot")):  # fmt: skip
            place = BODY[f"{side}_{bone}"][0]
            for pattern in ("{}_fk.{}", "ORG-{}.{}", "MCH-{}.{}", "{}_ik.{}", "{}_pole.{}"):
                moved = tuple(np.add(place, (0, 0, 0.2) if "pole" in pattern else 0))
                layers[pattern.format(spelt, side.upper())] = (moved, "rig_root", False)
    layers["rig_root"] = ((0, 0, 0), "", False)
    table = _table(upperarm="upper_arm", hips="hips", neck="neck", head="head")
    name = sided("DEF-{name}.{S}", table)
    body = resolve(rigged(name, layers))
    assert {spelt for ((spelt, _),) in (body.joints[joint] for joint in WANT)} == {name(bone) for bone in WANT.values()}
    # without deforming bones the fk layer is taken before ORG
    fk = sided("{name}_fk.{S}", table)
    org = {f"ORG-{table[b[2:]]}.{b[0].upper()}": (BODY[b][0], fk("hips"), True) for b in BODY if b[1] == "_"}
    assert resolve(rigged(fk, org)).joints["l_elbow"][0][0] == "forearm_fk.L"


def test_halves_of_a_limb_and_what_is_none() -> None:
    name = SCHEMES["genesis 8"]
    twists = {
        f"{s}{bone}Twist": (tuple(np.add(BODY[f"{s}_{of}"][0], (0, 0, -0.1))), name(f"{s}_{of}"), True)
        for s in "lr" for bone, of in (("Thigh", "thigh"), ("Shldr", "upperarm"))
    }  # fmt: skip
    body = resolve(rigged(name, twists))
    assert body.joints["l_hip"][0][0] == "lThighBend"
    assert PARTS[body.parts["lThighTwist"] - 1] == "l_thigh"
    said = words(["LeftHandIK", "thigh_twist.L", "Spine"])
    assert [(word.side, word.text) for word in said] == [("l", "handik"), ("l", "thightwist"), ("", "spine")]


def test_two_that_could_each_be_it_are_refused() -> None:
    name = SCHEMES["studio"]
    second = {"Hero_LowLeg_L": ((0.03, 0.2, 0.5), name("hips"), True)}
    with pytest.raises(SkeletonError, match="l_knee: 'Hero_LowLeg_L', 'Hero_LowLeg_L_jnt' could each be it") as refused:
        resolve(rigged(name, second))
    message = str(refused.value)
    assert "Hero_toe_L_jnt" in message  # the bones are listed
    assert 'l_knee = ""' in message and 'r_knee = "Hero_LowLeg_R_jnt"' in message


def test_a_file_fills_the_gap_and_what_it_gets_wrong(tmp_path: Path) -> None:
    name = SCHEMES["studio"]
    rig = rigged(lambda ours: "Kniegelenk" if ours == "l_shin" else name(ours))
    with pytest.raises(SkeletonError, match="l_knee: no bone's name says so"):
        resolve(rig)
    path = tmp_path / "bones.toml"
    path.write_text(toml(rig).replace('l_knee = ""', 'l_knee = "Kniegelenk"'), encoding="utf-8")
    body = resolve(rig, read_bones(path).of("Bob"))
    assert body.joints["l_knee"] == (("Kniegelenk", (0.0, 0.0, 0.0)),) and body.how == "file"
    path.write_text(
        '[joints]\nl_knee = "wrong"\n[armatures.Bob]\nl_knee = "Kniegelenk"\n'
        'head_top = { bone = "Hero_Head_jnt", at = 0.5 }\npelvis = ["Hero_UpLeg_L_jnt", "Hero_UpLeg_R_jnt"]\n'
    )
    body = resolve(rig, read_bones(path).of("Bob"))
    assert body.joints["head_top"] == (("Hero_Head_jnt", (0.0, 0.1, 0.0)),) and len(body.joints["pelvis"]) == 2
    with pytest.raises(SkeletonError, match="wants bone 'wrong' for l_knee"):
        resolve(rig, read_bones(path).of("Alice"))
    for text, said in (
        ("[joints]\nknee = 'x'", "names knee"), ("[joints]\nl_knee = ''", "leaves l_knee empty"),
        ("[joints]\nl_knee = 3", "wants a bone's name"), ("l_knee = 'x'", "wants tables"), ("[joints", "Cannot read"),
        ("[joints]\nl_knee = { bone = 'x', at = 2 }", "wants a bone's name"), ("", "wants tables"),
        ("joints = 3", "wants joint"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises((FormatError, SkeletonError), match=said):
            read_bones(path)
    json_path = tmp_path / "bones.json"
    json_path.write_text('{"joints": {"l_knee": "Kniegelenk"}}')
    assert resolve(rig, read_bones(json_path).of("Bob")).joints["l_knee"][0][0] == "Kniegelenk"


def test_sides_that_the_body_contradicts(tmp_path: Path) -> None:
    other = {"l": "r", "r": "l"}
    name = SCHEMES["mixamo"]
    swapped = rigged(lambda ours: name(other[ours[0]] + ours[1:] if ours[:2] in ("l_", "r_") else ours))
    with pytest.raises(HandednessError, match="bend as if left and right were swapped"):
        resolve(swapped)
    path = tmp_path / "bones.toml"
    path.write_text(toml(swapped))
    body = resolve(swapped, read_bones(path).of("Bob"))
    assert any("swapped" in remark for remark in body.remarks)
    straight = resolve(rigged(name, bend=0.05))
    assert any("nothing bends" in remark for remark in straight.remarks)


@pytest.mark.parametrize("mirrored", [False, True])
def test_bones_that_are_only_numbered(mirrored: bool) -> None:
    number = {ours: f"Bone.{place:03d}" for place, ours in enumerate(sorted(BODY))}
    rig = rigged(number.__getitem__)
    if mirrored:  # the person looks the other way, so the same branches are the other side
        rig.rest[:, 0, 3] *= -1
        rig.posed[:, :, 0, 3] *= -1
    body = resolve(rig)
    other = {"l": "r", "r": "l"}
    for joint, bone in WANT.items():
        if mirrored and joint[:2] in ("l_", "r_"):
            bone = other[bone[0]] + bone[1:]
        assert body.joints[joint][0][0] == number[bone], joint
    assert body.how == "structure" and any("guessed" in remark for remark in body.remarks)
    flat = rigged(number.__getitem__, bend=0.0)
    with pytest.raises(SkeletonError, match="nothing shows which side is left"):
        resolve(flat)


def test_what_is_no_body_and_no_persons_size() -> None:
    door = rigged(lambda ours: f"hinge {ours[::-1]}")
    small = Rigged("Door", door.bones[:3], door.parents[:3], door.deform[:3], door.length[:3], door.rest[:3],
                   door.posed[:, :3])  # fmt: skip
    with pytest.raises(NoBodyError, match="Armature 'Door' leaves joints open"):
        resolve(small)
    rig = rigged(SCHEMES["mixamo"])
    rig.rest[:, :3] *= 100
    rig.posed[:, :, :3] *= 100
    with pytest.raises(InputError, match="--metres"):
        resolve(rig)
    bare = rigged(SCHEMES["mixamo"])
    alone = Rigged(bare.name, bare.bones, bare.parents, bare.deform, bare.length, bare.rest, bare.posed)
    assert any("moves no mesh" in remark for remark in resolve(alone).remarks)
