"""posemend's own ``.json`` and ``.csv``: for people and spreadsheets; ``.npz`` is the compact one.

JSON holds everything but a calibrated camera's object form (its numbers are
there). CSV holds one row per frame; constants (space, image size) repeat in
every row, so that the file needs no comments and any program opens it. Numbers
are written with nine digits, which give back the same float32.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import SKELETONS
from posemend.body.pose import FRAMES, Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, SkeletonError
from posemend.formats.detections import numbers
from posemend.formats.limits import DEFAULT_FPS, checked_fps, checked_frames, checked_size
from posemend.formats.npz import OPTIONAL_3D, checked_score, skeleton_of
from posemend.geometry.camera import Camera

FORMAT = "posemend"
AXES = "xyz"
EXTRA = ("sigma", "provenance")  # columns of a 3D joint that may be there


def _rounded(array: NDArray[np.floating]) -> Any:
    """Nested lists whose text is short and gives back the same float32."""
    flat: list[Any] = [float(format(value, ".9g")) for value in np.asarray(array, np.float64).ravel().tolist()]
    for length in reversed(array.shape[1:]):
        flat = [flat[start : start + length] for start in range(0, len(flat), length)] if length else flat
    return flat


def write_json(pose: Pose2D | Pose3D, stream: BinaryIO) -> None:
    """Write a pose as JSON, one frame per line of the big tables."""
    flat = isinstance(pose, Pose2D)
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "kind": "2d" if flat else "3d",
        "unit": "px" if flat else "m",
        "name": pose.name,
        "fps": float(pose.fps),
        "skeleton": pose.skeleton.name,
        "joints": list(pose.skeleton.joints),
        "bones": [list(bone) for bone in pose.skeleton.bones],
    }
    tables: dict[str, Any] = {"positions": _rounded(pose.positions), "score": _rounded(pose.score)}
    tables["visible"] = pose.visible.astype(int).tolist()
    if isinstance(pose, Pose2D):
        head |= {"width": pose.width, "height": pose.height}
        if pose.camera is not None:
            camera = pose.camera
            head["camera"] = {
                "focal": list(camera.focal), "centre": list(camera.centre), "size": [camera.width, camera.height],
                "rotation": camera.rotation.tolist(), "translation": camera.translation.tolist(),
            }  # fmt: skip
    else:
        head["frame"] = pose.frame
        tables |= {
            key: _rounded(getattr(pose, key)) for key in ("root", "sigma", "radii") if getattr(pose, key) is not None
        }
        if pose.provenance is not None:
            tables["provenance"] = pose.provenance.tolist()
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, table in tables.items():
        frames = ",\n  ".join(json.dumps(frame, separators=(",", ":")) for frame in table)
        lines.append(f"{json.dumps(key)}: [\n  {frames}\n ]")
    stream.write(("{\n " + ",\n ".join(lines) + "\n}\n").encode("utf-8"))


def is_json(content: Any) -> bool:
    """Whether a JSON value is a pose written here."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def read_json(
    content: dict[str, Any],
    path: Path,
    skeleton: Skeleton | None,
    fps: float | None,
    size: tuple[int | None, int | None] = (None, None),
) -> Pose2D | Pose3D:
    """The pose of posemend's own JSON. Arguments given here win over the file's.

    Raises:
        FormatError: Incomplete or impossible numbers.
        SkeletonError: The skeleton is unknown or does not fit.
    """
    where = f"'{path}'"
    if content.get("kind") not in ("2d", "3d") or content.get("version") != 1:
        raise FormatError(f"{where}: wanted kind 2d or 3d of version 1, got {content.get('kind')!r}.")
    coordinates = 2 if content["kind"] == "2d" else 3
    joints = content.get("joints")
    found = skeleton_of(content.get("skeleton"), joints if isinstance(joints, list) else None, skeleton, where)
    positions = numbers(content.get("positions"), f"{where}, positions").astype(np.float32)
    if positions.ndim != 3 or positions.shape[1:] != (len(found), coordinates):
        raise SkeletonError(
            f"{where}: positions of shape {positions.shape}, wanted (frames, {len(found)}, {coordinates})."
        )
    checked_frames(len(positions), where)
    table = {key: numbers(content[key], f"{where}, {key}") for key in ("score", "visible", *OPTIONAL_3D)
             if content.get(key) is not None}  # fmt: skip
    score = checked_score(positions, table.get("score"), coordinates, where)
    rate = checked_fps(content.get("fps", DEFAULT_FPS) if fps is None else fps, where)
    values = (positions, found, score, table.get("visible"), rate)
    name = str(content.get("name", ""))
    if coordinates == 3:
        frame = str(content.get("frame", "root"))
        extra = {key: table[key] for key in OPTIONAL_3D if key in table}
        return Pose3D(*values, frame, name=name, **extra)  # type: ignore[arg-type]
    own = (content.get("width"), content.get("height"))
    picked = (mine if mine is not None else theirs for mine, theirs in zip(size, own, strict=True))
    width, height = (None if value is None else checked_size(value, where) for value in picked)
    return Pose2D(*values, width, height, _camera(content.get("camera"), where), name)  # type: ignore[arg-type]


def _camera(table: Any, where: str) -> Camera | None:
    if table is None:
        return None
    shapes = {"focal": (2,), "centre": (2,), "size": (2,), "rotation": (3, 3), "translation": (3,)}
    if not isinstance(table, dict) or not set(shapes) <= set(table):
        raise FormatError(f"{where}: camera wants {', '.join(shapes)}.")
    arrays = {key: numbers(table[key], f"{where}, camera {key}") for key in shapes}
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise FormatError(f"{where}: camera {key} of shape {arrays[key].shape}, wanted {shape}.")
    (fx, fy), (cx, cy) = arrays["focal"].tolist(), arrays["centre"].tolist()
    width, height = (checked_size(value, where) for value in arrays["size"].tolist())
    return Camera((fx, fy), (cx, cy), width, height, arrays["rotation"], arrays["translation"])


def _columns(skeleton: Skeleton, coordinates: int, extra: tuple[str, ...]) -> list[str]:
    each = [*AXES[:coordinates], "score", "visible", *extra]
    return [f"{joint}_{part}" for joint in skeleton.joints for part in each]


def write_csv(pose: Pose2D | Pose3D, stream: BinaryIO) -> None:
    """Write a pose as a table: frame, time_s, space (image, root, camera, world), …, then each joint."""
    coordinates = pose.positions.shape[2]
    extra = tuple(key for key in EXTRA if getattr(pose, key, None) is not None)
    root = getattr(pose, "root", None)
    joints = [pose.positions, pose.score[..., None], pose.visible[..., None]]
    joints += [getattr(pose, key)[..., None] for key in extra]
    body = np.concatenate([np.asarray(part, np.float64) for part in joints], axis=2).reshape(len(pose), -1)
    space = pose.frame if isinstance(pose, Pose3D) else "image"
    constants = {"space": space, "fps": format(pose.fps, ".17g")}
    if isinstance(pose, Pose2D):
        constants |= {key: str(getattr(pose, key)) for key in ("width", "height") if getattr(pose, key) is not None}
    if isinstance(pose, Pose3D) and pose.radii is not None:
        constants["radii"] = "; ".join(" ".join(format(value, ".9g") for value in row) for row in pose.radii.tolist())
    pelvis = [] if root is None else ["pelvis_at_x", "pelvis_at_y", "pelvis_at_z"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "time_s", *constants, *pelvis, *_columns(pose.skeleton, coordinates, extra)])
    for number, row in enumerate(body.tolist()):
        where = [] if root is None else [format(value, ".9g") for value in root[number].tolist()]
        time = format(number / pose.fps, ".6f")
        writer.writerow([number, time, *constants.values(), *where, *(format(value, ".9g") for value in row)])
    stream.write(text.getvalue().encode("utf-8"))


def is_csv(names: list[str]) -> bool:
    """Whether a CSV header (small letters) is a pose written here."""
    return names[:4] == ["frame", "time_s", "space", "fps"]


def _layout(names: list[str], where: str) -> tuple[Skeleton, int, tuple[str, ...], int]:
    """Skeleton, coordinates, which of ``EXTRA`` are there, and where the joints begin."""
    for skeleton in SKELETONS.values():
        for coordinates in (2, 3):
            for extra in ((), EXTRA[:1], EXTRA[1:], EXTRA):
                columns = _columns(skeleton, coordinates, extra)
                if names[-len(columns) :] == columns:
                    return skeleton, coordinates, extra, len(names) - len(columns)
    raise SkeletonError(f"{where}: the columns fit no known skeleton. Known: {', '.join(SKELETONS)}.")


def read_csv(
    text: str,
    path: Path,
    skeleton: Skeleton | None,
    fps: float | None,
    size: tuple[int | None, int | None] = (None, None),
) -> Pose2D | Pose3D:
    """The pose of posemend's own CSV. Arguments given here win over the file's.

    Raises:
        FormatError: Cut off, or impossible numbers.
        SkeletonError: The columns fit no skeleton, or not the one named.
    """
    where = f"'{path}'"
    rows = [row for row in csv.reader(text.splitlines()) if row]
    names = [name.strip() for name in rows[0]]
    found, coordinates, extra, begin = _layout(names, where)
    found = skeleton_of(found.name, None, skeleton, where)
    checked_frames(len(rows) - 1, where)
    for number, row in enumerate(rows[1:]):
        if len(row) != len(names) or row[0] != str(number):
            raise FormatError(f"{where}, line {number + 2}: not a full row of frame {number}. The file is cut off.")
    try:
        values = np.array([row[begin:] for row in rows[1:]], np.float64)
    except ValueError as error:
        raise FormatError(f"{where}: wanted numbers for each joint ({error}).") from None
    values = values.reshape(len(rows) - 1, len(found), -1)
    positions = values[..., :coordinates].astype(np.float32)
    score = checked_score(positions, values[..., coordinates], coordinates, where)
    head = {name: [row[place] for row in rows[1:]] for place, name in enumerate(names[:begin])}
    rate = checked_fps(_float(head["fps"][0], where) if fps is None else fps, where)
    space = head["space"][0]
    if space not in (("image",) if coordinates == 2 else FRAMES):
        raise FormatError(f"{where}: space '{space}', wanted {'image' if coordinates == 2 else ' or '.join(FRAMES)}.")
    common = (positions, found, score, values[..., coordinates + 1] > 0, rate)
    if coordinates == 3:
        keys = ("pelvis_at_x", "pelvis_at_y", "pelvis_at_z")
        root = np.array([[_float(v, where) for v in head[key]] for key in keys]).T if keys[0] in head else None
        known = {key: values[..., 5 + place] for place, key in enumerate(extra)}
        if "radii" in head:
            rows_of = [[_float(value, where) for value in row.split()] for row in head["radii"][0].split(";")]
            if {len(row) for row in rows_of} != {3}:
                raise FormatError(f"{where}: radii '{head['radii'][0][:40]}', wanted 'level seen inferred; ...'.")
            known["radii"] = np.array(rows_of)
        return Pose3D(*common, space, root, **known)  # type: ignore[arg-type]
    own = [_float(head[key][0], where) if key in head else None for key in ("width", "height")]
    picked = (mine if mine is not None else theirs for mine, theirs in zip(size, own, strict=True))
    width, height = (None if value is None else checked_size(value, where) for value in picked)
    return Pose2D(*common, width, height)


def _float(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FormatError(f"{where}: wanted a number, got '{text[:40]}'.") from None
