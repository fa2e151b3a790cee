/* SPDX-License-Identifier: Apache-2.0 */
/* Back through attention over packed sequences; slots have no gradient. */
#include <math.h>

#include "common/compute/ref/ref.h"

/* One head of one sequence of n queries and m keys: first rows, first column. */
struct head {
    int64_t query, key, at, d;
    int32_t n, m, sequence;
    double *p, *ds; /* [n, m]: the weights, the gradient of scale q k */
};

static int32_t seen_by(const struct cpv_op_attention *a, const struct head *h, int32_t i)
{
    int32_t seen = a->causal ? h->m - h->n + i + 1 : h->m;

    return seen < 0 ? 0 : seen;
}

static double product(cpv_tensor a, int64_t i, cpv_tensor b, int64_t j,
                      const struct head *h)
{
    double sum = 0;

    for (int64_t k = 0; k < h->d; k++)
        sum += (double)cpv_f32(a, i)[h->at + k] * cpv_f32(b, j)[h->at + k];
    return sum;
}

/* What weight t of query i was multiplied by. */
static double kept(const struct cpv_op_attention *a, const struct head *h, int32_t i,
                   int32_t t)
{
    return a->drop.below ? cpv_draw_at(&a->drop, (uint32_t)h->sequence, (uint32_t)i,
                                       (uint32_t)(h->at / h->d), (uint32_t)t)
                         : 1;
}

/* With dp = dout v, as it was dropped: ds = p (dp - sum p dp), a row at a time; then p as
 * it met v. */
static void weigh(const struct cpv_op_attention *a, cpv_tensor dout, struct head *h)
{
    for (int32_t i = 0; i < h->n; i++) {
        double *p = h->p + (int64_t)i * h->m, *ds = h->ds + (int64_t)i * h->m;
        double most = -INFINITY, sum = 0, mean = 0;
        int32_t seen = seen_by(a, h, i);

        for (int32_t t = 0; t < h->m; t++)
            p[t] = ds[t] = 0;
        for (int32_t t = 0; t < seen; t++) {
            p[t] = a->scale * product(a->q, h->query + i, a->k, h->key + t, h);
            ds[t] = kept(a, h, i, t) * product(dout, h->query + i, a->v, h->key + t, h);
            if (p[t] > most || isnan(p[t]))
                most = p[t];
        }
        for (int32_t t = 0; t < seen; t++)
            sum += p[t] = exp(p[t] - most);
        for (int32_t t = 0; t < seen; t++)
            mean += (p[t] /= sum) * ds[t];
        for (int32_t t = 0; t < seen; t++) {
            ds[t] = p[t] * (ds[t] - mean);
            p[t] *= kept(a, h, i, t);
        }
    }
}

/* to[row] += by * sum over i of w[i * step] * x[first + i] */
static void add_rows(cpv_tensor to, int64_t row, double by, const double *w, int64_t step,
                     cpv_tensor x, int64_t first, int32_t n, const struct head *h)
{
    for (int64_t k = 0; to.data && k < h->d; k++) {
        double sum = 0;

        for (int32_t i = 0; i < n; i++)
            sum += w[i * step] * cpv_f32(x, first + i)[h->at + k];
        cpv_f32(to, row)[h->at + k] += (float)(by * sum);
    }
}

size_t ref_attention_back_scratch(const struct cpv_op *op)
{
    return 2 * (size_t)op->attention.rows.longest * (size_t)op->attention.longest_kv *
           sizeof(double);
}

REF_BACK(attention)
{
    const struct cpv_op_attention *a = &op->attention, *g = &grad->attention;
    struct head h = {.d = a->q.cols / a->heads};

    (void)c;
    (void)err;
    h.p = scratch;
    h.ds = h.p + (int64_t)a->rows.longest * a->longest_kv;
    for (int32_t s = 0; s < a->rows.count; s++) {
        int32_t from = a->source.data ? *cpv_i32(a->source, s) : s;

        h.sequence = s;
        h.query = a->rows.offset[s];
        h.n = a->rows.offset[s + 1] - a->rows.offset[s];
        h.key = a->kv_rows.offset[from];
        h.m = a->kv_rows.offset[from + 1] - a->kv_rows.offset[from];
        for (h.at = 0; h.at < a->q.cols; h.at += h.d) {
            weigh(a, g->out, &h);
            for (int32_t i = 0; i < h.n; i++)
                add_rows(g->q, h.query + i, a->scale, h.ds + (int64_t)i * h.m, 1, a->k,
                         h.key, h.m, &h);
            for (int32_t t = 0; t < h.m; t++) {
                add_rows(g->k, h.key + t, a->scale, h.ds + t, h.m, a->q, h.query, h.n,
                         &h);
                add_rows(g->v, h.key + t, 1, h.p + t, h.m, g->out, h.query, h.n, &h);
            }
        }
    }
    return CPV_OK;
}
