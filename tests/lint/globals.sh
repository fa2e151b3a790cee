#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No variable outlives a call: the layers, as built, hold code and constants only. The
# exceptions are below, each with its reason. Arguments: a build folder without
# sanitizers, whose own tables would be seen. Without one built this is skipped.
set -eu
. "$(dirname "$0")/files.sh"
build=${2:-$ROOT/build}
libs=$(find "$build/common" -name 'libcpv_*.a' 2>/dev/null | LC_ALL=C sort)
[ -n "$libs" ] || exit 77

# stop.c is passed over: a signal handler can reach nothing but such variables.
# A constant table that holds addresses lies in .data.rel.ro, not in .data. Kernels
# register themselves with the runtime through variables that nvcc makes; DW.ref.* are the
# addresses of types that C++ catches.
found=$(for l in $libs; do
    objdump -t "$l" | awk -v lib="$(basename "$l")" -v allowed='^stop[.]c[.]o$' '
        / file format / { object = $1; sub(/:$/, "", object); sub(/.*\//, "", object) }
        object ~ /\.cu\.o$/ || object ~ allowed || $NF ~ /^DW\.ref\./ { next }
        match($0, /[ \t](\.[td]?(data|bss)(\.[^ \t]*)?|\*COM\*)\t/) {
            section = substr($0, RSTART + 1, RLENGTH - 2)
            if (section !~ /^\.data\.rel\.ro/ && $NF != section)
                print lib "(" object ")", $NF
        }'
done)
[ -z "$found" ] || {
    printf '%s\n' "$found" | sed 's|$|    <- a variable that outlives a call|'
    exit 1
}
