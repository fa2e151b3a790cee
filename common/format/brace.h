/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of paths in one word, as webdataset's users write them:
 *
 *     cc3m/{00000..00266}.tar        numbers; steps too: {0..20..5}
 *     {train,val}-{000..009}.tar     words, every combination, nested
 *
 * The rules are those of Python's braceexpand and of bash: if either end of a range
 * has a leading zero, all numbers are as wide as the wider end; {x} and {} stand for
 * themselves; a backslash takes the meaning from the next character. Ranges of
 * letters are refused: nobody means them here.
 */
#ifndef CPV_FORMAT_BRACE_H
#define CPV_FORMAT_BRACE_H

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* More than `max` texts, or a pattern that is not sound, is CPV_E_USAGE. */
CPV_MUST_CHECK int cpv_brace_expand(const char *pattern, size_t max, cpv_arena *mem,
                                    struct cpv_texts *out, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
