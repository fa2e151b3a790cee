/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations: YAML that is a mapping of mappings, lists and scalars.
 *
 * Refused with line and column: anchors and aliases, tags, several documents,
 * keys that stand twice or are not plain text, anything too deep or too long.
 * Scalars are text; what they mean is the option table's matter (base/cli.h).
 *
 * Keys are named by dotted paths ("fetch.image_size"). A path component that is
 * itself dotted (a file name as a key) cannot be looked up, only iterated over.
 */
#ifndef CPV_FORMAT_CONFIG_H
#define CPV_FORMAT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/cli.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_CONFIG_MAX_BYTES = 1 << 20,
    CPV_CONFIG_MAX_DEPTH = 16,
    CPV_CONFIG_MAX_NODES = 1 << 14,
};

typedef enum cpv_node_kind { CPV_NODE_SCALAR, CPV_NODE_LIST, CPV_NODE_MAP } cpv_node_kind;

/* Lines and columns from 1. Lives as long as the configuration. */
struct cpv_node {
    cpv_node_kind kind;
    int line, column;
    bool quoted;      /* scalar: was in quotes, so `"null"` and `"1"` are text */
    const char *text; /* scalar: never NULL; an absent value is "" and not quoted */
    size_t n;         /* list, map: how many items */
    const struct cpv_node *const *items;
    const char *const *keys;                 /* map: the n keys, in the file's order */
    const struct cpv_node *const *key_nodes; /* map: where each key stands */
};

typedef struct cpv_config cpv_config;

/* `name` is what messages call it. An empty file is an empty mapping. */
CPV_MUST_CHECK int cpv_config_open(cpv_config **out, const char *path,
                                   struct cpv_err *err);
CPV_MUST_CHECK int cpv_config_open_bytes(cpv_config **out, struct cpv_bytes text,
                                         const char *name, struct cpv_err *err);
void cpv_config_close(cpv_config **c);

const char *cpv_config_name(const cpv_config *c);
const struct cpv_node *cpv_config_root(const cpv_config *c); /* a map */

/* By dotted path; NULL if there is none. "" is the root. */
const struct cpv_node *cpv_config_find(const cpv_config *c, const char *path);
/* The text of a scalar there, or NULL. */
const char *cpv_config_text(const cpv_config *c, const char *path);

/* Every scalar and every list, mappings opened up, in the file's order. */
struct cpv_config_entry {
    const char *path; /* dotted */
    const struct cpv_node *node;
    int line, column; /* of the key */
};
size_t cpv_config_entries(const cpv_config *c);
struct cpv_config_entry cpv_config_entry(const cpv_config *c, size_t i);

/* "'c.yaml' line 12 column 3: " and then fmt: CPV_E_USAGE, for callers with checks of
 * their own. */
int cpv_config_fail(const cpv_config *c, const struct cpv_node *at, struct cpv_err *err,
                    const char *fmt, ...) CPV_PRINTF(4, 5);

/*
 * Assign every key below the given top-level sections to the program's options, and
 * every top-level scalar and list that it has an option for. Other sections and other
 * top-level keys are not looked at: cpv_config_sections_check finds those that nobody
 * knows. An unknown key or a wrong value is CPV_E_USAGE with line, column and what was
 * expected. `null` gives a text its default, if it has one, and empties a list. Strings
 * are kept in `mem`.
 */
CPV_MUST_CHECK int cpv_config_apply(const cpv_config *c,
                                    const struct cpv_program *program,
                                    const char *const *sections, size_t n, cpv_arena *mem,
                                    struct cpv_err *err);

/* Every top-level key must be among `known`; the first that is not is CPV_E_USAGE. */
CPV_MUST_CHECK int cpv_config_sections_check(const cpv_config *c,
                                             const char *const *known, size_t n,
                                             struct cpv_err *err);

/* `--set`: "fetch.image_size=3", "input.captions=[a, b]". */
CPV_MUST_CHECK int cpv_config_set_one(const struct cpv_program *program,
                                      const char *setting, cpv_arena *mem,
                                      struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
