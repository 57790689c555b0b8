"""The trunk as a frame of reference: what a joint's place is measured in when it is *defined* elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17

Floats = NDArray[np.float32]

_PELVIS, _THORAX, _L_HIP, _R_HIP, _L_SHOULDER, _R_SHOULDER = (
    H36M_17.index(name) for name in ("pelvis", "thorax", "l_hip", "r_hip", "l_shoulder", "r_shoulder")
)


def torso_axes(positions: Floats) -> Floats:
    """(..., 3, 3) columns: left, forward and up of the trunk, unit length.

    Args:
        positions: (..., 17, 3) Human3.6M's joints, in axes of any right-handed frame and any unit.
    """
    up = positions[..., _THORAX, :] - positions[..., _PELVIS, :]
    left = positions[..., _L_SHOULDER, :] - positions[..., _R_SHOULDER, :]
    left = left + positions[..., _L_HIP, :] - positions[..., _R_HIP, :]
    up = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
    left = left - up * (left * up).sum(-1, keepdims=True)
    left = left / np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-6)
    return np.stack([left, np.cross(left, up), up], -1)


def torso_length(positions: Floats) -> Floats:
    """(...) pelvis to thorax, in the unit of ``positions`` (..., 17, 3)."""
    return np.linalg.norm(positions[..., _THORAX, :] - positions[..., _PELVIS, :], axis=-1)
