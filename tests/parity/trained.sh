#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Trained Marian models against transformers in f32, text to text, with BLEU.
#
#     PEER_PYTHON=... tests/parity/trained.sh                             the demo's models
#     PEER_PYTHON=... tests/parity/trained.sh MODEL SOURCES REFERENCES    another: a folder
#
# SOURCES and REFERENCES: files of lines, each other's translation. Without, COUNT (1000)
# held-out sentences of the demo for each of LANGS (pt xh hi), half of them behind prompts.
# BEAMS: "0 1", where 0 is what the model says. BUILD: a meson build folder, default build/.
# train_captions.py makes a model of real language. Exit status 1: more than 1 in 1,000
# differ, or the BLEUs do in two digits; 77: no PEER_PYTHON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import transformers, torch, sacrebleu' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with transformers and sacrebleu"; exit 77; }
[ $# = 0 ] || [ $# = 3 ] ||
    { echo "usage: trained.sh [MODEL SOURCES REFERENCES]" >&2; exit 64; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ninja -C "$build" capivara-translate demo/capivara-demo-scenes > /dev/null
status=0

# Neither program limits a translation other than as the model does.
compare() {
    for beams in ${BEAMS:-0 1}; do
        "$build/capivara-translate" --model "$1" --lang any --beams "$beams" \
            --max-ratio 0 --max-more 0 --threads "${THREADS:-1}" --device cpu --quiet \
            < "$2" > "$tmp/ours"
        "$python" "$here/trained.py" run "$1" "$beams" < "$2" > "$tmp/theirs"
        case $beams in
        0) echo "$1, the model's search:" ;;
        1) echo "$1, greedy:" ;;
        *) echo "$1, $beams beams:" ;;
        esac
        "$python" "$here/trained.py" judge "$1" "$beams" "$2" "$3" "$tmp/ours" \
            "$tmp/theirs" || status=1
    done
}

if [ $# = 3 ]; then
    compare "$(cd "$1" && pwd)" "$2" "$3"
else
    for lang in ${LANGS:-pt xh hi}; do
        "$python" "$here/trained.py" scenes "$build/demo/capivara-demo-scenes" "$lang" \
            "${COUNT:-1000}" "$tmp/sources" "$tmp/references"
        compare "$root/demo/models/en-$lang" "$tmp/sources" "$tmp/references"
    done
fi
exit $status
