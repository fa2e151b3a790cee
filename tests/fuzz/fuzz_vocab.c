/* SPDX-License-Identifier: Apache-2.0 */
/* Vocabularies of others: each token that is listed is found again by its id's text. */
#include <stdlib.h>

#include "common/text/vocab.h"

static void check(cpv_vocab *v, int rc, const struct cpv_err *err)
{
    if (rc) {
        if (v || !err->text[0] || memchr(err->text, '\n', strlen(err->text)))
            abort();
        return;
    }
    if (!v || cpv_vocab_count(v) == 0)
        abort();
    for (int32_t id = 0; id < cpv_vocab_end(v) && id < 1 << 16; id++) {
        struct cpv_bytes text = cpv_vocab_text(v, id);

        if (text.data && cpv_vocab_id(v, text) < 0)
            abort();
    }
    if (cpv_vocab_text(v, -1).data || cpv_vocab_text(v, cpv_vocab_end(v)).data)
        abort();
    cpv_vocab_close(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_err err = {0};
    cpv_vocab *v;
    int rc;

    rc = cpv_vocab_read_json(&v, cpv_bytes_of(data, size), "fuzz", &err);
    check(v, rc, &err);
    err = (struct cpv_err){0};
    rc = cpv_vocab_read_lines(&v, cpv_bytes_of(data, size), "fuzz", &err);
    check(v, rc, &err);
    return 0;
}
