"""Clips that a set of models was not taught by, for calibrating the errors that it states.

- A set that learnt from BlendMimic3D's cameras is calibrated on those of its domain, whole takes: on the actions that
  its recipe kept out for this (``data.calibration``) and as many of those that it learnt from; where it kept none, on
  the latter alone. Errors on what was learnt are smaller than on new actions; the two kept out, on the phone both,
  are harder than most: regions fitted to either alone were too small (80-90 % for 90) or too large (93-97 %).
- Any other set is calibrated on the motions that its recipe holds out, as they were recorded (made-up motions and
  varied bodies are left out: nobody moves like that), seen by level virtual cameras.

BlendMimic3D's validation and test actions and its S3 are never opened here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets import blendmimic3d
from posemend.datasets.packs import Motion
from posemend.errors import RecipeError
from posemend.geometry.camera import Camera
from posemend.training.hiding import Hiding, behind_box, behind_trunk, outside, spans
from posemend.training.motions import Pool
from posemend.training.recipe import Recipe
from posemend.training.sources import motions
from posemend.training.spoil3d import spoil3d
from posemend.training.views import Seen, Views, look

SECONDS = 12.0  # of a motion at most; clips in use are long, and what came before and after helps
SPANS_A_SECOND = 0.6  # hidden spans
RATES = (25.0, 30.0, 50.0)
PIXELS = 1000  # longer image side of virtual cameras
MOST_OUTSIDE, TRIES = 0.1, 20  # share of joint-frames out of the picture: people are filmed to be seen
ORDINARY = Views(figure=(0.3, 0.9), steep=0.0, calibrated=0.5)


@dataclass(frozen=True)
class Split:
    """Clips to calibrate on, and what they are, in words."""

    takes: list[Take]
    data: str


def split(recipe: Mapping[str, Any], root: Path, clips: int, seed: int) -> Split:
    """The clips for a set of models.

    Args:
        recipe: That of the lifter, as its card has it.
        root: Folder of the data, ``data.root`` of recipes.
        clips: How many, at most.
        seed: Of all chance.

    Raises:
        RecipeError: The recipe is not understood, its data are not there, or it holds nothing out.
    """
    try:
        read = Recipe.model_validate({**recipe, "data": {**recipe["data"], "root": str(root)}})
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(
            f"The recipe on the card is not understood ({error}). Export the model again with this version."
        ) from None
    if read.data.blendmimic3d > 0:
        return _recorded(root, read.data.calibration, clips)
    recorded = {name: share for name, share in read.data.packs.items() if name != "procedural"}
    if recorded:
        read = read.model_copy(update={"data": read.data.model_copy(update={"packs": recorded})})
    found = [(motion, share) for part, share in motions(read, held_out=True) for motion in part]
    if not found:
        raise RecipeError("The recipe holds no motion out (data.held_out), so there is nothing to calibrate on.")
    rng = np.random.default_rng(seed)
    # as in training: longer sequences more often, but not in proportion
    weight = np.array([share * np.sqrt(len(motion.positions)) for motion, share in found])
    drawn = rng.choice(len(found), clips, p=weight / weight.sum())
    takes = [_filmed(found[which][0], RATES[place % len(RATES)], str(place), rng) for place, which in enumerate(drawn)]
    names = ", ".join(recorded or read.data.packs)
    return Split(takes, f"{clips} clips of {len(set(drawn))} held-out motions ({names}), level virtual cameras")


def _recorded(root: Path, kept_out: Sequence[str], clips: int) -> Split:
    """BlendMimic3D's takes, whole as clips in use are: of the actions that were kept out of training, and of as many
    taken from those that were not; odd and even cameras by turns, which is enough and has all four.
    """
    takes = blendmimic3d.read(root / "blendmimic3d", subjects=["S1", "S2"])
    out = [take for take in takes if take.action in kept_out and take.action in blendmimic3d.TRAINING_ACTIONS]
    learnt = [take for take in takes if take.action in blendmimic3d.TRAINING_ACTIONS and take.action not in kept_out]
    if kept_out and not out:
        raise RecipeError(f"None of the actions {', '.join(kept_out)} (data.calibration) is there to calibrate on.")
    actions = sorted({(take.subject, take.action) for take in learnt})
    learnt = [take for take in learnt if (int(take.camera[-1]) + actions.index((take.subject, take.action))) % 2 == 0]
    room = clips if not out else min(len(out), clips // 2)
    out, learnt = _spread(out, max(room, 1)), _spread(learnt, room)
    if not out:
        return Split(learnt, f"{len(learnt)} clips of BlendMimic3D's training actions, which were trained on")
    names = ", ".join(sorted({take.action for take in out}))
    return Split(
        out + learnt,
        f"{len(out)} clips of BlendMimic3D's {names}, kept out of training, and {len(learnt)} of its others",
    )


def _spread(takes: list[Take], count: int) -> list[Take]:
    """So many of them, evenly spread."""
    if len(takes) <= count:
        return takes
    return [takes[place * len(takes) // count] for place in range(count)]


def _filmed(motion: Motion, fps: float, name: str, rng: np.random.Generator) -> Take:
    """A motion, or a piece of it, seen by one camera and hidden by spans, boxes, the trunk and the frame."""
    frames = max(8, round(min(SECONDS, len(motion.positions) / motion.fps) * fps))
    window = Pool.of([([motion], 1.0)]).windows(rng, 1, frames, fps)
    seen = look(window - window[:, :, :1], window[:, :, 0].copy(), ORDINARY, rng)
    for _ in range(TRIES):
        if outside(seen).mean() <= MOST_OUTSIDE:
            break
        seen = look(window - window[:, :, :1], window[:, :, 0].copy(), ORDINARY, rng)
    hiding = Hiding(seconds=1.2, spans=SPANS_A_SECOND * frames / fps)
    hidden = spans(1, frames, fps, hiding, rng) | behind_box(seen, rng) | behind_trunk(seen, rng) | outside(seen)
    return _take(seen, ~hidden[0], fps, f"virtual/{motion.name}/{name}")


def _take(seen: Seen, visible: NDArray[np.bool_], fps: float, name: str) -> Take:
    """What virtual cameras saw as a take; the camera is told only where the network would be told."""
    focal = float(seen.told[0] / seen.unit[0]) * PIXELS  # unit = told / (focal over the longer side)
    width, height = (max(1, round(float(side))) for side in 2 * seen.half[0] / seen.unit[0] * PIXELS)
    points = seen.camera[0]
    camera = Camera((focal, focal), (width / 2, height / 2), width, height)
    pixels = camera.project(points).astype(np.float32)
    known = camera if seen.calibrated[0] else None
    score = np.ones(visible.shape, np.float32)
    keypoints = Pose2D(pixels, H36M_17, score, visible, fps, width, height, known, name)
    truth = Pose3D(points - points[:, :1], H36M_17, score, visible, fps, "root", points[:, 0], name=name)
    return Take(keypoints, truth, "virtual", name, "0")


def spoilt(take: Take, seed: int) -> Pose3D:
    """The truth spoilt as other lifters' poses are, all marked visible."""
    rng = np.random.default_rng([seed, len(take.truth), sum(take.name.encode())])
    truth, hidden = take.truth.positions[None], ~take.truth.visible[None]
    return replace(
        take.truth, positions=spoil3d(truth, hidden, take.truth.fps, rng)[0], visible=np.ones_like(take.truth.visible)
    )
