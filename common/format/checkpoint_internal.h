/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of checkpoint.h share: the list that they add tensors to. A reader is
 * given the bytes of a whole file, so that a fuzzer needs no file.
 */
#ifndef CPV_FORMAT_CHECKPOINT_INTERNAL_H
#define CPV_FORMAT_CHECKPOINT_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/format/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_CKPT_TENSORS_MAX = 1 << 18,
    CPV_CKPT_NAME_MAX = 512,
    CPV_CKPT_JSON_MAX = 16 << 20, /* a header or index: jansson's tree is 30 times that */
};

struct cpv_ckpt_list {
    cpv_arena *mem;             /* the names lie there; the caller's */
    struct cpv_ckpt_tensor *at; /* from cpv_realloc */
    size_t count, room;
    uint32_t file; /* the number that new tensors get */
};

/* Memory of the list itself; the arena is not touched. */
void cpv_ckpt_list_release(struct cpv_ckpt_list *list);

/*
 * Add a tensor of this type, shape and strides (in elements; NULL: row-major), that
 * begins `offset` elements into `storage`. Filled in and checked here: the name (text
 * without control characters), the count of elements, that all of them lie in the
 * storage, and that they are not more than it has, so that no stride of 0 makes a huge
 * tensor of a small file. `path` is for messages. The rest of *t need not be set.
 */
struct cpv_ckpt_place {
    struct cpv_bytes storage;
    uint64_t offset;
    const uint64_t *stride;
};
CPV_MUST_CHECK int cpv_ckpt_list_add(struct cpv_ckpt_list *list, struct cpv_bytes name,
                                     struct cpv_ckpt_tensor *t,
                                     const struct cpv_ckpt_place *place, const char *path,
                                     struct cpv_err *err);

/*
 * Sort by name; the same name twice is CPV_E_INPUT. `path` is for messages.
 */
CPV_MUST_CHECK int cpv_ckpt_list_sort(struct cpv_ckpt_list *list, const char *path,
                                      struct cpv_err *err);
const struct cpv_ckpt_tensor *cpv_ckpt_list_find(const struct cpv_ckpt_list *list,
                                                 const char *name);

#ifdef __cplusplus
}
#endif
#endif
