#!/usr/bin/env bash
# Train the five published lifters, one after the other, each on the same data and about the same time.
#   scripts/train_blind_lifters.sh DATA_FOLDER [RUNS_FOLDER]
#   FREE=1 LIFTERS=martinez scripts/train_blind_lifters.sh DATA_FOLDER    whose poses refine-default repairs:
#   taught on data that anybody may use, as runs/free-martinez and so on
# DATA_FOLDER holds motion/packs and blendmimic3d. A run that was stopped goes on where it was; finished
# ones are skipped in a moment. Needs the train extra. Afterwards, for example:
#   posemend evaluate --on blendmimic3d --root DATA_FOLDER/blendmimic3d --lifter d3dp=runs/blind-d3dp --no-refine
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

data=${1:?"the folder that holds motion/packs and blendmimic3d"}
runs=${2:-runs}
python=${PYTHON:-python}

kind=blind more=()
if [ "${FREE:-0}" = 1 ]; then
    kind=free
    packs="cmu_asfamc = 2.0, cmu_mb_bvh = 1.2, cmu_daz_bvh = 0.5, cmu_aclstm_bvh = 1.5, cmu_expmap = 1.5, reactidle = 0.8, procedural = 2.5"
    more=("data.packs={ $packs }" data.blendmimic3d=0)
fi

for name in ${LIFTERS:-martinez semgcn videopose3d poseformerv2 d3dp}; do
    "$python" -m posemend train "recipes/blind-$name.toml" "data.root=$data" "${more[@]}" -o "$runs/$kind-$name" --resume
done
