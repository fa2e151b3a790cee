/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a run and the corpus it is for.
 *
 * Relative paths in a configuration start from the folder `base` (by default the
 * configuration's own). The copy that lies in the corpus names that folder with an
 * absolute path, so that it means the same from there; nothing else is changed.
 */
#ifndef CPV_PIPELINE_SETUP_H
#define CPV_PIPELINE_SETUP_H

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/format/config.h"

struct cpv_setup {
    const char *path;   /* of the configuration */
    const char *corpus; /* folder */
    const char *base;   /* absolute */
    const char *copy;   /* CORPUS/config.yaml */
    cpv_config *config;
};

/*
 * From either or both names; the other may be NULL. Without `config`, the copy in the
 * corpus. Top-level keys are checked. Strings in mem.
 */
CPV_MUST_CHECK int cpv_setup_open(struct cpv_setup *out, const char *config,
                                  const char *corpus, cpv_arena *mem,
                                  struct cpv_err *err);
void cpv_setup_close(struct cpv_setup *s);

/* Make the corpus folder, and in it the copy, unless the configuration is that copy.
 * One that differs is replaced, atomically. */
CPV_MUST_CHECK int cpv_setup_copy(const struct cpv_setup *s, struct cpv_err *err);

/* Text of the copy: `text` with `base` put in; for tests too. */
CPV_MUST_CHECK int cpv_setup_rebase(struct cpv_bytes text, const cpv_config *config,
                                    const char *base, struct cpv_buf *out,
                                    struct cpv_err *err);

#endif
