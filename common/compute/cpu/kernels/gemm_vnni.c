/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products in int8 with AVX-512 VNNI, of which x86-64-v4 knows nothing: compiled for v4
 * only, used where the processor says so. Four products of 8 bits are added to 32 bits in
 * one instruction, without saturation.
 */
#include "common/compute/cpu/kernels/gemm_s8.h"

#define VNNI __attribute__((target("avx512vnni")))

size_t cpv_gemm_vnni_quant_bytes(size_t m, size_t k)
{
    return quant_rows_at(m) + m * quant_stride(k, 1);
}

/* 16 floats as bytes of q + 128; all lanes are within 0..255 already. */
static inline void store_bytes(uint8_t *to, vf x)
{
    __m512i q = _mm512_cvtps_epi32((__m512)x);

    q = _mm512_add_epi32(q, _mm512_set1_epi32(128));
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(q));
}

static struct quant quant_of_row(const float *x, size_t n)
{
    __m512i most = _mm512_setzero_si512();

    for (size_t p = 0; p < n; p += VW)
        most = _mm512_max_epi32(most, (__m512i)v_bits(v_abs(v_load_upto(x, p, n, 0))));
    return quant_of(_mm512_reduce_max_epi32(most));
}

void cpv_gemm_vnni_quantise(void *to, size_t m, size_t k, const float *a, size_t a_ld)
{
    size_t stride = quant_stride(k, 1);
    float *scale = to;

    for (size_t i = 0; i < m; i++) {
        const float *x = a + i * a_ld;
        uint8_t *row = (uint8_t *)to + quant_rows_at(m) + i * stride;
        struct quant q = quant_of_row(x, k);

        scale[i] = q.scale;
        /* Rows of zeros and of what is no number have the inverse 0: what they become
         * here is multiplied by 0 or NaN in the end. */
        /* A row is whole vectors: it has room for what lies beyond k. */
        for (size_t p = 0; p < k; p += VW)
            store_bytes(row + p, v_load_upto(x, p, k, 0) * q.inverse);
    }
}

struct sums {
    const uint8_t *a;
    const int8_t *w;
    size_t stride, steps;
    const int32_t *offset;
    int32_t *out; /* [rows][PANEL] */
    float *c;     /* where they go in the end */
    size_t c_ld;
    struct ahead ahead;
};

/*
 * sum += 4 products of unsigned a and signed b, in assembly: gcc 12 keeps the sums of its
 * own intrinsic in memory.
 */
VNNI INLINE __m512i dot(__m512i sum, __m512i a, __m512i b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

VNNI INLINE void tile(const struct sums *s, const int rows, const int vectors)
{
    const char *w = (const char *)s->w;
    const char *next = s->ahead.next;
    const uint8_t *a = s->a;
    __m512i sum[TILE_ROWS][TILE_VECTORS];

    UNROLL for (int j = 0; j < vectors; j++)
    {
        __m512i less = _mm512_loadu_si512(s->offset + j * VW);

        UNROLL for (int i = 0; i < rows; i++)
        {
            __builtin_prefetch(s->c + (size_t)i * s->c_ld + j * VW, 1);
            sum[i][j] = _mm512_sub_epi32(_mm512_setzero_si512(), less);
        }
    }
    for (size_t p = 0; p < s->steps; p++, w += PANEL * 4, a += 4, next += s->ahead.step) {
        __m512i b[TILE_VECTORS];

        UNROLL for (int j = 0; j < vectors; j++)
        {
            b[j] = _mm512_loadu_si512(w + j * 64);
            __builtin_prefetch(w + AHEAD * PANEL * 4 + j * 64);
        }
        __builtin_prefetch(next, 0, 2);
        UNROLL for (int i = 0; i < rows; i++)
        {
            int32_t four;
            __m512i x;

            memcpy(&four, a + (size_t)i * s->stride, sizeof four);
            x = _mm512_set1_epi32(four);
            UNROLL for (int j = 0; j < vectors; j++)
            {
                sum[i][j] = dot(sum[i][j], x, b[j]);
            }
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
        {
            _mm512_storeu_si512(s->out + i * PANEL + j * VW, sum[i][j]);
        }
    }
}

typedef void tile_fn(const struct sums *s);

#define TILE(rows, vectors)                                                              \
    VNNI static void tile_##rows##_##vectors(const struct sums *s)                       \
    {                                                                                    \
        tile(s, rows, vectors);                                                          \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3)
#define NAMES(rows)                                                                      \
    {                                                                                    \
        tile_##rows##_1, tile_##rows##_2, tile_##rows##_3                                \
    }

TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
TILES(7)
TILES(8)

static tile_fn *const tiles[TILE_ROWS][TILE_VECTORS] = {
    NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6), NAMES(7), NAMES(8),
};

static void vnni_tile(const struct cpv_gemm_s8 *g, const struct tile *t)
{
    int32_t sum[TILE_ROWS * PANEL];
    struct sums s = {
        .stride = quant_stride(g->k, 1), .steps = steps_of(g->k), .out = sum};

    s.a = (const uint8_t *)g->q + quant_rows_at(g->m) + t->i * s.stride;
    s.w = (const int8_t *)g->w + t->j * s.steps * 4;
    s.offset = weight_offsets(g->w, g->n, g->k) + t->j;
    s.c = t->c;
    s.c_ld = t->c_ld;
    s.ahead = ahead_of(t, s.w + s.steps * PANEL * 4, s.steps * PANEL * 4, s.steps);
    tiles[t->rows - 1][(t->cols + VW - 1) / VW - 1](&s);
    K(cpv_gemm_finish_s8)
    (t, sum, (const float *)g->q + t->i, weight_scales(g->w, g->n, g->k) + t->j);
}

void cpv_gemm_vnni_run(const struct cpv_gemm_s8 *g)
{
    s8_run(g, TILE_ROWS, vnni_tile);
}
