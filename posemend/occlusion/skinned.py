"""A user's skinned mesh put on a motion of joints: the body of a person in place of `figure`'s capsules.

Joints say where bones begin and end, not how bones roll, and a mesh has its
own proportions. So each rigid segment gets an affine map that

- takes the mesh's joints to the motion's, in the limbs exactly: along a bone
  the mesh is stretched to the bone's length, across it scaled by stature and girth;
- turns trunk and hips with the lines through hips and shoulders;
- swings a limb's segment the shortest way from where its parent carries it
  (no twist); where elbow or knee is bent, the upper bone is twisted so
  that the mesh's hinge lies across the bend. Head and neck are one piece,
  hands and feet go with forearm and shank.

Vertices blend the maps by their weights (linear blend skinning).
Left out on purpose: fingers, toes, faces, soft tissue; joints do not know them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.skeleton import Skeleton
from posemend.errors import InputError
from posemend.occlusion.figure import PARTS, body_height, direction, h36m_joints, upright
from posemend.occlusion.surfaces import Surface

Floats = NDArray[np.float32]

_LIMBS = ("clavicle", "upper_arm", "forearm", "hand", "thigh", "shank", "foot")
SEGMENTS = ("hips", "belly", "chest", "neck", "head", *(f"{side}_{limb}" for side in "lr" for limb in _LIMBS))
_BEND = (0.25, 0.6)  # sine of a bend from which on, and above which wholly, it says how the upper bone is twisted
_TWIST = 2.0  # radians; a twist beyond that is taken back, so that none jumps from one side to the other


@dataclass(frozen=True, eq=False)
class Skin:
    """A mesh bound to a body, in its own axes, metres.

    Attributes:
        vertices: (V, 3).
        faces: (F, 3) places in ``vertices``.
        weights: (V, S) share of each of `SEGMENTS`; rows sum to 1.
        joints: (17, 3) Human3.6M's joints in the pose in which it was bound.
        name: Said in messages.
    """

    vertices: Floats
    faces: NDArray[np.int64]
    weights: Floats
    joints: Floats
    name: str = "skin"

    def __post_init__(self) -> None:
        if self.weights.shape != (len(self.vertices), len(SEGMENTS)) or self.joints.shape != (len(H36M_17), 3):
            raise InputError(f"Skin '{self.name}' wants {len(SEGMENTS)} weights a vertex and 17 joints, got "
                             f"{self.weights.shape} and {self.joints.shape}.")  # fmt: skip
        try:
            body_height(self.joints[None], H36M_17)
        except InputError as error:
            raise InputError(f"The rig of '{self.name}' cannot carry a body. {error}") from None


def _swing(one: Floats, two: Floats) -> Floats:
    """(T, 3, 3) the shortest turn that takes unit vectors (T, 3) to others."""
    axis, cos = np.cross(one, two), (one * two).sum(-1)[:, None, None]
    cross = np.zeros((*cos.shape[:1], 3, 3), np.float32)
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[:, c, b], cross[:, b, c] = axis[:, a], -axis[:, a]
    turn = np.eye(3, dtype=np.float32) + cross + cross @ cross / np.maximum(1 + cos, 1e-6)
    # opposite vectors: half a turn about any axis across
    other = np.eye(3, dtype=np.float32)[np.abs(one).argmin(-1)]
    across = direction(np.cross(one, other))
    half = 2 * across[:, :, None] * across[:, None] - np.eye(3, dtype=np.float32)
    return np.where(cos > -0.9999, turn, half).astype(np.float32)


def _twist(axis: Floats, angle: Floats) -> Floats:
    """(T, 3, 3) turns about unit axes (T, 3) by radians (T,)."""
    helper = np.eye(3, dtype=np.float32)[np.abs(axis).argmin(-1)]
    one = direction(np.cross(axis, helper))
    two = np.cross(axis, one)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    then, now = np.stack([one, two, axis], -1), np.stack([cos * one + sin * two, cos * two - sin * one, axis], -1)
    return (now @ then.swapaxes(-1, -2)).astype(np.float32)


def _stretch(along: Floats, length: Floats, across: float | Floats) -> Floats:
    """(T, 3, 3) scales by ``length`` (T,) along a unit vector (3,), by ``across`` at right angles to it."""
    outer = np.outer(along, along)
    return (np.asarray(length)[:, None, None] * outer + across * (np.eye(3) - outer)).astype(np.float32)


class _Posing:
    """The maps of one person; ``now`` and ``then`` are joints by name, (T, 3) of the motion, (1, 3) of the mesh."""

    def __init__(self, now: dict[str, Floats], then: dict[str, Floats], size: float, girth: float) -> None:
        self.now, self.then, self.size, self.girth = now, then, size, girth
        self.frames = len(now["pelvis"])
        self.maps: dict[str, Floats] = {}

    def _between(self, first: str, last: str) -> tuple[Floats, Floats, Any]:
        """Unit direction (T, 3) of the motion, (3,) of the mesh, and (T,) how much longer the motion's is."""
        now, then = self.now[last] - self.now[first], (self.then[last] - self.then[first])[0]
        length = np.linalg.norm(now, axis=-1) / max(float(np.linalg.norm(then)), 1e-6)
        return direction(now), direction(then), length

    def _set(self, segment: str, joint: str, linear: Floats) -> None:
        shift = self.now[joint] - (linear @ self.then[joint][0])
        self.maps[segment] = np.concatenate([linear, shift[..., None]], -1)

    def trunk(self, segment: str, first: str, last: str, sides: tuple[str, ...], hold: str) -> Floats:
        """One block of the trunk, as wide as the lines through ``sides`` say; gives its turn."""
        left = [np.sum([direction(at[f"l_{s}"] - at[f"r_{s}"]) for s in sides], 0) for at in (self.now, self.then)]
        # rigs and motions mean different places by "spine": belly and chest share one length
        chain = (("pelvis", "spine"), ("spine", "thorax"))
        long = [np.sum([np.linalg.norm(at[b] - at[a], axis=-1) for a, b in chain], 0) for at in (self.now, self.then)]
        length = long[0] / long[1]
        # breathing shoulders must not pump the chest: one width for the whole clip
        wide = np.mean([np.median(self._between(f"r_{s}", f"l_{s}")[2]) for s in sides])
        now = upright(self.now[last] - self.now[first], left[0])
        then = upright(self.then[last] - self.then[first], left[1])
        scales = np.stack(np.broadcast_arrays(wide * self.girth, self.size * self.girth, length), -1)
        back = now.swapaxes(-1, -2)
        self._set(segment, hold, back @ (scales.reshape(-1, 3, 1).astype(np.float32) * then))
        return back @ then

    def bone(
        self, segments: tuple[str, ...], first: str, last: str, turned: Floats, hinge: tuple[Floats, Floats] | None
    ) -> Floats:
        """A bone carried by ``turned`` (T, 3, 3) and swung to where the motion has it; gives its turn.

        ``hinge``: the axis of the joint at its end, (T, 3) in the motion, as long as the sine of the bend, and
        (3,) in the mesh; ``None`` leaves the bone untwisted.
        """
        now, then, length = self._between(first, last)
        turn = _swing(turned @ then, now) @ turned
        if hinge is not None:
            turn = self._twisted(turn, now, then, *hinge)
        for segment in segments:
            linear = turn @ _stretch(then, length, self.size * self.girth)
            self._set(segment, first, linear.astype(np.float32))
        return turn

    @staticmethod
    def _twisted(turn: Floats, now: Floats, then: Floats, bend: Floats, rest: Floats) -> Floats:
        carried = turn @ direction(rest - (rest @ then) * then)
        angle = np.arctan2((now * np.cross(carried, bend)).sum(-1), (carried * bend).sum(-1))
        far = np.abs(angle)
        angle = np.where(far > _TWIST, np.sign(angle) * (np.pi - far) * _TWIST / (np.pi - _TWIST), angle)
        share = np.clip((np.linalg.norm(bend, axis=-1) - _BEND[0]) / (_BEND[1] - _BEND[0]), 0, 1)
        return _twist(now, share * share * (3 - 2 * share) * angle) @ turn

    def limb(self, side: str, names: tuple[str, str, str], joints: tuple[str, str, str], turned: Floats,
             hinge: Floats) -> None:  # fmt: skip
        """Two bones and what hangs at their end. ``hinge``: (3,) of the mesh, the axis about which it bends."""
        upper, lower, end = (f"{side}_{name}" for name in names)
        first, middle, last = (f"{side}_{joint}" for joint in joints)
        one, two = self._between(first, middle)[0], self._between(middle, last)[0]
        turn = self.bone((upper,), first, middle, turned, (np.cross(one, two), hinge))
        turn = self.bone((lower,), middle, last, turn, None)
        self._set(end, last, (turn * self.size).astype(np.float32))

    def whole(self) -> Floats:
        """(T, S, 3, 4) of all segments."""
        hips = self.trunk("hips", "pelvis", "spine", ("hip",), "pelvis")
        self.trunk("belly", "pelvis", "spine", ("hip", "shoulder"), "pelvis")
        chest = self.trunk("chest", "spine", "thorax", ("shoulder",), "thorax")
        self.bone(("neck", "head"), "thorax", "head_top", chest, None)
        rest = upright(self.then["thorax"] - self.then["spine"], self.then["l_shoulder"] - self.then["r_shoulder"])[0]
        left = direction(self.then["l_hip"] - self.then["r_hip"])[0]
        for side in "lr":
            self.limb(side, ("thigh", "shank", "foot"), ("hip", "knee", "ankle"), hips, left)
            carried = self.bone((f"{side}_clavicle",), "thorax", f"{side}_shoulder", chest, None)
            # an elbow bends forward: its axis is across arm and front; of an arm that points forward it is the left
            arm = self._between(f"{side}_shoulder", f"{side}_elbow")[1]
            hinge = np.cross(arm, rest[1]) - 0.1 * rest[0]
            self.limb(side, ("upper_arm", "forearm", "hand"), ("shoulder", "elbow", "wrist"), carried, hinge)
        return np.stack([self.maps[segment] for segment in SEGMENTS], 1).astype(np.float32)


def wear(skin: Skin, positions: ArrayLike, skeleton: Skeleton = H36M_17, girth: float = 1.0, owner: int = 0) -> Surface:
    """The mesh over time, its joints where the motion's are.

    Args:
        skin: Of `posemend.datasets.skins.read_skin`, or made by hand.
        positions: (T, J, 3) metres, world axes, all finite.
        skeleton: Whose joints these are.
        girth: Factor on the thickness.
        owner: Number of the person.

    Raises:
        InputError: A joint is not finite, a bone has no length, the size is not human, the
            skeleton cannot carry a body, or the girth is not above 0.
        SkeletonError: The joint count is not the skeleton's.
    """
    if not (np.isfinite(girth) and girth > 0):
        raise InputError(f"wear wants a girth above 0, got {girth}.")
    height = body_height(positions, skeleton)
    now = h36m_joints(positions, skeleton)
    then = h36m_joints(skin.joints[None], H36M_17)
    size = height / body_height(skin.joints[None], H36M_17)
    maps = _Posing(now, then, size, girth).whole()
    part_of = np.array([PARTS.index("chest" if s.endswith("clavicle") else s) for s in SEGMENTS])
    of_vertices = np.zeros((len(skin.vertices), len(PARTS)), np.float32)
    np.add.at(of_vertices.T, part_of, skin.weights.T)
    face_part = of_vertices[skin.faces].sum(1).argmax(-1)
    there = np.unique(face_part)
    return Surface(
        np.asarray(skin.vertices, np.float32), np.asarray(skin.weights, np.float32), maps, skin.faces,
        np.searchsorted(there, face_part), tuple(PARTS[n] for n in there), owner,
    )  # fmt: skip
