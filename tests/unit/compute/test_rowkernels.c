/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row kernels but attention, at every level that this processor has: against double,
 * at sizes around those of vectors, at the end of memory, with NaN and Inf.
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

enum { MOST = 2100 };

static const size_t sizes[] = {1,  2,   3,   4,   5,   7,   8,    9,    15,
                               16, 17,  31,  32,  33,  47,  48,   63,   64,
                               65, 100, 127, 128, 129, 768, 1023, 1025, 2049};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* --- LayerNorm --- */

enum {
    PLAIN,
    OFF_BY_A_THOUSAND,
    OFF_BY_A_MILLION,
    TINY,
    HUGE_ONES,
    CONSTANT,
    CONSTANT_AND_HUGE,
    KINDS
};

static float of_kind(int kind, size_t i)
{
    float x = bell((uint32_t)kind, i);

    switch (kind) {
    case OFF_BY_A_THOUSAND:
        return 1000 + x;
    case OFF_BY_A_MILLION:
        return 1e6f + x;
    case TINY:
        return 1e-18f * x;
    case HUGE_ONES:
        return 1e16f * x;
    case CONSTANT:
        return 12345.678f;
    case CONSTANT_AND_HUGE:
        return 3.3333e9f;
    default:
        return x;
    }
}

static double layernorm_of(const float *x, size_t n, double eps, double *mean)
{
    double m = 0, v = 0;

    for (size_t i = 0; i < n; i++)
        m += x[i];
    m /= (double)n;
    for (size_t i = 0; i < n; i++)
        v += (x[i] - m) * (x[i] - m);
    *mean = m;
    return 1 / sqrt(v / (double)n + eps);
}

/* As with sums in double: what is left is the rounding of the last steps. */
static void layernorm_is_as_exact_as_double_sums(void **state)
{
    struct fence fx = fence_open(MOST), fo = fence_open(MOST), fg = fence_open(MOST);
    struct fence fb = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t s = 0; s < SIZES; s++) {
            size_t n = sizes[s];
            float *x = fence_row(&fx, n), *out = fence_row(&fo, n), mean, rstd;
            float *gain = fence_row(&fg, n), *bias = fence_row(&fb, n);
            float eps = s % 2 ? 1e-5f : 1e-12f;
            double m, r;

            for (size_t i = 0; i < n; i++) {
                x[i] = of_kind(kind, i);
                gain[i] = noise(90, i);
                bias[i] = noise(91, i);
            }
            r = layernorm_of(x, n, (double)eps, &m);
            k->layernorm(out, x, gain, bias, eps, n, &mean, &rstd);
            fence_check(out);
            near_to("mean", n, mean, m, 1.2e-7 * fabs(m) + 1e-7 / r);
            near_to("rstd", n, rstd, r, 1e-6 * r);
            for (size_t i = 0; i < n; i++) {
                double xhat = (x[i] - m) * r;

                near_to("layernorm", i, out[i], xhat * gain[i] + bias[i],
                        1e-6 * (fabs(xhat * gain[i]) + fabs(gain[i]) + fabs(bias[i])));
            }
            k->layernorm(x, x, gain, bias, eps, n, NULL, NULL);
            assert_memory_equal(x, out, n * sizeof *x);
        }
    fence_close(&fx);
    fence_close(&fo);
    fence_close(&fg);
    fence_close(&fb);
}

static void layernorm_of_nan_and_infinity_is_nan(void **state)
{
    float x[100], gain[100], out[100];

    (void)state;
    EACH_LEVEL(k)
    for (size_t bad = 0; bad < 100; bad += 9)
        for (int inf = 0; inf < 2; inf++) {
            for (size_t i = 0; i < 100; i++) {
                x[i] = noise(1, i);
                gain[i] = 1;
            }
            x[bad] = inf ? INFINITY : NAN;
            k->layernorm(out, x, gain, gain, 1e-5f, 100, NULL, NULL);
            for (size_t i = 0; i < 100; i++)
                assert_true(isnan(out[i]));
        }
}

/* sum of dy * layernorm(x) in double, one element moved by h. */
static double loss(const float *x, const float *dy, const float *gain, size_t n,
                   size_t at, double h)
{
    double m = 0, v = 0, sum = 0;

    for (size_t i = 0; i < n; i++)
        m += x[i] + (i == at ? h : 0);
    m /= (double)n;
    for (size_t i = 0; i < n; i++)
        v += pow(x[i] + (i == at ? h : 0) - m, 2);
    v = 1 / sqrt(v / (double)n + 1e-5);
    for (size_t i = 0; i < n; i++)
        sum += (double)dy[i] * gain[i] * (x[i] + (i == at ? h : 0) - m) * v;
    return sum;
}

static void layernorm_dx_is_the_slope(void **state)
{
    struct fence fd = fence_open(MOST), fy = fence_open(MOST), fx = fence_open(MOST);
    float gain[MOST], bias[MOST] = {0}, out[MOST];

    (void)state;
    for (size_t i = 0; i < MOST; i++)
        gain[i] = 1 + 0.5f * noise(3, i);
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES && sizes[s] <= 129; s++) {
        size_t n = sizes[s];
        float *dx = fence_row(&fd, n), *dy = fence_row(&fy, n), *x = fence_row(&fx, n);
        float mean, rstd;

        for (size_t i = 0; i < n; i++) {
            x[i] = 3 + bell(4, i);
            dy[i] = bell(5, i);
        }
        k->layernorm(out, x, gain, bias, 1e-5f, n, &mean, &rstd);
        k->layernorm_dx(dx, dy, x, gain, mean, rstd, n);
        fence_check(dx);
        for (size_t i = 0; i < n; i++) {
            double h = 1e-4 / rstd;
            double slope =
                (loss(x, dy, gain, n, i, h) - loss(x, dy, gain, n, i, -h)) / (2 * h);

            near_to("layernorm_dx", i, dx[i], slope, 1e-5 * rstd + 3e-6);
        }
        k->layernorm_dx(dy, dy, x, gain, mean, rstd, n);
        assert_memory_equal(dy, dx, n * sizeof *dx);
    }
    fence_close(&fd);
    fence_close(&fy);
    fence_close(&fx);
}

static void layernorm_dgain_sums_over_rows(void **state)
{
    enum { ROWS = CPV_ROW_BLOCK, WIDTH = 77, STRIDE = 80 };
    static float dy[ROWS * STRIDE], x[ROWS * STRIDE];
    float mean[ROWS], rstd[ROWS], dgain[WIDTH + 1], dbias[WIDTH + 1];

    (void)state;
    for (size_t i = 0; i < (size_t)ROWS * STRIDE; i++) {
        dy[i] = i % STRIDE < WIDTH ? noise(6, i) : NAN;
        x[i] = i % STRIDE < WIDTH ? noise(7, i) : NAN;
    }
    for (size_t r = 0; r < ROWS; r++) {
        mean[r] = noise(8, r);
        rstd[r] = 1.5f + noise(9, r);
    }
    EACH_LEVEL(k)
    {
        for (size_t i = 0; i <= WIDTH; i++)
            dgain[i] = dbias[i] = i < WIDTH ? 0.25f : 77;
        k->layernorm_dgain(dgain, dbias, dy, x, mean, rstd, 10, STRIDE, WIDTH);
        k->layernorm_dgain(dgain, dbias, dy + 10 * STRIDE, x + 10 * STRIDE, mean + 10,
                           rstd + 10, ROWS - 10, STRIDE, WIDTH);
        assert_true(dgain[WIDTH] == 77 && dbias[WIDTH] == 77);
        for (size_t i = 0; i < WIDTH; i++) {
            double g = 0.25, b = 0.25;

            for (size_t r = 0; r < ROWS; r++) {
                double d = dy[r * STRIDE + i];

                g += d * (x[r * STRIDE + i] - (double)mean[r]) * rstd[r];
                b += d;
            }
            near_to("dgain", i, dgain[i], g, 3e-5);
            near_to("dbias", i, dbias[i], b, 1e-5);
        }
    }
}

/* --- softmax --- */

static void softmax_is_that_of_double(void **state)
{
    struct fence fx = fence_open(MOST), fo = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES; s++)
        for (int kind = 0; kind < 4; kind++) {
            size_t n = sizes[s], seen = kind == 3 ? (n + 1) / 2 : n;
            float *x = fence_row(&fx, n), *out = fence_row(&fo, n);
            double sum = 0, total = 0;

            for (size_t i = 0; i < n; i++) {
                x[i] = kind == 0 ? bell(11, i) : 30000 + 40 * noise(12, i);
                if (kind == 2 && i % 3 == 1)
                    x[i] = -INFINITY;
                if (i >= seen)
                    x[i] = NAN;
            }
            for (size_t i = 0; i < seen; i++)
                sum += exp((double)x[i] - x[0]);
            k->softmax(out, x, seen, n);
            fence_check(out);
            for (size_t i = 0; i < n; i++) {
                double p = i < seen ? exp((double)x[i] - x[0]) / sum : 0;

                near_to("softmax", i, out[i], p, 1e-6 * p + 1e-30);
                total += out[i];
            }
            near_to("sum of softmax", n, total, 1, 1e-6);
            k->log_softmax(out, x, seen);
            for (size_t i = 0; i < seen; i++)
                if (isinf(x[i]))
                    assert_true(out[i] == -INFINITY);
                else
                    near_to("log_softmax", i, out[i], (double)x[i] - x[0] - log(sum),
                            1e-6 + 3e-7 * fabs((double)x[i] - x[0] - log(sum)));
            k->softmax(out, x, seen, n);
            k->softmax(x, x, seen, n);
            assert_memory_equal(x, out, n * sizeof *x);
        }
    fence_close(&fx);
    fence_close(&fo);
}

static void softmax_of_nan_and_infinity_is_as_the_formula(void **state)
{
    float x[40], out[40];

    (void)state;
    EACH_LEVEL(k)
    {
        for (int kind = 0; kind < 3; kind++) {
            for (size_t i = 0; i < 40; i++)
                x[i] = kind == 2 ? -INFINITY : noise(13, i);
            if (kind < 2)
                x[17] = kind ? INFINITY : NAN;
            k->softmax(out, x, 40, 40);
            assert_true(isnan(out[17]) && (isnan(out[3]) || (kind == 1 && out[3] == 0)));
            k->log_softmax(out, x, 40);
            assert_true(isnan(out[17]));
        }
        memset(out, 1, sizeof out);
        k->softmax(out, x, 0, 40);
        for (size_t i = 0; i < 40; i++)
            assert_true(out[i] == 0);
    }
}

static void softmax_dx_is_the_formula(void **state)
{
    struct fence fy = fence_open(MOST), fd = fence_open(MOST), fo = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES; s++) {
        size_t n = sizes[s];
        float *y = fence_row(&fy, n), *dy = fence_row(&fd, n), *dx = fence_row(&fo, n);
        double inner = 0;

        for (size_t i = 0; i < n; i++) {
            y[i] = bell(14, i);
            dy[i] = bell(15, i);
        }
        k->softmax(y, y, n, n);
        for (size_t i = 0; i < n; i++)
            inner += (double)y[i] * dy[i];
        k->softmax_dx(dx, y, dy, n);
        fence_check(dx);
        for (size_t i = 0; i < n; i++)
            near_to("softmax_dx", i, dx[i], y[i] * (dy[i] - inner), 2e-6 * y[i]);
        k->softmax_dx(dy, y, dy, n);
        assert_memory_equal(dy, dx, n * sizeof *dx);
    }
    fence_close(&fy);
    fence_close(&fd);
    fence_close(&fo);
}

/* --- sums of products, norms --- */

static void dot_and_l2norm_are_those_of_double(void **state)
{
    struct fence fa = fence_open(MOST), fb = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES; s++) {
        size_t n = sizes[s];
        float *a = fence_row(&fa, n), *b = fence_row(&fb, n), out[MOST], norm;
        double want = 0, size = 0, square = 0;

        for (size_t i = 0; i < n; i++) {
            a[i] = bell(16, i);
            b[i] = bell(17, i);
            want += (double)a[i] * b[i];
            size += fabs((double)a[i] * b[i]);
            square += (double)a[i] * a[i];
        }
        near_to("dot", n, k->dot(a, b, n), want, 1e-6 * size);
        norm = k->l2norm(out, a, 1e-12f, n);
        near_to("norm", n, norm, sqrt(square), 1e-6 * sqrt(square));
        for (size_t i = 0; i < n; i++)
            near_to("l2norm", i, out[i], a[i] / sqrt(square), 1e-6);
        memcpy(b, a, n * sizeof *a);
        (void)k->l2norm(b, b, 1e-12f, n);
        assert_memory_equal(b, out, n * sizeof *b);
        memset(a, 0, n * sizeof *a);
        assert_true(k->l2norm(out, a, 1e-12f, n) == 0 && out[n - 1] == 0);
        a[n / 2] = NAN;
        assert_true(isnan(k->l2norm(out, a, 1e-12f, n)) && isnan(out[0]));
    }
    EACH_LEVEL(k)
    assert_true(k->dot(NULL, NULL, 0) == 0);
    fence_close(&fa);
    fence_close(&fb);
}

/* --- elementwise, gather --- */

static void arithmetic_is_one_operation(void **state)
{
    struct fence fa = fence_open(MOST), fb = fence_open(MOST), fo = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES; s++) {
        size_t n = sizes[s];
        float *a = fence_row(&fa, n), *b = fence_row(&fb, n), *out = fence_row(&fo, n);

        for (size_t i = 0; i < n; i++) {
            a[i] = bell(18, i);
            b[i] = i % 7 == 3 ? NAN : bell(19, i);
        }
        k->add(out, a, b, n);
        for (size_t i = 0; i < n; i++)
            assert_true(isnan(b[i]) ? isnan(out[i]) : out[i] == a[i] + b[i]);
        k->mul(out, a, b, n);
        for (size_t i = 0; i < n; i++)
            assert_true(isnan(b[i]) ? isnan(out[i]) : out[i] == a[i] * b[i]);
        k->scale(out, b, 0.3f, n);
        for (size_t i = 0; i < n; i++)
            assert_true(isnan(b[i]) ? isnan(out[i]) : out[i] == 0.3f * b[i]);
        memcpy(out, a, n * sizeof *a);
        k->axpy(out, b, 0.3f, n);
        fence_check(out);
        for (size_t i = 0; i < n; i++)
            if (isnan(b[i]))
                assert_true(isnan(out[i]));
            else
                near_to("axpy", i, out[i], a[i] + (double)0.3f * b[i],
                        1e-7 * (fabs(a[i]) + fabs(b[i])));
    }
    fence_close(&fa);
    fence_close(&fb);
    fence_close(&fo);
}

static void embeddings_are_scaled_and_added(void **state)
{
    struct fence fr = fence_open(MOST), fp = fence_open(MOST), fo = fence_open(MOST);
    struct fence fi = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES; s++)
        for (int bare = 0; bare < 2; bare++) {
            size_t n = sizes[s];
            float *row = fence_row(&fr, n), *pos = fence_row(&fp, n);
            float *out = fence_row(&fo, n);
            int8_t *small = (int8_t *)fi.base + fi.size - n;

            for (size_t i = 0; i < n; i++) {
                row[i] = bell(20, i);
                pos[i] = bell(21, i);
                small[i] = (int8_t)(i % 256 - 128);
            }
            k->embed_f32(out, row, 22.627417f, bare ? NULL : pos, n);
            for (size_t i = 0; i < n; i++)
                near_to("embed_f32", i, out[i],
                        row[i] * (double)22.627417f + (bare ? 0 : pos[i]),
                        1.2e-7 * (23 * fabs(row[i]) + fabs(pos[i])));
            k->embed_i8(out, small, 0.03f, bare ? NULL : pos, n);
            fence_check(out);
            for (size_t i = 0; i < n; i++)
                near_to("embed_i8", i, out[i],
                        small[i] * (double)0.03f + (bare ? 0 : pos[i]), 6e-7);
        }
    fence_close(&fr);
    fence_close(&fp);
    fence_close(&fo);
    fence_close(&fi);
}

static void patches_are_laid_out_as_a_convolutions_weight(void **state)
{
    static const size_t cases[][4] = {{3, 4, 6, 2},    {3, 5, 7, 2},    {1, 1, 1, 1},
                                      {3, 32, 48, 16}, {3, 29, 30, 14}, {2, 33, 65, 32}};
    static float pixels[3 * 70 * 70];
    struct fence fo = fence_open((size_t)20 * 2500);

    (void)state;
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++)
        pixels[i] = (float)i;
    EACH_LEVEL(k)
    for (size_t t = 0; t < sizeof cases / sizeof *cases; t++) {
        size_t c = cases[t][0], h = cases[t][1], w = cases[t][2], p = cases[t][3];
        size_t across = w / p, count = h / p * across, stride = c * p * p + 3;
        float *out = fence_row(&fo, count * stride - 3);

        for (size_t i = 0; i < count * stride - 3; i++)
            out[i] = 77;
        k->patches(out, stride, pixels, c, h, w, p);
        fence_check(out);
        for (size_t i = 0; i < count * stride - 3; i++) {
            size_t patch = i / stride, j = i % stride, x = j % p, y = j / p % p;
            size_t at =
                (j / (p * p) * h + patch / across * p + y) * w + patch % across * p + x;

            assert_true(out[i] == (j < c * p * p ? pixels[at] : 77));
        }
    }
    fence_close(&fo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layernorm_is_as_exact_as_double_sums),
        cmocka_unit_test(layernorm_of_nan_and_infinity_is_nan),
        cmocka_unit_test(layernorm_dx_is_the_slope),
        cmocka_unit_test(layernorm_dgain_sums_over_rows),
        cmocka_unit_test(softmax_is_that_of_double),
        cmocka_unit_test(softmax_of_nan_and_infinity_is_as_the_formula),
        cmocka_unit_test(softmax_dx_is_the_formula),
        cmocka_unit_test(dot_and_l2norm_are_those_of_double),
        cmocka_unit_test(arithmetic_is_one_operation),
        cmocka_unit_test(embeddings_are_scaled_and_added),
        cmocka_unit_test(patches_are_laid_out_as_a_convolutions_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
