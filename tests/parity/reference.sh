#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `capivara export --reference-layout` writes, read by webdataset the way the trainer of
# the reference does, against what our own choice of captions makes of the packed set.
#
#     PEER_PYTHON=... tests/parity/reference.sh
#
# BUILD: a meson build folder, default build/. Exit status 1: they differ; 77: no
# PEER_PYTHON with webdataset, torch and Pillow.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import webdataset, torch, PIL' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with webdataset, torch and Pillow"; exit 77; }
ninja -C "$build" capivara capivara-shard tests/report/report-column tests/parity/choices > /dev/null
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$python" "$here/reference.py" make "$tmp" "$build" "$root/tests/golden/images/jpeg-444.jpg"
"$build/capivara-shard" --quiet --min-free 0 --no-dedup-content --corpus "$tmp/c" --name train \
    --seed 3 --samples-per-shard 30 --require pt,xh \
    --columns fetch,caption,translate-pt,translate-xh,score,score-en,score-pt,score-xh
"$build/capivara" export --quiet --reference-layout --lang pt,xh -o "$tmp/out" "$tmp/c/shards/train"
"$python" "$here/reference.py" check "$tmp" "$build"
