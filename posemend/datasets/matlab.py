"""Named variables of MATLAB files, old (version 5 to 7, through SciPy) and new (7.3, which is HDF5, through h5py).

Both give arrays in MATLAB's own order of indices; a cell array becomes a list
of arrays, column by column as MATLAB numbers it. Nothing else (structs,
objects, functions) is let in.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.errors import FormatError, require
from posemend.formats.limits import MAX_BYTES, checked_file

Variable = NDArray[Any] | list[NDArray[Any]]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADERS = (0, 512, 1024, 2048)  # where HDF5 may begin; MATLAB puts its own 512 bytes first


def load_matlab(path: Path, wanted: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Variable]:
    """The named variables.

    Args:
        path: The file.
        wanted: Variables that must be there.
        optional: Variables that are taken along where they are.

    Raises:
        FormatError: The file is missing, damaged, too large, lacks a variable, or holds something that is no array.
        MissingExtra: The file is MATLAB 7.3 and h5py is not installed.
    """
    path = checked_file(path)
    names = [*wanted, *optional]
    with path.open("rb") as stream:
        head = stream.read(_HEADERS[-1] + len(_HDF5))
    new = any(head[at : at + len(_HDF5)] == _HDF5 for at in _HEADERS)
    try:
        found = _new(path, names) if new else _old(path, names)
    except FormatError:
        raise
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, IndexError) as error:
        raise FormatError(f"{path} is not a readable MATLAB file ({error}). Fetch it again.") from None
    missing = [name for name in wanted if name not in found]
    if missing:
        raise FormatError(f"{path} lacks the variables {', '.join(missing)}. Is it a file of this data set?")
    return found


def _old(path: Path, names: list[str]) -> dict[str, Variable]:
    from scipy.io import loadmat

    table = loadmat(str(path), variable_names=names)
    return {name: _checked(table[name], f"{path}, '{name}'") for name in names if name in table}


def _checked(value: NDArray[Any], where: str) -> Variable:
    if value.dtype == object:
        return [_numbers(cell, where) for cell in value.ravel(order="F")]
    return _numbers(value, where)


def _numbers(value: Any, where: str) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise FormatError(f"{where}: wanted arrays of numbers, got {getattr(value, 'dtype', type(value).__name__)}.")
    return value


def _new(path: Path, names: list[str]) -> dict[str, Variable]:
    h5py = require("h5py", "datasets")
    found: dict[str, Variable] = {}
    with h5py.File(path, "r") as file:
        for name in names:
            if name not in file:
                continue
            entry, where = file[name], f"{path}, '{name}'"
            if not isinstance(entry, h5py.Dataset):
                raise FormatError(f"{where}: wanted an array, got a group.")
            if h5py.check_ref_dtype(entry.dtype) is None:
                found[name] = _dataset(entry, where)
                continue
            # HDF5 holds everything transposed, so rows of references are MATLAB's columns
            references = np.asarray(entry[()]).ravel()
            found[name] = [_dataset(file[reference], where) for reference in references]
    return found


def _dataset(entry: Any, where: str) -> NDArray[Any]:
    if getattr(entry, "nbytes", MAX_BYTES + 1) > MAX_BYTES:
        raise FormatError(f"{where} is no array, or one above {MAX_BYTES / 1024**3:.0f} GiB.")
    return _numbers(np.asarray(entry[()]).T, where)
