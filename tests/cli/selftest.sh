#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The runner itself: what must fail fails, what must pass passes.
set -u
run=$(cd "$(dirname "$0")" && pwd)/run.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CAPIVARA_BUILD=$dir/build
failed=0

fresh() { # the script of the case
    rm -rf "$dir"/*
    mkdir -p "$dir/build" "$dir/prog"
    printf '%s\n' "$@" >"$dir/prog/case.sh"
}

expect() { # exit status, what
    local rc=0
    "$run" "$dir/prog/case.sh" >"$dir/out" 2>&1 || rc=$?
    [ "$rc" -eq "$1" ] || {
        echo "$2: the runner returned $rc, expected $1"
        sed 's/^/    /' "$dir/out"
        failed=1
    }
}

with() { printf '%b' "$2" >"$dir/prog/case.$1"; }

fresh 'exit 0';                                         expect 0 'a quiet success'
fresh 'exit 3';                                         expect 1 'an unexpected status'
fresh 'false' 'exit 0';                                 expect 1 'a failing command'
fresh 'exit 3'; with exit '3\n';                        expect 0 'an expected status'
fresh 'exit 0'; with exit '3\n';                        expect 1 'a success where a failure is expected'
fresh 'echo x >&2';                                     expect 1 'a word on stderr'
fresh 'echo x >&2'; with stderr.exact 'x\n';            expect 0 'an expected word on stderr'
fresh 'exit 0'; with stderr.exact 'x\n';                expect 1 'a missing word on stderr'
fresh 'echo x';                                         expect 0 'stdout that nobody looks at'
fresh 'echo x'; with stdout.exact 'y\n';                expect 1 'another stdout'
fresh 'printf x'; with stdout.exact 'x\n';              expect 1 'a missing newline'
fresh 'printf "a\nb\nc\n"'; with stdout.glob 'a\n...\nc\n'; expect 0 'lines left out'
fresh 'printf "a\nc\n"'; with stdout.glob 'a\n...\nc\n';    expect 0 'no line left out'
fresh 'printf "a\nb\nc\n"'; with stdout.glob 'a\nc\n';      expect 1 'a line too many'
fresh 'printf "a\n"'; with stdout.glob 'a\n...\nc\n';       expect 1 'a line too few'
fresh 'printf "a\nb\n"'; with stdout.glob 'a\n';             expect 1 'a line too many at the end'
fresh 'printf "c\nb\nc\nd\n"'; with stdout.glob '...\nc\nd\n'; expect 0 'the second of two'
fresh 'echo took 31 ms'; with stdout.glob 'took [0-9]* ms\n';  expect 0 'a pattern'
fresh 'echo took x ms'; with stdout.glob 'took [0-9]* ms\n';   expect 1 'a pattern that does not fit'
fresh 'echo "[x]"'; with stdout.glob '\\[x\\]\n';              expect 0 'a quoted bracket'
fresh 'exit 77';                                        expect 77 'a skip'
fresh 'exit 77'; with exit '77\n';                      expect 0 'a 77 that is meant'
fresh 'prog'; printf '#!/bin/sh\nexit 0\n' >"$dir/build/prog"; chmod +x "$dir/build/prog"
expect 0 'a program of the build on the PATH'
fresh '[ -z "$(ls -A)" ]' 'echo x >f';                  expect 0 'an empty folder'
expect 0 'an empty folder again'
export CAPIVARA_X=1
fresh '[ -z "${CAPIVARA_X-}" ]';                        expect 0 'a clean environment'

fresh 'echo out' 'echo err >&2' 'exit 5'
"$run" --set-exact-output "$dir/prog/case.sh"
expect 0 'what was recorded'
[ "$(cat "$dir"/prog/case.{exit,stdout.exact,stderr.exact} | tr '\n' ' ')" = '5 out err ' ] || {
    echo '--set-exact-output wrote something else'
    failed=1
}
exit $failed
