/* SPDX-License-Identifier: Apache-2.0 */
/* See ids.h. */
#include "common/text/ids.h"

#include "common/base/size.h"
#include "common/base/sys.h"

static bool grow(struct cpv_ids *ids)
{
    size_t capacity = ids->capacity ? ids->capacity : 32, bytes;
    int32_t *data;

    if (ids->capacity && !cpv_size_mul(ids->capacity, 2, &capacity))
        return false;
    if (!cpv_size_mul(capacity, sizeof *data, &bytes) ||
        !(data = cpv_realloc(ids->data, bytes)))
        return false;
    ids->data = data;
    ids->capacity = capacity;
    return true;
}

void cpv_ids_add(struct cpv_ids *ids, int32_t id)
{
    if (ids->failed || (ids->count == ids->capacity && !grow(ids))) {
        ids->failed = true;
        return;
    }
    ids->data[ids->count++] = id;
}

void cpv_ids_clear(struct cpv_ids *ids)
{
    ids->count = 0;
    ids->failed = false;
}

void cpv_ids_release(struct cpv_ids *ids)
{
    cpv_free(ids->data);
    *ids = (struct cpv_ids){0};
}
