"""Run a command and say how long it took and how much memory it needed at most, as one JSON object.

    python benchmarks/watch.py posemend run keypoints.npz -o pose.npz

A small process between the benchmark and the command, because the peak that
the system reports for a child begins with the size of whoever started it, and
because the peak of all children of one process is a single number. Linux and
macOS.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time


def main(command: list[str]) -> int:
    """Run ``command``; give 0 whatever its exit code, which is part of what is printed."""
    started = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    print(
        json.dumps(
            {"code": done.returncode, "seconds": seconds, "peak_bytes": peak, "out": done.stdout, "err": done.stderr}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
