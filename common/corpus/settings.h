/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned settings: COLUMN/settings.yaml holds, one `key: value` a line, every
 * setting that changes the bytes of that column, as resolved at its first run.
 *
 * A later run with the same values goes on; with others it is refused
 * (CPV_E_SETTINGS) and the differences are listed, unless `redo` is given, which
 * pins them as settings.r1.yaml, r2, ...: the highest is in force, and parts made
 * with others are redone as new revisions.
 */
#ifndef CPV_CORPUS_SETTINGS_H
#define CPV_CORPUS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/cli.h"
#include "common/base/error.h"

/* Every CPV_OPT_PINNED option of the groups as "section.key: value\n", in table order. */
CPV_MUST_CHECK int cpv_settings_text(const struct cpv_opt_group *groups, size_t n,
                                     struct cpv_buf *out, struct cpv_err *err);

/*
 * Pin `text` for a column or compare it with what is pinned. digest: of the text in
 * force, for records. On CPV_E_SETTINGS `diff` holds one line for each field that
 * differs: "fetch.image_size: 256 -> 512". dry: write nothing.
 */
CPV_MUST_CHECK int cpv_settings_pin(const char *corpus, const char *column,
                                    struct cpv_bytes text, bool redo, bool dry,
                                    uint8_t digest[32], struct cpv_buf *diff,
                                    struct cpv_err *err);

/* The file in force, in mem, and its revision; *path NULL if nothing is pinned. */
CPV_MUST_CHECK int cpv_settings_find(const char *corpus, const char *column,
                                     cpv_arena *mem, const char **path, unsigned *rev,
                                     struct cpv_err *err);

#endif
