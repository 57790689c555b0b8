"""C3D: named markers over time, by way of ezc3d.

A marker that a camera system did not see in a frame (residual below 0, or all
coordinates exactly 0) is NaN here, never a number. Positions come in metres whatever POINT:UNITS says, in
the file's own axes. Left out: analog channels, forces, events; angles, forces
and powers that Vicon stores among the points are dropped, since they are no
places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError, require
from posemend.formats.limits import checked_file, checked_fps, checked_frames

Floats = NDArray[np.float64]

_METRES = {"mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0, "in": 0.0254, "inch": 0.0254}
_NOT_PLACES = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS")
_AXES = {"+X": (0, 1), "+Y": (1, 1), "+Z": (2, 1), "-X": (0, -1), "-Y": (1, -1), "-Z": (2, -1)}


@dataclass(frozen=True, eq=False)
class Markers:
    """Markers of one recording.

    Attributes:
        labels: Names as in the file.
        positions: (T, M, 3) metres in the file's axes; NaN where a marker was not seen.
        fps: Frames per second.
        up: Axis (0, 1, 2) and sign of "up" where the file says so (POINT:Y_SCREEN).
        remarks: What was wrong with the file and how it was read all the same.
    """

    labels: tuple[str, ...]
    positions: Floats
    fps: float
    up: tuple[int, int] | None
    remarks: tuple[str, ...] = ()

    def named(self) -> dict[str, Floats]:
        """(T, 3) by label without the subject's name in front (``Kim:LASI``); of several the first."""
        found: dict[str, Floats] = {}
        for place, label in enumerate(self.labels):
            found.setdefault(label.rsplit(":", 1)[-1].strip().upper(), self.positions[:, place])
        return found


def read(path: str | Path) -> Markers:
    """The markers of one C3D file.

    Raises:
        FormatError: Not a C3D file, damaged, without points, or in a unit that is not known.
        MissingExtra: ezc3d is not installed.
    """
    path = checked_file(path)
    with path.open("rb") as file:
        head = file.read(2)
    if len(head) < 2 or head[1] != 0x50:  # the format's key: its second byte is 80
        raise FormatError(f"'{path}' is no C3D file: its second byte is not 80. Export it again.")
    ezc3d = require("ezc3d", "mocap")
    try:
        content = ezc3d.c3d(str(path))
        points = np.asarray(content["data"]["points"], np.float64)
        parameters = content["parameters"]["POINT"]
        labels = _labels(parameters)
        fps = float(parameters["RATE"]["value"][0])
        unit = str(parameters.get("UNITS", {"value": ["mm"]})["value"][0]).strip().lower()
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, MemoryError) as error:
        raise FormatError(f"'{path}' cannot be read as C3D ({str(error).strip() or type(error).__name__}).") from None
    count = points.shape[1] if points.ndim == 3 else 0
    if not count or len(labels) < count:
        raise FormatError(f"'{path}' holds {count} points and {len(labels)} labels; wanted at least one, all named.")
    checked_frames(points.shape[2], f"'{path}'")
    if unit not in _METRES:
        raise FormatError(f"'{path}': POINT:UNITS is '{unit}'; known are {', '.join(_METRES)}.")
    positions = np.moveaxis(points[:3], 0, -1).swapaxes(0, 1) * _METRES[unit]
    positions[~np.isfinite(positions).all(axis=-1) | (positions == 0).all(axis=-1)] = np.nan
    keep = [place for place in range(count) if labels[place] not in _no_places(parameters)]
    if not keep:
        raise FormatError(f"'{path}' holds angles and forces only, no markers.")
    return Markers(
        tuple(labels[place] for place in keep),
        np.ascontiguousarray(positions[:, keep]),
        checked_fps(fps, f"'{path}'"),
        _up(parameters),
        _cut_off(content, points.shape[2]),
    )


def _labels(parameters: Any) -> list[str]:
    """LABELS, LABELS2, ...: a parameter holds 255 at most."""
    found: list[str] = []
    number = 1
    while (key := "LABELS" if number == 1 else f"LABELS{number}") in parameters:
        found += [str(label).strip() for label in parameters[key]["value"]]
        number += 1
    return found


def _no_places(parameters: Any) -> set[str]:
    return {
        str(label).strip() for key in _NOT_PLACES if key in parameters for label in parameters[key].get("value", [])
    }


def _up(parameters: Any) -> tuple[int, int] | None:
    try:
        return _AXES.get(str(parameters["Y_SCREEN"]["value"][0]).strip().upper())
    except (KeyError, IndexError, TypeError):
        return None


def _cut_off(content: Any, frames: int) -> tuple[str, ...]:
    """A remark where the recording has more frames than the file (TRIAL:ACTUAL_*_FIELD, two 16-bit words each)."""
    try:
        trial = content["parameters"]["TRIAL"]
        first, last = (
            int(trial[f"ACTUAL_{end}_FIELD"]["value"][0]) + 65536 * int(trial[f"ACTUAL_{end}_FIELD"]["value"][1])
            for end in ("START", "END")
        )
    except (KeyError, IndexError, TypeError, ValueError):
        return ()
    told = last - first + 1
    return (f"says {told} frames and has {frames}",) if told > frames else ()
