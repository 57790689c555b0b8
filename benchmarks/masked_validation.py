"""What masked graphs are measured on: BlendMimic3D's validation actions, lifted blindly, in three situations.

The lifter is a published one that sees single frames, as the paper's does, run
as people run it: it looks at every joint as if it were seen. What stands where
joints are hidden, and who says so, is the situation:

- ``missing``: nothing is; absent joints are put on straight lines in time.
- ``detector``: a simulated detector's guesses; hidden is what its scores trust little, true or not.
- ``flagged``: the same guesses; the true flags say besides which joints are hidden, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemend.body.catalogue import H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Pose2D, Take
from posemend.contract.codec import encode, rays_of, trust, trusted_score, turn
from posemend.contract.evidence import assemble
from posemend.datasets import blendmimic3d
from posemend.nn.published import PlainLifter, plain_lifter
from posemend.occlusion.hide import keypoints_for
from posemend.training.masking import thinned_clip

Floats = NDArray[np.float32]
Answer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
COLUMNS = ("all", "visible", "hidden")
SITUATIONS = ("missing", "detector", "flagged")


@dataclass(frozen=True)
class Clip:
    """One camera's view of one action, as the graph is given it.

    Attributes:
        name: Of the take.
        evidence: (T, 17, 13) and ``clip`` (T, 7), see ``contract.evidence``; without an opinion.
        target: (T, 17, 3) truth, metres, in the same axes.
        hidden: (T, 17) by the true flags.
    """

    name: str
    evidence: Floats
    clip: Floats
    target: Floats
    hidden: NDArray[np.bool_]


def given(take: Take, situation: str) -> Pose2D:
    """The keypoints of a situation."""
    if situation == "flagged":
        return replace(keypoints_for(take, "detector"), visible=take.keypoints.visible)
    return keypoints_for(take, situation)


def clip_of(take: Take, lifter: PlainLifter, situation: str = "missing", every: int = 1) -> Clip:
    """A take in a situation, lifted blindly, of which one frame of ``every`` so many is kept."""
    keypoints = to_skeleton(given(take, situation), H36M_17)
    truth = to_skeleton(take.truth, H36M_17).root_relative()
    rays, known = rays_of(keypoints)
    score = trusted_score(keypoints)
    code = encode(rays, score, keypoints.fps, known)
    raw = turn(lifter(keypoints).positions, code.rotation)
    evidence, clip = assemble(raw, trust(score), code.joints, code.clip, None, None, keypoints.fps)
    target = turn(truth.positions, code.rotation)
    kept = slice(None, None, every)
    return Clip(take.name, evidence[kept], thinned_clip(clip[kept], every), target[kept], ~truth.visible[kept])


def clips(root: Path, lifter: Path, name: str, every: int = 1) -> dict[str, list[Clip]]:
    """All validation clips in every situation, lifted by a run of task ``blind`` whose network is called ``name``.

    Raises:
        InputError: BlendMimic3D is not there, or the run is another network's.
        BundleError: The lifter's checkpoint is not there.
    """
    plain = plain_lifter(name, lifter)
    takes = blendmimic3d.read(root / "blendmimic3d", ["S1", "S2"], blendmimic3d.VALIDATION_ACTIONS)
    return {situation: [clip_of(take, plain, situation, every) for take in takes] for situation in SITUATIONS}


def errors(found: Sequence[Clip], answer: Answer | None) -> dict[str, float]:
    """Mean error in mm by column: per clip first, then over clips; ``None`` measures the raw poses."""
    rows = []
    for clip in found:
        if answer is None:
            positions = clip.evidence[..., :3]
        else:
            with torch.no_grad():
                shown = torch.from_numpy(clip.evidence[None]), torch.from_numpy(clip.clip[None])
                positions = answer(*shown)[0][0].numpy()
        distance = np.linalg.norm(positions - clip.target, axis=-1)[:, 1:] * 1000
        hidden = clip.hidden[:, 1:]
        masks = {"all": np.ones_like(hidden), "visible": ~hidden, "hidden": hidden}
        rows.append({name: float(distance[mask].mean()) if mask.any() else np.nan for name, mask in masks.items()})
    return {column: float(np.nanmean([row[column] for row in rows])) for column in COLUMNS}
