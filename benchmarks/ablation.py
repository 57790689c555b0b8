"""Tables and pictures of ``ablate_masks``: means over seeds, intervals, and gains over what masks are compared with."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posemend.training.recipe import Recipe

COLUMNS = ("all", "visible", "hidden")
OURS = "structured masks"
_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % quantile of Student's t for so many seeds


def slug(recipe: Recipe) -> str:
    """A short name for all of a recipe but its seed: equal settings share one run, changed ones start anew."""
    table = recipe.model_dump(mode="json")
    table.pop("seed")
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:12]


def interval(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and half width of the 95 % interval over seeds (Student's t); no width for one seed."""
    count = len(values)
    spread = float(np.std(values, ddof=1)) if count > 1 else 0.0
    half = _T[count] * spread / math.sqrt(count) if count > 1 else None
    return {"mean": float(np.mean(values)), "half": half}


def row(name: str, axis: str, value: float, seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A row with its mean and interval for every situation, way of use and column."""
    situations = {
        situation: {
            test: {column: interval([one["errors_mm"][situation][test][column] for one in seeds]) for column in COLUMNS}
            for test in tests
        }
        for situation, tests in seeds[0]["errors_mm"].items()
    }
    best = {
        situation: min(tests, key=lambda test: tests[test]["hidden"]["mean"]) for situation, tests in situations.items()
    }
    return {"name": name, "axis": axis, "value": None if math.isnan(value) else value, "seeds": list(seeds),
            "situations": situations, "best": best}  # fmt: skip


def gains(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By how many per cent structured masks lower the hidden joints' error, seed by seed, in every situation.

    Structured masks are taken as they are meant to be used, the others in every
    way of use; ``best`` says which of these is best for them.
    """
    by_name = {one["name"]: one for one in rows}
    found = []
    for name, other in by_name.items():
        ours = f"{OURS}, occluded data" if name.endswith("occluded data") else OURS
        if name.startswith(OURS) or ours not in by_name:
            continue
        for situation, tests in other["situations"].items():
            for test in tests:
                cut = [
                    100 * (1 - mine["errors_mm"][situation]["masked"]["hidden"]
                           / theirs["errors_mm"][situation][test]["hidden"])
                    for mine, theirs in zip(by_name[ours]["seeds"], other["seeds"], strict=True)
                ]  # fmt: skip
                met = interval(cut)
                found.append({
                    "ours": ours, "against": name, "situation": situation, "used": test,
                    "best": test == other["best"][situation], "hidden_lower_percent": met, "by_seed": cut,
                    "at_least_10": bool(met["mean"] is not None and met["mean"] >= 10),
                })  # fmt: skip
    return found


def table(
    what: str, rows: Sequence[Mapping[str, Any]], raw: Mapping[str, Mapping[str, float]], steps: int, seconds: float,
    threads: int, facts: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The record of one table."""
    settings = {"table": what, "steps": steps, "seconds_per_run": seconds, "threads": threads,
                "seeds": len(rows[0]["seeds"]), "on": "blendmimic3d validation, lifted blindly"}  # fmt: skip
    return {"kind": "ablation", "schema": 1, **facts, "settings": settings, "raw_mm": dict(raw), "rows": list(rows),
            "gains": gains(rows)}  # fmt: skip


def contradictions(record: Mapping[str, Any]) -> list[str]:
    """Means that are not those of their seeds."""
    wrong = []
    for one in record["rows"]:
        for situation, tests in one["situations"].items():
            for test, columns in tests.items():
                for column, got in columns.items():
                    values = [seed["errors_mm"][situation][test][column] for seed in one["seeds"]]
                    if not math.isclose(got["mean"], sum(values) / len(values), rel_tol=1e-6):
                        wrong.append(
                            f"'{one['name']}', {situation}, {test}, {column}: the mean is not that of the seeds"
                        )
    return wrong


def line(errors: Mapping[str, float]) -> str:
    """Errors for people."""
    return ", ".join(f"{column} {errors[column]:.1f}" for column in COLUMNS) + " mm"


def described(one: Mapping[str, Any]) -> str:
    """A row for people."""
    lines = [f"{one['name']}:"]
    for situation, tests in one["situations"].items():
        parts = []
        for test, columns in tests.items():
            half = columns["hidden"]["half"]
            width = "" if half is None else f" ± {half:.1f}"
            parts.append(f"{test}: {line({c: columns[c]['mean'] for c in COLUMNS})}{width}")
        lines.append(f"  {situation}: " + "; ".join(parts))
    return "\n".join(lines)


def draw(record: Mapping[str, Any], path: Path) -> None:
    """The table's picture: bars for kinds, one curve for each axis otherwise; hidden joints, with intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = record["rows"]
    axes = list(dict.fromkeys(one["axis"] for one in rows))
    kinds = axes == [""]
    count = len(record["raw_mm"]) if kinds else len(axes)
    size = (5 * count + 1, 4.2) if kinds else (4 * max(count, 2), 4)
    figure, panels = pyplot.subplots(1, count, figsize=size, squeeze=False, sharey=kinds)
    if kinds:
        for panel, (situation, raw) in zip(panels[0], record["raw_mm"].items(), strict=True):
            _bars(panel, rows, situation, raw["hidden"])
    else:
        for panel, axis in zip(panels[0], axes, strict=True):
            _curve(panel, axis, [one for one in rows if one["axis"] == axis], list(record["raw_mm"]))
    steps, seeds = record["settings"]["steps"], record["settings"]["seeds"]
    with_intervals = ", 95 % intervals" if seeds > 1 else ""
    figure.suptitle(f"Error of hidden joints, mm ({steps} steps, seeds: {seeds}{with_intervals})")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _curve(panel: Any, axis: str, part: Sequence[Mapping[str, Any]], situations: Sequence[str]) -> None:
    for situation in situations:
        cells = [one["situations"][situation]["masked"]["hidden"] for one in part]
        panel.errorbar(
            [one["value"] for one in part], [cell["mean"] for cell in cells],
            [cell["half"] or 0 for cell in cells], marker="o", capsize=3, label=situation,
        )  # fmt: skip
    panel.set_xlabel(axis)
    panel.set_ylabel("mm")
    panel.legend()


def _bars(panel: Any, part: Sequence[Mapping[str, Any]], situation: str, raw: float) -> None:
    bars = [
        (f"{one['name']} ({test})", cell["hidden"])
        for one in part
        for test, cell in one["situations"][situation].items()
    ]
    names, cells = zip(*reversed(bars), strict=True)
    places = np.arange(len(names))
    panel.barh(places, [cell["mean"] for cell in cells], xerr=[cell["half"] or 0 for cell in cells], capsize=3)
    panel.axvline(raw, color="grey", linestyle="--", label="raw")
    panel.set_yticks(places, names, fontsize=7)
    panel.set_xlabel(f"mm, {situation}")
    panel.legend()
