"""``evaluate --table refiners``: every lifter, every refiner, every input, in one file that can be gone on with."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from posemend.cli import output, plugging
from posemend.errors import InputError

if TYPE_CHECKING:
    from posemend.body.pose import Pose2D, Pose3D, Take

INPUTS = ("gt", "detector")
EVERY_SECONDS = 30.0  # between two lines of progress where there is no terminal


_SEVERAL = {"consume_multiple": True, "negative": ()}


@Parameter(name="*")  # its fields are options of `evaluate`
@dataclass(frozen=True)
class Many:
    """Options of a table: many lifters, many refiners."""

    table: Annotated[
        Literal["refiners", "depth"] | None,
        Parameter(
            help="refiners: measure every --lifter with every --refiner, into one file; goes on where it stopped. "
            "depth: measure the depth chain after each of its steps, and as depth gets worse."
        ),
    ] = None
    refiner: Annotated[
        list[str] | None,
        Parameter(
            help="Of a table: smooth, one-euro, savitzky-golay, default, research (all but savitzky-golay if left "
            "out), or NAME=FOLDER of a bundle or of what train left. FOLDER@SET takes the second opinion from the "
            "lifter of that set; else it is the one of its recipe, or --bundle's. The raw pose is always there.",
            **_SEVERAL,
        ),
    ] = None
    left_out: Annotated[
        list[str] | None,
        Parameter(help="Of a table: lifters that no refiner was trained with; also averaged apart.", **_SEVERAL),
    ] = None
    aside: Annotated[
        list[str] | None, Parameter(help="Of a table: lifters that are shown and not averaged.", **_SEVERAL)
    ] = None
    raw_poses: Annotated[
        Path | None, Parameter(help="Of a table: keep lifted poses in this folder, and take them from it next time.")
    ] = None

    def check(self, others: bool) -> None:
        """Refuse what does not go together.

        Args:
            others: Whether there are options that a table cannot have.

        Raises:
            InputError: Options exclude each other.
        """
        if self.table is not None and others:
            raise InputError("--table goes with none of --predictions, --blind, --refine and --averaging.")
        if self.table != "refiners" and (self.refiner or self.left_out or self.aside or self.raw_poses):
            raise InputError("--refiner, --left-out, --aside and --raw-poses are for --table refiners.")


def refiners(
    takes: Sequence[Take],
    settings: Mapping[str, Any],
    many: Many,
    lifters: Sequence[str],
    inputs: Sequence[str],
    bundle: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure what is not in the file yet, write the file after each lifter and input, and print the averages."""
    from posemend.evaluation import refiners as tables

    if not lifters:
        raise InputError("--table refiners wants at least one --lifter KIND=FILE.")
    with tempfile.TemporaryDirectory() as workshop:
        with output.working("loading models", as_json):
            chosen = plugging.refiners(many.refiner or plugging.USUAL, bundle, Path(workshop))
            sources = plugging.lifters(lifters, many.left_out or (), many.aside or ())
        facts = {one.name: one.facts for one in sources} | {one.name: one.facts for one in chosen}
        for name in (name for name, told in facts.items() if told.get("finished") is False):
            output.note(f"warning: '{name}' is a run that has not finished.")
        table = _begin(takes, settings, out)
        _keep_fresh(table, sources, chosen)
        for lifter in sources:
            for given in inputs:
                _fill(table, takes, lifter, chosen, given, many.raw_poses)
                if out is not None:
                    tables.save_table(out, table)
    table["averages"] = tables.averages(table["cells"], table["lifters"])
    if as_json:
        output.print_json(table)
    else:
        _print(table, out)


def _begin(takes: Sequence[Take], settings: Mapping[str, Any], out: Path | None) -> dict[str, Any]:
    """The table in the file, if it is of the same settings; else an empty one."""
    from posemend.evaluation import refiners as tables

    clips, frames = len(takes), sum(len(take.truth) for take in takes)
    empty: dict[str, Any] = {
        "kind": tables.KIND, "settings": dict(settings), "clips": clips, "frames": frames,
        "lifters": {}, "refiners": {}, "cells": {},
    }  # fmt: skip
    if out is None or not out.exists():
        return empty
    older = tables.read_table(out)
    if any(older[key] != empty[key] for key in ("settings", "clips", "frames")):
        raise InputError(
            f"'{out}' holds a table of other clips or settings ({older['settings']}, {older['clips']} clips). "
            "Name another --output, or remove that file."
        )
    return {key: older[key] for key in empty}


def _keep_fresh(table: dict[str, Any], sources: Sequence[plugging.Lifter], chosen: Sequence[plugging.Refiner]) -> None:
    """Forget cells whose lifter or refiner is no longer what it was; rows of earlier goes stay."""
    marks = ("left_out", "aside")
    for lifter in sources:
        older = table["lifters"].get(lifter.name, lifter.facts)
        if any(older.get(key) != part for key, part in lifter.facts.items() if key not in marks):
            table["cells"].pop(lifter.name, None)
        table["lifters"][lifter.name] = lifter.facts
    for refiner in chosen:
        if table["refiners"].get(refiner.name, refiner.facts) != refiner.facts:
            for inputs in table["cells"].values():
                for cells in inputs.values():
                    cells.pop(refiner.name, None)
        table["refiners"][refiner.name] = refiner.facts
    for kind, named in (("lifters", sources), ("refiners", chosen)):
        others = set(table[kind]) - {one.name for one in named}
        if others:
            output.note(f"{kind} of earlier goes stay in the table: {', '.join(sorted(others))}.")


def _fill(
    table: dict[str, Any],
    takes: Sequence[Take],
    lifter: plugging.Lifter,
    chosen: Sequence[plugging.Refiner],
    given: str,
    raw_poses: Path | None,
) -> None:
    from posemend.evaluation import refiners as tables
    from posemend.evaluation.report import commit

    done = table["cells"].get(lifter.name, {}).get(given, {})
    missing = {one.name: one.refine for one in chosen if one.name not in done}
    if tables.RAW in done and not missing:
        output.note(f"{lifter.name}, {given}: done before.")
        return
    lift, seed = lifter.load(), table["settings"]["seed"]
    if raw_poses is not None:
        place = raw_poses / f"{lifter.name}-{lifter.facts['weights']}" / f"{given}-{seed}"
        lift = _kept(lift, place)
    label = f"{lifter.name}, {given}"
    started = time.monotonic()
    with output.counting(label) as bar:
        cells = tables.measure(takes, lift, missing, input=given, seed=seed, progress=bar or _lines(label))
    stamp = commit()
    cells = {name: {**cell, "commit": stamp} for name, cell in cells.items()}
    table["cells"].setdefault(lifter.name, {})[given] = {**done, **cells}
    said = ", ".join(f"{name} {cell['mpjpe_mm']['all']:.1f}" for name, cell in cells.items())
    output.note(f"{label}: {said} mm ({time.monotonic() - started:.0f} s)")


def _kept(lift: Callable[[Pose2D], Pose3D], folder: Path) -> Callable[[Pose2D], Pose3D]:
    """The same lifter, which looks for a pose on disk first and leaves there what it had to lift."""

    def looked_up(keypoints: Pose2D) -> Pose3D:
        from posemend.body.pose import Pose3D
        from posemend.formats import read, write

        path = folder / f"{keypoints.name}.npz"
        if path.is_file():
            pose = read(path)
            if not isinstance(pose, Pose3D) or len(pose) != len(keypoints):
                raise InputError(f"'{path}' is not the raw pose of '{keypoints.name}'. Remove it.")
            return pose
        pose = lift(keypoints)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, pose)
        return pose

    return looked_up


def _lines(label: str) -> Callable[[int, int], None]:
    """Progress for a log: a line now and then on standard error."""
    last = [time.monotonic()]

    def say(done: int, total: int) -> None:
        if done < total and time.monotonic() - last[0] >= EVERY_SECONDS:
            last[0] = time.monotonic()
            print(f"posemend: {label}: clip {done} of {total}", file=sys.stderr, flush=True)

    return say


def _print(table: Mapping[str, Any], out: Path | None) -> None:
    def number(value: float | None, sign: str = "") -> str:
        return "–" if value is None else f"{value:{sign}.1f}"

    columns = ["", "all", "hidden", "accel", "all %", "hidden %", "harm", "worst"]  # that fit into 80 characters
    for given, rows in table["averages"].items():
        for group, words in (("all", ""), ("left_out", " left out of training")):
            lines, names = [], 0
            for refiner, groups in rows.items():
                found = groups[group]
                if found is None or (group == "left_out" and groups["trained_with"] is None):
                    continue
                mean, change, harm = found["mean"], found["change_percent"], found["harm_mm"]
                names = max(names, len(found["lifters"]))
                lines.append([
                    refiner, *(number(mean[column]) for column in ("all", "hidden", "accel")),
                    number(change["all"], "+"), number(change["hidden"], "+"),
                    number(harm["mean"], "+"), number(harm["worst_clip"], "+"),
                ])  # fmt: skip
            if lines:
                lifters = f"{names} lifter{'s' if names > 1 else ''}{words}"
                title = f"Mean over {lifters}, input '{given}', {table['clips']} clips, mm"
                output.print_table(title, columns, lines)
    if out is not None:
        print(out)
