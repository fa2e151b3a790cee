#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Recall against the reference's evaluation function (normalised embeddings, scores = T I^T,
# topk, any positive; eval.py) in PyTorch: of 500 random embeddings, and of 500 that a model
# makes of the demo's held-out scenes; there capivara-eval itself, too.
#
#     PEER_PYTHON=... tests/parity/eval.sh
#
# MODEL: a model's folder; default demo/models/clip, else the small one of tests/golden.
# BUILD: a meson build folder, default build/. Exit status 1: a number differs; 77: no
# PEER_PYTHON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "${BUILD:-$root/build}" && pwd)
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import torch' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with torch"; exit 77; }
model=${MODEL:-$root/demo/models/clip}
[ -e "$model" ] || model=$root/tests/golden/clip/base
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ninja -C "$build" tests/parity/recall tests/parity/clip_embed demo/capivara-demo-scenes \
    capivara-eval > /dev/null
status=0

echo "random:"
mkdir "$tmp/random" "$tmp/model"
"$python" "$here/eval.py" random "$tmp/random"
ours() { # DIR DIM
    "$build/tests/parity/recall" "$2" "$1/images" "$1/texts" "$1/owners" > "$1/ours"
    "$python" "$here/eval.py" against "$1" "$2" || status=1
}
ours "$tmp/random" 512

# Captions that two scenes share are left out: topk promises no order among equals.
echo "$(basename "$model"):"
"$build/demo/capivara-demo-scenes" --scenes 1 --heldout 520 "$tmp/world" > /dev/null
awk 'BEGIN { FS = OFS = "\t" }
     FNR == 1 { next }
     NR == FNR { for (k = 2; k <= 6; k++) n[$k]++; next }
     { split($1, p, "/images/"); for (k = 2; k <= 6; k++) if ($k != "" && n[$k] == 1) print p[2], $k }' \
    "$tmp/world/heldout.tsv" "$tmp/world/heldout.tsv" > "$tmp/pairs"
cut -f 1 "$tmp/pairs" | sort -u | head -n 500 > "$tmp/names"
grep -F -f "$tmp/names" "$tmp/pairs" > "$tmp/kept" && mv "$tmp/kept" "$tmp/pairs"
{ printf 'file\ten\n'; cat "$tmp/pairs"; } > "$tmp/list.tsv"
echo "$(wc -l < "$tmp/names") images, $(wc -l < "$tmp/pairs") texts"
sed "s|^|$tmp/world/images/|" "$tmp/names" | "$build/tests/parity/clip_embed" "$model" images \
    > "$tmp/model/images" 2> /dev/null
cut -f 2 "$tmp/pairs" | "$build/tests/parity/clip_embed" "$model" texts > "$tmp/model/texts" 2> /dev/null
awk -F '\t' 'NR == FNR { at[$1] = FNR - 1; next } { print at[$1] }' "$tmp/names" "$tmp/pairs" |
    "$python" -c 'import numpy, sys; numpy.loadtxt(sys.stdin, numpy.int64).tofile(sys.argv[1])' \
        "$tmp/model/owners"
dim=$(sed -n 's/.*"embed_dim": *\([0-9]*\).*/\1/p' "$model/open_clip_config.json")
ours "$tmp/model" "$dim"
"$build/capivara-eval" --quiet --model "$model" --images "$tmp/world/images" \
    --list "$tmp/list.tsv" --json "$tmp/json" > /dev/null
"$python" "$here/eval.py" numbers "$tmp/model" "$tmp/json" "$dim" || status=1
exit $status
