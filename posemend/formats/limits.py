"""How much a file may ask for, and reading its bytes within that.

A file says how big it is in several places (size on disk, zip directory,
array header, frame numbers), and any of them may lie. Every size is compared
with a cap *before* memory is asked for.
"""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any

from posemend.errors import FormatError, InputError

MAX_FRAMES = 2_000_000  # eleven hours at 50 frames per second
MAX_BYTES = 2 * 1024**3
MAX_PEOPLE = 1_000  # per frame
DEFAULT_FPS = 30.0  # for files that carry no clock


def checked_file(path: str | Path) -> Path:
    """The path of an ordinary, non-empty file within the size cap.

    Raises:
        FormatError: No such file, a folder or device, empty, or too large.
    """
    path = Path(path)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise FormatError(f"Cannot read '{path}': {getattr(error, 'strerror', None) or error}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"'{path}' is not an ordinary file. Give the file itself.")
    if status.st_size == 0:
        raise FormatError(f"'{path}' is empty (0 bytes). Write it again with the tool it comes from.")
    if status.st_size > MAX_BYTES:
        raise FormatError(
            f"'{path}' has {status.st_size / 1024**3:.1f} GiB; at most {MAX_BYTES / 1024**3:.0f} GiB are read. "
            "Split the recording."
        )
    return path


def read_bytes(path: Path) -> bytes:
    """Contents of a file that passed `checked_file`.

    Raises:
        FormatError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"Cannot read '{path}': {error.strerror or error}.") from None


def read_text(path: Path) -> str:
    """Contents of a text file as UTF-8 (a byte order mark is dropped).

    Raises:
        FormatError: Not UTF-8, or the file cannot be read.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"'{path}' is not UTF-8 text (byte {error.start}). If it is text, save it as UTF-8; "
            "if it is binary, it is of no kind that is read here."
        ) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"the key '{twice}' occurs twice in one object")
    return table


def parse_json(path: Path) -> Any:
    """The value of a JSON file; a key that occurs twice is an error, not a choice.

    Raises:
        FormatError: Not UTF-8, not JSON, cut off, nested too deep, or a key twice.
    """
    text = read_text(path)
    if not text.strip():
        raise FormatError(f"'{path}' holds only blanks. Write it again with the tool it comes from.")
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates)
    except FormatError as error:
        raise FormatError(f"'{path}': {error}. Keep one of them.") from None
    except RecursionError:
        raise FormatError(f"'{path}' is nested too deep to be a pose file.") from None
    except MemoryError:
        raise FormatError(f"'{path}' does not fit into memory. Split the recording.") from None
    except ValueError as error:  # JSONDecodeError, or an integer of thousands of digits
        raise FormatError(
            f"'{path}' is not complete JSON ({error}). It may be cut off: write it again with the tool it comes from."
        ) from None


def checked_frames(count: int, where: str) -> int:
    """``count`` if that many frames are allowed.

    Raises:
        FormatError: None, or more than `MAX_FRAMES`.
    """
    if not 0 < count <= MAX_FRAMES:
        raise FormatError(
            f"{where} asks for {count} frames; 1 to {MAX_FRAMES} are allowed. "
            "If the recording is really that long split it; otherwise the file is damaged."
        )
    return count


def checked_fps(fps: object, where: str) -> float:
    """A frame rate above 0.

    Raises:
        InputError: Not a number above 0.
    """
    good = isinstance(fps, (int, float)) and not isinstance(fps, bool) and math.isfinite(fps) and 0 < fps <= 10_000
    if not good:
        raise InputError(
            f"{where} has fps {fps!r}, wanted a number above 0 and up to 10000. Give the true one (--fps)."
        )
    return float(fps)  # type: ignore[arg-type]


def checked_size(size: object, where: str) -> int:
    """An image width or height in pixels.

    Raises:
        InputError: Not a whole number from 1 to 1,000,000.
    """
    whole = isinstance(size, (int, float)) and not isinstance(size, bool) and math.isfinite(size) and size == int(size)
    if not whole or not 0 < size <= 1_000_000:  # type: ignore[operator]
        raise InputError(f"{where} has an image size of {size!r}, wanted pixels above 0. Give --width and --height.")
    return int(size)  # type: ignore[call-overload]
