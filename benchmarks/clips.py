"""Clips to time things on: the built-in person, seen by the simulated detector, for as long as is wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets.procedural import demo_clip
from posemend.occlusion.hide import keypoints_for

PIXELS, METRES = 0.5, 0.02  # noise that makes each round of the clip another one


@dataclass(frozen=True)
class Clip:
    """One person.

    Attributes:
        keypoints: 2D input, with gaps and scores as a detector has them.
        other: 3D of the same person as another lifter might have made it.
    """

    keypoints: Pose2D
    other: Pose3D


@cache
def _source(seed: int) -> tuple[Take, Pose2D]:
    take = demo_clip()
    return take, keypoints_for(take, "detector", seed)


def clip(frames: int, seed: int = 0) -> Clip:
    """The built-in clip of 1000 frames played forwards and backwards until it is long enough, 50 fps.

    Args:
        frames: Length.
        seed: Seed of the detector and of the noise.
    """
    take, keypoints = _source(seed)
    length = len(keypoints)
    order = np.arange(frames) % (2 * length - 2)
    order = np.minimum(order, 2 * length - 2 - order)
    rng = np.random.default_rng([seed, frames])
    pixels = keypoints.positions[order] + rng.normal(0, PIXELS, (frames, 17, 2)).astype(np.float32)
    metres = take.truth.positions[order] + rng.normal(0, METRES, (frames, 17, 3)).astype(np.float32)
    pose = take.truth
    return Clip(
        replace(keypoints, positions=pixels, score=keypoints.score[order], visible=keypoints.visible[order]),
        replace(
            pose, positions=metres, score=pose.score[order], visible=pose.visible[order],
            root=None if pose.root is None else pose.root[order],
        ),
    )  # fmt: skip
