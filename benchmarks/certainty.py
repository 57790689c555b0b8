"""Do the regions that the models state hold, before and after calibration?

    python -m benchmarks.certainty --root BLENDMIMIC3D [--semgcn FILE] -o results/calibration.json

BlendMimic3D's validation actions, which no calibration looks at. Of each set (``default`` never saw BlendMimic3D,
``research`` learnt and was calibrated on its other actions): coverage of the stated 50, 80, 90 and 95 % regions on
truly visible and truly hidden joints, by route and input. ``before``: the same models without the calibration on their
cards, where regions follow the exponential law. ``posemend calibrate`` writes the cards.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import record
from posemend.body.pose import Pose2D, Pose3D
from posemend.cli.calibrate import uncalibrated
from posemend.cli.judging import other_lifter
from posemend.contract.card import TASKS, find, read_card
from posemend.datasets import blendmimic3d
from posemend.evaluation.compare import compare
from posemend.evaluation.confidence import ConfidenceTally
from posemend.occlusion.hide import keypoints_for
from posemend.runtime.apply import lift_with_view, refine, refine_lifted

REPOSITORY = Path(__file__).resolve().parents[1]
INPUTS = ("gt", "gt+flags", "missing", "detector")
KEPT = ("joint_frames", "mean_error_mm", "mean_sigma_mm", "coverage", "radius_over_sigma", "ause_mm")


def measure(root: Path, bundle: str, inputs: tuple[str, ...], others: dict[str, Callable[[Pose2D], Pose3D]]) -> Any:
    """Coverage by route and input, of a set as it is."""
    takes = blendmimic3d.read(root, subjects=["S1", "S2"], actions=blendmimic3d.VALIDATION_ACTIONS)
    found: dict[str, Any] = {}
    for given in inputs:
        tallies: dict[str, ConfidenceTally] = {}
        for take in takes:
            keypoints = keypoints_for(take, given)
            lifted = lift_with_view(keypoints, bundle)
            poses = {"run": refine_lifted(lifted)}
            for name, lifter in others.items():
                raw = lifter(keypoints)
                poses[f"keypoints, {name}"] = refine(raw, keypoints, bundle=bundle)
                poses[f"alone, {name}"] = refine(raw, bundle=bundle)
            for route, pose in poses.items():
                tallies.setdefault(route, ConfidenceTally()).add(compare(take, pose))
        for route, tally in tallies.items():
            summary = tally.summary() or {}
            found.setdefault(route, {})[given] = {key: _rounded(summary[key]) for key in KEPT}
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _visible(lifter: Callable[[Pose2D], Pose3D]) -> Callable[[Pose2D], Pose3D]:
    """As another tool's file would come: no flags."""
    return lambda keypoints: replace(lifter(keypoints), visible=None)  # type: ignore[arg-type]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of BlendMimic3D")
    parser.add_argument("--sets", nargs="+", default=["default", "research"], help="names or folders of sets")
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--semgcn", help="SemGCN's published weights: refine its poses too (needs the train extra)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    words = parser.parse_args()
    record.check_target(words.output)
    others = {"semgcn": _visible(other_lifter(f"semgcn={words.semgcn}"))} if words.semgcn else {}
    found = {"kind": "calibration", "schema": record.SCHEMA, **record.facts(REPOSITORY, ("numpy", "onnxruntime"))}
    found["sets"] = {}
    for bundle in words.sets:
        folders = {task: find(bundle, task) for task in TASKS}
        with tempfile.TemporaryDirectory() as place:
            before = measure(words.root, uncalibrated(folders, Path(place)), tuple(words.inputs), others)
        after = measure(words.root, bundle, tuple(words.inputs), others)
        card = read_card(folders["refine"]).calibration
        found["sets"][Path(bundle).name] = {"calibrated_on": card.get("data"), "before": before, "after": after}
        for route, by_input in after.items():
            for given, table in by_input.items():
                was, now = (x["coverage"]["90%"] for x in (before[route][given], table))
                print(
                    f"{Path(bundle).name:9} {route:18} {given:9} 90 % regions: visible {was['visible']:.3f} -> "
                    f"{now['visible']:.3f}, hidden {was['hidden']:.3f} -> {now['hidden']:.3f}",
                    flush=True,
                )
    record.save(words.output, found)


if __name__ == "__main__":
    main()
