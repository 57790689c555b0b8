"""Laying one set of points over another: similarity and scale, batched and weighted.

Umeyama, "Least-squares estimation of transformation parameters between two
point patterns", PAMI 1991, eqs. (39) to (42); rotations only, never reflections.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.errors import InputError

Floats = NDArray[np.float64]

_TINY = 1e-12


def similarity(source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> tuple[Floats, Floats, Floats]:
    """Scale, rotation and shift that bring ``source`` nearest to ``target``, in least squares.

    ``target ≈ scale * source @ rotation.T + shift``

    Args:
        source: (..., N, 3) points, any unit.
        target: (..., N, 3) points.
        weights: (..., N) how much each point counts, 0 = not at all; all alike by default.

    Returns:
        ``scale`` (...), ``rotation`` (..., 3, 3), ``shift`` (..., 3). Where the
        source is a single place (or nothing counts) scale is 1.

    Raises:
        InputError: Shapes do not fit.
    """
    source, target = _points(source, target)
    counts = np.ones(source.shape[:-1]) if weights is None else np.broadcast_to(weights, source.shape[:-1])
    counts = np.asarray(counts, np.float64)[..., None]
    total = np.maximum(counts.sum(-2, keepdims=True), _TINY)
    middle_source = (counts * source).sum(-2, keepdims=True) / total
    middle_target = (counts * target).sum(-2, keepdims=True) / total
    centred = source - middle_source
    covariance = np.swapaxes(counts * (target - middle_target), -1, -2) @ centred
    left, singular, right = np.linalg.svd(covariance)
    signs = np.ones_like(singular)
    signs[..., 2] = np.where(np.linalg.det(left @ right) < 0, -1.0, 1.0)
    rotation = (left * signs[..., None, :]) @ right
    spread = (counts * centred * centred).sum((-1, -2))
    scale = np.where(spread > _TINY, (singular * signs).sum(-1) / np.maximum(spread, _TINY), 1.0)
    turned = np.einsum("...ij,...j->...i", rotation, middle_source[..., 0, :])
    return scale, rotation, middle_target[..., 0, :] - scale[..., None] * turned


def procrustes(source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """``source`` (..., N, 3) moved, turned and scaled onto ``target``; see ``similarity``."""
    scale, rotation, shift = similarity(source, target, weights)
    turned = np.asarray(source, np.float64) @ np.swapaxes(rotation, -1, -2)
    return scale[..., None, None] * turned + shift[..., None, :]


def rescaled(source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """``source`` (..., N, 3) times the one factor per set that brings it nearest to ``target``.

    The factor is Σ⟨target, source⟩ / Σ⟨source, source⟩ about the origin, so both want to be root-relative.

    Raises:
        InputError: Shapes do not fit.
    """
    source, target = _points(source, target)
    counts = np.float64(1) if weights is None else np.asarray(weights, np.float64)[..., None]
    power = (counts * source * source).sum((-1, -2))
    factor = np.where(power > _TINY, (counts * source * target).sum((-1, -2)) / np.maximum(power, _TINY), 1.0)
    return factor[..., None, None] * source


def _points(source: ArrayLike, target: ArrayLike) -> tuple[Floats, Floats]:
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim < 2 or source.shape[-1] != 3:
        raise InputError(f"Alignment wants two arrays of one shape (..., N, 3), got {source.shape} and {target.shape}.")
    return source, target
