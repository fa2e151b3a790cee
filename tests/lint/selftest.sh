#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each lint must find what it is for: plants one offence at a time in a tree of its own,
# and demands that the lint names it. Then that a clean tree passes.
set -eu
LINT=$(cd "$(dirname "$0")" && pwd)
HERE=$(cd "$LINT/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0
spdx='/* SPDX-License-Identifier: Apache-2.0 */'

clean() {
    rm -rf "${tree:?}/"*
    mkdir -p "$tree/common/base" "$tree/common/image" "$tree/common/format" \
        "$tree/common/stage" "$tree/stages/a" "$tree/stages/b" "$tree/trainer" "$tree/eval" "$tree/tests"
    cp "$HERE/.clang-format" "$tree/"
    for h in base/one image/one format/one stage/one; do
        guard=$(echo "$h" | tr 'a-z/' 'A-Z_')
        printf '%s\n#ifndef %s\n#define %s\nint cpv_%s(void);\n#endif\n' "$spdx" "$guard" \
            "$guard" "$(echo "$h" | tr / _)" >"$tree/common/$h.h"
    done
    printf '%s\n#include "common/base/one.h"\n' "$spdx" >"$tree/common/image/one.c"
    printf '%s\n#include "common/stage/one.h"\n' "$spdx" >"$tree/stages/a/main.c"
}

plant() { # path, then lines; after the licence
    path=$1
    shift
    { echo "$spdx"; printf '%s\n' "$@"; } >"$tree/$path"
}

# The lint must fail and its output must hold the text.
finds() { # lint, text
    rc=0
    out=$("$LINT/$1.sh" "$tree" 2>&1) || rc=$?
    if [ "$rc" -eq 0 ] || [ "$rc" -eq 77 ]; then
        echo "$1 did not find: $2 (exit $rc)"
        failed=1
    elif ! printf '%s' "$out" | grep -qF -- "$2"; then
        echo "$1 failed without naming: $2"
        printf '%s\n' "$out" | sed 's/^/    /'
        failed=1
    fi
    clean
}

passes() { # lint
    rc=0
    out=$("$LINT/$1.sh" "$tree" 2>&1) || rc=$?
    [ "$rc" -eq 0 ] || [ "$rc" -eq 77 ] || {
        echo "$1 complains about a tree without fault:"
        printf '%s\n' "$out" | sed 's/^/    /'
        failed=1
    }
    clean
}

clean
for l in layers banned headers format hygiene; do passes $l; done

plant common/base/up.c '#include "common/image/one.h"'
finds layers 'common/base may not include common/image'
plant common/image/side.c '#include "common/format/one.h"'
finds layers 'common/image may not include common/format'
plant stages/a/side.c '#include "stages/b/one.h"'
finds layers 'stages/a may not include stages/b'
plant trainer/x.c '#  include "common/stage/one.h"'
finds layers 'the trainer may not include'
plant eval/x.c '#include "stages/a/one.h"'
finds layers 'eval may not include stages/a'
plant common/image/rel.c '#include "one.h"'
finds layers 'write the path from the root'
plant common/image/rel.c '#include "common/image/../format/one.h"'
finds layers 'write the path from the root'
plant common/image/far.c '#include "tests/one.h"'
finds layers 'is in no layer'
mkdir -p "$tree/common/misc"
plant common/misc/x.c 'int x;'
finds layers 'not in a folder that is a layer'

plant common/image/m.c 'void f(void) { free(malloc(1)); }'
finds banned 'memory comes from common/base'
plant tests/s.c 'int f(char *s) { return atoi (s); }'
finds banned 'tests/s.c:2:int f(char *s) { return atoi (s); }    <- banned'
plant stages/a/o.c 'int f(void) { return rename("a", "b"); }'
finds banned 'use common/base/file.h'
plant common/image/p.c 'void f(void) { fprintf(stderr, "x"); printf("x"); }'
finds banned 'a library neither prints nor exits'
plant common/image/c.c 'int x; // said so'
finds banned 'only /* */ comments'
plant common/image/ok.c '/* malloc(1), rename(a, b) */' 'int f(struct t *t) { return t->open(t) + t->free(t); }' \
    'const char *s = "http://x strcpy(";' 'void g(void) { free(x); /* lint: allow free: libx */ }'
passes banned

plant common/base/inc.h 'size_t cpv_f(void);'
finds headers 'common/base/inc.h: not good C11'
plant common/base/cxx.h '#ifndef X' '#define X' 'int cpv_f(int class);' '#endif'
finds headers 'common/base/cxx.h: not good C++17'
plant common/base/twice.h 'struct cpv_x { int a; };'
finds headers 'common/base/twice.h: not good C11'

if command -v clang-format >/dev/null && clang-format --version | grep -q 'version 14\.'; then
    plant common/base/ugly.c 'int  f( void ){return 0;}'
    finds format 'common/base/ugly.c'
fi

plant common/base/p.c 'static const char p[] = "/home/me/data";'
finds hygiene 'a path of this machine'
plant common/base/p.c 'static const char p[] = "/tmp/x";'
finds hygiene 'a path of this machine'
plant common/base/b.c 'int x; '
finds hygiene 'blanks at the end of a line'
plant common/base/t.c "$(printf '\tint x;')"
finds hygiene 'a tab'
echo 'int x;' >"$tree/common/base/l.c"
finds hygiene 'no SPDX line'
printf '%s\nint x;' "$spdx" >"$tree/common/base/n.c"
finds hygiene 'no newline at its end'
printf '%s\r\n' "$spdx" >"$tree/common/base/r.c"
finds hygiene 'carriage returns'
printf '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n' >"$tree/tests/x.sh"
finds hygiene 'not executable'
head -c 1100000 /dev/zero >"$tree/tests/big.bin"
finds hygiene 'over 1 MiB'

mkdir -p "$tree/b/common"
echo 'int cpv_counter = 1;' | ${CC:-cc} -x c -c -o "$tree/g.o" -
ar rc "$tree/b/common/libcpv_x.a" "$tree/g.o"
if "$LINT/globals.sh" "$tree" "$tree/b" | grep -q 'cpv_counter'; then :; else
    echo 'globals did not find cpv_counter'
    failed=1
fi
exit $failed
