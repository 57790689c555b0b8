"""A made-up person seen by made-up calibrated cameras."""

from __future__ import annotations

import numpy as np

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D
from posemend.datasets.procedural import generate
from posemend.geometry.camera import Camera
from posemend.geometry.lens import Lens, Viewpoint


def looking(eye: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 1)) -> Camera:
    """A camera at ``eye`` that looks at ``at``, level."""
    forward = np.subtract(at, eye)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Camera((1100.0, 1090.0), (500.0, 510.0), 1000, 1020, rotation, -rotation @ eye)


def ring(count: int = 4, lens: Lens | None = None) -> list[Viewpoint]:
    """Cameras around the origin, five metres away."""
    angles = np.arange(count) * 2 * np.pi / count + 0.3
    return [
        Viewpoint(f"cam_{n}", looking((5 * np.cos(a), 5 * np.sin(a), 1.5 + 0.2 * n)), lens or Lens())
        for n, a in enumerate(angles)
    ]


def person(seed: int = 5, frames: int = 30) -> np.ndarray:
    """(T, 17, 3) world metres, near the origin."""
    positions = generate(seed, frames / 25, 25).positions.astype(np.float64)
    return positions - positions[:1, :1] * [1, 1, 0]


def seen(world: np.ndarray, view: Viewpoint, noise: float = 0.0, seed: int = 0) -> Pose2D:
    """Keypoints of one camera, with ``noise`` pixels on each coordinate."""
    rng = np.random.default_rng([seed, *view.name.encode()])
    pixels = view.pixels(world) + rng.normal(0, noise, (*world.shape[:2], 2)) if noise else view.pixels(world)
    return Pose2D(pixels.astype(np.float32), H36M_17, fps=25, width=1000, height=1020, name=view.name)
