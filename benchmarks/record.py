"""What the benchmarks write: where figures come from, what a record must hold, and files whole or not at all."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

SCHEMA = 1
RUNNERS = (
    "videopose3d_dense", "videopose3d_window", "videopose3d_window_strided",
    "lift", "refine", "lift_refine", "refine_other",
)  # fmt: skip


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(row, dict) for row in value.values())


def _list(value: Any) -> bool:
    return isinstance(value, list)


Rules = dict[str, Callable[[Any], bool]]

_ALWAYS: Rules = {"machine.cpu": _text, "machine.cores": _whole, "versions.python": _text}
_RULES: dict[str, Rules] = {
    "speed": {
        "settings.bundle": _text, "settings.threads": _whole, "settings.quick": _flag, "settings.repeats": _whole,
        "models.lift.parameters": _whole, "models.refine.parameters": _whole,
        "models.videopose3d.parameters": _whole, "models.videopose3d.receptive_field": _whole,
        "models.videopose3d.channels": _whole, "models.videopose3d.weights": _text,
        **{f"throughput.{name}.{key}": rule for name in RUNNERS
           for key, rule in (("frames", _whole), ("median_s", _positive), ("fps", _positive), ("seconds", _list))},
        "ratios.lift_refine_to_videopose3d_dense.by_medians": _positive,
        "ratios.lift_refine_to_videopose3d_window_strided.by_medians": _positive,
        "people": _rows,
        "growth.rows": _rows, "growth.start_s": _positive, "growth.exponent": _finite,
        "growth.bytes_per_frame": _finite,
        "hour.frames": _whole, "hour.median_s": _positive, "hour.peak_mb": _positive,
        "start.bare_s": _positive, "start.import_s": _positive, "start.import_beyond_bare_s": _finite,
        "start.importtime_s": _positive, "start.help_s": _positive,
        "load.before": _finite, "load.after": _finite, "targets": _list, "remarks": _list,
        "versions.onnxruntime": _text,
    },
    "lifters": {
        "settings.threads": _whole, "settings.quick": _flag, "settings.repeats": _whole, "versions.torch": _text,
        "lifters": lambda value: isinstance(value, dict) and bool(value) and all(
            _whole(_at(row, "parameters")) and _positive(_at(row, "fps")) and _positive(_at(row, "median_s"))
            for row in value.values()
        ),
    },
    "depth": {
        "settings.clips": _whole, "settings.frames": _whole, "settings.seed": _whole, "settings.quick": _flag,
        **{f"stages.plain.{stage}.{part}.{key}": rule
           for stage in ("raw", "patch", "lift", "body", "cloud", "weighed", "chain")
           for part in ("all", "visible", "hidden") for key, rule in (("mean_mm", _positive), ("map10", _finite))},
        "body_alone.before.all.mean_mm": _positive, "body_alone.after.all.mean_mm": _positive,
        "speed.fps": _positive, "speed.threads": _whole, "seeds_of_training": _whole,
        "versions.onnxruntime": _text,
    },
    "install": {
        "settings.constraints": _flag, "settings.extras": _list,
        "seconds.environment": _positive, "seconds.install": _positive,
        "packages.count": _whole, "packages.list": _rows,
        "size_mb.site_packages": _positive, "size_mb.without_pip": _positive, "size_mb.posemend": _positive,
        "unwanted": _list, "doctor.healthy": _flag, "demo.passed": _flag, "passed": _flag,
    },
    "ablation": {
        "settings.table": _text, "settings.steps": _whole, "settings.seeds": _whole, "settings.on": _text,
        "settings.seconds_per_run": _positive,
        **{f"raw_mm.{situation}.{column}": _positive for situation in ("missing", "detector", "flagged")
           for column in ("all", "visible", "hidden")},
        "rows": _rows, "gains": _list,
    },
    "adapt": {
        "settings.clips": _list, "settings.input": _text, "settings.several": _flag, "settings.bundle": _text,
        "settings.minutes": _positive, "settings.seeds": _list, "before_mm.all": _positive, "rows": _rows,
        "versions.torch": _text,
    },
    "labels": {
        "settings.on": _text, "settings.network": _text, "settings.input": _text, "settings.steps": _whole,
        "settings.seeds": _list, "settings.quick": _flag, "settings.watched": _text,
        "rows": _rows, "summary": _rows, "versions.torch": _text,
    },
    "calibration": {"sets": lambda value: isinstance(value, dict) and bool(value)},
    "flags": {
        "settings.subject": _text, "settings.every": _whole, "settings.validation": _list,
        "fitted.girth": _positive, "fitted.slack_m": _positive, "border.threshold": _positive,
        **{f"scores.{part}.{name}.{key}": _finite for part in ("training", "validation")
           for name in ("nothing_hidden", "default", "fitted", "border")
           for key in ("agreement", "balanced", "hidden_said", "hidden_true")},
    },
    "labelling": {
        "settings.repeats": _whole, "settings.frames": _whole, "agreement.embree": _positive,
        **{f"labels.{name}.{key}": _positive for name in ("rig", "rig-objects", "crowd", "rig soft")
           for key in ("triples", "median_cpu_s", "per_second")},
        "embree.per_second": _positive, "ratio_to_embree": _positive,
        "blender.per_second": _positive, "blender.equal": _positive, "ratio_to_blender": _positive,
        "batches.step_cpu_s": _positive, "batches.rays_cpu_s": _positive, "batches.spans_cpu_s": _positive,
        "batches.ahead": _positive,
    },
    "detections": {"settings.fitted": _list, "settings.checked": _list, "settings.draws": _whole, "detectors": _table},
    "presets": {
        "settings.scenes": _whole,
        **{f"pairs.{name}.{key}": _finite for name in ("rig", "rig-objects")
           for key in ("worst", "overlap_runs", "overlap_hidden", "ratio.run_median", "ratio.hidden_mean")},
    },
}  # fmt: skip


def check(record: Mapping[str, Any], published: bool = False) -> None:
    """Hold a record against what its kind must hold.

    Args:
        record: As read from JSON, or as it is going to be written.
        published: Also refuse what is no measurement: a quick try, or an install that failed.

    Raises:
        ValueError: Something is missing, of the wrong kind or contradicts itself; the message lists all of it.
    """
    kind = record.get("kind")
    if kind not in _RULES or record.get("schema") != SCHEMA:
        raise ValueError(
            f"A benchmark's record wants kind {' or '.join(_RULES)} and schema {SCHEMA}, "
            f"got {kind!r} and {record.get('schema')!r}."
        )
    rules = _RULES[kind] | _ALWAYS
    wrong = [f"'{path}' is missing or makes no sense" for path, rule in rules.items() if not rule(_at(record, path))]
    if "commit" not in record:
        wrong.append("'commit' is missing (null outside a checkout)")
    if not wrong:
        wrong += _contradictions(record)
    if not wrong and published:
        wrong += _unfit(record)
    try:
        json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        wrong.append(f"it cannot be written as strict JSON ({error})")
    if wrong:
        raise ValueError(f"This is no record of kind '{kind}': " + "; ".join(wrong) + ".")


def _at(record: Any, path: str) -> Any:
    for key in path.split("."):
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def _contradictions(record: Mapping[str, Any]) -> list[str]:
    """Figures that were derived and do not fit what they were derived from."""
    if record["kind"] == "ablation":
        from benchmarks.ablation import contradictions

        return contradictions(record)
    if record["kind"] == "install":
        good = record["doctor"]["healthy"] and record["demo"]["passed"] and not record["unwanted"]
        return [] if record["passed"] == good else ["'passed' is not what doctor, demo and packages say"]
    if record["kind"] == "lifters":
        rows = record["lifters"].items()
        return [f"'lifters.{name}' has fps that are not frames by seconds" for name, row in rows
                if not math.isclose(row["fps"] * row["median_s"], row["frames"], rel_tol=1e-3)]  # fmt: skip
    if record["kind"] == "labels":
        return _means_apart(record)
    if record["kind"] == "adapt":
        return ["a row was handed over and says no error" for row in record["rows"]
                if row.get("handed_over") and not _positive(_at(row, "mm.all"))]  # fmt: skip
    if record["kind"] == "depth":
        shares = [row[part]["map10"] for row in record["stages"]["plain"].values() for part in ("all", "visible")]
        return [] if all(0 <= share <= 100 for share in shares) else ["'map10' wants per cent"]
    if record["kind"] == "detections":
        return _checked_on_others(record)
    if record["kind"] != "speed":
        return []
    runs = record["throughput"]
    wrong = [f"'throughput.{name}.seconds' wants one per repeat" for name in RUNNERS
             if len(runs[name]["seconds"]) != record["settings"]["repeats"]]  # fmt: skip
    for name in RUNNERS:
        if not math.isclose(runs[name]["fps"] * runs[name]["median_s"], runs[name]["frames"], rel_tol=1e-3):
            wrong.append(f"'throughput.{name}' has fps that are not frames by seconds")
    for name, found in record["ratios"].items():
        fast, slow = name.split("_to_")
        if not math.isclose(found["by_medians"], runs[fast]["fps"] / runs[slow]["fps"], rel_tol=1e-3):
            wrong.append(f"'ratios.{name}' is not the ratio of its frames per second")
    return wrong


def _checked_on_others(record: Mapping[str, Any]) -> list[str]:
    """Detectors that were checked on what they were fitted on, or whose closeness is not that of their quantiles."""
    wrong = ["a clip was fitted on and checked on"] if set(record["settings"]["fitted"]) & set(
        record["settings"]["checked"]) else []  # fmt: skip
    for name, row in record["detectors"].items():
        real, made = (_at(row, f"check.{which}.groups.limbs.visible.quantiles") for which in ("real", "simulated"))
        said = _at(row, "check.closeness.quantile_ratios.limbs_visible")
        if not (real and made and said):
            wrong.append(f"'{name}' lacks its check")
        elif not all(math.isclose(said[key], made[key] / real[key], rel_tol=5e-3) for key in real):
            wrong.append(f"'{name}' has ratios that are not those of its quantiles")
    return wrong


def _means_apart(record: Mapping[str, Any]) -> list[str]:
    """Means of label curves that are not the means of their runs."""
    wrong = []
    for line in record["summary"]:
        runs = [row["mm"][line["input"]][line["joints"]] for row in record["rows"]
                if all(row[key] == line[key] for key in ("way", "share", "masks"))]  # fmt: skip
        if not runs or not math.isclose(sum(runs) / len(runs), line["mean"], rel_tol=1e-6):
            wrong.append(f"the mean of {line['way']} at {line['share']} is not that of its runs")
    return wrong


def _unfit(record: Mapping[str, Any]) -> list[str]:
    """Why a record is not to be published."""
    if record["kind"] == "ablation":
        return ["fewer than 3 seeds"] if record["settings"]["seeds"] < 3 else []
    if record["kind"] == "install":
        return [] if record["passed"] else ["the install did not work"]
    if record["kind"] == "adapt":
        return ["fewer than 3 seeds"] if len(record["rows"]) < 3 else []
    if record["kind"] == "labels":
        few = len(record["settings"]["seeds"]) < 3
        return (["it is a quick try"] if record["settings"]["quick"] else []) + (["fewer than 3 seeds"] if few else [])
    if record["kind"] == "depth":
        return ["it is a quick try"] if record["settings"]["quick"] else []
    if record["kind"] in ("calibration", "flags", "presets", "labelling", "detections"):
        return []
    few = record["settings"]["repeats"] < 5
    return (["it is a quick try"] if record["settings"]["quick"] else []) + (["fewer than 5 repeats"] if few else [])


def facts(repository: Path, packages: Sequence[str] = ()) -> dict[str, Any]:
    """Where figures come from: ``commit``, ``machine``, ``versions``.

    The commit ends in ``-dirty`` if the checkout was changed (but for its results), and is ``None`` outside a checkout.
    """
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"commit": _commit(repository), "machine": _machine(), "versions": versions}


def _commit(repository: Path) -> str | None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(repository), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    try:
        commit = git("describe", "--always", "--abbrev=12", "--exclude=*")
        # what is written while results are measured changes no figure
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results", ":!docs/results.md")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit or None


def _machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"cpu": model, "cores": cores, "memory_gb": round(memory, 1), "system": platform.system()}


def check_target(path: Path) -> None:
    """Refuse an impossible output before any work is done.

    Raises:
        ValueError: No such folder, or not a ``.json``.
    """
    if path.suffix != ".json" or path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"Cannot write '{path}': wanted a file that ends in .json, in a folder that exists.")


def save(path: Path, record: Mapping[str, Any]) -> None:
    """Write a checked record, whole or not at all.

    Raises:
        ValueError: The record breaks its schema.
        OSError: The file cannot be written.
    """
    check(record)
    text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp's files are for the owner alone
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
