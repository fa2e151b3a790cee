/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of the cpu backend: panels for products, plain rows for tables and norms. */
#include <string.h>

#include "common/base/sys.h"
#include "common/compute/cpu/cpu.h"

static bool is_s8(const cpv_device *d, const cpv_weight *w)
{
    return d->weights == CPV_I8 && (w->use & CPV_USE_LINEAR) &&
           !(w->train & CPV_TRAIN_MATRIX);
}

/* Of the matrix alone. */
static size_t matrix_bytes(const cpv_device *d, const cpv_weight *w)
{
    const struct cpv_kernels *k = cpu_kernels(d);
    size_t out = (size_t)w->out, in = (size_t)w->in;

    if (w->borrowed)
        return 0;
    if (!(w->use & CPV_USE_LINEAR))
        return out * in * sizeof(float);
    return is_s8(d, w) ? cpv_gemm_s8_of(k)->packed_bytes(out, in)
                       : k->gemm.packed_bytes(out, in);
}

static size_t lora_bytes(const cpv_device *d, const cpv_weight *w)
{
    const struct cpv_gemm_kernels *g = &cpu_kernels(d)->gemm;
    size_t r = (size_t)w->lora_rank, out = (size_t)w->out, in = (size_t)w->in;

    return r ? g->packed_bytes(r, in) + g->packed_bytes(out, r) +
                   r * (in + out) * sizeof(float)
             : 0;
}

static size_t bias_count(const cpv_weight *w)
{
    return w->use & CPV_USE_NORM ? (size_t)w->in : w->has_bias ? (size_t)w->out : 0;
}

size_t cpu_weight_bytes(const cpv_device *d, const cpv_weight *w)
{
    return matrix_bytes(d, w) + lora_bytes(d, w) + bias_count(w) * sizeof(float);
}

/* ---- packing ---- */

static int allocate(cpv_device *d, const cpv_weight *w, struct cpu_weight *m,
                    struct cpv_err *err)
{
    const struct cpv_gemm_kernels *g = &cpu_kernels(d)->gemm;
    size_t r = (size_t)w->lora_rank, out = (size_t)w->out, in = (size_t)w->in;
    void **slot[6] = {w->use & CPV_USE_LINEAR ? &m->packed : (void **)&m->plain.matrix,
                      (void **)&m->plain.bias,
                      &m->packed_a,
                      &m->packed_b,
                      (void **)&m->plain.a,
                      (void **)&m->plain.b};
    size_t size[6] = {matrix_bytes(d, w), bias_count(w) * sizeof(float)};
    int rc = CPV_OK;

    if (r) {
        size[2] = g->packed_bytes(r, in);
        size[3] = g->packed_bytes(out, r);
        size[4] = r * in * sizeof(float);
        size[5] = r * out * sizeof(float);
    }
    for (int i = 0; i < 6 && !rc; i++)
        if (size[i])
            rc = cpv_host_alloc(d, size[i], slot[i], err);
    return rc;
}

static int pack_matrix(cpv_device *d, const cpv_weight *w, struct cpu_weight *m,
                       const struct cpv_source *from, struct cpv_err *err)
{
    const struct cpv_kernels *k = cpu_kernels(d);
    cpv_gemm_pack_fn *pack = m->s8 ? cpv_gemm_s8_of(k)->pack : k->gemm.pack;
    const int64_t step = 64;
    float *block;
    int rc = CPV_OK;

    if (!m->packed)
        return cpv_source_rows(from, w->in, 0, w->out, m->plain.matrix, err);
    block = cpv_alloc((size_t)(step * w->in) * sizeof *block);
    if (!block)
        return cpv_fail_memory(err);
    for (int64_t i = 0; i < w->out && !rc; i += step) {
        int64_t n = w->out - i < step ? w->out - i : step;

        rc = cpv_source_rows(from, w->in, i, n, block, err);
        if (!rc)
            pack(m->packed, (size_t)w->out, (size_t)w->in, (size_t)i, (size_t)n, block,
                 (size_t)w->in, 1);
    }
    cpv_free(block);
    return rc;
}

/* From plain.a and plain.b. The scale goes into B, there too: a product is all there is.
 */
static void pack_lora(const struct cpv_kernels *k, const cpv_weight *w,
                      struct cpu_weight *m)
{
    size_t r = (size_t)w->lora_rank, out = (size_t)w->out, in = (size_t)w->in;

    if (!r)
        return;
    k->gemm.pack(m->packed_a, r, in, 0, r, m->plain.a, in, 1);
    k->scale(m->plain.b, m->plain.b, w->lora_scale, r * out);
    k->gemm.pack(m->packed_b, out, r, 0, out, m->plain.b, r, 1);
}

int cpu_weight_pack(cpv_device *d, cpv_weight *w, const struct cpv_weight_params *params,
                    struct cpv_err *err)
{
    size_t r = (size_t)w->lora_rank, n = bias_count(w);
    struct cpu_weight *m = cpv_calloc(1, sizeof *m);
    int rc;

    if (!m)
        return cpv_fail_memory(err);
    w->impl = m;
    m->s8 = is_s8(d, w);
    rc = allocate(d, w, m, err);
    if (!rc && w->borrowed) /* never written: cast away for the slot */
        m->plain.matrix = (float *)(uintptr_t)params->matrix.plain;
    else if (!rc)
        rc = pack_matrix(d, w, m, &params->matrix, err);
    if (!rc && w->has_bias)
        rc = cpv_source_rows(&params->bias, (int64_t)n, 0, 1, m->plain.bias, err);
    else if (!rc && n)
        memset(m->plain.bias, 0, n * sizeof(float));
    if (rc || !r)
        return rc;
    memcpy(m->plain.a, params->lora.a, r * (size_t)w->in * sizeof(float));
    memcpy(m->plain.b, params->lora.b, r * (size_t)w->out * sizeof(float));
    pack_lora(cpu_kernels(d), w, m);
    return CPV_OK;
}

void cpu_weight_free(cpv_device *d, cpv_weight *w)
{
    struct cpu_weight *m = w->impl;

    if (!m)
        return;
    if (!w->borrowed)
        cpv_host_free(d, m->plain.matrix);
    cpv_host_free(d, m->plain.bias);
    cpv_host_free(d, m->plain.a);
    cpv_host_free(d, m->plain.b);
    cpv_host_free(d, m->packed);
    cpv_host_free(d, m->packed_a);
    cpv_host_free(d, m->packed_b);
    cpv_free(m);
}

int cpu_weight_refresh(cpv_compute *c, cpv_weight *w, struct cpv_err *err)
{
    struct cpu_weight *m = w->impl;
    const cpv_tensor *p = w->param;
    struct cpv_source matrix = {.plain = p[CPV_PARAM_MATRIX].data};
    int rc = CPV_OK;

    if (matrix.plain)
        rc = pack_matrix(c->device, w, m, &matrix, err);
    if (p[CPV_PARAM_BIAS].data)
        memcpy(m->plain.bias, p[CPV_PARAM_BIAS].data, bias_count(w) * sizeof(float));
    if (!p[CPV_PARAM_LORA_A].data)
        return rc;
    memcpy(m->plain.a, p[CPV_PARAM_LORA_A].data,
           (size_t)(w->lora_rank * w->in) * sizeof(float));
    memcpy(m->plain.b, p[CPV_PARAM_LORA_B].data,
           (size_t)(w->lora_rank * w->out) * sizeof(float));
    pack_lora(cpu_k(c), w, m);
    return rc;
}

const float *cpu_weight_row(const struct cpv_kernels *k, const cpv_weight *w, int64_t row,
                            float *room)
{
    const struct cpu_weight *m = cpu_of(w);
    cpv_gemm_row_fn *read = m->s8 ? cpv_gemm_s8_of(k)->row : k->gemm.row;

    if (!m->packed)
        return m->plain.matrix + row * w->in;
    read(m->packed, (size_t)w->out, (size_t)w->in, (size_t)row, room);
    return room;
}
