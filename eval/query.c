/* SPDX-License-Identifier: Apache-2.0 */
/* A text, and the pictures next to it. */
#include <stdlib.h>

#include "common/base/sys.h"
#include "eval/eval.h"

struct hit {
    float score;
    int64_t image;
};

static int nearer(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->image < y->image ? -1 : 1;
}

/* The first caption of the picture, in the first language that has one; "". */
static const char *caption_of(const struct eval_set *s, int64_t image)
{
    for (size_t lang = 0; lang < s->n_lang; lang++)
        for (int64_t i = 0; i < eval_captions(s, lang); i++)
            if (eval_caption(s, lang, i)->image == image)
                return eval_caption(s, lang, i)->text;
    return "";
}

static void put_hit(struct eval_run *r, int64_t rank, const struct hit *h)
{
    const char *key = eval_image(&r->set, h->image)->key;
    const char *caption = caption_of(&r->set, h->image);
    struct cpv_json *j = &r->json;

    cpv_buf_printf(&r->table, "%4lld  %7.4f  %s", (long long)rank, (double)h->score, key);
    if (*caption)
        cpv_buf_printf(&r->table, "  %s", caption);
    cpv_buf_byte(&r->table, '\n');
    cpv_json_begin_object(j);
    cpv_json_key(j, "rank");
    cpv_json_int(j, rank);
    cpv_json_key(j, "similarity");
    cpv_json_real6(j, (double)h->score);
    cpv_json_key(j, "key");
    cpv_json_string(j, key);
    cpv_json_key(j, "caption");
    cpv_json_string(j, *caption ? caption : NULL);
    cpv_json_end_object(j);
}

int eval_query(struct eval_run *r, struct cpv_err *err)
{
    int64_t all = eval_images(&r->set), n = 0, dim = embedder_dim(r->e);
    struct hit *hits = cpv_calloc((size_t)all + 1, sizeof *hits);
    float *text = cpv_calloc((size_t)dim, sizeof *text);
    int rc = hits && text ? embedder_texts(r->e, &r->how->query, 1, text, err)
                          : cpv_fail_memory(err);

    for (int64_t i = 0; i < all && !rc; i++) {
        const float *v = embedder_image(r->e, i);

        if (v)
            hits[n++] = (struct hit){cpv_recall_score(text, v, dim), i};
    }
    if (!rc)
        qsort(hits, (size_t)n, sizeof *hits, nearer);
    for (int64_t i = 0; i < n && i < r->how->top && !rc; i++)
        put_hit(r, i + 1, &hits[i]);
    cpv_free(hits);
    cpv_free(text);
    return rc;
}
