"""Do structured masks help? Small graphs trained alike but for what is switched off, and for what the set is like.

    posemend train recipes/blind-martinez.toml -o runs/blind-martinez
    python -m benchmarks.ablate_masks --work runs/masks --seconds-per-run 120 --output results

Three tables, each with a picture: ``kinds`` (structured masks, DropEdge,
MC-dropout, nothing), ``sets`` (number, share and overlap of the masks) and
``graph`` (T, t_p and Delta). Every run has the same samples in the same order
and the same number of steps, found once from the seconds given. A run that is
there is not run again, one that was killed goes on; so is this program.

A graph's nodes in time are every fourth frame, in training and when measured:
edges in time that span four frames or more make graphs that share nothing.
Errors are those of three situations (``masked_validation``).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks import ablation, record
from benchmarks.masked_validation import Clip, clips, errors
from posemend.nn import checkpoint
from posemend.nn.refiners.masked_stgcn import MaskedSTGCN, monte_carlo
from posemend.nn.table import build, options_of
from posemend.training import loop
from posemend.training.recipe import Recipe, load
from posemend.training.tasks import maker

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = REPOSITORY / "recipes" / "masked-paper.toml"
SEEDS = (101, 102, 103)
EVERY = 4  # frames to a node, as in SMALL
PASSES = 5  # of MC-dropout
SMALL = (
    "network.options.width=48", "network.options.attention=true", "network.options.neighbours=2",
    "network.options.strides=[2,2,2,2]", "network.options.memory=256", "optim.batch=8", "optim.frames=128",
    "optim.warmup=30", "optim.validate_every=100000", "optim.save_every=200",
    # runs are as long as BlendMimic3D's, in nodes
    "masked.every=4", "masked.frames=32", "masked.overlap=0.12", "masked.median=4.0", "masked.spread=1.5",
    "data.procedural_minutes=20", "data.held_out=0.0",
    # raw poses are those of a lifter that sees single frames, as the paper's does
    "raw.own=0.0", "raw.corrupted=0.0", "raw.published=1.0", 'raw.opinion="checkpoints/lift-research"',
    # mostly BlendMimic3D's training actions by its own cameras: little that a refiner could never know
    "data.blendmimic3d=0.7", "variety.lengths=0.08", "variety.definition=0.0", "views.calibrated=1.0",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One row of a table.

    Attributes:
        name: Of the row.
        table: ``kinds``, ``sets`` or ``graph``.
        axis: What is varied, for the picture; ``""`` for kinds.
        value: Where it stands on that axis.
        overrides: Of the recipe.
        tests: Ways of use that are measured: ``masked`` (hidden joints cut off), ``open`` (nothing is), ``average``
            (over the masks), ``passes`` (MC-dropout).
    """

    name: str
    table: str
    axis: str = ""
    value: float = math.nan
    overrides: tuple[str, ...] = ()
    tests: tuple[str, ...] = ("masked",)


_OCCLUDED = (
    "hiding.exact=0.2",
    "hiding.missing=0.5",
    "hiding.detector=0.3",
)  # samples whose joints are hidden, and known to be


def settings() -> list[Setting]:
    """All rows of all tables; the rows called ``base`` are one and the same run."""

    def kind(name: str, what: str, tests: tuple[str, ...], *more: str) -> Setting:
        cut = "trust" if what == "structured" else "never"
        chosen = (f"masked.kind={what}", f"network.options.hide={cut}", *more)
        return Setting(name, "kinds", overrides=chosen, tests=tests)

    found = [
        Setting("structured masks", "kinds", tests=("masked", "average")),
        kind("DropEdge", "dropedge", ("open", "masked")),
        kind("DropEdge, as many edges", "dropedge", ("open", "masked"), "masked.share=0.36"),  # 1 - (1 - 0.2)^2
        kind("MC-dropout", "mc-dropout", ("passes", "open", "masked")),
        kind("no masks", "none", ("open", "masked")),
        kind("no masks, occluded data", "none", ("open", "masked"), *_OCCLUDED),
        kind("structured masks, occluded data", "structured", ("masked",), *_OCCLUDED),
        # what the cut-off alone is worth: hidden joints send nothing, but only the data hides any
        kind("cut-off alone, occluded data", "none", ("masked",), *_OCCLUDED, "network.options.hide=trust"),
    ]
    base: dict[str, float] = {"number": 8, "share": 0.2, "overlap": 0.12, "T": 32, "t_p": 2, "Delta": 2}
    axes: list[tuple[str, str, str, list[float]]] = [
        ("sets", "number", "masked.number={0:.0f}", [1, 32]),
        ("sets", "share", "masked.share={0} masked.overlap={1:.3f}", [0.05, 0.4]),
        ("sets", "overlap", "masked.overlap={0}", [0.3, 1.0]),
        ("graph", "T", "masked.frames={0:.0f}", [8, 16]),
        ("graph", "t_p", "network.options.neighbours={0:.0f}", [0, 4]),
        ("graph", "Delta", "network.options.strides=[{0:.0f},{0:.0f},{0:.0f},{0:.0f}]", [1, 4]),
    ]
    for table, axis, pattern, values in axes:
        for value in sorted([*values, base[axis]]):
            overrides = () if value == base[axis] else tuple(pattern.format(value, _independent(value)).split())
            found.append(Setting(f"{axis} = {value:g}", table, axis, value, overrides))
    return found


def _independent(share: float) -> float:
    """Overlap of masks drawn independently."""
    return share / (2 - share) if 0 < share < 1 else 0.0


@dataclass
class Session:
    """What all runs share."""

    work: Path
    root: Path
    lifter: Path
    steps: int
    clips: dict[str, list[Clip]] = field(default_factory=dict)

    def recipe(self, setting: Setting, seed: int) -> Recipe:
        """The recipe of a run."""
        more = (
            f"seed={seed}", f"masked.seed={seed}", f"optim.steps={self.steps}", f'data.root="{self.root}"',
            f'raw.lifters=["{self.lifter}"]',
        )  # fmt: skip
        return load(RECIPE, (*SMALL, *setting.overrides, *more))

    def run(self, setting: Setting, seed: int) -> dict[str, dict[str, dict[str, float]]]:
        """Train (or go on, or find) one network, and measure it in each situation and way of use."""
        recipe = self.recipe(setting, seed)
        folder = self.work / f"{ablation.slug(recipe)}-{seed}"
        place = folder / "errors.json"
        known: dict[str, dict[str, dict[str, float]]] = {}  # by way of use, then situation
        if place.is_file():
            known = json.loads(place.read_text(encoding="utf-8"))
        missing = [test for test in setting.tests if test not in known]
        if missing:
            loop.fit(recipe, folder, resume=True, show=False)
            network, _ = checkpoint.load_network(folder / "checkpoint")
            for test in missing:
                known[test] = {
                    situation: measure(network, test, recipe, found)  # type: ignore[arg-type]
                    for situation, found in self.clips.items()
                }
            place.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        return {situation: {test: known[test][situation] for test in setting.tests} for situation in self.clips}


def measure(network: MaskedSTGCN, test: str, recipe: Recipe, found: list[Clip]) -> dict[str, float]:
    """Errors of a trained network in one way of use."""
    if test == "passes":
        return errors(found, lambda e, c: monte_carlo(network, e, c, recipe.masked.share, PASSES))
    options = options_of(network)
    options["hide"] = "never" if test == "open" else "trust"
    if test == "average":
        m = recipe.masked
        options |= {"masks": m.number, "share": m.share, "overlap": m.overlap, "frames": m.frames, "masks_seed": m.seed}
    used = build(recipe.network.name, options)
    used.load_state_dict(network.state_dict())
    return errors(found, used.eval())


def steps_within(work: Path, root: Path, lifter: Path, seconds: float) -> int:
    """How many steps the structured masks' run takes in so many seconds of processor time; kept in ``work``.

    Processor time, as a machine that does something else besides would shorten the runs.
    """
    place = work / "steps.json"
    if place.is_file():
        kept = json.loads(place.read_text(encoding="utf-8"))
        if kept["seconds_per_run"] == seconds:
            return int(kept["steps"])
    recipe = Session(work, root, lifter, 10).recipe(settings()[0], SEEDS[0])
    source = maker(recipe)
    step = loop._begin(recipe)
    times = []
    for number in range(8):
        begun = time.process_time()
        batch = source.batch(number)
        made = time.process_time()
        loop._learn(batch, number, recipe, step)
        learnt = time.process_time()
        times.append(max(made - begun, learnt - made))  # batches are made in another process
    each = sorted(times)[len(times) // 2]
    steps = max(20, int(seconds / each))
    work.mkdir(parents=True, exist_ok=True)
    kept = {"seconds_per_run": seconds, "steps": steps, "seconds_per_step": each}
    place.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    return steps


def main(words: list[str] | None = None) -> None:
    """Run what is missing, and write tables and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="where runs are kept; given again, they go on")
    parser.add_argument("--root", type=Path, default=Path("../shared/data"), help="data folder, as in recipes")
    parser.add_argument(
        "--lifter", type=Path, default=Path("runs/blind-martinez"), help="whose poses are repaired: a run"
    )
    parser.add_argument("--seconds-per-run", type=float, default=120.0, help="processor time, measured once")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), choices=range(1, len(SEEDS) + 1))
    parser.add_argument("--tables", nargs="+", default=["kinds", "sets", "graph"], choices=["kinds", "sets", "graph"])
    parser.add_argument("--stop-after", type=float, default=math.inf, help="seconds after which no run is begun")
    parser.add_argument("--output", type=Path, help="folder for masks-TABLE.json and .png; written for whole tables")
    chosen = parser.parse_args(words)
    begun = time.monotonic()
    chosen.work.mkdir(parents=True, exist_ok=True)
    steps = steps_within(chosen.work, chosen.root, chosen.lifter, chosen.seconds_per_run)
    session = Session(chosen.work, chosen.root, chosen.lifter, steps)
    session.clips = clips(chosen.root, chosen.lifter, "martinez", EVERY)
    raw = {situation: errors(found, None) for situation, found in session.clips.items()}
    print(f"{steps} steps a run; raw poses: " + "; ".join(f"{k}: {ablation.line(v)}" for k, v in raw.items()))
    for table in chosen.tables:
        rows: list[dict[str, Any]] = []
        for setting in (one for one in settings() if one.table == table):
            per_seed = []
            for seed in SEEDS[: chosen.seeds]:
                if time.monotonic() - begun > chosen.stop_after:
                    print("Time is up; the same command goes on from here.")
                    return
                per_seed.append({"seed": seed, "errors_mm": session.run(setting, seed)})
            rows.append(ablation.row(setting.name, setting.axis, setting.value, per_seed))
            print(ablation.described(rows[-1]), flush=True)
        facts = record.facts(REPOSITORY, ("torch", "numpy"))
        made = ablation.table(table, rows, raw, steps, chosen.seconds_per_run, torch.get_num_threads(), facts)
        if chosen.output:
            record.save(chosen.output / f"masks-{table}.json", made)
            ablation.draw(made, chosen.output / f"masks-{table}.png")


if __name__ == "__main__":
    main()
