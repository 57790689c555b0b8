"""Draw what a detector might have said from its measured errors (`posemend.occlusion.error_model`).

Errors and scores are standard normal noise with a memory, read through the
measured tables: so their distributions are the measured ones whatever the
memory, and a joint that becomes hidden errs on in the direction in which it
erred before.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.trunk import torso_axes, torso_length
from posemend.errors import InputError
from posemend.occlusion.detector import Detector, random_runs, swapped_sides
from posemend.occlusion.error_model import (
    GROUP_OF,
    GROUPS,
    KINDS,
    LEVELS,
    PART_COUNT,
    PART_OF,
    RADII,
    ErrorModel,
    Memory,
    Table,
)

Floats = NDArray[np.float32]


def person_size(positions: Floats) -> Floats:
    """(...) diagonal of the box round all joints, median over the frames; positions (..., T, 17, 2)."""
    x, y = positions[..., 0], positions[..., 1]
    diagonal = np.hypot(x.max(-1) - x.min(-1), y.max(-1) - y.min(-1))
    return np.median(diagonal, axis=-1).astype(np.float32)


def definition_shift(model: ErrorModel, camera: Floats, focal: float | Floats) -> Floats:
    """Where the detector's joints lie beside the data set's, in the image.

    Args:
        model: The detector.
        camera: (..., T, 17, 3) joints in camera axes, metres.
        focal: Pixels (or whatever the image is measured in) per tangent; a number or of the batch's shape.

    Returns:
        (..., T, 17, 2) pixels, to be added to exact projections.
    """
    local = np.array([model.definition[GROUPS[group]] for group in GROUP_OF], np.float32)
    right = np.array([name.startswith("r_") for name in H36M_17.joints])
    local[right, 0] *= -1
    moved = local * torso_length(camera)[..., None, None]
    moved = np.matmul(moved, np.swapaxes(torso_axes(camera), -1, -2))
    depth = np.maximum(camera[..., 2:], 0.1)
    scale = np.asarray(focal, np.float32)[..., None, None, None]
    # the shifted joint's projection less the joint's own, to first order
    return ((moved[..., :2] - camera[..., :2] / depth * moved[..., 2:]) / depth * scale).astype(np.float32)


def late(positions: Floats, frames: float) -> Floats:
    """Positions (..., T, J, C) as they were some frames ago; the first frame stands still."""
    whole, part = int(frames), np.float32(frames - int(frames))
    at = np.arange(positions.shape[-3])
    now, before = np.maximum(at - whole, 0), np.maximum(at - whole - 1, 0)
    return positions[..., now, :, :] * (1 - part) + positions[..., before, :, :] * part


def wander(shape: tuple[int, ...], fps: float, memory: Memory, rng: np.random.Generator) -> Floats:
    """Unit normal noise with a slow and a fast memory along axis -3 (time)."""
    return (
        math.sqrt(memory.slow) * _forgetting(shape, fps * memory.slow_s, rng)
        + math.sqrt(1 - memory.slow) * _forgetting(shape, fps * memory.fast_s, rng)
    ).astype(np.float32)


def _forgetting(shape: tuple[int, ...], frames: float, rng: np.random.Generator) -> Floats:
    from scipy.signal import lfilter

    keep = math.exp(-1 / frames)
    drive = rng.standard_normal(shape, dtype=np.float32)
    drive[..., 1:, :, :] *= np.float32(math.sqrt(1 - keep * keep))
    return lfilter(np.ones(1, np.float32), np.array([1, -keep], np.float32), drive, axis=-3)


def _read(tables: dict[str, Table], kind: NDArray[np.int8], places: NDArray[np.float64], values: Floats) -> Floats:
    """Each joint's table read at ``values`` (..., 17), straight lines between the places and level ends."""
    table = np.array([[tables[name][GROUPS[group]] for group in GROUP_OF] for name in KINDS], np.float32)
    step = (places[-1] - places[0]) / (len(places) - 1)
    at = np.clip((values - places[0]) / step, 0, len(places) - 1.001)
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)
    joint = np.arange(len(GROUP_OF))
    return table[kind, joint, low] * (1 - part) + table[kind, joint, low + 1] * part


def rayleigh_level(radius: Floats) -> Floats:
    """Normal score of the length of a 2D standard normal vector."""
    from scipy.special import ndtri

    share = -np.expm1(-0.5 * np.square(radius, dtype=np.float64))
    return ndtri(np.clip(share, 1e-6, 1 - 1e-6)).astype(np.float32)


def draw(
    model: ErrorModel,
    positions: Floats,
    kind: NDArray[np.int8],
    fps: float,
    rng: np.random.Generator,
    shift: Floats | None = None,
    quality: float | Floats = 1.0,
) -> tuple[Floats, Floats]:
    """What the detector might have said of exact keypoints; any number of leading batch axes.

    Args:
        model: The detector.
        positions: (..., T, 17, 2) exact projections, in any unit.
        kind: (..., T, 17) ``VISIBLE``, ``SELF`` (behind the own body) or ``OTHER`` (hidden otherwise, out of frame).
        fps: Frames per second.
        rng: Source of chance; equal states give equal results.
        shift: (..., T, 17, 2) from `definition_shift`; without it the detector means the data set's joints.
        quality: Factor on the errors' size, a number or of the batch's shape.

    Returns:
        Positions (..., T, 17, 2) float32 in the same unit, and score (..., T, 17) in [0, 1], 0 where nobody is found.

    Raises:
        InputError: Shapes do not fit.
    """
    positions = np.asarray(positions, np.float32)
    kind = np.asarray(kind, np.int8)
    if positions.ndim < 3 or positions.shape[-2:] != (len(H36M_17), 2) or kind.shape != positions.shape[:-1]:
        raise InputError(
            f"Wanted positions (..., T, 17, 2) and kind (..., T, 17), got {positions.shape} and {kind.shape}."
        )
    *batch, frames, joints, _ = positions.shape
    size = (person_size(positions) * np.asarray(quality, np.float32))[..., None, None]
    meant = positions if shift is None else positions + np.asarray(shift, np.float32)
    swaps = Detector(swap_share=model.swap_share, run_s=model.swap_s)
    swapped = swapped_sides(kind.shape, fps, H36M_17, rng, swaps)
    meant = np.where(swapped[..., None], meant[..., list(H36M_17.mirror), :], meant)
    if model.lag_s > 0:
        meant = late(meant, model.lag_s * fps)

    noise = wander((*batch, frames, 1 + PART_COUNT + joints, 2), fps, model.memory, rng)
    own = math.sqrt(max(0.0, 1 - model.body - model.part))
    noise = (
        math.sqrt(model.body) * noise[..., :1, :]
        + math.sqrt(model.part) * noise[..., 1 + PART_OF, :]
        + own * noise[..., 1 + PART_COUNT :, :]
    )
    radius = np.hypot(noise[..., 0], noise[..., 1])
    far = _read(model.errors, kind, RADII, radius)
    found = meant + noise / np.maximum(radius, 1e-6)[..., None] * (far * size)[..., None]

    tied = np.array([model.score_error[name] for name in KINDS], np.float32)[kind]
    free = wander((*batch, frames, joints, 1), fps, model.score_memory, rng)[..., 0]
    level = tied * rayleigh_level(radius) + np.sqrt(1 - tied * tied) * free
    score = _read(model.scores, kind, LEVELS, level)
    missed, _ = random_runs((*batch, frames, 1), model.miss_share, model.miss_s * fps, rng)
    return found.astype(np.float32), np.where(missed, np.float32(0), np.clip(score, 0, 1))
