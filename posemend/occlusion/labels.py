"""What a camera sees of every joint: by which kind of thing it is hidden, and how much of it is seen.

A ray goes from the camera to each joint. Solids that the joint lies in do not
hide it; the first other solid before it does, and gives the label its kind:
the own body, a thing, another person. Two rules:

- ``anatomy`` (ours): parts that a joint lies in are transparent, and so is the
  last few centimetres of the way, so that a joint at the border of two parts
  is not hidden by the neighbouring part's skin;
- ``first-part`` (BlendMimic3D's): the very first part of the scene that the
  ray meets must be one that the joint lies in. Hips and shoulders, on the
  border of several parts, are called hidden more often than a person would.

Soft visibility is the share of a small ball's disc, as the camera sees it,
that is neither hidden nor outside of the image: many rays a joint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.skeleton import Skeleton
from posemend.errors import InputError, SkeletonError
from posemend.geometry.camera import Camera
from posemend.occlusion.figure import PARTS, Build, figure, owned_parts
from posemend.occlusion.solids import NOBODY, Box, Floats, Solids, boxes, entries, refuse_inside, together

VISIBLE, BY_SELF, BY_OBJECT, OUT_OF_FRAME, BY_PERSON = range(5)
KINDS = {"visible": VISIBLE, "self": BY_SELF, "object": BY_OBJECT, "out_of_frame": OUT_OF_FRAME, "person": BY_PERSON}

Rule = Literal["anatomy", "first-part"]
RULES: tuple[str, ...] = ("anatomy", "first-part")
SLACK = 0.08  # metres before the joint in which the own body does not hide it
MOST_PEOPLE = 3
_PAIRS = 100_000  # rays times solids at a time


@dataclass(frozen=True, eq=False)
class View:
    """A camera over time: it may move.

    Attributes:
        camera: Intrinsics and image size; its own pose is not used.
        rotation: (T, 3, 3) world to camera.
        translation: (T, 3) metres, world to camera.
    """

    camera: Camera
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @classmethod
    def still(cls, camera: Camera, frames: int) -> View:
        """A camera that stays where it is."""
        return cls(
            camera,
            np.broadcast_to(camera.rotation, (frames, 3, 3)),
            np.broadcast_to(camera.translation, (frames, 3)),
        )

    def __len__(self) -> int:
        return len(self.rotation)

    @property
    def moves(self) -> bool:
        """Whether the pose changes."""
        return bool((self.rotation != self.rotation[:1]).any() or (self.translation != self.translation[:1]).any())

    @property
    def eyes(self) -> NDArray[np.float64]:
        """(T, 3) where the camera is, world axes."""
        return -np.einsum("tji,tj->ti", self.rotation, self.translation)

    def to_camera(self, world: ArrayLike) -> NDArray[np.float64]:
        """(T, ..., 3) world points in camera axes."""
        points = np.asarray(world, np.float64)
        shape = points.shape
        flat = points.reshape(len(self), -1, 3) @ np.swapaxes(self.rotation, -1, -2) + self.translation[:, None]
        return flat.reshape(shape)

    def pixels(self, world: ArrayLike) -> NDArray[np.float64]:
        """(T, ..., 2) pixels; NaN behind the camera."""
        return self.camera.project(self.to_camera(world))

    def at(self, frame: int) -> Camera:
        """The camera at one moment."""
        c = self.camera
        return Camera(c.focal, c.centre, c.width, c.height, self.rotation[frame], self.translation[frame])


@dataclass(frozen=True, eq=False)
class Labels:
    """What one camera sees of one person.

    Attributes:
        kind: (T, J) int8, one of `KINDS`.
        soft: (T, J) float32 in [0, 1], share seen; 1 or 0 like ``kind`` where no soft rays were asked for.
        blocker: (T, J) int16 number of the solid that hides the joint, -1 where none does.
    """

    kind: NDArray[np.int8]
    soft: Floats
    blocker: NDArray[np.int16]

    @property
    def visible(self) -> NDArray[np.bool_]:
        """(T, J)."""
        return self.kind == VISIBLE


def _disc(count: int) -> Floats:
    """(count, 2) points spread evenly over the unit disc (Vogel's sunflower)."""
    n = np.arange(count) + 0.5
    radius, angle = np.sqrt(n / count), n * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)


def _chunks(frames: int, pairs: int) -> Iterator[slice]:
    step = max(1, _PAIRS // max(1, pairs))
    for first in range(0, frames, step):
        yield slice(first, first + step)


def _check(people: Sequence[NDArray], skeleton: Skeleton, solids: Solids, view: View, rule: str) -> None:
    if rule not in RULES:
        raise InputError(f"No rule of hiding is called '{rule}'. There are: {', '.join(RULES)}.")
    if not 1 <= len(people) <= MOST_PEOPLE:
        raise InputError(f"A scene wants 1 to {MOST_PEOPLE} people, got {len(people)}.")
    for number, points in enumerate(people):
        if points.ndim != 3 or points.shape[2] != 3 or points.shape[0] != len(solids):
            raise InputError(f"Person {number} wants ({len(solids)}, J, 3) positions, got {points.shape}.")
        if points.shape[1] != len(skeleton):
            raise SkeletonError(f"Person {number} has {points.shape[1]} joints, '{skeleton.name}' has {len(skeleton)}.")
    if len(view) != len(solids):
        raise InputError(f"The camera has {len(view)} frames, the scene {len(solids)}.")


def label_joints(
    people: Sequence[ArrayLike],
    skeleton: Skeleton,
    solids: Solids,
    view: View,
    *,
    rule: Rule = "anatomy",
    soft_rays: int = 0,
    soft_radius: float = 0.04,
    slack: float = SLACK,
) -> list[Labels]:
    """Labels of everybody's joints for one camera.

    Args:
        people: (T, J, 3) metres, world axes, in the order of the solids' ``owner``.
        skeleton: Whose joints these are.
        solids: Bodies and things, over the same frames.
        view: The camera.
        rule: What hides a joint, see above.
        soft_rays: Rays a joint for soft visibility; 0 takes it from the label.
        soft_radius: Of the ball round a joint, metres.
        slack: Last metres of the way in which the own body does not hide (rule ``anatomy``).

    Raises:
        InputError: Shapes do not fit, too many people, or the camera is inside of a solid.
        SkeletonError: The joint count is not the skeleton's.
    """
    arrays = [np.asarray(points, np.float32) for points in people]
    _check(arrays, skeleton, solids, view, rule)
    eyes = view.eyes.astype(np.float32)
    refuse_inside(solids, eyes)
    joints = len(skeleton)
    points = np.concatenate(arrays, 1)
    inside = np.nan_to_num(view.camera.contains(view.pixels(points)))
    owner = np.repeat(np.arange(len(arrays)), joints)
    same = owner[:, None] == solids.owner  # (R, N)
    number = np.array([PARTS.index(part) if part in PARTS else -1 for part in solids.part])
    own = same & np.where(number >= 0, np.tile(owned_parts(skeleton), (len(arrays), 1))[:, number], False)
    kind_of = np.where(solids.owner == NOBODY, BY_OBJECT, np.where(same, BY_SELF, BY_PERSON)).astype(np.int8)
    kind = np.zeros(points.shape[:2], np.int8)
    blocker = np.full(points.shape[:2], -1, np.int16)
    rows = np.arange(len(owner))
    for part in _chunks(len(points), len(owner) * solids.count):
        way = points[part] - eyes[part, None]
        met = _met(solids.frames(part), eyes[part], way, own, same, rule, slack)
        first = met.argmin(-1)
        hidden = np.take_along_axis(met, first[..., None], -1)[..., 0] < 1
        if rule == "first-part":
            hidden &= ~own[rows, first]
        kind[part] = np.where(hidden, kind_of[rows, first], VISIBLE)
        blocker[part] = np.where(hidden, first, -1)
    kind[~inside] = OUT_OF_FRAME
    if soft_rays > 0:
        soft = _soft(points, solids, view, eyes, own, same, rule, slack, soft_rays, soft_radius)
    else:
        soft = (kind == VISIBLE).astype(np.float32)
    cut = [slice(n * joints, (n + 1) * joints) for n in range(len(arrays))]
    return [Labels(kind[:, c], soft[:, c], blocker[:, c]) for c in cut]


def occlusion_kind(
    positions: ArrayLike,
    camera: Camera,
    things: Sequence[Box] = (),
    *,
    skeleton: Skeleton = H36M_17,
    height: float | None = None,
) -> NDArray[np.int8]:
    """What a still camera sees of one person among boxes: `label_joints` in one call.

    Args:
        positions: (T, J, 3) metres in world axes, all finite.
        camera: Its pose is world to camera.
        things: Solid objects.
        skeleton: Whose joints these are.
        height: Stature in metres, for the thickness of the body; ``None`` takes it from the limbs.

    Returns:
        (T, J) int8, one of `KINDS`.

    Raises:
        SkeletonError: The joint count is not the skeleton's.
        InputError: Positions are not finite or no person's, or the camera is inside of something.
    """
    world = np.asarray(positions, np.float32)
    solids = [figure(world, skeleton, Build(height=height)), boxes(things, len(world))]
    return label_joints([world], skeleton, together(solids), View.still(camera, len(world)))[0].kind


def _met(
    solids: Solids,
    eyes: Floats,
    way: Floats,
    own: NDArray[np.bool_],
    same: NDArray[np.bool_],
    rule: str,
    slack: float,
) -> Floats:
    """Entries (T, R, N) that count: infinity for solids that do not hide the ray's joint."""
    met = entries(solids, eyes, way)
    if rule == "anatomy":
        met[:, own] = np.inf
        far = np.sqrt((way * way).sum(-1))
        limit = 1 - np.float32(slack) / np.maximum(far, np.float32(slack))
        # the own body counts up to the slack, everything else up to the joint itself
        met = np.where(same & (met >= limit[..., None]), np.float32(np.inf), met)
    return np.where(met > 0, met, np.float32(np.inf))


def _soft(
    points: Floats,
    solids: Solids,
    view: View,
    eyes: Floats,
    own: NDArray[np.bool_],
    same: NDArray[np.bool_],
    rule: str,
    slack: float,
    count: int,
    radius: float,
) -> Floats:
    """(T, R) share of the disc round each point that is seen."""
    disc = _disc(count) * np.float32(radius)
    own, same = np.repeat(own, count, 0), np.repeat(same, count, 0)
    rows = np.arange(len(own))
    soft = np.empty(points.shape[:2], np.float32)
    for part in _chunks(len(points), len(own) * solids.count):
        way = points[part] - eyes[part, None]
        turn = view.rotation[part].astype(np.float32)
        right = np.cross(way, turn[:, None, 1])  # the camera's own down gives the disc its two axes
        right /= np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-9)
        down = np.cross(way, right)
        down /= np.maximum(np.linalg.norm(down, axis=-1, keepdims=True), 1e-9)
        aims = points[part][:, :, None] + disc[:, :1] * right[:, :, None] + disc[:, 1:] * down[:, :, None]
        aims = aims.reshape(len(way), -1, 3)
        met = _met(solids.frames(part), eyes[part], aims - eyes[part, None], own, same, rule, slack)
        first = met.argmin(-1)
        hidden = np.take_along_axis(met, first[..., None], -1)[..., 0] < 1
        if rule == "first-part":
            hidden &= ~own[rows, first]
        here = View(view.camera, view.rotation[part], view.translation[part])
        seen = ~hidden & np.nan_to_num(view.camera.contains(here.pixels(aims)))
        soft[part] = seen.reshape(len(way), -1, count).mean(-1)
    return soft
