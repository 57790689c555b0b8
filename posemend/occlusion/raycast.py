"""Who hides what: a body of capsules and boxes against the rays of a camera.

The body is a set of capsules round the bones of Human3.6M's 17 joints (made up
by name for other skeletons). A joint is hidden by the body when the straight
line from the camera to it passes through a capsule that it does not lie in
itself; by an object when the line meets a box. It is analytic and vectorised;
time is cut into chunks, so memory does not grow with the clip.

Left out on purpose: clothes, hair, hands and feet, and other people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemend.body.catalogue import H36M_17
from posemend.body.convert import weights_matrix
from posemend.body.pose import Pose3D
from posemend.body.proportions import stature
from posemend.body.skeleton import Skeleton
from posemend.errors import InputError
from posemend.geometry.camera import Camera

Array = NDArray[np.float64]

VISIBLE, BY_SELF, BY_OBJECT, OUT_OF_FRAME = 0, 1, 2, 3
_CHUNK = 256  # frames at a time: about 256 * 17 joints * 17 capsules * 3 numbers per array
_MIDDLE = ("pelvis", "spine", "torso", "thorax", "neck")  # they lie inside the trunk, whichever way one looks


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


@dataclass(frozen=True)
class Capsule:
    """All points within ``radius`` metres of the line between two Human3.6M joints.

    ``owns`` are the joints that lie in it and are not hidden by it.
    """

    start: str
    end: str
    radius: float
    owns: frozenset[str]


# start, end, radius as share of the stature, joints inside besides the two ends
_BODY = (
    ("pelvis", "spine", 0.060, _MIDDLE),
    ("spine", "thorax", 0.060, _MIDDLE),
    ("l_hip", "l_shoulder", 0.045, _MIDDLE),
    ("r_hip", "r_shoulder", 0.045, _MIDDLE),
    ("l_hip", "r_hip", 0.055, _MIDDLE),
    ("l_shoulder", "r_shoulder", 0.035, _MIDDLE),
    ("thorax", "nose", 0.033, _MIDDLE),
    ("nose", "head_top", 0.050, ("head", "l_eye", "r_eye", "l_ear", "r_ear")),
    ("l_hip", "l_knee", 0.042, ()),
    ("r_hip", "r_knee", 0.042, ()),
    ("l_knee", "l_ankle", 0.030, ("l_heel",)),
    ("r_knee", "r_ankle", 0.030, ("r_heel",)),
    ("l_shoulder", "l_elbow", 0.027, ()),
    ("r_shoulder", "r_elbow", 0.027, ()),
    ("l_elbow", "l_wrist", 0.022, ()),
    ("r_elbow", "r_wrist", 0.022, ()),
)
_TOLERANCE = 0.05  # of the stature: how deep a joint may lie under the skin of a capsule that it is not in


def body_capsules(skeleton: Skeleton = H36M_17, height: float = 1.7) -> tuple[Capsule, ...]:
    """The capsules of a body of this stature (metres) that a skeleton's joints can carry.

    Raises:
        InputError: The height is not a positive number.
    """
    if not (np.isfinite(height) and height > 0):
        raise InputError(f"body_capsules wants a height above 0 metres, got {height}.")
    _, exists = weights_matrix(skeleton, H36M_17)
    known = {name for name, there in zip(H36M_17.joints, exists, strict=True) if there}
    return tuple(
        Capsule(start, end, share * height, frozenset({start, end, *inside}))
        for start, end, share, inside in _BODY
        if {start, end} <= known
    )


def segment_distance(start: Array, end: Array, other_start: Array, other_end: Array) -> Array:
    """Least distance (...) between two line segments in 3D, all (..., 3), broadcast together."""
    first, second, between = end - start, other_end - other_start, start - other_start
    a, e = (first * first).sum(-1), (second * second).sum(-1)
    b, c, f = (first * second).sum(-1), (first * between).sum(-1), (second * between).sum(-1)
    a, e = np.maximum(a, 1e-12), np.maximum(e, 1e-12)
    spread = a * e - b * b
    s = np.where(spread > 1e-12 * a * e, (b * f - c * e) / np.maximum(spread, 1e-18), 0.0)
    s = np.clip(s, 0, 1)
    t = np.clip((b * s + f) / e, 0, 1)
    s = np.clip((b * t - c) / a, 0, 1)
    gap = between + first * s[..., None] - second * t[..., None]
    return np.linalg.norm(gap, axis=-1)


def hits_box(start: ArrayLike, end: ArrayLike, box: Box) -> NDArray[np.bool_]:
    """Which segments (..., 3)-(..., 3) touch the box; an end inside it counts."""
    cos, sin = np.cos(box.yaw), np.sin(box.yaw)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])  # row vectors: world to box
    here = (np.asarray(start, np.float64) - box.centre) @ turned
    way = (np.asarray(end, np.float64) - box.centre) @ turned - here
    half = np.asarray(box.size) / 2
    flat = np.abs(way) < 1e-12
    safe = np.where(flat, 1.0, way)
    one, two = (-half - here) / safe, (half - here) / safe
    outside = flat & (np.abs(here) > half)
    enter = np.where(flat, -np.inf, np.minimum(one, two)).max(-1)
    leave = np.where(flat, np.inf, np.maximum(one, two)).min(-1)
    return (enter <= leave) & (leave >= 0) & (enter <= 1) & ~outside.any(-1)


def _hidden_by_body(points: Array, eye: Array, skeleton: Skeleton, capsules: Sequence[Capsule], slack: float) -> Array:
    matrix, _ = weights_matrix(skeleton, H36M_17)
    ends = np.einsum("kj,tjc->tkc", matrix.astype(np.float64), points)
    starts = ends[:, [H36M_17.index(capsule.start) for capsule in capsules]][:, None]
    stops = ends[:, [H36M_17.index(capsule.end) for capsule in capsules]][:, None]
    line = points - eye
    far = np.linalg.norm(line, axis=-1, keepdims=True)
    short = eye + line * np.maximum(1 - slack / np.maximum(far, 1e-9), 0)
    gap = segment_distance(np.broadcast_to(eye, short.shape)[:, :, None], short[:, :, None], starts, stops)
    radius = np.array([capsule.radius for capsule in capsules])
    own = np.array([[name in capsule.owns for capsule in capsules] for name in skeleton.joints])
    return ((gap < radius) & ~own).any(-1)


def occlusion_kind(
    positions: ArrayLike,
    camera: Camera,
    boxes: Sequence[Box] = (),
    *,
    skeleton: Skeleton = H36M_17,
    height: float | None = None,
) -> NDArray[np.int8]:
    """What a camera sees of each joint.

    Args:
        positions: (T, J, 3) metres in world axes, all finite.
        camera: Its pose is world to camera.
        boxes: Solid objects.
        skeleton: Whose joints these are.
        height: Stature in metres, for the thickness of the body; ``None``
            takes it from the limbs.

    Returns:
        (T, J) int8: 0 visible, 1 hidden by the own body, 2 hidden by a box,
        3 out of the frame or behind the camera (the highest that applies).

    Raises:
        SkeletonError: The joint count is not the skeleton's.
        InputError: Positions are not finite, or the stature cannot be told.
    """
    pose = Pose3D(np.asarray(positions), skeleton, frame="world")
    world = np.asarray(positions, np.float64)
    if height is None:
        height = stature(pose)
        if not (np.isfinite(height) and height > 0):
            raise InputError(f"'{skeleton.name}' has no limb to take the stature from. Give height= in metres.")
    capsules = body_capsules(skeleton, height)
    eye = camera.to_world(np.zeros(3))
    kind = np.zeros(world.shape[:2], np.int8)
    for begin in range(0, len(world), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        points = world[part]
        if capsules:
            kind[part][_hidden_by_body(points, eye, skeleton, capsules, _TOLERANCE * height)] = BY_SELF
        for box in boxes:
            kind[part][hits_box(np.broadcast_to(eye, points.shape), points, box)] = BY_OBJECT
        kind[part][~camera.contains(camera.project(camera.to_camera(points)))] = OUT_OF_FRAME
    return kind
