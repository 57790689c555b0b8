"""One point from several views: weighted direct linear transformation with cameras that may lie.

Each camera that sees a point gives two equations that are linear in it,

    (x r3 - r1) X = t1 - x t3        (y r3 - r2) X = t2 - y t3

(Hartley & Zisserman, "Multiple View Geometry", 12.2, inhomogeneous form). Their
residual is the distance in metres by which the keypoint lies *beside* the point
at the point's own depth. That is the unit wanted here: a detector errs by a
share of the person, not by a number of pixels, so near and far cameras count
alike without further scaling.

Weights are the detector's scores squared, lowered for cameras with large
residuals (Cauchy weights, re-estimated). A camera that still contradicts the
others by more than a tolerance is left out for that point, the one first whose
absence costs least (a truncated cost, as in MSAC, Torr & Zisserman 2000), until
the rest agree or two are left. Pose2Sim drops cameras by trying all subsets;
leaving out one at a time needs no more than a few solutions for any number of
cameras.

The learnable variant (Iskakov et al., ICCV 2019) is left out: weights there come
out of a detector that is trained with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST = 2  # cameras for one point
NEAREST = 0.05  # metres; nothing nearer to a camera, or behind it, was seen by it
WIDEST = 0.5  # metres of expected error from which a point counts as not known: cameras that look along one line
AT_ONCE = 65_536  # points per block, which bounds the memory
_ROUNDS = 8
_MEAN_OVER_RMS = 0.92  # of the length of a 3D Gaussian
_FINEST = 1e-5  # metres; no calibration is better


@dataclass(frozen=True)
class Points:
    """What became of N points seen by V cameras.

    Attributes:
        positions: (N, 3) metres, world axes; NaN where not known.
        sigma: (N,) expected error in metres, from geometry, weights and residuals; NaN where not known.
        used: (V, N) which cameras a point was made from.
        beside: (V, N) metres between a camera's keypoint and the point, at its depth, used or not;
            NaN without a point or a keypoint, infinite behind the camera.
    """

    positions: Floats
    sigma: Floats
    used: Bools
    beside: Floats


def triangulate(rays: Floats, weight: Floats, rotation: Floats, translation: Floats, tolerance: float = 0.1) -> Points:
    """Points from the directions in which cameras see them.

    Args:
        rays: (V, N, 2) x/z and y/z in each camera, without distortion.
        weight: (V, N) from 0 (not seen) upwards; scores squared.
        rotation: (V, 3, 3) world to camera.
        translation: (V, 3) world to camera, metres.
        tolerance: Metres beside the point from which a camera contradicts it.

    Raises:
        InputError: Shapes do not fit, fewer than two cameras, or a tolerance of 0 or below.
    """
    views = len(rays)
    if views < LEAST or rays.shape != (*weight.shape, 2) or rotation.shape != (views, 3, 3):
        raise InputError(
            f"Triangulation wants rays (V, N, 2), weights (V, N) and rotations (V, 3, 3) of at least {LEAST} cameras, "
            f"got {rays.shape}, {weight.shape} and {rotation.shape}."
        )
    if translation.shape != (views, 3) or not tolerance > 0:
        raise InputError(f"Triangulation wants translations (V, 3) and a tolerance above 0, got {translation.shape}.")
    weight = np.where(np.isfinite(rays).all(-1), weight, 0.0)
    rays = np.nan_to_num(rays)
    # about the middle of the cameras numbers are small, whatever the world's origin is
    middle = -np.einsum("vji,vj->vi", rotation, translation).mean(0)
    moved = translation + rotation @ middle
    parts = [
        _block(rays[:, at : at + AT_ONCE], weight[:, at : at + AT_ONCE], rotation, moved, tolerance)
        for at in range(0, rays.shape[1], AT_ONCE)
    ]
    robust, beside = (np.concatenate([part[k] for part in parts], 1) for k in (2, 3))
    points, inverse = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    used = robust > 0
    sigma = _expected_error(inverse, robust, beside)
    known = np.isfinite(points).all(-1) & (sigma < WIDEST)
    return Points(
        np.where(known[:, None], points + middle, np.nan),
        np.where(known, sigma, np.nan),
        used & known,
        np.where(known & (weight > 0), beside, np.nan),
    )


@dataclass(frozen=True)
class _Equations:
    """Two rows per camera and point, their normal equations, and each camera's third row for the depth."""

    rows: Floats  # (V, N, 2, 3)
    right: Floats  # (V, N, 2)
    square: Floats  # (V, N, 3, 3)
    mixed: Floats  # (V, N, 3)
    forward: Floats  # (V, 3)
    away: Floats  # (V,)

    def part(self, which: NDArray[np.int64]) -> _Equations:
        return _Equations(
            self.rows[:, which], self.right[:, which], self.square[:, which], self.mixed[:, which],
            self.forward, self.away,
        )  # fmt: skip

    def solve(self, weight: Floats) -> Floats:
        """(..., N, 3) for weights (..., V, N)."""
        right = np.einsum("...vn,vni->...ni", weight, self.mixed)
        return np.linalg.solve(_regular(self.sum(weight)), right[..., None])[..., 0]

    def sum(self, weight: Floats) -> Floats:
        return np.einsum("...vn,vnij->...nij", weight, self.square)

    def beside(self, points: Floats) -> Floats:
        """(..., V, N) metres beside the points (..., N, 3); infinite where they are behind a camera."""
        off = np.einsum("vnki,...ni->...vnk", self.rows, points) - self.right
        depth = np.einsum("vi,...ni->...vn", self.forward, points) + self.away[:, None]
        return np.where(depth > NEAREST, np.sqrt((off * off).sum(-1)), np.inf)


def _regular(square: Floats) -> Floats:
    # a whiff of the identity: without any camera the answer is finite, and thrown away later
    return square + 1e-12 * np.eye(3)


def _equations(rays: Floats, rotation: Floats, translation: Floats) -> _Equations:
    r, t = rotation[:, None], translation[:, None]
    rows = rays[..., :, None] * r[..., 2:3, :] - r[..., :2, :]
    right = t[..., :2] - rays * t[..., 2:3]
    mixed = np.einsum("vnki,vnk->vni", rows, right)
    return _Equations(rows, right, np.einsum("vnki,vnkj->vnij", rows, rows), mixed, rotation[:, 2], translation[:, 2])


def _block(
    rays: Floats, weight: Floats, rotation: Floats, translation: Floats, tolerance: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Points (N, 3), trace of the inverse (N,), weights in the end (V, N), and ``beside`` (V, N)."""
    equations = _equations(rays, rotation, translation)
    used = weight > 0
    used &= used.sum(0) >= LEAST
    points, robust = _reweighted(equations, weight * used, tolerance)
    beside = equations.beside(points)
    bad = np.flatnonzero((used & (beside > tolerance)).any(0))
    if len(bad):
        few = equations.part(bad)
        kept = _agreeing(few, weight[:, bad], used[:, bad], tolerance)
        used[:, bad] = kept
        points[bad], robust[:, bad] = _reweighted(few, weight[:, bad] * kept, tolerance)
        beside[:, bad] = few.beside(points[bad])
    # what two lone cameras say, or what robust weights pulled elsewhere, must agree as well
    used &= ~(used & (beside > tolerance)).any(0)
    points = np.where(np.any(used, 0)[:, None], points, np.nan)
    robust = robust * used
    inverse = np.linalg.inv(_regular(equations.sum(robust)))  # huge where rays are parallel
    return points, np.where(used.any(0), np.einsum("nii->n", inverse), np.nan), robust, beside


def _reweighted(equations: _Equations, weight: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Points (N, 3) and the weights (V, N) that they were found with."""
    robust = weight
    points = equations.solve(weight)
    for _ in range(_ROUNDS):
        with np.errstate(over="ignore"):
            robust = weight / (1 + (equations.beside(points) / (0.5 * tolerance)) ** 2)
        # all cameras at odds: keep the plain weights rather than divide by nothing
        lost = robust.sum(0) < 1e-9 * weight.sum(0)
        robust = np.where(lost, weight, robust)
        points = equations.solve(robust)
    return points, robust


def _agreeing(equations: _Equations, weight: Floats, used: Bools, tolerance: float) -> Bools:
    """(V, N) the cameras that are left when those are taken out that contradict the rest."""
    used = used.copy()
    views = len(used)
    for _ in range(views - LEAST):
        points, _ = _reweighted(equations, weight * used, tolerance)
        todo = np.flatnonzero((used & (equations.beside(points) > tolerance)).any(0) & (used.sum(0) > LEAST))
        if not len(todo):
            break
        part, own, on = equations.part(todo), weight[:, todo], used[:, todo]
        without = own * on * ~np.eye(views, dtype=bool)[:, :, None]  # (V left out, V, N)
        beside = part.beside(part.solve(without))
        cost = (without * np.minimum(beside, tolerance) ** 2).sum(1) + own * tolerance**2
        # equal truncated costs: the smaller sum of residuals decides
        with np.errstate(invalid="ignore"):
            cost = cost + 1e-3 * (without * np.minimum(beside, 20 * tolerance) ** 2).sum(1)
        worst = np.where(on, cost, np.inf).argmin(0)
        used[worst, todo] = False
    return used


def _expected_error(inverse: Floats, weight: Floats, beside: Floats) -> Floats:
    """(N,) metres: how far geometry spreads the noise that the (weighted) residuals show."""
    used = weight > 0
    if not used.any():
        return np.full(len(inverse), np.nan)
    count = used.sum(0)
    freedom = np.maximum(2 * count - 3, 0)
    square = weight * np.where(used, beside, 0.0) ** 2
    # the clip's usual noise per coordinate; residuals are smaller than errors, as the point leans towards them
    share = np.broadcast_to(freedom / np.maximum(2 * count, 1), used.shape)[used]
    usual = np.median(square[used] / np.maximum(share, 1e-9)) / 1.386 + _FINEST**2  # median of a chi-squared with 2
    noise = (3 * usual + square.sum(0)) / (3 + freedom)
    return _MEAN_OVER_RMS * np.sqrt(noise * inverse)
