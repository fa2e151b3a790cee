/* SPDX-License-Identifier: Apache-2.0 */
/* Products in f32: packing of weights, tiles, and the order in which tiles are made. */
#include "common/compute/cpu/kernels/gemm_level.h"

/* A packed weight is panels of PANEL rows, each [k][PANEL]; rows beyond n are zero. */
size_t K(cpv_gemm_packed_bytes)(size_t n, size_t k)
{
    return whole(n, PANEL) * k * sizeof(float);
}

void K(cpv_gemm_pack)(void *packed, size_t n, size_t k, size_t r0, size_t count,
                      const float *src, size_t row, size_t col)
{
    while (count > 0) {
        size_t lane = r0 % PANEL, rows = least(count, PANEL - lane);
        float *to = (float *)packed + (r0 - lane) * k + lane;
        size_t beyond = r0 + rows == n ? PANEL - lane - rows : 0;

        for (size_t p = 0; p < k; p++, to += PANEL) {
            if (row == 1)
                memcpy(to, src + p * col, rows * sizeof *to);
            else
                for (size_t r = 0; r < rows; r++)
                    to[r] = src[r * row + p * col];
            memset(to + rows, 0, beyond * sizeof *to);
        }
        src += rows * row;
        r0 += rows;
        count -= rows;
    }
}

void K(cpv_gemm_row)(const void *packed, size_t n, size_t k, size_t r, float *to)
{
    const float *from = (const float *)packed + r / PANEL * PANEL * k + r % PANEL;

    (void)n;
    for (size_t p = 0; p < k; p++)
        to[p] = from[p * PANEL];
}

/* What one tile needs. `in` and `out` are [rows][at least vectors * VW]. */
struct sums {
    const float *a, *w;
    size_t a_row, a_col, k;
    const float *in; /* where the sums begin; NULL: at 0 */
    size_t in_ld;
    float *out;
    size_t out_ld;
    float scale; /* of what is stored */
    struct ahead ahead;
};

INLINE void tile(const struct sums *s, const int rows, const int vectors,
                 const bool by_row)
{
    const float *a = s->a, *w = s->w;
    const char *next = s->ahead.next;
    const size_t step = by_row ? s->a_row : 1, a_col = by_row ? 1 : s->a_col;
    vf sum[TILE_ROWS][TILE_VECTORS];

    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
        {
            float *c = s->out + (size_t)i * s->out_ld + j * VW;

            __builtin_prefetch(c, 1);
            sum[i][j] = s->in ? v_load(s->in + (size_t)i * s->in_ld + j * VW) : v_set1(0);
        }
    }
    for (size_t p = 0; p < s->k; p++, w += PANEL, a += a_col, next += s->ahead.step) {
        vf b[TILE_VECTORS];

        UNROLL for (int j = 0; j < vectors; j++)
        {
            b[j] = v_load(w + j * VW);
            __builtin_prefetch((const char *)w + AHEAD * PANEL * 4 + j * VW * 4);
        }
        __builtin_prefetch(next, 0, 2);
        UNROLL for (int i = 0; i < rows; i++)
        {
            vf x = v_set1(a[(size_t)i * step]);

            IN_REGISTER(x);
            UNROLL for (int j = 0; j < vectors; j++)
            {
                sum[i][j] = v_fma(x, b[j], sum[i][j]);
            }
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int j = 0; j < vectors; j++)
        {
            v_store(s->out + (size_t)i * s->out_ld + j * VW, sum[i][j] * s->scale);
        }
    }
}

/* One function for each height, width and order of A: all loops over them unrolled. */
typedef void tile_fn(const struct sums *s);

#define TILE(rows, vectors)                                                              \
    static void by_row_##rows##_##vectors(const struct sums *s)                          \
    {                                                                                    \
        tile(s, rows, vectors, true);                                                    \
    }                                                                                    \
    static void by_col_##rows##_##vectors(const struct sums *s)                          \
    {                                                                                    \
        tile(s, rows, vectors, false);                                                   \
    }
#define NAME(rows, vectors)                                                              \
    {                                                                                    \
        by_row_##rows##_##vectors, by_col_##rows##_##vectors                             \
    }

#if defined(__AVX512F__)
#define WIDE(X, rows) X(rows, 1) X(rows, 2) X(rows, 3)
#define NAMES(rows)                                                                      \
    {                                                                                    \
        NAME(rows, 1), NAME(rows, 2), NAME(rows, 3)                                      \
    }
#else
#define WIDE(X, rows) X(rows, 1) X(rows, 2)
#define NAMES(rows)                                                                      \
    {                                                                                    \
        NAME(rows, 1), NAME(rows, 2)                                                     \
    }
#endif

WIDE(TILE, 1)
WIDE(TILE, 2)
WIDE(TILE, 3)
WIDE(TILE, 4)
WIDE(TILE, 5)
WIDE(TILE, 6)
#if defined(__AVX512F__)
WIDE(TILE, 7)
WIDE(TILE, 8)
#endif

static tile_fn *const tiles[TILE_ROWS][TILE_VECTORS][2] = {
    NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6),
#if defined(__AVX512F__)
    NAMES(7), NAMES(8),
#endif
};

/* Steps p0 ... p0 + k of a tile. `last`: the sum is complete then. */
static void make_tile(const struct cpv_gemm_f32 *g, const struct tile *t, size_t p0,
                      size_t k, bool last)
{
    size_t vectors = (t->cols + VW - 1) / VW;
    bool full = t->cols == vectors * VW;
    bool goes_on = p0 > 0 || g->e.accumulate;
    bool plain = !last || (!g->e.bias && !g->e.residual && g->e.act == CPV_IDENTITY);
    float apart[TILE_ROWS * PANEL];
    struct sums s = {.a = g->a + t->i * g->a_row + p0 * g->a_col,
                     .w = (const float *)g->w + t->j * g->k + p0 * PANEL,
                     .a_row = g->a_row,
                     .a_col = g->a_col,
                     .k = k,
                     .scale = last && plain ? g->e.scale : 1};

    s.ahead = ahead_of(t, s.w + g->k * PANEL, k * PANEL * sizeof(float), k);
    s.in = goes_on ? t->c : NULL;
    s.in_ld = s.out_ld = t->c_ld;
    s.out = t->c;
    if (!full && goes_on) {
        for (size_t i = 0; i < t->rows; i++) {
            memcpy(apart + i * PANEL, t->c + i * t->c_ld, t->cols * sizeof *apart);
            memset(apart + i * PANEL + t->cols, 0, (PANEL - t->cols) * sizeof *apart);
        }
        s.in = apart;
        s.in_ld = PANEL;
    }
    if (!full || !plain) {
        s.out = apart;
        s.out_ld = PANEL;
    }
    tiles[t->rows - 1][vectors - 1][g->a_col != 1](&s);
    if (s.out == t->c)
        return;
    if (!plain)
        K(cpv_gemm_finish)(t, apart);
    else
        for (size_t i = 0; i < t->rows; i++)
            memcpy(t->c + i * t->c_ld, apart + i * PANEL, t->cols * sizeof *apart);
}

/*
 * Sums that wait in C until their next block of k go on from there, so that blocks change
 * no bit. A residual that is C itself leaves no room for that.
 */
static size_t block_of_k(const struct cpv_gemm_f32 *g)
{
    enum { BLOCK = 1024 };
    bool fits = g->m * g->k * sizeof(float) <= BLOCK_BYTES;

    return fits || g->e.residual == g->c ? g->k : even(g->k, BLOCK, 1);
}

void K(cpv_gemm_f32)(const struct cpv_gemm_f32 *g)
{
    size_t kb = block_of_k(g);
    size_t most = whole(BLOCK_BYTES / (kb * sizeof(float)) + 1, TILE_ROWS);
    size_t mb = g->m ? even(g->m, most, TILE_ROWS) : 0;

    for (size_t i0 = 0; i0 < g->m; i0 += mb) {
        size_t i1 = least(i0 + mb, g->m);

        for (size_t p = 0; p < g->k; p += kb) {
            size_t k = least(kb, g->k - p);

            for (size_t j = g->n0; j < g->n1; j += PANEL) {
                struct tile t = {.cols = least(PANEL, g->n1 - j), .e = &g->e, .j = j};
                size_t left = (i1 - i0 + TILE_ROWS - 1) / TILE_ROWS;

                t.tiles = left;

                for (t.i = i0; t.i < i1; t.i += t.rows, left--) {
                    t.rows = (i1 - t.i + left - 1) / left;
                    t.c = g->c + t.i * g->c_ld + j;
                    t.c_ld = g->c_ld;
                    t.nth = t.tiles - left;
                    make_tile(g, &t, p, k, p + k == g->k);
                }
            }
        }
    }
}
