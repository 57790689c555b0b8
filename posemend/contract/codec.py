"""Poses to network input and back; training and running call the same functions.

A person is looked at by a *virtual camera* that is turned towards the middle
of its detected joints and zoomed to its size. So a network sees the same
picture wherever the person stands in the image, and answers in the axes of
that virtual camera; ``decode`` turns the answer back. Turning towards the
person instead of shifting pixels keeps perspective exact (the idea of
perspective crop layers, Yu et al., CVPR 2021).

The middle and the size are means over the joints that were detected, smoothed
over time, so that a joint that disappears does not make the picture jump.

The focal length is that of the calibrated camera where it is known; otherwise
a usual one is assumed and the network is told so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.body.pose import Pose2D
from posemend.errors import InputError

Floats = NDArray[np.float32]

ASSUMED_FOCAL = 0.9  # times the longer image side; between phones (0.8) and studio cameras (1.1)
CENTRE_SECONDS = 0.25  # half window of the smoothed middle
SIZE_SECONDS = 1.0  # half window of the smoothed size
CLIP_FEATURES = 5  # middle (2), log size, log(fps / 50), focal known
FRAME_RATE = 3  # where among them log(fps / 50) is
JOINT_FEATURES = 3  # x, y, score
FARTHEST = 6.0  # joints are clipped to this many sizes from the middle: gross errors stay harmless


@dataclass(frozen=True)
class Encoded:
    """Network input, and what is needed to read the output.

    Attributes:
        joints: (..., T, J, 3) x, y in virtual-camera sizes, and score; 0 where the score is 0.
        clip: (..., T, 5) middle, log size, log relative frame rate, focal known.
        rotation: (..., T, 3, 3) camera axes to virtual-camera axes.
    """

    joints: Floats
    clip: Floats
    rotation: Floats


def _moving_sum(values: Floats, half: int) -> Floats:
    """Sum over ``t - half .. t + half`` along axis -2, cut at the ends."""
    frames = values.shape[-2]
    total = np.cumsum(values, axis=-2, dtype=np.float64)
    total = np.concatenate([np.zeros_like(total[..., :1, :]), total], axis=-2)
    index = np.arange(frames)
    high = np.minimum(index + half + 1, frames)
    low = np.maximum(index - half, 0)
    return (total[..., high, :] - total[..., low, :]).astype(np.float32)


def _moving_mean(weighted: Floats, weight: Floats, half: int) -> Floats:
    """Weighted moving mean along time; where nothing was seen, the mean of all time."""
    everything = weighted.sum(-2, keepdims=True) / np.maximum(weight.sum(-2, keepdims=True), 1e-6)
    trust = 1e-3  # how much a frame without any detection leans on the mean of all time
    return (_moving_sum(weighted, half) + trust * everything) / (_moving_sum(weight, half) + trust)


def look_at(middle: Floats) -> Floats:
    """(..., 3, 3) rotation, without roll, that turns the ray (x, y, 1) onto the optical axis."""
    forward = np.concatenate([middle, np.ones_like(middle[..., :1])], -1)
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    flat = np.sqrt(forward[..., 0] ** 2 + forward[..., 2] ** 2)
    zero = np.zeros_like(flat)
    right = np.stack([forward[..., 2] / flat, zero, -forward[..., 0] / flat], -1)
    down = np.cross(forward, right)
    return np.stack([right, down, forward], -2).astype(np.float32)


def encode(rays: Floats, score: Floats, fps: float | Floats, focal_known: bool | Floats) -> Encoded:
    """Look at the person from the virtual camera.

    Args:
        rays: (..., T, J, 2) image coordinates divided by the focal length,
            origin at the principal point.
        score: (..., T, J) in [0, 1]; joints with score 0 are not looked at.
        fps: Frames per second, a number or (...,).
        focal_known: Whether the focal length is calibrated, or (...,) of 0/1.
    """
    frame_rate = np.broadcast_to(np.asarray(fps, np.float32), score.shape[:-2])
    half = int(round(CENTRE_SECONDS * float(np.mean(frame_rate))))
    wide = int(round(SIZE_SECONDS * float(np.mean(frame_rate))))
    seen = score[..., None]
    weight = seen.sum(-2)
    middle = _moving_mean(np.stack([(rays[..., axis] * score).sum(-1) for axis in (0, 1)], -1), weight, half)
    rotation = look_at(middle)
    # (x, y, 1) of every joint in virtual-camera axes, row by row: much faster than small matrix products
    x, y = rays[..., 0], rays[..., 1]
    turned = [
        x * rotation[..., None, row, 0] + y * rotation[..., None, row, 1] + rotation[..., None, row, 2]
        for row in range(3)
    ]
    depth = np.maximum(turned[2], 0.1)  # behind the virtual camera: only gross errors
    flat = np.stack([turned[0] / depth, turned[1] / depth], -1)
    spread = np.minimum(flat[..., 0] ** 2 + flat[..., 1] ** 2, 4.0)
    spread = (spread * score).sum(-1, keepdims=True)
    size = np.sqrt(np.maximum(_moving_mean(spread, weight, wide), 1e-6))
    joints = np.empty((*score.shape, JOINT_FEATURES), np.float32)
    joints[..., :2] = np.clip(flat / size[..., None], -FARTHEST, FARTHEST) * (seen > 0)
    joints[..., 2] = score
    clip = np.empty((*score.shape[:-1], CLIP_FEATURES), np.float32)
    clip[..., :2] = middle
    clip[..., 2:3] = np.log(size) + 2.0  # near 0 for a person a few metres away
    clip[..., FRAME_RATE] = np.log(frame_rate / 50.0)[..., None]
    clip[..., 4] = np.broadcast_to(np.asarray(focal_known, np.float32), score.shape[:-2])[..., None]
    return Encoded(joints, clip, rotation)


def turn(points: Floats, rotation: Floats) -> Floats:
    """Camera axes to virtual-camera axes. ``points``: (..., T, J, 3)."""
    return np.matmul(points, np.swapaxes(rotation, -1, -2))


def turn_back(points: Floats, rotation: Floats) -> Floats:
    """Virtual-camera axes to camera axes. ``points``: (..., T, J, 3)."""
    return np.matmul(points, rotation)


def rays_of(pose: Pose2D) -> tuple[Floats, bool]:
    """Image coordinates over focal length (T, J, 2), and whether the focal length is known.

    Raises:
        InputError: Neither a camera nor the image size is known.
    """
    if pose.camera is not None:
        focal = np.asarray(pose.camera.focal, np.float32)
        return (pose.positions - np.asarray(pose.camera.centre, np.float32)) / focal, True
    if pose.width is None or pose.height is None:
        raise InputError(
            "The frame size is missing: 3D needs to know where the image centre is. "
            "Wanted width and height in pixels; give --width and --height (or width=, height= in Python)."
        )
    focal_guess = ASSUMED_FOCAL * max(pose.width, pose.height)
    centre = np.array([pose.width / 2, pose.height / 2], np.float32)
    return ((pose.positions - centre) / focal_guess).astype(np.float32), False


HIDDEN_SCORE = 0.15  # what a joint that is known to be hidden is worth
SEEN = 0.35  # a joint whose keypoint is believed less counts as hidden


def trusted_score(pose: Pose2D) -> Floats:
    """Scores as the networks were taught to read them.

    A joint flagged hidden keeps its position but is believed little, as a
    detector's guess at a hidden joint would be.
    """
    return np.where(pose.visible, pose.score, np.minimum(pose.score, HIDDEN_SCORE)).astype(np.float32)


def trust(score: Floats, visible: NDArray[np.bool_] | None = None) -> Floats:
    """How far a refiner trusts the 3D of joints: their scores, but hidden or doubtful joints at most a little."""
    seen = score >= SEEN if visible is None else visible & (score >= SEEN)
    return np.where(seen, score, np.minimum(score, HIDDEN_SCORE)).astype(np.float32)


def interleave(fps: float, highest: float = 75.0) -> int:
    """Into how many interleaved clips a recording is split so that each has a usual frame rate."""
    return max(1, int(np.ceil(fps / highest)))
