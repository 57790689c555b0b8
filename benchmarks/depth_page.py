"""The part of ``docs/results.md`` on the depth chain: after each step, over trainings, against published forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.markdown import give_or_take, table

STEPS = {
    "raw": "raw lifting", "patch": "A, lifted the same way", "lift": "A, finer lifting", "body": "B", "cloud": "C",
    "weighed": "weighed with the lifter, smoothed", "chain": "D: the whole chain",
}  # fmt: skip
MODULES = {"depth-patch": ("A", "lift"), "depth-body": ("B", "body"), "depth-cloud": ("C", "cloud")}
PARTS = ("visible", "hidden")
FORMS = {"mean_mm": ".0f", "map10": ".1f"}  # targets are shares: 95 must be told from 94.6
HEAD = ("visible, mm", "visible within 10 cm, %", "hidden, mm", "hidden within 10 cm, %")
KINDS = {
    "usual": "runs of 25 to 50 cm, hands worst, sides exchanged", "long runs": "longer runs, 15 to 80 cm",
    "flashes": "flashes of one or two frames", "swaps": "sides exchanged four times as often, for longer",
    "trembling": "trembling by 4.5 cm", "clean": "hardly any",
}  # fmt: skip
FAULTS = {"holes": "holes over", "late": "maps late by"}


def _over(step: Mapping[str, Any]) -> list[str]:
    """Means and standard deviations over trainings."""
    cells = [(step[part][key], form) for part in PARTS for key, form in FORMS.items()]
    return [give_or_take(cell["mean"], cell["spread"], form) for cell, form in cells]


def _plain(row: Mapping[str, Any]) -> list[str]:
    return [f"{row[part][key]:{form}}" for part in PARTS for key, form in FORMS.items()]


def page(record: Mapping[str, Any] | None) -> list[str]:
    """The lines for ``results/depth.json``; nothing without it."""
    if record is None:
        return []
    told, count = record["settings"], record["seeds_of_training"]
    lines = [
        "## The depth chain", "",
        f"`benchmarks/depth.py`, {told['clips']} clips of {told['frames']} frames ({told['data']}, "
        f"seed {told['seed']}), {record['hidden_percent']:.0f} % of joints hidden, commit {record['commit']}. Errors "
        "of joints in camera axes, not from the root. "
        + (f"Mean and standard deviation over {count} trainings" if count > 1 else "One training")
        + "; what has no spread knows of no training. How it works: [depth.md](depth.md).", "",
    ]  # fmt: skip
    rows = [[label, *_over(record["over_seeds"][step])] for step, label in STEPS.items()]
    off = record["depth off"]
    rows += [["no depth at all", *_plain(off)], ["no depth, from the pelvis", *_plain(off["from_pelvis"])],
             ["keypoints at their true distance", *_plain(record["true distance"])]]  # fmt: skip
    lines += table(["after", *HEAD], rows)
    return lines + _published(record) + _worse(record) + _alone(record) + _speed(record)


def _published(record: Mapping[str, Any]) -> list[str]:
    """Each module exchanged for its published form, next to ours: after its own step, and at the end."""
    rows = []
    for task, found in record["published"].items():
        name, step = MODULES[task]
        for place, when in ((step, f"after {name}"), ("chain", "whole chain")):
            rows += [[f"{name}, published", when, *_plain(found[place])],
                     [f"{name}, ours", when, *_over(record["over_seeds"][place])]]  # fmt: skip
    if not rows:
        return []
    said = "Each module exchanged for its published form, trained on the same data; the others are the shipped ones."
    return [said, "", *table(["module", "errors", *HEAD], rows)]


def _worse(record: Mapping[str, Any]) -> list[str]:
    rows = []
    for kind, steps in {"as it should be": {"": record["stages"]["plain"]["chain"]}, **record["curves"]}.items():
        for much, row in steps.items():
            cells = [f"{mm:.0f}" for part in PARTS for mm in (row[part]["mean_mm"], row["expected_mm"][part])]
            rows.append([f"{FAULTS.get(kind, kind)} {much.replace('.0%', '%')}".strip(), *cells])
    head = ["depth", "visible, mm", "stated, mm", "hidden, mm", "stated, mm"]
    return ["What becomes of the first training as depth gets worse, and what it states:", "", *table(head, rows)]


def _alone(record: Mapping[str, Any]) -> list[str]:
    rows = []
    for kind, found in record["body_alone"]["kinds"].items():
        cells = [f"{found[when]['all'][key]:{form}}" for when in ("before", "after") for key, form in FORMS.items()]
        rows.append([KINDS.get(kind, kind), *cells])
    head = ["errors", "before, mm", "within 10 cm, %", "after, mm", "within 10 cm, %"]
    return ["Module B alone, without depth, on others' 3D:", "", *table(head, rows)]


def _speed(record: Mapping[str, Any]) -> list[str]:
    speed = record["speed"]
    return [f"{speed['fps']:.0f} frames a second on {speed['threads']} threads, lifter and refiner included.", ""]
