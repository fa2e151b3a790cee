/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of parts as people write them: "3,7,9-12". */
#ifndef CPV_CORPUS_PART_LIST_H
#define CPV_CORPUS_PART_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_part_range {
    uint32_t first, last; /* both of them, too */
};

/* Appended to `ranges`, as struct cpv_part_range, in the order of the text. False: it is
 * no such list, or (ranges->failed) memory ran out. */
bool cpv_part_list_parse(const char *text, struct cpv_buf *ranges);

#ifdef __cplusplus
}
#endif
#endif
