"""3D poses spoiled on purpose: what a refiner learns to repair besides real lifters' output.

Lifters err in ways of their own: a tilt of the whole body, a wrong scale,
joints defined elsewhere, trembling, hidden joints that wander off, limbs that
jump, sides that swap, poses that shrink towards the average. All of these are
mixed at random strength. A fifth of all samples is left almost as it is, so
that a refiner learns to leave good poses alone, and in another quarter only a
few joints stray far from an otherwise good pose, so that it learns to find them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemend.training.hiding import short_runs, wandering
from posemend.training.vary import MIRROR, definition_offsets, rotation

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

LEFT_ALONE = 0.2
FEW_STRAY = 0.25
# how much farther than the trunk each joint goes astray: wrists and ankles worst
_REACH = np.array([0, 0.6, 1, 1.5, 0.6, 1, 1.5, 0.5, 0.7, 0.9, 1, 0.8, 1.3, 1.8, 0.8, 1.3, 1.8], np.float32)


def _strays(batch: int, frames: int, fps: float, rng: np.random.Generator) -> Floats:
    """(B, T, 17, 3) offsets of one to three joints for a while: wrong by 8 to 60 cm, elsewhere 0."""
    offset = np.zeros((batch, frames, 17, 3), np.float32)
    time = np.arange(frames)
    rows = np.arange(batch)
    chance = _REACH / _REACH.sum()
    for turn in range(3):
        on = rng.random(batch) < (1.0, 0.5, 0.25)[turn]
        length = np.exp(rng.normal(np.log(0.8 * fps), 0.9, batch))
        start = rng.uniform(-0.5 * length, frames)
        while_astray = (time >= start[:, None]) & (time < (start + length)[:, None]) & on[:, None]
        joint = rng.choice(17, batch, p=chance)
        way = rng.normal(size=(batch, 3))
        way *= np.exp(rng.uniform(np.log(0.08), np.log(0.6), (batch, 1))) / np.linalg.norm(way, axis=-1, keepdims=True)
        offset[rows, :, joint] += while_astray[..., None] * way[:, None]
    return offset


def spoil3d(target: Floats, hidden: Bools, fps: float, rng: np.random.Generator) -> Floats:
    """Spoiled poses (B, T, 17, 3), root at 0.

    Args:
        target: (B, T, 17, 3) truth, metres, root at 0.
        hidden: (B, T, 17) hidden joints, which go astray more.
        fps: Frame rate.
        rng: Source of chance.
    """
    batch, frames = len(target), target.shape[1]
    strength = np.exp(rng.uniform(np.log(0.15), np.log(1.6), (batch, 1, 1, 1))).astype(np.float32)
    part = rng.random(batch)
    strength[part < LEFT_ALONE] = 0.05
    few = np.flatnonzero((part >= LEFT_ALONE) & (part < LEFT_ALONE + FEW_STRAY))
    strength[few] *= 0.2
    raw = target + definition_offsets(target, 0.02, rng) * strength
    astray = hidden & (rng.random((batch, 1, 1)) < 0.8)

    small = rng.uniform(0.004, 0.03, (batch, 1, 1, 1))
    large = rng.uniform(0.03, 0.22, (batch, 1, 1, 1))
    size = np.where(astray[..., None], large, small) * strength * _REACH[:, None]
    tremble = wandering((batch, frames, 17, 3), fps, float(np.exp(rng.uniform(np.log(0.03), np.log(1.0)))), rng)
    tremble[..., 2] *= 1.7  # depth is what lifters know least
    raw = raw + tremble * size

    # lifters without a clue fall back to an average pose
    shrunk = astray & (rng.random((batch, 1, 1)) < 0.4)
    raw = np.where(shrunk[..., None], 0.3 * raw + 0.7 * raw.mean(1, keepdims=True), raw)

    share = rng.uniform(0, 0.03, batch).astype(np.float32) * (strength[:, 0, 0, 0] > 0.1)
    jumps = short_runs(batch, frames, 17, share, max(1.0, 0.12 * fps), rng)
    raw = raw + jumps[..., None] * (rng.normal(0, 0.2, (batch, 1, 17, 3)) * _REACH[:, None])
    swapped = short_runs(batch, frames, 1, share, max(1.0, 0.2 * fps), rng)[..., 0]
    raw[swapped] = raw[swapped][:, MIRROR]

    raw[few] += _strays(len(few), frames, fps, rng)

    tilt = rotation((rng.normal(0, 0.12, (batch, 3)) * strength[:, 0, 0]).astype(np.float32))
    raw = np.matmul(raw, np.swapaxes(tilt, -1, -2)[:, None])
    raw = raw * np.exp(rng.normal(0, 0.08, (batch, 1, 1, 1)) * strength)
    raw[..., 2] *= np.exp(rng.normal(0, 0.12, (batch, 1, 1)) * strength[..., 0])
    raw = raw - raw[:, :, :1]
    return raw.astype(np.float32)
