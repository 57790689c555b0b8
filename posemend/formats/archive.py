"""``.npy`` and ``.npz`` files, opened with distrust.

NumPy's own reader believes the header and allocates. Here the zip directory
and each array's header are checked against the caps, against each other and
against the bytes that are really there, and only then is an array made.
Object arrays are never unpickled here (see `videopose3d`).
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from posemend.errors import FormatError
from posemend.formats.limits import MAX_BYTES, MAX_FRAMES, checked_file

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"
MAX_MEMBERS = 1_000
BOMB_BYTES = 256 * 1024**2  # below this a high compression ratio is harmless
BOMB_RATIO = 100.0
TRUST_CURE = (
    "Such a file can run any program when it is opened carelessly. If it comes from somebody you trust "
    "(VideoPose3D-style files are made so), read it with --trust (trust=True): only arrays, dicts, lists, texts "
    "and numbers are let in."
)

Header = tuple[tuple[int, ...], bool, np.dtype]


def _header(stream: BinaryIO, size: int, where: str) -> Header:
    """Shape, Fortran order and dtype; leaves ``stream`` at the first byte of data. ``size``: bytes in all."""
    try:
        version = npy.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(stream)
        else:
            raise ValueError(f"version {version} of the array format")
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError, struct.error) as error:
        raise FormatError(f"{where}: the array's header is damaged ({error}). Write the file again.") from None
    if any(not isinstance(length, int) or isinstance(length, bool) or length < 0 for length in shape):
        raise FormatError(f"{where}: the array's header names an impossible shape {shape}.")
    if dtype.hasobject:
        return shape, fortran, dtype
    wanted = math.prod(shape) * dtype.itemsize
    if any(length > MAX_FRAMES for length in shape) or wanted > MAX_BYTES:
        raise FormatError(
            f"{where}: the header declares shape {shape} ({wanted / 1024**3:.1f} GiB); at most {MAX_FRAMES} frames and "
            f"{MAX_BYTES / 1024**3:.0f} GiB are read. Split the recording, or the file is damaged."
        )
    if wanted != size - stream.tell():
        raise FormatError(
            f"{where}: the header declares shape {shape} ({wanted} bytes) but {size - stream.tell()} bytes follow. "
            "The file is cut off or damaged: write it again."
        )
    return shape, fortran, dtype


def _values(stream: BinaryIO, header: Header, where: str) -> NDArray[np.generic]:
    shape, fortran, dtype = header
    if dtype.hasobject:
        raise FormatError(f"{where} is an array of Python objects (a pickle). {TRUST_CURE}")
    if dtype.kind not in "biufUS":
        raise FormatError(f"{where} holds values of type {dtype}, wanted numbers or text.")
    wanted = math.prod(shape) * dtype.itemsize
    data = stream.read(wanted)
    if len(data) != wanted:
        raise FormatError(f"{where} is cut off: {wanted} bytes wanted, {len(data)} are there. Write the file again.")
    if wanted == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def read_npy(path: Path) -> NDArray[np.generic]:
    """The array of a ``.npy`` file.

    Raises:
        FormatError: Damaged, cut off, too large, or an object array.
    """
    path = checked_file(path)
    with path.open("rb") as stream:
        return _values(stream, _header(stream, path.stat().st_size, f"'{path}'"), f"'{path}'")


class Archive:
    """A checked ``.npz`` file: names, headers, arrays and, for the trusting, raw object members.

    Attributes:
        path: The file.
        headers: Shape, order and dtype by array name.
    """

    def __init__(self, path: Path) -> None:
        """Check the zip directory and read every array's header.

        Raises:
            FormatError: Not a zip file, damaged, a bomb, or names that escape.
        """
        self.path = checked_file(path)
        self.headers: dict[str, Header] = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        with self._zip() as archive:
            self._check(archive.infolist())
            for name, member in self._members.items():
                with archive.open(member) as stream:
                    self.headers[name] = _header(stream, member.file_size, f"'{path}', array '{name}'")  # type: ignore[arg-type]

    @contextmanager
    def _zip(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error) as error:
            raise FormatError(
                f"'{self.path}' is a damaged or cut-off .npz file ({error}). Write it again with its own tool."
            ) from None
        except (NotImplementedError, RuntimeError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"'{self.path}' is a .npz file of a form that is not read here ({error}).") from None

    def _check(self, members: list[zipfile.ZipInfo]) -> None:
        if not 0 < len(members) <= MAX_MEMBERS:
            raise FormatError(f"'{self.path}' holds {len(members)} arrays, wanted 1 to {MAX_MEMBERS}.")
        total = sum(member.file_size for member in members)
        packed = sum(member.compress_size for member in members)
        if total > MAX_BYTES or (total > BOMB_BYTES and total > BOMB_RATIO * max(packed, 1)):
            raise FormatError(
                f"'{self.path}' would unpack from {packed} to {total} bytes: too large, or a zip bomb. "
                f"At most {MAX_BYTES / 1024**3:.0f} GiB, and beyond {BOMB_BYTES // 1024**2} MiB at most "
                f"{BOMB_RATIO:.0f} times the packed size, are read. Split the recording."
            )
        for member in members:
            parts = member.filename.replace("\\", "/").split("/")
            if ".." in parts or parts[0] == "" or ":" in parts[0] or member.is_dir():
                raise FormatError(
                    f"'{self.path}' holds a member named '{member.filename}', which points outside. "
                    "No .npz writer does that: do not use this file."
                )
            if not member.filename.endswith(".npy"):
                raise FormatError(f"'{self.path}' holds '{member.filename}', which is not an array: not a .npz file.")
            name = member.filename[: -len(".npy")]
            if name in self._members:
                raise FormatError(f"'{self.path}' holds the array '{name}' twice. Write it again with one of them.")
            self._members[name] = member

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays, in file order."""
        return tuple(self._members)

    def is_object(self, name: str) -> bool:
        """Whether an array holds pickled Python objects."""
        return self.headers[name][2].hasobject

    def array(self, name: str) -> NDArray[np.generic]:
        """One array.

        Raises:
            FormatError: Cut off, damaged, or an object array.
        """
        where = f"'{self.path}', array '{name}'"
        with self._zip() as archive, archive.open(self._members[name]) as stream:
            header = _header(stream, self._members[name].file_size, where)  # type: ignore[arg-type]
            values = _values(stream, header, where)  # type: ignore[arg-type]
            stream.read(1)  # reaching the end makes zipfile compare the check sum
            return values

    def pickled(self, name: str) -> tuple[tuple[int, ...], io.BytesIO]:
        """Shape and raw pickle bytes of an object array; nothing is executed here."""
        with self._zip() as archive, archive.open(self._members[name]) as stream:
            shape, _, _ = _header(stream, self._members[name].file_size, f"'{self.path}', array '{name}'")  # type: ignore[arg-type]
            return shape, io.BytesIO(stream.read())
