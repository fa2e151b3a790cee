/* SPDX-License-Identifier: Apache-2.0 */
#include "common/corpus/part_list.h"

#include "common/corpus/column.h"

static bool number_of(const char **s, uint32_t *out)
{
    uint64_t v = 0;
    const char *start = *s;

    for (; **s >= '0' && **s <= '9'; (*s)++) {
        v = v * 10 + (uint64_t)(**s - '0');
        if (v >= CPV_PARTS_MAX)
            return false;
    }
    *out = (uint32_t)v;
    return *s > start;
}

bool cpv_part_list_parse(const char *text, struct cpv_buf *ranges)
{
    const char *p = text;

    for (;;) {
        struct cpv_part_range r;

        if (!number_of(&p, &r.first))
            return false;
        r.last = r.first;
        if (*p == '-') {
            p++;
            if (!number_of(&p, &r.last) || r.last < r.first)
                return false;
        }
        cpv_buf_add(ranges, &r, sizeof r);
        if (ranges->failed || *p == '\0')
            return !ranges->failed;
        if (*p++ != ',')
            return false;
    }
}
