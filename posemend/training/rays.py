"""Hiding by rays: the engine's bodies and boxes before the cameras of a batch, instead of random spans.

Every sample has its own body of capsules and ellipsoids (it hides itself), now
and then a few boxes between it and the camera, standing or sliding by, and now
and then somebody else: another sample's body, set nearer to the camera. Rays
are cast at every fourth frame and held in between, which a network hardly
notices and which quarters the work. Everything happens in camera axes turned
upright (z up), as no camera here rolls much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.occlusion.figure import PARTS, Build, dress, owned_parts
from posemend.occlusion.solids import NOBODY, Solids, entries, together
from posemend.training.views import Seen

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

_OWN = owned_parts(H36M_17)
_TURN = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # rows times this: (x, z, -y) of a camera
_KNEE, _ANKLE, _HIP = (tuple(H36M_17.index(f"{s}_{n}") for s in "lr") for n in ("knee", "ankle", "hip"))
_LEG_SHARE = 0.492  # thigh and shank, share of the stature (`posemend.body.proportions`)


@dataclass(frozen=True)
class Rays:
    """How much stands in the way.

    Attributes:
        share: Of the samples that are hidden by rays; the others by random spans.
        boxes: Mean number of boxes before a sample.
        company: Share of samples with somebody else in front.
        moving: Share of boxes that slide by.
        every: Rays at every so many frames.
        slack: Last metres of the way in which the own body does not hide.
    """

    share: float = 0.5
    boxes: float = 0.8
    company: float = 0.15
    moving: float = 0.3
    every: int = 4
    slack: float = 0.08


def _upright(seen: Seen, every: int) -> Floats:
    """(B, T', 17, 3) joints seen from the origin, x right, y away from the camera, z up."""
    return seen.camera[:, ::every] @ _TURN


def _stature(points: Floats) -> Floats:
    """(B,) metres, from the legs."""
    thigh = np.linalg.norm(points[..., _HIP, :] - points[..., _KNEE, :], axis=-1)
    shank = np.linalg.norm(points[..., _KNEE, :] - points[..., _ANKLE, :], axis=-1)
    return np.clip((thigh + shank).mean((1, 2)) / _LEG_SHARE, 0.8, 2.4)


def _bodies(points: Floats, tall: Floats, girth: float, owner: int) -> Solids:
    """Bodies of a batch as one long clip of B T' frames."""
    batch, frames = points.shape[:2]
    at = {name: points[:, :, place].reshape(-1, 3) for place, name in enumerate(H36M_17.joints)}
    return dress(at, np.repeat(tall, frames), Build(girth=girth), owner)


def _boxes(points: Floats, rays: Rays, rng: np.random.Generator) -> Solids | None:
    """Boxes between samples and camera; samples with fewer than others have theirs behind the camera."""
    batch, frames = points.shape[:2]
    count: NDArray[np.int64] = np.asarray(rng.poisson(rays.boxes, batch))
    most = int(min(count.max(initial=0), 4))
    if most == 0:
        return None
    sizes = np.exp(rng.normal(np.log([0.5, 0.35, 0.8]), 0.5, (most, 3))).astype(np.float32)
    aim = points[np.arange(batch)[:, None], rng.integers(0, frames, (batch, most)), rng.integers(0, 17, (batch, most))]
    near = rng.uniform(0.3, 0.85, (batch, most, 1))
    reach = np.linalg.norm(sizes, axis=-1) / 2
    centre = aim * near
    # neither in the person nor round the camera
    depth = points[..., 1].min((1, 2))[:, None] - 0.15 - reach
    centre[..., 1] = np.minimum(centre[..., 1], depth)
    ghost = (centre[..., 1] < reach + 0.1) | (np.arange(most) >= count[:, None])
    centre[ghost] = [0, -50, 0]
    speed = rng.normal(0, 0.6, (batch, most)) * (rng.random((batch, most)) < rays.moving)
    path = np.linspace(-1, 1, frames)[:, None] * speed[:, None]  # (B, T', most) metres aside
    where = np.repeat(centre[:, None], frames, 1)
    where[..., 0] += path
    empty = np.zeros((batch * frames, 0, 3), np.float32)
    yaw = np.repeat(rng.uniform(-np.pi, np.pi, (batch, most)), frames, 0)
    return Solids(
        empty, empty, np.zeros((batch * frames, 0), np.float32), empty, np.zeros((batch * frames, 0, 3, 3), np.float32),
        where.reshape(-1, most, 3).astype(np.float32), (sizes / 2).astype(np.float32), yaw.astype(np.float32),
        np.full(most, NOBODY, np.int16), tuple(f"box{n}" for n in range(most)),
    )  # fmt: skip


def _blocked(points: Floats, solids: Solids, own: Bools, slack: float, mine: Bools) -> Bools:
    """(N, 17) joints (N, 17, 3) with a solid between them and the origin. ``mine``: (S,) solids of the own body."""
    met = entries(solids, np.zeros((len(points), 3), np.float32), points)
    met[:, own] = np.inf
    far = np.sqrt(np.einsum("njc,njc->nj", points, points))
    limit = 1 - slack / np.maximum(far, slack)
    hides = (met > 0) & np.where(mine, met < limit[..., None], met < 1)
    return np.asarray(hides.any(-1))


def by_rays(seen: Seen, rays: Rays, rng: np.random.Generator) -> Bools:
    """(B, T, 17) joints that bodies and boxes hide from the camera.

    Args:
        seen: The batch, in camera axes.
        rays: What stands in the way.
        rng: Source of chance.
    """
    batch, frames = seen.camera.shape[:2]
    if batch == 0:
        return np.zeros((0, frames, 17), bool)
    points = _upright(seen, rays.every)
    steps = points.shape[1]
    tall = _stature(points)
    flat = points.reshape(-1, 17, 3)
    girth = float(rng.uniform(0.8, 1.2))
    solids = [_bodies(points, tall, girth, 0)]
    things = _boxes(points, rays, rng)
    if things is not None:
        solids.append(things)
    scene = together(solids)
    number = np.array([PARTS.index(part) if part in PARTS else -1 for part in scene.part])
    own = np.where(number >= 0, _OWN[:, number], False)
    hidden = _blocked(flat, scene, own, rays.slack, scene.owner == 0)
    hidden = hidden.reshape(batch, steps, 17)
    rows = np.flatnonzero(rng.random(batch) < rays.company)
    if len(rows) and batch > 1:
        hidden[rows] |= _behind_others(points, tall, rows, girth, rng)
    return np.repeat(hidden, rays.every, 1)[:, :frames]


def _behind_others(
    points: Floats, tall: Floats, rows: NDArray[np.int64], girth: float, rng: np.random.Generator
) -> Bools:
    """(len(rows), T', 17) hidden by another sample's body that stands nearer to the camera."""
    batch, steps = points.shape[:2]
    other = (rows + rng.integers(1, batch, len(rows))) % batch
    mine, guest = points[rows], points[other]
    middle = mine[:, :, 0].mean(1)
    share = rng.uniform(0.35, 0.8, (len(rows), 1))
    aside = rng.normal(0, 0.35, len(rows))
    spot = middle * share
    spot[:, 0] += aside
    moved = guest - guest[:, :, :1].mean(1, keepdims=True) + spot[:, None, None]
    # on the same floor, before the person, and not over the camera
    moved[..., 2] += (mine[..., 2].min((1, 2)) - moved[..., 2].min((1, 2)))[:, None, None]
    moved[..., 1] += np.minimum(mine[..., 1].min((1, 2)) - 0.2 - moved[..., 1].max((1, 2)), 0)[:, None, None]
    near = moved[..., 1].min((1, 2)) > 0.5
    body = _bodies(moved, tall[other], girth, 1)
    nothing = np.zeros((17, body.count), bool)
    found = _blocked(mine.reshape(-1, 17, 3), body, nothing, 0.0, np.zeros(body.count, bool))
    return found.reshape(len(rows), steps, 17) & near[:, None, None]
