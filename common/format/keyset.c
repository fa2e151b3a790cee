/* SPDX-License-Identifier: Apache-2.0 */
/* See keyset.h. Open addressing with linear steps, at most half full; 0 is free. */
#include "common/format/keyset.h"

#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"

enum { FIRST_CAPACITY = 1024 };

/* Where the hash is, or the free slot where it belongs. */
static uint64_t *slot_of(const struct cpv_keyset *set, uint64_t hash)
{
    size_t i = (size_t)hash & (set->capacity - 1);

    while (set->slots[i] && set->slots[i] != hash)
        i = (i + 1) & (set->capacity - 1);
    return &set->slots[i];
}

static bool grow(struct cpv_keyset *set)
{
    struct cpv_keyset wide = {NULL, FIRST_CAPACITY, set->count};

    if (set->capacity && !cpv_size_mul(set->capacity, 2, &wide.capacity))
        return false;
    if (!(wide.slots = cpv_calloc(wide.capacity, sizeof *wide.slots)))
        return false;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i])
            *slot_of(&wide, set->slots[i]) = set->slots[i];
    cpv_free(set->slots);
    *set = wide;
    return true;
}

int cpv_keyset_add(struct cpv_keyset *set, struct cpv_bytes key, bool *fresh,
                   struct cpv_err *err)
{
    uint64_t hash = cpv_xxh64(key.data, key.size, 0), *slot;

    if (hash == 0)
        hash = 1;
    if (set->count >= set->capacity / 2 && !grow(set))
        return cpv_fail_memory(err);
    slot = slot_of(set, hash);
    *fresh = *slot == 0;
    if (*fresh) {
        *slot = hash;
        set->count++;
    }
    return CPV_OK;
}

void cpv_keyset_release(struct cpv_keyset *set)
{
    cpv_free(set->slots);
    memset(set, 0, sizeof *set);
}
