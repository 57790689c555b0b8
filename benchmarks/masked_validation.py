"""What masked graphs are measured on: BlendMimic3D's validation actions, hidden joints missing, lifted blindly.

The lifter is one of posemend's own with its occlusion handling taken away: absent
joints are put on straight lines in time and given with full score. So the raw
pose is wrong where joints are hidden, and the flags say where that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemend.body.catalogue import H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.pose import Take
from posemend.contract.codec import encode, rays_of, trust, trusted_score, turn, turn_back
from posemend.contract.evidence import assemble
from posemend.datasets import blendmimic3d
from posemend.nn import checkpoint
from posemend.occlusion.hide import keypoints_for
from posemend.training.refining import filled

Floats = NDArray[np.float32]
Answer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
COLUMNS = ("all", "visible", "hidden")


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


def clip_of(take: Take, lifter: torch.nn.Module) -> Clip:
    """A take with its hidden joints missing, lifted blindly."""
    patch = lifter.config.patch
    keypoints = to_skeleton(keypoints_for(take, "missing"), H36M_17)
    truth = to_skeleton(take.truth, H36M_17).root_relative()
    frames = len(truth) // patch * patch  # whole tokens
    rays, known = (part[:frames] if isinstance(part, np.ndarray) else part for part in rays_of(keypoints))
    score = trusted_score(keypoints)[:frames]
    code = encode(rays, score, keypoints.fps, known)
    blind = encode(filled(rays[None], score[None])[0], np.ones_like(score), keypoints.fps, known)
    with torch.no_grad():
        lifted = lifter(torch.from_numpy(blind.joints[None]), torch.from_numpy(blind.clip[None]))[0][0].numpy()
    raw = turn(turn_back(lifted, blind.rotation), code.rotation)
    evidence, clip = assemble(raw, trust(score), code.joints, code.clip, None, None, keypoints.fps)
    target = turn(truth.positions[:frames], code.rotation)
    return Clip(take.name, evidence, clip, target, ~truth.visible[:frames])


def clips(root: Path, lifter: Path) -> list[Clip]:
    """All validation clips.

    Raises:
        InputError: BlendMimic3D is not there.
        BundleError: The lifter's checkpoint is not there.
    """
    network, _ = checkpoint.load_network(lifter)
    takes = blendmimic3d.read(root / "blendmimic3d", ["S1", "S2"], blendmimic3d.VALIDATION_ACTIONS)
    return [clip_of(take, network) for take in takes]


def errors(found: Sequence[Clip], answer: Answer | None) -> dict[str, float]:
    """Mean error in mm by column: per clip first, then over clips; ``None`` measures the raw poses."""
    rows = []
    for clip in found:
        if answer is None:
            positions = clip.evidence[..., :3]
        else:
            with torch.no_grad():
                given = torch.from_numpy(clip.evidence[None]), torch.from_numpy(clip.clip[None])
                positions = answer(*given)[0][0].numpy()
        distance = np.linalg.norm(positions - clip.target, axis=-1)[:, 1:] * 1000
        hidden = clip.hidden[:, 1:]
        masks = {"all": np.ones_like(hidden), "visible": ~hidden, "hidden": hidden}
        rows.append({name: float(distance[mask].mean()) if mask.any() else np.nan for name, mask in masks.items()})
    return {column: float(np.nanmean([row[column] for row in rows])) for column in COLUMNS}
