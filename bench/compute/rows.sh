#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Times the row kernels of the cpu backend on one thread: softmax, top-k, attention,
# LayerNorm. Bounds, of the best level of this machine: top-4 with log-sum-exp over
# 62,000 logits 25 us a row; attention of 577 tokens, 12 heads of 64, twice the time that
# its two products take at PRODUCTS GFLOP/s.
#
#     bench/compute/rows.sh [LEVEL]     (BUILD: the build folder, build/;
#                                        PRODUCTS: speed of a product here, 130)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
work=$(mktemp -d "${TMPDIR:-/tmp}/capivara-rows.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

${CC:-cc} -std=gnu11 -O2 -march=native -I"$root" -o "$work/rows" "$here/rows.c" \
    "$build/common/compute/libcpv_compute.a" "$build"/common/compute/libcpv_kernels_*.a -lm
"$work/rows" "$@" | tee "$work/out"

awk -v products="${PRODUCTS:-130}" '
    /top-4 / && !t { t = $(NF - 3) + 0 }
    /577 x 577/ && !a { a = $(NF - 1) + 0 }
    END { if (t <= 0 || t >= 25 || a < products / 2) { print "over the bounds"; exit 1 } }
' "$work/out"
