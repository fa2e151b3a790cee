#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What no file of ours holds: paths of one person's machine, tabs and blanks at the ends
# of lines, a missing licence line, megabytes. Long files and functions are named, but
# do not fail: being asked why is enough.
set -eu
. "$(dirname "$0")/files.sh"
failed=0

complain() { # text; lines on standard input
    found=$(cat)
    [ -z "$found" ] || {
        printf '%s\n' "$found" | sed "s|\$|    <- $1|"
        return 1
    }
}

# Files made by other programs on purpose, good and broken, are not text of ours.
text() { ours '*' | grep -vE '^(tests/(golden|fuzz/seeds|fixtures/data)/|LICENSE$)' |
    while read -r f; do ! grep -Iq . "$f" || printf '%s\n' "$f"; done; }
code() { ours '*.c' '*.h' '*.cu' '*.cuh' '*.cc'; }

text >"${TMPDIR:-/tmp}/hygiene.$$"
trap 'rm -f "${TMPDIR:-/tmp}/hygiene.$$"' EXIT
all() { cat "${TMPDIR:-/tmp}/hygiene.$$"; }

all | grep -vE '^tests/lint/(hygiene|selftest)\.sh$' |
    xargs -r grep -nE '(^|[^[:alnum:]_.}/-])/(work/|home/|root/|tmp/[[:alnum:]_])' |
    complain 'a path of this machine' || failed=1
all | grep -vE '\.(exact|glob)$' | xargs -r grep -nE '[[:blank:]]$' |
    complain 'blanks at the end of a line' || failed=1
all | xargs -r grep -l "$(printf '\r')" | complain 'carriage returns' || failed=1
all | while read -r f; do [ -z "$(tail -c 1 "$f")" ] || echo "$f"; done |
    grep -vE '\.(exact|glob)$' | complain 'no newline at its end' || failed=1
code | xargs -r grep -n "$(printf '\t')" | complain 'a tab' || failed=1
{ code; ours '*.sh'; } | while read -r f; do
    head -n 2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"
done | complain 'no SPDX line' || failed=1
ours '*.sh' | while read -r f; do
    ! head -n 1 "$f" | grep -q '^#!' || [ -x "$f" ] || echo "$f"
done | complain 'not executable' || failed=1
ours '*' | while read -r f; do
    most=1048576
    case $f in # weights, committed once
    demo/models/clip/*.safetensors) most=2000000 ;;
    demo/models/*.safetensors) most=1500000 ;;
    esac
    [ "$(wc -c <"$f")" -le $most ] || echo "$f"
done | complain 'over 1 MiB' || failed=1

code | while read -r f; do
    n=$(wc -l <"$f")
    [ "$n" -le 600 ] || echo "warning: $f: $n lines"
done
code | xargs -r awk '
    /^[A-Za-z_].*[^;]$/ { name = $0 }
    /^\{$/ { start = FNR }
    /^\}$/ && start {
        if (FNR - start > 70) {
            sub(/\(.*/, "", name)
            sub(/.*[ *]/, "", name)
            printf "warning: %s:%d: %s() has %d lines\n", FILENAME, start, name, FNR - start
        }
        start = 0
    }'
exit $failed
