#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A disk that is really full, at many sizes: one clear line and 74, nothing committed is
# lost, and once there is room the bytes are those of an undisturbed run. Needs a mount
# of its own: as root, or where users may make name spaces.
if [ -z "${CAPIVARA_INSIDE-}" ]; then
    for how in -m -Urm; do
        if unshare $how sh -c 'mount -t tmpfs none /mnt' 2>/dev/null; then
            CAPIVARA_INSIDE=1 exec unshare $how "$0"
        fi
    done
    echo "skipped: no mount is allowed here"
    exit 77
fi
# shellcheck source=tests/chaos/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_world 160 40
make_config config.yaml 40
run 0 capivara run config.yaml --quiet --threads 1
tree_of corpus | grep -v -e index -e config.yaml >expected
grep fetch/ expected >expected.fetch
capivara index dump corpus >index.expected
rm -rf corpus

mkdir corpus
trap 'umount "$HOME/corpus" 2>/dev/null; finish' EXIT
mount -t tmpfs -o size=4k none corpus
# try STATUSES PROGRAM OPTIONS...
try() { run "$1" "${@:2}" --corpus corpus --config config.yaml --quiet; }
check() { # SIZE: the last run failed as it should, and hurt nothing
    one_line
    grep -q 'No space left' said || fail "$1 KiB: $(cat said)"
    (cd corpus && sha256sum ./*/*.json ./*/*/*.json 2>/dev/null || true) |
        grep -v stats.json >committed || true
    while read -r digest file; do
        grep -q "$digest  $file" expected || fail "$1 KiB: $file has other bytes"
        grep -q "$(sha256sum "corpus/${file%.json}.tar.zst" | cut -d' ' -f1)" expected ||
            fail "$1 KiB: $file is there without its shard"
    done <committed
}

failures=0
for size in $(seq 4 12 1024); do
    mount -o "remount,size=${size}k" corpus
    try "0 74" capivara-fetch --threads $((size % 3 + 1))
    if [ "$last" = 0 ]; then break; fi
    check "$size"
    failures=$((failures + 1))
done
say "fetch: $failures full disks up to $size KiB, $(wc -l <committed) parts were committed before the last"
[ $failures -ge 10 ] && [ -s committed ] || fail "the disk was never full in the middle"
compare corpus expected.fetch

failures=0
for size in $(seq "$size" 12 2048); do
    mount -o "remount,size=${size}k" corpus
    try "0 74" capivara-shard
    if [ "$last" = 0 ]; then break; fi
    check "$size"
    failures=$((failures + 1))
done
say "shard: $failures full disks up to $size KiB"
[ $failures -ge 3 ] || fail "the disk was never full"
compare corpus expected

# The index can be made again at any time, so a disk too small for it ends no run.
failures=0
for more in 0 16 48 80 112 144; do
    mount -o "remount,size=$((size + more))k" corpus
    run "0 74" capivara run config.yaml --quiet
    if [ ! -s said ]; then break; fi
    failures=$((failures + 1))
done
say "index: $failures full disks"
[ $failures -ge 1 ] || fail "the disk was never full"
mount -o remount,size=64m corpus
run 0 capivara run config.yaml --quiet
[ ! -s said ] || { cat said; fail "with room there is nothing to say"; }
capivara index dump corpus | cmp - index.expected || fail "the index differs"
say "all equal"
