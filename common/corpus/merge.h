/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sample out of several columns: the members of all of them, and one JSON with
 * the keys of all of theirs.
 */
#ifndef CPV_CORPUS_MERGE_H
#define CPV_CORPUS_MERGE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/format/json.h"
#include "common/format/sample.h"
#include "common/format/shard.h"

enum { CPV_MERGE_MEMBERS_MAX = 128 };

/* Is this extension one of an image's? */
bool cpv_ext_is_image(const char *ext);
/* That of a sample's image, the first one's; NULL if it has none. */
const char *cpv_image_ext(const struct cpv_sample_entry *e);

/*
 * Merge the same sample of n columns. Of equal extensions (other than json) the first
 * column's counts. JSON objects: the first one's keys in its order, then those that
 * later columns add, in theirs; for equal keys the later column's value, at the
 * earlier place. With one column the bytes are kept as they are. images: false leaves
 * the image members out. Results live in mem; views of the inputs are kept.
 */
CPV_MUST_CHECK int cpv_merge_samples(const struct cpv_sample *samples, size_t n,
                                     bool images, cpv_arena *mem,
                                     struct cpv_member **members, size_t *n_members,
                                     struct cpv_err *err);

/* The merged JSON alone, of samples of which only the json member need be there. The
 * caller ends it with json_decref. */
CPV_MUST_CHECK int cpv_merge_json(const struct cpv_sample *samples, size_t n,
                                  json_t **out, struct cpv_err *err);

#endif
