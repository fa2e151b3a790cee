/* SPDX-License-Identifier: Apache-2.0 */
/* See xlmr_text.h; tokenization_xlm_roberta.py. */
#include "common/text/xlmr_text.h"

#include <assert.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/text/added.h"
#include "common/text/clean.h"
#include "common/text/sentencepiece.h"
#include "common/text/unicode.h"

static const char BLANK[] = "\xE2\x96\x81"; /* U+2581 */

struct cpv_xlmr_text {
    cpv_sentencepiece *model;
    struct cpv_added added;
    int32_t mask;
};

static int add_tokens(cpv_xlmr_text *t, struct cpv_err *err)
{
    static const char *const names[] = {"<s>", "<pad>", "</s>", "<unk>"};
    struct cpv_added_token token = {.special = true};
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < CPV_COUNT(names); i++) {
        token.text = cpv_bytes_str(names[i]);
        token.id = (int32_t)i;
        rc = cpv_added_add(&t->added, &token, err);
    }
    /* The blank before it belongs to it. */
    token = (struct cpv_added_token){cpv_bytes_str("<mask>"), t->mask, true, true, false};
    return rc ? rc : cpv_added_add(&t->added, &token, err);
}

int cpv_xlmr_text_open(cpv_xlmr_text **out, const char *path, struct cpv_err *err)
{
    cpv_xlmr_text *t = cpv_calloc(1, sizeof *t);
    int rc;

    *out = NULL;
    if (!t)
        return cpv_fail_memory(err);
    rc = cpv_sentencepiece_open(&t->model, path, err);
    if (!rc && cpv_sentencepiece_unknown(t->model) != 0)
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s': expected piece 0 to be the unknown one, as in XLM-R", path);
    if (!rc) {
        t->mask = cpv_sentencepiece_count(t->model) + 1;
        rc = add_tokens(t, err);
    }
    if (rc) {
        cpv_xlmr_text_close(&t);
        return rc;
    }
    *out = t;
    return CPV_OK;
}

void cpv_xlmr_text_close(cpv_xlmr_text **t)
{
    if (!*t)
        return;
    cpv_sentencepiece_close(&(*t)->model);
    cpv_added_release(&(*t)->added);
    cpv_free(*t);
    *t = NULL;
}

static void take_piece(void *user, int32_t number, struct cpv_bytes text)
{
    (void)text;
    cpv_ids_add(user, number == 0 ? CPV_XLMR_UNK : number + 1);
}

int cpv_xlmr_text_encode(const cpv_xlmr_text *t, struct cpv_bytes text, size_t most,
                         struct cpv_ids *ids, struct cpv_err *err)
{
    struct cpv_buf room = {0};
    struct cpv_added_walk w = cpv_added_walk(&t->added, cpv_unicode_replace(text, &room));
    size_t from = ids->count;
    enum cpv_added_what what;
    int rc = room.failed ? cpv_fail_memory(err) : CPV_OK;

    assert(most != 1);
    cpv_ids_add(ids, CPV_XLMR_BOS);
    while (!rc && (what = cpv_added_next(&w)) != CPV_ADDED_END) {
        if (what == CPV_ADDED_TOKEN)
            cpv_ids_add(ids, w.token->id);
        else
            rc = cpv_sentencepiece_encode(t->model, w.segment, take_piece, ids, err);
    }
    if (most > 0 && ids->count - from > most - 1)
        ids->count = from + most - 1;
    cpv_ids_add(ids, CPV_XLMR_EOS);
    if (!rc && ids->failed)
        rc = cpv_fail_memory(err);
    cpv_buf_release(&room);
    return rc;
}

int cpv_xlmr_text_encode_caption(const cpv_xlmr_text *t, struct cpv_bytes caption,
                                 size_t most, struct cpv_ids *ids, struct cpv_err *err)
{
    struct cpv_buf clean = {0};
    int rc = cpv_clean_caption(caption, &clean, err);

    if (!rc)
        rc = cpv_xlmr_text_encode(t, cpv_buf_view(&clean), most, ids, err);
    cpv_buf_release(&clean);
    return rc;
}

/* The piece with its own blanks made ordinary ones. */
static void put_piece(struct cpv_bytes piece, struct cpv_buf *out)
{
    for (size_t i = 0; i < piece.size;) {
        if (piece.size - i >= 3 && memcmp(piece.data + i, BLANK, 3) == 0) {
            cpv_buf_byte(out, ' ');
            i += 3;
        } else {
            cpv_buf_byte(out, piece.data[i++]);
        }
    }
}

int cpv_xlmr_text_decode(const cpv_xlmr_text *t, const int32_t *ids, size_t n,
                         struct cpv_buf *out, struct cpv_err *err)
{
    struct cpv_buf room = {0};
    struct cpv_bytes text;
    int rc = CPV_OK;

    for (size_t i = 0; i < n; i++) {
        if (ids[i] > CPV_XLMR_UNK && ids[i] < t->mask)
            put_piece(cpv_sentencepiece_piece(t->model, ids[i] - 1), &room);
    }
    text = cpv_unicode_strip(cpv_buf_view(&room));
    cpv_buf_add(out, text.data, text.size);
    if (room.failed || out->failed)
        rc = cpv_fail_memory(err);
    cpv_buf_release(&room);
    return rc;
}

int32_t cpv_xlmr_text_size(const cpv_xlmr_text *t)
{
    return t->mask + 1;
}
