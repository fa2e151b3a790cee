#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Calls that have no place in our code, or only in one folder. An exception is stated on
# the line that makes it, with its reason:   /* lint: allow free: libfoo's memory */
set -eu
. "$(dirname "$0")/files.sh"

# Overflowing, locale-dependent, not thread-safe, or silent about errors. Everywhere.
NEVER='strcpy strcat stpcpy strncpy strncat sprintf vsprintf gets scanf sscanf fscanf
    atoi atol atoll atof strtok gmtime localtime ctime asctime strerror alloca mktemp
    tmpnam tempnam rand srand random srandom drand48 signal system popen'

# Memory of ours comes from common/base, where a test can refuse it.
MEMORY='malloc calloc realloc reallocarray free strdup strndup asprintf vasprintf
    aligned_alloc posix_memalign memalign getline getdelim open_memstream'

# So do the system calls that a crash test interrupts.
FILES='open openat creat pread pwrite write fsync fdatasync rename renameat renameat2
    unlink unlinkat remove mkdir mkdirat rmdir truncate ftruncate link linkat symlink
    fopen fdopen freopen stat lstat fstat fstatat access mmap munmap madvise'

# Library code neither prints nor ends the process. (stop.c: at the second signal.)
MAIN_ONLY='printf puts putchar perror exit _exit _Exit quick_exit abort'

failed=0

# A call, not a member's: `f->open(` and `.open(` are somebody's own functions.
check() { # what to do instead, names, files on standard input
    # shellcheck disable=SC2086 # one line of words
    names=$(echo $2 | tr ' ' '|')
    found=$(xargs -r perl "$LINT/code.pl" |
        grep -E "^[^:]*:[0-9]*:(.*[^[:alnum:]_.>])?($names)[[:space:]]*\(" || true)
    [ -z "$found" ] || {
        printf '%s\n' "$found" | sed "s|\$|    <- $1|"
        return 1
    }
}

product() { ours '*.c' '*.cc' '*.h' '*.cu' | grep -E '^(common|stages|pipeline|trainer|demo)/'; }

ours '*.c' '*.cc' '*.h' '*.cu' | check 'banned' "$NEVER" || failed=1
product | grep -v '^common/base/' | check 'memory comes from common/base' "$MEMORY" || failed=1
product | grep -v '^common/base/' | check 'use common/base/file.h' "$FILES" || failed=1
product | grep '^common/' | grep -vE '^common/(base/(cli|log|progress|stop)\.c|stage/)' |
    check 'a library neither prints nor exits' "$MAIN_ONLY" || failed=1
slashes=$(ours '*.c' '*.cc' '*.h' '*.cu' | xargs -r perl "$LINT/code.pl" | grep -E '(^|[^:]) //' ||
    true)
[ -z "$slashes" ] || {
    printf '%s\n' "$slashes" | sed 's|$|    <- only /* */ comments|'
    failed=1
}
exit $failed
