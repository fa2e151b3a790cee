/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backward of the attention kernel, at every level that this processor has, against
 * differences of forward in double.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/compute/levels.h"

enum { MOST = 40, WIDE = 72, STRIDE = 80 };

/* Rows of STRIDE floats; NaN between, which must not be read. */
struct rows {
    float at[MOST * STRIDE];
};

struct problem {
    struct rows q, k, v, out, dout, dq, dk, dv;
    float lse[MOST * 3];
    struct cpv_attention a;
    struct cpv_attention_grad g;
};

static void fill(struct rows *r, size_t rows, size_t width, uint32_t seed)
{
    for (size_t i = 0; i < (size_t)MOST * STRIDE; i++)
        r->at[i] = i / STRIDE < rows && i % STRIDE < width ? bell(seed, i) : NAN;
}

static void start(struct problem *p, size_t nq, size_t nkv, size_t dh, bool causal)
{
    fill(&p->q, nq, dh, 1);
    fill(&p->k, nkv, dh, 2);
    fill(&p->v, nkv, dh, 3);
    fill(&p->out, 0, 0, 0);
    fill(&p->dout, nq, dh, 4);
    fill(&p->dq, nq, dh, 5);
    fill(&p->dk, nkv, dh, 6);
    fill(&p->dv, nkv, dh, 7);
    p->a = (struct cpv_attention){.nq = nq,
                                  .nkv = nkv,
                                  .dh = dh,
                                  .causal = causal,
                                  .scale = 1 / sqrtf((float)dh),
                                  .q = p->q.at,
                                  .q_stride = STRIDE,
                                  .k = p->k.at,
                                  .v = p->v.at,
                                  .kv_stride = STRIDE,
                                  .prefix = nkv,
                                  .out = p->out.at,
                                  .out_stride = STRIDE,
                                  .lse = p->lse,
                                  .lse_stride = 3};
    p->g = (struct cpv_attention_grad){.dout = p->dout.at,
                                       .dout_stride = STRIDE,
                                       .dq = p->dq.at,
                                       .dq_stride = STRIDE,
                                       .dk = p->dk.at,
                                       .dv = p->dv.at,
                                       .dkv_stride = STRIDE};
}

/* sum of dout * out in double. */
static double loss(const struct problem *p, const double *q, const double *k,
                   const double *v)
{
    const struct cpv_attention *a = &p->a;
    double total = 0;

    for (size_t i = 0; i < a->nq; i++) {
        double sum = 0, mixed = 0;

        for (size_t j = 0; j < a->nkv; j++) {
            double s = 0, dot = 0;

            if (a->causal && j + a->nq > a->nkv + i)
                continue;
            for (size_t d = 0; d < a->dh; d++) {
                s += q[i * WIDE + d] * k[j * WIDE + d];
                dot += p->dout.at[i * STRIDE + d] * v[j * WIDE + d];
            }
            sum += exp(s * (double)a->scale);
            mixed += exp(s * (double)a->scale) * dot;
        }
        total += sum > 0 ? mixed / sum : 0;
    }
    return total;
}

/* One input's gradient, at a dozen places; it was added to what fill had left. */
static void check(const struct problem *p, int which, const struct rows *grad,
                  size_t rows)
{
    static double x[3][MOST * WIDE];
    const float *from[] = {p->q.at, p->k.at, p->v.at};
    struct rows before;

    fill(&before, rows, p->a.dh, 5 + (uint32_t)which);
    for (int t = 0; t < 3; t++)
        for (size_t i = 0; i < (size_t)MOST * WIDE; i++)
            x[t][i] = from[t][i / WIDE * STRIDE + i % WIDE];
    for (size_t n = 0; n < 12; n++) {
        size_t i = n * 7 % rows, d = n * 5 % p->a.dh, at = i * WIDE + d;
        double was = x[which][at], h = 1e-4, up, down;

        x[which][at] = was + h;
        up = loss(p, x[0], x[1], x[2]);
        x[which][at] = was - h;
        down = loss(p, x[0], x[1], x[2]);
        x[which][at] = was;
        near_to(which == 0   ? "dq"
                : which == 1 ? "dk"
                             : "dv",
                i * 1000 + d, grad->at[i * STRIDE + d],
                before.at[i * STRIDE + d] + (up - down) / (2 * h), 2e-5);
    }
    for (size_t i = 0; i < (size_t)MOST * STRIDE; i++)
        assert_true(isnan(grad->at[i]) == (i / STRIDE >= rows || i % STRIDE >= p->a.dh));
}

static void run(const struct cpv_kernels *k, const struct problem *p, struct fence *f)
{
    size_t n = k->attention_dx_scratch(p->a.nq, p->a.nkv, p->a.dh);
    float *scratch = fence_row(f, n);

    memset(scratch, 0xff, n * sizeof *scratch);
    k->attention_dx(&p->a, &p->g, scratch);
    fence_check(scratch);
}

static void gradients_are_slopes_of_the_loss(void **state)
{
    static const size_t shapes[][3] = {
        {1, 1, 1},    {1, 9, 5},   {4, 4, 64},   {5, 17, 16}, {7, 3, 33},
        {12, 40, 64}, {40, 40, 8}, {33, 34, 72}, {16, 31, 1}, {40, 33, 17}};
    struct fence f = fence_open((size_t)MOST * MOST * 3 + (size_t)200 * 200);
    static struct problem p;

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int causal = 0; causal < 2; causal++) {
            size_t nq = shapes[s][0], nkv = shapes[s][1], dh = shapes[s][2];
            float *scratch = fence_row(&f, k->attention_scratch(nq, nkv, dh));

            start(&p, nq, nkv, dh, causal != 0);
            k->attention(&p.a, scratch);
            run(k, &p, &f);
            check(&p, 0, &p.dq, nq);
            check(&p, 1, &p.dk, nkv);
            check(&p, 2, &p.dv, nkv);
        }
    fence_close(&f);
}

/* Each gradient has the same bits whether or not the others are wanted. */
static void gradients_may_be_left_out(void **state)
{
    struct fence f = fence_open((size_t)MOST * MOST * 3 + (size_t)200 * 200);
    static struct problem all, some;

    (void)state;
    EACH_LEVEL(k)
    for (unsigned wanted = 0; wanted < 8; wanted++) {
        float *scratch = fence_row(&f, k->attention_scratch(23, 31, 40));

        start(&all, 23, 31, 40, true);
        k->attention(&all.a, scratch);
        run(k, &all, &f);
        start(&some, 23, 31, 40, true);
        k->attention(&some.a, scratch);
        some.g.dq = wanted & 1 ? some.dq.at : NULL;
        some.g.dk = wanted & 2 ? some.dk.at : NULL;
        some.g.dv = wanted & 4 ? some.dv.at : NULL;
        run(k, &some, &f);
        if (wanted & 1)
            assert_memory_equal(&some.dq, &all.dq, sizeof all.dq);
        if (wanted & 2)
            assert_memory_equal(&some.dk, &all.dk, sizeof all.dk);
        if (wanted & 4)
            assert_memory_equal(&some.dv, &all.dv, sizeof all.dv);
    }
    fence_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes_of_the_loss),
        cmocka_unit_test(gradients_may_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
