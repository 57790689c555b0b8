#!/usr/bin/env bash
# How near does a lifter come to BlendMimic3D without having been taught on it? The engine's lifter, and ways to go on
# from it: each is trained, exported and judged on the validation actions, results/engine-WAY-INPUT.json.
#   scripts/engine_ways.sh DATA_FOLDER [RUNS_FOLDER]
# first: the lifter before; fitted: detections drawn from models fitted to real detectors; rig: cameras that look down as BlendMimic3D's do;
# body: motions put into the bodies of its characters (their proportions, none of their motions); both: rig and body.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

data=${1:?"the folder that holds motion/packs and blendmimic3d"}
runs=${2:-runs}
python=${PYTHON:-python}
steps=${STEPS:-1000} # of every way but both, which gets 2600
rig=('views.elevation=[0.21,0.1]' views.steep=0.1 'views.focal=[0.7,0.9]' views.calibrated=1.0 views.roll=0.01)
body=('variety.like=["blendmimic3d"]' variety.alike=0.7 variety.definition=0.005 variety.lengths=0.05 variety.stature=0.04)

for way in ${WAYS:-first engine fitted rig body both}; do
    more=("start_from=\"$runs/lift-engine/checkpoint\"" optim.steps="$steps" seed=22)
    case $way in
        first | engine) more=() ;;
        fitted) more+=(hiding.fitted=0.7) ;;
        rig) more+=("${rig[@]}") ;;
        body) more+=("${body[@]}") ;;
        both) more+=("${rig[@]}" "${body[@]}" optim.steps=2600) ;;
    esac
    case $way in
        first) folder=checkpoints/lift-default ;;
        engine) folder=$runs/lift-engine ;;
        *) folder=$runs/lift-engine-$way ;;
    esac
    [ "$way" = first ] || "$python" -m posemend train recipes/lift-engine.toml "data.root=\"$data\"" "${more[@]}" -o "$folder" --resume
    rm -rf "$runs/sets/$way"; mkdir -p "$runs/sets/$way"
    "$python" -m posemend export "$folder" -o "$runs/sets/$way/lift"
    for input in gt missing detector; do
        "$python" -m posemend evaluate --on blendmimic3d --root "$data/blendmimic3d" --subjects S1 S2 \
            --actions Greeting SittingTalk WalkCircle --input "$input" --no-refine --bundle "$runs/sets/$way" \
            --output "results/engine-$way-$input.json" >/dev/null
        echo "results/engine-$way-$input.json"
    done
done
