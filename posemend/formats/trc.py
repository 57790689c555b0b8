"""TRC, the marker files of OpenSim and many others: read as markers, or as a pose.

Five lines of heading (file, names of the heading's values, the values, marker
names every third column, X1 Y1 Z1 …), then one row per frame: number, time,
three numbers per marker. Tabs or commas; an empty cell is a marker that was not
found. Lengths are in the unit that the heading names. OpenSim's files, and those
that Pose2Sim writes, have y up; posemend's world has z up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import skeleton as skeleton_named
from posemend.body.pose import Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, InputError, SkeletonError
from posemend.formats.limits import checked_file, checked_fps, checked_frames, read_text
from posemend.formats.notes import tell

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "meters": 1.0, "millimeters": 0.001}
_ALSO = {"head": "head_top", "hip": "pelvis", "c_hip": "pelvis"}  # Pose2Sim's words for joints of this vocabulary


@dataclass(frozen=True, eq=False)
class Markers:
    """Named points over time.

    Attributes:
        names: Markers as the file spells them.
        positions: (T, M, 3) metres, world axes, z up; NaN where a marker is missing.
        fps: Frames per second.
        name: Stem of the file.
    """

    names: tuple[str, ...]
    positions: NDArray[np.float64]
    fps: float
    name: str

    def pose(self, skeleton: str | Skeleton) -> Pose3D:
        """The markers that a skeleton names, as a pose in world axes; the others of its joints are absent.

        Raises:
            SkeletonError: Fewer than half of the joints are among the markers.
        """
        target = skeleton_named(skeleton) if isinstance(skeleton, str) else skeleton
        own = {joint_name(name): place for place, name in enumerate(self.names)}
        places = [own.get(joint, -1) for joint in target.joints]
        if sum(place >= 0 for place in places) * 2 < len(target):
            raise SkeletonError(
                f"'{self.name}': only {sum(place >= 0 for place in places)} of the {len(target)} joints of "
                f"'{target.name}' are among the markers {', '.join(self.names[:8])}, …. Choose a closer skeleton."
            )
        positions = np.where(np.array(places)[:, None] >= 0, self.positions[:, places], np.nan)
        known = np.all(np.isfinite(positions), -1)
        return Pose3D(
            np.where(known[..., None], positions, 0), target, known.astype(np.float32), known, self.fps, "world",
            name=self.name,
        )  # fmt: skip


def joint_name(marker: str) -> str:
    """``RBigToe`` as ``r_big_toe``, ``Head`` as ``head_top``: a marker's name in the vocabulary of skeletons."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"^([RLC])(?=[A-Z])", r"\1_", marker.strip())).lower()
    return _ALSO.get(words, words)


def read_markers(path: str | Path, up: str = "y") -> Markers:
    """The markers of a TRC file.

    Args:
        path: The file.
        up: Which of the file's axes points up, ``"y"`` or ``"z"``.

    Raises:
        FormatError: Not TRC, damaged, or a unit that is not known.
        InputError: ``up`` is neither.
    """
    if up not in ("y", "z"):
        raise InputError(f"up wants 'y' or 'z', got '{up}'.")
    path = checked_file(path)
    where = f"'{path}'"
    lines = read_text(path).splitlines()
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise FormatError(f"{where} is no TRC file: wanted 'PathFileType' first and five lines of heading.")
    mark = "," if lines[0].count(",") > lines[0].count("\t") else "\t"
    if mark not in lines[3]:
        mark = "\t" if "\t" in lines[3] else ","
    heads = [[cell.strip() for cell in line.split(mark)] for line in lines[1:4]]
    head = dict(zip(heads[0], heads[1], strict=False))
    if not {"DataRate", "Units", "NumMarkers"} <= set(head):
        raise FormatError(f"{where}: the heading lacks DataRate, Units or NumMarkers. Write the file again.")
    factor = UNITS.get(head["Units"].lower())
    if factor is None:
        raise FormatError(f"{where}: lengths are in '{head['Units']}'; known are {', '.join(UNITS)}.")
    names = tuple(filter(None, heads[2][2:]))
    if heads[2][0] != "Frame#" or not names or head["NumMarkers"] != str(len(names)):
        raise FormatError(f"{where}: {head['NumMarkers']} markers are promised and {len(names)} named.")
    rows = [line.split(mark) for line in lines[5:] if line.strip(mark + " ")]
    checked_frames(len(rows), where)
    if head.get("NumFrames", "").isdigit() and int(head["NumFrames"]) != len(rows):
        tell(f"{where}: {head['NumFrames']} frames are promised and {len(rows)} are there. The file may be cut off.")
    try:
        fps = checked_fps(float(head["DataRate"]), where)
        table = np.array([[_number(cell) for cell in _row(row, 3 * len(names))] for row in rows])
    except ValueError as error:
        raise FormatError(f"{where}: wanted numbers ({error}). The file is damaged or cut off.") from None
    positions = table.reshape(len(rows), len(names), 3) * factor
    # y up to z up, as Pose2Sim turns them: (x, y, z) of the file are (y, z, x) of the world
    return Markers(names, positions[..., [2, 0, 1]] if up == "y" else positions, fps, path.stem)


def _number(cell: str) -> float:
    return float(cell) if cell.strip() else np.nan


def _row(cells: list[str], count: int) -> list[str]:
    """The numbers of the markers; trailing separators are common, missing ones are empty cells at the end."""
    if len(cells) < 2 or not cells[0].strip().isdigit():
        raise ValueError(f"a row that begins with '{cells[0][:20]}'")
    values = cells[2 : 2 + count]
    return values + [""] * (count - len(values))
