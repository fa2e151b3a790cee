/* SPDX-License-Identifier: Apache-2.0 */
/* The front door to weights: checks, masters and gradients; packing is the backend's. */
#include "common/compute/weight.h"

#include <string.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/compute/backend.h"

int cpv_source_rows(const struct cpv_source *s, int64_t cols, int64_t first, int64_t n,
                    float *to, struct cpv_err *err)
{
    if (!s->plain)
        return s->rows(s->arg, first, n, to, err);
    memcpy(to, s->plain + first * cols, (size_t)(n * cols) * sizeof *to);
    return CPV_OK;
}

static bool is_there(const struct cpv_source *s)
{
    return s->plain || s->rows;
}

static int check(const struct cpv_weight_params *p, struct cpv_err *err)
{
    const char *name = p->name ? p->name : "?";
    size_t bytes;

    if (p->out < 1 || p->in < 1 || !cpv_size_mul((size_t)p->out, (size_t)p->in, &bytes) ||
        !cpv_size_mul(bytes, sizeof(float), &bytes))
        return cpv_fail(err, CPV_E_INPUT, "weight '%s': a matrix of [%lld, %lld]", name,
                        (long long)p->out, (long long)p->in);
    if (!p->use || !is_there(&p->matrix))
        return cpv_fail(err, CPV_E_BUG, "weight '%s': no use or no source", name);
    if ((p->use & CPV_USE_NORM) && (p->use != CPV_USE_NORM || p->out != 1))
        return cpv_fail(err, CPV_E_BUG, "weight '%s': a norm is [1, n] and nothing else",
                        name);
    if (p->lora.rank < 0 || (p->lora.rank && !(p->use & CPV_USE_LINEAR)))
        return cpv_fail(err, CPV_E_INPUT, "weight '%s': LoRA of rank %d", name,
                        p->lora.rank);
    return CPV_OK;
}

/* ---- masters and gradients ---- */

struct trained {
    cpv_param which;
    int64_t rows, cols;
    struct cpv_source from;
};

static int fill(cpv_device *d, const struct trained *t, float *to, struct cpv_err *err)
{
    const int64_t step = 64;
    float *block = cpv_alloc((size_t)(step * t->cols) * sizeof *block);
    int rc = block ? CPV_OK : cpv_fail_memory(err);

    for (int64_t i = 0; i < t->rows && !rc; i += step) {
        int64_t n = t->rows - i < step ? t->rows - i : step;

        rc = cpv_source_rows(&t->from, t->cols, i, n, block, err);
        if (!rc)
            rc = d->backend->write(d, to + i * t->cols, block,
                                   (size_t)(n * t->cols) * sizeof *block, err);
    }
    cpv_free(block);
    return rc;
}

static int make_trained(cpv_device *d, cpv_weight *w, const struct trained *t,
                        struct cpv_err *err)
{
    cpv_tensor shape = {.rows = t->rows, .cols = t->cols, .stride = t->cols};
    size_t bytes = (size_t)(t->rows * t->cols) * sizeof(float);
    cpv_tensor *param = &w->param[t->which], *grad = &w->grad[t->which];
    void *a = NULL, *b = NULL;
    int rc = d->backend->alloc(d, bytes, &a, err);

    if (!rc)
        rc = d->backend->alloc(d, bytes, &b, err);
    *param = *grad = shape;
    param->data = a;
    grad->data = b;
    if (!rc)
        rc = d->backend->write(d, b, NULL, bytes, err);
    if (!rc && !d->backend->blind)
        rc = fill(d, t, a, err);
    return rc;
}

static int make_all_trained(cpv_device *d, cpv_weight *w,
                            const struct cpv_weight_params *p, struct cpv_err *err)
{
    int64_t bias = p->use & CPV_USE_NORM ? p->in : p->out;
    struct cpv_source a = {.plain = p->lora.a}, b = {.plain = p->lora.b};
    struct trained t[CPV_PARAM_COUNT];
    int n = 0, rc = CPV_OK;

    if (p->train & CPV_TRAIN_MATRIX)
        t[n++] = (struct trained){CPV_PARAM_MATRIX, p->out, p->in, p->matrix};
    if ((p->train & CPV_TRAIN_BIAS) && is_there(&p->bias))
        t[n++] = (struct trained){CPV_PARAM_BIAS, 1, bias, p->bias};
    if ((p->train & CPV_TRAIN_LORA) && p->lora.rank) {
        t[n++] = (struct trained){CPV_PARAM_LORA_A, p->lora.rank, p->in, a};
        t[n++] = (struct trained){CPV_PARAM_LORA_B, p->out, p->lora.rank, b};
    }
    for (int i = 0; i < n && !rc; i++)
        rc = make_trained(d, w, &t[i], err);
    return rc;
}

/* ---- life ---- */

int cpv_weight_create(cpv_weight **out, cpv_device *device,
                      const struct cpv_weight_params *params, struct cpv_err *err)
{
    cpv_weight *w;
    int rc = check(params, err);

    *out = NULL;
    if (rc)
        return rc;
    w = cpv_calloc(1, sizeof *w);
    if (!w)
        return cpv_fail_memory(err);
    w->device = device;
    w->out = params->out;
    w->in = params->in;
    w->use = params->use;
    w->train = params->train;
    w->has_bias = is_there(&params->bias);
    w->borrowed = params->borrow && params->matrix.plain && w->use == CPV_USE_TABLE &&
                  !(w->train & CPV_TRAIN_MATRIX);
    w->lora_rank = params->lora.rank;
    w->lora_scale = params->lora.scale;
    w->name = cpv_strdup(params->name ? params->name : "?");
    rc = w->name ? make_all_trained(device, w, params, err) : cpv_fail_memory(err);
    w->bytes = device->like->weight_bytes(device, w);
    if (!rc)
        rc = device->backend->weight_pack(device, w, params, err);
    if (rc)
        cpv_weight_close(&w);
    *out = w;
    return rc;
}

void cpv_weight_close(cpv_weight **w)
{
    cpv_weight *o = *w;

    if (!o)
        return;
    o->device->backend->weight_free(o->device, o);
    for (int i = 0; i < CPV_PARAM_COUNT; i++) {
        if (o->param[i].data)
            o->device->backend->free(o->device, o->param[i].data);
        if (o->grad[i].data)
            o->device->backend->free(o->device, o->grad[i].data);
    }
    cpv_free(o->name);
    cpv_free(o);
    *w = NULL;
}

const char *cpv_weight_name(const cpv_weight *w)
{
    return w->name;
}

int64_t cpv_weight_out(const cpv_weight *w)
{
    return w->out;
}

int64_t cpv_weight_in(const cpv_weight *w)
{
    return w->in;
}

size_t cpv_weight_bytes(const cpv_weight *w)
{
    return w->bytes;
}

cpv_tensor cpv_weight_param(const cpv_weight *w, cpv_param which)
{
    return w->param[which];
}

cpv_tensor cpv_weight_grad(const cpv_weight *w, cpv_param which)
{
    return w->grad[which];
}

void cpv_weight_refresh(cpv_compute *c, cpv_weight *w)
{
    if (!c->err.code && !c->device->backend->blind)
        c->device->backend->weight_refresh(c, w, &c->err);
}

bool cpv_weight_fits(cpv_compute *c, const struct cpv_op *op, const cpv_weight *w,
                     unsigned use, int64_t out, int64_t in)
{
    if (c->err.code)
        return false;
    if (!w)
        cpv_compute_refuse(c, op, "the weight is missing");
    else if (w->device != c->device)
        cpv_compute_refuse(c, op, "weight '%s' is on another device", w->name);
    else if (!(w->use & use))
        cpv_compute_refuse(c, op, "weight '%s' was not made for this use", w->name);
    else if ((out && w->out != out) || (in && w->in != in))
        cpv_compute_refuse(c, op, "shapes do not fit");
    return !c->err.code;
}
