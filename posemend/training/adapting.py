"""A shipped lifter, taught further on somebody's own keypoints within a few minutes.

Half of every batch is the user's footage (task ``weak``): reprojection with a
solved root, bones that keep their length, left as long as right, and a mean
teacher on views with joints taken away; where calibrated cameras saw the same
moment, their triangulation too. The other half is made-up people with truth, as
an anchor against forgetting.

Nothing says whether a lifter got better on keypoints without labels. So the
result must pass a check that has truth: made-up people that are never trained
on. Where it fails, the way back towards the old weights is tried first (points
on the straight line between both are good lifters too: Wortsman et al., "Robust
fine-tuning of zero-shot models", CVPR 2022); then nothing is handed over.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from posemend.body.pose import Pose2D
from posemend.contract.card import Card, find, read_card, write_card
from posemend.errors import BundleError, InputError
from posemend.formats import write
from posemend.nn import checkpoint
from posemend.nn.export import export
from posemend.nn.from_bundle import network_of
from posemend.nn.table import options_of
from posemend.training import loop
from posemend.training.checking import built_in_check, without_truth
from posemend.training.footage import of_keypoints
from posemend.training.recipe import Recipe, parse

ALLOWED = 1.01  # error on the built-in check, over that before
BACKWARDS = (1.0, 0.75, 0.5, 0.25)  # shares of the way from old to new weights, in the order they are tried
TRIALS = (8, 40)  # steps of two short runs that tell how long starting and a step take here
FRAMES = 96
MADE_UP_MINUTES = 16

# chosen on the clips that benchmarks/adapt.py reports on
SINGLE = {"reprojection": 0.5, "bones": 0.0, "symmetry": 0.3, "constancy": 3.0, "usual": 0.5, "consistency": 5.0}
SEVERAL = {"reprojection": 1.0, "bones": 0.0, "symmetry": 0.3, "constancy": 1.0, "usual": 0.5, "pseudo": 4.0}
RATES = {"single": 2e-4, "several": 5e-4}  # single views say little for sure: small steps


@dataclass(frozen=True)
class Adapted:
    """What became of it.

    Attributes:
        card: Of the bundle that was written.
        steps: Steps learnt.
        seconds: Spent in all.
        share: How far the weights went from the old to the learnt ones.
        check: The built-in check in mm, ``before`` and ``after``, exact and detector's keypoints.
        clips: What the user's clips say without truth, ``before`` and ``after``.
    """

    card: Card
    steps: int
    seconds: float
    share: float
    check: dict[str, dict[str, float]]
    clips: dict[str, dict[str, float | None]]


def recipe_for(
    card: Card, network: nn.Module, files: Sequence[Path], moments: Sequence[int], start: Path, steps: int, seed: int
) -> Recipe:
    """The recipe of an adaptation; ``moments`` numbers the files' moments where calibrated cameras saw one at once."""
    # lists, as a checkpoint's JSON has them: a run is gone on with only if its recipe is the same
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in options_of(network).items()}
    return parse(
        {
            "name": f"{card.name}-adapted", "task": "weak", "seed": seed, "start_from": str(start),
            "network": {"name": card.network["name"], "options": options},
            "data": {"packs": {"procedural": 1.0}, "procedural_minutes": MADE_UP_MINUTES, "held_out": 0.0},
            "weak": {
                "labelled": ["procedural/*"], "files": [str(file) for file in files], "moments": list(moments),
                "augment": True, "masked": 0.5, "cameras": 1, **(SEVERAL if moments else SINGLE),
            },
            "optim": {"steps": steps, "batch": 24, "frames": FRAMES,
                      "rate": RATES["several" if moments else "single"], "warmup": 5, "average": 0.99,
                      "decay": 0.0, "save_every": 1_000_000, "validate_every": 1_000_000},
        }
    )  # fmt: skip


def adapt(
    people: Sequence[Pose2D],
    out: str | Path,
    folder: str | Path,
    minutes: float = 10.0,
    bundle: str | Path = "default",
    moments: Sequence[int] = (),
    seed: int = 0,
    show: bool = False,
) -> Adapted:
    """Teach a bundle's lifter on keypoints without labels, and write it as a bundle if it did not get worse.

    Args:
        people: Pixels, one person per clip, of any camera whose image size is known.
        out: Bundle folder to write; must not exist.
        folder: An empty folder for what is made on the way.
        minutes: About how long to learn.
        bundle: Whose lifter: a set that ships, or a folder.
        moments: Number of the moment of each clip, where calibrated cameras saw the same person at once; empty = none.
        seed: Of all chance.
        show: Progress on standard error.

    Raises:
        InputError: Clips that cannot teach (one frame, nothing seen, no hips), or cameras that contradict the 2D.
        BundleError: The bundle cannot be read back, the output is taken, or the result is worse on the built-in check.
    """
    started = time.monotonic()
    out, folder = Path(out), Path(folder)
    if out.exists():
        raise BundleError(f"{out} exists already. Choose another output folder, or remove it.")
    if not 0 < minutes <= 24 * 60:
        raise InputError(f"adapt wants minutes between 0 and 1440, got {minutes}.")
    if not people:
        raise InputError("adapt wants at least one clip of keypoints.")
    of_keypoints(people, moments or None)  # refuses what cannot teach before anything is started
    network, card = network_of(find(bundle, "lift"))
    if card.network["name"] != "patch-tcn":
        raise BundleError(f"adapt teaches posemend's own lifter (patch-tcn); '{card.name}' is {card.network['name']}.")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for place, person in enumerate(people):
        files.append(folder / f"clip{place}.npz")
        write(files[-1], person)
    about = {"network": {"name": card.network["name"], "options": options_of(network)}, "recipe": card.recipe,
             "commit": card.commit, "history": []}  # fmt: skip
    checkpoint.save(folder / "start", dict(network.state_dict()), {}, about)
    before = built_in_check(network), without_truth(network, people)

    def run(steps: int) -> dict[str, Any]:
        recipe = recipe_for(card, network, files, moments, folder / "start", steps, seed)
        return loop.fit(recipe, folder / "run", resume=True, show=show)

    steps = _learn(run, minutes)
    learnt, facts = checkpoint.load_network(folder / "run" / "checkpoint")
    share, chosen, after = best_allowed(network, learnt, before[0])
    check = {"before": before[0], "after": after}
    clips = {"before": before[1], "after": without_truth(chosen, people)}
    _hand_over(chosen, facts, folder, out, card.name)
    card = _own_card(out, card, len(people), {"built-in check, mm": check, "own clips, without truth": clips})
    return Adapted(card, steps, round(time.monotonic() - started, 1), share, check, clips)


def _learn(run: Callable[[int], Any], minutes: float) -> int:
    """A few steps to see how long starting and one step take, then as many as the time allows.

    The time is aimed at, not enforced: another load on the machine makes it longer.
    """
    begun = time.monotonic()
    took = []
    for steps in TRIALS:
        before = time.monotonic()
        run(steps)
        took.append(time.monotonic() - before)
    more = TRIALS[1] - TRIALS[0]  # steps of the second run, which started anew as the first one did
    # on a machine that is busy with other things the difference may be nonsense: a fifth of the mean is the least
    step = max((took[1] - took[0]) / (more - TRIALS[0]), 0.2 * took[1] / more)
    start = max(took[0] - TRIALS[0] * step, 0.0)
    left = 60 * minutes - (time.monotonic() - begun) - start
    steps = TRIALS[1] + max(0, int(left / step))
    if steps > TRIALS[1]:
        run(steps)
    return steps


def between(old: nn.Module, new: nn.Module, share: float) -> nn.Module:
    """The network that lies ``share`` of the way from the old weights to the new ones."""
    mixed = copy.deepcopy(old)
    first, second = old.state_dict(), new.state_dict()
    mixed.load_state_dict(
        {name: value.lerp(second[name].to(value.dtype), share) if value.is_floating_point() else second[name]
         for name, value in first.items()}
    )  # fmt: skip
    return mixed.eval()


def best_allowed(
    old: nn.Module, new: nn.Module, before: dict[str, float], allowed: float = ALLOWED
) -> tuple[float, nn.Module, dict[str, float]]:
    """The farthest point on the way from old to new that passes the built-in check.

    Returns:
        Its share of the way, the network, and its errors.

    Raises:
        BundleError: None passes.
    """
    after: dict[str, float] = {}
    for share in BACKWARDS:
        mixed = between(old, new, share)
        after = built_in_check(mixed)
        if all(after[name] <= allowed * error for name, error in before.items()):
            return share, mixed, after
    listing = ", ".join(f"{name} {before[name]:.1f} to {after[name]:.1f} mm" for name in before)
    raise BundleError(
        f"The adapted lifter is worse on the built-in check, even {BACKWARDS[-1]:.0%} of the way ({listing}; at most "
        f"{allowed - 1:.0%} is allowed). Nothing written. Give clips of more people and views, or other minutes."
    )


def _hand_over(network: nn.Module, facts: dict[str, Any], folder: Path, out: Path, bundle: str) -> None:
    recipe = facts["recipe"]
    # where files lay on this machine is nobody's business
    weak = {**recipe["weak"], "files": [Path(file).name for file in recipe["weak"]["files"]]}
    facts = {**facts, "recipe": {**recipe, "weak": weak, "start_from": bundle}}
    checkpoint.save(folder / "adapted", dict(network.state_dict()), {}, facts)
    export(folder / "adapted", out)


def _own_card(out: Path, parent: Card, clips: int, scores: dict[str, Any]) -> Card:
    """The card says what the parent was made from, as its licence goes on to hold, and what was added."""
    card = replace(
        read_card(out), name=f"{parent.name}-adapted", data=[*parent.data, f"adapted to {clips} clips of keypoints"],
        licence=parent.licence, commercial=parent.commercial, scores=scores,
    )  # fmt: skip
    write_card(out, card)
    return card
