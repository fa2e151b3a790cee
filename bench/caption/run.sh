#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Captioning: ours and transformers turn by turn in one run, on two cores.
#
#     bench/caption/run.sh [FOLDER]
#
# FOLDER: where a BLIP-base of random weights lies, or is put (0.9 GB; kept); without, a
# temporary one. Ten prompts of 5 tokens (bos included), exactly 12 new ones, f32 unless it
# says int8. Contenders, each a process of its own:
#   capivara f32, int8   two workers of one thread, PLACES (4) pictures in work each
#   ten                  transformers as the reference calls it: each picture ten times in
#                        a batch (without the processor's work)
#   once                 transformers given the vision states, made once
#   products             the multiplications of ours alone, on two threads: the limit
# PEER_PYTHON: a Python with transformers; without it nothing is measured, as it makes the
# model. BUILD: a meson build folder, default build/. ROUNDS, IMAGES: 3, 12 (ten: a sixth,
# once: a third). HF_THREADS: 2. ONLY: a list of contenders.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "${BUILD:-$root/build}" && pwd)
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import transformers, torch' 2> /dev/null ||
    { echo "skipped: PEER_PYTHON names no Python with transformers"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
model=${1:-$tmp/model}
[ -e "$model/vocab.txt" ] || "$python" "$here/peer.py" make "$model"

# Linked as the program of tests/parity that uses the same libraries.
other=tests/parity/blip_ids
ninja -C "$build" $other > /dev/null
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -I"$root" -c \
    -o "$tmp/bench.o" "$here/bench_caption.c"
link=$(ninja -C "$build" -t commands $other | tail -1 |
    sed "s|-o $other $other\\.p/[^ ]*|-o $tmp/bench $tmp/bench.o|")
(cd "$build" && sh -c "$link")

n=${IMAGES:-12}
places=${PLACES:-4}
at_least() { [ "$1" -ge 1 ] && echo "$1" || echo 1; }
one() { # a line "contender what images wall cpu MiB"
    case $1 in
    ten) echo "$1 captioned $("$python" "$here/peer.py" ten "$model" "$(at_least $((n / 6)))")" ;;
    once) echo "$1 captioned $("$python" "$here/peer.py" once "$model" "$(at_least $((n / 3)))")" ;;
    products*) echo "$1 $("$tmp/bench" "$model" "${1#*-}" "$n" products "$places")" ;;
    *) echo "$1 $("$tmp/bench" "$model" "$1" "$n" 2 "$places")" ;;
    esac
}

grep -m1 'model name' /proc/cpuinfo || true
contenders=${ONLY:-f32 ten int8 once products-f32 products-int8}
round=0
while [ "$round" -lt "${ROUNDS:-3}" ]; do
    round=$((round + 1))
    for c in $contenders; do one "$c"; done
done | tee "$tmp/log"
cat > "$tmp/awk" << 'AWK'
# Seconds of an image by the clock and of CPU, the medians of the rounds.
function median(a, k,    i, j, t, b) {
    for (i = 1; i <= n[k]; i++) b[i] = a[k, i]
    for (i = 1; i < n[k]; i++)
        for (j = i + 1; j <= n[k]; j++)
            if (b[j] < b[i]) { t = b[i]; b[i] = b[j]; b[j] = t }
    return b[int((n[k] + 1) / 2)]
}
function ratio(a, b, what, goal) {
    if ((a in n) && (b in n))
        printf "%s: %.2f times by the clock, %.2f of CPU%s\n", what, \
            median(wall, a) / median(wall, b), median(cpu, a) / median(cpu, b), goal
}
{ wall[$1, ++n[$1]] = $4 / $3; cpu[$1, n[$1]] = $5 / $3; if ($6 > mib[$1]) mib[$1] = $6 }
END {
    for (k in n)
        printf "%-14s %6.2f s an image by the clock, %6.2f s of CPU, %d MiB at most\n", k, \
            median(wall, k), median(cpu, k), mib[k]
    ratio("ten", "f32", "f32 against transformers with ten looks", " (goal 10)")
    ratio("once", "f32", "f32 against transformers with one look", " (goal 2.4)")
    ratio("f32", "int8", "int8 against f32", " (goal 1.8)")
    ratio("products-f32", "f32", "what the products alone take, of f32", "")
    ratio("products-int8", "int8", "what the products alone take, of int8", "")
}
AWK
awk -f "$tmp/awk" "$tmp/log"
for dtype in f32 int8; do
    echo "$dtype, one worker:"
    "$tmp/bench" "$model" $dtype "$(at_least $((n / 3)))" split "$places" | grep '%'
done
