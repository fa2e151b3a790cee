#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# harness.sh CLEAN RACY: planted.sh must not take for caught what ends in another way: a
# program that passes, is missing, crashes, or fails without saying why.
set -eu
here=$(dirname "$0") clean=$1 racy=$2
failed=0

refuses() { # what, arguments of planted.sh
    what=$1
    shift
    ! "$here/planted.sh" "$@" >/dev/null 2>&1 || { echo "taken for caught: $what"; failed=1; }
}

crash=$(mktemp)
trap 'rm -f "$crash"' EXIT
printf '#!/bin/sh\nkill -SEGV $$\n' >"$crash"
chmod +x "$crash"

refuses 'a program that passes' 1 66 race "$clean"
refuses 'one that passes and says so' 1 1 ok "$clean"
refuses 'one that is missing' 1 66 race "$clean.missing"
refuses 'one that only fails' 1 1 FAIL false
refuses 'a crash' 1 99 error "$crash"
refuses 'the wrong text' 1 66 'a store past the end' "$racy"
"$here/planted.sh" 1 66 race "$racy" || { echo "a race was not found"; failed=1; }
exit $failed
