#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CPU time per image of decoding, resizing and encoding.
#   bench/image/run.sh [DIR] [SIZE] [REPEATS]        (BUILD: the build folder, build/)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build}
dir=${1:-$root/../shared/data/photos}
if [ ! -d "$dir" ]; then
    echo "run.sh: no folder '$dir'" >&2
    exit 77
fi
ninja -C "$build" common/image/libcpv_image.a common/base/libcpv_base.a >/dev/null
libs=$(pkg-config --libs libjpeg libcrypto libxxhash)
for optional in libpng libwebp; do
    libs="$libs $(pkg-config --libs $optional 2>/dev/null || true)"
done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck disable=SC2086
${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I"$root" "$here/bench_image.c" \
    "$build/common/image/libcpv_image.a" "$build/common/base/libcpv_base.a" \
    $libs -lm -pthread -o "$out/bench_image"
"$out/bench_image" "$dir" "${2:-256}" "${3:-5}"
