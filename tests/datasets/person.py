"""A made-up person who walks and reaches, for files in other people's layouts; not a test."""

from __future__ import annotations

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.body.skeleton import Skeleton
from posemend.datasets.procedural import generate
from posemend.geometry.camera import Camera


def walking(frames: int = 30) -> np.ndarray:
    """(F, 17, 3) metres, world, z up, near the origin, in Human3.6M's order."""
    world = np.asarray(generate(7, 4.0).positions[:frames], float)
    return world - np.array([*world[:, 0, :2].mean(0), 0])


def as_joints(positions: np.ndarray, skeleton: Skeleton, extra: dict[str, str]) -> np.ndarray:
    """(F, J, 3): each joint from the one of that name, or of the name that ``extra`` gives."""
    names = [extra.get(joint, joint) for joint in skeleton.joints]
    return positions[:, [H36M_17.index(name) for name in names]]


def in_front(width: int, height: int, focal: float = 1100.0) -> Camera:
    """A camera 4 m away at breast height that looks along the world's y."""
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return Camera((focal, focal), (width / 2, height / 2), width, height, turn, np.array([0, 1.2, 4.0]))
