"""Solids as triangles, and rays against them by Embree: for other programs, and to check the closed forms.

Labels of the engine's own bodies are analytic (`posemend.occlusion.labels`):
a tree over triangles would have to be rebuilt for every frame of a moving
body, and is asked for a few dozen rays only. ``benchmarks/labelling.py`` measures
both, and that they agree. A user's skinned mesh is no solid to begin with:
`posemend.occlusion.surfaces` casts rays at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.errors import InputError
from posemend.occlusion.solids import Floats, Solids
from posemend.occlusion.surfaces import cast

Faces = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """One solid as triangles over time.

    Attributes:
        vertices: (T, V, 3) world metres.
        faces: (F, 3) places in ``vertices``, counter-clockwise from outside.
        part: Name of the solid.
        owner: Number of the person, -1 for things.
    """

    vertices: Floats
    faces: Faces
    part: str
    owner: int


def _globe(around: int, up: int) -> tuple[Floats, Faces]:
    """A unit sphere of ``up`` rings between two poles; its rings come in two halves, so that it can be pulled apart."""
    angle = np.linspace(0, np.pi, 2 * up + 2)[1:-1]  # an even number of rings: none on the equator
    turn = np.arange(around) * 2 * np.pi / around
    ring = np.stack(
        [
            np.outer(np.sin(angle), np.cos(turn)),
            np.outer(np.sin(angle), np.sin(turn)),
            np.outer(np.cos(angle), np.ones(around)),
        ],
        -1,
    )
    points = np.concatenate([[[0, 0, 1.0]], ring.reshape(-1, 3), [[0, 0, -1.0]]])
    faces = []
    last = len(points) - 1
    for k in range(around):
        n = (k + 1) % around
        faces.append((0, 1 + k, 1 + n))
        for row in range(2 * up - 1):
            a, b = 1 + row * around + k, 1 + row * around + n
            faces += [(a, a + around, b), (b, a + around, b + around)]
        faces.append((last, last - around + n, last - around + k))
    return points.astype(np.float32), np.array(faces)


def _axes(along: Floats) -> Floats:
    """(T, 3, 3) rows: two axes across and the unit axis along."""
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    unit = np.where(length > 1e-9, along / np.maximum(length, 1e-9), np.array([0, 0, 1.0]))
    helper = np.where(np.abs(unit[:, :1]) < 0.8, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    across = np.cross(helper, unit)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return np.stack([across, np.cross(unit, across), unit], -2).astype(np.float32)


_CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
_CUBE_FACES = np.array(
    [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
     (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
)  # fmt: skip


def tessellate(solids: Solids, around: int = 24, up: int = 6) -> list[Mesh]:
    """Every solid as a closed mesh, in the solids' order; flat faces lie inside of round skins, 1 % of the radius.

    Parts of a surface are its own triangles, open where another part begins.

    Args:
        solids: Over T frames.
        around: Corners of a cross-section.
        up: Rings of half a ball.
    """
    if around < 3 or up < 1:
        raise InputError(f"tessellate wants at least 3 corners and 1 ring, got {around} and {up}.")
    globe, faces = _globe(around, up)
    meshes: list[Floats] = []
    upper = globe[:, 2:] > 0
    for n in range(solids.start.shape[1]):
        start, end = solids.start[:, n], solids.end[:, n]
        ball = (globe * solids.radius[:, n, None, None]) @ _axes(end - start)
        meshes.append((np.where(upper, end[:, None], start[:, None]) + ball).astype(np.float32))
    for n in range(solids.centre.shape[1]):
        back = np.linalg.inv(solids.unit[:, n])
        back[..., 0] *= np.sign(np.linalg.det(back))[:, None]  # axes may be left-handed; faces must not turn inside out
        meshes.append(solids.centre[:, n, None] + globe @ back.swapaxes(-1, -2))
    for n in range(len(solids.box_half)):
        cos, sin = np.cos(solids.box_yaw[:, n]), np.sin(solids.box_yaw[:, n])
        flat = _CUBE * solids.box_half[n]
        x = flat[:, 0] * cos[:, None] - flat[:, 1] * sin[:, None]
        y = flat[:, 0] * sin[:, None] + flat[:, 1] * cos[:, None]
        z = np.broadcast_to(flat[:, 2], x.shape)
        meshes.append(solids.box_centre[:, n, None] + np.stack([x, y, z], -1))
    round_ones = solids.start.shape[1] + solids.centre.shape[1]
    shapes = [faces if n < round_ones else _CUBE_FACES for n in range(len(meshes))]
    for surface in solids.surfaces:
        posed = np.stack([surface.posed(frame) for frame in range(len(surface))])
        for part in range(len(surface.parts)):
            used, own = np.unique(surface.faces[surface.face_part == part], return_inverse=True)
            meshes.append(posed[:, used])
            shapes.append(own.reshape(-1, 3))
    return [
        Mesh(vertices.astype(np.float32), shapes[n], solids.part[n], int(solids.owner[n]))
        for n, vertices in enumerate(meshes)
    ]


def first_hits(meshes: Sequence[Mesh], frame: int, eye: ArrayLike, way: ArrayLike) -> tuple[NDArray[np.int64], Floats]:
    """The first mesh that each ray meets at one moment, by Embree.

    Args:
        meshes: Of `tessellate`.
        frame: Which moment.
        eye: (3,) where the rays begin.
        way: (R, 3) to the aims.

    Returns:
        (R,) number of the mesh, -1 where none is met; (R,) where, in lengths of ``way``, infinity for none.

    Raises:
        MissingExtra: embreex is not installed.
    """
    triangles = [mesh.vertices[frame][mesh.faces] for mesh in meshes]
    hit, far = cast(np.concatenate(triangles), eye, np.asarray(way, np.float32))
    ends = np.cumsum([len(part) for part in triangles])
    number = np.where(hit >= 0, np.searchsorted(ends, np.maximum(hit, 0), side="right"), -1)
    return number.astype(np.int64), far
