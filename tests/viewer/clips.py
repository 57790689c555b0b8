"""A made-up person for the viewer's tests: walks on the spot, facing the camera, right hand raised in part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.pose import Pose2D, Pose3D
from posemend.viewer import Layer, Scene

FPS = 25.0
_STANDING = {  # metres in camera axes: x right (the person's left), y down, z away
    "pelvis": (0, 0, 0), "spine": (0, -0.25, 0), "thorax": (0, -0.5, 0), "nose": (0, -0.62, -0.1),
    "head_top": (0, -0.75, 0),
    "l_hip": (0.12, 0, 0), "l_knee": (0.13, 0.42, -0.02), "l_ankle": (0.14, 0.85, 0.02),
    "r_hip": (-0.12, 0, 0), "r_knee": (-0.13, 0.42, -0.02), "r_ankle": (-0.14, 0.85, 0.02),
    "l_shoulder": (0.18, -0.48, 0), "l_elbow": (0.28, -0.25, 0.03), "l_wrist": (0.32, -0.02, -0.08),
    "r_shoulder": (-0.18, -0.48, 0), "r_elbow": (-0.28, -0.25, 0.03), "r_wrist": (-0.32, -0.02, -0.08),
}  # fmt: skip


def walk(frames: int) -> NDArray[np.float64]:
    """(T, 17, 3) metres in camera axes, pelvis at the origin."""
    body = np.array([_STANDING[joint] for joint in H36M_17.joints])
    clip = np.repeat(body[None], frames, 0)
    swing = np.sin(2 * np.pi * np.arange(frames) / FPS)
    for side, sign in (("l", 1), ("r", -1)):
        for joint, far in (("knee", 0.15), ("ankle", 0.3), ("wrist", -0.25), ("elbow", -0.1)):
            clip[:, H36M_17.index(f"{side}_{joint}"), 2] += sign * far * swing
    return clip


def hidden_flags(frames: int) -> NDArray[np.bool_]:
    """(T, 17) visible: the right arm is hidden in the second half."""
    visible = np.ones((frames, 17), bool)
    visible[frames // 2 :, [H36M_17.index(f"r_{joint}") for joint in ("shoulder", "elbow", "wrist")]] = False
    return visible


def scene(frames: int = 50, seed: int = 0, title: str = "walk") -> Scene:
    """Raw and refined next to the truth (which stands 4 m away), and keypoints."""
    rng = np.random.default_rng(seed)
    truth, visible = walk(frames), hidden_flags(frames)

    def off(spread: float) -> Pose3D:
        noise = rng.normal(0, spread, truth.shape) * np.where(visible, 1, 4)[..., None]
        sigma = np.where(visible, spread, 4 * spread)
        provenance = np.where(visible, 0, 2)
        return Pose3D(truth + noise, H36M_17, visible=visible, fps=FPS, sigma=sigma, provenance=provenance)

    away = truth + np.array([0.3, 0.1, 4.0])
    pixels = 500 + 1000 * away[..., :2] / away[..., 2:]
    return Scene(
        [
            Layer(off(0.03), "raw", "raw"),
            Layer(off(0.01), "refined", "refined"),
            Layer(Pose3D(away, H36M_17, visible=visible, fps=FPS, frame="camera"), "truth", "truth"),
        ],
        Pose2D(pixels, H36M_17, visible=visible, fps=FPS, width=1000, height=1000),
        title,
    )
