"""The part of ``docs/results.md`` that shows ``results/refiners.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.markdown import table as drawn
from posemend.evaluation.refiners import at

HEAD = (
    "all", "visible", "hidden", "P-MPJPE", "MPJVE", "accel", "fast", "fast accel", "all %", "hidden %", "accel %",
    "harm", "worst clip",
)  # fmt: skip
COLUMNS = ("all", "visible", "hidden", "p_mpjpe_all", "mpjve", "accel", "fast_mpjpe", "fast_accel")
CHANGES = ("all", "hidden", "accel")
GROUPS = {
    "all": "mean over lifters",
    "trained_with": "mean over lifters that refiners were trained with",
    "left_out": "mean over lifters that no refiner was trained with",
}
_HELP = (
    "Each lifter is run once per clip; every refiner is given the same raw poses. *raw*: without refiner; *fast*:",
    "MPJPE and acceleration error (mm per frame²) on the fastest tenth of frames; *%*: change against raw; *harm*:",
    "change in mm on frames where nothing is hidden (below 0 is better), mean and worst clip. † has learnt from other",
    "actions of BlendMimic3D (in-domain): not to be compared, as a method, with rows that have not. A refiner that",
    "refuses a pose as swapped leaves it raw.",
)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _signed(value: float | None, between: list[float] | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:+.1f}" + (f" ({between[0]:+.1f} to {between[1]:+.1f})" if between else "")


def _drawn(first: list[str], rows: list[list[str]]) -> list[str]:
    return drawn([*first, *HEAD], rows)


def page(table: Mapping[str, Any]) -> list[str]:
    """The lines of the page for a table of refiners, averages first."""
    commits = {cell["commit"] for inputs in table["cells"].values() for row in inputs.values() for cell in row.values()}
    lines = [
        "## Refiners on other people's lifters", "",
        f"`posemend evaluate --table refiners` on {table['settings']['on']}, {table['clips']} clips "
        f"({table['frames']} frames).", *_HELP,
        f"Measured at commit {', '.join(sorted(str(commit) for commit in commits))}.", "",
    ]  # fmt: skip
    for given, rows in table["averages"].items():
        split = any(row["left_out"] and row["trained_with"] for row in rows.values())
        for group in GROUPS if split else ("all",):
            lines += _averages(table, given, group)
        lines += _against_pairs(table, given)
        lines += _each(table, given)
    return lines


def _named(table: Mapping[str, Any], kind: str, name: str) -> str:
    data = table[kind].get(name, {}).get("data") or ()
    return f"{name} †" if any("BlendMimic3D" in line for line in data) else name


def _averages(table: Mapping[str, Any], given: str, group: str) -> list[str]:
    rows = table["averages"][given]
    lifters = max((row[group]["lifters"] for row in rows.values() if row[group]), key=len)
    drawn = []
    for refiner, groups in rows.items():
        found = groups[group]
        if found is None:
            continue
        fewer = "" if found["lifters"] == lifters else f" (of {', '.join(found['lifters'])} alone)"
        drawn.append([
            _named(table, "refiners", refiner) + fewer,
            *(_number(found["mean"][column]) for column in COLUMNS),
            *(_signed(found["change_percent"][column]) for column in CHANGES),
            _signed(found["harm_mm"]["mean"]), _signed(found["harm_mm"]["worst_clip"]),
        ])  # fmt: skip
    names = ", ".join(_named(table, "lifters", name) for name in lifters)
    return [f"### `{given}`, {GROUPS[group]}", "", f"{names}.", "", *_drawn(["refiner"], drawn)]


def _against_pairs(table: Mapping[str, Any], given: str) -> list[str]:
    """Each set as a whole, on keypoints, beside the best pair of another lifter and any refiner, column by column."""
    lines: list[str] = []
    sets = {name: one["made_by"].removeprefix("bundle ") for name, one in table["lifters"].items()
            if one.get("kind") == "posemend"}  # fmt: skip
    pairs = {
        f"{lifter} + {refiner}": cell
        for lifter, inputs in table["cells"].items() if lifter not in sets
        for refiner, cell in inputs.get(given, {}).items()
    }  # fmt: skip
    for lifter, bundle in sets.items():
        own = table["cells"][lifter].get(given, {}).get(bundle)
        if own is None or not pairs:
            continue
        lines += [f"### `{given}`, `posemend run --bundle {bundle}` against every pair", "",
                  "Of each column the best pair of another lifter and any refiner (or none).", "",
                  "| column | run | best pair | which |", "| --- | --- | --- | --- |"]  # fmt: skip
        for title, column in zip(HEAD, COLUMNS, strict=False):
            which = min(pairs, key=lambda name: _or_last(at(pairs[name], column)))
            lines.append(f"| {title} | {_fine(at(own, column))} | {_fine(at(pairs[which], column))} | {which} |")
        lines.append("")
    return lines


def _or_last(value: float | None) -> float:
    return float("inf") if value is None else value


def _fine(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _each(table: Mapping[str, Any], given: str) -> list[str]:
    drawn = []
    for lifter, inputs in table["cells"].items():
        for refiner, cell in inputs.get(given, {}).items():
            change, between = cell.get("change_percent", {}), cell.get("change_ci95_percent", {})
            drawn.append([
                _named(table, "lifters", lifter), _named(table, "refiners", refiner),
                *(_number(at(cell, column)) for column in COLUMNS),
                *(_signed(change.get(column), between.get(column)) for column in CHANGES),
                _signed(cell["harm_mm"]["mean"]), _signed(cell["harm_mm"]["worst_clip"]),
            ])  # fmt: skip
    head = [f"### `{given}`, each lifter", "", "In brackets 95 % intervals by bootstrap over clips.", ""]
    return [*head, *_drawn(["lifter", "refiner"], drawn)]
