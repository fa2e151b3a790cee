#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ids and decoded text of the tokenizers against transformers, line by line, on real text
# and real vocabularies. A developer runs it; minutes, since Python's classes are slow.
#
#   tests/parity/tokenizers.sh [TEXT ...]     en, pt, ui, or a file of lines; default all three
#
# BUILD    the build folder (build)
# PYTHON   a Python with transformers 4.57.6, sentencepiece, ftfy 6.3 (python3)
# DATA     the folder with tokenizers/, captions/, text/ (beside the checkout)
#
# The status is 0 if every line agrees. The digests that it prints are those of
# tests/unit/text/test_real.c.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-$root/build} python=${PYTHON:-python3} data=${DATA:-$root/../shared/data}
ours=$build/tests/parity/parity_tokens
peer=("$python" "$root/tests/fixtures/make_tokenizers.py")
[ -x "$ours" ] || { echo "$ours is not built" >&2; exit 77; }
[ -d "$data/tokenizers" ] || { echo "$data/tokenizers is not there" >&2; exit 77; }
"$python" -c 'import transformers, sentencepiece, ftfy' 2>/dev/null ||
    { echo "$python lacks transformers, sentencepiece or ftfy" >&2; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

text() {
    case $1 in
    en | pt) zcat "$data/captions/multi30k/train.$1.gz" "$data/captions/multi30k/val.$1.gz" ;;
    ui) cat "$data"/text/ui.en-{xh.xh,hi.hi,hi.en,pt.pt} ;;
    *) cat "$1" ;;
    esac
}

failed=0
compare() { # what, expected, found
    local n
    n=$(diff --text "$2" "$3" | grep -ac '^<' || true)
    printf '%-60s %6d lines, %d differ\n' "$1" "$(wc -l <"$2")" "$n"
    cmp -s "$2" "$3" || failed=1
}

[ $# -gt 0 ] || set -- en pt ui
for name in "$@"; do
    text "$name" >"$work/in"
    "${peer[@]}" clean x x <"$work/in" >"$work/expected"
    "$ours" xlmr "$data/tokenizers/xlm-roberta/sentencepiece.bpe.model" clean \
        <"$work/in" >"$work/found"
    compare "$name cleaned" "$work/expected" "$work/found"
    while read -r kind model; do
        model=$data/tokenizers/$model
        "${peer[@]}" ids "$kind" "$model" <"$work/in" >"$work/ids"
        "$ours" "$kind" "$model" <"$work/in" >"$work/found"
        compare "$name $kind $(basename "$model") ids" "$work/ids" "$work/found"
        sha256sum <"$work/ids" | cut -d' ' -f1
        "${peer[@]}" text "$kind" "$model" <"$work/ids" >"$work/expected"
        "$ours" "$kind" "$model" decode <"$work/ids" | tr '\0' ' ' >"$work/found"
        compare "$name $kind $(basename "$model") text" "$work/expected" "$work/found"
    done <<'EOF'
marian opus-mt-tc-big-en-pt
marian opus-mt-en-mg
xlmr xlm-roberta/sentencepiece.bpe.model
caption xlm-roberta/sentencepiece.bpe.model
wordpiece bert-base-uncased
bpe gpt2-bpe
EOF
done
exit $failed
