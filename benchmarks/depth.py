"""The table of the depth chain, with the machine and the commit it was measured on.

    python -m benchmarks.depth --output results/depth.json [--sets FOLDER ...] [--published FOLDER] [--clips 8]

``posemend evaluate --table depth`` makes the same table; here it becomes a
checked record. With ``--itop`` it is of ITOP's test part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import record
from posemend.cli.depth_errors import table, whole
from posemend.cli.depth_table import Deep


def main() -> None:
    """Measure and write."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--output", type=Path, required=True)
    reader.add_argument("--sets", nargs="+", help="sets of the modules, one for each seed; what ships if left out")
    reader.add_argument("--published", type=Path)
    reader.add_argument("--clips", type=int, default=8)
    reader.add_argument("--frames", type=int, default=60)
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--threads", type=int, default=2)
    reader.add_argument("--itop", type=Path, help="ITOP's folder: measure on its test part instead")
    reader.add_argument("--side", choices=("side", "top"), default="side")
    asked = reader.parse_args()
    record.check_target(asked.output)
    options = Deep(asked.sets, asked.published, asked.clips, asked.frames, asked.threads, asked.side)
    found = {
        "schema": record.SCHEMA, **whole(options, asked.seed, asked.itop),
        **record.facts(record.Path(__file__).resolve().parents[1], ("numpy", "onnxruntime")),
    }  # fmt: skip
    record.save(asked.output, found)
    print(table(found))


if __name__ == "__main__":
    main()
