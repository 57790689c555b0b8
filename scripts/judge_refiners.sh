#!/usr/bin/env bash
# Every refiner on every lifter that scripts/train_blind_lifters.sh has trained: results/refiners.json, docs/results.md.
#   scripts/judge_refiners.sh BLENDMIMIC3D_FOLDER [RUNS_FOLDER]
# SEMGCN=FILE adds the SemGCN that somebody else trained on Human3.6M, shown and not averaged. REFINERS lists what is
# compared, LEFT_OUT the lifters that no refiner was trained with. Goes on where it stopped. Needs the train extra.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=${1:?"the folder that holds S1/ and S2/ of BlendMimic3D"}
runs=${2:-runs}
python=${PYTHON:-python}
names=${LIFTERS:-martinez semgcn videopose3d poseformerv2 d3dp}
refiners=${REFINERS:-smooth one-euro smoothnet=$runs/refine-smoothnet published=$runs/refine-published-research \
    masked=$runs/masked-research default research}

words=()
for name in $names; do words+=(--lifter "$name=$runs/blind-$name"); done
words+=(--lifter posemend=research)
if [ -n "${SEMGCN:-}" ]; then words+=(--lifter "semgcn-h36m:semgcn=$SEMGCN" --aside semgcn-h36m); fi
if [ -n "${LEFT_OUT:-}" ]; then for name in $LEFT_OUT; do words+=(--left-out "$name"); done; fi
for refiner in $refiners; do words+=(--refiner "$refiner"); done

"$python" -m posemend evaluate --table refiners --on blendmimic3d --root "$root" --subjects S1 S2 \
    --actions Greeting SittingTalk WalkCircle --input ${INPUTS:-gt detector} "${words[@]}" \
    --raw-poses "$runs/raw-poses" --output results/refiners.json
"$python" -m benchmarks.tables
