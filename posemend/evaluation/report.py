"""Results on disk: ``results/<name>.json``, checked, with where they came from; and tables made of them."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from posemend.errors import InputError

SCHEMA = 1

_PACKAGES = ("posemend", "numpy", "scipy", "onnxruntime", "torch")
_COLUMNS = ("all", "visible", "hidden")
_NAMES: dict[str, tuple[type, ...]] = {
    "on": (str,), "input": (str,), "split": (str, dict), "lifter": (str, type(None)),
    "refiner": (str, type(None)), "seed": (int,),
}  # fmt: skip
_NUMBERS = ("mpjve_mm", "accel_mm", "pck150", "auc150")


def check_result(result: Mapping[str, Any]) -> None:
    """Hold a result against the schema of the evaluation protocol.

    Raises:
        InputError: Something is missing or of the wrong kind; the message lists all of it.
    """
    if not isinstance(result, Mapping):
        raise InputError(f"A result wants a JSON object, got {type(result).__name__}.")
    wrong: list[str] = []
    protocol = result.get("protocol")
    if not isinstance(protocol, Mapping):
        wrong.append("'protocol' wants an object")
    else:
        wrong += [
            f"'protocol.{key}' is missing or of the wrong kind"
            for key, kind in _NAMES.items()
            if key not in protocol or not isinstance(protocol[key], kind) or isinstance(protocol[key], bool)
        ]
    for key in ("clips", "frames"):
        if not isinstance(result.get(key), int) or isinstance(result.get(key), bool) or result[key] < 1:
            wrong.append(f"'{key}' wants a whole number above 0")
    for key, parts in (("mpjpe_mm", _COLUMNS), ("p_mpjpe_mm", _COLUMNS), ("harm_mm", ("mean", "worst_clip"))):
        table = result.get(key)
        for part in parts:
            if not isinstance(table, Mapping) or part not in table or not number_or_none(table[part]):
                wrong.append(f"'{key}.{part}' wants a number or null")
    wrong += [
        f"'{key}' wants a number or null" for key in _NUMBERS if key not in result or not number_or_none(result[key])
    ]
    interval = result.get("ci95_mm", False)
    pair = isinstance(interval, list) and len(interval) == 2 and all(number_or_none(end) for end in interval)
    if interval is not None and not pair:
        wrong.append("'ci95_mm' wants [low, high] or null")
    try:
        json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        wrong.append(f"it cannot be written as strict JSON ({error})")
    if wrong:
        raise InputError("This is not a result of `evaluate`: " + "; ".join(wrong) + ".")


def write_result(folder: str | Path, name: str, result: Mapping[str, Any]) -> Path:
    """Write a result to ``<folder>/<name>.json`` (see ``save``) and give the path.

    Raises:
        InputError: The result breaks the schema, or the name is not a plain file name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise InputError(f"A result wants a plain name (letters, digits, . _ + -), got '{name}'.")
    folder = Path(folder)
    check_result(result)
    folder.mkdir(parents=True, exist_ok=True)
    return save(folder / f"{name}.json", result)


def save(
    path: str | Path, result: Mapping[str, Any], check: Callable[[Mapping[str, Any]], None] = check_result
) -> Path:
    """Write a checked result to a file, whole or not at all, and give the path.

    Adds ``schema``, ``commit`` (null outside a checkout), ``machine`` and
    ``versions``; leaves everything else as it is.

    Args:
        path: Of the file.
        result: What ``evaluate`` gave, or what ``check`` is for.
        check: Raises an ``InputError`` unless the result fits its schema.

    Raises:
        InputError: The result breaks the schema, or the file cannot be written.
    """
    path = Path(path)
    check(result)
    full = {"schema": SCHEMA, **result, "commit": commit(), "machine": _machine(), "versions": _versions()}
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(full, file, indent=1, allow_nan=False, ensure_ascii=False)
            file.write("\n")
        os.chmod(temporary, 0o644)  # mkstemp's files are for the owner alone
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(
                f"Cannot write '{path}' ({error.strerror or error}). Name a folder that exists."
            ) from error
        raise
    return path


def load(path: str | Path, what: str, check: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """JSON from disk, held against its schema by ``check``; ``what`` names it in errors.

    Raises:
        InputError: The file is missing, is not JSON, or breaks the schema.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as {what} ({error}).") from error
    check(found)
    return found


def read_result(path: str | Path) -> dict[str, Any]:
    """A result from disk, checked; raises ``InputError`` as ``load``."""
    return load(path, "a result", check_result)


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """A Markdown table, one row per result, and one above it for the raw pose where there is one."""
    lines = [
        "| on | split | input | lifter | refiner | MPJPE all | visible | hidden | P-MPJPE | MPJVE | PCK@150 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        protocol = result["protocol"]
        rows = [(protocol["refiner"] or "–", result)]
        if result.get("raw"):
            rows.insert(0, ("– (raw)", result["raw"]))
        for refiner, numbers in rows:
            values = [
                *(numbers["mpjpe_mm"][column] for column in _COLUMNS),
                numbers["p_mpjpe_mm"]["all"], numbers["mpjve_mm"], numbers["pck150"],
            ]  # fmt: skip
            cells = [protocol["on"], _words(protocol["split"]), protocol["input"], protocol["lifter"] or "–", refiner]
            cells += ["–" if value is None else f"{value:.1f}" for value in values]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _words(split: str | Mapping[str, Any]) -> str:
    """A split in a table cell: its name, or what it lists."""
    if isinstance(split, str):
        return split
    lists = [part for part in split.values() if part]
    return "; ".join(" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in lists) or "all"


def number_or_none(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# written while results are measured; they change no figure
NO_CODE = (":(top,exclude)results", ":(top,exclude)docs/results.md")


def commit() -> str | None:
    """The commit of the checkout that this lies in, ``-dirty`` if more than results changed; ``None`` elsewhere."""
    here = Path(__file__).resolve()

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here.parent), *words], capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # Installed inside somebody else's repository, that repository's commit would mean nothing.
    if git("ls-files", "--error-unmatch", here.name) is None:
        return None
    commit = git("describe", "--always", "--abbrev=12", "--exclude=*")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", *NO_CODE)
    return f"{commit}-dirty" if commit and changed else commit or None


def _machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return {"cpu": model, "cores": cores, "system": platform.system()}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
