"""The errors of a real 2D detector, as a handful of measured numbers that can be drawn from again.

`posemend.occlusion.error_fit` measures them on detections of videos whose truth
is known; a small JSON file holds them. `draw` then gives what that detector
might have said

- **definition**: the detector means another point of the body than the data set
  does; a constant offset per joint in the trunk's axes, in trunk lengths;
- **lag**: detectors that smooth over time are late;
- **error**: what is left, relative to the person's size in the image. Its
  magnitude has the measured distribution, per joint and apart for visible,
  self-occluded and otherwise hidden joints, tails included; its course is Gaussian noise with a slow and a
  fast memory, partly common to the body and to each part of it;
- **score**: the measured distribution, likewise, with the measured correlation
  to the error;
- **swaps** of left and right and frames with **nobody**, in runs.

Left out on purpose: what depends on the picture (clothes, light, other people).
The fixed detector of the evaluation protocol is `posemend.occlusion.detector`
and has nothing to do with this one.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.errors import FormatError, InputError

Floats = NDArray[np.float32]
Table = dict[str, tuple[float, ...]]  # by joint group

FORMAT, VERSION = "posemend-detector", 1
FOLDER = Path(__file__).parent / "detectors"

GROUPS = ("pelvis", "hip", "knee", "ankle", "spine", "thorax", "nose", "head_top", "shoulder", "elbow", "wrist")
GROUP_OF = np.array([GROUPS.index(name.removeprefix("l_").removeprefix("r_")) for name in H36M_17.joints])
_PARTS = ("pelvis hip spine", "thorax shoulder", "nose head_top", "knee ankle", "elbow wrist")


def _part_of(joint: str) -> int:
    """Parts whose joints err together; legs and arms count by side."""
    bare = joint.removeprefix("l_").removeprefix("r_")
    part = next(place for place, names in enumerate(_PARTS) if bare in names.split())
    return part + 2 if part >= 3 and joint.startswith("r_") else part


PART_OF = np.array([_part_of(name) for name in H36M_17.joints])
PART_COUNT = len(_PARTS) + 2

KINDS = ("visible", "self", "other")  # by the numbers VISIBLE, SELF, OTHER

# Where the tables are kept: lengths of a 2D standard normal vector for errors (Rayleigh), normal scores for scores.
RADII = np.linspace(0, 3.6, 13)
LEVELS = np.linspace(-2.4, 2.4, 13)


@dataclass(frozen=True)
class Memory:
    """How noise forgets: ``slow`` of its variance with the time constant ``slow_s``, the rest with ``fast_s``, in s."""

    slow: float
    slow_s: float
    fast_s: float

    def makes_sense(self) -> bool:
        """Whether such noise can be."""
        return 0 <= self.slow <= 1 and self.slow_s > 0 and self.fast_s > 0


@dataclass(frozen=True)
class ErrorModel:
    """A detector's measured errors, on Human3.6M's 17 joints.

    Attributes:
        name: Such as ``"mediapipe"``.
        about: Which detector, and what it was measured on.
        definition: By joint group: left, forward, up, in trunk lengths; left joints as given, right ones mirrored.
        lag_s: Seconds by which detections are late.
        errors: By kind (`KINDS`) and joint group, error at the places `RADII` of a 2D normal vector's length, in
            shares of the person's size (`person_size`).
        scores: Likewise, score at the normal scores `LEVELS`.
        memory, score_memory: How errors and scores wander.
        body, part: Share of the errors' variance that all joints, and that the joints of one part, have in common.
        score_error: By kind, correlation of normal scores of error and score.
        swap_share, swap_s: Share of frames in which legs or arms are exchanged, and seconds of a run.
        miss_share, miss_s: The same for frames in which nobody is found.
        spread: Spread of the logarithm of errors from one clip to the next.
    """

    name: str
    about: str
    definition: dict[str, tuple[float, float, float]]
    errors: dict[str, Table]
    scores: dict[str, Table]
    memory: Memory
    score_memory: Memory
    lag_s: float = 0.0
    body: float = 0.0
    part: float = 0.0
    score_error: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    swap_share: float = 0.0
    swap_s: float = 0.1
    miss_share: float = 0.0
    miss_s: float = 0.1
    spread: float = 0.0
    measured: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        groups = set(GROUPS)
        good = {
            "definition": set(self.definition) == groups and all(len(row) == 3 for row in self.definition.values()),
            "errors": _is_whole(self.errors, len(RADII)),
            "scores": _is_whole(self.scores, len(LEVELS)),
            "score_error": set(self.score_error) == set(KINDS) and max(map(abs, self.score_error.values())) <= 1,
            "memory": self.memory.makes_sense(),
            "score_memory": self.score_memory.makes_sense(),
            "body, part": min(self.body, self.part) >= 0 and self.body + self.part <= 1,
            "swap_share, miss_share": 0 <= self.swap_share < 1 and 0 <= self.miss_share < 1,
            "swap_s, miss_s": self.swap_s > 0 and self.miss_s > 0,
            "lag_s, spread": 0 <= self.lag_s <= 1 and 0 <= self.spread <= 3,
        }
        wrong = [key for key, fine in good.items() if not fine]
        if wrong:
            raise InputError(
                f"Detector '{self.name}': {'; '.join(wrong)} cannot be. Wanted every kind ({', '.join(KINDS)}) and "
                f"joint group ({', '.join(GROUPS)}), rising tables of {len(RADII)} numbers from 0 up, and shares "
                "between 0 and 1. Fit it again."
            )


def _is_whole(tables: dict[str, Table], length: int) -> bool:
    return set(tables) == set(KINDS) and all(
        set(table) == set(GROUPS)
        and all(len(row) == length and row[0] >= 0 and list(row) == sorted(row) for row in table.values())
        for table in tables.values()
    )


def to_json(model: ErrorModel) -> str:
    """The model's file."""
    text = json.dumps({"format": FORMAT, "version": VERSION, **asdict(model)}, indent=1, allow_nan=False)
    # one line a table; text never holds a raw end of line, so nothing else is met
    return re.sub(r"\[\n([^][]*)\]", lambda row: f"[{' '.join(row.group(1).split())}]", text) + "\n"


def from_json(text: str, where: str) -> ErrorModel:
    """A model from its file.

    Raises:
        FormatError: No such file, or not whole.
        InputError: Numbers that cannot be.
    """
    try:
        table = json.loads(text)
        if (table.pop("format"), table.pop("version")) != (FORMAT, VERSION):
            raise KeyError(FORMAT)
        for key in ("memory", "score_memory"):
            table[key] = Memory(**table[key])
        table["definition"] = _rows(table["definition"])
        for key in ("errors", "scores"):
            table[key] = {kind: _rows(rows) for kind, rows in table[key].items()}
        return ErrorModel(**table)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{where} is no detector model ({error}). Wanted JSON with format '{FORMAT}', version {VERSION}, as "
            "`python -m benchmarks.detections` writes it."
        ) from None


def _rows(rows: dict[str, list[float]]) -> Table:
    return {group: tuple(float(value) for value in row) for group, row in rows.items()}


def names() -> tuple[str, ...]:
    """The detectors that come with posemend."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@cache
def load(name: str) -> ErrorModel:
    """A detector by its name, or from a ``.json`` file.

    Raises:
        InputError: No such detector.
        FormatError: The file cannot be read.
    """
    path = Path(name) if name.endswith(".json") else FOLDER / f"{name}.json"
    if not path.is_file():
        raise InputError(f"No detector is called '{name}'. There are: {', '.join(names())}; or name a .json file.")
    try:
        return from_json(path.read_text(encoding="utf-8"), f"'{path}'")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"Detector '{path}' cannot be read: {error}") from None
