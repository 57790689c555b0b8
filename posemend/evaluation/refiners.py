"""The table of refiners: what each of them makes of the poses of each lifter, on each input.

One clip is lifted once and its raw pose is given to every refiner. Numbers are
those of the protocol (per clip first, then the mean over clips). Beside them
stands the change in per cent against the raw pose, with an interval by bootstrap
over clips in which raw and refined clips are drawn together.

A refiner may refuse a pose whose left and right are swapped. Its user would be
left with the raw pose, so that is what is counted, and how often is said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.errors import HandednessError, InputError
from posemend.evaluation.compare import Comparison, clip_numbers, compare
from posemend.evaluation.fast import FastTally
from posemend.evaluation.protocol import BOOTSTRAPS, COLUMNS, clean, harm_of, harm_summary, interval, mean_of
from posemend.evaluation.report import load, number_or_none, save
from posemend.occlusion.hide import keypoints_for

Lift = Callable[[Pose2D], Pose3D]
Refine = Callable[[Pose3D, Pose2D], Pose3D]
Cell = dict[str, Any]

KIND = "refiners"
RAW = "raw"
KEPT = ("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm", "accel_mm")
# column of the table -> where a cell has it
PLACES: dict[str, tuple[str, ...]] = {
    **{column: ("mpjpe_mm", column) for column in COLUMNS},
    **{f"p_mpjpe_{column}": ("p_mpjpe_mm", column) for column in COLUMNS},
    "mpjve": ("mpjve_mm",), "accel": ("accel_mm",),
    "fast_mpjpe": ("fast", "mpjpe_mm"), "fast_accel": ("fast", "accel_mm"),
}  # fmt: skip


class _Tally:
    """Collects the clips of one refiner, or of the raw poses."""

    def __init__(self) -> None:
        self.clips: list[dict[str, Any]] = []
        self.fast = FastTally()
        self.harms: list[float] = []
        self.refused = 0

    def add(self, take: Take, compared: Comparison, raw: Comparison | None) -> None:
        self.fast.add(compared)
        numbers = clip_numbers(compared)
        self.clips.append({"name": take.name, **{key: numbers[key] for key in KEPT}})
        if raw is not None:
            self.harms.append(harm_of(compared, raw))

    def cell(self, seed: int, raw: _Tally | None) -> Cell:
        fast = self.fast.summary()
        found: Cell = {
            **{key: mean_of(self.clips, key) for key in KEPT},
            "ci95_mm": {
                column: interval([clip["mpjpe_mm"][column] for clip in self.clips], seed) for column in COLUMNS
            },
            "fast": fast and {key: fast[key] for key in ("frames", "from_mm_per_s", "mpjpe_mm", "accel_mm")},
            "harm_mm": harm_summary(self.harms),
            "refused_clips": self.refused,
        }
        harms = [(harm, clip["name"]) for harm, clip in zip(self.harms, self.clips, strict=False) if harm == harm]
        found["harm_mm"]["worst_name"] = max(harms)[1] if harms else None
        if raw is not None:
            before = raw.cell(seed, None)
            found["change_percent"] = {name: _percent(at(found, name), at(before, name)) for name in PLACES}
            found["change_ci95_percent"] = {
                name: _paired(self.clips, raw.clips, PLACES[name], seed) for name in (*COLUMNS, "accel")
            }
        return found


def at(cell: Mapping[str, Any], column: str) -> float | None:
    """A cell's number in a column of ``PLACES``; ``None`` where it has none."""
    found: Any = cell
    for key in PLACES[column]:
        found = found.get(key) if isinstance(found, Mapping) else None
    return None if found != found else found  # not a number


def _percent(after: float | None, before: float | None) -> float | None:
    return None if after is None or not before else 100 * (after / before - 1)


def _paired(
    after: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]], place: tuple[str, ...], seed: int
) -> list[float] | None:
    """95 % interval of the change in per cent, by bootstrap over clips; ``None`` for fewer than two clips."""

    def numbers(clips: Sequence[Mapping[str, Any]]) -> np.ndarray:
        found: list[Any] = list(clips)
        for key in place:
            found = [part[key] for part in found]
        return np.array(found, float)

    pairs = np.stack([numbers(after), numbers(before)], 1)
    pairs = pairs[np.isfinite(pairs).all(1)]
    if len(pairs) < 2:
        return None
    drawn = pairs[np.random.default_rng(seed).integers(0, len(pairs), (BOOTSTRAPS, len(pairs)))].mean(1)
    if (drawn[:, 1] <= 0).any():
        return None
    low, high = np.percentile(100 * (drawn[:, 0] / drawn[:, 1] - 1), [2.5, 97.5])
    return [float(low), float(high)]


def measure(
    takes: Iterable[Take],
    lift: Lift,
    refiners: Mapping[str, Refine],
    *,
    input: str,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Cell]:
    """One lifter on one input: the raw poses, and what each refiner makes of them.

    Args:
        takes: Recordings with truth.
        lift: From keypoints to 3D; called once per clip.
        refiners: By name; each is given the raw pose and the same keypoints.
        input: As for ``posemend.evaluation.protocol.evaluate``.
        seed: Of the simulated detector and of the bootstrap.
        progress: Called with (clips done, clips in all).

    Returns:
        A cell for ``"raw"`` and for each refiner, ready for JSON.

    Raises:
        InputError: No takes, no such input, a refiner called ``raw``, or a pose that does not fit its take.
    """
    takes = list(takes)
    if not takes:
        raise InputError("There is nothing to evaluate on: no takes were given.")
    if RAW in refiners:
        raise InputError(f"No refiner can be called '{RAW}': that is the pose without one.")
    raw_tally = _Tally()
    tallies = {name: _Tally() for name in refiners}
    for done, take in enumerate(takes, 1):
        keypoints = keypoints_for(take, input, seed)
        raw = lift(keypoints)
        before = compare(take, raw)
        raw_tally.add(take, before, None)
        for name, refine in refiners.items():
            try:
                after = compare(take, refine(raw, keypoints))
            except HandednessError:
                after = before
                tallies[name].refused += 1
            tallies[name].add(take, after, before)
        if progress is not None:
            progress(done, len(takes))
    cells = {RAW: raw_tally.cell(seed, None)}
    cells |= {name: tally.cell(seed, raw_tally) for name, tally in tallies.items()}
    return clean(cells)


Cells = Mapping[str, Mapping[str, Mapping[str, Cell]]]  # lifter, input, refiner


def averages(cells: Cells, lifters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Means over lifters, by input, refiner and group of lifters.

    Args:
        cells: By lifter, input and refiner.
        lifters: By name; ``left_out`` says that refiners were trained without it, ``aside`` that it does not count.

    Returns:
        For the groups ``all``, ``trained_with`` and ``left_out`` the names of the ``lifters``, and means of every
        column, of the change in per cent (each lifter's own first) and of the harm; the worst clip of any.
    """
    counted = {name: facts for name, facts in lifters.items() if name in cells and not facts["aside"]}
    groups = {
        "all": list(counted),
        "trained_with": [name for name, facts in counted.items() if not facts["left_out"]],
        "left_out": [name for name, facts in counted.items() if facts["left_out"]],
    }
    inputs = dict.fromkeys(input for name in counted for input in cells[name])
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for input in inputs:
        refiners = dict.fromkeys(refiner for name in counted for refiner in cells[name].get(input, {}))
        found[input] = {
            refiner: {
                group: _group([name for name in names if refiner in cells[name].get(input, {})], cells, input, refiner)
                for group, names in groups.items()
            }
            for refiner in refiners
        }
    return clean(found)


def _group(names: list[str], cells: Cells, input: str, refiner: str) -> dict[str, Any] | None:
    if not names:
        return None
    chosen = [cells[name][input][refiner] for name in names]

    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    worst = [cell["harm_mm"]["worst_clip"] for cell in chosen if cell["harm_mm"]["worst_clip"] is not None]
    return {
        "lifters": names,
        "mean": {column: mean(at(cell, column) for cell in chosen) for column in PLACES},
        "change_percent": {
            column: mean(cell.get("change_percent", {}).get(column) for cell in chosen) for column in PLACES
        },
        "harm_mm": {
            "mean": mean(cell["harm_mm"]["mean"] for cell in chosen), "worst_clip": max(worst) if worst else None
        },
    }  # fmt: skip


def check_table(table: Mapping[str, Any]) -> None:
    """Hold a table against its schema.

    Raises:
        InputError: Something is missing or of the wrong kind; the message lists all of it.
    """
    if not isinstance(table, Mapping) or table.get("kind") != KIND:
        raise InputError("A table of refiners wants a JSON object of kind 'refiners'.")
    wrong = [f"'{key}' wants an object" for key in ("settings", "lifters", "refiners", "cells", "averages")
             if not isinstance(table.get(key), Mapping)]  # fmt: skip
    if not wrong:
        settings = table["settings"]
        wrong += [f"'settings.{key}' is missing" for key in ("on", "split", "seed") if key not in settings]
        wrong += [f"'lifters.{name}' says neither left_out nor aside" for name, facts in table["lifters"].items()
                  if not {"left_out", "aside", "weights"} <= set(facts)]  # fmt: skip
        wrong += _wrong_cells(table)
    wrong += [
        f"'{key}' wants a whole number above 0"
        for key in ("clips", "frames")
        if not isinstance(table.get(key), int) or isinstance(table.get(key), bool) or table[key] < 1
    ]
    if not wrong and averages(table["cells"], table["lifters"]) != table["averages"]:
        wrong.append("'averages' are not those of the cells")
    try:
        json.dumps(table, allow_nan=False)
    except (TypeError, ValueError) as error:
        wrong.append(f"it cannot be written as strict JSON ({error})")
    if wrong:
        raise InputError("This is no table of refiners: " + "; ".join(wrong) + ".")


def _wrong_cells(table: Mapping[str, Any]) -> list[str]:
    wrong = []
    for lifter, inputs in table["cells"].items():
        if lifter not in table["lifters"]:
            wrong.append(f"'{lifter}' has cells and is not among the lifters")
        for input, refiners in inputs.items():
            where = f"cells.{lifter}.{input}"
            if RAW not in refiners:
                wrong.append(f"'{where}' has no raw poses")
            for name, cell in refiners.items():
                if name != RAW and name not in table["refiners"]:
                    wrong.append(f"'{where}.{name}' is not among the refiners")
                if at(cell, "all") is None or not all(number_or_none(at(cell, column)) for column in PLACES):
                    wrong.append(f"'{where}.{name}' wants numbers")
                if name != RAW and "change_percent" not in cell:
                    wrong.append(f"'{where}.{name}' has no change against raw")
    return wrong


def save_table(path: str | Path, table: Mapping[str, Any]) -> Path:
    """Write a table whole or not at all, with ``averages``, commit, machine and versions, and give the path.

    Raises:
        InputError: The table breaks its schema, or the file cannot be written.
    """
    return save(path, {**table, "averages": averages(table["cells"], table["lifters"])}, check_table)


def read_table(path: str | Path) -> dict[str, Any]:
    """A table from disk, checked; raises ``InputError`` as ``report.load``."""
    return load(path, "a table of refiners", check_table)
