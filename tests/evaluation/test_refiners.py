"""The table of refiners, on made-up takes and lifters whose errors are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.errors import HandednessError, InputError
from posemend.evaluation import refiners
from posemend.evaluation.protocol import evaluate_refiner
from tests.evaluation.test_protocol import make

HIDDEN = {3: slice(0, 5), 6: slice(0, 2)}


@pytest.fixture
def takes() -> list[Take]:
    return [make("Sit", HIDDEN), make("Greet"), make("Walk", {9: slice(2, 9)})]


class Lifter:
    """Off by so many mm along x in every joint but the root, more in later takes; counts its calls."""

    def __init__(self, takes: list[Take], mm: float) -> None:
        self.truth = {take.name: (take.truth, mm * number) for number, take in enumerate(takes, 1)}
        self.calls = 0

    def __call__(self, keypoints: Pose2D) -> Pose3D:
        self.calls += 1
        truth, mm = self.truth[keypoints.name]
        return moved(truth, mm)


def moved(pose: Pose3D, mm: float) -> Pose3D:
    positions = pose.positions.copy()
    positions[:, 1:, 0] += mm / 1000
    return replace(pose, positions=positions)


def halved(takes: list[Take]):
    truth = {take.name: take.truth.positions for take in takes}
    return lambda pose, keypoints: replace(pose, positions=(pose.positions + truth[keypoints.name]) / 2)


def refuses(pose: Pose3D, keypoints: Pose2D) -> Pose3D:
    raise HandednessError("swapped")


def test_each_clip_is_lifted_once_and_every_refiner_gets_its_pose(takes) -> None:
    lifter = Lifter(takes, 20)
    given = []

    def watched(pose: Pose3D, keypoints: Pose2D) -> Pose3D:
        given.append((pose, keypoints.name))
        return pose

    progress: list[tuple[int, int]] = []
    cells = refiners.measure(
        takes, lifter, {"a": watched, "b": watched}, input="gt", progress=lambda *n: progress.append(n)
    )
    assert lifter.calls == 3 and len(given) == 6
    assert given[0][0] is given[1][0]
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert list(cells) == ["raw", "a", "b"]
    assert cells["a"]["mpjpe_mm"] == cells["raw"]["mpjpe_mm"]


def test_numbers_are_those_of_the_protocol(takes) -> None:
    lifter = Lifter(takes, 20)
    cells = refiners.measure(takes, lifter, {"half": halved(takes)}, input="gt+flags")
    result = evaluate_refiner(takes, lifter, halved(takes), input="gt+flags")
    for cell, found in ((cells["raw"], result["raw"]), (cells["half"], result)):
        for key in ("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm", "accel_mm"):
            assert cell[key] == found[key]
        assert cell["ci95_mm"] == found["ci95_by_column_mm"]
        assert cell["fast"]["mpjpe_mm"] == found["fast"]["mpjpe_mm"]
    assert cells["half"]["harm_mm"].items() >= result["harm_mm"].items()
    json.dumps(cells, allow_nan=False)


def test_change_is_against_raw_and_drawn_clip_by_clip(takes) -> None:
    cells = refiners.measure(takes, Lifter(takes, 20), {"half": halved(takes)}, input="gt+flags")
    cell = cells["half"]
    assert refiners.at(cells["raw"], "all") == pytest.approx(40, abs=0.01)
    assert cell["change_percent"]["all"] == pytest.approx(-50, abs=0.01)
    assert cell["change_percent"]["hidden"] == pytest.approx(-50, abs=0.01)
    assert cell["change_percent"]["fast_mpjpe"] == pytest.approx(-50, abs=0.01)
    # every clip is halved: pairs leave nothing to chance, though clips differ threefold
    assert cell["change_ci95_percent"]["all"] == pytest.approx([-50, -50], abs=0.01)
    assert cell["ci95_mm"]["all"][1] - cell["ci95_mm"]["all"][0] > 5
    assert "change_percent" not in cells["raw"]


def test_harm_names_the_worst_clip(takes) -> None:
    cells = refiners.measure(takes, Lifter(takes, 10), {"worse": lambda pose, _: moved(pose, 4)}, input="gt+flags")
    harm = cells["worse"]["harm_mm"]
    assert harm["mean"] == pytest.approx(4, abs=0.01) and harm["worst_clip"] == pytest.approx(4, abs=0.01)
    assert harm["worst_name"] in {take.name for take in takes}
    assert cells["raw"]["harm_mm"]["mean"] is None


def test_who_refuses_leaves_the_raw_pose(takes) -> None:
    cells = refiners.measure(takes, Lifter(takes, 20), {"shy": refuses}, input="gt")
    assert cells["shy"]["refused_clips"] == 3
    assert cells["shy"]["mpjpe_mm"] == cells["raw"]["mpjpe_mm"]
    assert cells["shy"]["change_percent"]["all"] == 0


def test_other_errors_are_not_swallowed(takes) -> None:
    def broken(pose: Pose3D, keypoints: Pose2D) -> Pose3D:
        raise InputError("broken")

    with pytest.raises(InputError, match="broken"):
        refiners.measure(takes, Lifter(takes, 20), {"broken": broken}, input="gt")
    with pytest.raises(InputError, match="no takes"):
        refiners.measure([], Lifter(takes, 20), {}, input="gt")
    with pytest.raises(InputError, match="called 'raw'"):
        refiners.measure(takes, Lifter(takes, 20), {"raw": broken}, input="gt")


@pytest.fixture
def table(takes) -> dict:
    lifters = {"a": 10.0, "b": 30.0, "new": 50.0, "own": 1.0}
    cells = {
        name: {"gt": refiners.measure(takes, Lifter(takes, mm), {"half": halved(takes)}, input="gt")}
        for name, mm in lifters.items()
    }
    facts = {name: {"left_out": name == "new", "aside": name == "own", "weights": name} for name in lifters}
    return {
        "kind": "refiners", "settings": {"on": "made up", "split": "all", "seed": 0}, "clips": 3, "frames": 30,
        "lifters": facts, "refiners": {"half": {"data": ["BlendMimic3D training split: research"]}}, "cells": cells,
    }  # fmt: skip


def test_averages_with_and_without_what_was_left_out(table) -> None:
    found = refiners.averages(table["cells"], table["lifters"])["gt"]
    raw, half = found["raw"], found["half"]
    assert raw["all"]["lifters"] == ["a", "b", "new"] and raw["left_out"]["lifters"] == ["new"]
    assert raw["all"]["mean"]["all"] == pytest.approx(60, abs=0.01)
    assert raw["trained_with"]["mean"]["all"] == pytest.approx(40, abs=0.01)
    assert half["left_out"]["mean"]["all"] == pytest.approx(50, abs=0.01)
    assert half["all"]["change_percent"]["all"] == pytest.approx(-50, abs=0.01)
    assert half["trained_with"]["harm_mm"]["mean"] == pytest.approx(-20, abs=5)


def test_a_refiner_is_averaged_over_the_lifters_that_it_has(table) -> None:
    del table["cells"]["b"]["gt"]["half"]
    half = refiners.averages(table["cells"], table["lifters"])["gt"]["half"]
    assert half["all"]["lifters"] == ["a", "new"]


def test_tables_are_written_and_read_again(table, tmp_path) -> None:
    path = refiners.save_table(tmp_path / "refiners.json", table)
    again = refiners.read_table(path)
    assert {key: again[key] for key in table} == json.loads(json.dumps(table))
    assert again["machine"]["cores"] >= 1 and "commit" in again and again["averages"]["gt"]["half"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.update(kind="speed"), "kind"),
        (lambda table: table.update(clips=0), "clips"),
        (lambda table: table["settings"].pop("seed"), r"settings\.seed"),
        (lambda table: table["lifters"].pop("a"), "not among the lifters"),
        (lambda table: table["refiners"].clear(), "not among the refiners"),
        (lambda table: table["cells"]["a"]["gt"].pop("raw"), "no raw poses"),
        (lambda table: table["cells"]["a"]["gt"]["half"].pop("change_percent"), "no change"),
        (lambda table: table["cells"]["a"]["gt"]["half"].update(mpjve_mm="2"), "wants numbers"),
        (lambda table: table["averages"]["gt"]["half"]["all"]["mean"].update(all=1.0), "not those of the cells"),
        (lambda table: table.update(extra=float("nan")), "strict JSON"),
    ],
)
def test_broken_tables_are_told(table, change, words) -> None:
    table["averages"] = refiners.averages(table["cells"], table["lifters"])
    refiners.check_table(table)
    change(table)
    with pytest.raises(InputError, match=words):
        refiners.check_table(table)


def test_the_page_draws_every_cell(table, tmp_path) -> None:
    from benchmarks.refiners_page import HEAD, page

    for cells in table["cells"].values():
        for cell in cells["gt"].values():
            cell["commit"] = "abc"
    lines = page(refiners.read_table(refiners.save_table(tmp_path / "refiners.json", table)))
    assert sum(line.startswith("### `gt`") for line in lines) == 4
    rows = [line for line in lines if line.startswith(("| own |", "| new |"))]
    assert len(rows) == 4 and all(line.count("|") == len(HEAD) + 3 for line in rows)
    (average,) = [line for line in lines if line.startswith("| half †") and "-50.0" in line][:1]
    assert "abc" in "\n".join(lines) and np.isclose(float(average.split("|")[2]), 30, atol=0.1)


def test_the_page_sets_a_whole_set_against_every_pair(table, tmp_path) -> None:
    from benchmarks.refiners_page import page

    for cells in table["cells"].values():
        for cell in cells["gt"].values():
            cell["commit"] = "abc"
    table["lifters"]["own"] |= {"kind": "posemend", "made_by": "bundle half"}
    for name in ("a", "b", "new"):
        table["lifters"][name]["kind"] = "martinez"
    lines = page(refiners.read_table(refiners.save_table(tmp_path / "refiners.json", table)))
    first = lines.index(next(line for line in lines if "`posemend run --bundle half` against every pair" in line))
    all_joints = next(line for line in lines[first:] if line.startswith("| all |"))
    own, best, which = (part.strip() for part in all_joints.strip("|").split("|")[1:])
    assert which == "a + half"
    assert float(own) == pytest.approx(refiners.at(table["cells"]["own"]["gt"]["half"], "all"), abs=0.01)
    assert float(best) == pytest.approx(refiners.at(table["cells"]["a"]["gt"]["half"], "all"), abs=0.01)
