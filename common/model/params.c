/* SPDX-License-Identifier: Apache-2.0 */
#include "common/model/params.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"

enum { PARTS_MAX = 4, NAME_MAX_BYTES = 256 };

struct cpv_params {
    cpv_device *device;
    const cpv_checkpoint *checkpoint;
    struct cpv_err err; /* the first */
    cpv_weight **weight;
    size_t count, room;
    size_t bytes;
    uint64_t numbers;
};

int cpv_params_open(cpv_params **out, cpv_device *device,
                    const cpv_checkpoint *checkpoint, struct cpv_err *err)
{
    cpv_params *p = cpv_calloc(1, sizeof *p);

    *out = p;
    if (!p)
        return cpv_fail_memory(err);
    p->device = device;
    p->checkpoint = checkpoint;
    return CPV_OK;
}

void cpv_params_close(cpv_params **p)
{
    if (!*p)
        return;
    for (size_t i = 0; i < (*p)->count; i++)
        cpv_weight_close(&(*p)->weight[i]);
    cpv_free((*p)->weight);
    cpv_free(*p);
    *p = NULL;
}

int cpv_params_check(cpv_params *p, struct cpv_err *err)
{
    if (p->err.code && err)
        *err = p->err;
    return p->err.code;
}

size_t cpv_params_bytes(const cpv_params *p)
{
    return p->bytes;
}

uint64_t cpv_params_count(const cpv_params *p)
{
    return p->numbers;
}

void cpv_params_fail(cpv_params *p, int code, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    if (p->err.code)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cpv_fail(&p->err, code, "'%s': %s", cpv_checkpoint_path(p->checkpoint), text);
}

/* ---- tensors ---- */

#define FORMAT(name, fmt)                                                                \
    char name[NAME_MAX_BYTES];                                                           \
    do {                                                                                 \
        va_list ap;                                                                      \
        va_start(ap, fmt);                                                               \
        vsnprintf(name, sizeof name, fmt, ap);                                           \
        va_end(ap);                                                                      \
    } while (0)

bool cpv_params_has(const cpv_params *p, const char *fmt, ...)
{
    FORMAT(name, fmt);
    return cpv_checkpoint_find(p->checkpoint, name) != NULL;
}

/* NAME + suffix, of this shape; NULL after a mistake. */
static const struct cpv_ckpt_tensor *need(cpv_params *p, const char *name,
                                          const char *suffix, uint32_t rank, int64_t out,
                                          int64_t in)
{
    const struct cpv_ckpt_tensor *t = NULL;
    uint64_t dim[2] = {(uint64_t)out, (uint64_t)in};
    char whole[NAME_MAX_BYTES + 16];

    if (p->err.code)
        return NULL;
    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    if (cpv_checkpoint_need(p->checkpoint, whole, rank, dim, &t, &p->err))
        return NULL;
    return t;
}

const struct cpv_ckpt_tensor *cpv_params_tensor(cpv_params *p, uint64_t elements,
                                                const char *fmt, ...)
{
    const struct cpv_ckpt_tensor *t;
    char shape[80];
    FORMAT(name, fmt);

    if (p->err.code)
        return NULL;
    t = cpv_checkpoint_find(p->checkpoint, name);
    if (!t)
        cpv_params_fail(p, CPV_E_INPUT, "no tensor '%s'", name);
    else if (t->elements != elements || !t->rank)
        cpv_params_fail(p, CPV_E_INPUT, "tensor '%s' is %s, expected %llu elements", name,
                        cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim),
                        (unsigned long long)elements);
    return p->err.code ? NULL : t;
}

/* [rows, cols], the rows in one dimension or in several. */
static const struct cpv_ckpt_tensor *need_rows(cpv_params *p, const char *name,
                                               int64_t rows, int64_t cols)
{
    const struct cpv_ckpt_tensor *t;
    char shape[80];

    if (p->err.code)
        return NULL;
    t = cpv_checkpoint_find(p->checkpoint, name);
    if (!t)
        cpv_params_fail(p, CPV_E_INPUT, "no tensor '%s'", name);
    else if (!t->rank || t->dim[t->rank - 1] != (uint64_t)cols ||
             t->elements != (uint64_t)rows * (uint64_t)cols)
        cpv_params_fail(p, CPV_E_INPUT, "tensor '%s' is %s, expected [%lld, %lld]", name,
                        cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim),
                        (long long)rows, (long long)cols);
    return p->err.code ? NULL : t;
}

static const struct cpv_ckpt_tensor *need_patches(cpv_params *p, const char *name,
                                                  int64_t out, int64_t channels,
                                                  int64_t patch)
{
    uint64_t dim[] = {(uint64_t)out, (uint64_t)channels, (uint64_t)patch,
                      (uint64_t)patch};
    const struct cpv_ckpt_tensor *t = NULL;
    char whole[NAME_MAX_BYTES + 16];

    if (p->err.code)
        return NULL;
    snprintf(whole, sizeof whole, "%s.weight", name);
    return cpv_checkpoint_need(p->checkpoint, whole, 4, dim, &t, &p->err) ? NULL : t;
}

const struct cpv_ckpt_tensor *cpv_params_matrix(cpv_params *p, int64_t rows, int64_t cols,
                                                const char *fmt, ...)
{
    FORMAT(name, fmt);

    return need(p, name, "", 2, rows, cols);
}

/* ---- sources ---- */

/* rows_f32 counts rows of the first dimension; here they are of all but the last. */
int cpv_params_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct cpv_ckpt_tensor *t = arg;
    struct cpv_ckpt_tensor flat = *t;
    uint64_t cols = t->dim[t->rank - 1];

    if (t->rank == 2)
        return cpv_checkpoint_rows_f32(t, (uint64_t)first, (uint64_t)n, to, err);
    if (!t->contiguous)
        return cpv_fail(err, CPV_E_INPUT, "tensor '%s' is stored with gaps", t->name);
    flat.rank = 2;
    flat.dim[0] = t->elements / cols;
    flat.dim[1] = flat.stride[0] = cols;
    flat.stride[1] = 1;
    return cpv_checkpoint_rows_f32(&flat, (uint64_t)first, (uint64_t)n, to, err);
}

struct parts {
    const struct cpv_ckpt_tensor *t[PARTS_MAX];
    int n;
    int64_t each; /* rows of a part */
};

static int part_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct parts *s = arg;
    int rc = CPV_OK;

    for (int64_t i = first, take; i < first + n && !rc; i += take) {
        int64_t part = i / s->each, at = i % s->each;

        take = s->each - at < first + n - i ? s->each - at : first + n - i;
        rc = cpv_checkpoint_rows_f32(s->t[part], (uint64_t)at, (uint64_t)take, to, err);
        to += take * (int64_t)s->t[part]->dim[1];
    }
    return rc;
}

/* All parts of a bias, as the one row that it is. */
static int part_bias(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct parts *s = arg;
    int rc = CPV_OK;

    (void)first;
    (void)n;
    for (int i = 0; i < s->n && !rc; i++)
        rc = cpv_checkpoint_rows_f32(s->t[i], 0, s->t[i]->dim[0], to + i * s->each, err);
    return rc;
}

/* ---- weights ---- */

static bool room_for_one(cpv_params *p)
{
    size_t more = p->room ? 2 * p->room : 64;
    cpv_weight **grown;

    if (p->count < p->room)
        return true;
    grown = cpv_realloc(p->weight, more * sizeof *grown);
    if (!grown) {
        cpv_fail_memory(&p->err);
        return false;
    }
    p->weight = grown;
    p->room = more;
    return true;
}

const cpv_weight *cpv_params_make(cpv_params *p, const struct cpv_weight_params *params,
                                  const struct cpv_ckpt_tensor *const *from, int n)
{
    cpv_weight *w = NULL;

    if (p->err.code || !room_for_one(p))
        return NULL;
    if (cpv_weight_create(&w, p->device, params, &p->err)) {
        cpv_err_add(&p->err, "'%s'", cpv_checkpoint_path(p->checkpoint));
        return NULL;
    }
    p->weight[p->count++] = w;
    p->bytes += cpv_weight_bytes(w);
    for (int i = 0; i < n; i++) {
        p->numbers += from[i]->elements;
        cpv_checkpoint_release(p->checkpoint, from[i]);
    }
    return w;
}

/* n products [out, in] of one input, with or without biases. */
static const cpv_weight *make_linear(cpv_params *p, int64_t out, int64_t in, bool bias,
                                     const char *const *part, int n, const char *prefix)
{
    struct parts matrix = {.n = n, .each = out}, biases = matrix;
    const struct cpv_ckpt_tensor *from[2 * PARTS_MAX];
    char name[NAME_MAX_BYTES];
    struct cpv_weight_params w = {.name = name,
                                  .out = out * n,
                                  .in = in,
                                  .use = CPV_USE_LINEAR,
                                  .matrix = {.rows = part_rows, .arg = &matrix}};

    for (int i = n; i-- > 0;) {
        snprintf(name, sizeof name, "%s%s", prefix, part[i]);
        from[i] = matrix.t[i] = need(p, name, ".weight", 2, out, in);
        if (bias)
            from[n + i] = biases.t[i] = need(p, name, ".bias", 1, out, 1);
    }
    if (bias) {
        w.bias.rows = part_bias;
        w.bias.arg = &biases;
    }
    return p->err.code ? NULL : cpv_params_make(p, &w, from, bias ? 2 * n : n);
}

const cpv_weight *cpv_params_linear(cpv_params *p, int64_t out, int64_t in,
                                    const char *fmt, ...)
{
    static const char *const whole[] = {""};
    FORMAT(name, fmt);

    return make_linear(p, out, in, true, whole, 1, name);
}

const cpv_weight *cpv_params_linear_nobias(cpv_params *p, int64_t out, int64_t in,
                                           const char *fmt, ...)
{
    static const char *const whole[] = {""};
    FORMAT(name, fmt);

    return make_linear(p, out, in, false, whole, 1, name);
}

const cpv_weight *cpv_params_fused(cpv_params *p, int64_t out, int64_t in,
                                   const char *const *part, int n, const char *fmt, ...)
{
    FORMAT(name, fmt);

    return make_linear(p, out, in, true, part, n, name);
}

int cpv_params_vector(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct cpv_ckpt_tensor *t = arg;

    (void)first;
    (void)n;
    return cpv_checkpoint_rows_f32(t, 0, t->dim[0], to, err);
}

/* Rows of a tensor, whatever the shape of each. */
static int slices(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    return cpv_checkpoint_rows_f32(arg, (uint64_t)first, (uint64_t)n, to, err);
}

const cpv_weight *cpv_params_patches(cpv_params *p, int64_t out, int64_t channels,
                                     int64_t patch, bool bias, const char *fmt, ...)
{
    FORMAT(name, fmt);
    int64_t each = channels * patch * patch;
    const struct cpv_ckpt_tensor *t = need_patches(p, name, out, channels, patch);
    const struct cpv_ckpt_tensor *b = bias ? need(p, name, ".bias", 1, out, 1) : NULL;
    const struct cpv_ckpt_tensor *from[] = {t, b};
    struct cpv_weight_params w = {
        .name = name,
        .out = out,
        .in = each,
        .use = CPV_USE_LINEAR,
        .matrix = {.rows = slices, .arg = (void *)(uintptr_t)t}};

    if (bias) {
        w.bias.rows = cpv_params_vector;
        w.bias.arg = (void *)(uintptr_t)b;
    }
    return p->err.code ? NULL : cpv_params_make(p, &w, from, bias ? 2 : 1);
}

const cpv_weight *cpv_params_norm(cpv_params *p, int64_t n, const char *fmt, ...)
{
    FORMAT(name, fmt);
    const struct cpv_ckpt_tensor *gain = need(p, name, ".weight", 1, n, 1);
    const struct cpv_ckpt_tensor *bias = need(p, name, ".bias", 1, n, 1);
    const struct cpv_ckpt_tensor *from[] = {gain, bias};
    struct cpv_weight_params w = {
        .name = name,
        .out = 1,
        .in = n,
        .use = CPV_USE_NORM,
        .matrix = {.rows = cpv_params_vector, .arg = (void *)(uintptr_t)gain},
        .bias = {.rows = cpv_params_vector, .arg = (void *)(uintptr_t)bias}};

    return p->err.code ? NULL : cpv_params_make(p, &w, from, 2);
}

const cpv_weight *cpv_params_table(cpv_params *p, int64_t rows, int64_t cols,
                                   const char *fmt, ...)
{
    FORMAT(name, fmt);
    const struct cpv_ckpt_tensor *t = need_rows(p, name, rows, cols);
    struct cpv_weight_params w = {
        .name = name,
        .out = rows,
        .in = cols,
        .use = CPV_USE_TABLE,
        .matrix = {.rows = cpv_params_rows, .arg = (void *)(uintptr_t)t}};

    return t ? cpv_params_make(p, &w, &t, 1) : NULL;
}
