"""Human3.6M (Ionescu et al., PAMI 2014), from the files that lifters are trained on.

    data_3d_h36m.npz               positions_3d: {subject: {action: (F, 32 or 17 or 16, 3) metres, world, z up}}
    data_2d_h36m_<name>.npz        positions_2d: {subject: {action: [4 × (F', 17 or 16, 2) pixels]}}, metadata
    S*/MyPoseFeatures/D3_Positions/<Action>.cdf   Pose (1, F, 96) millimetres: the source itself (extra ``datasets``)

The ``.npz`` are VideoPose3D's; their dicts are pickled, so they are read behind
``trust`` by the restricted unpickler. What is minded on the way in:

- 32 joints (15 of which do not move by themselves) become Human3.6M's 17;
- SemGCN has files of the same names with 16 joints, without the nose. They are
  told apart by their joint count and by what they call left and right, never
  by the name, and the joints are matched by name;
- S11's ``Directions`` is left out everywhere: its video is damaged;
- ``TakingPhoto`` and ``WalkingDog`` of the source are ``Photo`` and ``WalkDog`` in the papers;
- detections that are longer than the poses are cut at their end, as everybody does.

Each subject does each action twice (``Walking``, ``Walking 1``); papers average
over the name up to the first space. 50 frames per second. No joint-wise
occlusion was published: every joint counts as visible. Exact keypoints are the
poses through the calibrated lens, distortion included, as in
``data_2d_h36m_gt.npz``; ``Pose2D.camera`` holds the pinhole part only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_16, H36M_17
from posemend.body.handedness import check_handedness
from posemend.body.pose import Pose2D, Pose3D, Take, base_action
from posemend.body.skeleton import Skeleton
from posemend.datasets import human36m_cameras as calibration
from posemend.datasets.archive import load_dict
from posemend.errors import FormatError, HandednessError, InputError, require
from posemend.formats import videopose3d
from posemend.geometry.camera import Camera

TRAINING_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
SUBJECTS = TRAINING_SUBJECTS + TEST_SUBJECTS
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether",
)  # fmt: skip
CAMERAS = calibration.NAMES
FPS = 50.0
DAMAGED = ("S11", "Directions")

POSES = "data_3d_h36m.npz"
# of the 32 joints of the source, those that move by themselves, in the order of H36M_17
_MOVING = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
_SOURCE_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
# Median distance of 2D files from the projected poses above which the two do not belong together. Detectors reach
# some 10 px; other clips and swapped sides are far above.
_MAX_GT_PX, _MAX_DETECTED_PX = 5.0, 100.0


@dataclass(frozen=True)
class _Clip:
    """One recording: world positions (F, J, 3) in metres."""

    subject: str
    action: str
    world: NDArray[np.float64]
    skeleton: Skeleton


def read(
    root: str | Path,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    cameras: Iterable[str | int] | None = None,
    *,
    detections: str | None = None,
    trust: bool = False,
) -> list[Take]:
    """Takes of the published files: one per subject, action, repetition and camera.

    Truth is root-relative in camera axes (metres) and carries the pelvis' path,
    on 17 joints (16 where the file has no nose). ``Take.keypoints`` are exact.

    Args:
        root: Folder with ``data_3d_h36m.npz`` (or that file), or with the unpacked CDF archives.
        subjects: Such as ``TEST_SUBJECTS``; all that are there by default.
        actions: Such as ``["Walking", "Photo 1"]``; a bare name takes both repetitions.
        cameras: By name or place; all four by default.
        detections: ``cpn_ft_h36m_dbb`` for ``data_2d_h36m_cpn_ft_h36m_dbb.npz`` in the same folder, or a path:
            what a detector found, as ``Take.detected``.
        trust: Open the pickled dicts (through the restricted unpickler).

    Raises:
        InputError: Something asked for is not there.
        FormatError: A file is missing, damaged, not trusted, or does not fit the others.
        MissingExtra: CDF files without cdflib.
    """
    root = Path(root)
    chosen = _chosen_subjects(subjects)
    places = _chosen_cameras(cameras)
    wanted = None if actions is None else _chosen_actions(actions)
    found = None if detections is None else _detected(root, detections, chosen, trust)
    limit = _MAX_GT_PX if str(detections).removesuffix(".npz").endswith("gt") else _MAX_DETECTED_PX
    takes: list[Take] = []
    for clip in _clips(root, chosen, trust):
        if (clip.subject, clip.action) == DAMAGED:
            continue
        if wanted is None or clip.action in wanted or base_action(clip.action) in wanted:
            takes += [_take(clip, place, found, limit) for place in places]
    if not takes:
        raise InputError(f"Looked for {actions or 'any action'} of {', '.join(chosen or SUBJECTS)} in {root}: none.")
    return takes


def _listed(names: Iterable[Any] | str | int) -> list[Any]:
    return [names] if isinstance(names, str | int) else list(names)


def _chosen_subjects(subjects: Iterable[str] | None) -> list[str] | None:
    if subjects is None:
        return None
    chosen = list(dict.fromkeys(_listed(subjects)))
    unknown = [name for name in chosen if name not in SUBJECTS]
    if unknown or not chosen:
        raise InputError(f"Human3.6M has no poses of {', '.join(unknown) or 'nobody'}. It has: {', '.join(SUBJECTS)}.")
    return chosen


def _chosen_actions(actions: Iterable[str]) -> set[str]:
    chosen = set(_listed(actions))
    unknown = sorted(name for name in chosen if base_action(name) not in ACTIONS)
    if unknown:
        raise InputError(f"Human3.6M has no action '{unknown[0]}'. It has: {', '.join(ACTIONS)}.")
    return chosen


def _chosen_cameras(cameras: Iterable[str | int] | None) -> list[int]:
    if cameras is None:
        return list(range(len(CAMERAS)))
    known = {name: place for place, name in enumerate(CAMERAS)} | {str(place): place for place in range(len(CAMERAS))}
    chosen = []
    for camera in _listed(cameras):
        if str(camera) not in known:
            raise InputError(f"Human3.6M has no camera '{camera}'. It has: {', '.join(CAMERAS)} (or 0 to 3).")
        chosen.append(known[str(camera)])
    return list(dict.fromkeys(chosen))


def _clips(root: Path, subjects: list[str] | None, trust: bool) -> Iterator[_Clip]:
    file = root if root.suffix == ".npz" else root / POSES
    if file.is_file():
        yield from _of_npz(file, subjects, trust)
        return
    folders = {subject: _cdf_folder(root, subject) for subject in SUBJECTS}
    there = [subject for subject, folder in folders.items() if folder is not None]
    if not there:
        raise InputError(
            f"Looked for {POSES} and for S*/MyPoseFeatures/D3_Positions in {root}; neither is there. "
            "docs/benchmarks.md says which files are needed."
        )
    for subject in subjects or there:
        folder = folders[subject]
        if folder is None:
            raise InputError(f"Looked for {subject} in {root}, which is not there. There is: {', '.join(there)}.")
        for path in sorted(folder.glob("*.cdf")):
            action = path.stem
            for theirs, ours in _SOURCE_NAMES.items():
                action = action.replace(theirs, ours)
            if base_action(action) in ACTIONS:
                yield _clip(subject, action, _of_cdf(path), str(path))


def _of_npz(file: Path, subjects: list[str] | None, trust: bool) -> Iterator[_Clip]:
    people = load_dict(file, "positions_3d", trust)
    there = [subject for subject in SUBJECTS if isinstance(people.get(subject), dict)]
    for subject in subjects or there:
        if subject not in there:
            raise InputError(f"{file} has no subject {subject}. It has: {', '.join(there) or 'none that is known'}.")
        for action, world in people[subject].items():
            yield _clip(subject, str(action), world, f"{file}, {subject}/{action}")


def _cdf_folder(root: Path, subject: str) -> Path | None:
    """Where a subject's CDF files lie: unpacked to one folder, or each ``Poses_D3_Positions_S*.tgz`` to its own."""
    inner = Path("MyPoseFeatures") / "D3_Positions"
    archive = f"Poses_D3_Positions_{subject}"
    places = (root / subject / inner, root / archive / subject / inner, root / archive / inner)
    return next((place for place in places if place.is_dir()), None)


def _of_cdf(path: Path) -> NDArray[np.float64]:
    """(F, 32, 3) metres."""
    cdflib = require("cdflib", "datasets")
    try:
        poses = np.asarray(cdflib.CDF(str(path)).varget("Pose"), np.float64)
    except Exception as error:  # the library raises whatever it stumbles over
        raise FormatError(f"{path} is not a readable CDF file with a variable 'Pose' ({error}).") from None
    if poses.ndim not in (2, 3) or poses.shape[-1] != 96:
        raise FormatError(f"{path}: 'Pose' of shape {poses.shape}, wanted (1, frames, 96).")
    return poses.reshape(-1, 32, 3) / 1000


def _clip(subject: str, action: str, world: Any, where: str) -> _Clip:
    """Positions checked and brought to 17 (or 16) joints."""
    known = {32: H36M_17, 17: H36M_17, 16: H36M_16}
    good = isinstance(world, np.ndarray) and world.dtype.kind == "f" and world.ndim == 3 and len(world) > 0
    if not good or world.shape[1] not in known or world.shape[2] != 3:
        got = f"{world.dtype} {world.shape}" if isinstance(world, np.ndarray) else type(world).__name__
        raise FormatError(f"{where}: wanted positions (frames, 32 or 17 or 16, 3) in metres, got {got}.")
    if not np.isfinite(world).all() or np.abs(world).max() > 100:
        raise FormatError(f"{where}: positions that are infinite or beyond 100 m; wanted metres in world axes.")
    skeleton = known[world.shape[1]]
    moving = world[:, list(_MOVING)] if world.shape[1] == 32 else world
    return _Clip(subject, action, moving.astype(np.float64), skeleton)


def _detected(root: Path, name: str, subjects: list[str] | None, trust: bool) -> dict[str, Pose2D]:
    """A detector's keypoints by ``subject/action/camera number``."""
    folder = root.parent if root.suffix == ".npz" else root
    path = Path(name) if name.endswith(".npz") else folder / f"data_2d_h36m_{name}.npz"
    if not path.is_file():
        there = sorted(file.stem.removeprefix("data_2d_h36m_") for file in folder.glob("data_2d_h36m_*.npz"))
        raise InputError(f"Looked for {path}, which is not there. There is: {', '.join(there) or 'no such file'}.")
    return {pose.name: pose for pose in videopose3d.read(path, None, FPS, trust=trust, subjects=subjects)}


def _take(clip: _Clip, place: int, detections: dict[str, Pose2D] | None, limit: float) -> Take:
    camera = calibration.camera(clip.subject, place)
    label = f"{clip.subject}/{clip.action}/{CAMERAS[place]}"
    points = camera.to_camera(clip.world)
    if points[..., 2].min() <= 0:
        raise FormatError(f"{label}: joints behind the camera. Are the positions in world axes, in metres?")
    pelvis = points[:, clip.skeleton.index("pelvis")]
    relative = (points - pelvis[:, None]).astype(np.float32)
    truth = Pose3D(relative, clip.skeleton, fps=FPS, root=pelvis.astype(np.float32), name=label)
    try:
        check_handedness(truth)
    except HandednessError as error:
        raise FormatError(f"{label}: left and right are swapped. Are the joints in Human3.6M's order?") from error
    exact = calibration.distorted(points, place).astype(np.float32)
    keypoints = _seen(exact, clip.skeleton, camera, label)
    found = None if detections is None else _fitted(detections, clip, place, keypoints, limit)
    return Take(keypoints, truth, clip.subject, clip.action, CAMERAS[place], detected=found)


def _seen(pixels: NDArray[np.float32], skeleton: Skeleton, camera: Camera, label: str) -> Pose2D:
    return Pose2D(pixels, skeleton, fps=FPS, width=camera.width, height=camera.height, camera=camera, name=label)


def _fitted(detections: dict[str, Pose2D], clip: _Clip, place: int, exact: Pose2D, limit: float) -> Pose2D:
    """The detections of one clip and camera, cut to its length and compared with the truth."""
    found = detections.get(f"{clip.subject}/{clip.action}/{place}")
    if found is None:
        raise FormatError(f"The file of detections lacks {clip.subject}/{clip.action}, camera {place}.")
    if len(found) < len(exact):
        raise FormatError(f"{exact.name}: {len(found)} frames of detections for {len(exact)} frames of poses.")
    found = replace(found[: len(exact)], width=exact.width, height=exact.height, camera=exact.camera, name=exact.name)
    shared = [joint for joint in exact.skeleton.joints if joint in found.skeleton.joints]
    mine, theirs = ([pose.skeleton.index(joint) for joint in shared] for pose in (exact, found))
    present = found.score[:, theirs] > 0
    apart = np.linalg.norm(found.positions[:, theirs] - exact.positions[:, mine], axis=-1)[present]
    if not apart.size or np.median(apart) > limit:
        raise FormatError(
            f"{exact.name}: detections lie {np.median(apart) if apart.size else np.nan:.0f} px (median) from the "
            f"projected poses, at most {limit:.0f} are believed. Do the two files belong together?"
        )
    return found
