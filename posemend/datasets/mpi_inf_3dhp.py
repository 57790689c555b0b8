"""MPI-INF-3DHP (Mehta et al., 3DV 2017): its MATLAB annotations, and the two ``.npz`` that lifters use.

    S1…S8/Seq1,2/annot.mat        annot2, annot3, univ_annot3: 14 cells, (F, 28·2) pixels and (F, 28·3) mm
    TS1…TS6/annot_data.mat        annot2 (2, 17, 1, F), annot3 and univ_annot3 (3, 17, 1, F), valid_frame; MATLAB 7.3
    data_train_3dhp.npz           data: {"S1 Seq1": [{"0": {data_2d, data_3d}, …}, fps]}, 17 joints (P-STMO's)
    data_test_3dhp.npz            data: {"TS1": {data_2d, data_3d, valid}}

The ``.npz`` are pickled dicts and are read behind ``trust``. MATLAB 7.3 needs
h5py (extra ``datasets``). What is minded on the way in:

- 28 joints of the training set become the 17 of the test set, by name;
- *universal* positions (``univ_annot3``) are of one body height. The test
  protocol and most lifters use them; a few use ``annot3``, which gives other
  numbers: choose with ``universal``. The ``.npz`` hold universal ones only;
- frames that the test set does not count (``valid_frame``) stay in their place
  with truth of score 0;
- no camera is in these files. A pinhole is fitted to each view's own 2D and 3D,
  and left out where it does not fit (within 3 px in the median);
- training sequences have 25 or 50 frames per second (the authors'
  ``mpii_get_sequence_info``); the test files do not say, and 25 is assumed.

No joint-wise occlusion was published: joints outside the image are hidden.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import MPI_INF_3DHP_17, MPI_INF_3DHP_28
from posemend.body.handedness import check_handedness
from posemend.body.pose import Pose2D, Pose3D, Take
from posemend.datasets.archive import load_dict
from posemend.datasets.matlab import load_matlab
from posemend.errors import FormatError, HandednessError, InputError
from posemend.geometry.camera import Camera

TRAINING_SUBJECTS = tuple(f"S{number}" for number in range(1, 9))
TEST_SUBJECTS = tuple(f"TS{number}" for number in range(1, 7))
SUBJECTS = TRAINING_SUBJECTS + TEST_SUBJECTS
Pickled = Callable[[Path], dict[str, Any]]

CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""The eight of fourteen cameras that lifters are trained on."""
TEST_FPS = 25.0

TRAINING_FILE, TEST_FILE = "data_train_3dhp.npz", "data_test_3dhp.npz"
_EVERY_CAMERA = range(14)
# (subject, sequence) -> frames that are annotated in truth, and frames per second
_SEQUENCES = {
    ("S1", "Seq1"): (6416, 25.0), ("S1", "Seq2"): (12430, 50.0), ("S2", "Seq1"): (6502, 25.0),
    ("S2", "Seq2"): (6081, 25.0), ("S3", "Seq1"): (12488, 50.0), ("S3", "Seq2"): (12283, 50.0),
    ("S4", "Seq1"): (6171, 25.0), ("S4", "Seq2"): (6675, 25.0), ("S5", "Seq1"): (12820, 50.0),
    ("S5", "Seq2"): (12312, 50.0), ("S6", "Seq1"): (6188, 25.0), ("S6", "Seq2"): (6145, 25.0),
    ("S7", "Seq1"): (6239, 25.0), ("S7", "Seq2"): (6320, 25.0), ("S8", "Seq1"): (6468, 25.0),
    ("S8", "Seq2"): (6054, 25.0),
}  # fmt: skip
_TEST_ACTION, _TEST_CAMERA = "test", "0"
_WIDE = {"TS5": (1920, 1080), "TS6": (1920, 1080)}  # the two outdoor sequences; all others are 2048 × 2048
_SQUARE = (2048, 2048)
_MAX_FIT_PX = 3.0
_SELECTED = [MPI_INF_3DHP_28.index(joint) for joint in MPI_INF_3DHP_17.joints]


@dataclass(frozen=True)
class _View:
    """One camera's annotation: (F, 17, 2) pixels, (F, 17, 3) mm in camera axes, (F,) counted."""

    subject: str
    action: str
    camera: str
    pixels: NDArray[np.float64]
    points: NDArray[np.float64]
    counted: NDArray[np.bool_]
    fps: float
    where: str


def read(
    root: str | Path,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    cameras: Iterable[str | int] | None = None,
    *,
    universal: bool = True,
    trust: bool = False,
    test_fps: float = TEST_FPS,
) -> list[Take]:
    """Takes of the published files, on the test set's 17 joints: truth root-relative, camera axes, metres.

    Args:
        root: Folder that holds ``S1`` … and/or ``TS1`` … (or ``mpi_inf_3dhp_test_set``), or P-STMO's ``.npz``.
        subjects: Such as ``TEST_SUBJECTS``; all that are there by default.
        actions: ``Seq1``, ``Seq2`` of the training subjects; test sequences are called ``test``.
        cameras: Of the training subjects; ``CAMERAS`` by default.
        universal: The positions scaled to one body height, as the test protocol wants them.
        trust: Open the pickled dicts of the ``.npz`` (through the restricted unpickler).
        test_fps: Clock of the test sequences, which their files do not tell.

    Raises:
        InputError: Something asked for is not there.
        FormatError: A file is missing, damaged, not trusted, or does not fit itself.
        MissingExtra: MATLAB 7.3 files without h5py.
    """
    root = Path(root)
    chosen = _chosen(subjects)
    wanted = None if actions is None else {actions} if isinstance(actions, str) else set(actions)
    views = _places(cameras)
    if not root.is_dir():
        raise InputError(f"Looked for the MPI-INF-3DHP folder at {root}, which is not there.")
    takes = []
    found: Iterable[_View] | None

    @functools.cache
    def pickled(path: Path) -> dict[str, Any]:
        return load_dict(path, "data", trust)

    for subject in chosen:
        if subject in TRAINING_SUBJECTS:
            found = _training(root, subject, wanted, views, universal, pickled)
        else:
            found = _test(root, subject, universal, pickled, test_fps) if not wanted or _TEST_ACTION in wanted else None
        if found is None and subjects is not None and not wanted:
            raise InputError(
                f"Looked for {subject} in {root}, which is not there: neither a folder {subject} nor the "
                f"{TRAINING_FILE if subject in TRAINING_SUBJECTS else TEST_FILE} that could hold it."
            )
        takes += [_take(view) for view in found or ()]
    if not takes:
        raise InputError(
            f"Looked for S*/Seq*/annot.mat, TS*/annot_data.mat, {TRAINING_FILE} and {TEST_FILE} in {root}; nothing "
            "that was asked for is there."
        )
    return takes


def _chosen(subjects: Iterable[str] | None) -> list[str]:
    if subjects is None:
        return list(SUBJECTS)
    chosen = list(dict.fromkeys([subjects] if isinstance(subjects, str) else subjects))
    unknown = [name for name in chosen if name not in SUBJECTS]
    if unknown or not chosen:
        raise InputError(f"MPI-INF-3DHP has no subject {', '.join(unknown) or '(none named)'}: {', '.join(SUBJECTS)}.")
    return chosen


def _places(cameras: Iterable[str | int] | None) -> list[int]:
    if cameras is None:
        return list(CAMERAS)
    listed = [cameras] if isinstance(cameras, str | int) else list(cameras)
    for camera in listed:
        if str(camera) not in {str(place) for place in _EVERY_CAMERA}:
            raise InputError(f"MPI-INF-3DHP has no camera '{camera}'. It has 0 to 13.")
    return list(dict.fromkeys(int(camera) for camera in listed))


def _training(
    root: Path, subject: str, wanted: set[str] | None, cameras: list[int], universal: bool, pickled: Pickled
) -> Iterator[_View] | None:
    """Views of a training subject, from MATLAB's files or else from P-STMO's; ``None`` if neither is there."""
    if (root / subject).is_dir():
        return _of_annot(root / subject, subject, wanted, cameras, universal)
    if (root / TRAINING_FILE).is_file():
        _universal_only(root / TRAINING_FILE, universal)
        return _of_training_npz(root / TRAINING_FILE, subject, wanted, cameras, pickled)
    return None


def _universal_only(path: Path, universal: bool) -> None:
    if not universal:
        raise InputError(f"{path} holds universal positions only. Read the MATLAB files for the others.")


def _of_annot(
    folder: Path, subject: str, wanted: set[str] | None, cameras: list[int], universal: bool
) -> Iterator[_View]:
    key = "univ_annot3" if universal else "annot3"
    for (who, sequence), (frames, fps) in _SEQUENCES.items():
        path = folder / sequence / "annot.mat"
        if who != subject or (wanted is not None and sequence not in wanted) or not path.is_file():
            continue
        table = load_matlab(path, ("annot2", key))
        for camera in cameras:
            pixels, points = (
                _cell(table[name], camera, size, f"{path}, {name}")[:frames] for name, size in (("annot2", 2), (key, 3))
            )
            counted = np.ones(len(pixels), bool)
            yield _View(subject, sequence, str(camera), pixels, points, counted, fps, str(path))


def _cell(cells: Any, camera: int, size: int, where: str) -> NDArray[np.float64]:
    """One camera's (F, 17, size) of a cell array with (F, 28·size) per camera."""
    if not isinstance(cells, list) or len(cells) <= camera:
        raise FormatError(f"{where}: wanted a cell for each of 14 cameras.")
    table = np.asarray(cells[camera], np.float64)
    if table.ndim != 2 or table.shape[1] != len(MPI_INF_3DHP_28) * size or len(table) == 0:
        raise FormatError(f"{where}, camera {camera}: shape {table.shape}, wanted (frames, {28 * size}).")
    return table.reshape(len(table), -1, size)[:, _SELECTED]


def _of_training_npz(
    path: Path, subject: str, wanted: set[str] | None, cameras: list[int], pickled: Pickled
) -> Iterator[_View]:
    for name, entry in pickled(path).items():
        who, _, sequence = str(name).partition(" ")
        if who != subject or (wanted is not None and sequence not in wanted):
            continue
        if not isinstance(entry, list | np.ndarray) or len(entry) != 2 or not isinstance(entry[0], dict):
            raise FormatError(f"{path}, '{name}': wanted [cameras, fps].")
        for camera in cameras:
            view = entry[0].get(str(camera))
            if not isinstance(view, dict):
                continue
            where = f"{path}, '{name}', camera {camera}"
            pixels, points = (_table(view, key, size, where) for key, size in (("data_2d", 2), ("data_3d", 3)))
            yield _View(
                subject, sequence, str(camera), pixels, points, np.ones(len(pixels), bool), float(entry[1]), where
            )


def _table(view: dict[str, Any], key: str, size: int, where: str) -> NDArray[np.float64]:
    table = view.get(key)
    good = isinstance(table, np.ndarray) and table.dtype.kind in "fiu" and table.ndim == 3 and len(table) > 0
    if not good or table.shape[1:] != (17, size):  # type: ignore[union-attr]
        raise FormatError(f"{where}: {key} wants (frames, 17, {size}), got {getattr(table, 'shape', type(table))}.")
    return table.astype(np.float64)  # type: ignore[union-attr]


def _test(root: Path, subject: str, universal: bool, pickled: Pickled, fps: float) -> list[_View] | None:
    inner = Path("mpi_inf_3dhp_test_set")
    for folder in (root, root / inner, root / inner / inner):
        path = folder / subject / "annot_data.mat"
        if path.is_file():
            key = "univ_annot3" if universal else "annot3"
            table = load_matlab(path, ("annot2", key, "valid_frame"))
            pixels, points = (_stack(table[name], size, f"{path}, {name}") for name, size in (("annot2", 2), (key, 3)))
            counted = np.asarray(table["valid_frame"]).ravel() > 0
            return [_View(subject, _TEST_ACTION, _TEST_CAMERA, pixels, points, counted, fps, str(path))]
    path = root / TEST_FILE
    if not path.is_file():
        return None
    _universal_only(path, universal)
    entry = pickled(path).get(subject)
    if not isinstance(entry, dict):
        return None
    where = f"{path}, '{subject}'"
    pixels, points = (_table(entry, key, size, where) for key, size in (("data_2d", 2), ("data_3d", 3)))
    counted = np.asarray(entry.get("valid", np.ones(len(pixels)))).ravel() > 0
    return [_View(subject, _TEST_ACTION, _TEST_CAMERA, pixels, points, counted, fps, where)]


def _stack(value: Any, size: int, where: str) -> NDArray[np.float64]:
    """MATLAB's (size, 17, 1, F) as (F, 17, size)."""
    table = np.asarray(value, np.float64)
    if table.ndim == 3:  # one frame: MATLAB drops the last axis
        table = table[..., None]
    if table.ndim != 4 or table.shape[:3] != (size, 17, 1):
        raise FormatError(f"{where}: shape {table.shape}, wanted ({size}, 17, 1, frames).")
    return table[:, :, 0].transpose(2, 1, 0)


def _take(view: _View) -> Take:
    label = f"{view.subject}/{view.action}/{view.camera}"
    if len(view.pixels) != len(view.points) or len(view.counted) != len(view.points):
        raise FormatError(
            f"{view.where}: {len(view.pixels)} frames of 2D, {len(view.points)} of 3D, {len(view.counted)} flags."
        )
    width, height = _WIDE.get(view.subject, _SQUARE)
    found = np.all(np.isfinite(view.pixels), -1)
    pixels = np.where(found[..., None], view.pixels, 0)
    known = np.isfinite(view.points).all((-1, -2)) & view.counted
    points = np.where(np.isfinite(view.points), view.points, 0) / 1000
    if not known.any():
        raise FormatError(f"{view.where}: no frame that counts has positions.")
    camera = _fitted_camera(pixels[known & found.all(1)], points[known & found.all(1)], width, height)
    visible = found & (pixels >= 0).all(-1) & (pixels <= [width, height]).all(-1)
    pelvis = points[:, MPI_INF_3DHP_17.index("pelvis")]
    seen_how: dict[str, Any] = {"visible": visible, "fps": view.fps, "name": label}
    keypoints = Pose2D(
        pixels.astype(np.float32), MPI_INF_3DHP_17, found.astype(np.float32),
        width=width, height=height, camera=camera, **seen_how,
    )  # fmt: skip
    score = np.repeat(known[:, None], 17, 1).astype(np.float32)
    relative = (points - pelvis[:, None]).astype(np.float32)
    truth = Pose3D(relative, MPI_INF_3DHP_17, score, root=pelvis.astype(np.float32), **seen_how)
    if np.linalg.norm(truth.positions, axis=-1).max() > 10:
        raise FormatError(f"{view.where}: a body of more than 10 m. Wanted positions in millimetres.")
    try:
        check_handedness(truth)
    except HandednessError as error:
        raise FormatError(f"{view.where}: left and right are swapped against the published order.") from error
    return Take(keypoints, truth, view.subject, view.action, view.camera)


def _fitted_camera(pixels: NDArray[np.float64], points: NDArray[np.float64], width: int, height: int) -> Camera | None:
    """The pinhole that best takes points (F, 17, 3) in camera axes to pixels; ``None`` if none does."""
    flat, seen = points.reshape(-1, 3), pixels.reshape(-1, 2)
    ahead = flat[:, 2] > 0.1
    if ahead.sum() < 20:
        return None
    flat, seen = flat[ahead], seen[ahead]
    focal, centre = [], []
    for axis in (0, 1):
        tangent = flat[:, axis] / flat[:, 2]
        (slope, start), *_ = np.linalg.lstsq(np.stack([tangent, np.ones_like(tangent)], 1), seen[:, axis], rcond=None)
        focal.append(float(slope))
        centre.append(float(start))
    if min(focal) <= 0:
        return None
    camera = Camera((focal[0], focal[1]), (centre[0], centre[1]), width, height)
    apart = np.linalg.norm(camera.project(flat) - seen, axis=-1)
    return camera if np.median(apart) <= _MAX_FIT_PX else None
