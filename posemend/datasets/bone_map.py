"""From an armature's bones to Human3.6M's joints and to parts of a body, for rigs out of Blender.

A joint is the beginning of a bone, its end, a place between, or the middle of
several such. Where it is comes from, first of what is there: a file of the
user's; the name tables of `posemend.datasets.rigs`; pieces of names
(`bone_names`); the shape of the armature (`bone_structure`). What was guessed
is checked against the body: its size, and which way knees, elbows and feet
point. A guess that stays open, or that the body contradicts, is refused with a
file to fill in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.body.handedness import handedness
from posemend.body.pose import Pose3D
from posemend.datasets import rigs
from posemend.datasets.bone_file import Given, Place, skeleton_text
from posemend.datasets.bone_names import Rigged, by_names
from posemend.datasets.bone_parts import LIMBS, NEEDED, bone_parts, place_at
from posemend.datasets.bone_structure import by_structure, sides_turned
from posemend.errors import HandednessError, InputError, SkeletonError
from posemend.occlusion.figure import body_height

BODY = 8  # of the needed joints; an armature with fewer is no body but a door or a car
UNEVEN = 2.2  # upper to lower part of a guessed limb, either way round
BESIDE = 0.5  # of the thigh's length that a pelvis bone may be off the middle of the hips
STEEP = 0.5  # cosine; a head's tail that leaves the neck's direction further is an importer's invention


class NoBodyError(SkeletonError):
    """The armature has hardly a joint of a body."""


@dataclass(frozen=True, eq=False)
class Body:
    """An armature whose joints are known.

    Attributes:
        armature: Its name.
        joints: By joint of Human3.6M, in its order: bones, and where in each one's own axes; the middle of all counts.
        parts: By bone: place in `posemend.occlusion.figure.PARTS`, plus 1.
        how: ``"file"``, ``"table NAME"``, ``"names"`` or ``"structure"``.
        remarks: What a user should look at.
    """

    armature: str
    joints: dict[str, tuple[tuple[str, tuple[float, float, float]], ...]]
    parts: dict[str, int]
    how: str
    remarks: tuple[str, ...]

    def as_job(self) -> dict[str, object]:
        """What the scripts inside of Blender read."""
        return {"armature": self.armature, "joints": list(self.joints.values()), "parts": self.parts}


def _head(bone: int) -> Place:
    return ((bone, (0.0, 0.0, 0.0)),)


def _guessed(rigged: Rigged, given: Mapping[str, Place]) -> tuple[dict[str, int], dict[str, str], str]:
    """Bones by joint, open joints with the reason, and how they were found."""
    order = rigged.order()
    try:
        fit = rigs.recognise_names([rigged.bones[bone] for bone in order])
        return {joint: order[place] for joint, place in fit.joints.items()}, {}, f"table {fit.rig.name}"
    except SkeletonError:
        guess = by_names(rigged)
    open_ = {joint: why for joint, why in guess.open.items() if joint in NEEDED and joint not in given}
    if open_ and len(set(guess.joints) & set(NEEDED)) < 3 and not given:
        shape = by_structure(rigged)
        if shape is not None:
            return shape, {}, "structure"
    return guess.joints, open_, "names"


def resolve(rigged: Rigged, given: Given | None = None) -> Body:
    """Find every joint.

    Args:
        rigged: The armature.
        given: What the user's file says of it; other joints are guessed.

    Raises:
        NoBodyError: Hardly a joint was found.
        SkeletonError: Joints stay open, or are ambiguous; the message lists the bones and gives a file to fill in.
        HandednessError: The body bends as if left and right were swapped.
        InputError: A bone of the file is not there, joints coincide, or the size is no person's.
    """
    try:
        places = given.places(rigged) if given else {}
    except SkeletonError as error:
        if is_body(rigged) or (given and given.knows(rigged)):
            raise
        raise NoBodyError(str(error)) from None  # the file is about another armature
    found, open_, how = _guessed(rigged, places)
    if len(set(found) & set(NEEDED) | set(places)) < BODY:
        raise NoBodyError(_wanted(rigged, found, places, open_))
    if open_:
        raise SkeletonError(_wanted(rigged, found, places, open_))
    known = {joint: places.get(joint) or _head(found[joint]) for joint in NEEDED}
    remarks: list[str] = []
    if how != "structure" or places:
        remarks += _check_sides(rigged, known, found, "file" if set(LIMBS) <= set(places) else how)
    else:
        known = _turn(rigged, known, found)
    if how in ("names", "structure"):
        _check_limbs(rigged, known, found, places)
        remarks.append(f"armature '{rigged.name}': joints were guessed from its {how}; see them with `blender bones`")
    known |= _trunk(rigged, known, found, places, how)
    positions = np.stack([place_at(rigged, known[joint]) for joint in H36M_17.joints], axis=1)
    try:
        body_height(positions, H36M_17)
    except InputError as error:
        raise InputError(
            f"Armature '{rigged.name}': {error} Name other bones with --bones FILE, or the size of Blender's unit with "
            "--metres (0.01 for a scene in centimetres)."
        ) from None
    if not rigged.meshes:
        remarks.append(f"armature '{rigged.name}' moves no mesh that is rendered: its own body hides nothing")
    spelt = {joint: tuple((rigged.bones[bone], local) for bone, local in known[joint]) for joint in H36M_17.joints}
    return Body(rigged.name, spelt, bone_parts(rigged, known), "file" if set(NEEDED) <= set(places) else how,
                tuple(remarks))  # fmt: skip


def is_body(rigged: Rigged) -> bool:
    """Whether enough joints are found for a body, be it that some stay open."""
    return len(set(_guessed(rigged, {})[0]) & set(NEEDED)) >= BODY


def toml(rigged: Rigged, given: Given | None = None, named: bool = False) -> str:
    """A file of bones for one armature: what is known filled in, what is not left open.

    Args:
        rigged: The armature.
        given: What a file says already.
        named: Write it for this armature alone.
    """
    places = given.places(rigged) if given else {}
    try:
        body = resolve(rigged, given)
    except InputError:
        found, _, _ = _guessed(rigged, places)
        return skeleton_text(rigged, {joint: _head(bone) for joint, bone in found.items()} | places, named)
    place = {name: number for number, name in enumerate(rigged.bones)}
    return skeleton_text(
        rigged,
        {joint: tuple((place[bone], local) for bone, local in where) for joint, where in body.joints.items()},
        named,
    )


def _wanted(rigged: Rigged, found: Mapping[str, int], places: Mapping[str, Place], open_: Mapping[str, str]) -> str:
    known = {joint: _head(bone) for joint, bone in found.items()} | dict(places)
    grouped: dict[str, list[str]] = {}
    for joint, why in open_.items():
        grouped.setdefault(why, []).append(joint)
    reasons = "; ".join(f"{', '.join(joints)}: {why}" for why, joints in grouped.items())
    names = [rigged.bones[bone] for bone in rigged.order()]
    more = f" and {len(names) - 80} more" if len(names) > 80 else ""
    return (
        f"Armature '{rigged.name}' leaves joints open ({reasons or 'it has hardly any'}). Its {len(names)} bones: "
        f"{', '.join(names[:80])}{more}. Fill this in, save it, and name it with --bones FILE:\n"
        f"{skeleton_text(rigged, known)}"
    )


def _pose(rigged: Rigged, known: Mapping[str, Place]) -> Pose3D:
    """The joints that the test of sides asks for, in the frames that are known."""
    middle = known["l_hip"] + known["r_hip"]
    order = [known.get(joint, middle) for joint in H36M_17.joints]
    return Pose3D(np.stack([place_at(rigged, place) for place in order], 1).astype(np.float32), H36M_17, frame="world")


def _toes(rigged: Rigged, known: Mapping[str, Place]) -> float:
    """`sides_turned`, as far as each joint is one bone."""
    return sides_turned(rigged, {joint: place[0][0] for joint, place in known.items()})


def _check_sides(rigged: Rigged, known: Mapping[str, Place], found: Mapping[str, int], how: str) -> list[str]:
    """Remarks; names whose left and right the body contradicts are refused, a file's are not."""
    verdict = handedness(_pose(rigged, known)).verdict
    toes = _toes(rigged, known)
    if verdict == "mirrored" or (verdict == "unknown" and toes < 0):
        seen = "knees and elbows bend" if verdict == "mirrored" else "the feet point"
        said = f"Armature '{rigged.name}': {seen} as if left and right were swapped"
        if how == "file":
            return [f"{said}. The file of bones is followed all the same"]
        raise HandednessError(
            f"{said}, where bones were found by {how}. If the names are right all the same, say so with --bones FILE:\n"
            f"{skeleton_text(rigged, {joint: _head(bone) for joint, bone in found.items()})}"
        )
    if verdict == "unknown" and toes == 0:
        return [f"armature '{rigged.name}': nothing bends far enough to check left and right; they are as named"]
    return []


def _turn(rigged: Rigged, known: dict[str, Place], found: Mapping[str, int]) -> dict[str, Place]:
    """The right way round, where names do not say which side is which."""
    verdict = handedness(_pose(rigged, known)).verdict
    signs = {np.sign(_toes(rigged, known)), {"right": 1.0, "mirrored": -1.0, "unknown": 0.0}[verdict]} - {0.0}
    if len(signs) != 1:
        raise SkeletonError(
            f"Armature '{rigged.name}': a body's shape is there, but "
            f"{'feet and knees contradict each other' if signs else 'nothing shows'} which side is left. "
            f"Name the bones with --bones FILE, from this guess:\n"
            f"{skeleton_text(rigged, {joint: _head(bone) for joint, bone in found.items()})}"
        )
    if signs == {1.0}:
        return known
    other = {"l": "r", "r": "l"}
    return {joint: known[other[joint[0]] + joint[1:]] if joint in LIMBS else known[joint] for joint in known}


def _check_limbs(
    rigged: Rigged, known: Mapping[str, Place], found: Mapping[str, int], places: Mapping[str, Place]
) -> None:
    """Refuse a guess with a limb whose parts do not fit each other."""
    for side in "lr":
        for chain in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            names = [f"{side}_{joint}" for joint in chain]
            points = np.stack([place_at(rigged, known[name], rest=True) for name in names])
            one, two = np.linalg.norm(np.diff(points, axis=0), axis=-1)
            if not (0 < one <= UNEVEN * two and 0 < two <= UNEVEN * one):
                why = dict.fromkeys(names, f"the parts of this limb would be {one:.3g} and {two:.3g} long")
                raise SkeletonError(_wanted(rigged, {j: b for j, b in found.items() if j not in why}, places, why))


def _trunk(
    rigged: Rigged, known: Mapping[str, Place], found: Mapping[str, int], places: Mapping[str, Place], how: str
) -> dict[str, Place]:
    """Pelvis, spine and the top of the head."""
    hips = known["l_hip"] + known["r_hip"]
    middle = place_at(rigged, hips, rest=True)
    thigh = float(
        np.linalg.norm(place_at(rigged, known["l_knee"], rest=True) - place_at(rigged, known["l_hip"], rest=True))
    )
    head = rigged.heads()
    pelvis = found.get("pelvis")
    if pelvis is None:
        pelvis = next((b for b in rigged.above(known["l_hip"][0][0]) if b in rigged.above(known["r_hip"][0][0])), None)
        named = [bone for bone in rigged.above(known["l_hip"][0][0]) if rigs.plain_name(rigged.bones[bone]) == "hips"]
        pelvis = named[0] if named else pelvis
    near = pelvis is not None and np.linalg.norm(head[pelvis] - middle) <= BESIDE * thigh
    trunk: dict[str, Place] = {"pelvis": _head(pelvis) if near and pelvis is not None else hips}
    spine = found.get("spine")
    if spine is None:
        single = {joint: known[joint][0][0] for joint in ("l_hip", "r_hip", "thorax")}
        spine = rigs.spine_joint(rigged.parents, single, head)
    trunk["spine"] = _head(spine) if spine is not None else trunk["pelvis"] + known["thorax"]
    trunk["head_top"] = _head_top(rigged, known)
    return {joint: places.get(joint, place) for joint, place in trunk.items()}


def _head_top(rigged: Rigged, known: Mapping[str, Place]) -> Place:
    """A tip that is named so, the end of the head's bone, or a usual height above the base of the skull."""
    bone = known["nose"][0][0]
    skull = place_at(rigged, known["nose"], rest=True)
    along = skull - place_at(rigged, known["thorax"], rest=True)
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    tips = rigs.Rig("", {}).tips
    named = {rigs.plain_name(name): number for number, name in reversed(list(enumerate(rigged.bones)))}
    ends: list[Place] = [_head(named[tip]) for tip in tips if tip in named]
    for place in [*ends, ((bone, (0.0, float(rigged.length[bone]), 0.0)),)]:
        way = place_at(rigged, place, rest=True) - skull
        far = float(np.linalg.norm(way))
        if rigs.TIP[0] <= far <= rigs.TIP[1] and float(way @ along) >= STEEP * far:
            return place
    local = np.linalg.solve(rigged.rest[bone, :3, :3], skull + along * rigs.HEAD_HEIGHT - rigged.rest[bone, :3, 3])
    return ((bone, (float(local[0]), float(local[1]), float(local[2]))),)
