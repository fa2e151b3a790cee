#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Seconds and anonymous memory to load checkpoints of published dimensions as f32.
#
#     bench/checkpoint/run.sh [FOLDER]
#
# FOLDER: where make_models.py puts eight models of random weights (5.7 GB), kept for the
# next run; without it a temporary folder. PEER_PYTHON: a Python with torch and
# transformers. BUILD: a meson build folder, default build/. ROUNDS: 3, of which the first
# may still read from the disk.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
models=${1:-$tmp/models}
python=${PEER_PYTHON:-python3}
if ! "$python" -c 'import torch, transformers' 2> /dev/null; then
    echo "run.sh: PEER_PYTHON names no Python with torch and transformers" >&2
    exit 77
fi
ninja -C "$build" common/format/libcpv_format.a common/base/libcpv_base.a > /dev/null
# shellcheck disable=SC2046
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -I"$root" \
    -o "$tmp/bench_checkpoint" "$here/bench_checkpoint.c" \
    "$build/common/format/libcpv_format.a" "$build/common/base/libcpv_base.a" \
    $(pkg-config --libs libzstd zlib jansson yaml-0.1 libcrypto libxxhash) -lm -lpthread
mkdir -p "$models"
"$python" "$here/make_models.py" "$models"
for m in "$models"/*; do
    cat "$m"/*model* > /dev/null
    echo "$(basename "$m") $(du -m "$m" | cut -f1) MB"
    "$tmp/bench_checkpoint" "$m" "${ROUNDS:-3}" | sed 's/^/    /'
done
