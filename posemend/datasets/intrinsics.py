"""Intrinsics of depth cameras as their makers write them, to `Camera`.

Read are: Azure Kinect's calibration (the ``CalibrationInformation`` of its
JSON, or the ``get_calibration`` style with ``intrinsics.parameters``),
RealSense's (``librealsense`` intrinsics: ``fx, fy, ppx, ppy, width, height``;
also under ``depth``/``color``), Open3D's (``intrinsic_matrix``) and plain ``fx,
fy, cx, cy, width, height``. A file may hold a ``depth`` and a ``color`` camera
with the way from the one to the other (``extrinsics`` or
``depth_to_color``: ``rotation``, ``translation``).

All of these call the middle of the first pixel 0; half a pixel is added.
Lens distortion is left out: maps are wanted undistorted, and coefficients that
are not small are refused where they can be seen.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError, InputError
from posemend.geometry.camera import Camera

HALF = 0.5  # from pixel numbers to places in the picture
LARGEST_FILE = 8 * 2**20

# name -> (fx, fy, cx, cy, width, height); of a mode, not of one sensor: good to about a per cent
PRESETS: dict[str, tuple[float, float, float, float, int, int]] = {
    "itop": (1 / 0.0035, 1 / 0.0035, 160.0, 120.0, 320, 240),
    "baracca": (461.605, 461.226, 336.14, 231.349, 640, 480),
    "azure-kinect-nfov": (504.0, 504.0, 320.0, 333.0, 640, 576),
    "azure-kinect-nfov-binned": (252.0, 252.0, 160.0, 166.5, 320, 288),
    "kinect-v2": (365.5, 365.5, 255.5, 211.5, 512, 424),
}


class Intrinsics(NamedTuple):
    """What a file holds.

    Attributes:
        depth: The depth camera; its axes are the world's.
        colour: The colour camera with its pose in those axes, if the file has one.
    """

    depth: Camera
    colour: Camera | None


def preset(name: str) -> Camera:
    """The camera of a known sensor.

    Raises:
        InputError: Not a known one.
    """
    if name not in PRESETS:
        raise InputError(f"No depth camera is called '{name}'. Known: {', '.join(PRESETS)}; or give a .json file.")
    fx, fy, cx, cy, width, height = PRESETS[name]
    return Camera((fx, fy), (cx + HALF, cy + HALF), width, height)


def read(source: str | Path, size: tuple[int, int] | None = None) -> Intrinsics:
    """Intrinsics from a JSON file, or of a known sensor by name.

    Args:
        source: File, or a name in ``PRESETS``.
        size: Width and height of the maps, for files that do not say.

    Raises:
        FormatError: The file cannot be read, or holds no intrinsics.
        InputError: No such file or sensor.
    """
    path = Path(source)
    if str(source) in PRESETS and not path.exists():
        return Intrinsics(preset(str(source)), None)
    if not path.is_file():
        raise InputError(f"There are no intrinsics at '{source}'. Give a .json file, or one of {', '.join(PRESETS)}.")
    if path.stat().st_size > LARGEST_FILE:
        raise FormatError(f"'{path}' is too large for intrinsics ({path.stat().st_size} bytes).")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"'{path}' is no JSON: {error}.") from None
    return parse(table, str(path), size)


def parse(table: Any, where: str = "intrinsics", size: tuple[int, int] | None = None) -> Intrinsics:
    """As ``read``, from what a JSON file holds."""
    if not isinstance(table, dict):
        raise FormatError(f"'{where}': wanted a JSON object with intrinsics, got {type(table).__name__}.")
    kinect = table.get("CalibrationInformation", table)
    if isinstance(kinect, dict) and isinstance(kinect.get("Cameras"), list):
        return _kinect(kinect["Cameras"], where, size)
    depth = next((table[key] for key in ("depth", "depth_camera", "depth_intrinsics") if key in table), table)
    colour = next((table[key] for key in ("color", "colour", "color_camera", "color_intrinsics") if key in table), None)
    camera = _plain(depth, where, size)
    if colour is None:
        return Intrinsics(camera, None)
    way: Any = next((table[key] for key in ("extrinsics", "depth_to_color", "depth_to_colour") if key in table), {})
    return Intrinsics(camera, _posed(_plain(colour, where, None), way, where))


def _numbers(value: Any, count: int, where: str, what: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        array = np.zeros(0)
    if len(array) != count or not np.isfinite(array).all():
        raise FormatError(f"'{where}': {what} wants {count} finite numbers, got {value!r:.80}.")
    return array


def _posed(camera: Camera, way: Any, where: str) -> Camera:
    if not isinstance(way, dict):
        raise FormatError(f"'{where}': the extrinsics want 'rotation' and 'translation'.")
    rotation = _numbers(way.get("rotation", np.eye(3)), 9, where, "rotation").reshape(3, 3)
    shift = _numbers(way.get("translation", (0, 0, 0)), 3, where, "translation")
    if np.abs(shift).max() > 2:  # cameras of one sensor are centimetres apart
        shift = shift / 1000
    return Camera(camera.focal, camera.centre, camera.width, camera.height, rotation, shift)


def _plain(table: Any, where: str, size: tuple[int, int] | None) -> Camera:
    """RealSense, Open3D, plain, or Azure Kinect's parameters by name."""
    if not isinstance(table, dict):
        raise FormatError(f"'{where}': wanted an object with fx, fy, cx and cy, got {type(table).__name__}.")
    inner = table.get("intrinsics", table)
    if isinstance(inner, dict):
        inner = inner.get("parameters", inner)
        inner = inner.get("param", inner) if isinstance(inner, dict) else inner
    inner = inner if isinstance(inner, dict) else {}
    known = {**table, **inner}
    matrix = next((known[key] for key in ("intrinsic_matrix", "camera_matrix", "K") if key in known), None)
    if matrix is not None:
        flat = _numbers(matrix, 9, where, "the camera matrix")
        # Open3D stores columns, everybody else rows: the centre is where the last row or column is not (0, 0, 1)
        rows = flat.reshape(3, 3) if np.allclose(flat[6:], (0, 0, 1)) else flat.reshape(3, 3).T
        fx, fy, cx, cy = rows[0, 0], rows[1, 1], rows[0, 2], rows[1, 2]
    else:
        found = [known.get("fx"), known.get("fy"), known.get("cx", known.get("ppx")), known.get("cy", known.get("ppy"))]
        if any(value is None for value in found):
            raise FormatError(
                f"'{where}' holds no intrinsics that are known here: wanted fx, fy and cx, cy (or ppx, ppy), a camera "
                f"matrix, or Azure Kinect's calibration. It has: {', '.join(map(str, list(table)[:8]))}."
            )
        fx, fy, cx, cy = _numbers(found, 4, where, "fx, fy, cx, cy")
    _check_distortion(known.get("coeffs", known.get("distortion")), where)
    width, height = known.get("width", size and size[0]), known.get("height", size and size[1])
    if not width or not height:
        raise FormatError(f"'{where}' does not say for which width and height it is. Add 'width' and 'height'.")
    return Camera((float(fx), float(fy)), (float(cx) + HALF, float(cy) + HALF), int(width), int(height))


def _check_distortion(coefficients: Any, where: str) -> None:
    if coefficients is None or isinstance(coefficients, dict | str):
        return
    values = np.asarray(coefficients, np.float64).ravel()
    if values.size and np.abs(values[:2]).max() > 0.05:
        raise FormatError(
            f"'{where}': the lens distortion is not small ({', '.join(f'{value:.3g}' for value in values[:5])}). "
            "Undistort maps and keypoints first, and give the intrinsics of the undistorted picture."
        )


def _kinect(cameras: list[Any], where: str, size: tuple[int, int] | None) -> Intrinsics:
    """The calibration that an Azure Kinect holds: parameters are shares of the sensor's width and height."""
    found: dict[str, Camera] = {}
    for entry in cameras:
        if not isinstance(entry, dict):
            continue
        purpose = str(entry.get("Purpose", "")) + str(entry.get("Location", ""))
        kind = "depth" if "Depth" in purpose or "D0" in purpose else "colour" if "PhotoVideo" in purpose else ""
        model = entry.get("Intrinsics")
        if not kind or not isinstance(model, dict):
            continue
        cx, cy, fx, fy = _numbers(list(model.get("ModelParameters", ()))[:4], 4, where, "ModelParameters")
        width, height = int(entry.get("SensorWidth", 0)), int(entry.get("SensorHeight", 0))
        if width <= 0 or height <= 0:
            raise FormatError(f"'{where}': a camera without SensorWidth and SensorHeight.")
        camera = Camera((fx * width, fy * height), (cx * width, cy * height), width, height)
        if kind == "depth" and size is not None:
            camera = _mode(camera, size, where)
        way = entry.get("Rt", {})
        way = {key.lower(): value for key, value in way.items()} if isinstance(way, dict) else {}
        found[kind] = _posed(camera, way, where) if kind == "colour" else camera
    if "depth" not in found:
        raise FormatError(f"'{where}': no depth camera among the calibration's cameras.")
    return Intrinsics(found["depth"], found.get("colour"))


def _mode(camera: Camera, size: tuple[int, int], where: str) -> Camera:
    """The mode of an Azure Kinect's 1024 x 1024 depth sensor that gives maps of this size (SDK: crop, then bin)."""
    modes = {(640, 576): (1, 192, 180), (320, 288): (2, 192, 180), (1024, 1024): (1, 0, 0), (512, 512): (2, 0, 0)}
    if (camera.width, camera.height) != (1024, 1024):
        return camera
    if size not in modes:
        raise FormatError(f"'{where}': no mode of an Azure Kinect gives depth maps of {size[0]}x{size[1]}.")
    bins, left, top = modes[size]
    focal = (camera.focal[0] / bins, camera.focal[1] / bins)
    centre = ((camera.centre[0] - left) / bins, (camera.centre[1] - top) / bins)
    return Camera(focal, centre, *size)
