# SPDX-License-Identifier: Apache-2.0
# For the lints, read with `.`: where the tree is and which files are ours.
#
# ROOT is the tree to look at: the first argument of a lint, by default the one that
# the lint stands in. `ours GLOB ...` lists files, tracked or not yet, that git does not
# ignore, whose names match; without git (a source tarball) every file outside build*/.

ROOT=$(cd "${1:-$(dirname "$0")/../..}" && pwd)
LINT=$(cd "$(dirname "$0")" && pwd)
cd "$ROOT" || exit 1

ours() {
    if [ -e .git ] && git -c safe.directory='*' ls-files >/dev/null 2>&1; then
        git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@" |
            while read -r f; do [ ! -f "$f" ] || printf '%s\n' "$f"; done
    else
        for glob in "$@"; do
            find . -path './.*' -prune -o -path './build*' -prune -o -path './dist' -prune -o \
                -type f -name "${glob##*/}" -print | sed 's|^\./||'
        done
    fi | LC_ALL=C sort -u
}
