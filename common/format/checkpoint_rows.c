/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpv_checkpoint_rows_f32 of checkpoint.h. Loads go through memcpy: what is mapped may
 * be aligned to nothing. f32, f16 and bf16 are widened exactly; where the processor has
 * F16C it does that of f16, to the same bits.
 */
#include "common/format/checkpoint.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/size.h"
#include "common/format/half.h"

/* n elements from `from`, one after the other. */
typedef void (*convert_fn)(float *to, const uint8_t *from, size_t n);

static void from_f32(float *to, const uint8_t *from, size_t n)
{
    memcpy(to, from, n * sizeof *to);
}

static void from_bf16(float *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        uint32_t bits;

        memcpy(&h, from + 2 * i, sizeof h);
        bits = (uint32_t)h << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

static void from_f64(float *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double v;

        memcpy(&v, from + 8 * i, sizeof v);
        to[i] = (float)v;
    }
}

static void from_f16(float *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, from + 2 * i, sizeof h);
        to[i] = cpv_half_value(h);
    }
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

__attribute__((target("avx,f16c"))) static void
f16c_from_f16(float *to, const uint8_t *from, size_t n)
{
    size_t i = 0;

    for (; n - i >= 8; i += 8) {
        __m128i h = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * i));

        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(h));
    }
    from_f16(to + i, from + 2 * i, n - i);
}

/* AVX stands for "the system keeps the wide registers" too. */
static convert_fn half_converter(void)
{
    unsigned a, b, c, d;

    if (__builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C)
        return f16c_from_f16;
    return from_f16;
}
#else
static convert_fn half_converter(void)
{
    return from_f16;
}
#endif

static convert_fn converter(cpv_ckpt_dtype type)
{
    switch (type) {
    case CPV_CKPT_F32:
        return from_f32;
    case CPV_CKPT_F16:
        return half_converter();
    case CPV_CKPT_BF16:
        return from_bf16;
    case CPV_CKPT_F64:
        return from_f64;
    default:
        return NULL;
    }
}

/*
 * One row of any strides: the last dimension goes fastest, in one piece where its
 * elements stand side by side. `index` counts the dimensions between first and last.
 */
static void convert_strided(const struct cpv_ckpt_tensor *t, convert_fn f, uint64_t row,
                            float *out)
{
    size_t size = cpv_ckpt_dtype_size(t->dtype);
    uint32_t last = t->rank - 1; /* rank 0 is contiguous and not here */
    uint64_t index[CPV_CKPT_RANK_MAX] = {row}, at = row * t->stride[0];
    uint64_t n = last ? t->dim[last] : 1, step = last ? t->stride[last] : 1;
    uint32_t k;

    do {
        if (step == 1 || n == 1)
            f(out, t->data + at * size, (size_t)n);
        else
            for (uint64_t i = 0; i < n; i++)
                f(out + i, t->data + (at + i * step) * size, 1);
        out += n;
        for (k = last; k-- > 1;) { /* the next one, as an odometer */
            at += t->stride[k];
            if (++index[k] < t->dim[k])
                break;
            at -= index[k] * t->stride[k];
            index[k] = 0;
        }
    } while (k > 0 && k < last);
}

int cpv_checkpoint_rows_f32(const struct cpv_ckpt_tensor *t, uint64_t row0, uint64_t n,
                            float *out, struct cpv_err *err)
{
    uint64_t rows = t->rank ? t->dim[0] : 1, row = rows ? t->elements / rows : 0;
    size_t size = cpv_ckpt_dtype_size(t->dtype);
    convert_fn f = converter(t->dtype);

    if (!f)
        return cpv_fail(err, CPV_E_INPUT, "tensor '%s' is %s, expected a floating type",
                        t->name, cpv_ckpt_dtype_name(t->dtype));
    if (!cpv_range_in(row0, n, rows))
        return cpv_fail(err, CPV_E_BUG, "tensor '%s': rows beyond its %llu", t->name,
                        (unsigned long long)rows);
    if (t->contiguous) {
        f(out, t->data + row0 * row * size, (size_t)(n * row));
        return CPV_OK;
    }
    for (uint64_t i = 0; i < n && row > 0; i++)
        convert_strided(t, f, row0 + i, out + i * row);
    return CPV_OK;
}
