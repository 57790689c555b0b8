"""Write poses; the kind goes by the suffix. Nothing is ever left half-written.

A file is made under another name beside its place and moved there when it is
complete. Other kinds (BVH, TRC, C3D) join by a line in `WRITERS`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from posemend.body.pose import Pose2D, Pose3D
from posemend.errors import FormatError, InputError
from posemend.formats import npz, tables

Writer = Callable[[Pose2D | Pose3D, BinaryIO], None]

WRITERS: dict[str, Writer] = {".npz": npz.write, ".json": tables.write_json, ".csv": tables.write_csv}


def _checked_target(path: str | Path, overwrite: bool) -> tuple[Path, Writer]:
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise FormatError(f"Cannot write '{path}': the suffix '{path.suffix}' is not one of {', '.join(WRITERS)}.")
    if "\0" in str(path):
        raise InputError(f"Cannot write {str(path)!r}: a file name cannot hold a zero byte.")
    try:
        if path.is_dir():
            raise InputError(f"Cannot write '{path}': it is a folder. Give the name of a file in it.")
        if not path.parent.is_dir():
            raise InputError(f"Cannot write '{path}': there is no folder '{path.parent}'. Make it first.")
        if path.exists() and not path.is_file():
            raise InputError(f"Cannot write '{path}': it is not an ordinary file.")
        if path.exists() and not overwrite:
            raise InputError(f"'{path}' exists already. Choose another name, or allow overwriting.")
    except OSError as error:
        raise InputError(f"Cannot write '{path}': {error}.") from None
    return path, writer


def _store(targets: Sequence[tuple[Path, Writer, Pose2D | Pose3D]]) -> None:
    """Write all under temporary names, then move all into place."""
    made: list[tuple[Path, Path]] = []
    try:
        for path, writer, pose in targets:
            temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
            made.append((temporary, path))
            with temporary.open("wb") as stream:
                writer(pose, stream)
                stream.flush()
                os.fsync(stream.fileno())
        for temporary, path in made:
            os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"Cannot write '{made[-1][1] if made else ''}': {error.strerror or error}.") from None
    finally:
        for temporary, _ in made:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write(path: str | Path, pose: Pose2D | Pose3D, *, overwrite: bool = True) -> Path:
    """Write one person; ``.npz`` loses nothing, ``.json`` and ``.csv`` are for other programs.

    Args:
        path: Where to; the suffix chooses among `WRITERS`.
        pose: 2D in pixels or 3D in metres.
        overwrite: Replace a file that is there.

    Returns:
        The path written.

    Raises:
        FormatError: No writer for this suffix.
        InputError: The place cannot be written, or is taken.
    """
    target, writer = _checked_target(path, overwrite)
    _store([(target, writer, pose)])
    return target


def write_people(path: str | Path, poses: Sequence[Pose2D | Pose3D], *, overwrite: bool = True) -> list[Path]:
    """Write everybody: one person to ``out.npz``, several to ``out.p0.npz``, ``out.p1.npz``, …; all or none.

    Returns:
        The paths written, in the order of ``poses``.

    Raises:
        FormatError: No writer for this suffix.
        InputError: Nobody, or a place cannot be written.
    """
    if not poses:
        raise InputError(f"Cannot write '{path}': there is nobody to write.")
    path = Path(path)
    if len(poses) == 1:
        return [write(path, poses[0], overwrite=overwrite)]
    names = [path.with_name(f"{path.stem}.p{number}{path.suffix}") for number in range(len(poses))]
    targets = [(*_checked_target(name, overwrite), pose) for name, pose in zip(names, poses, strict=True)]
    _store(targets)
    return [target for target, _, _ in targets]
