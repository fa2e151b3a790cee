/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of the reference: plain arrays. */
#include <math.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/compute/ref/ref.h"

/* Tables that are nothing but tables stay in f32: they are small, or read a row at a
 * time. */
static bool is_quantised(const cpv_device *d, const cpv_weight *w)
{
    return d->weights == CPV_I8 && (w->use & CPV_USE_LINEAR) &&
           !(w->train & CPV_TRAIN_MATRIX);
}

float ref_quantise(const float *x, int64_t n, int8_t *q)
{
    float most = 0, scale;
    bool finite = true;

    for (int64_t i = 0; i < n; i++) {
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        finite = finite && isfinite(x[i]);
    }
    scale = most > 0 ? most / 127 : 1;
    for (int64_t i = 0; i < n; i++)
        q[i] = (int8_t)(finite ? lrintf(x[i] / scale) : 0);
    return finite ? scale : NAN;
}

size_t ref_weight_bytes(const cpv_device *d, const cpv_weight *w)
{
    size_t matrix = (size_t)w->out * (size_t)w->in;
    size_t bias = w->has_bias ? (size_t)(w->use & CPV_USE_NORM ? w->in : w->out) : 0;
    size_t lora = (size_t)w->lora_rank * (size_t)(w->in + w->out);

    if (is_quantised(d, w))
        return matrix + ((size_t)w->out + bias + lora) * sizeof(float);
    return (matrix + bias + lora) * sizeof(float);
}

static int fill_matrix(struct ref_weight *r, const cpv_weight *w,
                       const struct cpv_source *from, struct cpv_err *err)
{
    float *row = r->quantised ? cpv_alloc((size_t)w->in * sizeof *row) : NULL;
    int rc = r->quantised && !row ? cpv_fail_memory(err) : CPV_OK;

    for (int64_t i = 0; i < w->out && !rc; i++) {
        rc = cpv_source_rows(from, w->in, i, 1, row ? row : r->matrix + i * w->in, err);
        if (!rc && row)
            r->scale[i] = ref_quantise(row, w->in, r->quantised + i * w->in);
    }
    cpv_free(row);
    return rc;
}

int ref_weight_pack(cpv_device *d, cpv_weight *w, const struct cpv_weight_params *params,
                    struct cpv_err *err)
{
    size_t matrix = (size_t)w->out * (size_t)w->in, rank = (size_t)w->lora_rank;
    size_t bias = (size_t)(w->use & CPV_USE_NORM ? w->in : w->out);
    struct ref_weight *r = cpv_calloc(1, sizeof *r);
    int rc;

    if (!r)
        return cpv_fail_memory(err);
    w->impl = r;
    if (is_quantised(d, w)) {
        r->quantised = cpv_alloc(matrix);
        r->scale = cpv_alloc((size_t)w->out * sizeof *r->scale);
    } else {
        r->matrix = cpv_alloc(matrix * sizeof *r->matrix);
    }
    r->bias = w->has_bias ? cpv_alloc(bias * sizeof *r->bias) : NULL;
    if (rank) {
        r->a = cpv_alloc(rank * (size_t)w->in * sizeof *r->a);
        r->b = cpv_alloc(rank * (size_t)w->out * sizeof *r->b);
    }
    if ((!r->matrix && !(r->quantised && r->scale)) || (w->has_bias && !r->bias) ||
        (rank && (!r->a || !r->b)))
        return cpv_fail_memory(err);
    rc = fill_matrix(r, w, &params->matrix, err);
    if (!rc && r->bias)
        rc = cpv_source_rows(&params->bias, (int64_t)bias, 0, 1, r->bias, err);
    if (!rc && rank) {
        memcpy(r->a, params->lora.a, rank * (size_t)w->in * sizeof *r->a);
        memcpy(r->b, params->lora.b, rank * (size_t)w->out * sizeof *r->b);
    }
    return rc;
}

void ref_weight_free(cpv_device *d, cpv_weight *w)
{
    struct ref_weight *r = w->impl;

    (void)d;
    if (!r)
        return;
    cpv_free(r->matrix);
    cpv_free(r->quantised);
    cpv_free(r->scale);
    cpv_free(r->bias);
    cpv_free(r->a);
    cpv_free(r->b);
    cpv_free(r);
}

int ref_weight_refresh(cpv_compute *c, cpv_weight *w, struct cpv_err *err)
{
    struct ref_weight *r = w->impl;
    float *to[CPV_PARAM_COUNT] = {r->matrix, r->bias, r->a, r->b};

    (void)c;
    (void)err;
    for (int i = 0; i < CPV_PARAM_COUNT; i++)
        if (w->param[i].data)
            memcpy(to[i], w->param[i].data,
                   (size_t)(w->param[i].rows * w->param[i].cols) * sizeof(float));
    return CPV_OK;
}

float ref_table_at(const cpv_weight *w, int64_t row, int64_t col)
{
    const struct ref_weight *r = w->impl;
    int64_t at = row * w->in + col;

    return r->matrix ? r->matrix[at] : (float)r->quantised[at] * r->scale[row];
}
