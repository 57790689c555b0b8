"""glTF 2.0 (.glb, .gltf): skinned meshes at rest, by way of pygltflib.

The library reads the JSON and the binary chunk; accessors are decoded here
(Khronos' specification, 3.6.2). Vertices are skinned once, by the file's own
formula (3.7.3.3), with the nodes as they stand in the file: so several meshes,
several skins and scaled armatures all come to lie in one space, metres, y up.

Left out on purpose: animations, materials, morph targets, and compressed meshes
(Draco, meshopt), which other tools unpack.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError, require
from posemend.formats.limits import checked_file

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST = 5_000_000  # vertices or triangles of one file
_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_TRIANGLES = 4
_PACKED = {"KHR_draco_mesh_compression": "Draco", "EXT_meshopt_compression": "meshopt"}


@dataclass(frozen=True, eq=False)
class SkinnedMesh:
    """All skinned triangles of one file, as the file stands (its rest pose).

    Attributes:
        joints: Names of the skins' joints and of what hangs on them, parents before children.
        parents: Index of each joint's parent, -1 for a root.
        places: (J, 3) where they are.
        vertices: (V, 3).
        bones: (V, K) joints that carry each vertex.
        weights: (V, K) how much; rows sum to 1.
        faces: (F, 3) places in ``vertices``.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    places: Floats
    vertices: Floats
    bones: Ints
    weights: Floats
    faces: Ints


def read(path: str | Path) -> SkinnedMesh:
    """The skinned triangles of a glTF file.

    Raises:
        FormatError: Not glTF, damaged, compressed, or without a skinned mesh.
        MissingExtra: pygltflib is not installed.
    """
    path = checked_file(path)
    if path.suffix.lower() not in (".glb", ".gltf"):
        raise FormatError(f"'{path}' is no .glb or .gltf. Export the mesh as glTF 2.0, with its skin.")
    library = require("pygltflib", "synth")
    try:
        if path.suffix.lower() == ".glb":
            with path.open("rb") as opened:
                head = opened.read(12)
            if head[:4] != b"glTF" or struct.unpack("<4xII", head)[1] > path.stat().st_size:
                raise FormatError(f"'{path}' cannot be read as glTF: it is cut off, or no GLB. Export it again.")
        file = library.GLTF2().load(str(path))
        return _Reader(path, file).mesh()
    except FormatError:
        raise
    except Exception as error:  # the library and damaged numbers raise whatever they stumble over
        raise FormatError(f"'{path}' cannot be read as glTF ({str(error).strip() or type(error).__name__}). "
                          "Export it again.") from None  # fmt: skip


class _Reader:
    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file
        packed = [name for name in _PACKED if name in (file.extensionsRequired or [])]
        if packed:
            raise FormatError(f"'{path}' is compressed ({_PACKED[packed[0]]}). Export it without compression.")
        self.nodes = file.nodes or []
        self.buffers: dict[int, bytes] = {}
        self.above, self.order = self._tree()
        self.globals = self._globals()

    def _tree(self) -> tuple[list[int], list[int]]:
        """Parent of each node, and nodes in an order with parents first."""
        above = [-1] * len(self.nodes)
        for number, node in enumerate(self.nodes):
            for child in node.children or []:
                if not 0 <= child < len(above) or above[child] != -1:
                    raise FormatError(f"'{self.path}': its nodes are no tree. Export it again.")
                above[child] = number
        order = [number for number, parent in enumerate(above) if parent < 0]
        for number in order:  # grows while it is walked
            order += self.nodes[number].children or []
        if len(order) != len(above):
            raise FormatError(f"'{self.path}': its nodes go round in a ring. Export it again.")
        return above, order

    def _globals(self) -> Floats:
        found = np.tile(np.eye(4), (len(self.nodes), 1, 1))
        for number in self.order:
            node = self.nodes[number]
            if node.matrix is not None:
                local = np.array(node.matrix, np.float64).reshape(4, 4).T
            else:
                x, y, z, w = np.array(node.rotation or (0, 0, 0, 1), np.float64) / max(
                    float(np.linalg.norm(node.rotation or (0, 0, 0, 1))), 1e-9
                )
                turn = np.array([
                    [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                    [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                    [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
                ])  # fmt: skip
                local = np.eye(4)
                local[:3, :3] = turn * np.array(node.scale or (1, 1, 1), np.float64)
                local[:3, 3] = node.translation or (0, 0, 0)
            found[number] = local if self.above[number] < 0 else found[self.above[number]] @ local
        if not np.isfinite(found).all():
            raise FormatError(f"'{self.path}': a node's place is not finite. Export it again.")
        return found

    def _array(self, number: int) -> NDArray[Any]:
        """(N, width) numbers of an accessor; whole ones that stand for fractions are made so."""
        accessor = self.file.accessors[number]
        if accessor.sparse is not None or accessor.bufferView is None:
            raise FormatError(f"'{self.path}' holds sparse accessors, which are not read. Export it without morphs.")
        view = self.file.bufferViews[accessor.bufferView]
        if view.buffer not in self.buffers:
            data = self.file.get_data_from_buffer_uri(self.file.buffers[view.buffer].uri)
            if data is None:
                raise FormatError(f"'{self.path}': its buffer {view.buffer} is not there. Keep the .bin beside it.")
            self.buffers[view.buffer] = bytes(data)
        kind, width = np.dtype(_TYPES[accessor.componentType]).newbyteorder("<"), _WIDTHS[accessor.type]
        stride = view.byteStride or kind.itemsize * width
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        if not 0 <= accessor.count <= MOST or start < 0:
            raise FormatError(f"'{self.path}': an accessor of {accessor.count} elements; at most {MOST} are read.")
        found = np.ndarray((accessor.count, width), kind, self.buffers[view.buffer], start, (stride, kind.itemsize))
        if accessor.normalized and kind.kind in "iu":
            return np.maximum(found / float(2 ** (8 * kind.itemsize - (kind.kind == "i")) - 1), -1.0)
        return np.array(found)

    def mesh(self) -> SkinnedMesh:
        worn = [node for node in self.nodes if node.mesh is not None and node.skin is not None]
        if not worn:
            bare = sum(node.mesh is not None for node in self.nodes)
            raise FormatError(
                f"'{self.path}' has no skin ({bare} meshes, none bound to an armature). Wanted a mesh whose vertices "
                "are weighted to bones: export it with its armature and skinning."
            )
        kept = self._armature({node.skin for node in worn})
        place = {number: n for n, number in enumerate(kept)}
        pieces = [piece for node in worn for piece in self._pieces(node, place)]
        if not pieces:
            raise FormatError(f"'{self.path}': no skinned mesh has triangles with JOINTS_0 and WEIGHTS_0.")
        most = max(bones.shape[1] for _, bones, _, _ in pieces)
        wide = [[np.pad(x, ((0, 0), (0, most - x.shape[1]))) for x in piece[1:3]] for piece in pieces]
        first = np.cumsum([0, *(len(piece[0]) for piece in pieces)])
        return SkinnedMesh(
            joints=tuple(str(self.nodes[n].name or f"node{n}") for n in kept),
            parents=tuple(place.get(self.above[n], -1) for n in kept),
            places=self.globals[kept, :3, 3],
            vertices=np.concatenate([piece[0] for piece in pieces]),
            bones=np.concatenate([x[0] for x in wide]),
            weights=np.concatenate([x[1] for x in wide]),
            faces=np.concatenate([piece[3] + start for piece, start in zip(pieces, first, strict=False)]),
        )

    def _armature(self, skins: set[int]) -> list[int]:
        """Nodes of the skins' joints and what hangs on them, parents first."""
        inside = {joint for skin in skins for joint in self.file.skins[skin].joints}
        for number in self.order:
            if self.above[number] in inside and self.nodes[number].mesh is None:
                inside.add(number)
        return [number for number in self.order if number in inside]

    def _pieces(self, node: Any, place: dict[int, int]) -> list[tuple[Floats, Ints, Floats, Ints]]:
        """Vertices, bones, weights and faces of each primitive of a node."""
        skin = self.file.skins[node.skin]
        joints = np.array(skin.joints, np.int64)
        bind = np.tile(np.eye(4), (len(joints), 1, 1))
        if skin.inverseBindMatrices is not None:
            bind = self._array(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(-1, -2).astype(np.float64)
        maps = self.globals[joints] @ bind[: len(joints)]
        number = np.array([place[joint] for joint in skin.joints])
        found = []
        for primitive in self.file.meshes[node.mesh].primitives:
            at = primitive.attributes
            if primitive.mode not in (None, _TRIANGLES) or at.JOINTS_0 is None or at.WEIGHTS_0 is None:
                continue
            sets = [n for n in range(4) if getattr(at, f"JOINTS_{n}", None) is not None]
            points = self._array(at.POSITION).astype(np.float64)
            bones = np.concatenate([self._array(getattr(at, f"JOINTS_{n}")) for n in sets], 1).astype(np.int64)
            weights = np.concatenate([self._array(getattr(at, f"WEIGHTS_{n}")) for n in sets], 1).astype(np.float64)
            drawn = np.arange(len(points))
            if primitive.indices is not None:
                drawn = self._array(primitive.indices)[:, 0].astype(np.int64)
            faces = drawn[: len(drawn) // 3 * 3].reshape(-1, 3)
            self._check(points, bones, weights, faces, len(joints))
            weights = weights / weights.sum(1, keepdims=True)
            blended = np.einsum("vk,vkij->vij", weights, maps[bones])
            posed = np.einsum("vij,vj->vi", blended[:, :3, :3], points) + blended[:, :3, 3]
            found.append((posed, number[bones], weights, faces))
        return found

    def _check(self, points: Floats, bones: Ints, weights: Floats, faces: Ints, joints: int) -> None:
        wrong = ""
        if not len(faces) or not len(points):
            wrong = "a skinned mesh without triangles"
        elif len(bones) != len(points) or weights.shape != bones.shape:
            wrong = f"{len(points)} vertices with {len(bones)} sets of joints and {len(weights)} of weights"
        elif faces.max() >= len(points) or bones.max() >= joints:
            wrong = "a vertex or a joint that is not there"
        elif not (np.isfinite(points).all() and np.isfinite(weights).all()) or (weights < 0).any():
            wrong = "numbers that are not finite, or weights below 0"
        elif (weights.sum(1) < 1e-6).any():
            wrong = f"{int((weights.sum(1) < 1e-6).sum())} vertices that no bone carries"
        if wrong:
            raise FormatError(f"'{self.path}' has {wrong}. Export it again.")
