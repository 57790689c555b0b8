"""BVH (Biovision hierarchy) of any exporter.

The format has no standard. What exporters do differently and is read here:
channels in any order, also rotations before positions and other rotation
orders from joint to joint; one to six channels, position channels on any
joint (Blender, Bandai-Namco); several roots; names with blanks and name
spaces; braces anywhere; decimal commas; a frame count that is not the number
of frames; a last line that is cut off. Rotations are intrinsic, in the order
of the channels, in degrees. Positions are in the parent's frame whatever
their place among the channels.

Position channels hold the joint's place in its parent's frame, *instead of*
the OFFSET (Blender's importer and exporter, MotionBuilder). Some exporters
write them *on top of* the OFFSET. Which of the two is told from the values:
see `_on_top`. A root's positions are taken as they stand.

upc-pymotion (0.3.4) and pybvh (0.9.0) were looked at: the first takes the
first three of six channels for positions and the frame count for true, the
second refuses position channels below the root. Hence this reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError
from posemend.formats.armature import END, LARGEST, ArmatureMotion, turn
from posemend.formats.limits import MAX_FRAMES, checked_file, read_bytes

_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_FRAMES = re.compile(r"^\s*frames?\s*:?\s*([+-]?\d+)\s*$", re.IGNORECASE)
_TIME = re.compile(r"^\s*frame\s*time\s*:?\s*(\S+)\s*$", re.IGNORECASE)
MAX_JOINTS = 5_000
_REST = 1e-3  # share of the armature's size below which an offset is no offset


@dataclass
class _Joint:
    name: str
    parent: int
    offset: tuple[float, float, float] | None = None
    channels: list[tuple[int, str]] = field(default_factory=list)  # (axis, "position" | "rotation")


def read(path: str | Path) -> ArmatureMotion:
    """One BVH file.

    Raises:
        FormatError: Not a BVH file, no hierarchy, no motion, or values that are no numbers.
    """
    path = checked_file(path)
    text = "\n".join(read_bytes(path).decode("utf-8-sig", errors="replace").splitlines())
    parts = re.split(r"^\s*MOTION\b[^\n]*$", text, maxsplit=1, flags=re.MULTILINE | re.IGNORECASE)
    if len(parts) != 2:
        raise FormatError(f"'{path}' has no line MOTION, so it is no complete BVH file. Export it again.")
    joints = _hierarchy(path, parts[0])
    remarks: list[str] = []
    values, fps = _motion(path, parts[1], sum(len(joint.channels) for joint in joints), remarks)
    return _armature(joints, values, fps, remarks)


def _hierarchy(path: Path, text: str) -> list[_Joint]:
    """The joints, tips of chains included, parents first."""
    joints: list[_Joint] = []
    open_joints: list[int] = []
    pending: int | None = None  # a joint that was named and whose brace has not come yet
    lines = text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()
    for line in filter(None, map(str.strip, lines)):
        word, *others = line.split(None, 1)
        word, rest = word.upper(), others[0] if others else ""
        if word in ("ROOT", "JOINT") or (word == "END" and rest.upper().startswith("SITE")):
            parent = open_joints[-1] if open_joints else -1
            if word != "ROOT" and parent < 0:
                raise FormatError(f"'{path}': '{line}' stands outside of any ROOT. The file is damaged.")
            name = rest if word != "END" else joints[parent].name + END
            if not name:
                raise FormatError(f"'{path}': a joint has no name. The file is damaged.")
            pending = len(joints)
            joints.append(_Joint(name, parent if word != "ROOT" else -1))
            if len(joints) > MAX_JOINTS:
                raise FormatError(f"'{path}' has more than {MAX_JOINTS} joints. The file is damaged.")
        elif word == "{":
            if pending is None:
                raise FormatError(f"'{path}': a brace opens without a joint. The file is damaged.")
            open_joints.append(pending)
            pending = None
        elif word == "}":
            if not open_joints:
                raise FormatError(f"'{path}': a brace closes that was never opened. The file is damaged.")
            open_joints.pop()
        elif word == "OFFSET" and open_joints:
            joints[open_joints[-1]].offset = _offset(path, rest)
        elif word == "CHANNELS" and open_joints:
            joints[open_joints[-1]].channels = _channels(path, rest)
        elif word != "HIERARCHY":
            raise FormatError(f"'{path}': '{line[:60]}' has no meaning in the hierarchy of a BVH file.")
    if open_joints or pending is not None:
        raise FormatError(f"'{path}': the hierarchy is cut off, {len(open_joints)} braces are open.")
    if not joints:
        raise FormatError(f"'{path}' names no joints. Wanted HIERARCHY with a ROOT.")
    lost = [joint.name for joint in joints if joint.offset is None]
    if lost:
        raise FormatError(f"'{path}': {lost[0]} has no OFFSET.")
    return joints


def _offset(path: Path, text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(word.replace(",", ".")) for word in text.split())
    except ValueError:
        raise FormatError(f"'{path}': OFFSET wants three numbers, got '{text[:60]}'.") from None
    if not max(abs(x), abs(y), abs(z)) < LARGEST:
        raise FormatError(f"'{path}': OFFSET wants numbers below {LARGEST:g}, got '{text[:60]}'.")
    return x, y, z


def _channels(path: Path, text: str) -> list[tuple[int, str]]:
    count, *words = text.split() or [""]
    found = [_CHANNEL.fullmatch(word) for word in words]
    if not count.isdigit() or int(count) != len(words) or None in found:
        raise FormatError(
            f"'{path}': CHANNELS wants a count and as many of Xposition ... Zrotation, got '{text[:80]}'."
        )
    channels = [("XYZ".index(match[1].upper()), match[2].lower()) for match in found if match]
    shifts = [axis for axis, kind in channels if kind == "position"]
    if len(set(shifts)) != len(shifts):
        raise FormatError(f"'{path}': CHANNELS names a position twice: '{text[:80]}'.")
    return channels


def _motion(path: Path, text: str, width: int, remarks: list[str]) -> tuple[NDArray[np.float64], float | None]:
    """(T, width) channel values and frames per second."""
    told: int | None = None
    seconds: float | None = None
    lines = text.splitlines()
    first = 0
    for first, line in enumerate(lines):  # noqa: B007
        if match := _FRAMES.match(line):
            told = int(match[1])
        elif match := _TIME.match(line):
            seconds = _number(match[1])
        elif line.strip():
            break
    else:
        first = len(lines)
    if width == 0:
        raise FormatError(f"'{path}' has no channels, so nothing moves.")
    body = "\n".join(lines[first:])
    try:
        flat = np.array(body.split(), np.float64)
    except ValueError:
        flat = _salvage(path, body)
    wild = ~(np.abs(flat) < LARGEST)
    if wild.any():
        remarks.append("has values that are no numbers")
        flat[wild] = np.nan
    count, left = divmod(len(flat), width)
    if left:
        remarks.append(f"the last frame is cut off ({left} of {width} values) and was left out")
    if told is not None and told != count:
        remarks.append(f"says {told} frames and has {count}")
    if count == 0:
        raise FormatError(f"'{path}' has no whole frame: {len(flat)} values for {width} channels.")
    if count > MAX_FRAMES:
        raise FormatError(f"'{path}' has {count} frames; at most {MAX_FRAMES} are read. Split the recording.")
    fps = 1 / seconds if seconds and np.isfinite(seconds) and 1e-4 <= seconds <= 1e4 else None
    if fps is None:
        remarks.append("has no usable frame time")
    elif abs(fps - round(fps)) < 5e-4 * fps:
        fps = float(round(fps))  # .00833 means 120, 0.041667 means 24; 59.94 stays what it is
    return flat[: count * width].reshape(count, width), fps


def _number(word: str) -> float | None:
    try:
        return float(word.replace(",", "."))
    except ValueError:
        return None


def _salvage(path: Path, body: str) -> NDArray[np.float64]:
    """Values with decimal commas, or with words such as ``-1.#IND`` that stand for no number."""
    words = body.replace(",", ".").split()
    try:
        return np.array(words, np.float64)
    except ValueError:
        pass
    values = np.array([_number(re.sub(r"^[+-]?1\.#\w+$", "nan", word)) for word in words], object)
    bad = [word for word, value in zip(words, values, strict=True) if value is None]
    if bad:
        raise FormatError(f"'{path}': the motion wants numbers, got '{bad[0][:40]}'. The file is damaged.")
    return values.astype(np.float64)


def _armature(
    joints: list[_Joint], values: NDArray[np.float64], fps: float | None, remarks: list[str]
) -> ArmatureMotion:
    offsets = np.array([joint.offset for joint in joints], np.float64)
    turns: list[NDArray[np.float64] | None] = []
    moved: dict[int, NDArray[np.float64]] = {}
    column = 0
    for place, joint in enumerate(joints):
        own: NDArray[np.float64] | None = None
        for axis, kind in joint.channels:
            channel = values[:, column]
            column += 1
            if kind == "position":
                moved.setdefault(place, np.full((len(values), 3), np.nan))[:, axis] = channel
            else:
                step = turn(axis, np.radians(channel))
                own = step if own is None else own @ step
        turns.append(own)
    shifts = _shifts([joint.parent for joint in joints], offsets, moved, remarks)
    return ArmatureMotion(
        tuple(joint.name for joint in joints),
        tuple(joint.parent for joint in joints),
        offsets,
        tuple(turns),
        tuple(shifts.get(place) for place in range(len(joints))),
        len(values),
        fps,
        remarks=tuple(remarks),
    )


def _shifts(
    parents: list[int], offsets: NDArray[np.float64], moved: dict[int, NDArray[np.float64]], remarks: list[str]
) -> dict[int, NDArray[np.float64]]:
    """Place of each joint with position channels in its parent's frame."""
    below = [place for place in moved if parents[place] >= 0]
    on_top = _on_top(offsets, {place: moved[place] for place in below})
    if on_top:
        remarks.append("position channels are added to the OFFSET")
    shifts = {}
    for place, values in moved.items():
        lacking = np.isnan(values).all(axis=0)  # axes without a channel
        full = np.where(lacking, 0.0 if on_top else offsets[place], values)
        shifts[place] = full + offsets[place] if on_top and parents[place] >= 0 else full
    return shifts


def _on_top(offsets: NDArray[np.float64], moved: dict[int, NDArray[np.float64]]) -> bool:
    """Whether position channels below the root add to the OFFSET: by most joints' vote.

    A bone hardly changes its length. So the channels of most joints lie close
    to the OFFSET where they stand instead of it, and close to 0 where they add
    to it.
    """
    size = np.abs(offsets).max(initial=0)
    votes = 0
    for place, values in moved.items():
        if np.linalg.norm(offsets[place]) > _REST * size and np.isfinite(values).any():
            middle = np.nanmedian(values, axis=0)
            lacking = np.isnan(middle)
            gap = np.where(lacking, 0, middle - offsets[place])
            votes += 1 if np.linalg.norm(np.where(lacking, 0, middle)) < np.linalg.norm(gap) else -1
    return votes > 0
