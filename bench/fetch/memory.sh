#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Memory of capivara-fetch at 1,000 connections: a server on this machine drips files of
# 100 KB to 1 MB, so that all of them are under way at once and hold what they have so
# far. Prints the peak of resident memory, the connections that were open at once, and
# what came of the rows. Status 1 if the memory reached 1 GiB or rows failed.
#
#   bench/fetch/memory.sh [PHOTOS] [ROWS] [CONNECTIONS] [BUDGET ...]     (BUILD: build/)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "${BUILD:-$root/build}" && pwd)
photos=${1:-$root/../shared/data/photos} rows=${2:-4000} connections=${3:-1000}
shift $(($# < 3 ? $# : 3))
[ $# -gt 0 ] || set -- 256M 512M
helper=$build/tests/e2e/e2e-helper
[ -x "$helper" ] || { echo "bench/fetch: build $helper first" >&2; exit 77; }

tmp=$(mktemp -d)
server=''
trap 'kill $server 2>/dev/null || true; rm -rf "$tmp"' EXIT
mkdir "$tmp/root"

# Photographs, or else drawn scenes; zeros behind the end of a JPEG make them larger.
if [ -d "$photos" ]; then
    i=0
    for f in "$photos"/*; do
        case $f in *.[jJ][pP]*[gG]) cp "$f" "$tmp/root/$((i++)).jpg" ;; esac
    done
else
    "$build/demo/capivara-demo-scenes" --clean --size mixed --scenes 40 "$tmp/world" >"$tmp/log"
    cp "$tmp/world/images"/*.jpg "$tmp/root"
fi
i=0
for f in "$tmp/root"/*; do
    truncate -s ">$((100000 + i * 900000 / 30))" "$f"
    i=$(((i + 7) % 31))
done

"$build/tests/server/capivara-test-server" --root "$tmp/root" --port 0 --threads 2 \
    --port-file "$tmp/port" --die-with-parent >"$tmp/log" 2>&1 &
server=$!
for _ in $(seq 100); do [ -s "$tmp/port" ] && break; sleep 0.05; done
url=http://127.0.0.1:$(cat "$tmp/port")
(cd "$tmp/root" && ls) >"$tmp/names"
awk -v n="$rows" -v u="$url" '{ name[NR] = $0 }
    END { for (i = 0; i < n; i++) print u "/drip/4096/50/" name[i % NR + 1] "?" i }' \
    "$tmp/names" >"$tmp/list.txt"

failed=0
for budget in "$@"; do
    "$helper" run "$tmp/spent" 600 "$build/capivara-fetch" --quiet --corpus "$tmp/c.$budget" \
        --input "$tmp/list.txt" --allow-private --connections "$connections" \
        --per-host "$connections" --per-host-rate 0 --timeout 120 --memory "$budget" ||
        failed=1
    mib=$(($(sed -n 's/^kib //p' "$tmp/spent") / 1024))
    [ "$mib" -lt 1024 ] || failed=1
    open=$(exec 3<>"/dev/tcp/127.0.0.1/$(cat "$tmp/port")" &&
        printf 'GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >&3 &&
        timeout 2 cat <&3 | sed -n 's/.*"open_peak":\([0-9]*\).*/\1/p' || true)
    echo "budget $budget: peak $mib MiB, $open connections open at once," \
        "$(($(sed -n 's/^ms //p' "$tmp/spent") / 1000)) s"
    # Files come again under other URLs, so most rows are duplicates by content.
    sed 's/"failed":\[.*//; s/.*\("samples":[0-9]*\).*\("statuses":.*}\),*$/  \1 \2/' \
        "$tmp/c.$budget"/fetch/0*[0-9].json
    echo
    grep -q '"statuses":{"duplicate_content":[0-9]*}' "$tmp/c.$budget"/fetch/00000.json ||
        failed=1
    rm -rf "$tmp/c.$budget"
done
exit $failed
