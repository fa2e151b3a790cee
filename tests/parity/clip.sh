#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# OpenCLIP ViT-B/32 with XLM-R base at full size, with random weights, against open_clip in
# f32: pixels, and embeddings of photographs and captions; of a folder, and of a checkpoint
# as CAPIVARA's are.
#
#     PEER_PYTHON=... tests/parity/clip.sh [SCRATCH]
#
# SCRATCH: a folder, for up to 3 GB; what is there from an earlier run is not made again.
# Without, a temporary one. IMAGES: 50. TEXTS: 200. DEVICE: cpu. DATA: the folder with
# photos/, captions/ and tokenizers/, beside the checkout. BUILD: a meson build folder,
# default build/. Exit status 1: pixels differ, or embeddings by more than 1e-5 of their
# largest element; 77: no PEER_PYTHON, photographs or tokenizer.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
data=${DATA:-$root/../shared/data}
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import open_clip, torch' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with open_clip"; exit 77; }
spm=$data/tokenizers/xlm-roberta/sentencepiece.bpe.model
captions=$data/captions/multi30k/val.pt.gz
for f in "$data/photos" "$spm" "$captions"; do
    [ -e "$f" ] || { echo "skipped: $f is not there"; exit 77; }
done
tmp=${1:-}
if [ -z "$tmp" ]; then
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
fi
ninja -C "$build" tests/parity/clip_embed tests/parity/pixels > /dev/null
ours=$build/tests/parity/clip_embed
peer() { "$python" "$here/clip.py" "$@"; }
status=0

mkdir -p "$tmp/made"
peer pixels "$data/photos" "$tmp/made" "$build/tests/parity/pixels" || status=1
rm -r "$tmp/made"

[ -e "$tmp/lightning.ckpt" ] ||
    peer make "$tmp/model" "$spm" "$root/schemas/presets/xlm-roberta-base-ViT-B-32.json"
[ -e "$tmp/theirs-texts" ] ||
    peer embed "$tmp/model" "$data/photos" "${IMAGES:-50}" "$captions" "${TEXTS:-200}" \
        "$tmp/theirs"
for model in model lightning.ckpt; do
    echo "$model:"
    "$ours" "$tmp/$model" -d "${DEVICE:-cpu}" images < "$tmp/theirs-paths" > "$tmp/images"
    "$ours" "$tmp/$model" -d "${DEVICE:-cpu}" -t "$spm" texts < "$tmp/theirs-lines" \
        > "$tmp/texts"
    peer compare images "$tmp/theirs-images" "$tmp/images" 512 || status=1
    peer compare texts "$tmp/theirs-texts" "$tmp/texts" 512 || status=1
done
exit $status
