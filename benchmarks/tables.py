"""Write ``docs/results.md`` and the models' scores from ``results/*.json``: no number on that page is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import depth_page, labels_page, masks_page
from benchmarks.refiners_page import page
from posemend.contract.card import DEPTH_SET, DEPTH_TASKS, read_card, write_card

REPOSITORY = Path(__file__).resolve().parents[1]
INPUTS = ("gt", "gt+flags", "missing", "detector")
_PARTS = ("visible", "hidden")
HEAD = (
    "| input | rows | all | visible | hidden | P-MPJPE all | P-MPJPE hidden | MPJVE | PCK@150 |",
    "|---|---|---|---|---|---|---|---|---|",
)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _row(label: str, source: str, found: dict[str, Any]) -> str:
    mpjpe, aligned = found["mpjpe_mm"], found["p_mpjpe_mm"]
    cells = [mpjpe["all"], mpjpe["visible"], mpjpe["hidden"], aligned["all"], aligned["hidden"],
             found["mpjve_mm"], found["pck150"]]  # fmt: skip
    return f"| `{label}` | {source} | " + " | ".join(_number(cell) for cell in cells) + " |"


def _load(name: str) -> dict[str, Any] | None:
    path = REPOSITORY / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _loaded(family: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Those of ``results/FAMILY-NAME.json`` that there are, by name."""
    found = {name: _load(f"{family}-{name}") for name in names}
    return {name: record for name, record in found.items() if record is not None}


def _chain(bundle: str) -> list[str]:
    lines = [f"## The chain, `{bundle}` models", "", *HEAD]
    for given in INPUTS:
        blind = _load(f"blind-{bundle}-{given}")
        if blind:
            lines.append(_row(given, "occlusion handling off", blind))
        found = _load(f"chain-{bundle}-{given}")
        if found:
            lines += [_row(given, "lifted", found["raw"]), _row(given, "refined", found)]
    return [*lines, ""]


def _semgcn(bundle: str) -> list[str]:
    lines = [f"## SemGCN, refined by the `{bundle}` models", "", *HEAD]
    harms = {}
    for given in INPUTS:
        found = _load(f"semgcn-{bundle}-{given}")
        if not found:
            continue
        lines += [_row(given, "SemGCN", found["raw"]), _row(given, "refined", found)]
        harms[given] = found["harm_mm"]
    return [*lines, *_harmed(harms), ""]


def _harmed(harms: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What became of frames where nothing is hidden, by input."""
    said = [f"`{given}` {harm['mean']:+.1f} mm on average, worst clip {harm['worst_clip']:+.1f} mm"
            for given, harm in harms.items() if harm["mean"] is not None]  # fmt: skip
    return ["", f"Change on frames where nothing is hidden (below 0 is better): {'; '.join(said)}."] if said else []


def _better() -> list[str]:
    """What the default refiner does to the poses of a lifter that is better than its own."""
    found = _load("better")
    if not found:
        return []
    lines = [
        "## A lifter better than ours: the research lifter's poses, refined by the `default` models", "",
        "| input | rows | all | visible | hidden |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for given, cells in found["cells"]["posemend"].items():
        for label, cell in (("research lifter", cells["raw"]), ("refined", cells["default"])):
            columns = [_number(cell["mpjpe_mm"][part]) for part in ("all", *_PARTS)]
            lines.append(f"| `{given}` | {label} | " + " | ".join(columns) + " |")
    harms = {given: cells["default"]["harm_mm"] for given, cells in found["cells"]["posemend"].items()}
    return [*lines, *_harmed(harms), ""]


def _lifters() -> list[str]:
    """Published lifters as they were trained here; nothing before ``benchmarks/lifters.py`` was run."""
    measured = (_load("lifters") or {}).get("lifters", {})
    if not measured:
        return []
    cells = (_load("refiners") or {}).get("cells", {})
    lines = [
        "## Published lifters, trained here, occlusion-blind", "",
        "Frames per second from keypoints to 3D in torch, timed in turns, windows and mirror image included; errors",
        "are those of the raw poses of the table of refiners below (mm, without the root).", "",
        "| lifter | parameters | frames/s | `gt` all | `gt` hidden | `detector` all | `detector` hidden |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in measured.items():
        raw = [cells.get(name, {}).get(given, {}).get("raw") for given in ("gt", "detector")]
        errors = [_number(one["mpjpe_mm"][part]) if one else "–" for one in raw for part in ("all", "hidden")]
        lines.append(f"| {name} | {row['parameters']:,} | {row['fps']:,.0f} | " + " | ".join(errors) + " |")
    return [*lines, ""]


WAYS = {
    "first": "`lift-default`: random spans hide",
    "engine": "`lift-engine`, the default lifter: bodies and boxes hide, steeper cameras",
    "fitted": "going on with detections as of real detectors",
    "rig": "going on with cameras like BlendMimic3D's",
    "body": "going on in the bodies of its characters",
    "both": "going on with both, cameras and bodies",
}


def _engine() -> list[str]:
    """Lifters that never saw BlendMimic3D's motions; nothing before ``scripts/engine_ways.sh`` was run."""
    rows = []
    for way, label in WAYS.items():
        found = {given: _load(f"engine-{way}-{given}") for given in INPUTS}
        rows += [_row(given, label, result) for given, result in found.items() if result]
    if not rows:
        return []
    taught = {given: _load(f"chain-research-{given}") for given in ("missing", "detector")}
    rows += [_row(given, "`research`: taught on its motions", found["raw"]) for given, found in taught.items() if found]
    return ["## Without BlendMimic3D's motions: lifters of the engine's data alone", "", *HEAD, *rows, ""]


def _certainty() -> list[str]:
    """Coverage of the stated regions; nothing before ``benchmarks.certainty`` was run."""
    sets = (_load("calibration") or {}).get("sets", {})
    if not sets:
        return []
    lines = [
        "## How sure: coverage of the stated 90 % regions", "",
        "Share of joint-frames whose truth lies inside, in per cent, without and with the calibration on the cards,",
        "and mean error beside mean stated error (mm, calibrated). Routes: [models.md](models.md).", "",
        "| set | route | input | visible | hidden | error/stated, visible | error/stated, hidden |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, found in sets.items():
        for route, by_input in found["after"].items():
            for given, now in by_input.items():
                was = found["before"][route][given]["coverage"]["90%"]
                cells = [f"{100 * was[key]:.1f} → {100 * now['coverage']['90%'][key]:.1f}" for key in _PARTS]
                cells += [f"{now['mean_error_mm'][key]:.0f}/{now['mean_sigma_mm'][key]:.0f}" for key in _PARTS]
                lines.append(f"| `{name}` | {route} | `{given}` | " + " | ".join(cells) + " |")
    told = [f"`{name}`: {found['calibrated_on']}" for name, found in sets.items() if found["calibrated_on"]]
    return [*lines, "", f"Calibrated on: {'. '.join(told)}.", ""]


def _scores(bundle: str, task: str) -> dict[str, Any]:
    """Errors for a model's card: of the lifter its own, of the refiner what it makes of both lifters."""
    rows = {}
    for name in ("chain", "semgcn") if task == "refine" else ("chain",):
        for given in INPUTS:
            found = _load(f"{name}-{bundle}-{given}")
            if found:
                judged = found if task == "refine" else found["raw"]
                rows[f"{name} {given}"] = {key: judged[key] for key in ("mpjpe_mm", "p_mpjpe_mm")}
    return {"blendmimic3d validation": rows, "command": "scripts/results.sh"} if rows else {}


def _depth_scores(task: str) -> dict[str, Any]:
    """Errors for a depth module's card: of what there is once it has done its part."""
    found = _load("depth")
    if not found:
        return {}
    step = "chain" if task == "depth-time" else task.removeprefix("depth-")
    stage = {key: found["stages"]["plain"][step][key] for key in ("all", "visible", "hidden")}
    return {"made-up depth, after this module": stage, "command": "python -m benchmarks.depth (docs/depth.md)"}


def _write_cards() -> None:
    for bundle in ("default", "research"):
        for task in ("lift", "refine"):
            folder = REPOSITORY / "posemend" / "bundles" / bundle / task
            write_card(folder, replace(read_card(folder), scores=_scores(bundle, task)))
    for task in DEPTH_TASKS:
        folder = REPOSITORY / "posemend" / "bundles" / DEPTH_SET / task
        write_card(folder, replace(read_card(folder), scores=_depth_scores(task)))


def main() -> None:
    """Write the page and the cards' scores."""
    _write_cards()
    lines = [
        "# Results",
        "",
        "Made by `scripts/results.sh` and `benchmarks/tables.py` from `results/*.json`. BlendMimic3D's validation",
        "actions (Greeting, SittingTalk, WalkCircle of S1 and S2, four cameras), millimetres, root-relative, 16 joints",
        "without the root, per clip first, then the mean over clips. Inputs: see [conventions](conventions.md).",
        "The `default` models never saw BlendMimic3D (zero-shot); the `research` models were trained on its other",
        "actions (in-domain). The two are not to be compared with each other as methods.",
        "",
    ]
    for bundle in ("default", "research"):
        lines += _chain(bundle) + _semgcn(bundle)
    lines += _better() + _engine() + _lifters()
    refiners = _load("refiners")  # nothing before `posemend evaluate --table refiners` wrote it
    lines += page(refiners) if refiners else []
    lines += masks_page.page(_loaded("masks", masks_page.TITLES))
    for name, record in _loaded("labels", labels_page.PEOPLE).items():
        lines += labels_page.curves(f"labels-{name}", record)
    wsgcn = _loaded("wsgcn", [f"{people}-{given}" for people in labels_page.PEOPLE for given in ("gt", "detector")])
    lines += labels_page.rows_of_wsgcn(list(wsgcn.values()))
    lines += labels_page.adapted(_loaded("adapt", ("single", "several")))
    lines += _certainty() + depth_page.page(_load("depth"))
    (REPOSITORY / "docs" / "results.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
