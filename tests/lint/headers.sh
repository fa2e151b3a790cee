#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each header of ours, included twice and alone, compiles without a warning as C11, and
# those of common/ as C++17 too, since kernels are C++: but not those whose name says that
# only their own folder reads them (private.h, internal.h, *_internal.h, *_impl.h, and the
# kernels of the cpu backend).
set -eu
. "$(dirname "$0")/files.sh"
cc=${CC:-cc} cxx=${CXX:-c++}
command -v "$cc" >/dev/null && command -v "$cxx" >/dev/null || exit 77

flags='-fsyntax-only -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DCPV_VERSION="0"
    -Wall -Wextra -Wpedantic -Wundef -Wpointer-arith -Wwrite-strings -Werror'
libs=$(pkg-config --cflags libzstd libcrypto libxxhash zlib yaml-0.1 jansson sqlite3 libcurl \
    libjpeg libpng libwebp 2>/dev/null || true)
failed=0
for h in $(ours '*.h' | grep -E '^(common|stages|pipeline|trainer)/'); do
    text="#include \"$h\"
#include \"$h\"
extern int cpv_lint_headers;"
    printf '%s\n' "$text" | "$cc" -x c -std=c11 -Wshadow -Wstrict-prototypes $flags $libs - ||
        { echo "$h: not good C11"; failed=1; }
    case $h in
    *private.h | *internal.h | *_impl.h | common/compute/cpu/kernels/*) continue ;;
    common/*) ;;
    *) continue ;;
    esac
    printf '%s\n' "$text" | "$cxx" -x c++ -std=c++17 $flags $libs - ||
        { echo "$h: not good C++17"; failed=1; }
done
exit $failed
