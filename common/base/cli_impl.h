/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of cli (cli.c, cli_value.c, cli_doc.c) share; for nobody else. */
#ifndef CPV_BASE_CLI_IMPL_H
#define CPV_BASE_CLI_IMPL_H

#include "common/base/cli.h"

enum { CPV_SHOWN = 84 };

/* A user's text for a message: on one line, cut when it is long. */
void cpv_opt_shown(char out[CPV_SHOWN], const char *s, size_t n);

/* Walks aliases: moves *at to the next and returns its length; 0 at the end. */
size_t cpv_opt_alias(const char **at);

/* "PIXELS": the option's own metavariable, or a word for its kind; "" for a flag. */
const char *cpv_opt_arg(const struct cpv_opt *o);

/* "a whole number from 1 to 16384": the end of "expected ...". */
void cpv_opt_expected(const struct cpv_opt *o, struct cpv_buf *out);

/* "fetch.image_size"; NULL when out of memory. */
char *cpv_opt_full_key(const struct cpv_opt_group *g, const struct cpv_opt *o,
                       cpv_arena *mem);

/* Where the value of an option lies. */
void *cpv_opt_field(const struct cpv_opt_group *g, const struct cpv_opt *o);

bool cpv_opt_is_utf8(const char *s);

/* The field as without a fallback. */
void cpv_opt_clear(const struct cpv_opt_group *g, const struct cpv_opt *o);

#endif
