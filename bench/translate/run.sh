#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Translating: ours, CTranslate2 and transformers turn by turn in one run.
#
#     bench/translate/run.sh [FOLDER]
#
# FOLDER: a Marian model; without, the base shape (d 512, 6 + 6 layers, vocabulary 61,950)
# with random weights is made, which PEER_PYTHON must be able to (torch, transformers). 14
# tokens in, exactly 14 out, two workers of one thread. BUILD: a meson build folder, default
# build/. PEER_PYTHON: a Python with ctranslate2 and transformers; without it only ours is
# measured. ROUNDS, SENTENCES: 3, 512 (transformers: an eighth of it). ONLY: one of
# int8-1, int8-4, f32-1. LANES: ours, default 64, with beams 32.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bench=$tmp/bench_translate
libs='common/model/libcpv_model.a common/net/libcpv_net.a common/compute/libcpv_compute.a
      common/compute/libcpv_cuda.a'
libs="$libs common/format/libcpv_format.a common/base/libcpv_base.a"
levels=$(ninja -C "$build" -t targets all |
    sed -n 's|^\(common/compute/libcpv_kernels_[a-z0-9]*\.a\):.*|\1|p')
# shellcheck disable=SC2086
ninja -C "$build" $libs $levels > /dev/null
link=$(for l in $libs $levels; do printf '%s ' "$build/$l"; done)
# The CUDA runtime, where the library was built with it.
cuda=$(ninja -C "$build" -t commands tests/unit/model/test_marian 2> /dev/null |
    tr ' ' '\n' | grep -e 'libcudart_static' | sort -u | head -1)
# shellcheck disable=SC2046,SC2086
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -I"$root" -o "$bench" \
    "$here/bench_translate.c" -Wl,--start-group $link -Wl,--end-group $cuda \
    $(pkg-config --libs libzstd zlib jansson yaml-0.1 libcrypto libxxhash libcurl) \
    -lm -lpthread -ldl -lrt
python=${PEER_PYTHON:-}
model=${1:-}
if [ -z "$model" ]; then
    [ -n "$python" ] || { echo "no model: give a FOLDER, or PEER_PYTHON to make one"; exit 77; }
    model=$tmp/model
    "$python" "$here/peer.py" make "$model"
fi
peers=
if [ -n "$python" ] && "$python" "$here/peer.py" convert "$model" "$tmp"; then
    peers=yes
else
    echo "CTranslate2: not measured, PEER_PYTHON names no Python that has it"
fi
n=${SENTENCES:-512}
lanes_for() { [ "$1" = 1 ] && echo "${LANES:-64}" || echo "${LANES:-32}"; }

# one KIND: a line "who what sentences wall cpu" for each contender
one() {
    dtype=${1%-*}
    beams=${1#*-}
    lanes=$(lanes_for "$beams")
    if [ -n "$peers" ]; then
        echo "ctranslate2 $1 $("$python" "$here/peer.py" ct2 "$tmp/$dtype" "$dtype" "$beams" "$n")"
        [ "$1" != f32-1 ] ||
            echo "transformers $1 $("$python" "$here/peer.py" hf "$model" "$beams" $((n / 8)))"
    fi
    echo "capivara $1 $("$bench" "$model" "$dtype" "$beams" "$n" 2 "$lanes" | cut -d' ' -f2-)"
    echo "products $1 $("$bench" "$model" "$dtype" "$beams" "$n" products "$lanes" | cut -d' ' -f2-)"
}

grep -m1 'model name' /proc/cpuinfo || true
for kind in ${ONLY:-int8-1 int8-4 f32-1}; do
    round=0
    while [ "$round" -lt "${ROUNDS:-3}" ]; do
        round=$((round + 1))
        one "$kind"
    done
done > "$tmp/log"
cat "$tmp/log"
cat > "$tmp/awk" << 'AWK'
# Sentences for each second of CPU, the median of the rounds.
function median(k,    i, j, t, a) {
    for (i = 1; i <= n[k]; i++) a[i] = rate[k, i]
    for (i = 1; i < n[k]; i++)
        for (j = i + 1; j <= n[k]; j++)
            if (a[j] < a[i]) { t = a[i]; a[i] = a[j]; a[j] = t }
    return a[int((n[k] + 1) / 2)]
}
{ k = $1 " " $2; rate[k, ++n[k]] = $3 / $5; kinds[$2] }
END {
    for (kind in kinds) {
        ours = median("capivara " kind)
        printf "%s: %.0f sentences a second of CPU, %.0f %% of what the products allow (%.0f)", \
            kind, ours, 100 * ours / median("products " kind), median("products " kind)
        if (("ctranslate2 " kind) in n)
            printf "; CTranslate2 %.0f: %.2f times", median("ctranslate2 " kind), \
                ours / median("ctranslate2 " kind)
        if (("transformers " kind) in n)
            printf "; transformers %.0f: %.2f times", median("transformers " kind), \
                ours / median("transformers " kind)
        print ""
    }
}
AWK
awk -f "$tmp/awk" "$tmp/log"
for kind in ${ONLY:-int8-1 int8-4 f32-1}; do
    echo "$kind, one worker:"
    "$bench" "$model" "${kind%-*}" "${kind#*-}" "$((n / 2))" split \
        "$(lanes_for "${kind#*-}")" | grep '%'
done
