/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver knows about stages: one table, in the order in which `run` runs them.
 * Everything else (options, settings, which parts need work) is the stages' own affair
 * and asked of their programs.
 */
#ifndef CPV_PIPELINE_STAGES_H
#define CPV_PIPELINE_STAGES_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/format/config.h"

struct cpv_stage_entry {
    const char *name;    /* "fetch" */
    const char *program; /* "capivara-fetch" */
    const char *summary; /* as the program's own */
    const char *section; /* of the configuration; without it the stage is left out ... */
    bool always;         /* ... unless it always runs */
    const char *reads;   /* another section that it reads; NULL: none */
    /* NULL, or the option that selects an instance: one run for each key of the section,
     * and `column` holds %s for it. */
    const char *instance;
    const char *column;
    /* Instances are not the section's keys, but languages: English, that of the captions
     * in the input, and the keys of this section. NULL: not so. */
    const char *langs;
    const char *merges; /* the key that lists the columns it reads; NULL: none */
    /* NULL, or a key that is true where it reads this column, too. */
    const char *takes_if, *takes;
    bool whole; /* needs every part of its inputs: left out when --parts is given */
};

/* Ends with a NULL name. A stage that makes two kinds of columns has two entries, one
 * behind the other. */
extern const struct cpv_stage_entry cpv_stages[];
/* The next stage, not the next entry: for lists of stages. */
const struct cpv_stage_entry *cpv_stage_after(const struct cpv_stage_entry *stage);

/* A program that is no stage: `run` knows nothing of it. */
struct cpv_tool_entry {
    const char *name;    /* "eval" */
    const char *program; /* "capivara-eval" */
    const char *summary; /* as the program's own */
};

extern const struct cpv_tool_entry cpv_tools[]; /* ends with a NULL name */

/* One stage, or one instance of it, that a configuration asks for. */
struct cpv_step {
    const struct cpv_stage_entry *stage;
    const char *instance; /* NULL: none */
    const char *column;   /* "fetch", "shards/train" */
};

/* Are the top-level keys known? CPV_E_USAGE with line and column. */
CPV_MUST_CHECK int cpv_steps_check(const cpv_config *config, struct cpv_err *err);

/* What `run` would run, in order; config NULL: only stages that always run. In mem. */
CPV_MUST_CHECK int cpv_steps_list(const cpv_config *config, cpv_arena *mem,
                                  struct cpv_step **out, size_t *n, struct cpv_err *err);

/*
 * Does every step find the columns that it lists or takes: made by another step, or in
 * the corpus already? Nobody would ever make the others. CPV_E_USAGE with line and
 * column.
 */
CPV_MUST_CHECK int cpv_steps_check_columns(const cpv_config *config, const char *corpus,
                                           const struct cpv_step *steps, size_t n,
                                           cpv_arena *mem, struct cpv_err *err);

/* Does this step read such a key ("fetch.image_size", "seed")? */
bool cpv_step_reads(const struct cpv_step *step, const char *key);
/* Does any stage? */
bool cpv_stages_read(const char *key);

#endif
