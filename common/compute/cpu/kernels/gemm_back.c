/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of backward in f32: by the packed weight across, and the gradient of a matrix
 * of few rows. Neither packs anything.
 */
#include "common/compute/cpu/kernels/gemm_level.h"
#include "common/compute/cpu/kernels/vec_ops.h"

/*
 * The sum runs along a panel's lanes: a tile is rows of A by rows of the panel, each sum
 * a whole vector until the end. Rows * columns sums, and rows + 1 loads beside them.
 */
#if defined(__AVX512F__)
enum { ROWS = 4, COLS = 6 };
#elif defined(__AVX2__)
enum { ROWS = 3, COLS = 4 };
#else
enum { ROWS = 2, COLS = 4 };
#endif

/* Panels of a block: what a tile sums up before it goes to C. */
enum { PANELS = 768 / PANEL };

struct across {
    const struct cpv_gemm_across *g;
    size_t j0, j1; /* what is summed: columns of A */
    size_t cols;   /* of C that the slice is for */
    bool onto;
    /* The weight's part of these columns, [panels][cols][PANEL]: where it lies, panels
     * are a multiple of 4 KiB apart as often as not, which few ways of L1 hold. */
    float slice[PANELS * PANEL * COLS];
};

static void take_slice(struct across *t, size_t p, size_t cols)
{
    const float *w = (const float *)t->g->w + t->j0 * t->g->k + p * PANEL;
    float *to = t->slice;

    t->cols = cols;
    for (size_t j = t->j0; j < t->j1; j += PANEL, w += PANEL * t->g->k)
        for (size_t k = 0; k < cols * PANEL; k += VW, to += VW)
            v_store(to, v_load(w + k));
}

/* One panel: `left` columns of A, which is PANEL but at the end. */
INLINE void panel(vf sum[ROWS][COLS], const float *a, size_t a_row, const float *w,
                  const int rows, const int cols, size_t left)
{
    UNROLL for (int v = 0; v < TILE_VECTORS; v++)
    {
        ptrdiff_t lanes = (ptrdiff_t)left - v * VW;
        vf x[ROWS];

        UNROLL for (int r = 0; r < rows; r++)
        {
            const float *from = a + (size_t)r * a_row + (size_t)v * VW;

            x[r] = lanes >= VW ? v_load(from)
                   : lanes > 0 ? v_load_n(from, lanes, 0)
                               : v_set1(0);
        }
        UNROLL for (int c = 0; c < cols; c++)
        {
            vf y = v_load(w + (size_t)c * PANEL + (size_t)v * VW);

            UNROLL for (int r = 0; r < rows; r++)
            {
                sum[r][c] = v_fma(x[r], y, sum[r][c]);
            }
        }
    }
}

/* Rows i..., columns p... of C. */
INLINE void tile(const struct across *t, size_t i, size_t p, const int rows,
                 const int cols, size_t nth)
{
    const struct cpv_gemm_across *g = t->g;
    const float *w = t->slice, *a = g->a + i * g->a_row + t->j0;
    /* Each tile over a slice of the weight fetches a line of every panel of the next. */
    const float *next = (const float *)g->w + t->j0 * g->k + (p + (size_t)cols) * PANEL +
                        nth * 16 % ((size_t)cols * PANEL);
    vf sum[ROWS][COLS];
    size_t j = t->j0;

    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int c = 0; c < cols; c++)
        {
            sum[r][c] = v_set1(0);
        }
    }
    for (; t->j1 - j >= PANEL; j += PANEL, a += PANEL, w += cols * PANEL) {
        __builtin_prefetch(next, 0, 2);
        next += PANEL * g->k;
        panel(sum, a, g->a_row, w, rows, cols, PANEL);
    }
    if (j < t->j1)
        panel(sum, a, g->a_row, w, rows, cols, t->j1 - j);
    UNROLL for (int r = 0; r < rows; r++)
    {
        float *to = g->c + (i + (size_t)r) * g->c_ld + p;

        UNROLL for (int c = 0; c < cols; c++)
        {
            to[c] = t->onto ? to[c] + v_sum(sum[r][c]) : v_sum(sum[r][c]);
        }
    }
}

static void full_tile(const struct across *t, size_t i, size_t p, size_t nth)
{
    tile(t, i, p, ROWS, COLS, nth);
}

static void tall_tile(const struct across *t, size_t i, size_t p)
{
    tile(t, i, p, ROWS, 1, 0);
}

static void flat_tile(const struct across *t, size_t i, size_t p)
{
    tile(t, i, p, 1, COLS, 0);
}

static void one_tile(const struct across *t, size_t i, size_t p)
{
    tile(t, i, p, 1, 1, 0);
}

/* Rows i0 ... i1 of one block of the sum. */
static void rows_of(struct across *t, size_t i0, size_t i1)
{
    size_t p = t->g->p0, i;

    for (; t->g->p1 - p >= COLS; p += COLS) {
        take_slice(t, p, COLS);
        for (i = i0; i1 - i >= ROWS; i += ROWS)
            full_tile(t, i, p, (i - i0) / ROWS);
        for (; i < i1; i++)
            flat_tile(t, i, p);
    }
    for (; p < t->g->p1; p++) {
        take_slice(t, p, 1);
        for (i = i0; i1 - i >= ROWS; i += ROWS)
            tall_tile(t, i, p);
        for (; i < i1; i++)
            one_tile(t, i, p);
    }
}

void K(cpv_gemm_across)(const struct cpv_gemm_across *g)
{
    size_t width = least(g->n, (size_t)PANELS * PANEL);
    size_t most = whole(BLOCK_BYTES / (width * sizeof(float)) + 1, ROWS);
    size_t mb = g->m ? even(g->m, most, ROWS) : 0;
    struct across t;

    t.g = g;
    for (size_t i = 0; i < g->m; i += mb)
        for (size_t j = 0; j < g->n; j += (size_t)PANELS * PANEL) {
            t.j0 = j;
            t.j1 = least(j + (size_t)PANELS * PANEL, g->n);
            t.onto = j > 0 || g->accumulate;
            rows_of(&t, i, least(i + mb, g->m));
        }
}

/* ---- d[r, n] += u[rows, r]^T v[rows, n] ---- */

enum { HIGH = VW == 16 ? 8 : 4, WIDE = TILE_VECTORS };

INLINE void outer_tile(const struct cpv_gemm_outer *o, size_t p, size_t j, const int high,
                       const int wide, ptrdiff_t last)
{
    vf sum[HIGH][WIDE];

    for (int r = 0; r < high; r++)
        for (int c = 0; c < wide; c++)
            sum[r][c] = v_load_n(o->d + (p + (size_t)r) * o->d_ld + j + (size_t)c * VW,
                                 c == wide - 1 ? last : VW, 0);
    for (size_t i = 0; i < o->rows; i++) {
        const float *u = o->u + i * o->u_ld + p, *v = o->v + i * o->v_ld + j;
        vf y[WIDE];

        UNROLL for (int c = 0; c < wide - 1; c++)
        {
            y[c] = v_load(v + (size_t)c * VW);
        }
        y[wide - 1] = last == VW ? v_load(v + (size_t)(wide - 1) * VW)
                                 : v_load_n(v + (size_t)(wide - 1) * VW, last, 0);
        UNROLL for (int r = 0; r < high; r++)
        {
            vf x = v_set1(u[r]);

            UNROLL for (int c = 0; c < wide; c++)
            {
                sum[r][c] = v_fma(x, y[c], sum[r][c]);
            }
        }
    }
    for (int r = 0; r < high; r++)
        for (int c = 0; c < wide; c++)
            v_store_n(o->d + (p + (size_t)r) * o->d_ld + j + (size_t)c * VW, sum[r][c],
                      c == wide - 1 ? last : VW);
}

static void outer_full(const struct cpv_gemm_outer *o, size_t p, size_t j)
{
    outer_tile(o, p, j, HIGH, WIDE, VW);
}

static void outer_narrow(const struct cpv_gemm_outer *o, size_t p, size_t j)
{
    size_t left = o->j1 - j;

    outer_tile(o, p, j, HIGH, 1, left < VW ? (ptrdiff_t)left : VW);
}

static void outer_flat(const struct cpv_gemm_outer *o, size_t p, size_t j)
{
    size_t left = o->j1 - j;

    outer_tile(o, p, j, 1, 1, left < VW ? (ptrdiff_t)left : VW);
}

void K(cpv_gemm_outer)(const struct cpv_gemm_outer *o)
{
    size_t p = 0, j;

    for (; o->r - p >= HIGH; p += HIGH) {
        for (j = o->j0; o->j1 - j >= PANEL; j += PANEL)
            outer_full(o, p, j);
        for (; j < o->j1; j += VW)
            outer_narrow(o, p, j);
    }
    for (; p < o->r; p++)
        for (j = o->j0; j < o->j1; j += VW)
            outer_flat(o, p, j);
}
