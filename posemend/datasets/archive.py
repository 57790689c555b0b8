"""What lies in a data set's files: named arrays, and dicts that somebody pickled; errors say what was looked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from posemend.errors import FormatError
from posemend.formats.archive import TRUST_CURE, Archive
from posemend.formats.limits import checked_file
from posemend.formats.unpickle import unpickle


def load_arrays(path: Path, wanted: Iterable[str], optional: Iterable[str] = ()) -> dict[str, NDArray[Any]]:
    """The named arrays of one ``.npz``. No pickle is opened, nothing oversized is unpacked.

    Args:
        path: The file.
        wanted: Keys that must be there.
        optional: Keys that are taken along where they are.

    Raises:
        FormatError: The file is missing, damaged, too large, lacks a key, or
            holds Python objects in one of the keys asked for.
    """
    wanted = list(wanted)
    if not path.is_file():
        raise FormatError(f"Looked for {path}, which is not there. Check the root folder of the data set.")
    archive = Archive(path)
    missing = [key for key in wanted if key not in archive.names]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}. It holds: {', '.join(archive.names)}. Is it a file of this data set?"
        )
    return {key: archive.array(key) for key in [*wanted, *(key for key in optional if key in archive.names)]}


def load_dict(path: Path, key: str, trust: bool) -> dict[str, Any]:
    """The dict that lies pickled in one array of a ``.npz``, as ``numpy.savez(path, key=a_dict)`` leaves it.

    Args:
        path: The file.
        key: Name of the array.
        trust: Whether the user trusts the file. Even then only arrays, dicts, lists, texts and numbers are let in.

    Raises:
        FormatError: The file is missing, damaged or not trusted, lacks the key, or holds anything but data.
    """
    if not path.is_file():
        raise FormatError(f"Looked for {path}, which is not there. Check the root folder of the data set.")
    archive = Archive(path)
    if key not in archive.names or not archive.is_object(key):
        raise FormatError(
            f"{path} has no dict '{key}'. It holds: {', '.join(archive.names)}. Is it a file of this data set?"
        )
    where = f"{path}, array '{key}'"
    if not trust:
        raise FormatError(f"{where} is an array of Python objects (a pickle). {TRUST_CURE}")
    shape, stream = archive.pickled(key)
    value = unpickle(stream, where)
    value = value[()] if shape == () and getattr(value, "shape", None) == () else value
    if not isinstance(value, dict):
        raise FormatError(f"{where}: wanted a dict, got {type(value).__name__}.")
    return value


def load_pickle(path: Path, trust: bool) -> dict[str, Any]:
    """The dict of a bare pickle file (Python 2's too).

    Raises:
        FormatError: As in ``load_dict``.
    """
    path = checked_file(path)
    if not trust:
        raise FormatError(f"{path} is a pickle. {TRUST_CURE}")
    with path.open("rb") as stream:
        value = unpickle(stream, str(path))
    if not isinstance(value, dict):
        raise FormatError(f"{path}: wanted a dict, got {type(value).__name__}.")
    return value
