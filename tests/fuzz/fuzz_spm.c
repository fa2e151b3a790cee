/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece models of others: what is let through to the library works or is refused.
 */
#include <stdlib.h>

#include "common/text/sentencepiece.h"
#include "common/text/unicode.h"

struct pieces {
    struct cpv_bytes list[4096];
    size_t count;
    const cpv_sentencepiece *model;
};

static void take(void *user, int32_t id, struct cpv_bytes text)
{
    struct pieces *p = user;

    if (id < 0 || id >= cpv_sentencepiece_count(p->model) ||
        (text.size > 0 && !text.data))
        abort();
    if (p->count < 4096)
        p->list[p->count++] = cpv_sentencepiece_piece(p->model, id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_buf room = {0}, out = {0};
    struct cpv_err err = {0};
    cpv_sentencepiece *m;
    struct pieces p = {.count = 0};
    struct cpv_bytes texts[3];

    if (cpv_sentencepiece_read(&m, cpv_bytes_of(data, size), "fuzz", &err)) {
        if (m || !err.text[0] || memchr(err.text, '\n', strlen(err.text)))
            abort();
        return 0;
    }
    /* The end of the file serves as text too: what the model's table would match. */
    texts[0] =
        cpv_bytes_str("A dog\xC2\xA0runs \xEF\xAC\x83 \xE3\x80\x80 x\xCC\x81 0000 <s>");
    texts[1] = cpv_unicode_replace(
        cpv_bytes_of(data + size / 2, size - size / 2 < 400 ? size - size / 2 : 400),
        &room);
    texts[2] = cpv_bytes_of(NULL, 0);
    for (int i = 0; i < 3; i++) {
        p.count = 0;
        p.model = m;
        if (cpv_sentencepiece_encode(m, texts[i], take, &p, &err) == CPV_OK)
            (void)!cpv_sentencepiece_decode(m, p.list, p.count, &out, &err);
        (void)!cpv_sentencepiece_normalise(m, texts[i], &out, &err);
    }
    if (cpv_sentencepiece_id(m, cpv_bytes_str("dog")) >= cpv_sentencepiece_count(m))
        abort();
    cpv_sentencepiece_close(&m);
    cpv_buf_release(&room);
    cpv_buf_release(&out);
    return 0;
}
