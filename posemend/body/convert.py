"""One skeleton to another, by joint name.

A joint that the source lacks is made up as a stated weighted mean of joints
that it has (weights sum to 1 and may be negative: an extrapolation). Score and
visibility follow: a made-up joint is worth as much as its worst ingredient.
A joint that cannot be made up is absent: score 0, not visible.

The recipes are first guesses from body proportions, not measurements; a model
is trained to live with joints that are defined a few centimetres elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import SkeletonError

Weights = dict[str, float]
PoseT = TypeVar("PoseT", Pose2D, Pose3D)

_MID_HIPS = {"l_hip": 0.5, "r_hip": 0.5}
_MID_SHOULDERS = {"l_shoulder": 0.5, "r_shoulder": 0.5}

# target joint -> recipes, best first; the first whose ingredients all exist is taken
RECIPES: dict[str, tuple[Weights, ...]] = {
    "pelvis": (_MID_HIPS,),
    "thorax": ({"neck": 1.0}, _MID_SHOULDERS),
    "neck": ({"thorax": 1.0}, _MID_SHOULDERS),
    "spine": (
        {"torso": 1.0},
        {"spine2": 1.0},
        {"pelvis": 0.5, "thorax": 0.5},
        {"pelvis": 0.5, "neck": 0.5},
        {"l_hip": 0.25, "r_hip": 0.25, "l_shoulder": 0.25, "r_shoulder": 0.25},
    ),
    "torso": (
        {"spine": 1.0},
        {"pelvis": 0.5, "neck": 0.5},
        {"l_hip": 0.25, "r_hip": 0.25, "l_shoulder": 0.25, "r_shoulder": 0.25},
    ),
    "nose": (
        {"head": 1.0},
        {"skull": 1.0},  # Human3.6M's joint between neck and crown, not the tip of the nose
        {"thorax": 0.5, "head_top": 0.5},
        {"neck": 0.5, "head_top": 0.5},
    ),
    "head": ({"l_ear": 0.5, "r_ear": 0.5}, {"nose": 1.0}, {"thorax": 0.5, "head_top": 0.5}),
    # ear height is about 0.6 of the shoulder-ear distance below the crown
    "head_top": (
        {"l_ear": 0.8, "r_ear": 0.8, "l_shoulder": -0.3, "r_shoulder": -0.3},
        {"head": 1.6, "neck": -0.6},
        {"nose": 1.6, "l_shoulder": -0.3, "r_shoulder": -0.3},
    ),
    "skull": ({"nose": 1.0}, {"neck": 0.5, "head": 0.5}),
    "l_heel": ({"l_ankle": 1.0},),
    "r_heel": ({"r_ankle": 1.0},),
}  # fmt: skip


def recipe(joint: str, source: Skeleton) -> Weights | None:
    """How ``joint`` is made from the joints of ``source``; ``None`` if it cannot be."""
    if joint in source.joints:
        return {joint: 1.0}
    have = set(source.joints)
    for weights in RECIPES.get(joint, ()):
        if set(weights) <= have:
            return weights
    return None


def weights_matrix(source: Skeleton, target: Skeleton) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(J_target, J_source) weights, and which target joints exist at all."""
    matrix = np.zeros((len(target), len(source)), np.float32)
    exists = np.zeros(len(target), bool)
    for row, joint in enumerate(target.joints):
        weights = recipe(joint, source)
        if weights is None:
            continue
        exists[row] = True
        for name, weight in weights.items():
            matrix[row, source.index(name)] = weight
    return matrix, exists


def to_skeleton(pose: PoseT, target: Skeleton) -> PoseT:
    """The same person on another skeleton; frames, clock and frame of reference stay.

    Joints that both skeletons name are copied exactly. Others are made up by
    ``RECIPES`` or absent (score 0).

    Raises:
        SkeletonError: Fewer than half of the target's joints can be had.
    """
    source = pose.skeleton
    if source == target:
        return pose
    matrix, exists = weights_matrix(source, target)
    if exists.sum() * 2 < len(target):
        raise SkeletonError(
            f"'{source.name}' gives only {int(exists.sum())} of the {len(target)} joints of '{target.name}'. "
            "Choose a closer skeleton."
        )
    order = [source.index(joint) if joint in source.joints else 0 for joint in target.joints]
    positions = pose.positions[:, order].copy()
    score = pose.score[:, order] * exists
    visible = pose.visible[:, order] & exists
    # what else a 3D pose knows of its joints; of made-up ones the worst ingredient's
    extra = {
        name: getattr(pose, name)[:, order] for name in ("sigma", "provenance") if getattr(pose, name, None) is not None
    }
    for row, joint in enumerate(target.joints):
        if not exists[row] or joint in source.joints:
            continue
        parts = np.flatnonzero(matrix[row])
        positions[:, row] = np.einsum("k,tkc->tc", matrix[row, parts], pose.positions[:, parts])
        score[:, row] = pose.score[:, parts].min(1)
        visible[:, row] = pose.visible[:, parts].all(1)
        for name, values in extra.items():
            values[:, row] = getattr(pose, name)[:, parts].max(1)
    positions[score == 0] = 0
    return replace(pose, positions=positions, score=score, visible=visible, skeleton=target, **extra)  # type: ignore[arg-type]
