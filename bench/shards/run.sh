#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sequential reading of shards, ours and webdataset's turn by turn in one run.
#
#     bench/shards/run.sh [JPEGS]
#
# BUILD: a meson build folder, default build/. JPEGS: a folder of pictures (without: noise
# of 40 KB). PEER_PYTHON: a Python with webdataset; without it only ours is measured.
# SAMPLES, SHARDS, ROUNDS: 5000, 4, 3. Files are read once before, so all is in memory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bench=$tmp/bench_shards
ninja -C "$build" common/format/libcpv_format.a common/base/libcpv_base.a > /dev/null
# shellcheck disable=SC2046
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -I"$root" -o "$bench" \
    "$here/bench_shards.c" "$build/common/format/libcpv_format.a" \
    "$build/common/base/libcpv_base.a" \
    $(pkg-config --libs libzstd zlib jansson yaml-0.1 libcrypto libxxhash) -lm -lpthread
mkdir "$tmp/zst" "$tmp/plain"
"$bench" make "$tmp/zst" "${SHARDS:-4}" "${SAMPLES:-5000}" ${1+"$1"}
"$bench" export "$tmp/zst" "$tmp/plain"
cat "$tmp"/zst/*.zst "$tmp"/plain/*.tar > /dev/null
python=${PEER_PYTHON:-}
[ -n "$python" ] && "$python" -c 'import webdataset' 2> /dev/null || python=
[ -n "$python" ] || echo "webdataset: not measured, PEER_PYTHON names no Python that has it"

round=0
while [ "$round" -lt "${ROUNDS:-3}" ]; do
    round=$((round + 1))
    echo "ours zst 0 $("$bench" read 0 "$tmp"/zst/*.tar.zst)"
    echo "ours zst 4 $("$bench" read 4 "$tmp"/zst/*.tar.zst)"
    echo "ours tar 0 $("$bench" read 0 "$tmp"/plain/*.tar)"
    if [ -n "$python" ]; then
        echo "webdataset zst - $("$python" "$here/peer_webdataset.py" "$tmp"/zst/*.tar.zst)"
        echo "webdataset tar - $("$python" "$here/peer_webdataset.py" "$tmp"/plain/*.tar)"
    fi
done > "$tmp/log"
cat "$tmp/log"
# The median of each kind by CPU seconds and by samples/s; ours over theirs on the same
# files. On a machine that does other things too, only the CPU seconds mean something.
cat > "$tmp/awk" << 'AWK'
function median(what, k,    i, j, t, a, m) {
    m = n[k]
    for (i = 1; i <= m; i++) a[i] = what == "rate" ? rate[k, i] : cpu[k, i]
    for (i = 1; i < m; i++)
        for (j = i + 1; j <= m; j++)
            if (a[j] + 0 < a[i] + 0) { t = a[i]; a[i] = a[j]; a[j] = t }
    return a[int((m + 1) / 2)]
}
function ratio(label, ours, theirs) {
    if (!(theirs in n)) return
    printf "%s: %.1f times by the clock, %.1f times by CPU seconds\n", label,
        median("rate", ours) / median("rate", theirs), median("cpu", theirs) / median("cpu", ours)
}
{
    k = $1 " " $2 " " $3
    n[k]++
    rate[k, n[k]] = $7
    cpu[k, n[k]] = $8
    total = $4 " " $5
    if (NR > 1 && total != first) { print k ": read something else"; bad = 1 }
    first = total
}
END {
    for (k in n)
        printf "%-18s %7d samples/s, %.3f CPU seconds\n", k, median("rate", k), median("cpu", k)
    ratio("our .tar.zst to its .tar.zst", "ours zst 0", "webdataset zst -")
    ratio("the same, read ahead", "ours zst 4", "webdataset zst -")
    ratio("our .tar.zst, read ahead, to its .tar", "ours zst 4", "webdataset tar -")
    ratio("our .tar to its .tar", "ours tar 0", "webdataset tar -")
    exit bad
}
AWK
awk -f "$tmp/awk" "$tmp/log"
