/* SPDX-License-Identifier: Apache-2.0 */
/* ops.h: what is allowed, by operation and by dtype. docs/numerics.md has the reasons. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/ops.h"

static const struct op_tolerance table[] = {
    /* name, rel, flat, root, inner */
    {"linear", 1, 4, 2, 1, "a sum of `in` rounded products, in any order; an activation"},
    {"linear_large", 1, 4, 2, 1, "the same"},
    {"linear_lora", 1, 6, 2, 2, "the same; x A^T is rounded to the dtype of values"},
    {"linear_add", 1, 4, 2, 1, "the same and one more sum"},
    {"logits", 1, 4, 2, 0, "the same; the result is f32 in any dtype of values"},
    {"similarity", 1, 4, 2, 0, "a sum of rounded products; the result is f32"},
    {"layernorm", 2, 4, 1, 0, "the mean is rounded against |x|; statistics are f32"},
    {"unary", 0, 8, 0, 0, "exp, tanh and erf to a few units; gates against |x|"},
    {"add", 1, 0, 0, 0, "one rounding"},
    {"softmax", 4, 4, 1, 0, "x - max is rounded against its size, which exp multiplies"},
    {"l2norm", 4, 2, 1, 0, "a sum of squares, a root, a quotient"},
    {"gather", 0, 0, 0, 0, "a copy"},
    {"argmax", 0, 0, 0, 0, "exact"},
    {"topk", 0, 4, 1, 0, "ids and values are exact; lse is a sum and a log"},
    {"embed", 1, 1, 0, 0, "a product and a sum"},
    {"positions", 0, 0, 0, 0, "exact"},
    {"patch_embed", 1, 6, 2, 2, "a product, and a sum with positions after rounding"},
    {"self_attention", 2, 8, 2, 2, "scores are sums whose error exp multiplies; p"},
    {"causal_attention", 2, 8, 2, 2, "the same"},
    {"cross_attention", 2, 8, 2, 2, "the same"},
    {"cross_source", 2, 8, 2, 2, "the same"},
    {"slot_attention", 2, 8, 2, 2, "the same"},
};

const struct op_tolerance *op_tolerance(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    fail_msg("no tolerance for '%s'", name);
    return NULL;
}

/* Is output k f32 whatever the dtype of activations? */
static bool is_f32(const struct trial *t, int k)
{
    return strcmp(t->op->name, "logits") == 0 || strcmp(t->op->name, "similarity") == 0 ||
           (strcmp(t->op->name, "topk") == 0 && k > 0);
}

struct tolerance op_allowed(const struct trial *t, int k, bool of_ref)
{
    const struct op_tolerance *o = op_tolerance(t->op->name);
    double u = t->values == CPV_F32 || is_f32(t, k) ? 0 : input_unit(t->values);
    /* ref has its own rounding to f32, and sums in double. */
    double twice = of_ref ? 1 : 0;
    /* Roundings of a sum walk at random, unless its terms are alike. */
    bool alike = t->kind == INPUT_EQUAL || t->kind == INPUT_ALTERNATING;
    double grown =
        o->root * (alike ? fmax(sqrt(t->terms), t->terms / 4) : sqrt(t->terms));
    struct tolerance tol = {
        .rel = 0x1p-24 * (o->rel + twice) + u,
        .mag = 0x1p-24 * (o->flat + grown) + u * o->inner,
        .mags = t->out[k].mags,
        .slack = t->out[k].slack,
    };

    /* The smallest steps that f32 and f16 have, some of them multiplied afterwards. An
     * exact operation has none. */
    if (o->rel > 0 || o->flat > 0)
        tol.abs = 0x1p-145 * (2 + t->terms) + (t->values == CPV_F16 ? 0x1p-24 : 0);
    return tol;
}

bool ops_at(int i, const struct op_case **op)
{
    const struct op_case *const lists[] = {ops_dense, ops_rows, ops_pick, ops_embed,
                                           ops_attention};

    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (const struct op_case *o = lists[l]; o->name; o++)
            if (i-- == 0) {
                *op = o;
                return true;
            }
    return false;
}
