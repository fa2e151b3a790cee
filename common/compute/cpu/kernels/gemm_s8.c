/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products in int8 for any processor of the level: packing, quantising, and tiles that
 * multiply int16 with int16 and add two neighbours (pmaddwd), which never overflows. The
 * shorter way of AVX2, pmaddubsw, saturates at 16 bits unless A keeps only 7 bits, and
 * then levels would differ.
 */
#include "common/compute/cpu/kernels/gemm_s8.h"

typedef int8_t vb __attribute__((vector_size(VW * 2)));  /* 4 of k for VW / 2 columns */
typedef int16_t vh __attribute__((vector_size(VW * 4))); /* the same, widened */

static inline vi v_max_i(vi a, vi b)
{
#if defined(__AVX512F__)
    return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    vi more = a > b;

    return (a & more) | (b & ~more);
#endif
}

/* a[2i] * b[2i] + a[2i + 1] * b[2i + 1] */
static inline vi v_madd(vh a, vh b)
{
#if defined(__AVX512F__)
    return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    vi x = (vi)a, y = (vi)b;

    return ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
#endif
}

static inline vh v_widen(const int8_t *p)
{
#if defined(__AVX512F__)
    return (vh)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined(__AVX2__)
    return (vh)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif defined(__SSE2__)
    __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)p);

    return (vh)_mm_srai_epi16(_mm_unpacklo_epi8(b, b), 8);
#else
    vb b;

    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vh);
#endif
}

static int32_t largest_bits(const float *x, size_t n)
{
    vi most = {0};
    int32_t lane[VW], all = 0;

    for (size_t p = 0; p < n; p += VW)
        most = v_max_i(most, v_bits(v_abs(v_load_upto(x, p, n, 0))));
    memcpy(lane, &most, sizeof lane);
    for (int k = 0; k < VW; k++)
        all = lane[k] > all ? lane[k] : all;
    return all;
}

/* The nearest whole number, halves to even; |x| < 2^22. */
static inline int32_t nearest(float x)
{
    return (int32_t)(x + 0x1.8p23f - 0x1.8p23f);
}

/* ---- weights ---- */

size_t K(cpv_gemm_s8_packed_bytes)(size_t n, size_t k)
{
    return whole(n, PANEL) * (steps_of(k) * 4 + sizeof(float) + sizeof(int32_t));
}

static void pack_row(int8_t *to, size_t k, const float *src, size_t col, float *scale,
                     int32_t *offset)
{
    struct quant q;
    int32_t bits = 0, sum = 0;

    for (size_t p = 0; p < k; p++) {
        float x = src[p * col];
        int32_t b;

        memcpy(&b, &x, sizeof b);
        b &= 0x7fffffff;
        bits = b > bits ? b : bits;
    }
    q = quant_of(bits);
    for (size_t p = 0; p < steps_of(k) * 4; p++) {
        int32_t x = p < k && q.scale > 0 ? nearest(src[p * col] * q.inverse) : 0;

        to[p / 4 * PANEL * 4 + p % 4] = (int8_t)x;
        sum += x;
    }
    *scale = q.scale;
    *offset = 128 * sum;
}

void K(cpv_gemm_s8_pack)(void *packed, size_t n, size_t k, size_t r0, size_t count,
                         const float *src, size_t row, size_t col)
{
    size_t panel_bytes = steps_of(k) * 4 * PANEL, all = whole(n, PANEL);
    float *scale = (float *)(void *)((char *)packed + all / PANEL * panel_bytes);
    int32_t *offset = (int32_t *)(void *)(scale + all);
    static const float zero = 0;
    size_t end = r0 + count == n ? all : r0 + count;

    for (size_t r = r0; r < end; r++) {
        int8_t *to = (int8_t *)packed + r / PANEL * panel_bytes + r % PANEL * 4;
        const float *from = r < n ? src + (r - r0) * row : &zero;

        pack_row(to, k, from, r < n ? col : 0, &scale[r], &offset[r]);
    }
}

void K(cpv_gemm_s8_row)(const void *packed, size_t n, size_t k, size_t r, float *to)
{
    const int8_t *from =
        (const int8_t *)packed + r / PANEL * PANEL * steps_of(k) * 4 + r % PANEL * 4;
    float scale = weight_scales(packed, n, k)[r];

    for (size_t p = 0; p < k; p++)
        to[p] = (float)from[p / 4 * PANEL * 4 + p % 4] * scale;
}

/* ---- rows of A ---- */

size_t K(cpv_gemm_s8_quant_bytes)(size_t m, size_t k)
{
    return quant_rows_at(m) + m * quant_stride(k, sizeof(int16_t));
}

void K(cpv_gemm_s8_quantise)(void *to, size_t m, size_t k, const float *a, size_t a_ld)
{
    size_t stride = quant_stride(k, sizeof(int16_t)), all = steps_of(k) * 4;
    float *scale = to;

    for (size_t i = 0; i < m; i++) {
        const float *x = a + i * a_ld;
        int16_t *row = (int16_t *)(void *)((char *)to + quant_rows_at(m) + i * stride);
        struct quant q = quant_of(largest_bits(x, k));

        scale[i] = q.scale;
        for (size_t p = 0; p < all; p++)
            row[p] = p < k && q.scale > 0 ? (int16_t)nearest(x[p] * q.inverse) : 0;
    }
}

/* ---- tiles ---- */

enum { S8_ROWS = 4, S8_VECTORS = 2, S8_COLS = S8_VECTORS * VW / 2 };

/*
 * S8_COLS columns of a tile. Lane 2j of a vector of sums has column j's products 0 and 1
 * of each step, lane 2j + 1 its products 2 and 3.
 */
INLINE void part(const int8_t *w, const char *a, size_t stride, size_t steps,
                 int32_t *sum, const int rows)
{
    vi s[S8_ROWS][S8_VECTORS] = {{{0}}};

    for (size_t p = 0; p < steps; p++, w += PANEL * 4, a += 8) {
        vh x[S8_ROWS];

        UNROLL for (int i = 0; i < rows; i++)
        {
            int64_t four;
            int64_t many __attribute__((vector_size(VW * 4))) = {0};

            memcpy(&four, a + (size_t)i * stride, sizeof four);
            x[i] = (vh)(four + many);
            IN_REGISTER(x[i]);
        }
        UNROLL for (int j = 0; j < S8_VECTORS; j++)
        {
            vh b = v_widen(w + j * VW * 2);

            UNROLL for (int i = 0; i < rows; i++)
            {
                s[i][j] += v_madd(x[i], b);
            }
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        int32_t half[S8_VECTORS * VW];

        memcpy(half, s[i], sizeof half);
        for (int j = 0; j < S8_COLS; j++)
            sum[i * PANEL + j] = half[2 * j] + half[2 * j + 1];
    }
}

static void s8_tile(const struct cpv_gemm_s8 *g, const struct tile *t)
{
    size_t stride = quant_stride(g->k, sizeof(int16_t)), steps = steps_of(g->k);
    const char *a = (const char *)g->q + quant_rows_at(g->m) + t->i * stride;
    const int8_t *w = (const int8_t *)g->w + t->j * steps * 4;
    int32_t sum[S8_ROWS * PANEL];

    for (size_t j = 0; j < t->cols; j += S8_COLS) {
        switch (t->rows) {
        case 1:
            part(w + j * 4, a, stride, steps, sum + j, 1);
            break;
        case 2:
            part(w + j * 4, a, stride, steps, sum + j, 2);
            break;
        case 3:
            part(w + j * 4, a, stride, steps, sum + j, 3);
            break;
        default:
            part(w + j * 4, a, stride, steps, sum + j, 4);
        }
    }
    K(cpv_gemm_finish_s8)
    (t, sum, (const float *)g->q + t->i, weight_scales(g->w, g->n, g->k) + t->j);
}

void K(cpv_gemm_s8_run)(const struct cpv_gemm_s8 *g)
{
    s8_run(g, S8_ROWS, s8_tile);
}
