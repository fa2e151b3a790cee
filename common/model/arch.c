/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the tables: see arch.h. */
#include "common/model/arch.h"

#include <stdio.h>
#include <string.h>

#include "common/model/arch_impl.h"

/* ---- names ---- */

/* PREFIX NAME with the layer's number for `*`, then SUFFIX. False if it does not fit. */
static bool make_name(char *out, size_t room, const char *prefix, const char *name,
                      uint64_t layer, const char *suffix)
{
    const char *star = strchr(name, '*');
    int n;

    if (!star)
        n = snprintf(out, room, "%s%s%s", prefix, name, suffix);
    else
        n = snprintf(out, room, "%s%.*s%llu%s%s", prefix, (int)(star - name), name,
                     (unsigned long long)layer, star + 1, suffix);
    return n >= 0 && (size_t)n < room;
}

/* ---- one entry of one layer ---- */

static uint32_t take_dims(const struct cpv_arch_model *m, const struct cpv_arch_entry *e,
                          bool bias, uint64_t dim[4])
{
    uint32_t rank = 0, most = bias ? 1 : 4;

    while (rank < most && e->dim[rank] != CPV_DIM_END) {
        dim[rank] = m->dim[e->dim[rank]];
        rank++;
    }
    return rank;
}

static int make_named(const struct cpv_arch_model *m, const struct cpv_arch_entry *e,
                      uint64_t layer, bool bias, const char *suffix,
                      struct cpv_arch_want *w, struct cpv_err *err)
{
    memset(w, 0, sizeof *w);
    w->entry = e;
    w->layer = layer;
    w->bias = bias;
    w->rank = take_dims(m, e, bias, w->dim);
    if (!make_name(w->name, sizeof w->name, m->prefix, e->name, layer, suffix) ||
        (e->also &&
         !make_name(w->also, sizeof w->also, m->prefix, e->also, layer, suffix)))
        return cpv_fail(err, CPV_E_BUG, "'%s': a name of the table is too long", e->name);
    return CPV_OK;
}

static int make_want(const struct cpv_arch_model *m, const struct cpv_arch_entry *e,
                     uint64_t layer, bool bias, struct cpv_arch_want *w,
                     struct cpv_err *err)
{
    const char *suffix = e->kind == CPV_ARCH_TENSOR ? "" : bias ? ".bias" : ".weight";

    return make_named(m, e, layer, bias, suffix, w, err);
}

/* How often an entry occurs, and in which layers. */
static uint64_t layers_of(const struct cpv_arch_model *m, const struct cpv_arch_entry *e,
                          uint64_t *step)
{
    uint64_t n = e->count ? m->dim[e->count] : 1;

    *step = e->every && m->dim[e->every] > 0 ? m->dim[e->every] : 1;
    return strchr(e->name, '*') ? n : n > 0;
}

int cpv_arch_one(const struct cpv_arch_model *m, uint8_t id, uint64_t layer,
                 struct cpv_arch_want *out, struct cpv_err *err)
{
    const struct cpv_arch_entry *found = NULL;
    uint64_t step;

    /* Of two with one number that which occurs: a projection may be an MLP or linear. */
    for (size_t i = 0; i < m->arch->n_entries && id; i++) {
        const struct cpv_arch_entry *e = &m->arch->entries[i];

        if (e->id == id && (!found || !layers_of(m, found, &step)))
            found = e;
    }
    if (found)
        return make_named(m, found, layer, false, "", out, err);
    return cpv_fail(err, CPV_E_BUG, "no entry %d in the table of %s", id, m->arch->name);
}

static bool has_bias(const struct cpv_arch_entry *e)
{
    return e->kind == CPV_ARCH_LINEAR || e->kind == CPV_ARCH_NORM;
}

int cpv_arch_each(const struct cpv_arch_model *m, cpv_arch_each_fn *fn, void *ctx,
                  struct cpv_err *err)
{
    struct cpv_arch_want w;
    int rc = CPV_OK;

    for (size_t i = 0; i < m->arch->n_entries; i++) {
        const struct cpv_arch_entry *e = &m->arch->entries[i];
        uint64_t step, n = layers_of(m, e, &step);

        for (uint64_t layer = 0; layer < n; layer += step)
            for (int bias = 0; bias <= has_bias(e); bias++) {
                rc = make_want(m, e, layer, bias, &w, err);
                if (!rc)
                    rc = fn(ctx, &w, err);
                if (rc)
                    return rc;
            }
    }
    return rc;
}

void cpv_arch_prefix(struct cpv_arch_model *m, const cpv_checkpoint *c)
{
    char name[256];

    m->prefix = "";
    for (const char *const *p = m->arch->prefixes; *p; p++)
        if (make_name(name, sizeof name, *p, m->arch->anchor, 0, "") &&
            cpv_checkpoint_find(c, name)) {
            m->prefix = *p;
            return;
        }
}

/* ---- binding ---- */

static bool is_floating(cpv_ckpt_dtype t)
{
    return t == CPV_CKPT_F32 || t == CPV_CKPT_F16 || t == CPV_CKPT_BF16 ||
           t == CPV_CKPT_F64;
}

/* The tensor, NULL where an optional one is not there, or an error. */
static int need(const struct cpv_arch_model *m, const cpv_checkpoint *c,
                const struct cpv_arch_entry *e, uint64_t layer, bool bias,
                const struct cpv_ckpt_tensor **out, struct cpv_err *err)
{
    struct cpv_arch_want w;
    const char *name;
    int rc = make_want(m, e, layer, bias, &w, err);

    *out = NULL;
    if (rc)
        return rc;
    name = w.also[0] && !cpv_checkpoint_find(c, w.name) && cpv_checkpoint_find(c, w.also)
               ? w.also
               : w.name;
    if (e->role == CPV_ARCH_OPTIONAL && !cpv_checkpoint_find(c, name))
        return CPV_OK;
    rc = cpv_checkpoint_need(c, name, w.rank, w.dim, out, err);
    if (!rc && !is_floating((*out)->dtype))
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s': tensor '%s' is of type %s, expected a "
                      "floating one",
                      cpv_checkpoint_path(c), name, cpv_ckpt_dtype_name((*out)->dtype));
    return rc;
}

int cpv_arch_bind(const struct cpv_arch_model *m, const cpv_checkpoint *c,
                  cpv_arch_take_fn *take, void *ctx, struct cpv_err *err)
{
    int rc = CPV_OK;

    for (size_t i = 0; i < m->arch->n_entries; i++) {
        const struct cpv_arch_entry *e = &m->arch->entries[i];
        uint64_t step, n = layers_of(m, e, &step);

        if (e->role == CPV_ARCH_IGNORED)
            continue;
        for (uint64_t layer = 0; layer < n; layer += step) {
            struct cpv_arch_bound b = {.entry = e, .layer = layer};

            rc = need(m, c, e, layer, false, &b.weight, err);
            if (!rc && has_bias(e))
                rc = need(m, c, e, layer, true, &b.bias, err);
            if (!rc && b.weight)
                rc = take(ctx, &b, err);
            if (rc)
                return rc;
        }
    }
    return rc;
}
