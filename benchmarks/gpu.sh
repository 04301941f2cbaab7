#!/usr/bin/env bash
# Trains on a GPU machine that has nothing but Python, PyTorch and what was carried there beside the checkout:
#   .whl/   wheels of what that machine lacks (av zarr numcodecs donfig google_crc32c safetensors timm ...)
#   .gpu/   people.pack.npz (`ddp-video synthesize assets`), init.safetensors (weights to start from)
# Usage: benchmarks/gpu.sh MINUTES [further options of `ddp-video train`]
# Pictures are made on the fly by one worker a core. The checkpoint stays on the machine, so a second call on a machine
# that is still warm goes on with --resume; weights, losses and sample pictures come back in $OUT.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:?how many minutes}
shift
out=${OUT:-/tmp/ddp-video-out}
work=/tmp/ddp-video-train
site=/tmp/ddp-video-site
mkdir -p "$out" "$work"
if compgen -G ".whl/*.whl" >/dev/null && [ ! -d "$site" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" .whl/*.whl
fi
export PYTHONPATH="$PWD:$site" OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 PYTHONUNBUFFERED=1
start=(--init .gpu/init.safetensors)
[ ! -f "$work/checkpoint.pt" ] || start=(--resume)
python3 -m ddp_video train --data synthetic:.gpu/people.pack.npz -o "$work" "${start[@]}" --minutes "$minutes" \
    --workers "$(($(nproc) - 2))" --set batch_size=48 --set size=384 --quiet "$@"
cp "$work"/*.safetensors "$work/log.jsonl" "$out"
find "$work/pictures" -name '*.jpg' | sort | tail -n 2 | xargs -r cp -t "$out"
