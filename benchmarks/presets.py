"""Do the presets hide joints as BlendMimic3D does? Hidden runs and hidden joints per frame, side by side.

    python -m benchmarks.presets --root BlendMimic3D -o results/presets.json

``rig`` is held against S1 and ``rig-objects`` against S2: median, mean and 90th percentile of the lengths of hidden
runs, mean hidden joints per frame, share of frames with any; and the two histograms' overlap (1 = the same).
Motion is made up (``procedural:everyday``); nothing of BlendMimic3D goes into the scenes but the presets' ranges of
girth and obstacles, which were chosen on other seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from posemend.datasets import blendmimic3d
from posemend.datasets.scene_presets import draw
from posemend.datasets.staging import Library, label_stage, stage
from posemend.occlusion.runs import counted, summary

REPOSITORY = Path(__file__).resolve().parents[1]
PAIRS = {"rig": "S1", "rig-objects": "S2"}
KEYS = ("run_median", "run_mean", "run_p90", "hidden_mean", "hidden_any")
_RUN_BINS = np.geomspace(1, 4096, 13)


def overlap(one: NDArray, other: NDArray) -> float:
    """Shared part of two histograms."""
    return float(np.minimum(one / one.sum(), other / other.sum()).sum())


def measure(root: Path, scenes: int, first_seed: int) -> dict[str, Any]:
    """The record's own part."""
    found: dict[str, Any] = {"settings": {"scenes": scenes, "first_seed": first_seed}, "pairs": {}}
    for preset, subject in PAIRS.items():
        truth = counted([~take.truth.visible for take in blendmimic3d.read(root, [subject])])
        hidden = []
        for number in range(scenes):
            scene = draw(preset, first_seed + number, 0)
            hidden += [one.labels.kind > 0 for one in label_stage(stage(scene, Library()))]
        made = counted(hidden)
        ours, theirs = summary(*made), summary(*truth)
        found["pairs"][preset] = {
            "subject": subject,
            "ours": ours,
            "theirs": theirs,
            "ratio": {key: ours[key] / theirs[key] for key in KEYS},
            "worst": max(abs(ours[key] / theirs[key] - 1) for key in KEYS),
            "overlap_runs": overlap(*(np.histogram(x[0], _RUN_BINS)[0] for x in (made, truth))),
            "overlap_hidden": overlap(*(np.bincount(x[1], minlength=18) for x in (made, truth))),
        }
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of BlendMimic3D")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("-o", "--output", type=Path, required=True)
    words = parser.parse_args()
    record.check_target(words.output)
    found = {"kind": "presets", "schema": record.SCHEMA, **record.facts(REPOSITORY, ("numpy", "scipy"))}
    found |= measure(words.root, words.scenes, words.first_seed)
    record.save(words.output, found)
    for preset, pair in found["pairs"].items():
        print(preset, pair["subject"], {key: round(value, 2) for key, value in pair["ratio"].items()},
              f"overlap {pair['overlap_runs']:.2f} {pair['overlap_hidden']:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
