"""Clips that a set of models was not taught by, for calibrating the errors that it states.

- A set that learnt from recordings by real (or rendered) cameras is calibrated on those of its domain: the training
  actions of BlendMimic3D, a piece of each take, every camera. It has seen these motions, so its errors there are a
  little smaller than on new ones; docs/results.md says what that costs.
- Any other set is calibrated on the motions that its recipe holds out, as they were recorded (made-up motions and
  varied bodies are left out: nobody moves like that), seen by level virtual cameras.

BlendMimic3D's validation and test actions and its S3 are never opened here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets import blendmimic3d
from posemend.errors import RecipeError
from posemend.geometry.camera import Camera
from posemend.training.hiding import Hiding, behind_box, behind_trunk, outside, spans
from posemend.training.motions import Pool
from posemend.training.recipe import Recipe
from posemend.training.sources import motions
from posemend.training.spoil3d import spoil3d
from posemend.training.views import Seen, Views, look

SECONDS = 6.0
RATES = (25.0, 30.0, 50.0)
PIXELS = 1000  # longer image side of virtual cameras
ORDINARY = Views(figure=(0.3, 0.9), steep=0.0, calibrated=0.5)
RECORDED_FRAMES = 400  # of each take: the piece in its middle


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
        clips: How many, of virtual cameras.
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
        return _recorded(root)
    recorded = {name: share for name, share in read.data.packs.items() if name != "procedural"}
    if recorded:
        read = read.model_copy(update={"data": read.data.model_copy(update={"packs": recorded})})
    pool = Pool.of(motions(read, held_out=True))
    takes: list[Take] = []
    for place, fps in enumerate(RATES):
        count = len(range(place, clips, len(RATES)))
        takes += _filmed(pool, count, fps, np.random.default_rng([seed, place])) if count else []
    names = ", ".join(recorded or read.data.packs)
    return Split(takes, f"{len(takes)} clips of held-out motions ({names}), level virtual cameras")


def _recorded(root: Path) -> Split:
    """A piece of each of BlendMimic3D's training takes; odd and even cameras by turns, to have all four."""
    takes = blendmimic3d.read(root / "blendmimic3d", subjects=["S1", "S2"])
    takes = [take for take in takes if take.action in blendmimic3d.TRAINING_ACTIONS]
    actions = sorted({(take.subject, take.action) for take in takes})
    pieces = []
    for take in takes:
        if (int(take.camera[-1]) + actions.index((take.subject, take.action))) % 2:
            continue
        edges = [0, *take.cuts, len(take.truth)]
        first, last = max(zip(edges[:-1], edges[1:], strict=True), key=lambda ends: ends[1] - ends[0])
        middle = (first + last) // 2
        part = slice(max(first, middle - RECORDED_FRAMES // 2), min(last, middle + RECORDED_FRAMES // 2))
        pieces.append(replace(take, keypoints=take.keypoints[part], truth=take.truth[part], cuts=(), detected=None))
    return Split(pieces, f"{len(pieces)} clips of BlendMimic3D's training actions, S1 and S2, its own cameras")


def _filmed(pool: Pool, count: int, fps: float, rng: np.random.Generator) -> list[Take]:
    """Windows of motion, each seen by its own camera and hidden by spans, boxes, the trunk and the frame."""
    frames = round(SECONDS * fps)
    windows = pool.windows(rng, count, frames, fps)
    seen = look(windows - windows[:, :, :1], windows[:, :, 0].copy(), ORDINARY, rng)
    hiding = Hiding(seconds=1.2)
    hidden = spans(count, frames, fps, hiding, rng) | behind_box(seen, rng) | behind_trunk(seen, rng) | outside(seen)
    return [_take(seen, place, ~hidden[place], fps) for place in range(count)]


def _take(seen: Seen, place: int, visible: np.ndarray, fps: float) -> Take:
    """One sample of virtual cameras as a take; the camera is told only where the network would be told."""
    focal = float(seen.told[place] / seen.unit[place]) * PIXELS  # unit = told / (focal over the longer side)
    width, height = (max(1, round(float(side))) for side in 2 * seen.half[place] / seen.unit[place] * PIXELS)
    points = seen.camera[place]
    camera = Camera((focal, focal), (width / 2, height / 2), width, height)
    pixels = camera.project(points)
    name = f"virtual/{fps:g}/{place}"
    known = camera if seen.calibrated[place] else None
    keypoints = Pose2D(pixels, H36M_17, None, visible, fps, width, height, known, name)  # type: ignore[arg-type]
    truth = Pose3D(points - points[:, :1], H36M_17, None, visible, fps, "root", points[:, 0], name=name)  # type: ignore[arg-type]
    return Take(keypoints, truth, "virtual", f"{fps:g}", str(place))


def spoilt(take: Take, seed: int) -> Pose3D:
    """The truth spoilt as other lifters' poses are, all marked visible."""
    rng = np.random.default_rng([seed, len(take.truth), sum(take.name.encode())])
    truth, hidden = take.truth.positions[None], ~take.truth.visible[None]
    return replace(
        take.truth, positions=spoil3d(truth, hidden, take.truth.fps, rng)[0], visible=np.ones_like(take.truth.visible)
    )
