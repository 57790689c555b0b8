"""BlendMimic3D (Lino et al., CVPRW 2024), read from its published folder.

    S{1,2,3}/Cameras/matrices_S*.npz               K (4, 3, 3), RT (4, 3, 4): world to camera
    S*/D3_Positions/<Action>/<Action>.npz          positions_3d (F, 17, 3) metres, world, z up
    S*/D2_Positions/<Action>/2D_positions.npz      Cam_0 … Cam_3 (F, 17, 2) exact pixels
    S*/Occlusions/<Action>/occluded_kpt.npz        Cam_0 … Cam_3 (F, 17), 1 = visible

What is mended on the way in:

- the files' joint order is the mirror image of Human3.6M's: joints are matched by name;
- S1/GatheringObjects stands still from frame 307 on while its flags go on: cut off there;
- the flags of some S2 takes call joints visible that lie outside the image: such joints are hidden;
- some takes are several clips end to end: the joins are listed as ``Take.cuts``;
- a stray ``WalkCircle.npy`` in another layout, and ``data3D.txt``, serve where the ``.npz`` is missing;
- S3 calls one action TakesItem in some places and TakeItem in others: either is understood.

Data sets made by others in this layout (posemend makes such) are read too: actions of any name, and a clock where
the camera file names one (``fps``).

``camera_params_S*.npz`` holds Python objects and is not opened: the matrices say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import BLENDMIMIC3D_17, H36M_17
from posemend.body.convert import to_skeleton
from posemend.body.handedness import check_handedness
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets.archive import load_arrays
from posemend.errors import FormatError, HandednessError, InputError
from posemend.formats.archive import read_npy
from posemend.geometry.camera import Camera

_S1_ACTIONS = (
    "Arguing", "Directions", "GatheringObjects", "Greeting", "Phone", "PhonePacing", "PickingObjects", "Reactions",
    "ShoppingBag", "SittingCheering", "SittingTalk", "StandingArguing", "Thinking", "WalkCircle",
)  # fmt: skip

ACTIONS: dict[str, tuple[str, ...]] = {
    "S1": _S1_ACTIONS,
    "S2": _S1_ACTIONS,
    "S3": ("Focus", "Focus_multi", "TakesItem", "TakesItem_multi"),
}
"""What was published, by subject."""

CAMERAS = ("Cam_0", "Cam_1", "Cam_2", "Cam_3")

# S1 and S2 perform the same animations, so the split is by action, never by subject.
VALIDATION_ACTIONS = ("Greeting", "SittingTalk", "WalkCircle")
TEST_SUBJECTS = ("S3",)
TEST_ACTIONS = ("Reactions", "Thinking")  # of S1 and S2; S3 is test as a whole
TRAINING_ACTIONS = tuple(action for action in _S1_ACTIONS if action not in VALIDATION_ACTIONS + TEST_ACTIONS)

_FPS = {"S1": 50.0, "S2": 50.0, "S3": 30.0}

# First frame of each new piece where clips were put end to end (the pose jumps by more than 12 cm).
_CUTS: dict[tuple[str, str], tuple[int, ...]] = {
    ("S1", "Directions"): (981, 1345, 1414),
    ("S1", "Greeting"): (139, 739),
    ("S1", "ShoppingBag"): (515,),
    ("S2", "Directions"): (826, 1113),
    ("S2", "GatheringObjects"): (737,),
    ("S2", "Greeting"): (540,),
}

_KEEP = {("S1", "GatheringObjects"): 307}  # frames before the recording freezes

_MAX_REPROJECTION = 1.0  # px; the published files agree within 0.001


def read(
    root: str | Path,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    cameras: Iterable[str | int] | None = None,
) -> list[Take]:
    """Takes of the published folder: one per subject, action and camera.

    Keypoints are the exact projections (pixels, with their camera and true
    flags, score 1); truth is root-relative in camera axes (metres, frame
    ``"root"``) and carries the pelvis' path. Both are on Human3.6M's 17 joints.

    Args:
        root: Folder that directly holds ``S1``, ``S2`` or ``S3``.
        subjects: E.g. ``["S1", "S2"]``; all that are there by default.
        actions: E.g. ``VALIDATION_ACTIONS``; all that are there by default.
            An action that a subject was never published with is passed over for that subject.
        cameras: E.g. ``[0, "Cam_2"]``; all four by default.

    Raises:
        InputError: Root, subject, action or camera is not there; the message says what was looked for.
        FormatError: A file is missing, damaged, or does not fit the others.
    """
    root = Path(root)
    chosen_cameras = _chosen_cameras(cameras)
    there = _subjects(root, subjects)
    own = _own_actions(root, there)
    wanted = None if actions is None else [_action(name, own) for name in _listed(actions)]
    chosen_actions = None if wanted is None else list(dict.fromkeys(wanted))
    takes: list[Take] = []
    for subject in there:
        views, fps = _cameras(root / subject, subject)
        for action in _actions(root / subject, subject, chosen_actions):
            takes += _read_action(root / subject, subject, action, views, chosen_cameras, fps)
    if not takes:
        asked = "any action" if chosen_actions is None else ", ".join(chosen_actions)
        raise InputError(f"Looked for {asked} in {root}; no subject asked for has it.")
    return takes


def _listed(names: Iterable[Any]) -> list[Any]:
    return [names] if isinstance(names, str) else list(names)


def _key(name: str) -> str:
    """Spelling of an action without case, spaces and underscores; TakeItem and TakesItem are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum()).replace("takesitem", "takeitem")


_BY_KEY = {_key(action): action for actions in ACTIONS.values() for action in actions}


def _own_actions(root: Path, subjects: Sequence[str]) -> dict[str, str]:
    """Actions by spelling key that are in the folder and not in the published set."""
    found: dict[str, str] = {}
    for subject in subjects:
        if (root / subject / "D3_Positions").is_dir():
            there = _folders(root / subject / "D3_Positions")
            found |= {key: part.name for key, part in there.items() if key not in _BY_KEY}
    return found


def _action(name: str, own: dict[str, str]) -> str:
    """The published spelling of an action, or the folder's own.

    Raises:
        InputError: The data set has no such action.
    """
    known = {**own, **_BY_KEY}
    if _key(name) not in known:
        raise InputError(f"BlendMimic3D has no action '{name}'. It has: {', '.join(sorted(known.values()))}.")
    return known[_key(name)]


def _chosen_cameras(cameras: Iterable[str | int] | None) -> list[int]:
    if cameras is None:
        return list(range(len(CAMERAS)))
    if isinstance(cameras, int):
        cameras = [cameras]
    known = {str(place): place for place in range(4)} | {name.lower(): place for place, name in enumerate(CAMERAS)}
    chosen = []
    for camera in _listed(cameras):
        if str(camera).lower() not in known:
            raise InputError(f"BlendMimic3D has no camera '{camera}'. It has: {', '.join(CAMERAS)} (or 0 to 3).")
        chosen.append(known[str(camera).lower()])
    return list(dict.fromkeys(chosen))


def _subjects(root: Path, subjects: Iterable[str] | None) -> list[str]:
    if not root.is_dir():
        raise InputError(f"Looked for the BlendMimic3D folder at {root}, which is not there.")
    there = [subject for subject in ACTIONS if (root / subject).is_dir()]
    if not there:
        raise InputError(f"Looked for S1, S2 or S3 in {root}; none is there. Name the folder that directly holds them.")
    if subjects is None:
        return there
    chosen = list(dict.fromkeys(_listed(subjects)))
    for subject in chosen:
        if subject not in there:
            raise InputError(f"Looked for {root / str(subject)}, which is not there. There is: {', '.join(there)}.")
    if not chosen:
        raise InputError(f"No subject was named. There is: {', '.join(there)}.")
    return chosen


def _folders(folder: Path) -> dict[str, Path]:
    """Action folders by spelling key."""
    if not folder.is_dir():
        raise InputError(f"Looked for {folder}, which is not there. Is the data set complete?")
    return {_key(part.name): part for part in sorted(folder.iterdir()) if part.is_dir()}


def _actions(folder: Path, subject: str, chosen: Sequence[str] | None) -> list[str]:
    there = _folders(folder / "D3_Positions")
    own = [part.name for key, part in there.items() if key not in _BY_KEY]
    if chosen is None:
        return [action for action in ACTIONS[subject] if _key(action) in there] + own
    wanted = [action for action in chosen if action in ACTIONS[subject] or action in own]
    for action in wanted:
        if _key(action) not in there:
            names = ", ".join(part.name for part in there.values()) or "nothing"
            raise InputError(f"Looked for {folder / 'D3_Positions' / action}, which is not there. There is: {names}.")
    return wanted


def _cameras(folder: Path, subject: str) -> tuple[list[Camera], float]:
    """The four cameras, and the clock."""
    path = folder / "Cameras" / f"matrices_{subject}.npz"
    matrices = load_arrays(path, ("K", "RT"), optional=("fps",))
    intrinsic, extrinsic = matrices["K"], matrices["RT"]
    if intrinsic.shape != (4, 3, 3) or extrinsic.shape != (4, 3, 4):
        raise FormatError(f"{path} wants K (4, 3, 3) and RT (4, 3, 4), got {intrinsic.shape} and {extrinsic.shape}.")
    fps = matrices.get("fps", np.array(_FPS[subject]))
    if fps.shape != () or fps.dtype.kind not in "fiu" or not 0 < float(fps) <= 10_000:
        raise FormatError(f"{path}: 'fps' wants one number between 0 and 10000, got {fps}.")
    cameras = [
        Camera(
            focal=(float(k[0, 0]), float(k[1, 1])),
            centre=(float(k[0, 2]), float(k[1, 2])),
            # The principal point is the middle of the image in all of these cameras.
            width=round(2 * float(k[0, 2])),
            height=round(2 * float(k[1, 2])),
            rotation=rt[:, :3],
            translation=rt[:, 3],
        )
        for k, rt in zip(intrinsic, extrinsic, strict=True)
    ]
    return cameras, float(fps)


def _world(folder: Path, action: str) -> NDArray[np.float64]:
    """(F, 17, 3) metres in the files' joint order, from whichever of the published forms is there."""
    part = _folders(folder / "D3_Positions")[_key(action)]
    archives = [part / f"{part.name}.npz", *sorted(part.glob("*.npz"))]
    strays = sorted(part.glob("*.npy"))
    text = part / "data3D.txt"
    if archive := next((path for path in archives if path.is_file()), None):
        path, world = archive, load_arrays(archive, ("positions_3d",))["positions_3d"]
    elif strays:
        path, world = strays[0], read_npy(strays[0])
        if world.ndim == 3 and world.shape[:2] == (17, 3):
            world = world.transpose(2, 0, 1)
    elif text.is_file():
        path = text
        try:
            world = np.loadtxt(text, ndmin=2)
        except ValueError as error:
            raise FormatError(f"{text} is not a table of numbers ({error}). Fetch the file again.") from error
        if world.shape[0] == 17 and world.shape[1] % 3 == 0:
            world = world.reshape(17, 3, -1).transpose(2, 0, 1)
    else:
        raise FormatError(f"Looked for {archives[0]}, which is not there. Is the data set complete?")
    if world.ndim != 3 or world.shape[1:] != (17, 3) or world.dtype.kind != "f" or len(world) == 0:
        raise FormatError(f"{path} wants positions (F, 17, 3) in metres, got {world.dtype} {world.shape}.")
    if not np.isfinite(world).all():
        raise FormatError(f"{path} holds NaN or infinite positions. Fetch the file again.")
    return world.astype(np.float64)


def _read_action(
    folder: Path, subject: str, action: str, views: Sequence[Camera], cameras: Sequence[int], fps: float
) -> list[Take]:
    world = _world(folder, action)
    names = [CAMERAS[camera] for camera in cameras]
    pixel_file = (
        _folders(folder / "D2_Positions").get(_key(action), folder / "D2_Positions" / action) / "2D_positions.npz"
    )
    flag_file = _folders(folder / "Occlusions").get(_key(action), folder / "Occlusions" / action) / "occluded_kpt.npz"
    pixels, flags = load_arrays(pixel_file, names), load_arrays(flag_file, names)
    for path, arrays, shape in ((pixel_file, pixels, (len(world), 17, 2)), (flag_file, flags, (len(world), 17))):
        for name, array in arrays.items():
            if array.shape != shape or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
                raise FormatError(
                    f"{path}: {name} wants finite numbers of shape {shape}, as the 3D has {len(world)} frames; "
                    f"got {array.dtype} {array.shape}."
                )
    kept = slice(0, _KEEP.get((subject, action)))
    takes = []
    for camera in cameras:
        name = CAMERAS[camera]
        seen = flags[name] > 0.5
        takes.append(_take(subject, action, name, views[camera], world[kept], pixels[name][kept], seen[kept], fps))
    return takes


def _take(
    subject: str,
    action: str,
    name: str,
    camera: Camera,
    world: NDArray[np.float64],
    pixels: NDArray[np.float64],
    seen: NDArray[np.bool_],
    fps: float,
) -> Take:
    """One view, from the files' joint order to Human3.6M's."""
    label = f"{subject}/{action}/{name}"
    points = camera.to_camera(world)
    apart = np.abs(camera.project(points) - pixels).max()
    if not apart <= _MAX_REPROJECTION:  # NaN, a joint behind the camera, must fail too
        raise FormatError(
            f"{label}: 2D, 3D and camera do not belong together: projections are up to {apart:.1f} px off "
            f"(at most {_MAX_REPROJECTION} px wanted). Fetch the take again."
        )
    visible = seen & camera.contains(pixels)
    pelvis = points[:, BLENDMIMIC3D_17.index("pelvis")]
    seen_how: dict[str, Any] = {"visible": visible, "fps": fps, "name": label}
    keypoints = Pose2D(
        pixels.astype(np.float32), BLENDMIMIC3D_17, width=camera.width, height=camera.height, camera=camera, **seen_how
    )
    relative = (points - pelvis[:, None]).astype(np.float32)
    truth = Pose3D(relative, BLENDMIMIC3D_17, frame="root", root=pelvis.astype(np.float32), **seen_how)
    try:
        truth = check_handedness(to_skeleton(truth, H36M_17))
    except HandednessError as error:
        raise FormatError(
            f"{label}: left and right are swapped against the published files. Was the copy reordered? "
            "Fetch the published one."
        ) from error
    cuts = tuple(cut for cut in _CUTS.get((subject, action), ()) if cut < len(world))
    return Take(to_skeleton(keypoints, H36M_17), truth, subject, action, name, cuts)
