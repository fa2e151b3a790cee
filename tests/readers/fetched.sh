#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What others read must hold for parts as capivara-fetch writes them, not only for the
# golden shards: a folder of images is fetched, and each part given to readers.sh.
#
#     fetched.sh PATH/TO/capivara-fetch FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
fetch=${1:?usage: fetched.sh CAPIVARA-FETCH FOLDER} images=${2:?}
tmp=$(mktemp -d) || exit 74
trap 'rm -rf "$tmp"' EXIT

"$fetch" --quiet --corpus "$tmp/c" --input "$images" --rows-per-part 40
parts=0
for shard in "$tmp"/c/fetch/*.tar.zst; do
    "$here/readers.sh" "$shard" || exit # 77 too
    parts=$((parts + 1))
done
[ "$parts" -ge 2 ] || { echo "$parts parts, expected several" >&2; exit 1; }
