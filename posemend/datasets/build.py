"""Folders of raw motion files to one pack, with a report of what became of every file.

Each file is converted on its own, in worker processes, and the finished piece
is kept beside the pack until the pack is written. A build that was killed
therefore goes on where it stopped, and as pieces are always put together in
the order of their names, the pack has the same bytes whatever the number of
workers and however often it was stopped. A piece is looked up by the content
of its file and by the settings, so a changed file is converted again.

A file that cannot be read, or that crashes a reader, is reported and left out;
the others go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemend.body.catalogue import H36M_17
from posemend.datasets import mocap, packs
from posemend.datasets.packs import Motion
from posemend.datasets.workers import spread
from posemend.errors import FormatError, InputError, PosemendError
from posemend.formats.archive import Archive
from posemend.formats.asf_amc import find_skeleton

CONVERSION = 1  # raise it when the same file gives another piece, so that old pieces are not taken for new ones

Report = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One file to convert.

    Attributes:
        path: The file.
        label: How the report calls it: its path under the folder that was given.
        settings: What the build asks for.
        parts: Folder of finished pieces.
    """

    path: Path
    label: str
    settings: mocap.Settings
    parts: Path


def find(folders: Iterable[Path]) -> list[tuple[Path, str]]:
    """Motion files in folders (and below) and their labels, in order of label, whatever the file system says.

    Raises:
        InputError: A folder is not there, or there is no motion file at all.
    """
    found: dict[Path, str] = {}
    folders = list(folders)
    for folder in folders:
        if folder.is_file():
            files = [(folder, folder.name)]
        elif folder.is_dir():
            files = [(path, path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()]
        else:
            raise InputError(f"Looked for motion files in '{folder}', which is not there.")
        for path, label in files:
            if path.suffix.lower() in mocap.SUFFIXES:
                found.setdefault(path.resolve(), label if len(folders) == 1 else f"{folder.name}/{label}")
    if not found:
        raise InputError(
            f"There is no motion file ({', '.join(mocap.SUFFIXES)}) in {', '.join(map(str, folders)) or 'nothing'}."
        )
    return sorted(found.items(), key=lambda pair: (pair[1], str(pair[0])))


def _key(job: Job) -> str:
    """What a piece depends on: content, name (it tells CMU's frame rate), skeleton, settings."""
    digest = hashlib.sha256(f"{CONVERSION}\n{job.path.name}\n{json.dumps(asdict(job.settings))}\n".encode())
    digest.update(hashlib.sha256(job.path.read_bytes()).digest())
    if job.path.suffix.lower() == ".amc":
        digest.update(hashlib.sha256(find_skeleton(job.path).read_bytes()).digest())
    return digest.hexdigest()[:40]


def _convert(job: Job) -> Report:
    """Convert one file, or find its finished piece; gives the file's part of the report, and where the pieces are."""
    try:
        part = job.parts / f"{_key(job)}.npz"
        if (done := _finished(part)) is not None:
            return done | {"part": part.name}
        result = mocap.convert(job.path, job.settings)
        report: Report = result.facts | {
            "pieces": [len(piece) for piece in result.pieces],
            "dropped": result.dropped,
            "remarks": result.remarks,
        }
        arrays = {f"piece_{place}": piece.astype(np.float32) for place, piece in enumerate(result.pieces)}
        partial = part.with_name(f".{part.stem}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, report=np.array(json.dumps(report)), **arrays)
        partial.replace(part)
        return report | {"part": part.name}
    except (PosemendError, OSError) as error:
        return {"why": str(error)}
    except MemoryError:
        return {"why": "does not fit into memory"}
    except Exception as error:  # whatever a file does to a reader, the others go on
        return {"why": f"broke its reader ({type(error).__name__}: {error})"}


def _finished(part: Path) -> Report | None:
    """The report of a finished piece, ``None`` where there is none or it is damaged."""
    if not part.is_file():
        return None
    try:
        found = json.loads(str(Archive(part).array("report")))
    except (FormatError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _converted(jobs: Sequence[Job], workers: int) -> Iterator[tuple[int, Report]]:
    """Reports as they come, with the place of their job.

    C3D files go through a C++ library, which may crash: never in this process.
    """
    if workers == 1 and not any(job.path.suffix.lower() == ".c3d" for job in jobs):
        yield from ((place, _convert(job)) for place, job in enumerate(jobs))
        return
    for place, report in spread(_convert, jobs, workers):
        yield place, {"why": "crashed its reader"} if report is None else report


def build(
    folders: Sequence[str | Path],
    out: str | Path,
    settings: mocap.Settings,
    *,
    licence: str = "not stated",
    names: str | None = None,
    workers: int = 1,
    report: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Make a pack of all motion files in folders.

    Args:
        folders: Folders, searched to any depth, or single files.
        out: The pack to write, ``.npz``.
        settings: How files are converted.
        licence: What the pack says may be done with it.
        names: Regular expression with groups ``subject`` and ``action``, searched in a file's stem;
            left out, the subject is what stands before the first ``_``, and the action is the stem.
        workers: Processes.
        report: Where the report goes; ``OUT.report.json`` if left out.
        progress: Called with (files done, files in all).

    Returns:
        The report, as it is written.

    Raises:
        InputError: No files, an impossible setting, or nothing is left of them.
        OSError: The pack or a piece cannot be written.
    """
    out = Path(out)
    pattern = _pattern(names)
    files = find([Path(folder) for folder in folders])
    parts = out.with_name(f".{out.name}.parts")
    parts.mkdir(exist_ok=True)
    jobs = [Job(path, label, settings, parts) for path, label in files]
    found: dict[int, Report] = {}
    for place, facts in _converted(jobs, max(1, workers)):
        found[place] = facts
        if progress is not None:
            progress(len(found), len(jobs))
    stems = Counter(job.path.stem for job in jobs)
    motions: list[Motion] = []
    rows = []
    for place, job in enumerate(jobs):
        facts = dict(found[place])
        name = job.path.stem if stems[job.path.stem] == 1 else str(Path(job.label).with_suffix("").as_posix())
        part = facts.pop("part", None)
        if part is not None:
            archive = Archive(parts / part)
            for number in range(len(facts["pieces"])):
                motions.append(
                    _motion(
                        archive.array(f"piece_{number}"), job.path.stem, name, settings.rate, out.stem, licence, pattern
                    )
                )
        kept = bool(facts.get("pieces"))
        rows.append({"file": job.label, "kept": kept, **facts})
    whole: Report = {
        "pack": out.name,
        "settings": asdict(settings) | {"licence": licence, "names": names},
        "totals": {
            "files": len(rows),
            "files_kept": sum(row["kept"] for row in rows),
            "sequences": len(motions),
            "frames": sum(map(len, motions)),
            "seconds": round(sum(map(len, motions)) / settings.rate, 3),
        },
        "files": rows,
    }
    report = out.with_suffix(".report.json") if report is None else Path(report)
    report.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if not motions:
        shutil.rmtree(parts, ignore_errors=True)
        raise InputError(f"Nothing is left of {len(rows)} files; {report} says why, file by file.")
    packs.write(out, motions)
    shutil.rmtree(parts, ignore_errors=True)
    return whole


def _pattern(names: str | None) -> re.Pattern[str] | None:
    if names is None:
        return None
    try:
        pattern = re.compile(names)
    except re.error as error:
        raise InputError(f"--names '{names}' is no regular expression: {error}.") from None
    if not {"subject", "action"} & set(pattern.groupindex):
        raise InputError(f"--names '{names}' wants a group (?P<subject>...) or (?P<action>...).")
    return pattern


def _motion(
    positions: NDArray[Any], stem: str, name: str, rate: float, source: str, licence: str,
    pattern: re.Pattern[str] | None,
) -> Motion:  # fmt: skip
    labels = {"subject": stem.split("_")[0], "action": stem}
    match = pattern.search(stem) if pattern else None
    if match:
        labels |= {key: value for key, value in match.groupdict().items() if value is not None and key in labels}
    return Motion(positions, H36M_17, rate, labels["subject"], labels["action"], name, source, licence)


def reasons(report: Report) -> list[tuple[str, int, str]]:
    """Why something was left out, how often, and the first file where it was; for a table."""
    count: Counter[str] = Counter()
    example: dict[str, str] = {}
    for row in report["files"]:
        whys = [row["why"]] if "why" in row else [part["why"] for part in row.get("dropped", [])]
        for why in whys:
            short = re.sub(r"^'[^']*':? ?", "", why)
            count[short] += 1
            example.setdefault(short, row["file"])
    return [(why, times, example[why]) for why, times in count.most_common()]
