#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Seconds and anonymous memory to load checkpoints of published dimensions into weights of
# the cpu device, in f32 and in int8. Exit status 1 if one is over its bounds, which stand
# in bench_checkpoint.c.
#
#     bench/checkpoint/run.sh [FOLDER]
#
# FOLDER: where make_models.py puts eight models of random weights (5.7 GB), kept for the
# next run; without it a temporary folder. PEER_PYTHON: a Python with torch and
# transformers. BUILD: a meson build folder, default build/. ROUNDS: 5, of which the best
# counts for the time.
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
libs='common/model/libcpv_model.a common/compute/libcpv_compute.a
      common/compute/libcpv_cuda.a common/format/libcpv_format.a common/net/libcpv_net.a common/base/libcpv_base.a'
for level in base v3 v4; do
    if grep -q "common/compute/libcpv_kernels_$level.a" "$build/build.ninja"; then
        libs="$libs common/compute/libcpv_kernels_$level.a"
    fi
done
cuda=
if grep -q cudart_static "$build/build.ninja"; then
    cuda="$(grep -o '[^ ]*libcudart_static.a' "$build/build.ninja" | head -n 1) -ldl -lrt"
fi
# shellcheck disable=SC2086
ninja -C "$build" $libs > /dev/null
# shellcheck disable=SC2046,SC2086
(cd "$build" && ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -I"$root" \
    -o "$tmp/bench_checkpoint" "$here/bench_checkpoint.c" \
    -Wl,--start-group $libs -Wl,--end-group $cuda \
    $(pkg-config --libs libzstd zlib jansson yaml-0.1 libcrypto libxxhash libcurl) \
    -lm -lpthread)
mkdir -p "$models"
"$python" "$here/make_models.py" "$models"
failed=0
for m in "$models"/*; do
    cat "$m"/*model* > /dev/null
    echo "$(basename "$m") $(du -m "$m" | cut -f1) MB"
    for dtype in f32 int8; do
        rc=0
        "$tmp/bench_checkpoint" "$m" $dtype "${ROUNDS:-5}" > "$tmp/out" || rc=$?
        sed 's/^/    /' "$tmp/out"
        [ $rc -eq 0 ] || failed=1
    done
done
exit $failed
