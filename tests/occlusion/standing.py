"""Somebody who stands, and cameras round them."""

from __future__ import annotations

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.geometry.camera import Camera

AT = {
    "pelvis": (0, 0, 0.95), "spine": (0, 0, 1.18), "thorax": (0, 0, 1.43), "nose": (0.08, 0, 1.56),
    "head_top": (0, 0, 1.72), "l_hip": (0, 0.12, 0.93), "l_knee": (0.02, 0.13, 0.5), "l_ankle": (0, 0.13, 0.08),
    "l_shoulder": (0, 0.18, 1.4), "l_elbow": (-0.02, 0.26, 1.12), "l_wrist": (0.03, 0.3, 0.88),
}  # fmt: skip
STANDING = np.array(
    [AT[n] if n in AT else (AT["l" + n[1:]][0], -AT["l" + n[1:]][1], AT["l" + n[1:]][2]) for n in H36M_17.joints]
)[None]  # looks along x, left is y


def camera_at(eye: tuple[float, float, float], focal: float = 1000.0) -> Camera:
    """A camera that looks at (0, 0, 1)."""
    place = np.asarray(eye, float)
    forward = np.array([0, 0, 1.0]) - place
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Camera((focal, focal), (500, 500), 1000, 1000, rotation, -rotation @ place)


FRONT, LEFT, BACK = camera_at((5, 0, 1.2)), camera_at((0, 5, 1.2)), camera_at((-5, 0, 1.2))


def joint(name: str) -> int:
    return H36M_17.index(name)


def with_wrist(place: tuple[float, float, float]) -> np.ndarray:
    x = STANDING.copy()
    x[0, joint("r_wrist")] = place
    return x
