#!/usr/bin/env bash
# Parameters, frames per second and errors of the lifters that scripts/train_blind_lifters.sh has trained:
# results/lifters.json and results/lifter-NAME-INPUT.json, then docs/results.md.
#   scripts/judge_blind_lifters.sh BLENDMIMIC3D_FOLDER [RUNS_FOLDER]
# Needs the train extra. Frames per second want a machine that does nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=${1:?"the folder that holds S1/ and S2/ of BlendMimic3D"}
runs=${2:-runs}
python=${PYTHON:-python}
names=${LIFTERS:-martinez semgcn videopose3d poseformerv2 d3dp}

for name in $names; do
    for input in gt missing detector; do
        "$python" -m posemend evaluate --on blendmimic3d --root "$root" --subjects S1 S2 \
            --actions Greeting SittingTalk WalkCircle --input "$input" --no-refine \
            --lifter "$name=$runs/blind-$name" --output "results/lifter-$name-$input.json" >/dev/null
        echo "results/lifter-$name-$input.json"
    done
done
"$python" benchmarks/lifters.py --output results/lifters.json $(for name in $names; do echo "$name=$runs/blind-$name"; done)
"$python" -m benchmarks.tables
