"""Poses are values: one person over time, frozen and checked at birth.

Axes are always ``(T, J, C)``: time, joint, coordinate. Being hidden is data:
``visible`` and ``score`` say it, never a zero or a NaN. People are a Python
list, never an axis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.skeleton import Skeleton
from posemend.errors import InputError, SkeletonError
from posemend.geometry.camera import Camera

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

FRAMES = ("root", "camera", "world")
PROVENANCE = ("measured", "repaired", "inferred")  # what the numbers 0, 1, 2 of Pose3D.provenance mean


def _checked(pose: Any, coordinates: int) -> None:
    kind = type(pose).__name__
    positions = np.asarray(pose.positions)
    if positions.dtype == object:
        raise InputError(f"{kind} wants numbers, got an object array.")
    positions = np.array(positions, np.float32)
    if positions.ndim != 3 or positions.shape[2] != coordinates:
        raise InputError(f"{kind} wants positions of shape (T, J, {coordinates}), got {positions.shape}.")
    frames, joints = positions.shape[:2]
    if frames == 0:
        raise InputError(f"{kind} wants at least one frame, got none.")
    if joints != len(pose.skeleton):
        raise SkeletonError(
            f"{kind} has {joints} joints, but skeleton '{pose.skeleton.name}' has {len(pose.skeleton)}. "
            "Name the skeleton that the data really has (--skeleton)."
        )
    score = np.ones((frames, joints), np.float32) if pose.score is None else np.array(pose.score, np.float32)
    if score.shape != (frames, joints):
        raise InputError(f"{kind} wants score of shape {(frames, joints)}, got {score.shape}.")
    if not np.isfinite(score).all():
        raise InputError(f"{kind} wants finite scores; replace NaN by 0 for joints that were not detected.")
    score = np.clip(score, 0, 1)
    present = score > 0
    if not np.isfinite(positions).all() and not np.isfinite(positions[present]).all():
        raise InputError(f"{kind} has NaN or infinite positions where the score is above 0. Give such joints score 0.")
    if not present.all():
        positions[~present] = 0  # an absent joint has no position; 0 keeps arithmetic finite, the score says it
    visible = present if pose.visible is None else np.array(pose.visible, bool)
    if visible.shape != (frames, joints):
        raise InputError(f"{kind} wants visible of shape {(frames, joints)}, got {visible.shape}.")
    if not (np.isfinite(pose.fps) and 0 < pose.fps <= 10_000):
        raise InputError(f"{kind} wants fps between 0 and 10000, got {pose.fps}.")
    for name, array in (("positions", positions), ("score", score), ("visible", visible)):
        array.flags.writeable = False
        object.__setattr__(pose, name, array)


@dataclass(frozen=True, eq=False)
class Pose2D:
    """One person's keypoints over time, in pixels.

    Attributes:
        positions: (T, J, 2) pixels, origin top left. 0 where ``score`` is 0.
        skeleton: Which joints, in which order.
        score: (T, J) detector's belief in [0, 1]; 0 = not detected at all.
            ``None`` means 1 everywhere.
        visible: (T, J) True = seen by the camera. ``None`` means ``score > 0``.
        fps: Frames per second.
        width: Image width in pixels, ``None`` if unknown.
        height: Image height in pixels, ``None`` if unknown.
        camera: Calibrated camera, ``None`` if unknown.
        name: Free label, such as the person's track id.

    Raises:
        InputError: Shapes, numbers or fps are impossible.
        SkeletonError: The joint count is not the skeleton's.
    """

    positions: Floats
    skeleton: Skeleton
    score: Floats = None  # type: ignore[assignment]
    visible: Bools = None  # type: ignore[assignment]
    fps: float = 50.0
    width: int | None = None
    height: int | None = None
    camera: Camera | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _checked(self, 2)
        for size in (self.width, self.height):
            if size is not None and not 0 < size <= 1_000_000:
                raise InputError(f"Pose2D wants an image size above 0, got {self.width}x{self.height}.")

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> Pose2D:
        """The frames of a slice, same clock."""
        return replace(self, positions=self.positions[part], score=self.score[part], visible=self.visible[part])


@dataclass(frozen=True, eq=False)
class Pose3D:
    """One person's joints over time, in metres.

    Attributes:
        positions: (T, J, 3) metres.
        skeleton: Which joints, in which order.
        score: (T, J) belief in [0, 1]; ``None`` means 1 everywhere. 0 means
            that the position is not known (and holds 0).
        visible: (T, J) True = the camera saw the joint. ``None`` = all True.
        fps: Frames per second.
        frame: ``"root"`` (camera axes, pelvis at the origin), ``"camera"``
            (camera axes, camera at the origin) or ``"world"`` (z up).
        root: (T, 3) pelvis in camera axes, metres, or ``None`` if unknown.
        sigma: (T, J) expected error in metres, or ``None`` if not estimated.
        name: Free label.
        provenance: (T, J) where a joint's place comes from, or ``None``: 0 it
            was measured and left where it was, 1 it was measured and repaired,
            2 it was inferred, as nothing trustworthy was seen of it.
        radii: (L, 3) how large the regions are that hold the truth: level in (0, 1), then the radius over ``sigma``
            of joints that were seen and of inferred ones; ``None`` if that was not calibrated. See ``radius``.

    Raises:
        InputError: Shapes, numbers, fps or frame are impossible.
        SkeletonError: The joint count is not the skeleton's.
    """

    positions: Floats
    skeleton: Skeleton
    score: Floats = None  # type: ignore[assignment]
    visible: Bools = None  # type: ignore[assignment]
    fps: float = 50.0
    frame: str = "root"
    root: Floats | None = None
    sigma: Floats | None = None
    name: str = ""
    provenance: NDArray[np.uint8] | None = None
    radii: Floats | None = None

    def __post_init__(self) -> None:
        _checked(self, 3)
        if self.frame not in FRAMES:
            raise InputError(f"Pose3D wants frame in {FRAMES}, got '{self.frame}'.")
        frames, joints = self.positions.shape[:2]
        for name, wanted in (("root", (frames, 3)), ("sigma", (frames, joints))):
            value = getattr(self, name)
            if value is None:
                continue
            array = np.array(value, np.float32)
            if array.shape != wanted or not np.isfinite(array).all():
                raise InputError(f"Pose3D wants finite {name} of shape {wanted}, got {array.shape}.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.provenance is not None:
            kinds = np.asarray(self.provenance)
            if kinds.shape != (frames, joints) or not np.isin(kinds, range(len(PROVENANCE))).all():
                raise InputError(f"Pose3D wants provenance of shape {(frames, joints)} with 0, 1 or 2 in it.")
            kinds = kinds.astype(np.uint8)
            kinds.flags.writeable = False
            object.__setattr__(self, "provenance", kinds)
        if self.radii is not None:
            table = np.array(self.radii, np.float32)
            if table.ndim != 2 or table.shape[1:] != (3,) or not len(table) or not np.isfinite(table).all() or (
                not ((table > 0).all() and (table[:, 0] < 1).all() and (np.diff(table[:, 0]) > 0).all())
            ):  # fmt: skip
                raise InputError(
                    f"Pose3D wants radii of shape (L, 3), levels rising within (0, 1) and multiples above 0, "
                    f"got shape {table.shape}."
                )
            table.flags.writeable = False
            object.__setattr__(self, "radii", table)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> Pose3D:
        """The frames of a slice, same clock."""
        return replace(
            self,
            positions=self.positions[part],
            score=self.score[part],
            visible=self.visible[part],
            root=None if self.root is None else self.root[part],
            sigma=None if self.sigma is None else self.sigma[part],
            provenance=None if self.provenance is None else self.provenance[part],
        )

    def radius(self, level: float = 0.9) -> Floats:
        """(T, J) metres: a ball of this radius round a joint holds the truth with probability ``level``.

        By ``radii`` where the pose brings them, apart for joints that were seen and that were inferred (``provenance``,
        else ``visible``); between their levels, in proportion on the scale of the exponential law. Without ``radii``
        by that law itself, which the networks learn: ``−ln(1 − level) · sigma``.

        Raises:
            InputError: The level is not between 0 and 1, or the pose states no errors.
        """
        if not 0 < level < 1:
            raise InputError(f"A level is a probability between 0 and 1, such as 0.9; got {level}.")
        if self.sigma is None:
            raise InputError("This pose states no expected errors (sigma). Refine it first: posemend refine.")
        away = -np.log1p(-level)
        if self.radii is None:
            return (away * self.sigma).astype(np.float32)
        steps = -np.log1p(-self.radii[:, 0].astype(np.float64))
        beyond = max(away / steps[-1], 1.0)
        seen, hidden = (
            beyond * np.interp(min(away, steps[-1]), [0, *steps], [0, *self.radii[:, column]]) for column in (1, 2)
        )
        inferred = ~self.visible if self.provenance is None else self.provenance == 2
        return (self.sigma * np.where(inferred, hidden, seen)).astype(np.float32)

    def root_relative(self) -> Pose3D:
        """The same pose with the pelvis at the origin."""
        centre = self.positions[:, list(self.skeleton.root_indices)].mean(1, keepdims=True)
        return replace(self, positions=self.positions - centre, frame="root")


def base_action(action: str) -> str:
    """An action without the number of its repetition, as papers count it: ``Walking`` for ``Walking 1``."""
    return action.split(" ")[0]


@dataclass(frozen=True, eq=False)
class Take:
    """One person seen by one camera, with truth: what data sets hand out.

    ``keypoints.positions`` are exact projections; ``keypoints.visible`` and
    ``truth.visible`` are the true flags. ``cuts`` are frame numbers where a
    new piece of motion starts (velocities never cross them). ``detected`` is
    what a real detector found in the video, where the data set brings it.
    """

    keypoints: Pose2D
    truth: Pose3D
    subject: str
    action: str
    camera: str
    cuts: tuple[int, ...] = ()
    detected: Pose2D | None = None

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.action}/{self.camera}"
