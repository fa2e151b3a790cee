/* SPDX-License-Identifier: Apache-2.0 */
/* See bind.h. */
#include "common/model/bind.h"

enum { FUSED_MAX = 4 };

/* rank 0: any. */
static bool find(const struct cpv_bind *b, uint64_t layer, uint8_t id, uint32_t rank,
                 struct cpv_arch_want *w)
{
    struct cpv_err err = {0};

    if (cpv_arch_one(b->arch, id, layer, w, &err)) {
        cpv_params_fail(b->params, err.code, "%s", err.text);
        return false;
    }
    if (rank && w->rank != rank) {
        cpv_params_fail(b->params, CPV_E_BUG, "'%s': %u dimensions, bound as %u", w->name,
                        w->rank, rank);
        return false;
    }
    return true;
}

/* The name under which it is stored, and what belongs behind it. */
static const char *stored(const struct cpv_bind *b, const struct cpv_arch_want *w,
                          const char **suffix)
{
    *suffix = w->entry->kind == CPV_ARCH_TENSOR ? "" : ".weight";
    if (w->also[0] && !cpv_params_has(b->params, "%s%s", w->name, *suffix) &&
        cpv_params_has(b->params, "%s%s", w->also, *suffix))
        return w->also;
    return w->name;
}

bool cpv_bind_has(const struct cpv_bind *b, uint64_t layer, uint8_t id)
{
    struct cpv_arch_want w;
    const char *name, *suffix;

    if (!find(b, layer, id, 0, &w))
        return false;
    name = stored(b, &w, &suffix);
    return cpv_params_has(b->params, "%s%s", name, suffix);
}

const cpv_weight *cpv_bind_fused(const struct cpv_bind *b, uint64_t layer,
                                 const uint8_t *id, int n)
{
    struct cpv_arch_want w[FUSED_MAX];
    const char *name[FUSED_MAX];

    for (int i = 0; i < n; i++) {
        if (!find(b, layer, id[i], 2, &w[i]))
            return NULL;
        name[i] = w[i].name;
    }
    return cpv_params_fused(b->params, (int64_t)w->dim[0], (int64_t)w->dim[1], name, n,
                            "%s", "");
}

const cpv_weight *cpv_bind_linear(const struct cpv_bind *b, uint64_t layer, uint8_t id)
{
    return cpv_bind_fused(b, layer, &id, 1);
}

const cpv_weight *cpv_bind_norm(const struct cpv_bind *b, uint64_t layer, uint8_t id)
{
    struct cpv_arch_want w;

    if (!find(b, layer, id, 1, &w))
        return NULL;
    return cpv_params_norm(b->params, (int64_t)w.dim[0], "%s", w.name);
}

const cpv_weight *cpv_bind_patches(const struct cpv_bind *b, uint64_t layer, uint8_t id)
{
    struct cpv_arch_want w;

    if (!find(b, layer, id, 4, &w))
        return NULL;
    return cpv_params_patches(b->params, (int64_t)w.dim[0], (int64_t)w.dim[1],
                              (int64_t)w.dim[2], w.entry->kind == CPV_ARCH_LINEAR, "%s",
                              w.name);
}

const cpv_weight *cpv_bind_table(const struct cpv_bind *b, uint64_t layer, uint8_t id)
{
    struct cpv_arch_want w;
    const char *name, *suffix;
    uint64_t rows = 1;

    if (!find(b, layer, id, 0, &w))
        return NULL;
    for (uint32_t i = 0; i + 1 < w.rank; i++)
        rows *= w.dim[i];
    name = stored(b, &w, &suffix);
    return cpv_params_table(b->params, (int64_t)rows, (int64_t)w.dim[w.rank - 1], "%s%s",
                            name, suffix);
}

const struct cpv_ckpt_tensor *cpv_bind_tensor(const struct cpv_bind *b, uint64_t layer,
                                              uint8_t id)
{
    struct cpv_arch_want w;
    const char *name, *suffix;

    if (!find(b, layer, id, 0, &w))
        return NULL;
    name = stored(b, &w, &suffix);
    return w.rank == 1 ? cpv_params_tensor(b->params, w.dim[0], "%s%s", name, suffix)
                       : cpv_params_matrix(b->params, (int64_t)w.dim[0],
                                           (int64_t)w.dim[1], "%s%s", name, suffix);
}
