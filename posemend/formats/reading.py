"""Read any known file as poses: the kind is told from the content, people come one by one."""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posemend.body.pose import Pose2D, Pose3D
from posemend.body.skeleton import Skeleton
from posemend.errors import FormatError, InputError, PosemendError
from posemend.formats import arrays, mediapipe, npz, openpose, predictions, recognise, results, tables, videopose3d
from posemend.formats.archive import Archive
from posemend.formats.assembly import people
from posemend.formats.detections import Detections
from posemend.formats.layouts import named
from posemend.formats.limits import DEFAULT_FPS, checked_file, checked_fps, checked_size, parse_json, read_text

Size = tuple[int | None, int | None]
Found = Detections | Pose2D | Pose3D | list[Pose2D]
# What a damaged file can make the standard library raise. Readers check what they can name; this is the net below.
_DAMAGE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError, MemoryError, EOFError,
    OSError, struct.error, zlib.error, csv.Error,
)  # fmt: skip


def read_people(
    path: str | Path,
    *,
    kind: str | None = None,
    skeleton: str | Skeleton | None = None,
    fps: float | None = None,
    width: int | None = None,
    height: int | None = None,
    trust: bool = False,
    key: str | None = None,
) -> list[Pose2D] | list[Pose3D]:
    """Everybody in a file or folder, all on one clock, the one seen most first.

    Frames without a detection stay in place with score 0. People without ids
    are followed over time; short junk tracks are left out with a warning.

    Args:
        path: A file, or a folder of OpenPose JSON.
        kind: One of `KINDS`; ``None`` = told from the content.
        skeleton: Name of the joints' order, where the file does not settle it.
        fps: Frames per second; ``None`` = the file's, or 30 where it has none.
        width: Image width in pixels; ``None`` = the file's.
        height: Image height in pixels; ``None`` = the file's.
        trust: Open VideoPose3D-style object arrays (only data is let in).
        key: Which array of a bare ``.npz``.

    Returns:
        2D in pixels or 3D in metres; at least one person.

    Raises:
        FormatError: Not readable, damaged, too large, or of no known kind.
        InputError: Something is missing that the file does not say, or nobody is there.
        SkeletonError: Joints fit no skeleton, or not the one named.
    """
    path = Path(path)
    where = f"'{path}'"
    if kind is not None and kind not in recognise.KINDS:
        raise FormatError(f"No kind is called '{kind}'. Choose one: {recognise.choices()}.")
    fps = None if fps is None else checked_fps(fps, "The call")
    size = tuple(None if value is None else checked_size(value, "The call") for value in (width, height))
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows float32 becomes inf, and is refused as that
            found = _load(path, kind, named(skeleton), fps, size, trust, key)  # type: ignore[arg-type]
        if isinstance(found, Detections):
            found.width, found.height = size[0] or found.width, size[1] or found.height
            return people(found, fps or found.fps or DEFAULT_FPS, where)
    except PosemendError:
        raise
    except _DAMAGE as error:
        raise FormatError(
            f"{where} cannot be read: {type(error).__name__}: {str(error)[:200]}. The file is damaged, or not what it "
            "seems; write it again with the tool it comes from, or name its kind (--kind)."
        ) from error
    return found if isinstance(found, list) else [found]  # type: ignore[return-value]


def read(
    path: str | Path,
    *,
    person: int | str | None = None,
    kind: str | None = None,
    skeleton: str | Skeleton | None = None,
    fps: float | None = None,
    width: int | None = None,
    height: int | None = None,
    trust: bool = False,
    key: str | None = None,
) -> Pose2D | Pose3D:
    """One person of a file; arguments as in `read_people`.

    Args:
        person: Name (the file's id, or ``p0``, ``p1``, …) or place from 0.
            Needed when there are several.

    Raises:
        InputError: Several people and nobody named, or no such person; the message names the choices.
    """
    everybody: Sequence[Pose2D | Pose3D] = read_people(
        path, kind=kind, skeleton=skeleton, fps=fps, width=width, height=height, trust=trust, key=key
    )
    if person is None and len(everybody) == 1:
        return everybody[0]
    names = [one.name for one in everybody]
    listing = ", ".join(f"{name} ({int((one.score > 0).any(1).sum())} frames)"
                        for name, one in list(zip(names, everybody, strict=True))[:20])  # fmt: skip
    listing += f", and {len(names) - 20} more" if len(names) > 20 else ""
    if person is None:
        raise InputError(f"'{path}' has {len(everybody)} people. Choose one (--person NAME): {listing}.")
    if str(person) in names:
        return everybody[names.index(str(person))]
    if str(person).isascii() and str(person).isdigit() and len(str(person)) < 9 and int(person) < len(everybody):
        return everybody[int(person)]
    raise InputError(f"'{path}' has no person '{person}'. It has: {listing}.")


def _load(
    path: Path, kind: str | None, skeleton: Skeleton | None, fps: float | None, size: Size, trust: bool, key: str | None
) -> Found:
    if path.is_dir():
        if kind not in (None, "openpose"):
            raise FormatError(f"'{path}' is a folder; only kind openpose is read from folders. Give a file.")
        return openpose.read(path, skeleton)
    checked_file(path)
    with path.open("rb") as stream:
        form = recognise.of_bytes(stream.read(256))
    if form in ("npy", "npz"):
        return _load_arrays(path, form, kind, skeleton, fps, size, trust, key)
    if form == "json":
        content = parse_json(path)
        return _load_json(content, path, kind or recognise.of_json(content, path), skeleton, fps, size)
    text = read_text(path)
    kind = kind or recognise.of_text(text, path)
    if kind == "mediapipe":
        return mediapipe.read_csv(text, path, skeleton, fps, *size)
    if kind == "posemend" and tables.is_csv(mediapipe.column_names(text.split("\n", 1)[0])):
        return tables.read_csv(text, path, skeleton, fps, size)
    raise FormatError(f"'{path}' is not a file of kind '{kind}'. Leave out --kind, or choose: {recognise.choices()}.")


def _load_arrays(
    path: Path,
    form: str,
    kind: str | None,
    skeleton: Skeleton | None,
    fps: float | None,
    size: Size,
    trust: bool,
    key: str | None,
) -> Found:
    archive = Archive(path) if form == "npz" else None
    kind = kind or (recognise.of_archive(archive) if archive is not None else "array")
    if kind == "array":
        return arrays.read(path, skeleton, fps, size, key)
    if archive is not None and kind == "videopose3d":
        return videopose3d.read(path, skeleton, fps, size, trust)
    if archive is not None and kind == "posemend":
        return npz.read(archive, skeleton, fps, size)
    raise FormatError(f"'{path}' is an array file, not kind '{kind}'. Leave out --kind.")


def _load_json(content: Any, path: Path, kind: str, skeleton: Skeleton | None, fps: float | None, size: Size) -> Found:
    if kind == "posemend" and tables.is_json(content):
        return tables.read_json(content, path, skeleton, fps, size)
    if kind == "openpose":
        return openpose.read(path, skeleton)
    if kind in ("alphapose", "coco"):
        if isinstance(content, dict):
            truth = "annotations" in content
            return (results.read_truth if truth else results.read_images)(content, path, skeleton)
        return results.read_list(content, path, skeleton)
    if kind == "mmpose":
        return predictions.read_mmpose(content, path, skeleton)
    if kind == "gastnet":
        return predictions.read_gastnet(content, path, skeleton, *size)
    if kind == "mediapipe":
        return mediapipe.read_json(content, path, skeleton, fps, *size)
    raise FormatError(f"'{path}' is JSON, but not of kind '{kind}'. Leave out --kind.")
