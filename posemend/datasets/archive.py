"""The named arrays of a data set's ``.npz``, with an error that says what was looked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from posemend.errors import FormatError
from posemend.formats.archive import Archive


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
