#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Plans a TSV of 12 million rows (2.4 GB, made here) plain, gzipped and zstd-compressed
# and prints seconds and peak memory of each. Bounds of the plain one: 60 s, 200 MiB.
#
#     bench/plan/run.sh [ROWS]        (BUILD: the build folder, build/)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
rows=${1:-12000000}
work=$(mktemp -d "${TMPDIR:-/tmp}/capivara-plan.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

${CC:-cc} -O2 -o "$work/make_tsv" "$here/make_tsv.c"
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -I"$root" \
    -o "$work/plan_file" "$here/plan_file.c" \
    "$build/common/format/libcpv_format.a" "$build/common/base/libcpv_base.a" \
    $(pkg-config --libs libzstd zlib jansson yaml-0.1 libcrypto libxxhash) -lm -lpthread

"$work/make_tsv" "$rows" >"$work/rows.tsv"
echo "rows.tsv: $(stat -c %s "$work/rows.tsv") bytes"
for i in 1 2 3; do
    "$work/plan_file" cc12m "$work/rows.tsv"
done | tee "$work/plain"
zstd -q -1 -T0 "$work/rows.tsv" -o "$work/rows.tsv.zst"
printf 'zst   '; "$work/plan_file" cc12m "$work/rows.tsv.zst"
gzip -1 -c "$work/rows.tsv" >"$work/rows.tsv.gz"
printf 'gz    '; "$work/plan_file" cc12m "$work/rows.tsv.gz"

awk -F'[:,]' '{ s = $8 + 0; m = $12 + 0; if (s >= 60 || m >= 200) bad = 1 }
    END { if (bad || NR != 3) { print "over the bounds, or failed"; exit 1 } }' "$work/plain"
