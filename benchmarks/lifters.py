"""How large and how fast published lifters are, from keypoints to 3D, one beside the other in torch.

    python benchmarks/lifters.py --threads 2 --output results/lifters.json \
        martinez=runs/blind-martinez semgcn=runs/blind-semgcn d3dp-h5-k5=runs/blind-d3dp

Names and files are those of ``posemend evaluate --lifter``. Everything is
timed in turns, from ``Pose2D`` to ``Pose3D``: gaps, windows, the network and
the averaging with the mirror image where the authors do it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measure
from measure import REPOSITORY, interleaved, summary
from record import SCHEMA, check_target, facts, save

PACKAGES = ("numpy", "torch")
FRAMES, REPEATS = 1024, 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if asked to; 0 if it could be measured."""
    parser = argparse.ArgumentParser(description="How large and how fast published lifters are.")
    parser.add_argument("lifters", nargs="+", metavar="NAME=FILE", help="as for posemend evaluate --lifter")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch and NumPy (2)")
    parser.add_argument("--quick", action="store_true", help="only try that everything works; its figures mean nothing")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    told = parser.parse_args(arguments)
    if told.threads < 1:
        parser.error(f"--threads wants a number above 0, got {told.threads}.")
    # before NumPy is loaded, which reads it once; this tree before any that is installed
    os.environ.update(measure.thread_variables(told.threads))
    sys.path.insert(0, str(REPOSITORY))
    from posemend.errors import PosemendError

    try:
        if told.output is not None:
            check_target(told.output)
        record = measured(told.lifters, told.threads, told.quick)
        if told.output is not None:
            save(told.output, record)
    except (PosemendError, ValueError, OSError) as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        return 1
    for name, row in record["lifters"].items():
        print(f"{name:24} {row['parameters']:>12,} parameters {row['fps']:>12,.0f} frames/s")
    return 0


def measured(lifters: Sequence[str], threads: int, quick: bool) -> dict[str, Any]:
    """The whole record."""
    import torch
    from clips import clip

    from posemend.nn.published import plain_lifter
    from posemend.nn.table import size

    torch.set_num_threads(threads)
    found = {}
    for words in lifters:
        name, equals, file = words.partition("=")
        if not equals or name in found:
            raise ValueError(f"Wanted NAME=FILE, each name once; got '{words}'.")
        found[name] = plain_lifter(name, file)
    keypoints = clip(64 if quick else FRAMES).keypoints
    repeats = 1 if quick else REPEATS
    seconds = interleaved({name: lambda one=one: one(keypoints) for name, one in found.items()}, repeats)
    return {
        "kind": "lifters", "schema": SCHEMA, **facts(REPOSITORY, PACKAGES),
        "settings": {"threads": threads, "quick": quick, "repeats": repeats},
        "lifters": {
            name: {"parameters": size(one.network), **summary(len(keypoints), seconds[name])}
            for name, one in found.items()
        },
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
