"""What `adapt` is worth: error on clips with truth that it was taught on without it.

    python benchmarks/adapt.py --data BlendMimic3D --minutes 10 --output results/adapt-single.json
    python benchmarks/adapt.py --data BlendMimic3D --several --output results/adapt-several.json

The clips are the five actions of BlendMimic3D whose cameras look down (or up)
at the person most unlike the cameras that lifters are trained with. Their
keypoints (a simulated detector's) are all that `adapt` is given; the truth is
looked at here alone. Validation and test actions take no part unless they are
named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # the tree that this lies in, installed or not

from benchmarks.record import SCHEMA, check_target, facts, save  # noqa: E402
from posemend import lift  # noqa: E402
from posemend.body.pose import Take  # noqa: E402
from posemend.datasets import blendmimic3d  # noqa: E402
from posemend.errors import PosemendError  # noqa: E402
from posemend.evaluation.protocol import evaluate  # noqa: E402
from posemend.occlusion.hide import keypoints_for  # noqa: E402
from posemend.training.adapting import adapt  # noqa: E402

USUAL = 0.1  # radians by which training cameras look down in the middle (training.views)


def steepness(take: Take) -> float:
    """How unlike a training camera's the angle is at which a take's camera looks at the person, radians."""
    camera, root = take.keypoints.camera, take.truth.root
    assert camera is not None and root is not None  # BlendMimic3D has both
    direction = root.astype(np.float64) @ camera.rotation  # camera axes to world axes
    down = np.arcsin(-direction[:, 2] / np.linalg.norm(direction, axis=-1))
    return float(np.median(np.abs(down - USUAL)))


def chosen(takes: Sequence[Take], count: int) -> list[Take]:
    """All cameras of the ``count`` actions that are seen most steeply."""
    by_action: dict[tuple[str, str], list[Take]] = {}
    for take in takes:
        by_action.setdefault((take.subject, take.action), []).append(take)
    order = sorted(by_action.values(), key=lambda views: -float(np.mean([steepness(view) for view in views])))
    return [take for views in order[:count] for take in views]


def measured(takes: Sequence[Take], bundle: str, settings: argparse.Namespace) -> dict[str, Any]:
    """Errors of a bundle's lifter."""
    found = evaluate(
        takes, lambda keypoints: lift(keypoints, bundle=bundle), input=settings.input, on="blendmimic3d",
        seed=settings.detector_seed,
    )  # fmt: skip
    return {
        "all": found["mpjpe_mm"]["all"],
        "hidden": found["mpjpe_mm"]["hidden"],
        "aligned": found["p_mpjpe_mm"]["all"],
    }


def one(takes: Sequence[Take], seed: int, settings: argparse.Namespace) -> dict[str, Any]:
    """Adapt once, and measure before and after."""
    people = [keypoints_for(take, settings.input, settings.detector_seed) for take in takes]
    actions = list(dict.fromkeys((take.subject, take.action) for take in takes))
    moments = [actions.index((take.subject, take.action)) for take in takes] if settings.several else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bundle"
        try:
            done = adapt(people, out, Path(folder) / "run", settings.minutes, settings.bundle, moments, seed)
        except PosemendError as error:
            return {"seed": seed, "handed_over": False, "why": str(error)}
        return {
            "seed": seed, "handed_over": True, "steps": done.steps, "seconds": done.seconds, "share": done.share,
            "check_mm": done.check, "without_truth": done.clips, "mm": measured(takes, str(out), settings),
        }  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Adapt on every seed and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data" / "blendmimic3d")
    parser.add_argument("--input", choices=("gt", "missing", "detector"), default="detector")
    parser.add_argument("--actions", nargs="+", default=list(blendmimic3d.TRAINING_ACTIONS), help="to choose from")
    parser.add_argument("--count", type=int, default=5, help="actions, the most steeply seen")
    parser.add_argument("--several", action="store_true", help="the cameras of an action teach together")
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--detector-seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    settings = parser.parse_args(words)
    try:
        check_target(settings.output)
        takes = chosen(blendmimic3d.read(settings.data, ["S1", "S2"], settings.actions), settings.count)
        before = measured(takes, settings.bundle, settings)
        rows = []
        for seed in settings.seeds:
            rows.append(one(takes, seed, settings))
            print(f"seed {seed}: {before} -> {rows[-1]}", flush=True)
            told = {
                "clips": [take.name for take in takes], "input": settings.input, "several": settings.several,
                "bundle": Path(settings.bundle).name, "minutes": settings.minutes, "seeds": settings.seeds,
            }  # fmt: skip
            record = {"kind": "adapt", "schema": SCHEMA, "settings": told, "before_mm": before, "rows": rows}
            save(settings.output, record | facts(REPOSITORY, ("torch", "numpy", "onnxruntime")))
    except (PosemendError, ValueError, OSError) as error:
        print(f"adapt.py: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
