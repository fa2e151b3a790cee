/* SPDX-License-Identifier: Apache-2.0 */
/* Slots: memory, the lengths that the host knows, and the three operations on them. */
#include "common/compute/kv.h"

#include <string.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/compute/backend.h"

static size_t aligned(size_t n)
{
    return (n + CPV_ALIGN - 1) & ~(size_t)(CPV_ALIGN - 1);
}

static size_t head_bytes(const struct cpv_kv_params *p)
{
    return aligned((size_t)p->slots * (size_t)p->capacity * sizeof(int32_t)) +
           aligned((size_t)p->slots * sizeof(int32_t));
}

static size_t layer_bytes(const cpv_kv *kv)
{
    return aligned((size_t)kv->p.slots * (size_t)kv->p.capacity * (size_t)kv->p.width *
                   cpv_dtype_size(kv->device->values));
}

static int make(cpv_kv *kv, struct cpv_err *err)
{
    const struct cpv_backend *b = kv->device->backend;
    size_t head = head_bytes(&kv->p), table = head - aligned((size_t)kv->p.slots * 4);
    int rc;

    kv->bytes = head + 2 * (size_t)kv->p.layers * layer_bytes(kv);
    kv->on_host = cpv_calloc((size_t)kv->p.slots, sizeof *kv->on_host);
    if (!kv->on_host)
        return cpv_fail_memory(err);
    rc = b->alloc(kv->device, kv->bytes, &kv->mem, err);
    if (rc)
        return rc;
    kv->table = kv->mem;
    kv->length = (int32_t *)(void *)((char *)kv->mem + table);
    return b->write(kv->device, kv->mem, NULL, head, err);
}

int cpv_kv_open(cpv_kv **out, cpv_device *device, const struct cpv_kv_params *params,
                struct cpv_err *err)
{
    size_t rows, values;
    cpv_kv *kv;
    int rc;

    *out = NULL;
    if (params->layers < 1 || params->slots < 1 || params->capacity < 1 ||
        params->width < 1 ||
        !cpv_size_mul((size_t)params->slots, (size_t)params->capacity, &rows) ||
        rows > INT32_MAX || !cpv_size_mul(rows, (size_t)params->width, &values) ||
        values > SIZE_MAX / 16 / (size_t)params->layers)
        return cpv_fail(err, CPV_E_BUG, "a cache of %d layers, %d slots of %d positions",
                        params->layers, params->slots, params->capacity);
    kv = cpv_calloc(1, sizeof *kv);
    if (!kv)
        return cpv_fail_memory(err);
    kv->device = device;
    kv->p = *params;
    rc = make(kv, err);
    if (rc)
        cpv_kv_close(&kv);
    *out = kv;
    return rc;
}

void cpv_kv_close(cpv_kv **kv)
{
    if (!*kv)
        return;
    if ((*kv)->mem)
        (*kv)->device->backend->free((*kv)->device, (*kv)->mem);
    cpv_free((*kv)->on_host);
    cpv_free(*kv);
    *kv = NULL;
}

size_t cpv_kv_bytes(const cpv_kv *kv)
{
    return kv->bytes;
}

int cpv_kv_length(const cpv_kv *kv, int slot)
{
    return slot < 0 || slot >= kv->p.slots ? 0 : kv->on_host[slot];
}

cpv_tensor cpv_kv_layer(const cpv_kv *kv, int layer, int which)
{
    cpv_tensor t = {.rows = (int64_t)kv->p.slots * kv->p.capacity,
                    .cols = kv->p.width,
                    .stride = kv->p.width,
                    .dtype = kv->device->values};

    t.data = (char *)kv->mem + head_bytes(&kv->p) +
             (2 * (size_t)layer + (size_t)which) * layer_bytes(kv);
    return t;
}

/* ---- the operations ---- */

static bool is_slot(const cpv_kv *kv, int32_t s)
{
    return s >= 0 && s < kv->p.slots;
}

/* All slots, and none twice: marks them in on_host's sign for the while. */
static bool are_slots(cpv_compute *c, const struct cpv_op *op, cpv_kv *kv, cpv_slots s)
{
    int32_t i;

    for (i = 0; i < s.count; i++) {
        if (!is_slot(kv, s.host[i]) || kv->on_host[s.host[i]] < 0)
            break;
        kv->on_host[s.host[i]] = ~kv->on_host[s.host[i]];
    }
    for (int32_t k = 0; k < i; k++)
        kv->on_host[s.host[k]] = ~kv->on_host[s.host[k]];
    if (i < s.count)
        cpv_compute_refuse(c, op, "slot %d, number %d, is none of %d or there twice",
                           s.host[i], i, kv->p.slots);
    return i == s.count && i > 0;
}

cpv_slots cpv_slots_put(cpv_compute *c, const int32_t *slot, int32_t count)
{
    cpv_slots s = {.count = count};
    int32_t *copy;

    if (count < 1)
        cpv_compute_fail(c, CPV_E_BUG, "a list of %d slots", count);
    copy = c->err.code ? NULL : cpv_compute_host(c, (size_t)count * sizeof *copy);
    if (!copy)
        return (cpv_slots){0};
    memcpy(copy, slot, (size_t)count * sizeof *copy);
    s.host = copy;
    s.on_device = cpv_put_i32(c, count, 1, copy);
    return c->err.code ? (cpv_slots){0} : s;
}

cpv_tensor cpv_kv_extend(cpv_compute *c, cpv_kv *kv, cpv_rows rows, cpv_slots slots)
{
    struct cpv_op op = {.kind = CPV_OP_KV_EXTEND};
    struct cpv_op_kv_extend *e = &op.kv_extend;

    e->kv = kv;
    e->rows = rows;
    e->slots = slots;
    if (c->err.code || !are_slots(c, &op, kv, slots))
        return (cpv_tensor){0};
    if (slots.count != rows.count)
        cpv_compute_refuse(c, &op, "%d slots for %d sequences", slots.count, rows.count);
    for (int32_t i = 0; i < rows.count && !c->err.code; i++) {
        int32_t n = rows.offset[i + 1] - rows.offset[i],
                have = kv->on_host[slots.host[i]];

        if (n > kv->p.capacity - have)
            cpv_compute_refuse(c, &op, "slot %d holds %d of %d positions, %d more came",
                               slots.host[i], have, kv->p.capacity, n);
    }
    e->positions = cpv_compute_alloc(c, rows.total, 1, CPV_I32);
    cpv_compute_run(c, &op);
    if (c->err.code)
        return (cpv_tensor){0};
    for (int32_t i = 0; i < rows.count; i++)
        kv->on_host[slots.host[i]] += rows.offset[i + 1] - rows.offset[i];
    kv->last_slots = slots;
    kv->last_positions = e->positions;
    kv->last_rows = rows;
    return e->positions;
}

void cpv_kv_write(cpv_compute *c, cpv_kv *kv, int layer, cpv_tensor k, cpv_tensor v)
{
    struct cpv_op op = {.kind = CPV_OP_KV_WRITE};
    struct cpv_op_kv_write *w = &op.kv_write;

    w->k = k;
    w->v = v;
    w->kv = kv;
    w->rows = kv->last_rows;
    w->slots = kv->last_slots;
    w->positions = kv->last_positions;
    w->layer = layer;
    if (c->err.code)
        return;
    if (layer < 0 || layer >= kv->p.layers)
        cpv_compute_refuse(c, &op, "layer %d of %d", layer, kv->p.layers);
    else if (!k.data || !v.data || k.dtype != c->device->values || v.dtype != k.dtype ||
             k.rows != w->rows.total || v.rows != k.rows || k.cols != kv->p.width ||
             v.cols != kv->p.width)
        cpv_compute_refuse(c, &op, "expected [%d, %lld] as extended", w->rows.total,
                           (long long)kv->p.width);
    cpv_compute_run(c, &op);
}

/* The host's lengths are the caller's to set. */
static bool take_over(cpv_compute *c, cpv_kv *kv, cpv_slots dst, cpv_tensor src)
{
    struct cpv_op op = {.kind = CPV_OP_KV_FORK};

    op.kv_fork.kv = kv;
    op.kv_fork.dst = dst;
    op.kv_fork.src = src;
    if (c->err.code || !are_slots(c, &op, kv, dst))
        return false;
    if (!src.data || src.dtype != CPV_I32 || src.cols != 1 || src.rows != dst.count)
        cpv_compute_refuse(c, &op, "sources are a column of %d i32", dst.count);
    cpv_compute_run(c, &op);
    return !c->err.code;
}

static void refuse_fixed(cpv_compute *c, const cpv_kv *kv)
{
    if (kv->p.fixed)
        cpv_compute_fail(c, CPV_E_BUG,
                         "kv_fork: slots of a fixed cache take over nothing");
}

void cpv_kv_fork(cpv_compute *c, cpv_kv *kv, cpv_slots dst, cpv_slots src)
{
    int32_t *lengths;

    refuse_fixed(c, kv);
    for (int32_t i = 0; i < src.count; i++)
        if (!is_slot(kv, src.host[i]))
            cpv_compute_fail(c, CPV_E_BUG, "kv_fork: source %d is no slot", src.host[i]);
    if (c->err.code || !take_over(c, kv, dst, src.on_device))
        return;
    lengths = cpv_compute_host(c, (size_t)dst.count * sizeof *lengths);
    for (int32_t i = 0; lengths && i < dst.count; i++)
        lengths[i] = kv->on_host[src.host[i]];
    for (int32_t i = 0; lengths && i < dst.count; i++)
        kv->on_host[dst.host[i]] = lengths[i];
}

void cpv_kv_reorder(cpv_compute *c, cpv_kv *kv, cpv_slots dst, cpv_tensor src)
{
    refuse_fixed(c, kv);
    take_over(c, kv, dst, src);
}

void cpv_kv_clear(cpv_compute *c, cpv_kv *kv, cpv_slots slots)
{
    int32_t *none = c->err.code || slots.count < 1
                        ? NULL
                        : cpv_compute_host(c, (size_t)slots.count * sizeof *none);

    for (int32_t i = 0; none && i < slots.count; i++)
        none[i] = -1;
    if (!none || !take_over(c, kv, slots, cpv_put_i32(c, slots.count, 1, none)))
        return;
    for (int32_t i = 0; i < slots.count; i++)
        kv->on_host[slots.host[i]] = 0;
}
