"""Depth clips from files: a folder of 16-bit PNGs, an HDF5 file, or arrays.

Needs the extra ``depth`` (h5py, Pillow) for HDF5 and PNG; ``.npy`` and
``.npz`` need nothing. Frames of a folder come in the order of the numbers in
their names (``frame_2`` before ``frame_10``); two files of one number, or
pictures of several sizes, are an error. Only what is used is loaded from HDF5.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.datasets.intrinsics import Intrinsics
from posemend.datasets.intrinsics import read as read_intrinsics
from posemend.errors import FormatError, InputError, require
from posemend.formats.archive import Archive, read_npy
from posemend.geometry.camera import Camera
from posemend.geometry.depth import UNITS, DepthClip

KEYS = ("depth", "data", "depth_map", "depths", "maps", "arr_0")
LARGEST_PICTURE = 64 * 2**20  # pixels
MOST_FILES = 200_000


def read(
    source: str | Path,
    intrinsics: str | Path | Camera | None = None,
    unit: str | float | None = None,
    key: str | None = None,
    fps: float = 30.0,
) -> tuple[DepthClip, Camera | None]:
    """A depth clip, and the colour camera that its intrinsics name.

    Args:
        source: Folder of PNGs, ``.h5``/``.hdf5``, ``.npz`` or ``.npy`` with (T, H, W).
        intrinsics: JSON file, name of a sensor or a camera; ``None`` wants them in the source itself:
            ``intrinsics.json`` in the folder, or ``fx, fy, cx, cy`` among the arrays or attributes.
        unit: ``"m"``, ``"mm"`` or metres per count; ``None`` asks the numbers.
        key: Which array of an HDF5 or ``.npz``.
        fps: Frames per second.

    Raises:
        InputError: Nothing there, the unit is wrong, or maps and intrinsics do not fit.
        FormatError: A file is damaged or of another kind.
        MissingExtra: h5py or Pillow is not installed.
    """
    path = Path(source)
    if not path.exists():
        raise InputError(f"There is no depth at '{source}'. Wanted a folder of PNGs, .h5, .npz or .npy.")
    said: dict[str, Any] = {}
    if path.is_dir():
        maps: Any = _folder(path)
        if intrinsics is None and (path / "intrinsics.json").is_file():
            intrinsics = path / "intrinsics.json"
    elif path.suffix.lower() in (".h5", ".hdf5"):
        maps, said = _hdf5(path, key)
    elif path.suffix.lower() in (".npz", ".npy"):
        maps, said = _arrays(path, key)
    else:
        raise FormatError(f"'{path}' is no depth clip: wanted a folder of PNGs, .h5, .npz or .npy.")
    if len(maps.shape) == 2:
        maps = maps[None]
    if len(maps.shape) != 3:
        raise FormatError(f"'{path}': wanted maps (T, H, W), got shape {tuple(maps.shape)}.")
    size = (int(maps.shape[2]), int(maps.shape[1]))
    found = _camera(intrinsics, said, size, path)
    return DepthClip(maps, found.depth, _unit(unit, said), float(said.get("fps", fps))), found.colour


def _unit(unit: str | float | None, said: dict[str, Any]) -> float | None:
    if unit is None and "depth_scale" in said:
        return float(said["depth_scale"])
    if unit is None or isinstance(unit, float | int):
        return unit
    if unit in UNITS:
        return UNITS[unit]
    try:
        return float(unit)
    except ValueError:
        raise InputError(f"The depth's unit is m, mm or metres per count, got '{unit}'.") from None


def _camera(
    intrinsics: str | Path | Camera | None, said: dict[str, Any], size: tuple[int, int], path: Path
) -> Intrinsics:
    if isinstance(intrinsics, Camera):
        return Intrinsics(intrinsics, None)
    if intrinsics is not None:
        return read_intrinsics(intrinsics, size)
    if {"fx", "fy", "cx", "cy"} <= set(said):
        fx, fy, cx, cy = (float(said[name]) for name in ("fx", "fy", "cx", "cy"))
        return Intrinsics(Camera((fx, fy), (cx + 0.5, cy + 0.5), *size), None)
    raise InputError(
        f"The intrinsics of '{path}' are not known. Give --intrinsics: a .json file (RealSense, Azure Kinect, "
        "Open3D, or fx, fy, cx, cy, width, height) or a sensor's name."
    )


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1


def png(path: Path) -> NDArray[np.uint16]:
    """A 16-bit grey PNG, (H, W).

    Raises:
        FormatError: Damaged, too large, coloured or with 8 bits.
    """
    require("PIL", "depth")
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise FormatError(f"'{path}' is {picture.width}x{picture.height} pixels; that is no depth map.")
            if picture.mode not in ("I;16", "I;16B", "I"):
                raise FormatError(
                    f"'{path}' is a picture of mode '{picture.mode}'; a depth map is grey with 16 bits. "
                    "Is it the colour picture, or depth painted for the eye?"
                )
            values = np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"'{path}' cannot be read as a PNG: {error}.") from None
    return values.astype(np.uint16)


class _Folder:
    """PNGs as (T, H, W) of which only what is asked for is read."""

    dtype = np.dtype(np.uint16)

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.shape = (len(files), *png(files[0]).shape)

    def __getitem__(self, part: int | slice) -> Any:
        if isinstance(part, int):
            return self._one(self.files[part])
        chosen = self.files[part]
        return np.stack([self._one(path) for path in chosen]) if chosen else np.zeros((0, *self.shape[1:]), np.uint16)

    def _one(self, path: Path) -> NDArray[np.uint16]:
        values = png(path)
        if values.shape != self.shape[1:]:
            raise FormatError(f"'{path}' is {values.shape[1]}x{values.shape[0]}, the first map of its folder is "
                              f"{self.shape[2]}x{self.shape[1]}.")  # fmt: skip
        return values


def _folder(path: Path) -> _Folder:
    files = sorted(path.glob("*.png"), key=lambda file: (_number(file), file.name))
    if not files or len(files) > MOST_FILES:
        raise InputError(f"Looked for depth maps (*.png) in '{path}'; found {len(files)}.")
    numbers = [_number(file) for file in files]
    twice = next((files[k] for k in range(1, len(files)) if numbers[k] == numbers[k - 1]), None)
    if twice is not None:
        raise FormatError(f"'{twice}': two pictures of '{path}' have number {_number(twice)}. Keep depth alone there.")
    return _Folder(files)


def _hdf5(path: Path, key: str | None) -> tuple[Any, dict[str, Any]]:
    h5py = require("h5py", "depth")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FormatError(f"'{path}' cannot be read as HDF5: {error}.") from None
    sets = {name: value for name, value in file.items() if isinstance(value, h5py.Dataset)}
    name = key or next((name for name in KEYS if name in sets), None)
    if name not in sets:
        raise FormatError(f"'{path}' has no array '{name or 'depth'}'. It holds: {', '.join(sets) or 'none'}. Name it.")
    said = {**dict(file.attrs), **dict(sets[name].attrs)}
    said |= {small: value[()] for small, value in sets.items() if value.size == 1}
    return sets[name], {name: value for name, value in said.items() if np.size(value) == 1 and _is_number(value)}


def _arrays(path: Path, key: str | None) -> tuple[Any, dict[str, Any]]:
    if path.suffix.lower() == ".npy":
        return read_npy(path), {}
    archive = Archive(path)
    names = archive.names
    name = key or next((name for name in KEYS if name in names), names[0] if len(names) == 1 else None)
    if name not in names:
        raise FormatError(f"'{path}' has no array '{name or 'depth'}'. It holds: {', '.join(names)}. Name it.")
    wanted = ("fx", "fy", "cx", "cy", "fps", "depth_scale")
    said = {small: archive.array(small) for small in wanted if small in names}
    return archive.array(name), {small: value.item() for small, value in said.items() if value.size == 1}


def _is_number(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "iuf"
