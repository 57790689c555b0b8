"""A pinhole camera in OpenCV convention.

Camera axes: x right, y down, z forward. ``x_cam = R @ x_world + t``.
Pixels: origin top left, y down. Lens distortion is left out on purpose:
undistorting is a step before this one (Human3.6M's reader knows its lenses).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.errors import InputError


@dataclass(frozen=True)
class Camera:
    """Intrinsics, pose and image size of one camera.

    Attributes:
        focal: ``(fx, fy)`` in pixels.
        centre: Principal point ``(cx, cy)`` in pixels.
        width: Image width in pixels.
        height: Image height in pixels.
        rotation: (3, 3) world to camera.
        translation: (3,) metres, world to camera.
    """

    focal: tuple[float, float]
    centre: tuple[float, float]
    width: int
    height: int
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    translation: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        rotation = np.asarray(self.rotation, np.float64)
        translation = np.asarray(self.translation, np.float64)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise InputError(
                f"Camera wants rotation (3, 3) and translation (3,), got {rotation.shape} and {translation.shape}."
            )
        numbers = [*self.focal, *self.centre, *rotation.ravel(), *translation]
        if not np.isfinite(numbers).all() or min(self.focal) <= 0:
            raise InputError("Camera wants finite numbers and focal lengths above 0.")
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"Camera wants an image size above 0, got {self.width}x{self.height}.")
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
            raise InputError("Camera wants a proper rotation matrix (orthonormal, determinant +1).")
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)

    def to_camera(self, world: ArrayLike) -> NDArray[np.float64]:
        """Points in camera axes. ``world``: (..., 3) metres."""
        return np.asarray(world, np.float64) @ self.rotation.T + self.translation

    def to_world(self, camera: ArrayLike) -> NDArray[np.float64]:
        """Points in world axes. ``camera``: (..., 3) metres."""
        return (np.asarray(camera, np.float64) - self.translation) @ self.rotation

    def project(self, camera_points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of points (..., 3) given in *camera* axes, metres.

        Points at or behind the image plane give NaN.
        """
        points = np.asarray(camera_points, np.float64)
        depth = np.where(points[..., 2:] > 1e-6, points[..., 2:], np.nan)
        return points[..., :2] / depth * np.asarray(self.focal) + np.asarray(self.centre)

    def rays(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Directions (..., 3) with z = 1 through pixels (..., 2)."""
        xy = (np.asarray(pixels, np.float64) - np.asarray(self.centre)) / np.asarray(self.focal)
        return np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)

    def contains(self, pixels: ArrayLike) -> NDArray[np.bool_]:
        """Which pixels (..., 2) lie inside the image."""
        xy = np.asarray(pixels)
        with np.errstate(invalid="ignore"):
            return (xy[..., 0] >= 0) & (xy[..., 0] <= self.width) & (xy[..., 1] >= 0) & (xy[..., 1] <= self.height)
