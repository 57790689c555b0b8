"""The part of ``docs/results.md`` on what keypoints without 3D labels teach: label curves, WS-GCN, ``adapt``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.ablation import interval
from benchmarks.markdown import give_or_take, table

WAYS = {
    "labelled": "labels alone", "weak": "weak (reprojection, mean bones, symmetry)", "single": "single view",
    "multi": "several views", "full": "everybody labelled",
}  # fmt: skip
ROWS = {  # of WS-GCN's table
    "full": "full supervision", "no-bones": "weak, warm-up, no bone lengths", "weak": "weak, warm-up, bone lengths",
    "cold": "weak, bone lengths, no warm-up", "leak": "weak, with the *true* root (the published leak)",
    "labelled": "the labelled performer alone", "multi": "several views in training (not WS-GCN's)",
}  # fmt: skip
PEOPLE = {"motion": "the motion corpora", "blendmimic3d": "BlendMimic3D", "procedural": "made-up people"}
SHOWN = (("gt", "all"), ("detector", "all"), ("detector", "hidden"))


def _cell(line: Mapping[str, Any] | None, change: str = "") -> str:
    if line is None:
        return "–"
    return give_or_take(line["mean"], line["interval"]) + change


def _against(record: Mapping[str, Any], case: Sequence[Any], place: tuple[str, str]) -> str:
    """Change against labels alone, seed by seed: the same seed labels the same frames."""
    given, joints = place
    by_way: dict[str, dict[int, float]] = {}
    for row in record["rows"]:
        if [row["share"], row["masks"]] == [case[1], case[2]] and row["mm"][given][joints] is not None:
            by_way.setdefault(row["way"], {})[row["seed"]] = row["mm"][given][joints]
    base, own = by_way.get("labelled", {}), by_way.get(case[0], {})
    changes = [100 * (own[seed] / base[seed] - 1) for seed in own if seed in base]
    if case[0] == "labelled" or not changes:
        return ""
    return f" ({give_or_take(**interval(changes), form='+.0f')} %)"


def _found(record: Mapping[str, Any]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    keys = ("way", "share", "masks", "input", "joints")
    return {tuple(line[key] for key in keys): line for line in record["summary"]}


def curves(name: str, record: Mapping[str, Any]) -> list[str]:
    """Label curves of one record, ``results/NAME.json``."""
    told, found = record["settings"], _found(record)
    lines = [
        f"## Few labels: {PEOPLE[told['on']]}", "",
        f"`benchmarks/labels.py`, {told['steps']} steps a run, {len(told['seeds'])} seeds, commit {record['commit']}; "
        f"[picture](../results/{name}.png). Labelled: {', '.join(told['people']['labelled'])}; the others give "
        "keypoints of a simulated detector. Error in mm on performers (BlendMimic3D: actions) in no part of training, "
        "mean and 95 % interval over seeds; in brackets against labels alone, seed by seed "
        "(a seed chooses which frames are labelled). The weights of the single view were chosen on BlendMimic3D's "
        "validation actions, at 1 % and seed 0: development figures.", "",
    ]  # fmt: skip
    rows = []
    for case in dict.fromkeys((row["way"], row["share"], row["masks"]) for row in record["rows"]):
        way, share, masks = case
        cells = [_cell(found.get((*case, *place)), _against(record, case, place)) for place in SHOWN]
        rows.append((share, not masks, [f"{100 * share:g} %", WAYS[way], "yes" if masks else "no", *cells]))
    rows.sort(key=lambda row: row[:2])
    head = ["labels", "way", "masks", *(f"`{given}` {joints}" for given, joints in SHOWN)]
    return lines + table(head, [row for _, _, row in rows]) + _masks(record, found)


def _masks(record: Mapping[str, Any], found: Mapping[tuple[Any, ...], Mapping[str, Any]]) -> list[str]:
    said = []
    for way, share in dict.fromkeys((row["way"], row["share"]) for row in record["rows"] if not row["masks"]):
        pair = [found.get((way, share, masks, "detector", "hidden")) for masks in (True, False)]
        if None not in pair:
            change = 100 * (pair[0]["mean"] / pair[1]["mean"] - 1)  # type: ignore[index]
            said.append(f"{WAYS[way]} at {100 * share:g} % {change:+.0f} %")
    return [f"Masks change the error of hidden joints: {', '.join(said)}.", ""] if said else []


def rows_of_wsgcn(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """WS-GCN's rows, one column per people and input."""
    if not records:
        return []
    lines = [
        "## WS-GCN's table", "",
        "SemGCN, one performer labelled, the others 2D only (`benchmarks/labels.py --network semgcn`); error in mm on "
        "people in no part of training (BlendMimic3D: validation actions), mean and 95 % interval over seeds. Trained "
        "and tested with the input that is named. The published figures are "
        "41.95 (full) and 49.23 (weak): ratio 1.17.", "",
    ]  # fmt: skip
    columns = [(record, _found(record), record["settings"]["input"]) for record in records]
    masks = records[0]["rows"][0]["masks"]
    rows = []
    for way, label in ROWS.items():
        cells = [_cell(found.get((way, 1.0, masks, given, "all"))) for _, found, given in columns]
        rows.append([label, *cells])
    for way in ("weak", "cold", "leak", "multi"):
        ratios = [_ratio(record, way, given) for record, _, given in columns]
        if any(ratios):
            rows.append([f"{ROWS[way]} : full", *(cell or "–" for cell in ratios)])
    head = ["", *(f"{PEOPLE[record['settings']['on']]}, `{given}`" for record, _, given in columns)]
    steps = ", ".join(str(record["settings"]["steps"]) for record in records)
    commits = ", ".join(dict.fromkeys(str(record["commit"]) for record in records))
    return [*lines, *table(head, rows), f"Steps a run: {steps}; commit {commits}.", ""]


def _ratio(record: Mapping[str, Any], way: str, given: str) -> str:
    """Error of a way over that of full supervision, seed by seed; empty if one of them was not run."""
    by_seed = {
        name: {row["seed"]: row["mm"][given]["all"] for row in record["rows"] if row["way"] == name}
        for name in (way, "full")
    }
    each = [by_seed[way][seed] / by_seed["full"][seed] for seed in by_seed[way] if seed in by_seed["full"]]
    return give_or_take(**interval(each), form=".2f") if each else ""


def adapted(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What ``adapt`` made of the clips, by the name of the way."""
    if not records:
        return []
    lines = [
        "## `adapt`: the default lifter on somebody's own keypoints", "",
        "`benchmarks/adapt.py`: the five training actions of BlendMimic3D seen most steeply, four cameras each, "
        "a simulated detector's keypoints; truth is looked at only to measure. Error in mm before and after. `adapt`'s "
        "own weights were chosen on these very clips with their truth, seed 0: development figures.", "",
    ]  # fmt: skip
    rows = []
    for label, record in records.items():
        before = record["before_mm"]
        for row in record["rows"]:
            if not row["handed_over"]:
                rows.append([label, str(row["seed"]), "refused", "", "", "", ""])
                continue
            cells = [f"{before[key]:.1f} → {row['mm'][key]:.1f} ({100 * (row['mm'][key] / before[key] - 1):+.1f} %)"
                     for key in ("all", "hidden", "aligned")]  # fmt: skip
            check = max(
                row["check_mm"]["after"][key] / row["check_mm"]["before"][key] - 1 for key in row["check_mm"]["before"]
            )
            rows.append([label, str(row["seed"]), f"{row['seconds'] / 60:.1f}", *cells, f"{100 * check:+.1f} %"])
    head = ["cameras", "seed", "minutes", "all", "hidden", "P-MPJPE", "built-in check, the worse input"]
    return lines + table(head, rows)
