/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint_internal.h; and what checkpoint.h says of types and shapes. */
#include "common/format/checkpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/json.h"
#include "common/format/show.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [CPV_CKPT_F32] = {"f32", 4},   [CPV_CKPT_F16] = {"f16", 2},
    [CPV_CKPT_BF16] = {"bf16", 2}, [CPV_CKPT_F64] = {"f64", 8},
    [CPV_CKPT_I64] = {"i64", 8},   [CPV_CKPT_I32] = {"i32", 4},
    [CPV_CKPT_I16] = {"i16", 2},   [CPV_CKPT_I8] = {"i8", 1},
    [CPV_CKPT_U8] = {"u8", 1},     [CPV_CKPT_BOOL] = {"bool", 1},
};

size_t cpv_ckpt_dtype_size(cpv_ckpt_dtype t)
{
    return dtypes[t].size;
}

const char *cpv_ckpt_dtype_name(cpv_ckpt_dtype t)
{
    return dtypes[t].name;
}

char *cpv_ckpt_shape(char *to, size_t size, uint32_t rank, const uint64_t *dim)
{
    size_t at = 0;

    for (uint32_t i = 0; i < rank && at < size; i++) {
        const char *before = i ? ", " : "[";
        int n = dim[i] == CPV_CKPT_ANY ? snprintf(to + at, size - at, "%sany", before)
                                       : snprintf(to + at, size - at, "%s%llu", before,
                                                  (unsigned long long)dim[i]);

        at += n > 0 ? (size_t)n : 0;
    }
    if (at < size)
        (void)snprintf(to + at, size - at, "%s", rank ? "]" : "[]");
    return to;
}

bool cpv_checkpoint_tied(const struct cpv_ckpt_tensor *a, const struct cpv_ckpt_tensor *b)
{
    if (a->storage != b->storage || a->data != b->data || a->dtype != b->dtype ||
        a->rank != b->rank || a->elements == 0)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i] || (a->dim[i] > 1 && a->stride[i] != b->stride[i]))
            return false;
    return true;
}

/* ---- adding ---- */

void cpv_ckpt_list_release(struct cpv_ckpt_list *list)
{
    cpv_free(list->at);
    list->at = NULL;
    list->count = list->room = 0;
}

static bool good_name(struct cpv_bytes s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < 0x20 || s.data[i] == 0x7F)
            return false;
    return s.size > 0 && s.size <= CPV_CKPT_NAME_MAX && cpv_utf8_valid(s);
}

/*
 * Elements, strides if none are given, whether they are the row-major ones, and in
 * *last the place of the last element. False: a product beyond 64 bits.
 */
static bool measure(struct cpv_ckpt_tensor *t, const uint64_t *stride, uint64_t *last)
{
    bool empty = false;

    t->elements = 1;
    t->contiguous = true;
    *last = 0;
    for (uint32_t i = t->rank; i < CPV_CKPT_RANK_MAX; i++) {
        t->dim[i] = 1;
        t->stride[i] = 0;
    }
    for (uint32_t i = 0; i < t->rank; i++)
        empty |= t->dim[i] == 0;
    for (uint32_t i = t->rank; i-- > 0;) {
        uint64_t steps = t->dim[i] ? t->dim[i] - 1 : 0, far;

        t->stride[i] = stride ? stride[i] : t->elements;
        t->contiguous &= t->dim[i] == 1 || t->stride[i] == t->elements;
        if (empty)
            continue; /* the others may be anything */
        if (__builtin_mul_overflow(steps, t->stride[i], &far) ||
            __builtin_add_overflow(*last, far, last) ||
            __builtin_mul_overflow(t->elements, t->dim[i], &t->elements))
            return false;
    }
    if (empty) {
        t->elements = 0;
        t->contiguous = true;
    }
    return true;
}

static int place_tensor(struct cpv_ckpt_tensor *t, struct cpv_bytes name,
                        const struct cpv_ckpt_place *p, const char *path,
                        struct cpv_err *err)
{
    uint64_t size = cpv_ckpt_dtype_size(t->dtype), has = p->storage.size / size, last;
    char shape[128];

    if (!measure(t, p->stride, &last) || p->offset > has ||
        (t->elements > 0 && last >= has - p->offset))
        return cpv_fail(
            err, CPV_E_INPUT,
            "'%s': tensor '%s' of shape %s reaches beyond its storage of %llu", path,
            cpv_show(name).text, cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim),
            (unsigned long long)has);
    if (t->elements > has)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': tensor '%s' of shape %s repeats a storage of %llu, which "
                        "is not supported",
                        path, cpv_show(name).text,
                        cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim),
                        (unsigned long long)has);
    t->storage = p->storage.data;
    t->data = p->storage.data + p->offset * size;
    t->bytes = t->elements ? (last + 1) * size : 0;
    return CPV_OK;
}

int cpv_ckpt_list_add(struct cpv_ckpt_list *list, struct cpv_bytes name,
                      struct cpv_ckpt_tensor *t, const struct cpv_ckpt_place *place,
                      const char *path, struct cpv_err *err)
{
    int rc;

    if (!good_name(name))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': a tensor's name '%s' is no text of 1 to %d bytes", path,
                        cpv_show(name).text, CPV_CKPT_NAME_MAX);
    if (list->count == CPV_CKPT_TENSORS_MAX)
        return cpv_fail(err, CPV_E_INPUT, "'%s': more than the %d tensors allowed", path,
                        CPV_CKPT_TENSORS_MAX);
    if ((rc = place_tensor(t, name, place, path, err)))
        return rc;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        struct cpv_ckpt_tensor *more = cpv_realloc(list->at, room * sizeof *more);

        if (!more)
            return cpv_fail_memory(err);
        list->at = more;
        list->room = room;
    }
    t->file = list->file;
    t->name = cpv_arena_str(list->mem, name);
    if (!t->name)
        return cpv_fail_memory(err);
    list->at[list->count++] = *t;
    return CPV_OK;
}

/* ---- by name ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cpv_ckpt_tensor *)a)->name,
                  ((const struct cpv_ckpt_tensor *)b)->name);
}

int cpv_ckpt_list_sort(struct cpv_ckpt_list *list, const char *path, struct cpv_err *err)
{
    if (list->count > 1)
        qsort(list->at, list->count, sizeof *list->at, by_name);
    for (size_t i = 1; i < list->count; i++)
        if (strcmp(list->at[i - 1].name, list->at[i].name) == 0)
            return cpv_fail(err, CPV_E_INPUT, "'%s': two tensors are named '%s'", path,
                            cpv_show(cpv_bytes_str(list->at[i].name)).text);
    return CPV_OK;
}

const struct cpv_ckpt_tensor *cpv_ckpt_list_find(const struct cpv_ckpt_list *list,
                                                 const char *name)
{
    struct cpv_ckpt_tensor key = {.name = name};

    if (list->count == 0)
        return NULL;
    return bsearch(&key, list->at, list->count, sizeof *list->at, by_name);
}
