#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Adapters, merged models and training against open_clip and PEFT, with a small model and
# one of full size (random weights): texts and images embedded; adapters that PEFT wrote in
# ours and ours in PEFT; merged models in open_clip; every gradient of one step; the losses
# of 20 steps of Adam with L2.
#
#     PEER_PYTHON=... tests/parity/peft.sh [SCRATCH]
#
# SCRATCH: a folder, for up to 9 GB; models that are there are not made again. Without, a
# temporary one. SHAPES: "small full". CASES: "lora proj full", what is trained. BATCH: 16.
# DATA: the folder with captions/ and tokenizers/, beside the checkout. BUILD: a meson build
# folder, default build/. Exit status 1: something is further apart than 1e-5 (embeddings)
# or 1e-4 (gradients, losses) of the largest; 77: no PEER_PYTHON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
data=${DATA:-$root/../shared/data}
python=${PEER_PYTHON:-}
{ [ -n "$python" ] && "$python" -c 'import open_clip, peft' 2> /dev/null; } ||
    { echo "skipped: PEER_PYTHON names no Python with open_clip and peft"; exit 77; }
tmp=${1:-}
if [ -z "$tmp" ]; then
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
fi
ninja -C "$build" tests/parity/clip_steps > /dev/null
ours=$build/tests/parity/clip_steps
peer() { "$python" "$here/peft_peer.py" "$@"; }
status=0
near() { peer near "$1" "$2" "$3" || status=1; }
batch=${BATCH:-16}

# The reference's schedule, warm-up of 5 of 20 steps, from $1 / 10 up to $1.
rates() {
    awk -v most="$1" 'BEGIN {
        for (s = 0; s < 20; s++) {
            part = s <= 5 ? s / 5 : 0.5 * (cos((s - 5) / 15 * 3.14159265358979) + 1)
            printf "%.9g ", most * (0.1 + 0.9 * part)
        }
    }'
}

embeddings() { # texts and images of the base model, and with PEFT's adapters
    peer texts "$model" - "$folder" 24 "$out/theirs-base"
    "$ours" "$model" -n 24 texts "$folder" "$out/base-texts"
    near "$out/base-texts" "$out/theirs-base" 1e-5
    peer pixels "$model" 4 "$out/pixels"
    peer images "$model" "$out/pixels" 4 "$out/theirs-images"
    "$ours" "$model" images "$out/pixels" 4 "$out/base-images"
    near "$out/base-images" "$out/theirs-images" 1e-5
}

# adapters KIND: to and fro
adapters() {
    peer adapter "$model" "$1" "$out/peft-$1"
    peer texts "$model" "$out/peft-$1" "$folder" 24 "$out/theirs-$1"
    "$ours" "$model" -a "$out/peft-$1" -n 24 texts "$folder" "$out/adapter-of-PEFT-$1"
    near "$out/adapter-of-PEFT-$1" "$out/theirs-$1" 1e-5
    # Ours: PEFT's after three steps, and new pairs after as many.
    for from in peft new; do
        [ $from = peft ] && with="-a $out/peft-$1" || with=
        # shellcheck disable=SC2086
        "$ours" "$model" $with -t "$1" adapter "$out/ours-$from-$1" "$folder" "$batch" \
            1e-3 1e-3 1e-3 > /dev/null
        "$ours" "$model" -a "$out/ours-$from-$1" -n 24 texts "$folder" \
            "$out/our-adapter-$from-$1"
        peer texts "$model" "$out/ours-$from-$1" "$folder" 24 "$out/theirs-ours-$1"
        near "$out/our-adapter-$from-$1" "$out/theirs-ours-$1" 1e-5
        if cmp -s "$out/our-adapter-$from-$1" "$out/base-texts"; then
            echo "    the adapter says nothing   <- BAD"
            status=1
        fi
    done
}

# merged KIND
merged() {
    "$ours" "$model" -a "$out/peft-$1" -t "$1" merge "$out/merged-$1"
    peer strict "$out/merged-$1" "$model" || status=1
    peer texts "$out/merged-$1" - "$folder" 24 "$out/merged-texts-$1"
    near "$out/merged-texts-$1" "$out/theirs-$1" 1e-5
    "$ours" "$out/merged-$1" -n 24 texts "$folder" "$out/merged-in-ours-$1"
    near "$out/merged-in-ours-$1" "$out/theirs-$1" 1e-5
    rm -r "$out/merged-$1"
}

# training KIND
training() {
    with=-
    [ "$1" = full ] || with=$out/peft-$1
    [ "$with" = - ] && ours_with= || ours_with="-a $with"
    peer step "$model" "$with" "$1" "$folder" "$batch" "$out/theirs" > "$out/their-loss"
    for how in "" "-p 77 -c" "-m 5"; do
        echo "  $1, one step ${how:-packed}:"
        # shellcheck disable=SC2086
        "$ours" "$model" $ours_with -t "$1" $how step "$folder" "$batch" "$out/ours" \
            > "$out/loss"
        near "$out/loss" "$out/their-loss" 1e-5
        peer gradients "$out/ours" "$out/theirs" || status=1
    done
    rm "$out/ours" "$out/theirs"
    echo "  $1, 20 steps:"
    # shellcheck disable=SC2086,SC2046
    peer steps "$model" "$with" "$1" "$folder" "$batch" $(rates "$rate") > "$out/their-losses"
    # shellcheck disable=SC2086,SC2046
    "$ours" "$model" $ours_with -t "$1" steps "$folder" "$batch" $(rates "$rate") \
        > "$out/losses"
    near "$out/losses" "$out/their-losses" 1e-4
    echo "    from $(head -1 "$out/losses") to $(tail -1 "$out/losses")"
}

for shape in ${SHAPES:-small full}; do
    out=$tmp/$shape
    mkdir -p "$out"
    if [ "$shape" = small ]; then
        model=$root/tests/golden/clip-train
        folder=$out/data
        rate=2e-2
        peer data "$model" "$folder"
    else
        model=$tmp/model
        folder=$model
        rate=1e-3
        bench=$root/bench/train/peers.py
        tokenizer=$data/tokenizers/xlm-roberta
        [ -d "$tokenizer" ] || { echo "$tokenizer is not there: no model of full size"; exit 77; }
        [ -e "$model/open_clip_model.safetensors" ] ||
            "$python" "$bench" make "$model" "$tokenizer"
        [ -e "$model/ids" ] || "$python" "$bench" data "$model" "$tokenizer" \
            "$data/captions/multi30k/train.en.gz" 2048 > /dev/null
    fi
    echo "$shape:"
    embeddings
    for kind in ${CASES:-lora proj full}; do
        if [ "$kind" != full ]; then
            adapters "$kind"
            merged "$kind"
        fi
        training "$kind"
    done
done
exit $status
