#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Do the programs of others read our shards? Each lists or extracts the shard named on
# the command line; all must agree on names and bytes. A program that is missing is passed
# over; if all are, the exit status is 77 (skipped). For tarfile and webdataset set
# PEER_PYTHON to a Python that has zstandard and webdataset.
#
#     readers.sh SHARD.tar.zst
set -u
shard=${1:?usage: readers.sh SHARD.tar.zst}
tmp=$(mktemp -d) || exit 74
trap 'rm -rf "$tmp"' EXIT
tried=0 bad=0

# want NAME: the list of names and CRCs in $tmp/NAME is compared with the first one.
want() {
    tried=$((tried + 1))
    [ -f "$tmp/$1" ] || : > "$tmp/$1"
    sort "$tmp/$1" > "$tmp/$1.sorted"
    [ -f "$tmp/reference" ] || cp "$tmp/$1.sorted" "$tmp/reference"
    if [ ! -s "$tmp/$1" ] || ! cmp -s "$tmp/reference" "$tmp/$1.sorted"; then
        echo "$1: differs from the others"
        bad=1
    else
        echo "$1: reads it, $(wc -l < "$tmp/$1" | tr -d ' ') members"
    fi
}
have() { command -v "$1" > /dev/null 2>&1; }
sums() { (cd "$1" && find . -type f -exec cksum {} + | sed 's| \./| |'); }

if have zstd; then
    tried=$((tried + 1))
    if zstd -q -t "$shard"; then echo "zstd -t: sound"; else bad=1; fi
    mkdir "$tmp/a" && zstd -dcq "$shard" | tar -xf - -C "$tmp/a" && sums "$tmp/a" > "$tmp/zstd-tar"
    want zstd-tar
    mkdir "$tmp/b" && tar --zstd -xf "$shard" -C "$tmp/b" && sums "$tmp/b" > "$tmp/gnu-tar"
    want gnu-tar
fi
if have bsdtar; then
    mkdir "$tmp/c" && bsdtar -xf "$shard" -C "$tmp/c" && sums "$tmp/c" > "$tmp/bsdtar"
    want bsdtar
fi
python=${PEER_PYTHON:-}
if [ -n "$python" ] && "$python" -c 'import zstandard' 2> /dev/null; then
    mkdir "$tmp/d" && "$python" - "$shard" "$tmp/d" << 'PY' && sums "$tmp/d" > "$tmp/tarfile"
import sys, tarfile, zstandard
with open(sys.argv[1], "rb") as f:
    stream = zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for m in tar:
            open(sys.argv[2] + "/" + m.name, "wb").write(tar.extractfile(m).read())
PY
    want tarfile
fi
if [ -n "$python" ] && have zstd && "$python" -c 'import webdataset' 2> /dev/null; then
    mkdir "$tmp/e" && "$python" - "$shard" "$tmp/e" << 'PY' && sums "$tmp/e" > "$tmp/webdataset"
import sys, webdataset
for s in webdataset.WebDataset("pipe:zstd -dcq " + sys.argv[1], shardshuffle=False):
    for ext, data in s.items():
        if not ext.startswith("__"):
            open(sys.argv[2] + "/" + s["__key__"] + "." + ext, "wb").write(data)
PY
    want webdataset
fi
[ "$tried" -gt 0 ] || exit 77
exit "$bad"
