"""What a lens does to straight lines, and how to undo it.

The pinhole of `camera` knows no distortion; calibrated footage has some. The
two usual models (OpenCV's documentation, "Camera Calibration and 3D
Reconstruction" and "Fisheye camera model"): radial and tangential polynomials,
and the equidistant fisheye. Undoing has no closed form; here it is a Newton
iteration on each point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.errors import InputError
from posemend.geometry.camera import Camera

Floats = NDArray[np.float64]

_STEPS = 25
_DIFFERENCE = 1e-6
_CONVERGED = 1e-7  # in units of the focal length: far below any detector


@dataclass(frozen=True)
class Lens:
    """Distortion of one lens.

    Attributes:
        distortion: OpenCV's order: ``k1, k2, p1, p2[, k3[, k4, k5, k6]]``; for
            a fisheye ``k1, k2, k3, k4``.
        fisheye: Which of the two models.

    Raises:
        InputError: Another number of coefficients, or not finite.
    """

    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    fisheye: bool = False

    def __post_init__(self) -> None:
        wanted = (4,) if self.fisheye else (4, 5, 8)
        if len(self.distortion) not in wanted or not np.isfinite(self.distortion).all():
            raise InputError(
                f"A lens wants {' or '.join(map(str, wanted))} finite distortion coefficients, got {self.distortion}."
            )

    def distort(self, rays: ArrayLike) -> Floats:
        """Where the lens draws a direction. ``rays``: (..., 2) x/z and y/z of the pinhole."""
        rays = np.asarray(rays, np.float64)
        x, y = rays[..., 0], rays[..., 1]
        if self.fisheye:
            radius = np.hypot(x, y)
            angle = np.arctan(radius)
            k1, k2, k3, k4 = self.distortion
            square = angle * angle
            bent = angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
            factor = np.where(radius > 1e-9, bent / np.maximum(radius, 1e-9), 1.0)
            return rays * factor[..., None]
        k1, k2, p1, p2, k3, k4, k5, k6 = (*self.distortion, *[0.0] * (8 - len(self.distortion)))
        square = x * x + y * y
        radial = (1 + square * (k1 + square * (k2 + square * k3))) / (1 + square * (k4 + square * (k5 + square * k6)))
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
                y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
            ],
            -1,
        )

    def undistort(self, rays: ArrayLike) -> Floats:
        """The pinhole's (..., 2) of what the lens drew; NaN where no direction is drawn there."""
        drawn = np.asarray(rays, np.float64)
        if not any(self.distortion) and not self.fisheye:
            return drawn
        found = drawn.copy()
        with np.errstate(all="ignore"):  # points far outside the image may run away; they become NaN
            for _ in range(_STEPS):
                wrong = self.distort(found) - drawn
                a, c = np.moveaxis((self.distort(found + [_DIFFERENCE, 0]) - drawn - wrong) / _DIFFERENCE, -1, 0)
                b, d = np.moveaxis((self.distort(found + [0, _DIFFERENCE]) - drawn - wrong) / _DIFFERENCE, -1, 0)
                det = a * d - b * c
                step = np.stack([d * wrong[..., 0] - b * wrong[..., 1], a * wrong[..., 1] - c * wrong[..., 0]], -1)
                found = found - step / det[..., None]
            off = np.abs(self.distort(found) - drawn).max(-1, keepdims=True)
        return np.where(off < _CONVERGED, found, np.nan)


@dataclass(frozen=True)
class Viewpoint:
    """One calibrated camera of several.

    Attributes:
        name: Its name in the calibration.
        camera: The pinhole.
        lens: Its distortion.
    """

    name: str
    camera: Camera
    lens: Lens = Lens()

    def rays(self, pixels: ArrayLike) -> Floats:
        """Undistorted directions (..., 2), x/z and y/z, of pixels (..., 2)."""
        return self.lens.undistort(self.camera.rays(pixels)[..., :2])

    def pixels(self, world: ArrayLike) -> Floats:
        """Pixels (..., 2) of world points (..., 3) metres, distortion included; NaN behind the camera."""
        points = self.camera.to_camera(world)
        depth = np.where(points[..., 2:] > 1e-6, points[..., 2:], np.nan)
        return self.lens.distort(points[..., :2] / depth) * np.asarray(self.camera.focal) + self.camera.centre
