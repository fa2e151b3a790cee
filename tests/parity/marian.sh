#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Marian at full size, with random weights, against transformers in f32: logits after given
# prefixes, and ids, line by line.
#
#     PEER_PYTHON=... tests/parity/marian.sh [SCRATCH]
#
# SCRATCH: an empty folder, for up to 1.2 GB; without, a temporary one. SHAPES: base
# tc-big. FORCED, GREEDY, BEAM: how many sentences, 100, 1000, 1000; 0: none. NEW: tokens at
# most, 40. CAPTIONS and TOKENIZER: a file of sentences and a folder with MarianTokenizer's
# files; without, random ids. BUILD: a meson build folder, default build/. Exit status 1:
# logits differ by more than 1e-5 of the largest, or more than 1 sentence in 100 does, or one
# does for no reason; 77: no PEER_PYTHON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import transformers, torch' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with transformers"; exit 77; }
tmp=${1:-}
if [ -z "$tmp" ]; then
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
fi
ninja -C "$build" tests/parity/marian_ids > /dev/null
ours=$build/tests/parity/marian_ids
status=0
sentences() { # SHAPE COUNT
    "$python" "$here/marian.py" sources "$tmp/$1" "$2" \
        ${CAPTIONS:+"$CAPTIONS"} ${TOKENIZER:+"$TOKENIZER"} > "$tmp/in"
}
for shape in ${SHAPES:-base tc-big}; do
    [ -e "$tmp/$shape/config.json" ] || "$python" "$here/marian.py" make "$tmp/$shape" "$shape"
    if [ "${FORCED:-100}" != 0 ]; then
        sentences "$shape" "${FORCED:-100}"
        echo "$shape, forced:"
        "$python" "$here/marian.py" forced "$tmp/$shape" "$tmp/in" -- \
            "$ours" "$tmp/$shape" f32 || status=1
    fi
    for beams in 1 4; do
        n=${GREEDY:-1000}
        [ "$beams" = 1 ] || n=${BEAM:-1000}
        [ "$n" != 0 ] || continue
        sentences "$shape" "$n"
        "$ours" "$tmp/$shape" f32 "$beams" "${NEW:-40}" < "$tmp/in" > "$tmp/ours"
        "$python" "$here/marian.py" run "$tmp/$shape" "$beams" "${NEW:-40}" \
            < "$tmp/in" > "$tmp/theirs"
        echo "$shape, $beams beams:"
        "$python" "$here/marian.py" judge "$tmp/$shape" "$beams" "$tmp/in" "$tmp/ours" \
            "$tmp/theirs" -- "$ours" "$tmp/$shape" f32 || status=1
    done
done
exit $status
