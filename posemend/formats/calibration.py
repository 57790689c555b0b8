"""Files that say where cameras stand: Pose2Sim's TOML, posemend's own JSON, matrices in ``.npz``.

Pose2Sim (and aniposelib, whose form it took over): one TOML table per camera
with ``size``, ``matrix``, ``distortions``, ``rotation`` (a rotation vector or a
matrix, world to camera) and ``translation``. Matrices: ``K`` (V, 3, 3) and
``RT`` (V, 3, 4), world to camera, as BlendMimic3D publishes them; the image is
then taken to reach to twice the principal point. Our own JSON holds the same as
the TOML with named parts; `write_cameras` makes it.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError, InputError
from posemend.formats.archive import Archive
from posemend.formats.limits import checked_file, checked_size, parse_json, read_text
from posemend.formats.recognise import of_bytes
from posemend.geometry.camera import Camera
from posemend.geometry.lens import Lens, Viewpoint

FORMAT = "posemend-cameras"
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
FARTHEST = 200.0  # metres between cameras; more is another unit


def read_cameras(path: str | Path, unit: str = "m") -> list[Viewpoint]:
    """The cameras of a calibration file, in the file's order.

    Args:
        path: Pose2Sim's ``.toml``, posemend's camera JSON, or ``.npz`` with K and RT.
        unit: Of the translations: ``"m"``, ``"cm"`` or ``"mm"``.

    Raises:
        FormatError: Not readable, of no known kind, or numbers are missing.
        InputError: Impossible cameras, or distances that are not of that unit.
    """
    if unit not in UNITS:
        raise InputError(f"No unit of length is called '{unit}'. There are: {', '.join(UNITS)}.")
    path = checked_file(path)
    with path.open("rb") as stream:
        start = stream.read(256)
    if of_bytes(start) == "npz":
        found = _matrices(path)
    # a TOML table begins with a square bracket, as a JSON list would
    elif start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        found = _own(path)
    else:
        found = _toml(path)
    if not found:
        raise FormatError(f"'{path}' holds no camera. {_WANTED}")
    found = [_scaled(view, UNITS[unit]) for view in found]
    places = np.array([-view.camera.rotation.T @ view.camera.translation for view in found])
    apart = float(np.linalg.norm(places - places.mean(0), axis=-1).max())
    if apart > FARTHEST:
        raise InputError(
            f"'{path}': the cameras stand {apart:.0f} m apart. If the file is in another unit than "
            f"{'metres' if unit == 'm' else unit}, say so (--unit mm)."
        )
    return found


_WANTED = (
    "Wanted Pose2Sim's calibration .toml (matrix, rotation, translation of each camera), posemend's camera JSON, or "
    "an .npz with K and RT."
)


def _scaled(view: Viewpoint, factor: float) -> Viewpoint:
    if factor == 1:
        return view
    old = view.camera
    camera = Camera(old.focal, old.centre, old.width, old.height, old.rotation, old.translation * factor)
    return Viewpoint(view.name, camera, view.lens)


def _array(table: dict[str, Any], key: str, shapes: Sequence[tuple[int, ...]], where: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(table[key], np.float64)
    except KeyError:
        raise FormatError(f"{where} has no '{key}'. {_WANTED}") from None
    except (ValueError, TypeError):
        raise FormatError(f"{where}: '{key}' is not made of numbers.") from None
    if array.shape not in shapes or not np.isfinite(array).all():
        wanted = " or ".join(str(shape) for shape in shapes)
        raise FormatError(f"{where}: '{key}' wants {wanted} finite numbers, got shape {array.shape}.")
    return array


def rotation_from(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) of a rotation vector (3,), radians: Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 1e-12 else vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def _toml(path: Path) -> list[Viewpoint]:
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"'{path}' is no camera file: not TOML ({error}). {_WANTED}") from None
    return [
        _viewpoint(str(table.get("name", key)), table, f"'{path}', camera '{key}'")
        for key, table in content.items()
        if isinstance(table, dict) and key != "metadata"
    ]


def _viewpoint(name: str, table: dict[str, Any], where: str) -> Viewpoint:
    matrix = _array(table, "matrix", [(3, 3)], where)
    rotation = _array(table, "rotation", [(3,), (3, 3)], where)
    translation = _array(table, "translation", [(3,)], where)
    size = _array(table, "size", [(2,)], where)
    bent = bool(table.get("distortions"))
    distortion = _array(table, "distortions", [(n,) for n in (4, 5, 8)], where) if bent else np.zeros(4)
    width, height = (checked_size(round(float(value)), where) for value in size)
    camera = Camera(
        (float(matrix[0, 0]), float(matrix[1, 1])), (float(matrix[0, 2]), float(matrix[1, 2])), width, height,
        rotation_from(rotation) if rotation.ndim == 1 else rotation, translation,
    )  # fmt: skip
    lens = Lens(tuple(float(k) for k in distortion), bool(table.get("fisheye", False)))
    return Viewpoint(name, camera, lens)


def _own(path: Path) -> list[Viewpoint]:
    content = parse_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("cameras"), list):
        raise FormatError(f"'{path}' is JSON, but no camera file ('format': '{FORMAT}'). {_WANTED}")
    found = []
    for place, table in enumerate(content["cameras"]):
        where = f"'{path}', camera {place}"
        if not isinstance(table, dict):
            raise FormatError(f"{where} is no table.")
        focal, centre = (_array(table, key, [(2,)], where) for key in ("focal", "centre"))
        matrix = [[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]]
        plain = {**table, "matrix": matrix, "distortions": table.get("distortion")}
        found.append(_viewpoint(str(table.get("name", place)), plain, where))
    return found


def write_cameras(path: str | Path, views: Sequence[Viewpoint]) -> None:
    """Write posemend's camera JSON: pixels, metres, world to camera."""
    cameras = [
        {
            "name": view.name, "size": [view.camera.width, view.camera.height], "focal": list(view.camera.focal),
            "centre": list(view.camera.centre), "rotation": view.camera.rotation.tolist(),
            "translation": view.camera.translation.tolist(), "distortion": list(view.lens.distortion),
            "fisheye": view.lens.fisheye,
        }
        for view in views
    ]  # fmt: skip
    path = Path(path)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({"format": FORMAT, "version": 1, "cameras": cameras}, indent=1) + "\n", "utf-8")
    os.replace(fresh, path)


def _matrices(path: Path) -> list[Viewpoint]:
    archive = Archive(path)
    if not {"K", "RT"} <= set(archive.names):
        raise FormatError(f"'{path}' holds {', '.join(archive.names) or 'nothing'}; wanted K and RT. {_WANTED}")
    tables = {key: archive.array(key) for key in ("K", "RT")}
    count = len(tables["K"]) if tables["K"].ndim else 0
    where = f"'{path}'"
    inner = _array(tables, "K", [(count, 3, 3)], where)
    outer = _array(tables, "RT", [(count, 3, 4)], where)
    return [
        Viewpoint(
            f"Cam_{place}",
            Camera((float(k[0, 0]), float(k[1, 1])), (float(k[0, 2]), float(k[1, 2])),
                   checked_size(round(2 * float(k[0, 2])), where), checked_size(round(2 * float(k[1, 2])), where),
                   rt[:, :3], rt[:, 3]),
        )
        for place, (k, rt) in enumerate(zip(inner, outer, strict=True))
    ]  # fmt: skip
