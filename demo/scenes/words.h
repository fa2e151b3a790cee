/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that speak a plan share: each makes a caption apart, word by word. */
#ifndef CPV_DEMO_WORDS_H
#define CPV_DEMO_WORDS_H

#include "common/base/bytes.h"

/* A blank, but not before the first word. "" is no word. */
static inline void cpv_words_add(struct cpv_buf *out, const char *w)
{
    if (w[0] == '\0')
        return;
    if (out->size > 0)
        cpv_buf_byte(out, ' ');
    cpv_buf_str(out, w);
}

/* Move a caption that was made apart behind what `out` holds. */
static inline void cpv_words_move(struct cpv_buf *caption, struct cpv_buf *out)
{
    cpv_buf_add(out, caption->data, caption->size);
    out->failed |= caption->failed;
    cpv_buf_release(caption);
}

#endif
