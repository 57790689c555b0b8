"""What a refiner is shown: a raw 3D pose and all that speaks for or against it.

Per joint: the raw position, where the keypoints put it sideways relative to
that (in metres, through a fitted scale), the keypoint itself, how much it is
to be trusted, and the opinion of posemend's own lifter with its expected
error. Every part but the raw position may be absent. Everything is given in
the axes of the codec's virtual camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# raw (3), sideways contradiction (2), keypoint x, y (2), keypoint score, trust, opinion - raw (3), opinion's log error
EVIDENCE_FEATURES = 13
OPINION = slice(9, 12)
# middle (2), log size, log frame rate, focal known, has keypoints, has opinion
EVIDENCE_CLIP_FEATURES = 7

FARTHEST = 0.6  # metres; contradictions are clipped here so that gross errors stay harmless


LARGEST = 1.3  # metres from the root along any axis; lifters that were given nonsense answer with giants


def bounded(raw: Floats) -> Floats:
    """Poses (..., T, J, 3) with giants shrunk to the size of a body; all others as they are."""
    largest = np.abs(raw).max((-1, -2), keepdims=True)
    return raw * np.minimum(1, LARGEST / np.maximum(largest, 1e-6))


def contradiction(raw: Floats, xy: Floats, score: Floats) -> Floats:
    """(..., T, J, 2) metres from the raw joint to where its keypoint says it is, seen from the camera.

    The scale and shift that best lay the raw pose on the keypoints (weighted
    least squares per frame, weak perspective) turn keypoints into metres.
    """
    weight = score[..., None]
    total = np.maximum(weight.sum(-2, keepdims=True), 1e-6)
    flat = raw[..., :2]
    flat_mean = (flat * weight).sum(-2, keepdims=True) / total
    xy_mean = (xy * weight).sum(-2, keepdims=True) / total
    a, b = flat - flat_mean, xy - xy_mean
    own = (weight * b * b).sum((-1, -2), keepdims=True)
    cross = (weight * a * b).sum((-1, -2), keepdims=True)
    # metres per keypoint unit; a raw pose that fits badly would shrink it, so it stays within bodily bounds
    scale = np.clip(cross / np.maximum(own, 1e-6), 0.2, 1.0)
    return np.clip(b * scale - a, -FARTHEST, FARTHEST) * (weight > 0)


def assemble(
    raw: Floats,
    trust: Floats,
    joints: Floats | None,
    clip: Floats | None,
    opinion: Floats | None,
    log_error: Floats | None,
    fps: float,
) -> tuple[Floats, Floats]:
    """Everything a refiner is shown, in its order.

    Args:
        raw: (..., T, 17, 3) metres, root at 0, virtual-camera axes; giants are shrunk.
        trust: (..., T, 17) 1 = seen, near 0 = hidden.
        joints: (..., T, 17, 3) codec output, or ``None`` without keypoints.
        clip: (..., T, 5) codec output, or ``None`` without keypoints.
        opinion: (..., T, 17, 3) the own lifter's pose, or ``None``.
        log_error: (..., T, 17) its log expected error, or ``None``.
        fps: Frames per second, used where ``clip`` is ``None``.

    Returns:
        evidence (..., T, 17, 13) and clip features (..., T, 7).
    """
    evidence = np.zeros((*raw.shape[:-1], EVIDENCE_FEATURES), np.float32)
    whole = np.zeros((*raw.shape[:-2], EVIDENCE_CLIP_FEATURES), np.float32)
    raw = bounded(raw)
    evidence[..., :3] = raw
    evidence[..., 8] = trust
    whole[..., 3] = np.log(fps / 50.0)
    if joints is not None and clip is not None:
        evidence[..., 3:5] = contradiction(raw, joints[..., :2], joints[..., 2])
        evidence[..., 5:8] = joints
        whole[..., :5] = clip
        whole[..., 5] = 1
    if opinion is not None and log_error is not None:
        evidence[..., OPINION] = opinion - raw
        evidence[..., 12] = log_error + 3.0
        whole[..., 6] = 1
    return evidence, whole
