/* SPDX-License-Identifier: Apache-2.0 */
/* From ids and pixels to tokens. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/ops.h"

/* ---- embed: [rows, ids, channels, positions, offset, tied] ---- */

static const float embed_scale = 5.65685425F;

static void make_embed(struct trial *t)
{
    int64_t n = t->s[0], ids = t->s[1], d = t->s[2], places = t->s[3];
    unsigned use = CPV_USE_TABLE | (t->s[5] ? CPV_USE_LINEAR : 0);
    const struct operand *id = trial_ids(t, n, 1, (int32_t)ids), *at = NULL;
    const struct trial_weight *w = trial_matrix(t, ids, d, use, 1, false, 0), *p = NULL;
    struct answer *a = trial_answer(t, n, d);

    t->items = (int)n;
    a->slack = trial_alloc(t, n * d, sizeof *a->slack);
    if (places > 0) {
        at = trial_ids(t, n, 1, (int32_t)(places - t->s[4]));
        p = trial_matrix(t, places, d, CPV_USE_TABLE, 1, false, 0);
    }
    if (t->kind == INPUT_NAN) { /* beyond the table, on both sides */
        id->i[0] = (int32_t)ids;
        id->i[n - 1] = -1;
        if (at && n > 2)
            at->i[n / 2] = (int32_t)(places - t->s[4]);
    }
    for (int64_t i = 0; i < n * d; i++) {
        int64_t r = id->i[i / d], s = at ? at->i[i / d] + t->s[4] : 0;
        bool out = r < 0 || r >= ids || (at && s >= places);
        double v, q;

        if (out) {
            a->want[i] = NAN;
            continue;
        }
        v = (double)embed_scale * (double)w->w[r * d + i % d];
        q = p ? (double)p->w[s * d + i % d] : 0;
        a->want[i] = v + q;
        a->mags[i] = fabs(v) + fabs(q);
        a->slack[i] = w->tie ? (double)embed_scale * (double)w->tie[r * d + i % d] : 0;
    }
}

static void run_embed(struct run *r)
{
    const struct trial *t = r->t;
    const cpv_weight *places = t->s[3] ? t->w[1].on : NULL;

    r->out[0] = cpv_embed(r->c, r->in[0], t->w[0].on, embed_scale, places, r->in[1],
                          (int32_t)t->s[4]);
}

/* ---- positions: [sequences, longest] ---- */

static void make_positions(struct trial *t)
{
    int n = (int)t->s[0];
    int64_t total;
    const int32_t *length = trial_lengths(t, n, 1, (int32_t)t->s[1], &total);
    struct answer *a = trial_answer_ids(t, total, 1);
    int64_t row = 0;

    t->items = n;
    t->length[0] = a->length = length;
    for (int i = 0; i < n; i++)
        for (int32_t j = 0; j < length[i]; j++)
            a->ids[row++] = j;
}

static void run_positions(struct run *r)
{
    r->out[0] = cpv_positions(r->c, r->rows[0]);
}

/* ---- patch_embed: [images, channels, size, patch, h, 1 class token | 2 positions] ----
 */

/* The pixels of patch p of an image, as its projection sees them. */
static void patch_row(const struct trial *t, int64_t image, int64_t p, float *to)
{
    int64_t ch = t->s[1], size = t->s[2], patch = t->s[3], grid = size / patch;
    const float *x = t->in[0].f + image * ch * size * size;

    for (int64_t c = 0; c < ch; c++)
        for (int64_t y = 0; y < patch; y++)
            for (int64_t z = 0; z < patch; z++)
                *to++ =
                    x[(c * size + p / grid * patch + y) * size + p % grid * patch + z];
}

/* row: the patch, NULL for the class token; tie: of 8 bits, or NULL. */
static void patch_token(struct trial *t, int64_t to, int64_t token, const float *row,
                        const float *tie)
{
    const struct trial_weight *w = &t->w[0], *extra = &t->w[1];
    int64_t h = t->s[4];
    struct answer *a = &t->out[0];

    for (int64_t o = 0; o < h; o++) {
        double *want = &a->want[to * h + o], *mag = &a->mags[to * h + o];
        double *slack = &a->slack[to * h + o];

        for (int64_t k = 0; row && k < w->p.in; k++) {
            double u = (double)w->w[o * w->p.in + k], v = (double)row[k] * u;

            *want += v;
            *mag += fabs(v);
            if (tie)
                *slack += (double)tie[k] * fabs(u) +
                          (double)w->tie[o * w->p.in + k] * fabs((double)row[k]);
        }
        if (row && w->bias)
            *want += (double)w->bias[o];
        if (!row)
            *want = (double)extra->w[o];
        if (t->s[5] & 2)
            *want += (double)extra[t->s[5] & 1].w[token * h + o];
        *mag += fabs(*want) + 2;
    }
}

static void make_patch_embed(struct trial *t)
{
    int64_t n = t->s[0], ch = t->s[1], size = t->s[2], patch = t->s[3], h = t->s[4];
    int64_t in = ch * patch * patch, grid = size / patch, tokens = grid * grid;
    float *row = trial_alloc(t, in, sizeof *row), *tie = trial_alloc(t, in, sizeof *tie);
    int64_t before = t->s[5] & 1;
    struct answer *a;

    tokens += before;
    (void)trial_values(t, n, ch * size * size);
    (void)trial_matrix(t, h, in, CPV_USE_LINEAR, 0.2, t->s[5] != 1, 0);
    if (t->s[5] & 1)
        (void)trial_matrix(t, 1, h, CPV_USE_TABLE, 1, false, 0);
    if (t->s[5] & 2)
        (void)trial_matrix(t, tokens, h, CPV_USE_TABLE, 1, false, 0);
    a = trial_answer(t, n * tokens, h);
    a->slack = trial_alloc(t, n * tokens * h, sizeof *a->slack);
    a->each = tokens;
    t->items = (int)n;
    t->terms = (double)in;
    for (int64_t i = 0; i < n * tokens; i++) {
        int64_t p = i % tokens - before;

        if (p >= 0)
            patch_row(t, i / tokens, p, row);
        if (p >= 0 && t->w[0].tie)
            trial_eight(row, in, row, tie);
        patch_token(t, i, i % tokens, p >= 0 ? row : NULL, t->w[0].tie ? tie : NULL);
    }
}

static void run_patch_embed(struct run *r)
{
    const struct trial *t = r->t;
    struct cpv_patches p = {.channels = (int)t->s[1],
                            .size = (int)t->s[2],
                            .patch = (int)t->s[3],
                            .projection = t->w[0].on};
    int next = 1;

    if (t->s[5] & 1)
        p.class_token = t->w[next++].on;
    if (t->s[5] & 2)
        p.positions = t->w[next].on;
    r->out[0] = cpv_patch_embed(r->c, r->in[0], &p);
}

static const int64_t embed_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1, 0, 0, 0},     {5, 7, 33, 0, 0, 0},  {9, 40, 17, 12, 2, 0},
    {70, 31, 130, 9, 0, 1}, {6, 19, 67, 0, 0, 1}, {0}};
static const int64_t positions_shapes[][TRIAL_SHAPE] = {{1, 1}, {7, 13}, {70, 3}, {0}};
static const int64_t patch_shapes[][TRIAL_SHAPE] = {{1, 1, 1, 1, 1, 0},
                                                    {3, 3, 12, 4, 17, 3},
                                                    {2, 1, 15, 5, 33, 1},
                                                    {5, 2, 6, 3, 9, 2},
                                                    {0}};

const struct op_case ops_embed[] = {
    {.name = "embed",
     .needs = {CPV_OP_EMBED, CPV_OP_COUNT},
     .kinds = INPUT_BIT(INPUT_NORMAL) | INPUT_BIT(INPUT_NAN),
     .shapes = embed_shapes,
     .batch = {1000, 50, 19, 60, 2, 0},
     .make = make_embed,
     .run = run_embed},
    {.name = "positions",
     .needs = {CPV_OP_POSITIONS, CPV_OP_COUNT},
     .kinds = INPUT_BIT(INPUT_NORMAL),
     .floats_only = true,
     .shapes = positions_shapes,
     .batch = {1000, 5},
     .make = make_positions,
     .run = run_positions},
    {.name = "patch_embed",
     .needs = {CPV_OP_PATCHES, CPV_OP_LINEAR, CPV_OP_TOKENS, CPV_OP_COUNT},
     .composite = true,
     .kinds = INPUT_ALL & ~INPUT_BIT(INPUT_HUGE),
     .shapes = patch_shapes,
     .batch = {1000, 1, 4, 2, 5, 3},
     .make = make_patch_embed,
     .run = run_patch_embed},
    {.name = NULL},
};
