/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model may be called, and what a file of one may be called. Both become paths of
 * the cache, and the second comes from a server: nothing but these functions lets a name
 * through.
 *
 * A model on the hub is `org/name` or, for some old ones, `name`; a revision is a branch,
 * a tag or a commit, "main" if none is given. The rules are the hub's own, so that
 * `models--org--name` says unambiguously what it holds.
 *
 * Source: huggingface_hub utils/_validators.py (validate_repo_id).
 */
#ifndef CPV_MODEL_NAME_H
#define CPV_MODEL_NAME_H

#include <stdbool.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_MODEL_ID_MAX = 97, CPV_MODEL_REVISION_MAX = 129 };

struct cpv_model_name {
    char id[CPV_MODEL_ID_MAX]; /* "org/name" */
    char revision[CPV_MODEL_REVISION_MAX];
};

/*
 * `org/name[@revision]`: letters, digits and `-_.` in each half, at most 96 in all, no
 * half beginning or ending with `-` or `.`, no `--` and no `..`. CPV_E_INPUT says which
 * rule is broken.
 */
CPV_MUST_CHECK int cpv_model_name_parse(struct cpv_model_name *out, const char *text,
                                        struct cpv_err *err);
/* The id alone: of a configuration that names another model. */
bool cpv_model_id_valid(const char *id);

/* 40 lower-case hexadecimal digits. */
bool cpv_model_commit_valid(const char *s);

/*
 * A path inside a model: relative, at most 512 bytes and 8 parts, no empty part, `.` or
 * `..`, no backslash, no control characters.
 */
bool cpv_model_path_valid(const char *path);

#ifdef __cplusplus
}
#endif
#endif
