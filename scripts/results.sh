#!/usr/bin/env bash
# Measure everything that results/ holds, on BlendMimic3D's validation actions, and write docs/results.md.
#   scripts/results.sh BLENDMIMIC3D_FOLDER SEMGCN_FILE
# New weights are calibrated first: posemend calibrate default --root DATA, and the same for research.
# Needs the train extra (SemGCN is run by torch). Speed and size: see benchmarks/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=${1:?"the folder that holds S1/ and S2/ of BlendMimic3D"}
semgcn=${2:?"SemGCN's published weights, ckpt_semgcn.pth.tar"}
python=${PYTHON:-python}

judge() {
    local name=$1
    shift
    "$python" -m posemend evaluate --on blendmimic3d --root "$root" --subjects S1 S2 \
        --actions Greeting SittingTalk WalkCircle --output "results/$name.json" "$@" >/dev/null
    echo "results/$name.json"
}

for set in ${SETS:-default research}; do
    for input in gt gt+flags missing detector; do
        judge "chain-$set-$input" --bundle "$set" --input "$input"
        judge "semgcn-$set-$input" --bundle "$set" --input "$input" --lifter "semgcn=$semgcn"
    done
    for input in missing detector; do
        judge "blind-$set-$input" --bundle "$set" --input "$input" --blind
    done
done
# a lifter that is better than the refiner's own: does it stay as it is?
rm -f results/better.json
"$python" -m posemend evaluate --table refiners --on blendmimic3d --root "$root" --subjects S1 S2 \
    --actions Greeting SittingTalk WalkCircle --input gt missing detector --lifter posemend=research --refiner default \
    --output results/better.json >/dev/null
"$python" -m benchmarks.certainty --root "$root" --sets ${SETS:-default research} -o results/calibration.json
"$python" -m benchmarks.tables
