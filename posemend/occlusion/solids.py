"""Rays against capsules, ellipsoids and boxes: where along a ray each solid begins.

Everything that hides or is seen by a depth camera is one of three convex
solids with a closed form, kept as arrays with a time axis. A moving body of
eighteen of them costs about a microsecond a ray; an acceleration tree would be
rebuilt for every frame and asked for a hundred rays, which is why labels do
not use one (measured in ``benchmarks/labelling.py``; `posemend.occlusion.meshes`
has Embree, for meshes). The capsule is Quilez' intersector, written
for rays of any length; the box is the slab test. A user's skinned mesh stands
beside them as a surface (`posemend.occlusion.surfaces`), each of its parts counted like a solid.

Left out on purpose: other solids that are not convex; they are several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.errors import InputError
from posemend.occlusion.surfaces import Surface, surface_contains, surface_entries

Floats = NDArray[np.float32]

NOBODY = -1
_AT_ONCE = 400_000  # ray-solid pairs per array: a few arrays of this size stay in the cache


@dataclass(frozen=True)
class Box:
    """A solid box standing in the world.

    Attributes:
        centre: (x, y, z) metres.
        size: Full lengths along its own axes, metres.
        yaw: Turned about the vertical, radians.
    """

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite([*self.centre, *self.size, self.yaw]).all() or min(self.size) <= 0:
            raise InputError(f"Box wants finite numbers and sizes above 0, got {self.centre}, {self.size}, {self.yaw}.")


@dataclass(frozen=True, eq=False)
class Solids:
    """Capsules (C), ellipsoids (E), boxes (B) and surfaces over T frames, world axes, metres.

    ``owner`` and ``part`` have one entry per solid, in the order capsules, ellipsoids, boxes, parts of surfaces.

    Attributes:
        start, end: (T, C, 3) ends of the capsules' axes.
        radius: (T, C) of the capsules; (C,) where they never change.
        centre: (T, E, 3) of the ellipsoids.
        unit: (T, E, 3, 3) that turn an ellipsoid about its centre into the unit sphere: rows are its axes, at right
            angles, each over its half length.
        box_centre: (T, B, 3).
        box_half: (B, 3) half lengths along the box's own axes.
        box_yaw: (T, B) turn about the vertical, radians.
        owner: (N,) number of the person whose part it is, ``NOBODY`` for things.
        part: N names.
        surfaces: Skinned meshes; each of their parts counts as a solid.
    """

    start: Floats
    end: Floats
    radius: Floats
    centre: Floats
    unit: Floats
    box_centre: Floats
    box_half: Floats
    box_yaw: Floats
    owner: NDArray[np.int16]
    part: tuple[str, ...]
    surfaces: tuple[Surface, ...] = ()

    def __post_init__(self) -> None:
        if self.radius.ndim == 1:
            object.__setattr__(self, "radius", np.broadcast_to(self.radius, (len(self.start), len(self.radius))))
        counted = self.analytic + sum(len(surface.parts) for surface in self.surfaces)
        if len(self.owner) != counted or len(self.part) != counted:
            raise InputError(f"Solids wants an owner and a part for each of {counted} solids.")
        arrays = (self.start, self.end, self.radius, self.centre, self.unit, self.box_centre, self.box_half)
        if not all(np.isfinite(array).all() for array in (*arrays, self.box_yaw)):
            raise InputError("Solids wants finite numbers. Is there a NaN among the joints?")

    def __len__(self) -> int:
        """Frames."""
        return len(self.start)

    @property
    def count(self) -> int:
        """How many solids there are."""
        return len(self.part)

    @property
    def analytic(self) -> int:
        """How many of them are capsules, ellipsoids and boxes."""
        return self.start.shape[1] + self.centre.shape[1] + self.box_centre.shape[1]

    def frames(self, part: slice) -> Solids:
        """Some of the frames."""
        moving = ("start", "end", "radius", "centre", "unit", "box_centre", "box_yaw")
        cut = {name: getattr(self, name)[part] for name in moving}
        return replace(self, **cut, surfaces=tuple(surface.frames(part) for surface in self.surfaces))


def boxes(things: Sequence[Box], frames: int, velocity: ArrayLike | None = None, fps: float = 50.0) -> Solids:
    """Boxes over time.

    Args:
        things: Where they stand in the middle of the clip.
        frames: T.
        velocity: (B, 3) metres per second, or ``None`` where all stand still.
        fps: Frames per second.
    """
    count = len(things)
    centre = np.array([box.centre for box in things], np.float32).reshape(1, count, 3)
    centre = np.repeat(centre, frames, 0)
    if velocity is not None:
        seconds = (np.arange(frames, dtype=np.float32) - (frames - 1) / 2) / np.float32(fps)
        centre += seconds[:, None, None] * np.asarray(velocity, np.float32).reshape(1, count, 3)
    yaw = np.repeat(np.array([[box.yaw for box in things]], np.float32).reshape(1, count), frames, 0)
    half = (np.array([box.size for box in things]).reshape(count, 3) / 2).astype(np.float32)
    empty = np.zeros((frames, 0, 3), np.float32)
    return Solids(
        empty, empty, np.zeros((frames, 0), np.float32), empty, np.zeros((frames, 0, 3, 3), np.float32),
        centre, half, yaw, np.full(count, NOBODY, np.int16), tuple(f"box{n}" for n in range(count)),
    )  # fmt: skip


def together(parts: Sequence[Solids]) -> Solids:
    """All solids of several sets over the same frames.

    Raises:
        InputError: Nothing, or lengths differ.
    """
    if not parts or len({len(part) for part in parts}) != 1:
        raise InputError(f"Solids of one scene want the same frames, got {[len(part) for part in parts]}.")
    capsules = [part.start.shape[1] for part in parts]
    ellipsoids = [part.centre.shape[1] for part in parts]
    rounded = [c + e for c, e in zip(capsules, ellipsoids, strict=True)]
    analytic = [part.analytic for part in parts]
    order: list[tuple[int, int]] = []  # (set, number in its set): all capsules, all ellipsoids, all boxes, all surfaces
    for first, last in (
        ([0] * len(parts), capsules),
        (capsules, rounded),
        (rounded, analytic),
        (analytic, [part.count for part in parts]),
    ):
        order += [(n, k) for n, (a, b) in enumerate(zip(first, last, strict=True)) for k in range(a, b)]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts], axis)
        for name, axis in (
            ("start", 1), ("end", 1), ("radius", 1), ("centre", 1), ("unit", 1),
            ("box_centre", 1), ("box_half", 0), ("box_yaw", 1),
        )
    }  # fmt: skip
    owner = np.array([parts[n].owner[k] for n, k in order], np.int16)
    surfaces = tuple(surface for part in parts for surface in part.surfaces)
    return Solids(**joined, owner=owner, part=tuple(parts[n].part[k] for n, k in order), surfaces=surfaces)


def worn(surface: Surface) -> Solids:
    """A surface alone."""
    frames, count = len(surface), len(surface.parts)
    bare = boxes([], frames)
    owner = np.full(count, surface.owner, np.int16)
    return replace(bare, owner=owner, part=surface.parts, surfaces=(surface,))


def _near(middle: Floats, reach: Floats, eye: Floats, way: Floats) -> NDArray[np.int64]:
    """Flat places in (T, R, N) of rays that pass a ball of radius ``reach`` (T, N) round ``middle`` (T, N, 3).

    Four rays in five miss a solid altogether and are told here, at a tenth of the cost of the solid's own test.
    """
    to = middle - eye[:, None]
    way2 = (way * way).sum(-1)[..., None]
    along = way @ to.swapaxes(-1, -2)
    # distance of the ray's line, squared and times way2; the last digits go to the ball, which is never too small
    aside = ((to * to).sum(-1) - (1.01 * reach) ** 2)[:, None] * way2
    along *= along
    return np.flatnonzero((aside <= along).ravel())


def _dot(one: Floats, two: Floats) -> Floats:
    return np.einsum("pi,pi->p", one, two)


def _capsules(solids: Solids, eye: Floats, way: Floats) -> tuple[NDArray[np.int64], Floats]:
    count = solids.radius.shape[1]
    axis = solids.end - solids.start  # (T, C, 3)
    reach = (np.linalg.norm(axis, axis=-1) / 2 + solids.radius).astype(np.float32)
    place = _near(solids.start + np.float32(0.5) * axis, reach, eye, way)
    ray, number = np.divmod(place, count)
    solid = ray // way.shape[1] * count + number
    d = way.reshape(-1, 3)[ray]
    axis = axis.reshape(-1, 3)
    aside = (eye[:, None] - solids.start).reshape(-1, 3)
    radius2 = solids.radius.reshape(-1) ** 2
    axis2, aside2, both = _dot(axis, axis), _dot(aside, aside), _dot(axis, aside)
    c = (axis2 * aside2 - both**2 - radius2 * axis2)[solid]
    axis2, aside2, both, radius2 = axis2[solid], aside2[solid], both[solid], radius2[solid]
    way2, axis_way, way_aside = _dot(d, d), _dot(d, axis[solid]), _dot(d, aside[solid])
    a = np.maximum(axis2 * way2 - axis_way**2, 1e-12)
    b = axis2 * way_aside - both * axis_way
    root = b * b - a * c  # below 0: the endless cylinder is missed
    side = (-b - np.sqrt(np.maximum(root, 0))) / a
    along = both + side * axis_way
    # beyond an end: the ball there
    far_end = along >= axis2
    b = np.where(far_end, way_aside - axis_way, way_aside)
    ball = np.where(far_end, aside2 - 2 * both + axis2, aside2) - radius2
    ball_root = b * b - way2 * ball
    cap = (-b - np.sqrt(np.maximum(ball_root, 0))) / way2
    on_side = (along > 0) & ~far_end
    met = (root >= 0) & (on_side | (ball_root >= 0))
    return place, np.where(met, np.where(on_side, side, cap), np.float32(np.inf))


def _ellipsoids(solids: Solids, eye: Floats, way: Floats, reach: Floats) -> tuple[NDArray[np.int64], Floats]:
    count = solids.centre.shape[1]
    place = _near(solids.centre, reach, eye, way)
    ray, number = np.divmod(place, count)
    solid = ray // way.shape[1] * count + number
    here = np.matmul(solids.unit, (eye[:, None] - solids.centre)[..., None])[..., 0].reshape(-1, 3)
    turned = np.matmul(solids.unit.reshape(-1, 3, 3)[solid], way.reshape(-1, 3)[ray][..., None])[..., 0]
    a = np.maximum(_dot(turned, turned), 1e-12)
    b = _dot(turned, here[solid])
    root = b * b - a * (_dot(here, here) - 1)[solid]
    return place, np.where(root >= 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.float32(np.inf))


def _boxes(solids: Solids, eye: Floats, way: Floats) -> Floats:
    cos, sin = np.cos(solids.box_yaw), np.sin(solids.box_yaw)
    away = eye[:, None] - solids.box_centre
    here = (away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin, away[..., 2])
    c, s = cos[:, None], sin[:, None]
    x, y, z = way[..., 0, None], way[..., 1, None], way[..., 2, None]
    enter: Floats | None = None
    leave: Floats | None = None
    for axis, along in enumerate((x * c + y * s, y * c - x * s, np.broadcast_to(z, (*way.shape[:2], c.shape[2])))):
        along = np.where(np.abs(along) < 1e-9, np.float32(1e-9), along)
        one = (-solids.box_half[:, axis] - here[axis])[:, None] / along
        two = (solids.box_half[:, axis] - here[axis])[:, None] / along
        low, high = np.minimum(one, two), np.maximum(one, two)
        enter = low if enter is None else np.maximum(enter, low)
        leave = high if leave is None else np.minimum(leave, high)
    assert enter is not None and leave is not None
    return np.where((enter <= leave) & (leave >= 0), enter, np.float32(np.inf))


def entries(solids: Solids, eye: ArrayLike, way: ArrayLike) -> Floats:
    """Where rays enter solids.

    Args:
        solids: Over T frames.
        eye: (T, 3) where the rays begin, outside of all solids.
        way: (T, R, 3) from there to the aims, any length above 0.

    Returns:
        (T, R, N) float32, in lengths of ``way``: 1 is at the aim, below 1
        before it. Infinity where a ray misses; below 0 behind the eye.
    """
    eye, way = np.asarray(eye, np.float32), np.asarray(way, np.float32)
    frames, rays = way.shape[:2]
    found = np.full((frames, rays, solids.count), np.inf, np.float32)
    step = max(1, _AT_ONCE // max(1, rays * solids.count))
    capsules, balls = solids.start.shape[1], solids.centre.shape[1]
    # longest half axis of each ellipsoid; the rows of ``unit`` are its axes, each over its length
    reach = 1 / np.linalg.norm(solids.unit, axis=-1).min(-1) if balls else np.zeros((frames, 0), np.float32)
    for first in range(0, frames, step):
        part = slice(first, first + step)
        some = solids.frames(part)
        for kind, start, count in ((_capsules, 0, capsules), (_ellipsoids, capsules, balls)):
            if count:
                more = (reach[part],) if kind is _ellipsoids else ()
                place, entry = kind(some, eye[part], way[part], *more)  # type: ignore[operator]
                flat = np.full(len(some) * rays * count, np.inf, np.float32)
                flat[place] = entry
                found[part, :, start : start + count] = flat.reshape(-1, rays, count)
        if solids.box_half.size:
            found[part, :, capsules + balls : solids.analytic] = _boxes(some, eye[part], way[part])
    at = solids.analytic
    for surface in solids.surfaces:
        found[..., at : at + len(surface.parts)] = surface_entries(surface, eye, way)
        at += len(surface.parts)
    return found


def contains(solids: Solids, points: ArrayLike) -> NDArray[np.bool_]:
    """(T, N) which solids each frame's point (T, 3) lies in."""
    points = np.asarray(points, np.float32)
    axis = solids.end - solids.start
    aside = points[:, None] - solids.start
    share = (aside * axis).sum(-1) / np.maximum((axis * axis).sum(-1), 1e-12)
    gap = np.linalg.norm(aside - np.clip(share, 0, 1)[..., None] * axis, axis=-1)
    here = np.matmul(solids.unit, (points[:, None] - solids.centre)[..., None])[..., 0]
    cos, sin = np.cos(solids.box_yaw), np.sin(solids.box_yaw)
    away = points[:, None] - solids.box_centre
    flat = np.stack(
        [away[..., 0] * cos + away[..., 1] * sin, -away[..., 0] * sin + away[..., 1] * cos, away[..., 2]], -1
    )
    inside_box = (np.abs(flat) < solids.box_half).all(-1)
    skinned = [surface_contains(surface, points) for surface in solids.surfaces]
    return np.concatenate([gap < solids.radius, (here * here).sum(-1) < 1, inside_box, *skinned], -1)


def refuse_inside(solids: Solids, eyes: NDArray[np.floating]) -> None:
    """Raise InputError where a camera (T, 3) is inside of a solid: it would see nothing but that."""
    inside = contains(solids, eyes)
    if inside.any():
        frame, number = (int(x) for x in np.argwhere(inside)[0])
        owner = int(solids.owner[number])
        whose = f"person {owner}'s {solids.part[number]}" if owner >= 0 else solids.part[number]
        raise InputError(f"The camera is inside of {whose} in frame {frame}. Move it, or the thing.")
