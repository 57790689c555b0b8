"""3DPW (von Marcard et al., ECCV 2018): people outdoors, a moving camera, truth from inertial sensors and video.

    sequenceFiles/{train,validation,test}/<sequence>.pkl    pickles of Python 2, one per sequence

Used of each file: ``jointPositions`` (per person (F, 72): SMPL's 24 joints,
world, metres), ``cam_poses`` (F, 4, 4) world to camera, ``cam_intrinsics``
(3, 3), ``poses2d`` (per person (F, 3, 18): OpenPose's COCO joints as rows x, y,
score), ``campose_valid`` (per person (F,)), ``genders``. The files are opened
behind ``trust`` by the restricted unpickler.

Each person is a take of its own, named ``split/sequence/p0``, ``p1``, … Frames
in which the camera is not known or in which 2D found nobody do not count, as
in the data set's own evaluation: they stay in their place with truth of score
0. Positions are in the axes of the camera of their frame. 30 frames per
second. SMPL's joints are not those of Human3.6M (its ``skull`` sits where
neck and head meet): conversion does not hide that.

Joints outside the image are hidden; other occlusion was not published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import COCO_17, SMPL_24
from posemend.body.handedness import check_handedness
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets.archive import load_pickle
from posemend.errors import FormatError, HandednessError, InputError
from posemend.geometry.camera import Camera

SPLITS = ("train", "validation", "test")
TEST_SUBJECTS = ("test",)
FPS = 30.0

# OpenPose's COCO model; its neck is the middle of the shoulders and no joint of COCO's
_OPENPOSE_18 = (
    "nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "r_hip", "r_knee",
    "r_ankle", "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear",
)  # fmt: skip
_TO_COCO = [_OPENPOSE_18.index(joint) for joint in COCO_17.joints]


@dataclass(frozen=True)
class Person:
    """One person of one sequence file.

    Attributes:
        name: ``p0``, ``p1``, …: the place in the file's lists.
        gender: ``"m"`` or ``"f"``, empty where the file does not say.
        world: (F, 24, 3) metres, world axes (y up).
        detected: (F, 18, 3) pixels and score, OpenPose's COCO order; 0 where nothing was found.
        valid: (F,) whether the camera is known.
    """

    name: str
    gender: str
    world: NDArray[np.float64]
    detected: NDArray[np.float64]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Sequence:
    """One sequence file: its people, and where the camera was.

    Attributes:
        name: As in the file, e.g. ``downtown_walking_00``.
        people: All who were tracked.
        extrinsics: (F, 4, 4) world to camera, metres.
        camera: Intrinsics; it stands at the origin of its own axes.
    """

    name: str
    people: tuple[Person, ...]
    extrinsics: NDArray[np.float64]
    camera: Camera


def read(
    root: str | Path,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    cameras: Iterable[str | int] | None = None,
    *,
    trust: bool = False,
) -> list[Take]:
    """Takes of the published files, one per sequence and person, on SMPL's 24 joints.

    Truth is root-relative in camera axes (metres) with the pelvis' path;
    ``Take.keypoints`` are exact projections, ``Take.detected`` are the file's
    own 2D on COCO's 17 joints. A person who never counts gives no take.

    Args:
        root: Folder that holds ``sequenceFiles``, or that folder.
        subjects: Splits: ``train``, ``validation``, ``test``; all that are there by default.
        actions: Names of sequences; all by default.
        cameras: Names of people (``p0``); all by default.
        trust: Open the pickles (through the restricted unpickler).

    Raises:
        InputError: Something asked for is not there.
        FormatError: A file is damaged, not trusted, or does not fit itself.
    """
    root = Path(root)
    folder = root / "sequenceFiles" if (root / "sequenceFiles").is_dir() else root
    there = [split for split in SPLITS if (folder / split).is_dir()]
    if not there:
        raise InputError(f"Looked for sequenceFiles/{{{','.join(SPLITS)}}} in {root}; none of them is there.")
    chosen = there if subjects is None else list(dict.fromkeys([subjects] if isinstance(subjects, str) else subjects))
    if missing := [split for split in chosen if split not in there]:
        raise InputError(f"3DPW at {root} has no split '{missing[0]}'. It has: {', '.join(there)}.")
    names, persons = _set(actions), _set(cameras)
    takes: list[Take] = []
    for split in chosen:
        for path in sorted((folder / split).glob("*.pkl")):
            if names is None or path.stem in names:
                takes += _takes(split, read_sequence(path, trust), persons, path)
    if not takes:
        raise InputError(f"Looked for {actions or 'any sequence'} in {', '.join(chosen)} of {folder}; nothing counts.")
    return takes


def _set(names: Iterable[Any] | None) -> set[str] | None:
    return None if names is None else {str(name) for name in ([names] if isinstance(names, str) else names)}


def read_sequence(path: Path, trust: bool) -> Sequence:
    """One sequence file, checked.

    Raises:
        FormatError: Damaged, not trusted, or its parts do not fit each other.
    """
    table = load_pickle(path, trust)
    extrinsics = _numbers(table, "cam_poses", path)
    if extrinsics.ndim != 3 or extrinsics.shape[1:] != (4, 4):
        raise FormatError(f"{path}: cam_poses of shape {extrinsics.shape}, wanted (frames, 4, 4).")
    frames = len(extrinsics)
    worlds, found, valid = (_people(table, key, path) for key in ("jointPositions", "poses2d", "campose_valid"))
    if not len(worlds) == len(found) == len(valid) > 0:
        raise FormatError(f"{path}: {len(worlds)} people in 3D, {len(found)} in 2D, {len(valid)} with flags.")
    genders = table.get("genders")
    genders = [str(gender) for gender in genders] if isinstance(genders, list | np.ndarray) else []
    people = []
    for place, (world, pixels, flags) in enumerate(zip(worlds, found, valid, strict=True)):
        if world.shape != (frames, 72) or pixels.shape != (frames, 3, 18) or flags.shape != (frames,):
            raise FormatError(
                f"{path}, person {place}: wanted ({frames}, 72) positions, ({frames}, 3, 18) 2D and ({frames},) flags; "
                f"got {world.shape}, {pixels.shape} and {flags.shape}."
            )
        gender = genders[place] if place < len(genders) else ""
        people.append(Person(f"p{place}", gender, world.reshape(frames, 24, 3), pixels.transpose(0, 2, 1), flags > 0.5))
    return Sequence(path.stem, tuple(people), extrinsics, _camera(_numbers(table, "cam_intrinsics", path), path))


def _numbers(table: dict[str, Any], key: str, path: Path) -> NDArray[np.float64]:
    value = table.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise FormatError(f"{path} has no array '{key}'. Is it a sequence file of 3DPW?")
    return value.astype(np.float64)


def _people(table: dict[str, Any], key: str, path: Path) -> list[NDArray[np.float64]]:
    value = table.get(key)
    if not isinstance(value, list | np.ndarray):
        raise FormatError(f"{path} has no list '{key}'. Is it a sequence file of 3DPW?")
    return [_numbers({key: person}, key, path) for person in value]


def _camera(intrinsics: NDArray[np.float64], path: Path) -> Camera:
    """The principal point of these files is the middle of the image, which gives its size."""
    if intrinsics.shape != (3, 3):
        raise FormatError(f"{path}: cam_intrinsics of shape {intrinsics.shape}, wanted (3, 3).")
    (fx, _, cx), (_, fy, cy), _ = intrinsics.tolist()
    return Camera((fx, fy), (cx, cy), round(2 * cx), round(2 * cy))


def _takes(split: str, sequence: Sequence, persons: set[str] | None, path: Path) -> Iterator[Take]:
    turn, shift = sequence.extrinsics[:, None, :3, :3], sequence.extrinsics[:, None, :3, 3]
    for person in sequence.people:
        found_somebody = (person.detected != 0).any((1, 2))
        points = np.einsum("tjrc,tjc->tjr", np.broadcast_to(turn, (len(turn), 24, 3, 3)), person.world) + shift
        ahead = np.isfinite(points).all((1, 2)) & (points[..., 2] > 0.05).all(1)
        counted = person.valid & found_somebody & ahead
        if counted.any() and (persons is None or person.name in persons):
            yield _take(split, sequence, person, points, counted, path)


def _take(
    split: str, sequence: Sequence, person: Person, points: NDArray[np.float64], counted: NDArray[np.bool_], path: Path
) -> Take:
    camera, label = sequence.camera, f"{split}/{sequence.name}/{person.name}"
    points = np.where(counted[:, None, None], points, [0, 0, 1.0])  # placeholders; the score says that they are none
    pixels = camera.project(points)
    score = np.repeat(counted[:, None], 24, 1).astype(np.float32)
    visible = camera.contains(pixels) & counted[:, None]
    pelvis = points[:, SMPL_24.index("pelvis")].astype(np.float32)
    size: dict[str, Any] = {"fps": FPS, "width": camera.width, "height": camera.height, "camera": camera, "name": label}
    keypoints = Pose2D(pixels.astype(np.float32), SMPL_24, score, visible, **size)
    relative = (points - points[:, :1]).astype(np.float32)
    truth = Pose3D(relative, SMPL_24, score, visible, FPS, root=pelvis, name=label)
    if np.linalg.norm(truth.positions, axis=-1).max() > 10:
        raise FormatError(f"{path}, {person.name}: a body of more than 10 m. Wanted positions in metres.")
    try:
        check_handedness(truth)
    except HandednessError as error:
        raise FormatError(f"{path}, {person.name}: left and right are swapped against SMPL's order.") from error
    seen = person.detected[:, _TO_COCO]
    belief = np.where(np.isfinite(seen).all(-1), seen[..., 2], 0)
    detected = Pose2D(np.where(belief[..., None] > 0, seen[..., :2], 0).astype(np.float32), COCO_17, belief, **size)
    return Take(keypoints, truth, split, sequence.name, person.name, detected=detected)
