/* SPDX-License-Identifier: Apache-2.0 */
/* place.h */
#include "tests/unit/base/unit.h"

#include "common/compute/cpu/isa.h"
#include "tests/unit/compute/place.h"

const struct place_dtypes place_dtypes[] = {
    {CPV_F32, CPV_F32}, {CPV_I8, CPV_F32},         {CPV_BF16, CPV_BF16},
    {CPV_F16, CPV_F16}, {CPV_BF16, CPV_F32},       {CPV_F16, CPV_F32},
    {CPV_I8, CPV_BF16}, {CPV_DTYPE_COUNT, CPV_F32}};

/* "cpu:v3" asks for exactly that level: a processor without it would test another. */
static bool lacks_level(const char *isa)
{
    for (int i = 0; i < CPV_ISA_COUNT; i++)
        if (strcmp(cpv_isa_name((cpv_isa)i), isa) == 0)
            return cpv_kernels_of((cpv_isa)i) == NULL;
    return true;
}

/* "cpu:v3" is "cpu" and a level; "dry:cpu:v3" is "dry" that is like it. */
static bool split(char *text, struct cpv_device_params *params)
{
    char *level, *like = NULL;

    if (strncmp(text, "dry:", 4) == 0) {
        like = text + 4;
        text[3] = '\0';
    }
    params->name = text;
    params->like = like;
    level = strstr(like ? like : text, "cpu:");
    if (!level)
        return true;
    level[3] = '\0';
    params->isa = level + 4;
    return !lacks_level(params->isa);
}

int place_open(struct place *p, const char *arg, struct place_dtypes dtypes)
{
    struct cpv_device_params params = {.weights = dtypes.weights,
                                       .values = dtypes.values};
    struct cpv_err err = {0};
    unsigned weights, values;
    char text[48];
    int rc;

    memset(p, 0, sizeof *p);
    (void)snprintf(p->text, sizeof p->text, "%s %s/%s", arg,
                   cpv_dtype_name(dtypes.weights), cpv_dtype_name(dtypes.values));
    (void)snprintf(text, sizeof text, "%s", arg);
    if (!split(text, &params))
        return PLACE_SKIP;
    if (params.isa)
        p->isa = strrchr(arg, ':') + 1;
    /* What the backend says about itself comes first: its refusal is tested elsewhere. */
    rc = cpv_device_open(&p->device,
                         &(struct cpv_device_params){
                             .name = params.name, .like = params.like, .isa = params.isa},
                         &err);
    if (rc == CPV_E_ABSENT)
        return PLACE_SKIP;
    if (rc != CPV_OK) {
        (void)printf("%s: %s\n", p->text, err.text);
        return rc;
    }
    weights = p->device->like->weights;
    values = p->device->like->values;
    cpv_device_close(&p->device);
    if (!(weights >> dtypes.weights & 1u) || !(values >> dtypes.values & 1u))
        return PLACE_SKIP;
    rc = cpv_device_open(&p->device, &params, &err);
    if (rc == CPV_E_USAGE) /* has both, but not together, or not on this machine */
        return PLACE_SKIP;
    if (rc != CPV_OK)
        (void)printf("%s: %s\n", p->text, err.text);
    return rc;
}

int place_open_dry(struct place *dry, const struct place *p, struct place_dtypes dtypes)
{
    char arg[64];

    (void)snprintf(arg, sizeof arg, "dry:%s%s%s", p->device->backend->name,
                   p->isa ? ":" : "", p->isa ? p->isa : "");
    return place_open(dry, arg, dtypes);
}

void place_close(struct place *p)
{
    for (int i = 0; i < PLACE_CONTEXTS; i++)
        cpv_compute_close(&p->context[i]);
    cpv_device_close(&p->device);
}

int place_threads(int which)
{
    static const int threads[PLACE_CONTEXTS] = {1, 2, 7};

    return threads[which];
}

cpv_compute *place_context(struct place *p, int which)
{
    struct cpv_compute_params params = {.arena = (size_t)48 << 20,
                                        .threads = place_threads(which)};
    struct cpv_err err = {0};

    if (!p->context[which])
        assert_ok(cpv_compute_open(&p->context[which], p->device, &params, &err));
    return p->context[which];
}

bool place_has(const struct place *p, const cpv_op_kind *needs)
{
    for (; *needs != CPV_OP_COUNT; needs++)
        if (!p->device->backend->run[*needs])
            return false;
    return true;
}

bool place_has_back(const struct place *p, const cpv_op_kind *needs)
{
    for (; *needs != CPV_OP_COUNT; needs++)
        if (!p->device->backend->back[*needs])
            return false;
    return true;
}

int place_status(int failed, int skipped, int ran)
{
    if (failed > 0)
        return 1;
    return skipped > 0 || ran == 0 ? PLACE_SKIP : 0;
}
