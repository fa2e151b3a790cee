/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of token ids that grows. Like cpv_buf it remembers that memory ran out
 * (`failed`) and ignores later additions, so that a series needs one check at its end.
 * Zero-initialise it; release frees and leaves it ready for use again.
 */
#ifndef CPV_TEXT_IDS_H
#define CPV_TEXT_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_ids {
    int32_t *data;
    size_t count, capacity;
    bool failed;
};

void cpv_ids_add(struct cpv_ids *ids, int32_t id);
void cpv_ids_clear(struct cpv_ids *ids); /* count 0, `failed` false, memory kept */
void cpv_ids_release(struct cpv_ids *ids);

#ifdef __cplusplus
}
#endif
#endif
