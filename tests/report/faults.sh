#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `capivara report`, with its k-th system call or allocation failing, or being the last
# thing that it did: the page is the old one or the new one, whole, and a failure is one
# clear line.
#
#   tests/report/faults.sh CAPIVARA-FAULTY REPORT-COLUMN
set -euo pipefail
FAULTY=$(realpath "$1") HELPER=$(realpath "$2")
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=$(cd "${CAPIVARA_BUILD:-$HERE/../../build}" && pwd)
. "$HERE/corpus.inc"

scratch=$BUILD/report-faults
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

fail() {
    echo "$*" >&2
    exit 1
}

many_corpus corpus 3
printf 'corpus: corpus\ntranslate: {pt: {model: org/name}}\n' >corpus/config.yaml
"$FAULTY" report corpus -o whole.html --quiet
grep -q 'org/name' whole.html || fail 'the name of a model'

# every KIND STEP: each STEP-th call, until a run has none left
every() {
    local k=1 got hit
    while :; do
        echo old >page.html
        got=0
        (CPV_FAULT_AT=$k CPV_FAULT_KIND=$1 CPV_FAULT_COUNT=$scratch/count \
            "$FAULTY" report corpus -o page.html --quiet >said 2>err; exit $?) 2>/dev/null || got=$?
        if [ "$1" = kill ]; then
            [ $got -ne 0 ] || break
        else
            hit=$(sed -n 's/^hit //p' count)
            [ "$hit" != - ] || break
            [ $got -eq 0 ] || [ $got -eq 74 ] || fail "$1 at $k ($hit): status $got: $(cat err)"
            [ $got -eq 0 ] || [ "$(wc -l <err)" -eq 1 ] || fail "$1 at $k ($hit): $(cat err)"
            # A file that cannot be looked at counts as taken away.
            [ "$hit" = stat ] || [ $got -ne 0 ] || cmp -s page.html whole.html ||
                fail "$1 at $k ($hit): another page"
            [ $got -ne 0 ] || [ ! -e .page.html.tmp ] || fail "$1 at $k ($hit): a draft is left"
        fi
        [ "$(cat page.html)" = old ] || [ "$(tail -n 1 page.html)" = '</html>' ] ||
            fail "$1 at $k: half a page"
        k=$((k + $2))
    done
    [ $k -gt 30 ] || fail "$1: only $k calls"
    echo "$1: $k calls"
}
every EIO 1
every kill 3
every alloc 7
cd /
rm -rf "$scratch"
