/* SPDX-License-Identifier: Apache-2.0 */
/* All that is wrong with a checkpoint, for a report: see arch.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/arch_impl.h"

struct check {
    const struct cpv_arch_model *m;
    const cpv_checkpoint *c;
    cpv_arena *mem;
    struct cpv_arch_report *out;
    size_t room_missing, room_wrong, room_notes;
    bool *used; /* by the checkpoint's own numbers */
};

static int add(struct cpv_arch_lines *l, size_t *room, const char *name, const char *text,
               cpv_arena *mem, struct cpv_err *err)
{
    if (l->count == *room) {
        size_t more = *room ? *room * 2 : 16;
        struct cpv_arch_line *at = cpv_arena_calloc(mem, more, sizeof *at);

        if (!at)
            return cpv_fail_memory(err);
        if (l->count)
            memcpy(at, l->at, l->count * sizeof *at);
        l->at = at;
        *room = more;
    }
    l->at[l->count].name = cpv_arena_str(mem, cpv_bytes_str(name));
    l->at[l->count].text = cpv_arena_str(mem, cpv_bytes_str(text));
    if (!l->at[l->count].name || !l->at[l->count].text)
        return cpv_fail_memory(err);
    l->count++;
    return CPV_OK;
}

/* Tensors are in the order of their names. */
static void mark_used(struct check *k, const struct cpv_ckpt_tensor *t)
{
    size_t low = 0, high = cpv_checkpoint_count(k->c);

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(cpv_checkpoint_at(k->c, mid)->name, t->name);

        if (order == 0) {
            k->used[mid] = true;
            return;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
}

static bool same_shape(const struct cpv_ckpt_tensor *t, uint32_t rank,
                       const uint64_t *dim)
{
    if (t->rank != rank)
        return false;
    for (uint32_t i = 0; i < rank; i++)
        if (t->dim[i] != dim[i])
            return false;
    return true;
}

static bool is_floating(cpv_ckpt_dtype t)
{
    return t == CPV_CKPT_F32 || t == CPV_CKPT_F16 || t == CPV_CKPT_BF16 ||
           t == CPV_CKPT_F64;
}

/* The same values; of tensors that are not stored row by row, only if they are one. */
static bool same_values(const struct cpv_ckpt_tensor *a, const struct cpv_ckpt_tensor *b)
{
    if (cpv_checkpoint_tied(a, b))
        return true;
    return a->dtype == b->dtype && same_shape(a, b->rank, b->dim) && a->contiguous &&
           b->contiguous && a->bytes == b->bytes &&
           memcmp(a->data, b->data, (size_t)a->bytes) == 0;
}

static int note_ignored(struct check *k, const struct cpv_arch_entry *e,
                        const struct cpv_ckpt_tensor *t, struct cpv_err *err)
{
    const struct cpv_ckpt_tensor *twin = NULL;
    char name[256], text[512];

    if (e->twin) {
        (void)snprintf(name, sizeof name, "%s%s", k->m->prefix, e->twin);
        twin = cpv_checkpoint_find(k->c, name);
    }
    (void)snprintf(text, sizeof text, "%s%s%s%s", e->note,
                   !twin                  ? ""
                   : same_values(t, twin) ? "; equal to "
                                          : "; DIFFERS from ",
                   twin ? twin->name : "", "");
    return add(&k->out->notes, &k->room_notes, t->name, text, k->mem, err);
}

static int note_wrong(struct check *k, const struct cpv_arch_want *w,
                      const struct cpv_ckpt_tensor *t, struct cpv_err *err)
{
    char have[128], want[128], text[320];

    (void)snprintf(text, sizeof text, "%s %s, expected %s", cpv_ckpt_dtype_name(t->dtype),
                   cpv_ckpt_shape(have, sizeof have, t->rank, t->dim),
                   cpv_ckpt_shape(want, sizeof want, w->rank, w->dim));
    return add(&k->out->wrong, &k->room_wrong, t->name, text, k->mem, err);
}

static int consider(void *ctx, const struct cpv_arch_want *w, struct cpv_err *err)
{
    struct check *k = ctx;
    const struct cpv_ckpt_tensor *t = cpv_checkpoint_find(k->c, w->name);
    char shape[128];

    if (!t && w->also[0])
        t = cpv_checkpoint_find(k->c, w->also);
    if (!t && w->entry->role == CPV_ARCH_NEEDED)
        return add(&k->out->missing, &k->room_missing, w->name,
                   cpv_ckpt_shape(shape, sizeof shape, w->rank, w->dim), k->mem, err);
    if (!t)
        return CPV_OK;
    mark_used(k, t);
    if (w->entry->role == CPV_ARCH_IGNORED)
        return note_ignored(k, w->entry, t, err);
    if (!same_shape(t, w->rank, w->dim) || !is_floating(t->dtype))
        return note_wrong(k, w, t, err);
    k->out->parameters += t->elements;
    return CPV_OK;
}

static int list_unused(struct check *k, struct cpv_err *err)
{
    size_t room = 0;
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < cpv_checkpoint_count(k->c); i++) {
        const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(k->c, i);
        char shape[128], text[192];

        k->out->tensors++;
        if ((int)t->dtype < CPV_ARCH_TYPES)
            k->out->by_type[t->dtype]++;
        if (k->used[i])
            continue;
        (void)snprintf(text, sizeof text, "%s %s", cpv_ckpt_dtype_name(t->dtype),
                       cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim));
        rc = add(&k->out->unused, &room, t->name, text, k->mem, err);
    }
    return rc;
}

int cpv_arch_check(const struct cpv_arch_model *m, const cpv_checkpoint *c,
                   cpv_arena *mem, struct cpv_arch_report *out, struct cpv_err *err)
{
    size_t n = cpv_checkpoint_count(c);
    struct check k = {.m = m, .c = c, .mem = mem, .out = out};
    int rc;

    memset(out, 0, sizeof *out);
    k.used = cpv_arena_calloc(mem, n ? n : 1, sizeof *k.used);
    if (!k.used)
        return cpv_fail_memory(err);
    rc = cpv_arch_each(m, consider, &k, err);
    return rc ? rc : list_unused(&k, err);
}
