#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs one case:   tests/cli/run.sh [--set-exact-output] tests/cli/PROGRAM/CASE.sh
#
# A case is a shell script. It runs under `sh -eu` in an empty folder of its own, with
# the programs of $CAPIVARA_BUILD (by default build/) first on the PATH, no CAPIVARA_*
# option in the environment, LC_ALL=C, TZ=UTC and HOME in that folder. $ROOT is the source tree, $CASE the
# folder that the case stands in. Beside CASE.sh may lie
#
#   CASE.exit             the exit status expected (0 without; 77 is then "skipped")
#   CASE.stdout.exact     what it prints, to the byte ...
#   CASE.stdout.glob      ... or line by line as shell patterns; a line `...` stands for
#                         any number of lines
#   CASE.stderr.exact, CASE.stderr.glob     likewise; without either, silence is expected
#
# Standard output without a file is not looked at. --set-exact-output writes what came
# out as .exit and .exact (never over a .glob): read the difference before you commit.
set -u

set_exact=0
if [ "${1-}" = --set-exact-output ]; then set_exact=1; shift; fi
[ $# -eq 1 ] && [ -f "$1" ] || { echo "usage: run.sh [--set-exact-output] CASE.sh" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
base=${script%.sh}
build=$(cd "${CAPIVARA_BUILD:-$here/../../build}" && pwd) || exit 2

CASE=$(dirname "$script")
ROOT=$(cd "$here/../.." && pwd)
scratch=$build/cli-scratch/$(basename "$CASE")-$(basename "$base")
rm -rf "$scratch"
mkdir -p "$scratch/work" || exit 2

for v in $(compgen -e | grep '^CAPIVARA_' | grep -v '^CAPIVARA_TEST_DATA$'); do unset "$v"; done
export CASE ROOT LC_ALL=C TZ=UTC HOME=$scratch/work PATH=$build:$PATH

status=0
(cd "$scratch/work" && exec sh -eu "$script") </dev/null >"$scratch/stdout" 2>"$scratch/stderr" ||
    status=$?

expected=0
[ ! -f "$base.exit" ] || read -r expected <"$base.exit"

if [ $set_exact -eq 1 ]; then
    if [ "$status" -ne 0 ]; then echo "$status" >"$base.exit"; else rm -f "$base.exit"; fi
    for stream in stdout stderr; do
        [ ! -f "$base.$stream.glob" ] || continue
        if [ -s "$scratch/$stream" ] || [ -f "$base.$stream.exact" ]; then
            cp "$scratch/$stream" "$base.$stream.exact"
        fi
    done
    exit 0
fi

# Lines i.. of the text against patterns k.. ; `...` tries every number of lines.
match_from() { # i k
    local i=$1 k=$2
    while [ "$k" -lt ${#pattern[@]} ]; do
        if [ "${pattern[k]}" = ... ]; then
            k=$((k + 1))
            [ "$k" -lt ${#pattern[@]} ] || return 0
            while [ "$i" -le ${#text[@]} ]; do
                match_from "$i" "$k" && return 0
                i=$((i + 1))
            done
            return 1
        fi
        # shellcheck disable=SC2053 # a pattern is what it is
        [ "$i" -lt ${#text[@]} ] && [[ ${text[i]} == ${pattern[k]} ]] || return 1
        i=$((i + 1)) k=$((k + 1))
    done
    [ "$i" -eq ${#text[@]} ]
}

failed=0
check() { # stream
    if [ -f "$base.$1.exact" ]; then
        diff -u --label "expected $1" --label "$1" "$base.$1.exact" "$scratch/$1" || failed=1
    elif [ -f "$base.$1.glob" ]; then
        mapfile -t text <"$scratch/$1"
        mapfile -t pattern <"$base.$1.glob"
        match_from 0 0 || {
            echo "$1 does not match $(basename "$base").$1.glob:"
            sed 's/^/    /' "$scratch/$1"
            failed=1
        }
    elif [ "$1" = stderr ] && [ -s "$scratch/stderr" ]; then
        echo "stderr should be silent:"
        sed 's/^/    /' "$scratch/stderr"
        failed=1
    fi
}

if [ "$status" -eq 77 ] && [ "$expected" -ne 77 ]; then
    cat "$scratch/stdout" "$scratch/stderr"
    exit 77
fi
check stdout
check stderr
if [ "$status" -ne "$expected" ]; then
    echo "exit status $status, expected $expected"
    failed=1
fi
if [ $failed -eq 0 ]; then
    rm -rf "$scratch"
else
    echo "left for you to look at: $scratch"
fi
exit $failed
