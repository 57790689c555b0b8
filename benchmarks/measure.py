"""Clocks: things timed in turns in this process, commands timed in processes of their own."""

from __future__ import annotations

import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PAUSE = 0.05  # seconds; a runtime's worker threads go on spinning for a moment after their work


def interleaved(
    jobs: Mapping[str, Callable[[], Any]], repeats: int, warm_up: int = 1, pause: float = PAUSE
) -> dict[str, list[float]]:
    """Time jobs in turns, so that whatever disturbs the machine disturbs all of them.

    Args:
        jobs: What to call, by name.
        repeats: Timed rounds; each calls every job once and begins with another one.
        warm_up: Rounds before, not counted.
        pause: Seconds of rest before each call.

    Returns:
        Seconds of each round, by name, in the order of the rounds.
    """
    names = list(jobs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warm_up, repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            time.sleep(pause)
            started = time.perf_counter()
            jobs[name]()
            taken = time.perf_counter() - started
            if turn >= 0:
                seconds[name].append(taken)
    return seconds


def summary(frames: int, seconds: Sequence[float]) -> dict[str, Any]:
    """Frames per second by the median of the repeats, and the repeats themselves."""
    median = statistics.median(seconds)
    return {
        "frames": frames,
        "seconds": [rounded(one) for one in seconds],
        "median_s": rounded(median),
        "fps": rounded(frames / median),
    }


def ratio(fast: Mapping[str, Any], slow: Mapping[str, Any]) -> dict[str, float]:
    """How many times the frames per second of ``slow`` the ``fast`` one has: by medians, and round by round.

    Args:
        fast: A ``summary``.
        slow: Another one, of the same rounds.
    """
    rounds = [
        (fast["frames"] / one) / (slow["frames"] / other)
        for one, other in zip(fast["seconds"], slow["seconds"], strict=True)
    ]
    return {
        "by_medians": rounded(fast["fps"] / slow["fps"]),
        "lowest_round": rounded(min(rounds)),
        "highest_round": rounded(max(rounds)),
    }


def exponent(lengths: Sequence[float], costs: Sequence[float]) -> float | None:
    """The e of cost ~ length^e by least squares on logarithms: 1 is linear. ``None`` where a cost is not above 0."""
    if min(costs) <= 0:
        return None
    return statistics.linear_regression([math.log(x) for x in lengths], [math.log(y) for y in costs]).slope


def rounded(value: float) -> float:
    """Five digits, as more of them would be noise."""
    return float(f"{value:.5g}")


def environment(threads: int) -> dict[str, str]:
    """Variables for a child that runs this tree, whatever else is installed, with as many threads as told."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | thread_variables(threads) | {"PYTHONPATH": str(REPOSITORY)}


def thread_variables(threads: int) -> dict[str, str]:
    """What tells NumPy's and posemend's libraries how many threads to use; to be set before they are loaded."""
    names = ("POSEMEND_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def watched(command: Sequence[str], env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Run a command in a process of its own (see ``watch``).

    Returns:
        ``seconds``, ``peak_bytes``, ``out`` and ``err``.

    Raises:
        RuntimeError: The command failed; the message ends with what it said.
    """
    watch = [sys.executable, "-I", str(Path(__file__).with_name("watch.py"))]
    done = subprocess.run([*watch, *command], env=dict(env), cwd=folder, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["code"]:
        said = found["err"].strip() or found["out"].strip()
        raise RuntimeError(f"`{' '.join(command[1:4])} ...` ended with exit code {found['code']}: {said[-600:]}")
    return found


def import_seconds(module: str, env: Mapping[str, str]) -> float:
    """What ``python -X importtime`` says that importing a module took, with all that it imports.

    Raises:
        RuntimeError: The interpreter did not say it.
    """
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        env=dict(env), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in reversed(done.stderr.splitlines()):
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[2].strip() == module:
            return int(parts[1]) / 1e6
    raise RuntimeError(f"`python -X importtime` does not list {module}.")
