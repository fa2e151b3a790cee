#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A LoRA step and scoring: ours and open_clip with PEFT turn by turn in one run, on two cores.
#
#     bench/train/run.sh [FOLDER]
#
# FOLDER: where ViT-B/32 with XLM-R base of random weights lies, or is put (1.5 GB; kept);
# without, a temporary one. Batch 32, captions of Multi30k (17.5 tokens each), pairs of r 8
# on query and value, projection and logit_scale, dropout 0.1, Adam; f32. Contenders, each a
# process of its own:
#   reference      as CAPIVARA trains: padded to 77, pixels, checkpointing
#   stored         the best that PyTorch does: stored embeddings, padded to the longest
#   pixels         the same with pixels
#   trainer        capivara-train of the build folder, stored (its CPU time is not measured)
#   ours, ours-checkpointing, ours-pixels     ours: stored, packed; recomputing; with pixels
#   ours-like      ours with texts padded to 77 and checkpointing, stored
#   products       what a step of `ours` multiplies, alone: the limit
#   one, batch     open_clip's image tower, an image at a time and eight
#   score          one image at a time with 12 captions padded to 77, as the reference scores
#   ours-image, ours-score     ours, eight images at a time
# PEER_PYTHON: a Python with open_clip and peft; without it nothing is measured, as it makes
# the model. DATA: the folder with captions/ and tokenizers/, beside the checkout. BUILD: a
# meson build folder, default build/. ROUNDS, STEPS, IMAGES: 3, 3, 16. ONLY: a list of
# contenders. TRAIN: another capivara-train. THREADS: 2. RUN: a word to put before each, as `chrt -f 50`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "${BUILD:-$root/build}" && pwd)
data=${DATA:-$root/../shared/data}
python=${PEER_PYTHON:-}
{ [ -n "$python" ] && "$python" -c 'import open_clip, peft' 2> /dev/null; } ||
    { echo "skipped: PEER_PYTHON names no Python with open_clip and peft"; exit 77; }
[ -d "$data/tokenizers/xlm-roberta" ] ||
    { echo "skipped: $data/tokenizers/xlm-roberta is not there"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
model=${1:-$tmp/model}
peers=$here/peers.py
[ -e "$model/open_clip_model.safetensors" ] ||
    "$python" "$peers" make "$model" "$data/tokenizers/xlm-roberta"
[ -e "$model/set.tar" ] || "$python" "$peers" data "$model" "$data/tokenizers/xlm-roberta" \
    "$data/captions/multi30k/train.en.gz" 2048

# Linked as the program of tests/parity that uses the same libraries.
other=tests/parity/clip_steps
ninja -C "$build" $other > /dev/null
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -I"$root" -c \
    -o "$tmp/bench.o" "$here/bench_train.c"
link=$(ninja -C "$build" -t commands $other | tail -1 |
    sed "s|-o $other $other\\.p/[^ ]*|-o $tmp/bench $tmp/bench.o|")
(cd "$build" && sh -c "$link")

steps=${STEPS:-3}
images=${IMAGES:-16}
ours() { $RUN "$python" "$peers" watch "$tmp/bench" "$model" "$@"; }
peer() { $RUN "$python" "$peers" watch "$python" "$peers" "$1" "$2" "$model" "$3"; }
RUN=${RUN:-}
# A new run each time, one more step than is counted; no checkpoint but the last.
trainer() {
    rm -rf "$tmp/run"
    echo "out: $tmp/run" > "$tmp/train.yaml"
    $RUN "$python" "$peers" watch "${TRAIN:-$build/capivara-train}" "$tmp/train.yaml" \
        --model "$model" --train "$model/set.tar" --image embeddings --lang en \
        --captions none --batch 32 --steps "$((steps + 1))" --log-every 1 \
        --optimizer adam-l2 --lora-r 8 --threads "${THREADS:-2}" --quiet > "$tmp/said"
    echo "$("$python" "$peers" timings "$tmp/run/timings.jsonl") $(awk '{ m = $NF } END { print m }' "$tmp/said")"
}
one() { # a line "contender count wall cpu MiB"
    case $1 in
    reference | stored | pixels) echo "$1 $(peer train "$1" "$steps")" ;;
    ours) echo "$1 $(ours train stored "$steps")" ;;
    ours-checkpointing) echo "$1 $(ours train stored "$steps" checkpoint)" ;;
    ours-pixels) echo "$1 $(ours train pixels "$steps")" ;;
    ours-like) echo "$1 $(ours train stored "$steps" checkpoint padded)" ;;
    trainer) echo "$1 $(trainer)" ;;
    products) echo "$1 $(ours products "$steps")" ;;
    one) echo "$1 $(peer score image "$images")" ;;
    batch) echo "$1 $(peer score batch "$images")" ;;
    score) echo "$1 $(peer score reference "$((images / 4))")" ;;
    ours-image) echo "$1 $(ours score image "$images")" ;;
    ours-score) echo "$1 $(ours score captions "$images")" ;;
    *) echo "run.sh: no contender '$1'" >&2 && exit 64 ;;
    esac
}

grep -m1 'model name' /proc/cpuinfo || true
[ -x "${TRAIN:-$build/capivara-train}" ] && program=trainer || program=
contenders=${ONLY:-ours stored $program ours-checkpointing reference ours-pixels pixels ours-like
    products one ours-image batch score ours-score}
round=0
while [ "$round" -lt "${ROUNDS:-3}" ]; do
    round=$((round + 1))
    for c in $contenders; do one "$c"; done
done | tee "$tmp/log"
cat > "$tmp/awk" << 'AWK'
# Seconds of a step or an image by the clock and of CPU, the medians of the rounds.
function median(a, k,    i, j, t, b) {
    for (i = 1; i <= n[k]; i++) b[i] = a[k, i]
    for (i = 1; i < n[k]; i++)
        for (j = i + 1; j <= n[k]; j++)
            if (b[j] < b[i]) { t = b[i]; b[i] = b[j]; b[j] = t }
    return b[int((n[k] + 1) / 2)]
}
function ratio(a, b, what, goal) {
    if ((a in n) && (b in n))
        printf "%s: %.2f times by the clock%s%s\n", what, median(wall, a) / median(wall, b), \
            median(cpu, b) ? sprintf(", %.2f of CPU", median(cpu, a) / median(cpu, b)) : "", goal
}
{
    if (!($1 in n)) order[++contenders] = $1
    wall[$1, ++n[$1]] = $3 / $2; cpu[$1, n[$1]] = $4 / $2
    if ($5 > mib[$1]) mib[$1] = $5
}
END {
    for (i = 1; i <= contenders; i++) {
        k = order[i]
        printf "%-18s %7.3f s by the clock, %7s s of CPU, %5d MiB anonymous at most\n", k, \
            median(wall, k), median(cpu, k) ? sprintf("%.3f", median(cpu, k)) : "-", mib[k]
    }
    ratio("reference", "ours", "ours, stored, against the reference", " (goal 10)")
    ratio("stored", "ours", "ours against the best of PyTorch, stored", " (goal 1.5)")
    ratio("reference", "trainer", "capivara-train, stored, against the reference", " (goal 10)")
    ratio("stored", "trainer", "capivara-train against the best of PyTorch, stored", " (goal 1.5)")
    ratio("reference", "ours-pixels", "ours with pixels against the reference", " (goal 3.5)")
    ratio("pixels", "ours-pixels", "ours with pixels against PyTorch, padded to the longest", "")
    ratio("products", "ours", "what the products alone take, of ours", "")
    ratio("one", "ours-image", "images: ours against one at a time", "")
    ratio("batch", "ours-image", "images: ours against eight at a time", "")
    ratio("score", "ours-score", "images with 12 captions: ours against the reference", " (goal 3)")
    for (k in n)
        if (("stored" in n) && (k == "ours" || k == "trainer"))
            printf "memory of %s, of the best of PyTorch: %.0f %% (goal 70)\n", \
                k, 100 * mib[k] / mib["stored"]
    if (("pixels" in n) && ("ours-pixels" in n))
        printf "the same with pixels: %.0f %%\n", 100 * mib["ours-pixels"] / mib["pixels"]
}
AWK
awk -f "$tmp/awk" "$tmp/log"
case " $contenders " in
*" ours "*)
    echo "ours, one thread:"
    "$tmp/bench" "$model" split "$steps" | grep '%'
    ;;
esac
