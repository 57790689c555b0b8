"""Virtual cameras: any height, distance, field of view, tilt and place in the image."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from posemend.contract.codec import ASSUMED_FOCAL, look_at

Floats = NDArray[np.float32]

NEAREST = 0.8  # metres; no joint comes closer to a camera than this


@dataclass(frozen=True)
class Views:
    """Which cameras are drawn; pairs are lowest and highest, unless said otherwise.

    Attributes:
        focal: Focal length over the longer image side.
        figure: Height of a 1.7 m person over the longer image side.
        elevation: How far a camera looks down, radians: middle and spread.
        steep: Share of cameras that look from far above or below instead.
        roll: Spread of the camera's roll, radians.
        calibrated: Share of samples whose focal length is told to the network.
    """

    focal: tuple[float, float] = (0.6, 1.7)
    figure: tuple[float, float] = (0.15, 1.1)
    elevation: tuple[float, float] = (0.1, 0.15)
    steep: float = 0.3
    roll: float = 0.05
    calibrated: float = 0.35


@dataclass(frozen=True)
class Seen:
    """What the cameras see, before anything is hidden.

    Attributes:
        camera: (B, T, 17, 3) joints in camera axes, metres, camera at 0.
        rays: (B, T, 17, 2) image coordinates over the *focal length the network is told*.
        unit: (B,) rays per (longer image side): multiply an error in image sides by it.
        told: (B,) rays per tangent of the true angle (1 where the told focal length is true).
        half: (B, 2) half image width and height, in rays.
        calibrated: (B,) 1 where the told focal length is the true one.
    """

    camera: Floats
    rays: Floats
    unit: Floats
    told: Floats
    half: Floats
    calibrated: Floats

    def rows(self, rows: NDArray[np.int64]) -> Seen:
        """Some of the samples."""
        return Seen(*(getattr(self, field.name)[rows] for field in fields(self)))


def _log_uniform(rng: np.random.Generator, span: tuple[float, float], count: int) -> Floats:
    return np.exp(rng.uniform(np.log(span[0]), np.log(span[1]), count)).astype(np.float32)


_SHAPES = np.array([[1, 1], [1, 0.5625], [1, 0.75], [0.5625, 1]], np.float32)


def look(positions: Floats, path: Floats, views: Views, rng: np.random.Generator) -> Seen:
    """See each sample by its own camera.

    Args:
        positions: (B, T, 17, 3) relative to the root, world axes, z up.
        path: (B, T, 3) the root's way.
        views: Which cameras.
        rng: Source of chance.
    """
    batch = len(positions)
    ratio = _log_uniform(rng, views.focal, batch)
    distance = np.maximum(1.7 * ratio / _log_uniform(rng, views.figure, batch), 1.3)
    shape = _SHAPES[rng.integers(0, len(_SHAPES), batch)]

    elevation = rng.normal(*views.elevation, batch)
    steep = rng.random(batch) < views.steep
    elevation[steep] = rng.uniform(-0.45, 1.1, steep.sum())
    azimuth = rng.uniform(0, 2 * np.pi, batch)
    # rows of the camera: right, down, forward, for a camera that looks down by the elevation
    ce, se, ca, sa = np.cos(elevation), np.sin(elevation), np.cos(azimuth), np.sin(azimuth)
    forward = np.stack([-ca * ce, -sa * ce, -se], -1)
    right = np.stack([-sa, ca, np.zeros(batch)], -1)
    down = np.cross(forward, right)
    level = np.stack([right, down, forward], -2)
    roll = rng.normal(0, views.roll, batch)
    cr, sr, o = np.cos(roll), np.sin(roll), np.zeros(batch)
    rolled = np.stack([np.stack([cr, -sr, o], -1), np.stack([sr, cr, o], -1), np.stack([o, o, o + 1], -1)], -2)
    place = rng.uniform(-0.42, 0.42, (batch, 2)) * shape / ratio[:, None]
    aside = np.swapaxes(look_at(place.astype(np.float32)), -1, -2)
    turn = (aside @ rolled @ level).astype(np.float32)

    moved = path - path.mean(1, keepdims=True)
    camera = np.matmul(positions + moved[:, :, None], np.swapaxes(turn, -1, -2)[:, None])
    camera += (turn_axis(place) * distance[:, None])[:, None, None]
    camera[..., 2] += np.maximum(NEAREST - camera[..., 2].min((1, 2)), 0)[:, None, None]
    return project(camera, ratio, shape, rng.random(batch) < views.calibrated)


def turn_axis(place: NDArray[np.floating]) -> Floats:
    """(B, 3) unit direction through image place (B, 2)."""
    ray = np.concatenate([place, np.ones_like(place[:, :1])], -1)
    return (ray / np.linalg.norm(ray, axis=-1, keepdims=True)).astype(np.float32)


def project(camera: Floats, ratio: Floats, shape: Floats, calibrated: NDArray[np.bool_]) -> Seen:
    """Image of points in camera axes, in rays of the focal length that the network is told.

    Args:
        camera: (B, T, 17, 3) metres.
        ratio: (B,) true focal length over the longer image side.
        shape: (B, 2) width and height over the longer side.
        calibrated: (B,) whether the true focal length is told.
    """
    told = np.where(calibrated, 1.0, ratio / ASSUMED_FOCAL).astype(np.float32)
    far: Floats = np.maximum(camera[..., 2:], 0.1)
    rays = camera[..., :2] / far * told[:, None, None, None]
    unit = (told / ratio).astype(np.float32)
    return Seen(camera, rays, unit, told, 0.5 * shape * unit[:, None], calibrated.astype(np.float32))
