#!/usr/bin/env bash
# Parameters and frames per second of the lifters that scripts/train_blind_lifters.sh has trained, side by side:
# results/lifters.json, then docs/results.md. Their errors are the raw rows of scripts/judge_refiners.sh.
#   scripts/judge_blind_lifters.sh [RUNS_FOLDER]
# Needs the train extra, and a machine that does nothing else. Speed does not depend on how long they were trained.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=${1:-runs}
python=${PYTHON:-python}
names=${LIFTERS:-martinez semgcn videopose3d poseformerv2 d3dp}

"$python" benchmarks/lifters.py --output results/lifters.json $(for name in $names; do echo "$name=$runs/blind-$name"; done)
"$python" -m benchmarks.tables
