"""Depth round a pose: the points of each map near the person, thin enough for a page.

Points and poses are shown round one place, the pelvis of the pose that knows
best where it is, so that a skeleton that stands beside its points is seen to
do so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose3D
from posemend.errors import InputError
from posemend.geometry.depth import DepthClip, unproject

MOST = 240_000  # points of a clip: about 2 MB of page
MOST_A_FRAME, LEAST_A_FRAME = 2500, 600
ASIDE, NEARER, FARTHER = 1.3, 1.6, 1.0  # metres round the pelvis that are shown
PERSON, ROOM = 0.7, 0.25  # metres from the pelvis' vertical; points beyond are kept this much more rarely


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of some frames, metres from the anchor of their frame, camera axes.

    Attributes:
        points: One array (N, 3) for each frame that has points; in no order, so that the first half is a thinner cloud.
        frames: (K,) their numbers, ascending; between them the latest is shown.
        anchors: (T, 3) metres, camera axes: where the origin of each frame is.
    """

    points: Sequence[NDArray[np.float32]]
    frames: NDArray[np.int64]
    anchors: NDArray[np.float32]


def cloud(depth: DepthClip, pose: Pose3D) -> Cloud:
    """The points round a pose.

    Args:
        depth: Maps of the same frames.
        pose: In camera axes, or root-relative with the pelvis' place in ``root``.

    Raises:
        InputError: Lengths differ, or the pose does not say where it is.
    """
    if len(depth) != len(pose):
        raise InputError(f"There are {len(depth)} depth maps and {len(pose)} frames of the pose.")
    anchors = whereabouts(pose)
    if anchors is None:
        raise InputError(
            "To be shown among points of depth a pose must say where it is: camera axes, or root-relative with the "
            "pelvis' place. Refine it with --depth first."
        )
    stride = max(1, -(-len(depth) * LEAST_A_FRAME // MOST))
    frames = np.arange(0, len(depth), stride)
    most = min(MOST_A_FRAME, MOST // len(frames))
    rng = np.random.default_rng(0)
    return Cloud([_near(depth, int(frame), anchors[frame], most, rng) for frame in frames], frames, anchors)


def whereabouts(pose: Pose3D) -> NDArray[np.float32] | None:
    """(T, 3) the pelvis in camera axes, metres; ``None`` where the pose does not say."""
    if pose.frame == "root":
        return None if pose.root is None else pose.root.astype(np.float32)
    if pose.frame != "camera":
        return None
    centre = pose.positions[:, list(pose.skeleton.root_indices)].mean(1)
    known = (pose.score[:, list(pose.skeleton.root_indices)] > 0).all(1)
    if not known.any():
        return None
    frames = np.arange(len(pose))
    return np.stack([np.interp(frames, frames[known], centre[known, axis]) for axis in range(3)], -1).astype(np.float32)


def _near(
    depth: DepthClip, frame: int, anchor: NDArray[np.float32], most: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    z = depth.metres(slice(frame, frame + 1))[0]
    rows, columns = np.nonzero((z > 0) & (z > anchor[2] - NEARER) & (z < anchor[2] + FARTHER))
    pixels = np.stack([columns, rows], -1).astype(np.float32) + 0.5
    points = unproject(pixels, z[rows, columns], depth.camera) - anchor
    points = points[(np.abs(points[:, :2]) < ASIDE).all(1)]
    # the floor and the wall are large, and the person is what one looks for
    weight = np.where(np.hypot(points[:, 0], points[:, 2]) < PERSON, 1.0, ROOM)
    order = np.argsort(-(rng.random(len(points)) ** (1 / weight)))
    return points[order[:most]].astype(np.float32)
