/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/utf8.h"

int cpv_utf8_get(const uint8_t *p, size_t n, uint32_t *c)
{
    uint8_t low = 0x80, high = 0xBF; /* of the second byte */
    int need, have;
    uint32_t v, sum;

    if (!c)
        c = &v;
    *c = p[0];
    if (p[0] < 0x80)
        return 1;
    *c = CPV_UTF8_REPLACEMENT;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return -1;
    need = p[0] < 0xE0 ? 1 : p[0] < 0xF0 ? 2 : 3;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    sum = p[0] & (0x3Fu >> need);
    for (have = 1; have <= need; have++) {
        if ((size_t)have >= n || p[have] < low || p[have] > high)
            return -have;
        sum = sum << 6 | (p[have] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    *c = sum;
    return need + 1;
}
