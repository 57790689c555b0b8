#!/usr/bin/env bash
# Train the five published lifters, one after the other, each on the same data and about the same time.
#   scripts/train_blind_lifters.sh DATA_FOLDER [RUNS_FOLDER]
# DATA_FOLDER holds motion/packs and blendmimic3d. A run that was stopped goes on where it was; finished
# ones are skipped in a moment. Needs the train extra. Afterwards, for example:
#   posemend evaluate --on blendmimic3d --root DATA_FOLDER/blendmimic3d --lifter d3dp=runs/blind-d3dp --no-refine
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

data=${1:?"the folder that holds motion/packs and blendmimic3d"}
runs=${2:-runs}
python=${PYTHON:-python}

for name in ${LIFTERS:-martinez semgcn videopose3d poseformerv2 d3dp}; do
    "$python" -m posemend train "recipes/blind-$name.toml" "data.root=$data" -o "$runs/blind-$name" --resume
done
