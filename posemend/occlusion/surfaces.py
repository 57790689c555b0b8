"""A skinned mesh over time, and rays against its triangles by Embree.

The surface is kept as it was bound, with one affine map for each of its rigid
segments in each frame; a frame's triangles are made when they are asked for
(linear blend skinning), so that memory does not grow with the clip. Triangles
belong to parts with the names of `posemend.occlusion.figure`, so a joint is hidden
by a mesh by the same rules as by capsules.

Building a tree over all triangles costs about a microsecond each and would be
done anew for every frame; a few dozen rays pass few of them. So triangles that
no ray comes near are dropped first (a matrix product), and Embree gets the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.errors import InputError, require

Floats = NDArray[np.float32]

_FEW = 512  # rays; above that every triangle is near one of them anyway


@dataclass(frozen=True, eq=False)
class Surface:
    """One person's mesh over T frames.

    Attributes:
        vertices: (V, 3) metres, as bound.
        weights: (V, S) share of each segment in each vertex; rows sum to 1.
        maps: (T, S, 3, 4) from there to world metres, ``x_world = A x + b``.
        faces: (F, 3) places in ``vertices``.
        face_part: (F,) places in ``parts``.
        parts: Names, such as ``"l_thigh"``.
        owner: Number of the person.
    """

    vertices: Floats
    weights: Floats
    maps: Floats
    faces: NDArray[np.int64]
    face_part: NDArray[np.int64]
    parts: tuple[str, ...]
    owner: int

    def __post_init__(self) -> None:
        segments = self.weights.shape[-1]
        if self.weights.shape != (len(self.vertices), segments) or self.maps.shape[1:] != (segments, 3, 4):
            raise InputError(f"Surface wants weights of its {len(self.vertices)} vertices and a map for each segment, "
                             f"got {self.weights.shape} and {self.maps.shape}.")  # fmt: skip
        if not np.isfinite(self.maps).all():
            raise InputError("Surface wants finite numbers. Is there a NaN among the joints?")

    def __len__(self) -> int:
        """Frames."""
        return len(self.maps)

    def frames(self, part: slice) -> Surface:
        """Some of the frames."""
        return replace(self, maps=self.maps[part])

    def posed(self, frame: int) -> Floats:
        """(V, 3) world metres at one moment."""
        maps = (self.weights @ self.maps[frame].reshape(-1, 12)).reshape(-1, 3, 4)
        return np.einsum("vij,vj->vi", maps[..., :3], self.vertices) + maps[..., 3]

    def corners(self, frame: int) -> Floats:
        """(F, 3, 3) corners of the triangles at one moment, world metres."""
        return self.posed(frame)[self.faces]


def cast(corners: Floats, eye: ArrayLike, way: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The first triangle that each ray meets, by Embree.

    Args:
        corners: (F, 3, 3) metres.
        eye: (3,) where the rays begin.
        way: (R, 3) to the aims.

    Returns:
        (R,) number of the triangle, -1 where none is met; (R,) where, in lengths of ``way``, infinity for none.

    Raises:
        MissingExtra: embreex is not installed.
    """
    scenes = require("embreex.rtcore_scene", "synth")
    building = require("embreex.mesh_construction", "synth")
    scene = scenes.EmbreeScene(_device())
    building.TriangleMesh(scene, np.ascontiguousarray(corners, np.float32))
    way = np.ascontiguousarray(way, np.float32)
    start = np.ascontiguousarray(np.broadcast_to(np.asarray(eye, np.float32), way.shape))
    found = scene.run(start, way, query="INTERSECT", output=True)
    hit = np.asarray(found["primID"], np.int64)
    return hit, np.where(hit >= 0, found["tfar"], np.inf).astype(np.float32)


_DEVICES: list[Any] = []


def _device() -> Any:
    """One Embree device for the process: making one costs more than a small scene."""
    if not _DEVICES:
        _DEVICES.append(require("embreex.rtcore", "synth").EmbreeDevice())
    return _DEVICES[0]


def _near(corners: Floats, eye: Floats, way: Floats) -> NDArray[np.bool_]:
    """(F,) triangles whose ball is passed by the line of some ray; too many rather than too few."""
    middle = corners.mean(1)
    reach2 = ((corners - middle[:, None]) ** 2).sum(-1).max(-1)
    to = middle - eye
    unit = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)
    along = to @ unit.T  # (F, R)
    along *= along
    return along.max(-1) >= (to * to).sum(-1) - 1.02 * reach2 - 1e-4


def surface_entries(surface: Surface, eye: ArrayLike, way: ArrayLike) -> Floats:
    """Where rays first meet each part of a surface.

    Args:
        surface: Over T frames, P parts.
        eye: (T, 3) where the rays begin.
        way: (T, R, 3) from there to the aims.

    Returns:
        (T, R, P) float32, in lengths of ``way``; infinity where a ray misses.

    Raises:
        MissingExtra: embreex is not installed.
    """
    eye, way = np.asarray(eye, np.float32), np.asarray(way, np.float32)
    found = np.full((*way.shape[:2], len(surface.parts)), np.inf, np.float32)
    for frame in range(len(way)):
        corners = surface.corners(frame)
        part = surface.face_part
        if way.shape[1] <= _FEW:
            near = _near(corners, eye[frame], way[frame])
            corners, part = corners[near], part[near]
        for number in np.unique(part):
            found[frame, :, number] = cast(corners[part == number], eye[frame], way[frame])[1]
    return found


def surface_contains(surface: Surface, points: ArrayLike) -> NDArray[np.bool_]:
    """(T, P) the part whose skin is nearest, for frames whose point (T, 3) lies inside of the surface.

    Inside is where the winding number is above a half (solid angles after Van Oosterom
    and Strackee, 1983), so that small holes do not matter.
    """
    points = np.asarray(points, np.float32)
    found = np.zeros((len(points), len(surface.parts)), bool)
    for frame, point in enumerate(points):
        corners = surface.corners(frame)
        flat = corners.reshape(-1, 3)
        if (point < flat.min(0)).any() or (point > flat.max(0)).any():
            continue
        a, b, c = (corners.astype(np.float64) - point).swapaxes(0, 1)
        la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
        volume = np.einsum("fi,fi->f", a, np.cross(b, c))
        below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
        if abs(np.arctan2(volume, below).sum()) / (2 * np.pi) > 0.5:
            found[frame, surface.face_part[(la + lb + lc).argmin()]] = True
    return found
