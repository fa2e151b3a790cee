#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the translation memory saves: the stage on captions that are all different, and on
# as many of which 30 in 100 stood there before, in turn. Both by the demo's model.
#
#     bench/translate/duplicates.sh [ROUNDS]          BUILD: the build folder, build/
#
# Prints processor time of the stage, and the ratio of the two: 0.70 is what duplicates
# alone allow.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "${BUILD:-$root/build}" && pwd)
rounds=${1:-3} rows=1500 each=4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
export PATH=$build:$PATH

"$build/demo/capivara-demo-scenes" --clean --scenes $((rows * 3)) --url-base "file/" world >/dev/null
cut -f 2-6 world/captions.tsv | tail -n +2 | tr '\t' '\n' | awk 'NF && !seen[$0]++' >all
[ "$(wc -l <all)" -ge $((rows * each)) ] || { echo "too few captions" >&2; exit 1; }

# share of captions that stood there before, in 100 -> a list
list() {
    awk -v share="$1" -v rows=$rows -v each=$each '
        { text[NR] = $0 }
        END {
            srand(1)
            print "file\tc1\tc2\tc3\tc4"
            for (i = 0; i < rows; i++) {
                line = sprintf("world/images/%05d", i)
                for (k = 0; k < each; k++) {
                    n = i * each + k
                    if (used && n % 100 < share) line = line "\t" text[1 + int(rand() * used)]
                    else line = line "\t" text[++used]
                }
                print line
            }
        }' all
}
for share in 0 30; do
    list $share | while IFS=$'\t' read -r file rest; do
        if [ "$file" = file ]; then printf 'file\t%s\n' "$rest"; continue; fi
        for f in "$file".*; do [ -e "$f" ] && printf '%s\t%s\n' "$f" "$rest" && break; done
    done >$share.tsv
    capivara-fetch --quiet --min-free 1M --corpus $share --input $share.tsv --file-col file \
        --root . --caption-col c1,c2,c3,c4 --image-size 32
done

spent() { # corpus -> milliseconds of processor time
    rm -rf "$1/translate-pt"
    local TIMEFORMAT='%U %S'
    { time capivara-translate --quiet --min-free 1M --corpus "$1" --lang pt --beams 1 \
        --model "$root/demo/models/en-pt"; } 2>&1 | awk 'END { print int(($1 + $2) * 1000) }'
}
for round in $(seq "$rounds"); do
    a=$(spent 0)
    b=$(spent 30)
    echo "round $round: $((rows * each)) captions, all different $a ms, 30 % known $b ms: ratio $(
        awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", b / a }')"
done
sed 's/.*"sentences":\([0-9]*\),"distinct":\([0-9]*\),"memory_hits":\([0-9]*\).*/\1 sentences, \2 distinct, \3 hits/' \
    30/translate-pt/00000.stats.json
