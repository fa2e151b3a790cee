#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# BLIP at full size, with random weights, against transformers in f32: vision states and
# first logits, then ids of ten prompts of each picture, greedy and with 3 beams; and one
# look at a picture for all prompts against a look for each.
#
#     PEER_PYTHON=... tests/parity/blip.sh [SCRATCH]
#
# SCRATCH: a folder, for up to 3 GB; what is there from an earlier run is not made again.
# Without, a temporary one. IMAGES: pictures, 100 (beyond the photographs, mirrored ones).
# LARGE: pictures of the large shape, states and first logits alone, 3; 0: none. SHARED:
# pictures to compare one look with ten, 2. NEW: tokens at most, 20. BEAMS: "1 3". THREADS:
# of transformers, 1. DATA: the folder with photos/ and tokenizers/, beside the checkout;
# without a tokenizer the vocabulary is made up. BUILD: a meson build folder, default
# build/. Exit status 1: states or logits are further apart than 1e-4 of the maximum, more
# than 1 caption in 100 differs, or one does for no reason; 77: no PEER_PYTHON or photos.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
data=${DATA:-$root/../shared/data}
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import transformers, torch' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with transformers"; exit 77; }
[ -d "$data/photos" ] || { echo "skipped: $data/photos is not there"; exit 77; }
tmp=${1:-}
if [ -z "$tmp" ]; then
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
fi
ninja -C "$build" tests/parity/blip_ids tests/parity/pixels > /dev/null
ours=$build/tests/parity/blip_ids
peer() { "$python" "$here/blip.py" "$@"; }
vocab=$data/tokenizers/bert-base-uncased/vocab.txt
[ -e "$vocab" ] || vocab=
new=${NEW:-20}
status=0

# prepare SHAPE COUNT: the model, pixels and prompts
prepare() {
    dir=$tmp/$1
    [ -e "$dir/vocab.txt" ] || peer make "$dir" "$1" ${vocab:+"$vocab"}
    pixels=$tmp/pixels-$2
    [ -e "$pixels" ] || {
        peer pixels "$dir" "$data/photos" "$2" "$pixels.part" "$build/tests/parity/pixels"
        mv "$pixels.part" "$pixels"
    }
    peer prompts "$dir" > "$tmp/prompts"
    printf '%s\n' "the foreground features" "a photo of" "a picture of" \
        "this is a scene depicting" "an image of" "portrait of a" \
        "this image captures a moment of" "a painting of" "an art of" \
        "the picture shows" | "$ours" "$dir" f32 prompts | cmp - "$tmp/prompts" ||
        { echo "prompts have other ids"; status=1; }
}

# near SHAPE COUNT: states and first logits
near() {
    prepare "$1" "$2"
    peer states "$dir" "$pixels" "$2" "$tmp/$1-states"
    "$ours" "$dir" f32 states "$pixels" "$2" > "$tmp/our-states"
    echo "$1:"
    peer compare "$dir" "$pixels" "$2" "$tmp/$1-states" "$tmp/our-states" \
        "$tmp/prompts" -- "$ours" "$dir" f32 || status=1
    rm "$tmp/our-states"
}

[ "${LARGE:-3}" = 0 ] || near large "${LARGE:-3}"
n=${IMAGES:-100}
near base "$n"
for beams in ${BEAMS:-1 3}; do
    "$ours" "$dir" f32 captions "$pixels" "$n" "$beams" "$new" 1 < "$tmp/prompts" \
        > "$tmp/ours-$beams"
    some=${SHARED:-2}
    "$ours" "$dir" f32 captions "$pixels" "$some" "$beams" "$new" 0 < "$tmp/prompts" |
        cmp - "$tmp/ours-$beams" 2> "$tmp/cmp" || grep -q 'EOF on -' "$tmp/cmp" ||
        { echo "one look for all prompts differs from one look each"; status=1; }
    peer run "$dir" "$beams" "$new" "$tmp/prompts" "$tmp/base-states" "$n" \
        "$tmp/theirs-$beams-$new"
    [ "$beams" = 1 ] && echo "base, greedy:" || echo "base, $beams beams:"
    peer judge "$dir" "$beams" "$pixels" "$tmp/prompts" "$tmp/base-states" \
        "$tmp/ours-$beams" "$tmp/theirs-$beams-$new" "$new" -- "$ours" "$dir" f32 || status=1
done
exit $status
