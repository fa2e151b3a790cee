#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sequential reading of shards, ours and webdataset's turn by turn in one run.
#
#     run.sh [BUILD] [JPEGS]
#
# BUILD: a meson build folder, default build; JPEGS: a folder of pictures (without: noise
# of 40 KB). PEER_PYTHON: a Python with webdataset; without it only ours is measured.
# SAMPLES, SHARDS, ROUNDS: 5000, 4, 3. Files are read once before, so all is in memory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${1:-$root/build}
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
"$bench" make "$tmp/zst" "${SHARDS:-4}" "${SAMPLES:-5000}" ${2+"$2"}
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
# The median of each line's kind, and ours over theirs on the same files.
sort -k1,3 -k7n,7 "$tmp/log" | awk '
    { k = $1 " " $2 " " $3; n[k]++; v[k, n[k]] = $7; samples[k, n[k]] = $4 " " $5 }
    END {
        for (k in n) m[k] = v[k, int((n[k] + 1) / 2)]
        for (k in n) if (samples[k, 1] != samples["ours zst 0", 1]) { print k ": read something else"; bad = 1 }
        printf "median samples/s: ours .tar.zst %d (read ahead %d), .tar %d", m["ours zst 0"], m["ours zst 4"], m["ours tar 0"]
        if ("webdataset zst -" in m) {
            printf "; webdataset .tar.zst %d, .tar %d\n", m["webdataset zst -"], m["webdataset tar -"]
            printf "ratio: .tar.zst %.1f, read ahead %.1f, .tar %.1f, our .tar.zst to its .tar %.1f", m["ours zst 0"] / m["webdataset zst -"], m["ours zst 4"] / m["webdataset zst -"], m["ours tar 0"] / m["webdataset tar -"], m["ours zst 4"] / m["webdataset tar -"]
        }
        print ""
        exit bad
    }'
