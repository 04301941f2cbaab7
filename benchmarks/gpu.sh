#!/usr/bin/env bash
# Trains and measures on a GPU machine that has nothing but Python, PyTorch and what was carried there beside the checkout:
#   .gpu/people.pack        what `ddp-video synthesize assets` wrote: without it nothing is trained
#   .gpu/init.safetensors   weights to start from (default: those that ship)
#   .gpu/clip.mp4           a video for the stages of infer (default: the example clip)
#   .whl/*.whl              wheels of what is missing there: training needs none; the benchmarks want av, zarr, numcodecs,
#                           donfig, google_crc32c, msgspec
#
# Usage: benchmarks/gpu.sh TRAIN_MINUTES BENCHMARK_MINUTES [further options of `ddp-video train`]
#
# 0 minutes leave a part out; further data goes in as --data maps:.gpu/FOLDER@0.15. Most cores make pictures, each of which
# is shown several times. The checkpoint stays on the machine: a second call while it is warm goes on from there, and its
# TRAIN_MINUTES count the first call's too. Weights, losses, sample pictures and tables come back in $OUT. Where 64 MiB may
# travel, the pack and the wheels go in two calls; the pack stays on the machine. Before TRAIN_MINUTES begin, the generator
# is compiled (35 s on an H200's machine) and the first pictures are made.
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

pack=$work/people.pack
[ ! -f .gpu/people.pack ] || cp .gpu/people.pack "$pack"
if [ "$train" != 0 ]; then
    # What cannot work shall fail now, not after the lent minutes.
    [ -f "$pack" ] || { echo "no .gpu/people.pack to train with" >&2; exit 1; }
    python3 -c 'import ddp_video.cli.main, ddp_video.train.run, torch; assert torch.cuda.is_available(), "no GPU"'
    python3 -c 'import sys; from ddp_video.synthesis.generator import Generator as G; G(sys.argv[1], 576).draw(0, 0)' "$pack"
    start=(--init ddp_lite)
    [ ! -f .gpu/init.safetensors ] || start=(--init .gpu/init.safetensors)
    [ ! -f "$work/checkpoint.pt" ] || start=(--resume)
    cores=$(nproc)
    python3 -m ddp_video train --data "synthetic:$pack" -o "$work" "${start[@]}" --minutes "$train" --workers 4 \
        --generators "$((cores > 8 ? cores - 6 : 2))" --set batch_size=48 --set size=576 --set optimizer=muon \
        --set lr=2e-3 --set backbone_lr=0.6 --set ema=0.998 --set validate_every=1000 --quiet "$@"
    cp "$work"/*.safetensors "$work/log.jsonl" "$out"
    find "$work" -name '*.jpg' | sort | tail -n 2 | xargs -r cp -t "$out"
fi

if [ "$measure" != 0 ]; then
    given=()
    [ ! -f .gpu/clip.mp4 ] || given+=(--clip .gpu/clip.mp4)
    [ ! -f "$pack" ] || given+=(--pack "$pack")
    # Tables are saved as they come: those that the time allows come back.
    timeout "${measure}m" python3 -m benchmarks -o "$out" "${given[@]}" || [ $? = 124 ]
fi
