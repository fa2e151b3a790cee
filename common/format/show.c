/* SPDX-License-Identifier: Apache-2.0 */
/* See show.h. */
#include "common/format/show.h"

#include "common/format/json.h"

struct cpv_shown cpv_show(struct cpv_bytes s)
{
    static const char cut[] = "...";
    struct cpv_shown out;
    size_t n = s.size, room = sizeof out.text - sizeof cut;

    if (n > room)
        for (n = room; n > 0 && (s.data[n] & 0xC0) == 0x80;)
            n--; /* not inside a character */
    if (n > 0)
        memcpy(out.text, s.data, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t b = s.data[i];

        if (b < 0x20 || b == 0x7F || b == '\'')
            out.text[i] = '?';
    }
    if (!cpv_utf8_valid(cpv_bytes_of(out.text, n)))
        for (size_t i = 0; i < n; i++)
            if (out.text[i] & 0x80)
                out.text[i] = '?';
    memcpy(out.text + n, n < s.size ? cut : "", n < s.size ? sizeof cut : 1);
    return out;
}
