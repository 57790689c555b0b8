"""Label curves: error against the share of 3D labels, for several ways to use people who have none.

    python benchmarks/labels.py --on motion --seconds-per-run 600 --output results/labels-motion.json
    python benchmarks/labels.py --on blendmimic3d --ways labelled multi --seeds 0 --output runs/try.json
    python benchmarks/labels.py --quick --output try.json

Every combination of way, share of labels, masks and seed is one training of task
``weak``, all with the same number of steps, judged on performers who were in no
part of it, with exact keypoints (``gt``) and a detector's. Runs lie under
``--runs``; whatever was finished is not done again, and what was begun goes on.
The number of steps follows from ``--seconds-per-run`` on the first call and is
kept with the runs. The record and a picture are written after every run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # the tree that this lies in, installed or not

from benchmarks.record import SCHEMA, check_target, facts, save  # noqa: E402
from posemend.errors import PosemendError  # noqa: E402
from posemend.nn import checkpoint  # noqa: E402
from posemend.training import checking, loop  # noqa: E402
from posemend.training.recipe import Recipe, parse  # noqa: E402
from posemend.training.weak import FRAME_BY_FRAME, watched_footage  # noqa: E402

SHARES = (0.001, 0.01, 0.05, 0.1, 1.0)
NONE = dict.fromkeys(("reprojection", "bones", "symmetry", "constancy", "usual", "consistency", "pseudo"), 0.0)
WAYS: dict[str, dict[str, Any]] = {
    "labelled": {"supervision": "labelled"},
    "weak": {"reprojection": 1.0, "bones": 1.0, "symmetry": 1.0},
    # from nothing but few labels, geometry teaches most: with a reprojection of 0.5 the gain was two thirds as large,
    # on BlendMimic3D's validation actions with 1 % of the labels, where these weights were chosen
    "single": {"reprojection": 4.0, "symmetry": 1.0, "constancy": 2.0, "usual": 3.0, "consistency": 0.5},
    "multi": {"reprojection": 0.5, "symmetry": 0.3, "pseudo": 1.0},
    "full": {"supervision": "full"},
    # the rows of WS-GCN's table, and its leak
    "no-bones": {"reprojection": 1.0, "symmetry": 1.0},
    "cold": {"reprojection": 1.0, "bones": 1.0, "symmetry": 1.0, "warmup": 0},
    "leak": {"reprojection": 1.0, "bones": 1.0, "symmetry": 1.0, "root": "true"},
}
PEOPLE: dict[str, dict[str, Any]] = {
    "motion": {
        "packs": {"cmu_asfamc": 1.0, "cmu_mb_bvh": 1.0, "reactidle": 1.0},
        "labelled": ["cmu_asfamc/01"],
        "unlabelled": ["cmu_asfamc/0[23]", "cmu_mb_bvh/0[567]", "reactidle/00[0-7]"],
    },
    "blendmimic3d": {
        "packs": {"blendmimic3d": 1.0},
        "labelled": ["blendmimic3d/S1"],
        "unlabelled": ["blendmimic3d/S2"],
    },
    "procedural": {
        "packs": {"procedural": 1.0},
        "labelled": ["procedural/seed10000"],
        "unlabelled": ["procedural/seed10001"],
    },
}
NETWORKS: dict[str, dict[str, Any]] = {
    "patch-tcn": {"patch": 2, "width": 192, "hidden": 256, "dilations": [1, 2, 4, 8]},
    "semgcn": {"hidden": 64, "layers": 4, "non_local": True, "joints": 17},
}
TINY = {"patch": 2, "width": 16, "hidden": 16, "dilations": [1, 2]}
HIDING = {
    "gt": {"exact": 1, "flagged": 0, "missing": 0, "detector": 0},
    "detector": {"exact": 0, "flagged": 0, "missing": 0.3, "detector": 0.7},
}
TRIAL = 12  # steps that tell how long one takes


@dataclass(frozen=True)
class Case:
    """One training."""

    way: str
    share: float
    masks: bool
    seed: int

    @property
    def name(self) -> str:
        return f"{self.way}-{self.share:g}-{'masks' if self.masks else 'plain'}-{self.seed}"


def recipe_of(case: Case, settings: argparse.Namespace, steps: int) -> Recipe:
    """The recipe of one training."""
    people = PEOPLE[settings.on]
    frames = 8 if settings.network in FRAME_BY_FRAME else 64
    size = 32 if settings.network in FRAME_BY_FRAME else 24
    weak = {**NONE, "warmup": steps // 5, "ramp": steps // 10, **WAYS[case.way]}
    if weak.get("warmup") == 0:
        weak["ramp"] = 0
    quick = settings.quick
    return parse(
        {
            "name": case.name, "task": "weak", "seed": case.seed,
            "network": {"name": settings.network, "options": TINY if quick else NETWORKS[settings.network]},
            "data": {"packs": people["packs"], "root": str(settings.data), "procedural_minutes": 3},
            "hiding": HIDING[settings.input], "views": {"calibrated": 1.0},
            "weak": {**weak, "labelled": people["labelled"], "unlabelled": people["unlabelled"], "share": case.share,
                     "masked": 0.5 if case.masks else 0.0},
            "optim": {"steps": steps, "batch": 4 if quick else size, "frames": 16 if quick else frames, "rate": 1e-3,
                      "warmup": max(1, steps // 20), "average": 0.99, "threads": settings.threads,
                      "save_every": max(1, steps // 4), "validate_every": 10**9},
        }
    )  # fmt: skip


def steps_for(settings: argparse.Namespace) -> int:
    """The number of steps of every run: kept with the runs, else measured with a way that has all to do."""
    place = settings.runs / "steps.json"
    if place.is_file():
        return int(json.loads(place.read_text(encoding="utf-8"))["steps"])
    if settings.steps:
        steps = settings.steps
    else:
        case = Case("single", max(settings.shares), True, 0)
        took = []
        for number in (2, TRIAL):
            started = time.monotonic()
            # each in a folder of its own: the warm-up follows the number of steps, and so recipes differ
            loop.fit(recipe_of(case, settings, number), settings.runs / f"trial-{number}", resume=True, show=False)
            took.append(time.monotonic() - started)
        step = max((took[1] - took[0]) / (TRIAL - 2), 1e-3)
        steps = max(20, int((settings.seconds_per_run - took[0]) / step))
    settings.runs.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"steps": steps}), encoding="utf-8")
    return steps


def judged(network: Any, name: str, footage: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Errors in mm by input and joints, on people who were in no part of the training."""
    frame_joints = int(getattr(network.config, "joints", 16)) if name in FRAME_BY_FRAME else 0
    joints = [place for place in range(1, 17) if frame_joints != 16 or place != 9]  # 9 is the nose, unknown to 16
    found = {}
    for input_name, people in footage.items():
        errors = checking.errors_of(checking.answers(network, people, frame_joints), joints)
        found[input_name] = {key: None if math.isnan(value) else value for key, value in errors.items()}
    return found


def one(case: Case, settings: argparse.Namespace, steps: int, footage: Mapping[str, Any]) -> dict[str, Any]:
    """The row of one training: out of its folder if it is done, else after going on with it."""
    folder = settings.runs / case.name
    place = folder / "row.json"
    if place.is_file():
        return json.loads(place.read_text(encoding="utf-8"))
    started = time.monotonic()
    loop.fit(recipe_of(case, settings, steps), folder, resume=True, show=settings.show)
    network, _ = checkpoint.load_network(folder / "checkpoint")
    row = {
        "way": case.way, "share": case.share, "masks": case.masks, "seed": case.seed, "steps": steps,
        "seconds": round(time.monotonic() - started, 1), "mm": judged(network, settings.network, footage),
    }  # fmt: skip
    place.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


# half-widths of a 95 % interval of a mean, in standard errors: Student's t for 1, 2, ... degrees of freedom
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


def interval(values: Sequence[float]) -> float | None:
    """Half the width of a 95 % interval of the mean over seeds, ``None`` with one seed."""
    if len(values) < 2:
        return None
    factor = _STUDENT[len(values) - 2] if len(values) - 2 < len(_STUDENT) else 1.96
    return factor * statistics.stdev(values) / math.sqrt(len(values))


def summarised(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means and intervals over seeds, by way, share, masks, input and joints."""
    lines = []
    for way, share, masks in dict.fromkeys((row["way"], row["share"], row["masks"]) for row in rows):
        runs = [row["mm"] for row in rows if (row["way"], row["share"], row["masks"]) == (way, share, masks)]
        for input_name, joints in itertools.product(runs[0], ("all", "visible", "hidden")):
            values = [run[input_name][joints] for run in runs]
            if None not in values:
                lines.append(
                    {"way": way, "share": share, "masks": masks, "input": input_name, "joints": joints,
                     "seeds": len(values), "mean": sum(values) / len(values), "interval": interval(values)}
                )  # fmt: skip
    return lines


def draw(lines: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Error over the share of labels, one curve per way; dashed without masks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    inputs = list(dict.fromkeys(line["input"] for line in lines))
    figure, axes = pyplot.subplots(1, len(inputs), figsize=(5.5 * len(inputs), 4.2), dpi=120, squeeze=False)
    for axis, input_name in zip(axes[0], inputs, strict=True):
        part = [line for line in lines if line["input"] == input_name and line["joints"] == "all"]
        ways = list(dict.fromkeys(line["way"] for line in lines))
        for way, masks in dict.fromkeys((line["way"], line["masks"]) for line in part):
            curve = sorted((line["share"] * 100, line["mean"], line["interval"] or 0) for line in part
                           if (line["way"], line["masks"]) == (way, masks))  # fmt: skip
            share, mean, wide = zip(*curve, strict=True)
            axis.errorbar(share, mean, yerr=wide, label=f"{way}{'' if masks else ', no masks'}", capsize=2,
                          color=f"C{ways.index(way)}", linestyle="-" if masks else "--", marker="o", ms=3)  # fmt: skip
        axis.set(xscale="log", xlabel="share of labels, %", ylabel="error, mm", title=f"{title}, {input_name}")
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def cases(settings: argparse.Namespace) -> Iterator[Case]:
    """All trainings, one seed after another, so that a first picture is there early."""
    masks = {"both": (True, False), "with": (True,), "without": (False,)}[settings.masks]
    for seed, share, way, masked in itertools.product(settings.seeds, settings.shares, settings.ways, masks):
        if masked or not settings.plain_shares or share in settings.plain_shares:
            yield Case(way, share, masked, seed)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", choices=tuple(PEOPLE), default="motion", help="whose people")
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", help="folder of the data")
    parser.add_argument("--network", choices=tuple(NETWORKS), default="patch-tcn")
    parser.add_argument("--input", choices=tuple(HIDING), default="detector", help="what training is given")
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=["labelled", "weak", "single", "multi"])
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES), help="of the labelled frames")
    parser.add_argument("--masks", choices=("both", "with", "without"), default="both")
    parser.add_argument(
        "--plain-shares",
        nargs="+",
        type=float,
        default=[],
        help="where runs without masks are made; default at all --shares",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seconds-per-run", type=float, default=300.0)
    parser.add_argument("--steps", type=int, default=0, help="of every run, instead of a time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, help="folder of the runs; default runs/labels-ON-NETWORK-INPUT")
    parser.add_argument("--output", type=Path, required=True, help="record to write, .json; the picture lies beside it")
    parser.add_argument("--show", action="store_true", help="progress of each run")
    parser.add_argument("--quick", action="store_true", help="only: does everything work? no figures")
    settings = parser.parse_args(words)
    if settings.quick:
        settings.on, settings.network, settings.steps = "procedural", "patch-tcn", settings.steps or 3
        settings.ways, settings.shares, settings.seeds, settings.masks = ["labelled", "single"], [0.5], [0], "with"
    if settings.runs is None:
        settings.runs = Path("runs") / f"labels-{settings.on}-{settings.network}-{settings.input}"
    if any(not 0 < share <= 1 for share in settings.shares):
        parser.error(f"--shares wants numbers above 0 and up to 1, got {settings.shares}.")
    return settings


def main(words: Sequence[str] | None = None) -> int:
    """Run what is not done yet, and write the record."""
    settings = _arguments(words)
    try:
        check_target(settings.output)
        steps = steps_for(settings)
        case = Case("labelled", 1.0, False, 0)
        footage = {}
        for name, hiding in HIDING.items():
            recipe = recipe_of(case, settings, steps)
            recipe = recipe.model_copy(update={"hiding": recipe.hiding.model_copy(update=hiding)})
            footage[name] = watched_footage(recipe)
        rows = []
        every = list(cases(settings))
        for number, case in enumerate(every, 1):
            rows.append(one(case, settings, steps, footage))
            print(f"{number}/{len(every)} {case.name}: {rows[-1]['mm']}", flush=True)
            _write(settings, steps, rows)
    except (PosemendError, ValueError, OSError) as error:
        print(f"labels.py: error: {error}", file=sys.stderr)
        return 2
    return 0


def _write(settings: argparse.Namespace, steps: int, rows: list[dict[str, Any]]) -> None:
    told = {
        "on": settings.on, "network": settings.network, "input": settings.input, "steps": steps,
        "seconds_per_run": settings.seconds_per_run, "seeds": settings.seeds, "shares": settings.shares,
        "ways": settings.ways, "masks": settings.masks, "quick": settings.quick, "people": PEOPLE[settings.on],
        "watched": "everybody whom 'people' does not name; on blendmimic3d the validation actions",
    }  # fmt: skip
    lines = summarised(rows)
    record = {"kind": "labels", "schema": SCHEMA, "settings": told, "rows": rows, "summary": lines}
    save(settings.output, record | facts(REPOSITORY, ("torch", "numpy")))
    draw(lines, settings.output.with_suffix(".png"), settings.on)


if __name__ == "__main__":
    raise SystemExit(main())
