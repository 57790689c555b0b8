"""A moving armature: joints that carry one another, and where they are in every frame.

BVH and ASF/AMC files both come down to this: a tree of joints, each with an
offset from its parent, and per frame a turn (and for some joints a shift) of
its own. Forward kinematics is exact:

    R_world(j) = R_world(parent) R(j)
    x(j)       = x(parent) + R_world(parent) t(j)

with t(j) the offset, or what the file's position channels say in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemend.errors import SkeletonError

Floats = NDArray[np.float64]

LARGEST = 1e9  # of a length, a place or an angle in a file; beyond that it is damage
END = "_end"  # the tip of a chain is named after the joint that carries it


@dataclass(frozen=True, eq=False)
class ArmatureMotion:
    """One armature over time, in the file's own axes and units.

    Attributes:
        joints: Names in file order, parents before children; tips of chains are ``NAME_end``.
        parents: Index of each joint's parent, -1 for a root.
        offsets: (J, 3) rest position of each joint in its parent's frame.
        turns: Per joint (T, 3, 3) its own rotation, or ``None`` where it never turns.
        shifts: Per joint (T, 3) its place in its parent's frame, or ``None`` where that is the offset.
        frames: Number of frames.
        fps: Frames per second as the file says, ``None`` where it says nothing usable.
        metres: Metres per unit of length, where the file says so.
        remarks: What was wrong with the file and how it was read all the same.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Floats
    turns: tuple[Floats | None, ...]
    shifts: tuple[Floats | None, ...]
    frames: int
    fps: float | None
    metres: float | None = None
    remarks: tuple[str, ...] = ()

    def index(self, name: str) -> int:
        """Place of a joint; of several with one name the first.

        Raises:
            SkeletonError: There is no such joint.
        """
        try:
            return self.joints.index(name)
        except ValueError:
            raise SkeletonError(f"The armature has no joint '{name}'. It has: {', '.join(self.joints)}.") from None

    def _needed(self, wanted: Iterable[int]) -> set[int]:
        needed: set[int] = set()
        for place in wanted:
            while place >= 0 and place not in needed:
                needed.add(place)
                place = self.parents[place]
        return needed

    def forward(self, wanted: Iterable[int] | None = None) -> tuple[dict[int, Floats], dict[int, Floats]]:
        """Forward kinematics.

        Args:
            wanted: Joints to work out (their ancestors come along); all if left out.

        Returns:
            World positions (T, 3) and world rotations (T, 3, 3) by joint index.
        """
        needed = self._needed(range(len(self.joints)) if wanted is None else wanted)
        places: dict[int, Floats] = {}
        turned: dict[int, Floats] = {}
        for joint in sorted(needed):  # parents come first in the file
            parent, turn, shift = self.parents[joint], self.turns[joint], self.shifts[joint]
            local = np.broadcast_to(self.offsets[joint], (self.frames, 3)) if shift is None else shift
            if parent < 0:
                places[joint] = np.array(local)
                turned[joint] = np.broadcast_to(np.eye(3), (self.frames, 3, 3)) if turn is None else turn
            else:
                places[joint] = places[parent] + np.einsum("tij,tj->ti", turned[parent], local)
                turned[joint] = turned[parent] if turn is None else turned[parent] @ turn
        return places, turned

    def positions(self) -> Floats:
        """(T, J, 3) world positions of all joints."""
        places, _ = self.forward()
        return np.stack([places[joint] for joint in range(len(self.joints))], axis=1)

    def rest(self) -> Floats:
        """(J, 3) positions with every joint at its offset and unturned."""
        places = np.zeros((len(self.joints), 3))
        for joint, parent in enumerate(self.parents):
            places[joint] = self.offsets[joint] + (places[parent] if parent >= 0 else 0)
        return places


def turn(axis: int, radians: Floats) -> Floats:
    """(T, 3, 3) rotations about one coordinate axis (0, 1, 2), right-handed."""
    matrix = np.zeros((*radians.shape, 3, 3))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    cos, sin = np.cos(radians), np.sin(radians)
    matrix[..., axis, axis] = 1
    matrix[..., one, one] = matrix[..., two, two] = cos
    matrix[..., one, two], matrix[..., two, one] = -sin, sin
    return matrix
