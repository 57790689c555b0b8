"""How fast posemend is, beside VideoPose3D of 243 frames and 1024 channels in the same runtime.

    python benchmarks/speed.py --threads 2 --output results/speed.json
    python benchmarks/speed.py --quick

It measures the tree that it lies in. How, and what the figures mean:
``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import measure
from measure import REPOSITORY, interleaved, ratio, rounded, summary
from record import SCHEMA, check_target, facts, save
from verdict import remarks, table, targets

PACKAGES = ("numpy", "scipy", "onnxruntime", "torch")
RATIOS = (
    ("lift_refine", "videopose3d_dense"), ("lift", "videopose3d_dense"), ("refine_other", "videopose3d_dense"),
    ("lift_refine", "videopose3d_window"), ("lift_refine", "videopose3d_window_strided"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        bundle: Name of the set, or folder.
        threads: Threads of ONNX Runtime and of NumPy's libraries.
        quick: Whether this is only a try that everything works.
        repeats: Timed rounds of everything in this process.
        starts: Timed rounds of everything in fresh processes.
        frames: Length of the clip.
        windows: Windows per round when VideoPose3D goes window by window.
        channels: Channels of VideoPose3D.
        at_once: Frames per call that VideoPose3D may choose from for whole clips; 0 is the whole clip.
        people: Numbers of people.
        people_frames: Frames of each of them.
        lengths: Frames of the clips that go through the whole `posemend run`; the last one is the long clip.
    """

    bundle: str = "default"
    threads: int = 2
    quick: bool = False
    repeats: int = 7
    starts: int = 5
    frames: int = 4096
    windows: int = 64
    channels: int = 1024
    at_once: tuple[int, ...] = (0, 2048, 1024, 512)
    people: tuple[int, ...] = (1, 2, 4)
    people_frames: int = 1024
    lengths: tuple[int, ...] = (22_500, 45_000, 90_000, 180_000)


QUICK = Settings(
    quick=True, repeats=2, starts=1, frames=256, windows=2, channels=32, at_once=(0, 128), people_frames=64,
    lengths=(64, 128),
)  # fmt: skip
SHORTEST = 16  # frames of the clip whose whole run tells what a start costs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if asked to; 0 if it could be measured."""
    parser = argparse.ArgumentParser(description="How fast posemend is, beside VideoPose3D in the same runtime.")
    parser.add_argument("--bundle", default="default", help="'default', 'research' or a folder")
    parser.add_argument("--threads", type=int, default=2, help="threads of ONNX Runtime and NumPy (2)")
    parser.add_argument("--quick", action="store_true", help="only try that everything works; its figures mean nothing")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    told = parser.parse_args(arguments)
    if told.threads < 1:
        parser.error(f"--threads wants a number above 0, got {told.threads}.")
    folder = Path(told.bundle)
    bundle = str(folder.resolve()) if folder.is_dir() else told.bundle
    settings = replace(QUICK if told.quick else Settings(), bundle=bundle, threads=told.threads)
    # before NumPy is loaded, which reads it once; this tree before any that is installed
    os.environ.update(measure.thread_variables(settings.threads))
    sys.path.insert(0, str(REPOSITORY))
    from posemend.errors import PosemendError

    try:
        if told.output is not None:
            check_target(told.output)
        record = measured(settings)
        if told.output is not None:
            save(told.output, record)
    except (PosemendError, RuntimeError, ValueError, OSError) as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        return 1
    print(table(record))
    return 0


def measured(settings: Settings) -> dict[str, Any]:
    """The whole record."""
    from posemend.contract.card import TASKS, find, read_card

    cards = {task: read_card(find(settings.bundle, task)) for task in TASKS}
    models: dict[str, Any] = {
        task: {key: getattr(card, key) for key in ("name", "version", "parameters", "sha256")}
        for task, card in cards.items()
    }
    before = os.getloadavg()[0]
    env = measure.environment(settings.threads)
    with tempfile.TemporaryDirectory(prefix="posemend-speed-") as name:
        folder = Path(name)
        say("starting interpreters")
        start = starts(settings, env, folder)
        say("whole runs, the longest last")
        growth = grown(settings, env, folder)
        say("writing VideoPose3D")
        import baseline

        models["videopose3d"] = baseline.written(folder, settings.channels, env)
        say("side by side")
        throughput, models["videopose3d"]["at_once"] = side_by_side(settings, folder, models["videopose3d"])
    say("several people")
    crowd = people(settings)
    ratios = {f"{fast}_to_{slow}": ratio(throughput[fast], throughput[slow]) for fast, slow in RATIOS}
    longest = growth["rows"][-1]
    record: dict[str, Any] = {
        "kind": "speed", "schema": SCHEMA, "settings": asdict(settings) | {"bundle": Path(settings.bundle).name},
        "models": models, "throughput": throughput, "ratios": ratios, "people": crowd, "growth": growth,
        "hour": {key: longest[key] for key in ("frames", "median_s", "fps", "peak_mb")}, "start": start,
        "load": {"before": rounded(before), "after": rounded(os.getloadavg()[0])},
    }  # fmt: skip
    record["targets"] = [] if settings.quick else targets(record)
    record["remarks"] = remarks(record)
    return record | facts(REPOSITORY, PACKAGES)


def say(what: str) -> None:
    """Progress, on standard error."""
    print(f"benchmark: {what} ...", file=sys.stderr, flush=True)


def starts(settings: Settings, env: Mapping[str, str], folder: Path) -> dict[str, float]:
    """Seconds until a fresh interpreter has done nothing, imported posemend, loaded what lifts, shown the help."""
    commands = {
        "bare": ["-c", "pass"],
        "import": ["-c", "import posemend"],
        "import_lift": ["-c", "from posemend import lift"],
        "help": ["-m", "posemend", "--help"],
    }
    jobs = {name: lambda words=words: measure.watched([sys.executable, *words], env, folder)["seconds"]
            for name, words in commands.items()}  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(-1, settings.starts):  # the first turn also writes what Python compiles
        for name, job in jobs.items():
            seconds = job()
            if turn >= 0:
                found[name].append(seconds)
    best = {name: rounded(min(seconds)) for name, seconds in found.items()}
    return {
        **{f"{name}_s": seconds for name, seconds in best.items()},
        "import_beyond_bare_s": rounded(best["import"] - best["bare"]),
        "importtime_s": min(measure.import_seconds("posemend", env) for _ in range(settings.starts)),
    }


def grown(settings: Settings, env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """The whole `posemend run`, from a file to a file in a process of its own, for clips of growing length."""
    from clips import clip

    from posemend.formats import write

    lengths = (SHORTEST, *settings.lengths)
    for frames in lengths:
        write(folder / f"{frames}.npz", clip(frames).keypoints)
    found: dict[int, list[dict[str, Any]]] = {frames: [] for frames in lengths}
    for _ in range(settings.starts):
        for frames in lengths:
            words = ["run", f"{frames}.npz", "-o", "pose.npz", "--bundle", settings.bundle, "--json"]
            done = measure.watched([sys.executable, "-m", "posemend", *words], env, folder)
            if json.loads(done["out"])["people"][0]["frames"] != frames:
                raise RuntimeError(f"`posemend run` did not give the {frames} frames that it was given.")
            found[frames].append(done)
    rows = []
    for frames in lengths:
        peak = statistics.median(done["peak_bytes"] for done in found[frames])
        rows.append(summary(frames, [done["seconds"] for done in found[frames]]) | {"peak_mb": round(peak / 1e6, 1)})
    start, rows = rows[0], rows[1:]
    seconds = [row["median_s"] for row in rows]
    beyond = measure.exponent(settings.lengths, [one - start["median_s"] for one in seconds])
    line = statistics.linear_regression(settings.lengths, [row["peak_mb"] * 1e6 for row in rows])
    return {
        "rows": rows,
        "start_s": start["median_s"],
        "start_peak_mb": start["peak_mb"],
        "exponent": rounded(measure.exponent(settings.lengths, seconds) or 0.0),
        "exponent_beyond_start": None if beyond is None else rounded(beyond),
        "bytes_per_frame": round(line.slope),
    }


def side_by_side(settings: Settings, folder: Path, network: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both networks on clips of the same length, in turns; and how many frames at once suit VideoPose3D best."""
    from baseline import by_window, over_clip, padded, session
    from clips import clip

    from posemend.runtime.apply import lift_with_view, refine, refine_lifted
    from posemend.runtime.pipeline import run

    one = clip(settings.frames)
    dense, strided = (session(folder / f"{name}.onnx", settings.threads) for name in ("dense", "strided"))
    field = network["receptive_field"]
    x = padded(settings.frames, field)
    sizes = [at_once or settings.frames for at_once in settings.at_once]
    tried = interleaved(
        {str(size): lambda size=size: over_clip(dense, x, field, size) for size in dict.fromkeys(sizes)},
        2 if settings.quick else 3,
    )
    fastest = min(tried, key=lambda size: min(tried[size]))
    bundle = settings.bundle
    lifted = lift_with_view(one.keypoints, bundle)
    jobs = {
        "videopose3d_dense": lambda: over_clip(dense, x, field, int(fastest)),
        "videopose3d_window": lambda: by_window(dense, x, field, settings.windows),
        "videopose3d_window_strided": lambda: by_window(strided, x, field, settings.windows),
        "lift": lambda: lift_with_view(one.keypoints, bundle),
        "refine": lambda: refine_lifted(lifted),
        "lift_refine": lambda: run([one.keypoints], bundle),
        "refine_other": lambda: refine(one.other, one.keypoints, bundle=bundle, fix_handedness=True),
    }
    seconds = interleaved(jobs, settings.repeats)
    found = {
        name: summary(settings.windows if "window" in name else settings.frames, taken)
        for name, taken in seconds.items()
    }
    choice = {
        "frames": int(fastest),
        "tried_fps": {size: rounded(settings.frames / min(tried[size])) for size in tried},
    }
    return found, choice


def people(settings: Settings) -> list[dict[str, Any]]:
    """The chain for several people in one call; frames are counted once per person."""
    from clips import clip

    from posemend.runtime.pipeline import run

    crowd = [clip(settings.people_frames, seed).keypoints for seed in range(max(settings.people))]
    jobs = {str(count): lambda count=count: run(crowd[:count], settings.bundle) for count in settings.people}
    seconds = interleaved(jobs, settings.repeats)
    return [
        {"people": count} | summary(count * settings.people_frames, seconds[str(count)]) for count in settings.people
    ]


if __name__ == "__main__":
    sys.exit(main())
