"""A skeleton is a list of joint names and the bones between them.

Everything else is worked out from the names: ``l_``/``r_`` give the mirror
order, shared names give conversions. Joint names are one vocabulary over all
skeletons (``r_hip`` is ``r_hip`` everywhere), so that nothing is ever mapped
by index. Left and right are the *person's*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from posemend.errors import SkeletonError


@dataclass(frozen=True)
class Skeleton:
    """Named joints in file order, and the bones to draw and measure.

    Attributes:
        name: Name in the catalogue, e.g. ``"h36m_17"``.
        joints: Joint names in the order of the arrays.
        bones: ``(parent, child)`` pairs of names, parents first.
        root: Names whose mean is the pelvis, the origin of root-relative poses.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    root: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise SkeletonError(f"Skeleton '{self.name}' names a joint twice.")
        known = set(self.joints)
        used = {name for bone in self.bones for name in bone} | set(self.root)
        if not used <= known or not self.root:
            raise SkeletonError(
                f"Skeleton '{self.name}': bones or root use unknown joints {sorted(used - known)}, or it has no root."
            )
        children = [child for _, child in self.bones]
        if len(set(children)) != len(children):
            raise SkeletonError(f"Skeleton '{self.name}': a joint has two parents.")
        for name in self.joints:
            if mirror_name(name) not in known:
                raise SkeletonError(f"Skeleton '{self.name}': '{name}' has no mirror twin '{mirror_name(name)}'.")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, name: str) -> int:
        """Position of a joint in the arrays.

        Raises:
            SkeletonError: The skeleton has no such joint.
        """
        try:
            return self._places[name]
        except KeyError:
            raise SkeletonError(
                f"Skeleton '{self.name}' has no joint '{name}'. It has: {', '.join(self.joints)}."
            ) from None

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.joints)}

    @cached_property
    def bone_indices(self) -> tuple[tuple[int, int], ...]:
        """``(parent, child)`` pairs as indices."""
        return tuple((self._places[parent], self._places[child]) for parent, child in self.bones)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Parent index of each joint, -1 where there is none."""
        parent_of = {child: parent for parent, child in self.bone_indices}
        return tuple(parent_of.get(place, -1) for place in range(len(self)))

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Order that swaps left and right: ``x[..., mirror, :]``."""
        return tuple(self._places[mirror_name(name)] for name in self.joints)

    @cached_property
    def root_indices(self) -> tuple[int, ...]:
        """Indices of the joints whose mean is the pelvis."""
        return tuple(self._places[name] for name in self.root)

    def mirror_bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs of bone numbers ``(left, right)`` that should be equally long."""
        numbers = {bone: place for place, bone in enumerate(self.bones)}
        pairs = []
        for (parent, child), place in numbers.items():
            twin = numbers.get((mirror_name(parent), mirror_name(child)))
            if twin is not None and child.startswith("l_"):
                pairs.append((place, twin))
        return tuple(pairs)


def mirror_name(name: str) -> str:
    """``l_knee`` for ``r_knee`` and the other way round; others unchanged."""
    if name.startswith("l_"):
        return "r_" + name[2:]
    if name.startswith("r_"):
        return "l_" + name[2:]
    return name
