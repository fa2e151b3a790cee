/* SPDX-License-Identifier: Apache-2.0 */
/* See cleanup.h; the rules and their order: transformers' clean_up_tokenization. */
#include "common/text/cleanup.h"

#include "common/base/size.h"

static const struct {
    const char *from, *to; /* `to` is the shorter */
} RULES[] = {
    {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
};

static size_t replace(uint8_t *text, size_t size, struct cpv_bytes from,
                      struct cpv_bytes to)
{
    size_t out = 0, i = 0;

    while (i < size) {
        if (size - i >= from.size && memcmp(text + i, from.data, from.size) == 0) {
            memcpy(text + out, to.data, to.size);
            out += to.size;
            i += from.size;
        } else {
            text[out++] = text[i++];
        }
    }
    return out;
}

void cpv_cleanup(struct cpv_buf *text, size_t from)
{
    if (text->failed || text->size == from)
        return;
    for (size_t r = 0; r < CPV_COUNT(RULES); r++) {
        text->size =
            from + replace(text->data + from, text->size - from,
                           cpv_bytes_str(RULES[r].from), cpv_bytes_str(RULES[r].to));
    }
}
