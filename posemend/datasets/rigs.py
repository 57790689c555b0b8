"""Which joint of somebody's rig is which joint of Human3.6M: name tables for the rigs that people have.

A rig is recognised by its joint names alone. Names are compared without name
space, separators and case, with the side in front (``mixamorig:LeftUpLeg``,
``LeftUpLeg`` and ``upleg.L`` are all ``lupleg``). The first table whose
joints are all there is taken.

The 17 joints are those of the motion packs: the pelvis is the middle of the
hips; ``nose`` is the head's joint at the base of the skull, as in the motion
capture sources (not the tip of the nose); ``thorax`` is the base of the neck.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.errors import SkeletonError
from posemend.formats.armature import END, ArmatureMotion

Floats = NDArray[np.float64]

CMU_UNIT = 0.0254 / 0.45  # metres: inches, scaled by the 0.45 of CMU's ASF files
HEAD_HEIGHT = 0.18  # metres from the head's joint to the top, where a rig has no tip there
THORAX_FORWARD = 0.05 * CMU_UNIT  # metres; the thorax bones of subjects 01, 02, 03 point 0.4 to 3.2 mm forward
TIP = (0.05, 0.35)  # metres from the head's joint within which a tip is believed to be the top of the head

_PREFIX = re.compile(r"^(?:.*:)?(?:mixamorig\d*[_ ]?|bip0*\d*[_ ]|cc_base_|character\d*_|def-)?", re.IGNORECASE)
_SIDE_BEHIND = re.compile(r"^(.*?)[._ -](left|right|l|r)$", re.IGNORECASE)
_SIDE_BEFORE = re.compile(r"^(left|right)[._ -]?(.*)$", re.IGNORECASE)
_SEPARATORS = re.compile(r"[._ -]+")


@dataclass(frozen=True)
class Rig:
    """One family of rigs.

    Attributes:
        name: What it is called in reports.
        joints: Rig joints, best first, for the joints of Human3.6M that are looked up.
        head_top: A rig joint and metres in its frame; ``None`` takes the head's tip, or `HEAD_HEIGHT` along the neck.
        rest_frames: Frames at the start to leave out where the first is a rest pose.
        up: ``"y"`` where that is known, ``None`` to be found from the motion.
        metres: Metres per unit where that is known, ``None`` to be found from the length of the legs.
        cmu: Whether it comes of the CMU database (true frame rates; a lost thorax bone is put back).
        marks: Joints that tell it from rigs with the same names for the rest.
        tips: Where the top of the head may be, best first.
    """

    name: str
    joints: Mapping[str, tuple[str, ...]]
    head_top: tuple[str, tuple[float, float, float]] | None = None
    rest_frames: int = 1
    up: str | None = None
    metres: float | None = None
    cmu: bool = False
    marks: tuple[str, ...] = ()
    tips: tuple[str, ...] = field(default=("headtopend", "head" + END, "headend", "headtop", "headnub"))


def _limbs(
    hip: str, knee: str, ankle: str, shoulder: str, elbow: str, wrist: str, **trunk: str
) -> dict[str, tuple[str, ...]]:
    """Both sides of the limbs; alternatives are written with a bar between them."""
    parts = {"hip": hip, "knee": knee, "ankle": ankle, "shoulder": shoulder, "elbow": elbow, "wrist": wrist}
    sided = {
        f"{side}_{joint}": tuple(side + word for word in words.split("|"))
        for side in "lr"
        for joint, words in parts.items()
    }
    return sided | {joint: tuple(words.split("|")) for joint, words in trunk.items()}


RIGS: tuple[Rig, ...] = (
    Rig(
        "cmu_asf",  # also BVH conversions that keep the ASF's names
        _limbs("femur", "tibia", "foot", "humerus", "radius", "wrist",
               spine="upperback", thorax="lowerneck", nose="head"),
        up="y", metres=CMU_UNIT, cmu=True,
    ),
    Rig(
        "cmu_motionbuilder",  # B. Hahne's conversion (cgspeed), told from others by LHipJoint and LowerBack
        _limbs("upleg", "leg", "foot", "arm", "forearm", "hand",
               spine="spine", thorax="neck", nose="head"),
        up="y", metres=CMU_UNIT, cmu=True, marks=("lhipjoint", "lowerback"),
    ),
    Rig(
        "daz",  # DAZ and Poser figures; CMU trials were put on them with a few frames of blending from the rest pose
        _limbs("thigh", "shin", "foot", "shldr", "forearm", "hand", spine="abdomen", thorax="neck", nose="head"),
        head_top=("head", (0.0012, 0.18, 0.01)), rest_frames=7, up="y", cmu=True,
    ),
    Rig(
        "reactidle",
        _limbs("thigh", "shin", "foot", "upperarm", "forearm", "hand|forearm" + END,
               spine="spine001", thorax="neck", nose="face"),
        head_top=("neck", (0.0, 0.27, 0.0)), up="y",
    ),
    Rig(
        "upperleg",  # Bandai-Namco, Unity, VRM
        _limbs("upperleg", "lowerleg", "foot", "upperarm", "lowerarm", "hand", spine="spine", thorax="neck",
               nose="head"),
    ),
    Rig(
        "upleg",  # MotionBuilder's names: Mixamo, LaFAN1, Perception Neuron
        _limbs("upleg", "leg|lowleg", "foot", "arm|uparm", "forearm|lowarm", "hand", thorax="neck", nose="head"),
    ),
    Rig(
        "thigh",  # Unreal, 3ds Max Biped, Character Creator, Rokoko, Blender's Rigify
        _limbs("thigh", "calf|shin|leg", "foot", "upperarm|arm", "forearm|lowerarm", "hand|forearm" + END,
               thorax="neck|neck01|necktwist01|spine004", nose="head|spine006"),
    ),
    Rig(
        "anatomical",  # named after the joints: Biovision, Xsens, 100STYLE, SMPL, MakeHuman and MocapNET
        _limbs("hip", "knee", "ankle|foot", "shoulder", "elbow", "wrist|hand", thorax="neck", nose="head"),
    ),
)  # fmt: skip


def plain_name(name: str) -> str:
    """A joint's name without name space, separators and case, with ``l`` or ``r`` in front."""
    tip = END if name.endswith(END) else ""
    bare = _PREFIX.sub("", name.removesuffix(END)) or name
    if behind := _SIDE_BEHIND.match(bare):
        bare = behind[2][0] + behind[1]
    elif before := _SIDE_BEFORE.match(bare):
        bare = before[1][0] + before[2]
    return _SEPARATORS.sub("", bare).lower() + tip


def _resolve(rig: Rig, places: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """Joint indices that a table finds, and what it lacks."""
    found, lacking = {}, [mark for mark in rig.marks if mark not in places]
    for joint, names in rig.joints.items():
        place = next((places[name] for name in names if name in places), None)
        if place is None:
            lacking.append(joint)
        else:
            found[joint] = place
    return found, lacking


@dataclass(frozen=True)
class Fit:
    """A rig that was recognised in an armature, and where its joints are there."""

    rig: Rig
    joints: dict[str, int]


def recognise(motion: ArmatureMotion) -> Fit:
    """The first table whose joints are all there.

    Raises:
        SkeletonError: None fits; the message says what the nearest lacks.
    """
    return recognise_names(motion.joints)


def recognise_names(joints: Sequence[str]) -> Fit:
    """`recognise` for names alone; of two joints with one plain name the first counts.

    Raises:
        SkeletonError: None fits; the message says what the nearest lacks.
    """
    places: dict[str, int] = {}
    for place, name in enumerate(joints):
        places.setdefault(plain_name(name), place)
    nearest: tuple[int, str, list[str]] | None = None
    for rig in RIGS:
        found, lacking = _resolve(rig, places)
        if not lacking:
            return Fit(rig, found)
        if nearest is None or len(lacking) < nearest[0]:
            nearest = (len(lacking), rig.name, lacking)
    assert nearest is not None
    hipless = " It has no hips." if {"l_hip", "r_hip"} & set(nearest[2]) else ""
    raise SkeletonError(
        f"The rig's {len(joints)} joint names fit no table.{hipless} Nearest is '{nearest[1]}', "
        f"without {', '.join(nearest[2])}. The file has: {', '.join(joints[:12])} ..."
    )


def lost_thorax(motion: ArmatureMotion, fit: Fit, metres: float) -> Floats | None:
    """The thorax bone that CMU's BVH conversions lose, metres in its carrier's frame; ``None`` where it is there.

    The conversion gives length 0 to a bone whose tail carries several bones.
    The chest then sits on the upper back, and all above it too low by the
    length of the bone, 105 to 125 mm. In the ASF files of subjects 01, 02 and
    03 the thorax bone is as long as the upper back to 0.9 mm and points up, a
    little forward; what is put back is within 2 mm of the ASF's (03_01).
    """
    neck = fit.joints["thorax"]
    chest = motion.parents[neck]
    if not fit.rig.cmu or fit.rig.metres is None or chest < 0 or np.abs(motion.offsets[neck]).max() > 1e-6:
        return None
    return np.array([0.0, float(np.linalg.norm(motion.offsets[chest])) * metres, THORAX_FORWARD])


def spine_joint(parents: Sequence[int], joints: Mapping[str, int], rest: Floats) -> int | None:
    """The joint between hips and neck that is nearest to their middle.

    Args:
        parents: Index of each joint's parent, -1 for a root.
        joints: Where ``l_hip``, ``r_hip`` and ``thorax`` are.
        rest: (J, 3) places at rest.
    """
    middle = (rest[joints["l_hip"]] + rest[joints["r_hip"]]) / 4 + rest[joints["thorax"]] / 2
    chain, place = [], parents[joints["thorax"]]
    while place >= 0:
        chain.append(place)
        place = parents[place]
    gaps = [(float(np.linalg.norm(rest[place] - middle)), place) for place in chain]
    reach = float(np.linalg.norm(middle - rest[joints["thorax"]]))
    near = [place for gap, place in sorted(gaps) if gap < 0.8 * reach]
    return near[0] if near else None


def leg_length(motion: ArmatureMotion, fit: Fit) -> float:
    """Hip to knee to ankle, mean of both sides, in the file's units; NaN where no frame holds numbers."""
    total = 0.0
    for side in "lr":
        chain = [fit.joints[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle")]
        places, _ = motion.forward(chain)
        legs = np.stack([places[joint] for joint in chain], axis=1)
        legs = legs[np.isfinite(legs).all(axis=(1, 2))]
        if not len(legs):
            return float("nan")
        total += float(np.median(np.linalg.norm(np.diff(legs, axis=1), axis=-1), axis=0).sum())
    return total / 2


def to_h36m(motion: ArmatureMotion, fit: Fit, metres: float) -> tuple[Floats, list[str]]:
    """Positions of Human3.6M's 17 joints, in the file's axes.

    Args:
        motion: The armature.
        fit: Its joints, from `recognise`.
        metres: Metres per unit of the file.

    Returns:
        (T, 17, 3) metres, and remarks.
    """
    remarks: list[str] = []
    rest = motion.rest()
    joints = dict(fit.joints)
    if "spine" not in joints:
        spine = spine_joint(motion.parents, fit.joints, rest)
        if spine is None:
            remarks.append("no joint in the middle of the trunk: spine is the middle of pelvis and thorax")
        else:
            joints["spine"] = spine
    top_of, top = _head_top(motion, fit, rest, metres)
    places, turned = motion.forward([*joints.values(), top_of, motion.parents[joints["thorax"]]])
    found = {name: places[place] * metres for name, place in joints.items()}
    found["head_top"] = places[top_of] * metres + turned[top_of] @ top
    bone = lost_thorax(motion, fit, metres)
    if bone is not None:
        lift = turned[motion.parents[joints["thorax"]]] @ bone
        for name in found:
            if name in _ABOVE:
                found[name] = found[name] + lift
        remarks.append(f"the lost thorax bone was put back ({np.linalg.norm(bone) * 1000:.0f} mm)")
    found["pelvis"] = (found["l_hip"] + found["r_hip"]) / 2
    if "spine" not in found:
        found["spine"] = (found["pelvis"] + found["thorax"]) / 2
    return np.stack([found[name] for name in H36M_17.joints], axis=1), remarks


_ABOVE = {"thorax", "nose", "head_top"} | {f"{s}_{j}" for s in "lr" for j in ("shoulder", "elbow", "wrist")}


def _head_top(motion: ArmatureMotion, fit: Fit, rest: Floats, metres: float) -> tuple[int, Floats]:
    """A joint, and the top of the head in its frame, in metres."""
    names = {plain_name(name): place for place, name in reversed(list(enumerate(motion.joints)))}
    if fit.rig.head_top is not None:
        name, vector = fit.rig.head_top
        return names[name], np.array(vector)
    head = fit.joints["nose"]
    for tip in fit.rig.tips:
        if tip in names and TIP[0] <= np.linalg.norm(rest[names[tip]] - rest[head]) * metres <= TIP[1]:
            return names[tip], np.zeros(3)
    along = rest[head] - rest[fit.joints["thorax"]]
    length = float(np.linalg.norm(along))
    return head, along / length * HEAD_HEIGHT if length > 0 else np.array([0.0, HEAD_HEIGHT, 0.0])
