"""Acclaim ASF/AMC: the skeleton and the motion of the CMU motion capture database, with exact kinematics.

An ASF bone has a direction and a length in the rest pose and an axis frame
``C``; an AMC frame gives it angles about the axes of that frame, of the degrees
of freedom that it has. Its world rotation is

    R = R_parent C M C^-1

and its tail lies at ``head + R (length x direction)``. A bone begins where its
parent ends, so as an `ArmatureMotion` each bone is a joint that stands at the
bone's head, offset from its parent by the parent's length and direction;
``NAME_end`` is the tail of a bone that carries no other. ``rx ry rz`` and
``XYZ`` mean: first about x, then y, then z, about fixed axes (M = Rz Ry Rx).

Lengths are multiplied by ``:units length``: CMU's files say 0.45 and count in
inches, so one unit is 0.0254 / 0.45 = 0.05644 m. Left out, and refused with a
message: bones that stretch or shift (dof ``l``, ``tx`` ...), a root with a
rest orientation of its own.

No maintained reader of the format was found; hence this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError
from posemend.formats.armature import END, LARGEST, ArmatureMotion, turn
from posemend.formats.limits import MAX_FRAMES, checked_file, read_bytes

INCH = 0.0254
_SPACE = ("x", "y", "z")


@dataclass(frozen=True)
class _Bone:
    vector: NDArray[np.float64]  # from head to tail at rest
    axis: NDArray[np.float64]  # C
    dof: tuple[int, ...]  # axes in the order of the AMC's angles


@dataclass(frozen=True)
class Skeleton:
    """What an ASF file says: bones by name, who carries whom, and the unit."""

    bones: dict[str, _Bone]
    parent: dict[str, str]
    root_order: tuple[str, ...]
    degrees: bool
    metres: float


def find_skeleton(amc: Path) -> Path:
    """The ASF beside an AMC: ``01.asf`` for ``01_01.amc``, one of its own name, or the only one in the folder.

    Raises:
        FormatError: None, or several of which none fits.
    """
    there = {path.stem.lower(): path for path in sorted(amc.parent.iterdir()) if path.suffix.lower() == ".asf"}
    for stem in (amc.stem.lower(), amc.stem.lower().split("_")[0]):
        if stem in there:
            return there[stem]
    if len(there) == 1:
        return next(iter(there.values()))
    raise FormatError(
        f"'{amc}' wants its skeleton beside it: {amc.stem.split('_')[0]}.asf or {amc.stem}.asf; "
        f"the folder has {', '.join(path.name for path in there.values()) or 'no .asf'}."
    )


def read(amc: str | Path, asf: str | Path | None = None) -> ArmatureMotion:
    """One AMC motion on its ASF skeleton. The files carry no clock: ``fps`` is ``None``.

    Raises:
        FormatError: A file is damaged, or the two do not fit together.
    """
    amc = checked_file(amc)
    skeleton = read_skeleton(find_skeleton(amc) if asf is None else asf)
    remarks: list[str] = []
    angles, places = _frames(amc, skeleton, remarks)
    unit = 1.0 if not skeleton.degrees else np.pi / 180
    joints, parents = ["root"], [-1]
    offsets = [np.zeros(3)]
    turns: list[NDArray[np.float64] | None] = [_rotation(_root_axes(skeleton), angles["root"] * unit)]
    for name in _parents_first(skeleton):
        bone, carrier = skeleton.bones[name], skeleton.parent[name]
        parents.append(joints.index(carrier))
        joints.append(name)
        offsets.append(np.zeros(3) if carrier == "root" else skeleton.bones[carrier].vector)
        turns.append(bone.axis @ _rotation(bone.dof, angles[name] * unit) @ bone.axis.T if bone.dof else None)
    for name in [name for name in joints[1:] if name not in skeleton.parent.values()]:
        parents.append(joints.index(name))
        joints.append(name + END)
        offsets.append(skeleton.bones[name].vector)
        turns.append(None)
    return ArmatureMotion(
        tuple(joints),
        tuple(parents),
        np.array(offsets),
        tuple(turns),
        (places, *[None] * (len(joints) - 1)),
        len(places),
        None,
        skeleton.metres,
        tuple(remarks),
    )


def _parents_first(skeleton: Skeleton) -> Iterator[str]:
    waiting = ["root"]
    while waiting:
        carrier = waiting.pop(0)
        children = [name for name, parent in skeleton.parent.items() if parent == carrier]
        yield from children
        waiting += children


def _root_axes(skeleton: Skeleton) -> tuple[int, ...]:
    return tuple(_SPACE.index(word[1]) for word in skeleton.root_order if word[0] == "r")


def _rotation(axes: tuple[int, ...], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3, 3) of (T, len(axes)) radians about fixed axes, the first axis first."""
    whole = np.broadcast_to(np.eye(3), (len(angles), 3, 3))
    for place, axis in enumerate(axes):
        whole = turn(axis, angles[:, place]) @ whole
    return whole


def _lines(path: Path) -> Iterator[list[str]]:
    """Words of each line that says something."""
    for line in read_bytes(path).decode("utf-8-sig", errors="replace").splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            yield words


def _floats(path: Path, words: list[str], what: str, count: int | None = None) -> NDArray[np.float64]:
    try:
        values = np.array(words, np.float64)
    except ValueError:
        values = np.full(0, np.nan)
    if (count is not None and len(values) != count) or (words and not len(values)):
        wanted = "numbers" if count is None else f"{count} numbers"
        raise FormatError(f"'{path}': {what} wants {wanted}, got '{' '.join(words)[:60]}'.")
    return values


def read_skeleton(path: str | Path) -> Skeleton:
    """An ASF file.

    Raises:
        FormatError: Damaged, or it asks for what is left out here.
    """
    path = checked_file(path)
    sections: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    for words in _lines(path):
        if words[0].startswith(":"):
            current = sections.setdefault(words[0].lower(), [])
            if len(words) > 1:
                current.append(words[1:])
        else:
            current.append(words)
    lacking = [name for name in (":root", ":bonedata", ":hierarchy") if name not in sections]
    if lacking:
        raise FormatError(f"'{path}' is no complete ASF skeleton: it lacks {', '.join(lacking)}.")
    units = {words[0].lower(): words[-1].lower() for words in sections.get(":units", [])}
    length = float(_floats(path, [units.get("length", "1")], "units length", 1)[0])
    if not length > 0:
        raise FormatError(f"'{path}': units length wants a number above 0, got {length}.")
    degrees = units.get("angle", "deg").startswith("deg")
    root = {words[0].lower(): [word.lower() for word in words[1:]] for words in sections[":root"]}
    if np.any(_floats(path, root.get("orientation", ["0"]), "root orientation")):
        raise FormatError(f"'{path}': a root with a rest orientation is not read here.")
    order = tuple(root.get("order", ["tx", "ty", "tz", "rx", "ry", "rz"]))
    if not set(order) <= {"tx", "ty", "tz", "rx", "ry", "rz"} or len(set(order)) != len(order):
        raise FormatError(f"'{path}': root order wants TX ... RZ, got '{' '.join(order)}'.")
    bones = dict(_bones(path, sections[":bonedata"], np.pi / 180 if degrees else 1.0))
    parent = _hierarchy(path, sections[":hierarchy"], bones)
    return Skeleton({name: bones[name] for name in parent}, parent, order, degrees, INCH / length)


def _bones(path: Path, lines: list[list[str]], radians: float) -> Iterator[tuple[str, _Bone]]:
    facts: dict[str, list[str]] = {}
    for words in lines:
        key = words[0].lower()
        if key == "begin":
            facts = {}
        elif key == "end":
            name = " ".join(facts.get("name", []))
            if not name:
                raise FormatError(f"'{path}': a bone has no name.")
            direction = _floats(path, facts.get("direction", []), f"direction of {name}", 3)
            length = _floats(path, facts.get("length", []), f"length of {name}", 1)
            axis = facts.get("axis", ["0", "0", "0", "XYZ"])
            dof = tuple(word.lower() for word in facts.get("dof", []))
            letters = axis[3].lower() if len(axis) > 3 else "xyz"
            if not set(dof) <= {"rx", "ry", "rz"} or sorted(letters) != ["x", "y", "z"]:
                raise FormatError(
                    f"'{path}': bone {name} has dof '{' '.join(dof)}' and axis order '{letters}'; "
                    "read are rx, ry, rz, and orders such as XYZ."
                )
            turned = _floats(path, axis[:3], f"axis of {name}", 3) * radians
            if not np.abs([*direction, *length, *turned]).max() < LARGEST:
                raise FormatError(f"'{path}': bone {name} wants numbers below {LARGEST:g}.")
            size = np.linalg.norm(direction)
            frame = _rotation(tuple(map(_SPACE.index, letters)), turned[None])[0]
            vector = direction / size * length[0] if size > 0 else np.zeros(3)
            yield name, _Bone(vector, frame, tuple(_SPACE.index(word[1]) for word in dof))
        else:
            facts[key] = words[1:]


def _hierarchy(path: Path, lines: list[list[str]], bones: dict[str, _Bone]) -> dict[str, str]:
    """Parent of each bone that hangs, over others, on the root."""
    parent: dict[str, str] = {}
    for carrier, *children in lines:
        if carrier.lower() in ("begin", "end"):
            continue
        for child in children:
            if child not in bones or child in parent or (carrier != "root" and carrier not in parent):
                raise FormatError(f"'{path}': the hierarchy hangs '{child}' on '{carrier}'; one is unknown or twice.")
            parent[child] = carrier
    if not parent:
        raise FormatError(f"'{path}' has a hierarchy without bones.")
    return parent


def _frames(
    path: Path, skeleton: Skeleton, remarks: list[str]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Angles (T, dof) of each bone, and the root's place (T, 3)."""
    width = {"root": len(skeleton.root_order)} | {name: len(bone.dof) for name, bone in skeleton.bones.items()}
    moving = [name for name in width if width[name]]
    starts = dict(zip(moving, np.cumsum([0, *(width[name] for name in moving)]).tolist(), strict=False))
    frames: list[list[str]] = []
    frame: list[str] = []
    total = sum(width.values())
    for words in _lines(path):
        name, *values = words
        if not values and name.isdigit():
            frames.append(frame := ["nan"] * total)
        elif name.startswith(":"):
            if name.lower() == ":radians" and skeleton.degrees:
                raise FormatError(f"'{path}' is in radians and its skeleton in degrees. Export both again.")
        elif not frames:
            raise FormatError(f"'{path}' is no AMC motion: '{' '.join(words)[:60]}' comes before the first frame.")
        elif name not in starts:
            raise FormatError(f"'{path}' moves '{name}', which its skeleton lacks or keeps stiff. Wrong .asf?")
        elif len(values) == width[name]:
            frame[starts[name] : starts[name] + len(values)] = values
        else:
            remarks.append(f"frame {len(frames)}: '{name}' has {len(values)} of {width[name]} values")
    if not 0 < len(frames) <= MAX_FRAMES:
        raise FormatError(f"'{path}' has {len(frames)} frames; 1 to {MAX_FRAMES} are read.")
    try:
        table = np.array(frames, np.float64)
    except ValueError:
        raise FormatError(f"'{path}' holds words where numbers belong. The file is damaged.") from None
    table[~(np.abs(table) < LARGEST)] = np.nan
    lost = int(np.isnan(table).any(axis=1).sum())
    if lost:
        remarks.append(f"{lost} frames lack bones or hold no numbers")
    angles = {name: table[:, start : start + width[name]] for name, start in starts.items()}
    root = angles["root"]
    places = np.zeros((len(table), 3))
    for column, word in enumerate(skeleton.root_order):
        if word[0] == "t":
            places[:, _SPACE.index(word[1])] = root[:, column]
    angles["root"] = root[:, [column for column, word in enumerate(skeleton.root_order) if word[0] == "r"]]
    return angles, places
