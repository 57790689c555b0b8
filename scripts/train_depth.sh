#!/usr/bin/env bash
# Train the depth modules, once for each seed, and the published form of each on the same data; then bundles.
#   scripts/train_depth.sh DATA_FOLDER [RUNS_FOLDER]
# DATA_FOLDER holds motion/packs. SEEDS="1 2 3" and MODULES="patch body cloud time" say what is trained, SEEDS="" the
# published forms alone; PUBLISHED=0 leaves those out, PUBLISHED_STEPS bounds their steps. A run that was stopped goes on
# where it was. Needs the train extra. Two to five minutes a module on one core. Module D ("time") learns from films that
# went through the chain of the first seed (scripts/depth_lessons.py, FILES of eight films, five seconds each), so the
# other modules come first. The published forms keep our heads for the expected error and for hidden joints, without
# which the chain cannot weigh them; the rest, and the loss, are RefiNet's, which has no D. Afterwards:
#   python -m benchmarks.depth --output results/depth.json --clips 16 --frames 60 --seed 7 \
#       --sets runs/depth-set-1 runs/depth-set-2 runs/depth-set-3 --published runs/depth-set-published
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

data=${1:?"the folder that holds motion/packs"}
runs=${2:-runs}
python=${PYTHON:-python}
modules=${MODULES:-patch body cloud time}
set_of_lessons=${LESSONS_OF:-$(set -- ${SEEDS:-1 2 3}; echo "$1")}

learn() { # set, module, changes
    local set=$1 module=$2
    shift 2
    "$python" -m posemend train "recipes/depth-$module.toml" "data.root=$data" "$@" -o "$runs/depth-$module-$set" --resume
    mkdir -p "$runs/depth-set-$set"
    [ -e "$runs/depth-set-$set/depth-$module" ] || # of a call before this one
        "$python" -m posemend export "$runs/depth-$module-$set" -o "$runs/depth-set-$set/depth-$module"
}

lessons() {
    "$python" scripts/depth_lessons.py recipes/depth-time.toml "data.root=$data" --bundle "$runs/depth-set-$set_of_lessons" \
        --files "${FILES:-400}" -o "$runs/depth-lessons"
}

for seed in ${SEEDS-1 2 3}; do
    for module in $modules; do
        if [ "$module" = time ]; then
            lessons
            learn "$seed" time "seed=$seed" "depth.lessons=$runs/depth-lessons"
        else
            learn "$seed" "$module" "seed=$seed"
        fi
    done
done

[ "${PUBLISHED:-1}" = 1 ] || exit 0
options=network.options
for module in $modules; do
    case $module in
        time) continue ;;
        patch) changes=("$options.shared=false" "$options.layout=false" "$options.widths=[64,128]" "$options.hidden=256"
                        "$options.dropout=0.2") ;;
        body) changes=("$options.relative=false" "$options.gated=false" "$options.width=1024" "$options.dropout=0.2"
                       loss.symmetry=0 depth.plane=0) ;;
        cloud) changes=("$options.masked=false" "$options.keep_scale=false" "$options.context=false"
                        "$options.transforms=true" "$options.widths=[64,128,1024]" "$options.hidden=128"
                        "$options.dropout=0.2" loss.harm=0 optim.steps=700) ;;  # ten times as slow
    esac
    [ -z "${PUBLISHED_STEPS:-}" ] || changes+=("optim.steps=$PUBLISHED_STEPS")
    learn published "$module" seed=1 depth.criterion=mse optim.rate=1e-3 "${changes[@]}"
done
