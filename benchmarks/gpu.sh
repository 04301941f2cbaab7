#!/usr/bin/env bash
# Trains and measures on a GPU machine that has nothing but Python, PyTorch and what was carried there beside the checkout:
#   .gpu/people.pack        what `ddp-video synthesize assets` wrote: without it nothing is trained
#   .gpu/init.safetensors   weights to start from (default: those that ship)
#   .gpu/clip.mp4           a video for the stages of infer (default: the example clip)
#   .whl/*.whl              wheels of what is missing there; the benchmarks want av, zarr, numcodecs, donfig, google_crc32c
#
# Usage: benchmarks/gpu.sh TRAIN_MINUTES BENCHMARK_MINUTES [further options of `ddp-video train`]
#
# 0 minutes leave a part out. Pictures are made on the fly by one worker a core. The checkpoint stays on the machine: a second
# call while it is warm goes on from there, and its TRAIN_MINUTES count the first call's too. Weights, losses, sample
# pictures and tables come back in $OUT. Where 64 MiB may travel, the pack and the wheels go in two calls.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,/^set/s/^# \?//p' "$0" >&2; exit 2; }
train=$1 measure=$2
shift 2
out=${OUT:-/tmp/ddp-video-out}
work=${DDP_VIDEO_WORK:-/tmp/ddp-video-train}
site=/tmp/ddp-video-site
mkdir -p "$out" "$work"
export PYTHONPATH="$PWD:$site" OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 PYTHONUNBUFFERED=1
if compgen -G ".whl/*.whl" >/dev/null && [ ! -d "$site" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" .whl/*.whl
fi

if [ "$train" != 0 ] && [ -f .gpu/people.pack ]; then
    start=(--init ddp_lite)
    [ ! -f .gpu/init.safetensors ] || start=(--init .gpu/init.safetensors)
    [ ! -f "$work/checkpoint.pt" ] || start=(--resume)
    cores=$(nproc)
    python3 -m ddp_video train --data synthetic:.gpu/people.pack -o "$work" "${start[@]}" --minutes "$train" \
        --workers "$((cores > 3 ? cores - 2 : 1))" --set batch_size=48 --set size=384 --quiet "$@"
    cp "$work"/*.safetensors "$work/log.jsonl" "$out"
    find "$work" -name '*.jpg' | sort | tail -n 2 | xargs -r cp -t "$out"
fi

if [ "$measure" != 0 ]; then
    given=()
    [ ! -f .gpu/clip.mp4 ] || given+=(--clip .gpu/clip.mp4)
    [ ! -f .gpu/people.pack ] || given+=(--pack .gpu/people.pack)
    # Tables are saved as they come: those that the time allows come back.
    timeout "${measure}m" python3 -m benchmarks -o "$out" "${given[@]}" || [ $? = 124 ]
fi
