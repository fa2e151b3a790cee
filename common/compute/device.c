/* SPDX-License-Identifier: Apache-2.0 */
/* Places to compute: which backend a name means, and whether it can do what is asked. */
#include <string.h>

#include "common/base/sys.h"
#include "common/compute/backend.h"
#include "common/compute/gpu.h"

static const struct cpv_backend *const backends[] = {&cpv_backend_ref, &cpv_backend_cpu,
                                                     &cpv_backend_cuda, &cpv_backend_dry};

/* "cuda:1" is the backend "cuda"; no other takes a number. */
static const struct cpv_backend *find(const char *name)
{
    size_t n = strcspn(name, ":");

    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (strlen(backends[i]->name) == n && memcmp(backends[i]->name, name, n) == 0 &&
            (!name[n] || backends[i] == &cpv_backend_cuda))
            return backends[i];
    return NULL;
}

static int check_dtypes(const struct cpv_device *d, struct cpv_err *err)
{
    const struct cpv_backend *b = d->like;

    if (!b->weight_bytes)
        return cpv_fail(err, CPV_E_ABSENT, "device '%s' is not in this build", b->name);
    if (!(b->weights & 1u << d->weights))
        return cpv_fail(err, CPV_E_USAGE, "device '%s' has no weights of %s", b->name,
                        cpv_dtype_name(d->weights));
    if (!(b->values & 1u << d->values))
        return cpv_fail(err, CPV_E_USAGE, "device '%s' has no activations of %s", b->name,
                        cpv_dtype_name(d->values));
    return CPV_OK;
}

int cpv_device_open(cpv_device **out, const struct cpv_device_params *params,
                    struct cpv_err *err)
{
    const char *name = params->name ? params->name : "auto";
    const char *like = params->like ? params->like : "cpu";
    cpv_device *d;
    int rc;

    *out = NULL;
    if (strcmp(name, "auto") == 0)
        name = cpv_gpu_count() > 0 ? "cuda" : "cpu";
    d = cpv_calloc(1, sizeof *d);
    if (!d)
        return cpv_fail_memory(err);
    d->backend = find(name);
    d->like = d->backend == &cpv_backend_dry ? find(like) : d->backend;
    d->weights = params->weights;
    d->values = params->values;
    snprintf(d->name, sizeof d->name, "%s", name);
    if (!d->backend || !d->like)
        rc = cpv_fail(err, CPV_E_USAGE,
                      "no device '%s': expected auto, cpu, cuda or cuda:N",
                      d->backend ? like : name);
    else
        rc = check_dtypes(d, err);
    if (!rc)
        rc = d->backend->device_open(d, params, err);
    if (rc)
        cpv_free(d);
    else
        *out = d;
    return rc;
}

void cpv_device_close(cpv_device **device)
{
    if (!*device)
        return;
    (*device)->backend->device_close(*device);
    cpv_free(*device);
    *device = NULL;
}

const char *cpv_device_name(const cpv_device *device)
{
    return device->name;
}

bool cpv_device_keeps_rows(const cpv_device *device)
{
    return device->backend->keeps_rows;
}

void cpv_device_traits(const cpv_device *device, cpv_dtype *weights, cpv_dtype *values)
{
    *weights = device->weights;
    *values = device->values;
}
