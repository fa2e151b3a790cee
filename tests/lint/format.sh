#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-format would change nothing. Versions differ in taste: only 14, Debian 12's, is
# asked; with another the lint is skipped.
set -eu
. "$(dirname "$0")/files.sh"
tool=$(command -v clang-format-14 || command -v clang-format) || exit 77
"$tool" --version | grep -q 'version 14\.' || exit 77

ours '*.c' '*.h' '*.cu' '*.cuh' '*.cc' | xargs -r "$tool" --dry-run -Werror --ferror-limit=3
