/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: the arena, the first error, the way of an operation to its backend. */
#include "common/compute/compute.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/compute/backend.h"

/* ---- life ---- */

int cpv_compute_open(cpv_compute **out, cpv_device *device,
                     const struct cpv_compute_params *params, struct cpv_err *err)
{
    const struct cpv_backend *b = device->backend;
    cpv_compute *c;
    int rc;

    *out = NULL;
    if (!params->arena && !b->blind)
        return cpv_fail(err, CPV_E_BUG, "a context on '%s' needs the size of its arena",
                        device->name);
    if (params->threads < 0 || params->threads > 1024)
        return cpv_fail(err, CPV_E_USAGE, "threads: expected 1 to 1024, got %d",
                        params->threads);
    c = cpv_calloc(1, sizeof *c);
    if (!c)
        return cpv_fail_memory(err);
    c->device = device;
    c->size = params->arena ? params->arena : SIZE_MAX / 4;
    c->threads = params->threads ? params->threads : 1;
    rc = cpv_arena_open(&c->host, 0, err);
    if (!rc)
        rc = b->alloc(device, c->size, &c->block, err);
    c->base = c->block;
    if (!rc)
        rc = b->compute_open(c, params, err);
    if (rc)
        cpv_compute_close(&c);
    *out = c;
    return rc;
}

void cpv_compute_close(cpv_compute **c)
{
    cpv_compute *o = *c;

    if (!o)
        return;
    o->device->backend->compute_close(o);
    cpv_tape_close(o);
    if (o->block)
        o->device->backend->free(o->device, o->block);
    cpv_arena_close(&o->host);
    cpv_free(o);
    *c = NULL;
}

cpv_device *cpv_compute_device(const cpv_compute *c)
{
    return c->device;
}

/* ---- memory ---- */

struct cpv_compute_mark cpv_compute_mark(const cpv_compute *c)
{
    struct cpv_compute_mark m = {c->used, cpv_arena_mark(c->host)};

    return m;
}

void cpv_compute_rewind(cpv_compute *c, struct cpv_compute_mark mark)
{
    c->used = mark.used;
    cpv_arena_rewind(c->host, mark.host);
}

cpv_tensor cpv_compute_keep(cpv_compute *c, struct cpv_compute_mark mark, cpv_tensor x)
{
    size_t bytes = (size_t)(x.rows * x.cols) * cpv_dtype_size(x.dtype);
    struct cpv_op op = {.kind = CPV_OP_COPY};

    if (c->err.code || c->tape)
        return x;
    /* Not onto itself: what lies right behind the mark stays where it is. */
    if ((char *)x.data < c->base + mark.used + bytes)
        return x;
    cpv_compute_rewind(c, mark);
    op.copy.x = x;
    op.copy.out = cpv_compute_alloc(c, x.rows, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.copy.out;
}

size_t cpv_compute_peak(const cpv_compute *c)
{
    return c->peak;
}

/* NULL, and the context has failed, if the arena has no such room. */
static void *take(cpv_compute *c, size_t bytes)
{
    size_t whole;
    void *at;

    if (c->err.code)
        return NULL;
    if (!cpv_size_add(bytes, CPV_ALIGN - 1, &whole) ||
        (whole & ~(size_t)(CPV_ALIGN - 1)) > c->size - c->used) {
        cpv_compute_fail(
            c, CPV_E_MEMORY,
            "an arena of %zu bytes on '%s' has no room for %zu more after %zu", c->size,
            c->device->name, bytes, c->used);
        return NULL;
    }
    at = c->base + c->used;
    c->used += whole & ~(size_t)(CPV_ALIGN - 1);
    if (c->used > c->peak)
        c->peak = c->used;
    return at;
}

cpv_tensor cpv_compute_alloc(cpv_compute *c, int64_t rows, int64_t cols, cpv_dtype dtype)
{
    cpv_tensor t = {.rows = rows, .cols = cols, .stride = cols, .dtype = dtype};
    size_t n, bytes;

    if (c->err.code)
        return (cpv_tensor){0};
    if (rows < 1 || cols < 1 || !cpv_size_mul((size_t)rows, (size_t)cols, &n) ||
        !cpv_size_mul(n, cpv_dtype_size(dtype), &bytes)) {
        cpv_compute_fail(c, CPV_E_BUG, "a tensor of [%lld, %lld]", (long long)rows,
                         (long long)cols);
        return (cpv_tensor){0};
    }
    t.data = take(c, bytes);
    return t.data ? t : (cpv_tensor){0};
}

void *cpv_compute_host(cpv_compute *c, size_t size)
{
    void *mem = c->err.code ? NULL : cpv_arena_alloc(c->host, size);

    if (!mem)
        cpv_compute_fail(c, CPV_E_MEMORY, "out of memory");
    return mem;
}

/* ---- errors ---- */

bool cpv_compute_failed(const cpv_compute *c)
{
    return c->err.code != 0;
}

void cpv_compute_fail(cpv_compute *c, int code, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    if (c->err.code)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cpv_fail(&c->err, code, "%s", text);
}

void cpv_compute_refuse(cpv_compute *c, const struct cpv_op *op, const char *fmt, ...)
{
    char what[160], operands[300];
    va_list ap;

    if (c->err.code)
        return;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    cpv_op_print(op, operands, sizeof operands);
    cpv_fail(&c->err, CPV_E_INPUT, "%s: %s: %s", cpv_op_info(op->kind)->name, operands,
             what);
}

int cpv_compute_sync(cpv_compute *c, struct cpv_err *err)
{
    struct cpv_err late = {0};
    int rc = c->device->backend->sync(c, &late);

    if (!c->err.code && rc)
        c->err = late;
    rc = c->err.code;
    if (rc && err)
        *err = c->err;
    memset(&c->err, 0, sizeof c->err);
    return rc;
}

/* ---- the way to the backend ---- */

void cpv_compute_run(cpv_compute *c, struct cpv_op *op)
{
    const struct cpv_backend *b = c->device->backend, *like = c->device->like;
    size_t used = c->used, need;
    struct cpv_err err = {0};
    void *scratch = NULL;

    if (c->err.code)
        return;
    if (!like->run[op->kind]) {
        cpv_compute_refuse(c, op, "device '%s' does not have this operation", like->name);
        return;
    }
    need = like->scratch ? like->scratch(c, op) : 0;
    if (need && !(scratch = take(c, need)))
        return;
    if (!b->blind && b->run[op->kind](c, op, scratch, &err)) {
        cpv_err_add(&err, "%s", cpv_op_info(op->kind)->name);
        c->err = err;
    }
    c->used = used;
    if (!c->err.code && cpv_tape_runs(c))
        cpv_tape_record(c, op);
}

void cpv_compute_run_aside(cpv_compute *c, struct cpv_op *op)
{
    struct cpv_tape *tape = c->tape;

    c->tape = NULL;
    cpv_compute_run(c, op);
    c->tape = tape;
}

/* ---- in and out ---- */

static cpv_tensor put(cpv_compute *c, int64_t rows, int64_t cols, cpv_dtype dtype,
                      const void *from)
{
    cpv_tensor t = cpv_compute_alloc(c, rows, cols, dtype);

    if (t.data && !c->device->backend->blind)
        c->device->backend->copy_in(c, t, from, &c->err);
    return c->err.code ? (cpv_tensor){0} : t;
}

cpv_tensor cpv_put(cpv_compute *c, int64_t rows, int64_t cols, const float *from)
{
    return put(c, rows, cols, c->device->values, from);
}

cpv_tensor cpv_put_i32(cpv_compute *c, int64_t rows, int64_t cols, const int32_t *from)
{
    return put(c, rows, cols, CPV_I32, from);
}

static cpv_rows rows_of(cpv_compute *c, const int32_t *length, int32_t each,
                        int32_t count)
{
    cpv_rows r = {.count = count};
    int32_t *offset;
    int64_t total = 0;

    if (count < 1) {
        cpv_compute_fail(c, CPV_E_BUG, "a batch of %d sequences", count);
        return (cpv_rows){0};
    }
    offset = cpv_compute_host(c, ((size_t)count + 1) * sizeof *offset);
    if (!offset)
        return (cpv_rows){0};
    offset[0] = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t n = length ? length[i] : each;

        total += n;
        if (n < 0 || total > INT32_MAX) {
            cpv_compute_fail(c, CPV_E_BUG, "sequence %d of a batch has %d rows", i, n);
            return (cpv_rows){0};
        }
        offset[i + 1] = (int32_t)total;
        r.longest = n > r.longest ? n : r.longest;
    }
    r.offset = offset;
    r.total = (int32_t)total;
    r.on_device = cpv_put_i32(c, 1, (int64_t)count + 1, offset).data;
    return r.on_device ? r : (cpv_rows){0};
}

cpv_rows cpv_rows_put(cpv_compute *c, const int32_t *length, int32_t count)
{
    return rows_of(c, length, 0, count);
}

cpv_rows cpv_rows_equal(cpv_compute *c, int32_t length, int32_t count)
{
    return rows_of(c, NULL, length, count);
}

/* Shapes alone have no values: a model that looks at some sees zeros. */
static bool get(cpv_compute *c, cpv_tensor t, void *to)
{
    if (!c->err.code && !t.data)
        cpv_compute_fail(c, CPV_E_BUG, "nothing to copy to the host");
    if (c->err.code)
        return false;
    if (c->device->backend->blind)
        memset(to, 0, (size_t)t.rows * (size_t)t.cols * sizeof(float));
    else
        c->device->backend->copy_out(c, to, t, &c->err);
    return !c->err.code;
}

bool cpv_get(cpv_compute *c, cpv_tensor t, float *to)
{
    if (t.data && t.dtype == CPV_I32)
        cpv_compute_fail(c, CPV_E_BUG, "integers are copied with cpv_get_i32");
    return get(c, t, to);
}

bool cpv_get_i32(cpv_compute *c, cpv_tensor t, int32_t *to)
{
    if (t.data && t.dtype != CPV_I32)
        cpv_compute_fail(c, CPV_E_BUG, "cpv_get_i32 of %s", cpv_dtype_name(t.dtype));
    return get(c, t, to);
}
