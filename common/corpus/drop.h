/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captions of a sample that look wrong, left out: flags-L of a sample's JSON has a string
 * of words for each of captions-L, then for each of generated-captions-L (docs/
 * operations.md, Translating).
 */
#ifndef CPV_CORPUS_DROP_H
#define CPV_CORPUS_DROP_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/cli.h"
#include "common/base/error.h"

/*
 * For every flags-L in the object *json: where it has one of the words, remove that place
 * from flags-L, similarities-L (if it is there), and captions-L or generated-captions-L.
 * Lists may become empty; nothing else changes. *json is replaced by text in mem, or left
 * as it is if nothing was to be removed. `key` names the sample in errors.
 * CPV_E_CORRUPT if the lists of a language are not of one length.
 */
CPV_MUST_CHECK int cpv_drop_flagged(const struct cpv_texts *words, const char *key,
                                    struct cpv_bytes *json, cpv_arena *mem,
                                    struct cpv_err *err);

#endif
