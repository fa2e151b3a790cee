/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings in batches: see clip.h. */
#include <string.h>

#include "common/base/sys.h"
#include "common/model/clip_impl.h"
#include "common/model/generate.h"

enum { IMAGES = 8, TOKENS = 1024 };

static const float EPS = 1e-12F; /* torch.nn.functional.normalize */

struct cpv_clip_worker {
    const cpv_clip *m;
    struct cpv_clip_limits limits;
    cpv_compute *c;
    size_t bytes;
    /* Of a batch of texts: limits.tokens of each, and as many embeddings. */
    int32_t *ids, *length;
    float *out;
};

/* What a call is given, and the order in which it is done. */
struct texts {
    const int32_t *ids;
    int64_t *first; /* of ids, of each text */
    int32_t *real;  /* tokens that are no padding */
    int64_t *order; /* texts, shortest first */
    const int32_t *length;
    int64_t n;
};

/* ---- the worst case, on shapes alone ---- */

static void dry_images(cpv_compute *c, const cpv_clip *m, int n)
{
    int64_t side = m->config.vision.image;

    (void)cpv_l2norm(c, cpv_clip_image(c, m, cpv_put(c, n, 3 * side * side, NULL)), EPS);
}

/* `longer` texts of all that a text may have, the rest of one token each. */
static void dry_texts(cpv_compute *c, const cpv_clip_worker *w, const cpv_clip *m,
                      int longer)
{
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    int count = longer + w->limits.tokens - longer * m->config.context;
    cpv_rows rows;
    cpv_tensor ids;

    for (int i = 0; i < count; i++)
        w->length[i] = i < longer ? m->config.context : 1;
    rows = cpv_rows_put(c, w->length, count);
    ids = cpv_put_i32(c, rows.total, 1, w->ids);
    (void)cpv_l2norm(c, cpv_clip_text(c, m, ids, rows, NULL), EPS);
    cpv_compute_rewind(c, mark);
}

static int measure(const cpv_clip_worker *w, size_t *bytes, struct cpv_err *err)
{
    struct cpv_clip_params params = {.image = w->m->params.image,
                                     .text = w->m->params.text,
                                     .train = w->m->params.train};
    struct cpv_compute_params how = {.threads = w->limits.threads};
    cpv_device *device = NULL;
    cpv_compute *c = NULL;
    cpv_clip *dry = NULL;
    int rc = cpv_dry_twin(&device, w->m->device, err);

    if (!rc)
        rc = cpv_clip_open(&dry, device, w->m->path, &params, err);
    if (!rc)
        rc = cpv_compute_open(&c, device, &how, err);
    if (!rc && params.image) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        dry_images(c, dry, w->limits.images);
        cpv_compute_rewind(c, mark);
    }
    if (!rc && params.text) {
        dry_texts(c, w, dry, 0);
        dry_texts(c, w, dry, 1);
        dry_texts(c, w, dry, w->limits.tokens / dry->config.context);
    }
    if (!rc)
        rc = cpv_compute_sync(c, err);
    if (!rc)
        *bytes = cpv_compute_peak(c);
    cpv_compute_close(&c);
    cpv_clip_close(&dry);
    cpv_device_close(&device);
    return rc;
}

/* ---- life ---- */

static int check_limits(cpv_clip_worker *w, struct cpv_err *err)
{
    struct cpv_clip_limits *l = &w->limits;

    l->images = l->images ? l->images : IMAGES;
    l->tokens = l->tokens ? l->tokens : TOKENS;
    l->threads = l->threads ? l->threads : 1;
    if (l->images < 1 || l->images > 1 << 16)
        return cpv_fail(err, CPV_E_USAGE, "images of a batch: expected 1 to %d, got %d",
                        1 << 16, l->images);
    if (l->tokens < w->m->config.context || l->tokens > 1 << 22)
        return cpv_fail(err, CPV_E_USAGE, "tokens of a batch: expected %d to %d, got %d",
                        w->m->config.context, 1 << 22, l->tokens);
    return CPV_OK;
}

int cpv_clip_worker_open(cpv_clip_worker **out, const cpv_clip *m,
                         const struct cpv_clip_limits *limits, struct cpv_err *err)
{
    cpv_clip_worker *w = cpv_calloc(1, sizeof *w);
    struct cpv_compute_params params = {0};
    size_t n;
    int rc;

    *out = NULL;
    if (!w)
        return cpv_fail_memory(err);
    w->m = m;
    w->limits = *limits;
    rc = check_limits(w, err);
    n = rc ? 1 : (size_t)w->limits.tokens;
    w->ids = cpv_calloc(n, sizeof *w->ids);
    w->length = cpv_calloc(n, sizeof *w->length);
    w->out = cpv_calloc(n * (size_t)m->config.dim, sizeof *w->out);
    if (!rc && (!w->ids || !w->length || !w->out))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = measure(w, &w->bytes, err);
    params.arena = w->bytes;
    params.threads = w->limits.threads;
    if (!rc)
        rc = cpv_compute_open(&w->c, m->device, &params, err);
    if (rc)
        cpv_clip_worker_close(&w);
    *out = w;
    return rc;
}

void cpv_clip_worker_close(cpv_clip_worker **w)
{
    if (!*w)
        return;
    cpv_compute_close(&(*w)->c);
    cpv_free((*w)->ids);
    cpv_free((*w)->length);
    cpv_free((*w)->out);
    cpv_free(*w);
    *w = NULL;
}

size_t cpv_clip_worker_bytes(const cpv_clip_worker *w)
{
    return w->bytes;
}

/* ---- images ---- */

int cpv_clip_worker_images(cpv_clip_worker *w, const float *pixels, int64_t n, float *out,
                           struct cpv_err *err)
{
    int64_t side = w->m->config.vision.image, each = 3 * side * side;
    struct cpv_compute_mark mark = cpv_compute_mark(w->c);
    int rc = CPV_OK;

    if (!w->m->params.image)
        return cpv_fail(err, CPV_E_BUG, "a model opened without its image tower");
    for (int64_t i = 0, k; i < n && !rc; i += k) {
        cpv_tensor x;

        k = n - i < w->limits.images ? n - i : w->limits.images;
        x = cpv_clip_image(w->c, w->m, cpv_put(w->c, k, each, pixels + i * each));
        cpv_get(w->c, cpv_l2norm(w->c, x, EPS), out + i * w->m->config.dim);
        rc = cpv_compute_sync(w->c, err);
        cpv_compute_rewind(w->c, mark);
    }
    return rc;
}

/* ---- texts ---- */

static int look(const cpv_clip_worker *w, struct texts *t, struct cpv_err *err)
{
    const struct cpv_clip_config *k = &w->m->config;
    int64_t at = 0;

    for (int64_t i = 0; i < t->n; i++) {
        if (t->length[i] < 1 || t->length[i] > k->context)
            return cpv_fail(err, CPV_E_BUG, "text %lld has %d tokens, expected 1 to %d",
                            (long long)i, t->length[i], k->context);
        t->first[i] = at;
        t->real[i] = 0;
        for (int32_t j = 0; j < t->length[i]; j++) {
            int32_t id = t->ids[at + j];

            if (id < 0 || id >= k->text.vocab)
                return cpv_fail(err, CPV_E_BUG, "text %lld: there is no token %d",
                                (long long)i, id);
            t->real[i] += id != k->text.pad;
        }
        if (!t->real[i])
            return cpv_fail(err, CPV_E_BUG, "text %lld holds nothing but padding",
                            (long long)i);
        at += t->length[i];
    }
    return CPV_OK;
}

/* Texts by their length, in the order given among equals: by counting. */
static void sort(const cpv_clip_worker *w, struct texts *t)
{
    int64_t at = 0;

    for (int32_t length = 1; length <= w->m->config.context; length++)
        for (int64_t i = 0; i < t->n; i++)
            if (t->real[i] == length)
                t->order[at++] = i;
}

/* Texts order[from] ... of one batch: how many. */
static int64_t fill(cpv_clip_worker *w, const struct texts *t, int64_t from)
{
    int32_t pad = w->m->config.text.pad;
    int64_t n = 0, total = 0;

    for (; from + n < t->n; n++) {
        int64_t i = t->order[from + n];

        if (total + t->real[i] > w->limits.tokens)
            break;
        w->length[n] = t->real[i];
        for (int32_t j = 0; j < t->length[i]; j++)
            if (t->ids[t->first[i] + j] != pad)
                w->ids[total++] = t->ids[t->first[i] + j];
    }
    return n;
}

static int embed_all(cpv_clip_worker *w, const struct texts *t, float *out,
                     struct cpv_err *err)
{
    size_t dim = (size_t)w->m->config.dim;
    struct cpv_compute_mark mark = cpv_compute_mark(w->c);
    int rc = CPV_OK;

    for (int64_t i = 0, n; i < t->n && !rc; i += n) {
        cpv_rows rows;
        cpv_tensor x;

        n = fill(w, t, i);
        rows = cpv_rows_put(w->c, w->length, (int32_t)n);
        x = cpv_put_i32(w->c, rows.total, 1, w->ids);
        x = cpv_clip_text(w->c, w->m, x, rows, NULL);
        cpv_get(w->c, cpv_l2norm(w->c, x, EPS), w->out);
        rc = cpv_compute_sync(w->c, err);
        cpv_compute_rewind(w->c, mark);
        for (int64_t k = 0; k < n && !rc; k++)
            memcpy(out + (size_t)t->order[i + k] * dim, w->out + (size_t)k * dim,
                   dim * sizeof *out);
    }
    return rc;
}

int cpv_clip_worker_texts(cpv_clip_worker *w, const int32_t *ids, const int32_t *length,
                          int64_t n, float *out, struct cpv_err *err)
{
    size_t room = n > 0 ? (size_t)n : 1;
    struct texts t = {.ids = ids, .length = length, .n = n};
    int rc = CPV_OK;

    if (!w->m->params.text)
        return cpv_fail(err, CPV_E_BUG, "a model opened without its text tower");
    t.first = cpv_calloc(room, sizeof *t.first);
    t.real = cpv_calloc(room, sizeof *t.real);
    t.order = cpv_calloc(room, sizeof *t.order);
    if (!t.first || !t.real || !t.order)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = look(w, &t, err);
    if (!rc) {
        sort(w, &t);
        rc = embed_all(w, &t, out, err);
    }
    cpv_free(t.first);
    cpv_free(t.real);
    cpv_free(t.order);
    return rc;
}
