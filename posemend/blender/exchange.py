"""A scene's meshes, cameras and joints as the arrays that go into Blender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.skeleton import Skeleton
from posemend.occlusion.figure import PARTS, owned_parts
from posemend.occlusion.labels import View
from posemend.occlusion.meshes import tessellate
from posemend.occlusion.solids import Solids


def write_exchange(
    path: Path,
    people: Sequence[NDArray[np.floating]],
    skeleton: Skeleton,
    solids: Solids,
    views: Mapping[str, View],
    fps: float,
    around: int = 24,
) -> None:
    """Write what `inside_scene.py` reads.

    Args:
        path: Where to, ``.npz``.
        people: (T, J, 3) world metres each.
        skeleton: Whose joints these are.
        solids: Bodies and things over the same frames.
        views: The cameras by name.
        fps: Clock.
        around: Corners of a round solid's cross-section.
    """
    meshes = tessellate(solids, around, max(2, around // 4))
    owner = np.repeat(np.arange(len(people)), len(skeleton))
    mine = owner[:, None] == solids.owner
    number = np.array([PARTS.index(part) if part in PARTS else -1 for part in solids.part])
    own = mine & np.where(number >= 0, np.tile(owned_parts(skeleton), (len(people), 1))[:, number], False)
    arrays: dict[str, Any] = {f"vertices_{n}": mesh.vertices for n, mesh in enumerate(meshes)}
    arrays |= {f"faces_{n}": mesh.faces for n, mesh in enumerate(meshes)}
    names, cameras = list(views), list(views.values())
    lenses = [view.camera for view in cameras]
    intrinsic = np.zeros((len(cameras), 3, 3))
    intrinsic[:, 0, 0], intrinsic[:, 1, 1] = np.array([lens.focal for lens in lenses]).T
    intrinsic[:, :2, 2], intrinsic[:, 2, 2] = [lens.centre for lens in lenses], 1
    np.savez(
        path, **arrays, count=np.array(len(meshes)), frames=np.array(len(solids)), fps=np.array(fps),
        part=np.array(solids.part), part_number=(number + 1).astype(np.uint8),
        owner=solids.owner, joints=np.concatenate(people, 1), eyes=np.stack([view.eyes for view in cameras]),
        own=own, mine=mine, K=intrinsic, R=np.stack([v.rotation for v in cameras]),
        t=np.stack([v.translation for v in cameras]),
        size=np.array([(lens.width, lens.height) for lens in lenses]),
        cameras=np.array(names),
    )  # fmt: skip
