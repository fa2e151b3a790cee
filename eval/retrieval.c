/* SPDX-License-Identifier: Apache-2.0 */
/* Recall in both directions, for every language. */
#include <string.h>

#include "common/base/sys.h"
#include "eval/eval.h"

struct compact {
    float *images;   /* of those that were not skipped */
    int64_t *place;  /* [images of the set]: among them; -1: skipped */
    int64_t *number; /* the reverse */
    int64_t n;
};

/* One language's. */
struct texts {
    const struct eval_caption **caption;
    const char **text;
    float *vectors;
    int64_t *owner, *rank;
    int64_t *image_rank;
    int64_t n;
};

static int make_compact(const struct eval_run *r, struct compact *c, struct cpv_err *err)
{
    int64_t all = eval_images(&r->set), dim = embedder_dim(r->e);

    c->images = cpv_calloc((size_t)all + 1, (size_t)dim * sizeof *c->images);
    c->place = cpv_calloc((size_t)all + 1, sizeof *c->place);
    c->number = cpv_calloc((size_t)all + 1, sizeof *c->number);
    if (!c->images || !c->place || !c->number)
        return cpv_fail_memory(err);
    for (int64_t i = 0; i < all; i++) {
        const float *v = embedder_image(r->e, i);

        c->place[i] = v ? c->n : -1;
        if (!v)
            continue;
        memcpy(c->images + c->n * dim, v, (size_t)dim * sizeof *v);
        c->number[c->n++] = i;
    }
    return CPV_OK;
}

/* Captions of images that were not skipped. */
static int collect(const struct eval_run *r, const struct compact *c, size_t lang,
                   struct texts *t, struct cpv_err *err)
{
    size_t all = (size_t)eval_captions(&r->set, lang), dim = (size_t)embedder_dim(r->e);

    t->caption = cpv_calloc(all + 1, sizeof *t->caption);
    t->text = cpv_calloc(all + 1, sizeof *t->text);
    t->vectors = cpv_calloc(all + 1, dim * sizeof *t->vectors);
    t->owner = cpv_calloc(all + 1, sizeof *t->owner);
    t->rank = cpv_calloc(all + 1, sizeof *t->rank);
    t->image_rank = cpv_calloc((size_t)c->n + 1, sizeof *t->image_rank);
    if (!t->caption || !t->text || !t->vectors || !t->owner || !t->rank || !t->image_rank)
        return cpv_fail_memory(err);
    for (int64_t i = 0; i < (int64_t)all; i++) {
        const struct eval_caption *one = eval_caption(&r->set, lang, i);

        if (c->place[one->image] < 0)
            continue;
        t->caption[t->n] = one;
        t->text[t->n] = one->text;
        t->owner[t->n++] = c->place[one->image];
    }
    if (t->n == 0)
        return cpv_fail(err, CPV_E_INPUT,
                        "the set has no captions of language '%s'; see --captions",
                        r->set.lang[lang]);
    return CPV_OK;
}

static void release(struct texts *t)
{
    cpv_free(t->caption);
    cpv_free(t->text);
    cpv_free(t->vectors);
    cpv_free(t->owner);
    cpv_free(t->rank);
    cpv_free(t->image_rank);
}

/* ---- what is said ---- */

static void put_side(struct cpv_json *j, const char *name,
                     const struct cpv_recall_side *s)
{
    cpv_json_key(j, name);
    cpv_json_begin_object(j);
    cpv_json_key(j, "queries");
    cpv_json_int(j, s->queries);
    cpv_json_key(j, "R@1");
    cpv_json_real6(j, s->at[0]);
    cpv_json_key(j, "R@5");
    cpv_json_real6(j, s->at[1]);
    cpv_json_key(j, "R@10");
    cpv_json_real6(j, s->at[2]);
    cpv_json_key(j, "mean");
    cpv_json_real6(j, s->mean);
    cpv_json_end_object(j);
}

static void put_numbers(struct eval_run *r, const char *lang, const struct cpv_recall *k)
{
    struct cpv_json *j = &r->json;

    cpv_json_key(j, lang);
    cpv_json_begin_object(j);
    put_side(j, "t2i", &k->t2i);
    put_side(j, "i2t", &k->i2t);
    cpv_json_key(j, "mean");
    cpv_json_real6(j, k->mean);
    cpv_json_end_object(j);
    cpv_buf_printf(&r->table,
                   "%-8s %7lld  %6.2f %6.2f %6.2f %6.2f  %6.2f %6.2f %6.2f %6.2f  "
                   "%6.2f\n",
                   lang, (long long)k->t2i.queries, 100 * k->t2i.at[0],
                   100 * k->t2i.at[1], 100 * k->t2i.at[2], 100 * k->t2i.mean,
                   100 * k->i2t.at[0], 100 * k->i2t.at[1], 100 * k->i2t.at[2],
                   100 * k->i2t.mean, 100 * k->mean);
}

static void put_ranks(struct eval_run *r, const char *lang, const struct compact *c,
                      const struct texts *t)
{
    for (int64_t i = 0; i < t->n; i++)
        cpv_buf_printf(&r->ranks, "%s\tt2i\t%s#%d\t%lld\n", lang,
                       eval_image(&r->set, t->caption[i]->image)->key,
                       t->caption[i]->index, (long long)t->rank[i]);
    for (int64_t i = 0; i < c->n; i++)
        if (t->image_rank[i])
            cpv_buf_printf(&r->ranks, "%s\ti2t\t%s\t%lld\n", lang,
                           eval_image(&r->set, c->number[i])->key,
                           (long long)t->image_rank[i]);
}

static int one_language(struct eval_run *r, const struct compact *c, size_t lang,
                        struct cpv_err *err)
{
    struct texts t = {0};
    struct cpv_recall recall = {0};
    int rc = collect(r, c, lang, &t, err);

    if (!rc)
        rc = embedder_texts(r->e, t.text, t.n, t.vectors, err);
    if (!rc) {
        struct cpv_recall_set set = {.images = c->images,
                                     .texts = t.vectors,
                                     .owner = t.owner,
                                     .n_images = c->n,
                                     .n_texts = t.n,
                                     .dim = embedder_dim(r->e),
                                     .threads = (int)r->how->threads};

        rc = cpv_recall_ranks(&set, t.rank, t.image_rank, err);
    }
    if (!rc) {
        cpv_recall_of(t.rank, t.n, &recall.t2i);
        cpv_recall_of(t.image_rank, c->n, &recall.i2t);
        recall.mean = (recall.t2i.mean + recall.i2t.mean) / 2;
        put_numbers(r, r->set.lang[lang], &recall);
        if (r->how->ranks)
            put_ranks(r, r->set.lang[lang], c, &t);
    }
    release(&t);
    return rc;
}

int eval_retrieval(struct eval_run *r, struct cpv_err *err)
{
    struct compact c = {0};
    int rc = make_compact(r, &c, err);

    cpv_buf_printf(&r->table, "%-8s %7s  %-27s  image to text\n%-8s %7s", "", "",
                   "text to image", "language", "texts");
    for (int i = 0; i < 2; i++)
        cpv_buf_printf(&r->table, "  %6s %6s %6s %6s", "R@1", "R@5", "R@10", "mean");
    cpv_buf_printf(&r->table, "  %6s\n", "all");
    for (size_t i = 0; i < r->set.n_lang && !rc; i++)
        rc = one_language(r, &c, i, err);
    cpv_free(c.images);
    cpv_free(c.place);
    cpv_free(c.number);
    return rc;
}
