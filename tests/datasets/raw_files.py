"""Motion files as exporters write them, and where their joints are, worked out one frame at a time.

A person of 1.7 m walks on the spot: x to the left, y up, z forward. The same
motion is written on any rig; the truth comes from SciPy's rotations, joint by
joint, not from the code under test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

# joint, parent, metres from its parent
PERSON: tuple[tuple[str, str | None, tuple[float, float, float]], ...] = (
    ("hips", None, (0, 0, 0)),
    ("spine", "hips", (0, 0.11, 0)),
    ("chest", "spine", (0, 0.14, -0.01)),
    ("neck", "chest", (0, 0.24, 0.01)),
    ("head", "neck", (0, 0.1, 0.02)),
    ("l_arm", "chest", (0.18, 0.19, 0)),
    ("l_elbow", "l_arm", (0.28, 0, 0)),
    ("l_hand", "l_elbow", (0.25, 0, 0)),
    ("r_arm", "chest", (-0.18, 0.19, 0)),
    ("r_elbow", "r_arm", (-0.28, 0, 0)),
    ("r_hand", "r_elbow", (-0.25, 0, 0)),
    ("l_leg", "hips", (0.09, -0.04, 0)),
    ("l_knee", "l_leg", (0, -0.42, 0)),
    ("l_foot", "l_knee", (0, -0.41, 0)),
    ("r_leg", "hips", (-0.09, -0.04, 0)),
    ("r_knee", "r_leg", (0, -0.42, 0)),
    ("r_foot", "r_knee", (0, -0.41, 0)),
)
TIPS = {
    "head": (0, 0.18, 0), "l_hand": (0.1, 0, 0), "r_hand": (-0.1, 0, 0),
    "l_foot": (0, -0.07, 0.13), "r_foot": (0, -0.07, 0.13),
}  # fmt: skip
H36M = {
    "l_hip": "l_leg", "l_knee": "l_knee", "l_ankle": "l_foot", "r_hip": "r_leg", "r_knee": "r_knee",
    "r_ankle": "r_foot", "thorax": "neck", "nose": "head", "l_shoulder": "l_arm", "l_elbow": "l_elbow",
    "l_wrist": "l_hand", "r_shoulder": "r_arm", "r_elbow": "r_elbow", "r_wrist": "r_hand",
}  # fmt: skip

MIXAMO = {
    "hips": "mixamorig:Hips", "spine": "mixamorig:Spine", "chest": "mixamorig:Spine1", "neck": "mixamorig:Neck",
    "head": "mixamorig:Head",
    **{f"{s}_{a}": f"mixamorig:{side}{b}" for s, side in (("l", "Left"), ("r", "Right"))
       for a, b in (("arm", "Arm"), ("elbow", "ForeArm"), ("hand", "Hand"),
                    ("leg", "UpLeg"), ("knee", "Leg"), ("foot", "Foot"))},
}  # fmt: skip
RIGIFY = {
    "hips": "spine", "spine": "spine.001", "chest": "spine.002", "neck": "neck", "head": "head",
    **{f"{s}_{a}": f"{b}.{s.upper()}" for s in "lr"
       for a, b in (("arm", "upper_arm"), ("elbow", "forearm"), ("hand", "hand"),
                    ("leg", "thigh"), ("knee", "shin"), ("foot", "foot"))},
}  # fmt: skip
DAZ = {
    "hips": "hip", "spine": "abdomen", "chest": "chest", "neck": "neck", "head": "head",
    **{f"{s}_{a}": f"{s}{b}" for s in "lr"
       for a, b in (("arm", "Shldr"), ("elbow", "ForeArm"), ("hand", "Hand"),
                    ("leg", "Thigh"), ("knee", "Shin"), ("foot", "Foot"))},
}  # fmt: skip
XSENS = {
    "hips": "Hips", "spine": "Chest", "chest": "Chest2", "neck": "Neck", "head": "Head",
    **{f"{s}_{a}": f"{side} {b}" for s, side in (("l", "Left"), ("r", "Right"))
       for a, b in (("arm", "Shoulder"), ("elbow", "Elbow"), ("hand", "Wrist"),
                    ("leg", "Hip"), ("knee", "Knee"), ("foot", "Ankle"))},
}  # fmt: skip


def _names(trunk: str, limbs: str, left: str, right: str) -> dict[str, str]:
    """A rig's names: five for the trunk, six for the limbs, and how a side is put to those (``%`` is the limb)."""
    parts = zip(("arm", "elbow", "hand", "leg", "knee", "foot"), limbs.split(), strict=True)
    sides = (("l", left), ("r", right))
    pairs = [(f"{s}_{part}", side.replace("%", word)) for part, word in parts for s, side in sides]
    return dict(zip(("hips", "spine", "chest", "neck", "head"), trunk.split(), strict=True)) | dict(pairs)


OTHERS = {  # as these tools name their joints
    "Unreal": _names("pelvis spine_01 spine_02 neck_01 head", "upperarm lowerarm hand thigh calf foot", "%_l", "%_r"),
    "Biped": _names("Bip01 Bip01_Spine Bip01_Spine1 Bip01_Neck Bip01_Head",
                    "UpperArm Forearm Hand Thigh Calf Foot", "Bip01 L %", "Bip01 R %"),
    "Character Creator": _names("CC_Base_Hip CC_Base_Waist CC_Base_Spine01 CC_Base_NeckTwist01 CC_Base_Head",
                                "Upperarm Forearm Hand Thigh Calf Foot", "CC_Base_L_%", "CC_Base_R_%"),
    "SMPL": _names("Pelvis Spine1 Spine2 Neck Head", "Shoulder Elbow Wrist Hip Knee Ankle", "L_%", "R_%"),
    "Unity": _names("Hips Spine Chest Neck Head", "UpperArm LowerArm Hand UpperLeg LowerLeg Foot", "Left%", "Right%"),
    "Rokoko": _names("Hips Spine1 Spine2 Neck Head", "Arm ForeArm Hand Thigh Shin Foot", "Left%", "Right%"),
    "LaFAN1": _names("Hips Spine Spine1 Neck Head", "Arm ForeArm Hand UpLeg Leg Foot", "Left%", "Right%"),
    "HDM05": _names("Hips Spine Chest Neck Head", "UpArm LowArm Hand UpLeg LowLeg Foot", "Left%", "Right%"),
    "Rigify's metarig": _names("spine spine.001 spine.002 spine.004 spine.006",
                               "upper_arm forearm hand thigh shin foot", "%.L", "%.R"),
}  # fmt: skip


@dataclass
class Walk:
    """Rotation vectors (T, 3) of each joint in its parent's frame, and the hips' place (T, 3) in metres."""

    place: np.ndarray
    turns: dict[str, np.ndarray]

    @classmethod
    def steps(cls, frames: int, fps: float) -> Walk:
        time = np.arange(frames) / fps
        swing = np.sin(2 * np.pi * 0.9 * time)
        nothing = np.zeros(frames)
        turns = {name: np.zeros((frames, 3)) for name, _, _ in PERSON}
        for side, sign in (("l", 1), ("r", -1)):
            turns[f"{side}_leg"] = np.stack([-0.5 * sign * swing, 0.05 * swing, nothing], 1)
            turns[f"{side}_knee"] = np.stack([0.5 + 0.4 * sign * swing, nothing, nothing], 1)
            turns[f"{side}_arm"] = np.stack([nothing, -0.4 * swing, -sign * (1.1 + 0.1 * swing)], 1)
            turns[f"{side}_elbow"] = np.stack([0.1 * swing, -sign * (0.7 + 0.3 * swing), nothing], 1)
        turns["hips"] = np.stack([0.1 * swing, 0.6 + 0.2 * swing, 0.05 * swing], 1)
        turns["chest"] = np.stack([0.1 + nothing, -0.3 * swing, 0.04 * swing], 1)
        turns["head"] = np.stack([0.2 * swing, 0.3 * swing, nothing], 1)
        place = np.stack([0.02 * swing, 0.9 + 0.02 * np.abs(swing), 0.1 * time], 1)
        return cls(place, turns)

    def positions(self) -> dict[str, np.ndarray]:
        """(T, 3) world metres, y up, of each joint and of tips (``NAME_end``)."""
        found: dict[str, np.ndarray] = {}
        turned: dict[str, Rotation] = {}
        for name, parent, offset in PERSON:
            own = Rotation.from_rotvec(self.turns[name])
            turned[name] = own if parent is None else turned[parent] * own
            found[name] = self.place if parent is None else found[parent] + turned[parent].apply(offset)
            if name in TIPS:
                found[f"{name}_end"] = found[name] + turned[name].apply(TIPS[name])
        return found


def z_up(positions: np.ndarray) -> np.ndarray:
    """From y up to z up."""
    return np.stack([positions[..., 0], -positions[..., 2], positions[..., 1]], axis=-1)


@dataclass
class Bvh:
    """How one exporter writes a BVH file.

    Attributes:
        names: Its name of each joint of `PERSON`.
        scale: File units per metre.
        orders: Rotation order by joint; ``"ZXY"`` for the others.
        positions: ``"root"``, ``"all"`` (channels in place of the OFFSET) or ``"added"`` (on top of it).
        rotation_first: Whether the root's rotations come before its positions.
        frame_time: Word after ``Frame Time:``; the true one if left out.
        told: Word after ``Frames:``; the true one if left out.
        turned: Turns the whole file, for exporters with another axis up.
    """

    names: Mapping[str, str]
    scale: float = 100.0
    orders: Mapping[str, str] = field(default_factory=dict)
    positions: str = "root"
    rotation_first: bool = False
    frame_time: str = ""
    told: str = ""
    turned: Rotation = field(default_factory=Rotation.identity)

    def text(self, walk: Walk, fps: float) -> str:
        children: dict[str | None, list[str]] = {}
        offsets = {}
        for name, parent, offset in PERSON:
            children.setdefault(parent, []).append(name)
            offsets[name] = self.turned.apply(offset) * self.scale
        lines, columns = ["HIERARCHY"], []

        def joint(name: str, depth: int) -> None:
            pad = "  " * depth
            lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {self.names[name]}")
            lines.append(pad + "{")
            lines.append(pad + "  OFFSET " + " ".join(f"{value:.6f}" for value in offsets[name]))
            order = self.orders.get(name, "ZXY")
            rotations = [f"{axis}rotation" for axis in order]
            shifts = ["Xposition", "Yposition", "Zposition"] if depth == 0 or self.positions != "root" else []
            words = rotations + shifts if self.rotation_first else shifts + rotations
            lines.append(f"{pad}  CHANNELS {len(words)} {' '.join(words)}")
            own = self.turned * Rotation.from_rotvec(walk.turns[name]) * self.turned.inv()
            angles = own.as_euler(order, degrees=True)
            if depth == 0:
                moved = self.turned.apply(walk.place) * self.scale
            else:
                moved = np.tile(offsets[name] if self.positions == "all" else 0 * offsets[name], (len(walk.place), 1))
            columns.extend(
                [angles, moved] if self.rotation_first and shifts else [moved, angles] if shifts else [angles]
            )
            for child in children.get(name, []):
                joint(child, depth + 1)
            if name in TIPS:
                tip = " ".join(f"{value:.6f}" for value in self.turned.apply(TIPS[name]) * self.scale)
                lines.extend([pad + "  End Site", pad + "  {", f"{pad}    OFFSET {tip}", pad + "  }"])
            lines.append(pad + "}")

        joint("hips", 0)
        table = np.concatenate(columns, axis=1)
        lines += ["MOTION", f"Frames: {self.told or len(table)}", f"Frame Time: {self.frame_time or f'{1 / fps:.7f}'}"]
        lines += [" ".join(f"{value:.6f}" for value in row) for row in table]
        return "\n".join(lines) + "\n"

    def write(self, path: Path, walk: Walk, fps: float) -> Path:
        path.write_text(self.text(walk, fps), encoding="utf-8")
        return path


ASF_BONES = (  # bone, parent, from head to tail in metres, degrees of its axis, degrees of freedom
    ("lhipjoint", "root", (0.09, -0.04, 0), (0, 0, 0), ""),
    ("lfemur", "lhipjoint", (0.1, -0.41, 0), (0, 0, 20), "rx ry rz"),
    ("ltibia", "lfemur", (0.1, -0.4, 0), (0, 0, 20), "rx"),
    ("lfoot", "ltibia", (0, -0.05, 0.12), (-90, 5, 20), "rx rz"),
    ("rhipjoint", "root", (-0.09, -0.04, 0), (0, 0, 0), ""),
    ("rfemur", "rhipjoint", (-0.1, -0.41, 0), (0, 0, -20), "rx ry rz"),
    ("rtibia", "rfemur", (-0.1, -0.4, 0), (0, 0, -20), "rx"),
    ("rfoot", "rtibia", (0, -0.05, 0.12), (-90, -5, -20), "rx rz"),
    ("lowerback", "root", (0, 0.12, -0.01), (0, 0, 0), "rx ry rz"),
    ("upperback", "lowerback", (0, 0.12, 0), (0, 0, 0), "rx ry rz"),
    ("thorax", "upperback", (0, 0.12, 0), (0, 0, 0), "rx ry rz"),
    ("lowerneck", "thorax", (0, 0.09, 0.01), (0, 0, 0), "rx ry rz"),
    ("head", "lowerneck", (0, 0.1, 0), (10, 0, 0), "rx ry rz"),
    ("lclavicle", "thorax", (0.17, 0.03, -0.02), (0, 0, 0), "ry rz"),
    ("lhumerus", "lclavicle", (0.29, 0, 0), (180, 30, 90), "rx ry rz"),
    ("lradius", "lhumerus", (0.2, 0, 0), (180, 30, 90), "rx"),
    ("lwrist", "lradius", (0.1, 0, 0), (180, 30, 90), "ry"),
    ("rclavicle", "thorax", (-0.17, 0.03, -0.02), (0, 0, 0), "ry rz"),
    ("rhumerus", "rclavicle", (-0.29, 0, 0), (180, -30, -90), "rx ry rz"),
    ("rradius", "rhumerus", (-0.2, 0, 0), (180, -30, -90), "rx"),
    ("rwrist", "rradius", (-0.1, 0, 0), (180, -30, -90), "ry"),
)
ASF_UNIT = 0.0254 / 0.45


def write_asf(path: Path) -> Path:
    """A skeleton in the layout of CMU's files."""
    lines = [":version 1.10", ":name VICON", ":units", "  mass 1.0", "  length 0.45", "  angle deg", ":root",
             "   order TX TY TZ RX RY RZ", "   axis XYZ", "   position 0 0 0", "   orientation 0 0 0",
             ":bonedata"]  # fmt: skip
    for number, (name, _, vector, axis, dof) in enumerate(ASF_BONES, 1):
        length = float(np.linalg.norm(vector))
        lines += ["  begin", f"     id {number}", f"     name {name}",
                  "     direction " + " ".join(f"{v / length:.9f}" for v in vector),
                  f"     length {length / ASF_UNIT:.9f}",
                  f"     axis {axis[0]} {axis[1]} {axis[2]}  XYZ"]  # fmt: skip
        if dof:
            lines += [f"    dof {dof}"] + ["    limits (-160.0 20.0)"] + ["           (-70.0 70.0)"] * dof.count(" ")
        lines.append("  end")
    lines += [":hierarchy", "  begin"]
    parents = dict.fromkeys(parent for _, parent, *_ in ASF_BONES)
    lines += [f"    {parent} " + " ".join(name for name, p, *_ in ASF_BONES if p == parent) for parent in parents]
    path.write_text("\n".join([*lines, "  end"]) + "\n", encoding="utf-8")
    return path


def write_amc(path: Path, frames: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A motion for `write_asf`'s skeleton; gives the (T, 3) metres of each bone's head and of ``NAME_end``."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 2 * np.pi, frames)
    dofs = {"root": "rx ry rz"} | {name: dof for name, _, _, _, dof in ASF_BONES if dof}
    wide = {
        name: np.stack([20 * rng.uniform(0.2, 1) * np.sin(time + rng.uniform(0, 6)) for _ in dof.split()], 1)
        for name, dof in dofs.items()
    }
    for side in "lr":
        wide[f"{side}tibia"] += 35  # knees bend backwards
    place = np.stack([np.sin(time), 16 + np.cos(time), time], 1)  # in file units
    lines = ["#!OML:ASF F:\\VICON\\USERDATA\\01.ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(frames):
        lines.append(str(frame + 1))
        lines.append("root " + " ".join(f"{v:.6f}" for v in [*place[frame], *wide["root"][frame]]))
        lines += [f"{name} " + " ".join(f"{v:.6f}" for v in wide[name][frame]) for name in dofs if name != "root"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    turned = {"root": Rotation.from_euler("xyz", wide["root"], degrees=True)}
    tails = {"root": place * ASF_UNIT}
    found = {"root": tails["root"]}
    for name, parent, vector, axis, dof in ASF_BONES:
        frame_of = Rotation.from_euler("xyz", axis, degrees=True)
        angles = np.zeros((frames, 3))
        if dof:
            angles[:, [["rx", "ry", "rz"].index(word) for word in dof.split()]] = wide[name]
        turned[name] = turned[parent] * frame_of * Rotation.from_euler("xyz", angles, degrees=True) * frame_of.inv()
        found[name] = tails[parent]
        found[f"{name}_end"] = tails[name] = tails[parent] + turned[name].apply(vector)
    return found


def plug_in_gait(walk: Walk) -> dict[str, np.ndarray]:
    """(T, 3) metres, z up, of Plug-in Gait's markers round the joints of a walk; the true hips come along."""
    at = {name: z_up(places) for name, places in walk.positions().items()}
    hips = Rotation.from_rotvec(walk.turns["hips"])
    out: dict[str, np.ndarray] = {}

    def on_hips(x: float, y: float, z: float) -> np.ndarray:
        return at["hips"] + z_up(hips.apply([x, y, z]))

    out["LASI"], out["RASI"] = on_hips(0.12, 0.05, 0.1), on_hips(-0.12, 0.05, 0.1)
    out["LPSI"], out["RPSI"] = on_hips(0.05, 0.05, -0.08), on_hips(-0.05, 0.05, -0.08)
    side = z_up(hips.apply([1, 0, 0]))
    for label, key, sign in (("L", "l", 1), ("R", "r", -1)):
        out[f"{label}KNE"] = at[f"{key}_knee"] + sign * 0.057 * side
        out[f"{label}ANK"] = at[f"{key}_foot"] + sign * 0.042 * side
        out[f"{label}SHO"] = at[f"{key}_arm"] + np.array([0, 0, 0.05])
        out[f"{label}ELB"] = at[f"{key}_elbow"]
        out[f"{label}WRA"] = at[f"{key}_hand"] + np.array([0.03, 0, 0])
        out[f"{label}WRB"] = at[f"{key}_hand"] - np.array([0.03, 0, 0])
        out[f"{label}FHD"] = at["head"] + np.array([sign * 0.07, -0.08, 0.1])
        out[f"{label}BHD"] = at["head"] + np.array([sign * 0.07, 0.08, 0.1])
    out["C7"] = at["neck"] + np.array([0, 0.05, 0.02])
    out["CLAV"] = at["neck"] + np.array([0, -0.05, -0.02])
    out["T10"] = at["chest"] + np.array([0, 0.08, 0])
    out["STRN"] = at["chest"] + np.array([0, -0.08, 0])
    return out


def write_c3d(path: Path, markers: Mapping[str, np.ndarray], fps: float, unit: str = "mm", prefix: str = "") -> Path:
    """Markers (T, 3) metres through ezc3d; NaN becomes a gap."""
    import ezc3d

    scale = {"mm": 1000.0, "m": 1.0, "cm": 100.0}[unit]
    content = ezc3d.c3d()
    content["parameters"]["POINT"]["RATE"]["value"] = [fps]
    content["parameters"]["POINT"]["UNITS"]["value"] = [unit]
    content["parameters"]["POINT"]["LABELS"]["value"] = [prefix + label for label in markers]
    places = np.stack(list(markers.values())) * scale  # (M, T, 3)
    content["data"]["points"] = np.concatenate([places.transpose(2, 0, 1), np.ones((1, *places.shape[:2]))])
    content.write(str(path))
    return path
