"""How good is a lifter, with truth where there is some and without it where there is none.

With truth: the built-in check, made-up people that no recipe trains on, filmed
by random cameras, exactly and by a detector that errs. Without: what a user's
own keypoints allow to be said, which is reprojection, bones that keep their
length, limbs that agree on one height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D
from posemend.body.proportions import human_shape
from posemend.contract.codec import ASSUMED_FOCAL, encode, turn
from posemend.datasets.procedural import generate
from posemend.nn.unlabelled import bone_lengths, place_root
from posemend.training.footage import Footage, film_motions, of_keypoints
from posemend.training.hiding import Hiding
from posemend.training.refining import filled
from posemend.training.teaching import poses
from posemend.training.views import Views
from posemend.training.weak import frames_of, on_image

Floats = NDArray[np.float32]

CHECK_SEEDS = range(900_000, 900_012)  # no recipe trains on these people
CHECK_SECONDS = 12.0
LONGEST = 6_000  # frames of a clip that are looked at: enough to tell, and small in memory
EXACT = Hiding(exact=1, flagged=0, missing=0, detector=0)
DETECTOR = Hiding(exact=0, flagged=0, missing=0.3, detector=0.7)


@dataclass(frozen=True)
class Said:
    """A lifter's answer to one clip, with the clip as the virtual camera saw it.

    Attributes:
        positions: (T, 17, 3) metres, virtual-camera axes.
        target: (T, 17, 3) truth in the same axes; 0 where there is none.
        image: (T, 17, 2) keypoints.
        score: (T, 17)
        hidden: (T, 17) which joints were hidden; all False where nobody knows.
    """

    positions: Floats
    target: Floats
    image: Floats
    score: Floats
    hidden: NDArray[np.bool_]


def answers(network: nn.Module, footage: Footage, frame_joints: int = 0) -> list[Said]:
    """What a network says of whole clips.

    Args:
        network: Of clips (padded at the end to whole tokens, as in use), or frame by frame.
        footage: Whom it sees.
        frame_joints: 0, or how many joints a frame-by-frame network takes (gaps are filled for it).
    """
    network.eval()
    with torch.inference_mode():
        return [_answer(network, footage, clip, frame_joints) for clip in range(len(footage))]


def _answer(network: nn.Module, footage: Footage, clip: int, frame_joints: int) -> Said:
    rows = slice(footage.start[clip], footage.start[clip] + footage.length[clip])
    rays, score, points = footage.rays[rows], footage.score[rows], footage.camera[rows]
    code = encode(rays[None], score[None], float(footage.fps[clip]), footage.known[clip : clip + 1])
    if frame_joints:
        given = filled(rays[None], score[None]) / footage.half[clip]
        said = network(torch.from_numpy(np.ascontiguousarray(frames_of(given, frame_joints))))
        positions = poses(said, torch.from_numpy(code.rotation), frame_joints)[0]
    else:
        more = -len(rays) % int(getattr(network.config, "patch", 1))  # type: ignore[arg-type]
        joints, view = (np.pad(x, [(0, 0), (0, more), *[(0, 0)] * (x.ndim - 2)], mode="edge")
                        for x in (code.joints, code.clip))  # fmt: skip
        positions = network(torch.from_numpy(joints), torch.from_numpy(view))[0][:, : len(rays)]
    target = turn(points - points[:, :1], code.rotation[0])
    return Said(positions[0].numpy(), target, on_image(rays[None], code.rotation)[0], score, footage.hidden[rows])


@cache
def check_footage(hiding: Hiding) -> Footage:
    """The built-in check's people, filmed; the same always."""
    motions = [generate(seed, CHECK_SECONDS, 25) for seed in CHECK_SEEDS]
    return film_motions(motions, 2, Views(), hiding, seed=9)


def built_in_check(network: nn.Module) -> dict[str, float]:
    """Mean error in mm over all joints but the root: exact keypoints, and a detector's."""
    return {
        name: errors_of(answers(network, check_footage(hiding)))["all"]
        for name, hiding in (("exact", EXACT), ("detector", DETECTOR))
    }


def errors_of(said: Sequence[Said], joints: Sequence[int] = tuple(range(1, 17))) -> dict[str, float]:
    """Mean errors in mm over clips: all, visible and hidden joints; NaN where there are none."""
    rows: dict[str, list[float]] = {"all": [], "visible": [], "hidden": []}
    for one in said:
        error = np.linalg.norm(one.positions - one.target, axis=-1)[:, list(joints)] * 1000
        hidden = one.hidden[:, list(joints)]
        rows["all"].append(float(error.mean()))
        for name, part in (("visible", ~hidden), ("hidden", hidden)):
            if part.any():
                rows[name].append(float(error[part].mean()))
    return {name: float(np.mean(values)) if values else float("nan") for name, values in rows.items()}


def without_truth(network: nn.Module, people: Sequence[Pose2D]) -> dict[str, float | None]:
    """What can be said of a lifter on keypoints without labels.

    Returns:
        ``reprojection_px``: mean distance of believed keypoints (score above
        0.35) from the pose, put where it fits best. ``reprojection_percent``: the same
        over the person's size in the image. ``bone_change_mm``: mean standard deviation of bone
        lengths over time. ``height_spread``: how far the limbs disagree on the
        stature (``body.proportions``; below 0.25 is human), ``None`` where it
        cannot be told. All are means over clips.
    """
    rows: dict[str, list[float]] = {
        "reprojection_px": [], "reprojection_percent": [], "bone_change_mm": [], "height_spread": []
    }  # fmt: skip
    for person in people:
        focal = person.camera.focal[0] if person.camera is not None else ASSUMED_FOCAL * max(
            person.width or 1, person.height or 1)  # fmt: skip
        for said in answers(network, of_keypoints([person[:LONGEST]])):
            positions, image = (torch.from_numpy(x).double() for x in (said.positions, said.image))
            weight = torch.from_numpy(said.score).double() * torch.from_numpy(said.score > 0.35)
            root, good = place_root(positions, image, weight)
            points = positions + root[:, None]
            off = (points[..., :2] / points[..., 2:].clamp_min(0.1) - image).norm(dim=-1)
            believed = weight * good[:, None]
            if believed.sum() > 0:
                mean = float((off * believed).sum() / believed.sum())
                middle = (image * believed[..., None]).sum((0, 1)) / believed.sum()
                spread = ((image - middle) ** 2).sum(-1)
                rows["reprojection_px"].append(mean * focal)
                size = float(((spread * believed).sum() / believed.sum()).sqrt())
                rows["reprojection_percent"].append(100 * mean / max(size, 1e-6))
            rows["bone_change_mm"].append(float(bone_lengths(positions, H36M_17).std(0).mean()) * 1000)
            shape = human_shape(Pose3D(said.positions, H36M_17, fps=person.fps))
            if shape.ok is not None:
                rows["height_spread"].append(shape.spread)
    return {name: float(np.mean(values)) if values else None for name, values in rows.items()}
