/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/step.h"

#include <math.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/model/generate.h"
#include "trainer/pictures.h"

enum { PICTURES = 32 }; /* through the image tower at a time */

static const float EPS = 1e-12F; /* torch.nn.functional.normalize */

/* A batch on the host. */
struct batch {
    uint32_t n; /* pairs */
    struct data_pick *pick;
    int32_t *ids, *length, *first; /* text i: length[i] ids from first[i] on */
    int32_t tokens;
    float *image; /* [n, dim], unit vectors */
    float *text;  /* the same, where the batch is worked on in parts */
    uint64_t broken;
};

/* Where it runs: on the device, or dry. */
struct place_of_work {
    cpv_compute *c;
    cpv_clip *m;
    const struct cpv_clip_param *param;
    cpv_tensor *mean, *square; /* Adam's, of each parameter */
    int params;
};

struct step {
    struct step_params p;
    struct place_of_work work;
    struct cpv_clip_how how;
    struct batch batch;
    pictures *pictures; /* NULL with stored embeddings */
    uint32_t *order;    /* of an epoch's samples */
    uint64_t epoch;
    size_t bytes;
    int64_t most_tokens;
};

/* ---- batches ---- */

static uint32_t micro_of(const step *s, uint32_t n)
{
    int64_t micro = s->p.set->micro_batch;

    return micro > 0 && micro < n ? (uint32_t)micro : n;
}

static void take_texts(step *s)
{
    struct batch *b = &s->batch;

    b->tokens = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const int32_t *ids = data_tokens(s->p.data, b->pick[i].caption, &b->length[i]);

        b->first[i] = b->tokens;
        memcpy(b->ids + b->tokens, ids, (size_t)b->length[i] * sizeof *ids);
        b->tokens += b->length[i];
    }
}

static void pick(step *s, uint64_t number)
{
    s->batch.n = data_pick_batch(s->p.data, &s->p.draw, number, s->order, &s->epoch,
                                 s->batch.pick);
}

/* ---- forward, loss, backward ---- */

static cpv_tensor embed(step *s, const struct place_of_work *w, uint32_t at, uint32_t n,
                        uint64_t number)
{
    const struct batch *b = &s->batch;
    struct cpv_clip_how how = s->how;
    cpv_rows rows = cpv_rows_put(w->c, b->length + at, (int32_t)n);
    cpv_tensor ids = cpv_put_i32(w->c, rows.total, 1, b->ids + b->first[at]);

    how.dice.step = number;
    how.dice.first = (int64_t)at;
    return cpv_l2norm(w->c, cpv_clip_text(w->c, w->m, ids, rows, &how), EPS);
}

static void back(const struct place_of_work *w, cpv_tensor text, cpv_tensor dtext)
{
    cpv_backward(w->c, text, dtext);
    cpv_tape_clear(w->c);
}

/* All at once. */
static void whole(step *s, const struct place_of_work *w, uint64_t number, float *figures)
{
    struct batch *b = &s->batch;
    int dim = cpv_clip_config(w->m)->dim;
    cpv_tensor image = cpv_put(w->c, b->n, dim, b->image), text;
    struct cpv_contrastive loss;

    cpv_tape_start(w->c);
    text = embed(s, w, 0, b->n, number);
    cpv_tape_stop(w->c);
    loss = cpv_contrastive(w->c, image, text, cpv_clip_logit_scale(w->m));
    back(w, text, loss.dtext);
    cpv_get(w->c, loss.figures, figures);
}

/* In parts: once to know the loss, once more to go back. */
static void parts(step *s, const struct place_of_work *w, uint64_t number, uint32_t micro,
                  float *figures)
{
    struct batch *b = &s->batch;
    int dim = cpv_clip_config(w->m)->dim;
    struct cpv_compute_mark mark = cpv_compute_mark(w->c);
    struct cpv_contrastive loss;
    uint32_t n;

    for (uint32_t at = 0; at < b->n; at += n) {
        n = b->n - at < micro ? b->n - at : micro;
        cpv_get(w->c, embed(s, w, at, n, number), b->text + (size_t)at * (size_t)dim);
        cpv_compute_rewind(w->c, mark);
    }
    loss = cpv_contrastive(w->c, cpv_put(w->c, b->n, dim, b->image),
                           cpv_put(w->c, b->n, dim, b->text), cpv_clip_logit_scale(w->m));
    cpv_get(w->c, loss.figures, figures);
    mark = cpv_compute_mark(w->c);
    for (uint32_t at = 0; at < b->n; at += n) {
        cpv_tensor text;

        n = b->n - at < micro ? b->n - at : micro;
        cpv_tape_start(w->c);
        text = embed(s, w, at, n, number);
        cpv_tape_stop(w->c);
        back(w, text, cpv_row_range(loss.dtext, at, n));
        cpv_compute_rewind(w->c, mark);
    }
}

/* ---- the optimizer ---- */

static bool last_of_its_weight(const struct place_of_work *w, int i)
{
    for (int k = i + 1; k < w->params; k++)
        if (w->param[k].weight == w->param[i].weight)
            return false;
    return true;
}

/* What the gradients are to be multiplied with; not a number: they are none. */
static float shorten(const step *s, const struct place_of_work *w)
{
    double sum = 0, norm;

    for (int i = 0; i < w->params; i++) {
        float square = 0;

        cpv_get(w->c, cpv_weight_grad_square(w->c, w->param[i].weight, w->param[i].which),
                &square);
        sum += (double)square;
    }
    norm = sqrt(sum);
    return norm > s->p.set->optimizer.max_norm
               ? (float)(s->p.set->optimizer.max_norm / (norm + 1e-6)) /* PyTorch's */
               : 1;
}

static void optimize(step *s, const struct place_of_work *w, uint64_t number)
{
    const struct settings *set = s->p.set;
    struct cpv_compute_mark mark = cpv_compute_mark(w->c);
    struct cpv_adam adam = {.lr = schedule_rate(&s->p.schedule, number),
                            .beta1 = set->optimizer.beta1,
                            .beta2 = set->optimizer.beta2,
                            .eps = set->optimizer.eps,
                            .decay = set->optimizer.weight_decay,
                            .decoupled = set->optimizer.name == OPTIMIZER_ADAMW,
                            .t = (int64_t)number + 1};
    float by = set->optimizer.max_norm > 0 ? shorten(s, w) : 1;

    for (int i = 0; i < w->params; i++) {
        const struct cpv_clip_param *p = &w->param[i];

        if (by < 1)
            cpv_weight_grad_scale(w->c, p->weight, p->which, by);
        cpv_adam(w->c, p->weight, p->which, w->mean[i], w->square[i], &adam);
        if (p->weight == cpv_clip_logit_scale(w->m) && set->tower.clamp && !set->parity)
            cpv_weight_clamp(w->c, p->weight, p->which, 0, logf(100));
        if (last_of_its_weight(w, i))
            cpv_weight_refresh(w->c, p->weight);
    }
    cpv_compute_rewind(w->c, mark);
}

static void work(step *s, const struct place_of_work *w, uint64_t number, float *figures)
{
    struct cpv_compute_mark mark = cpv_compute_mark(w->c);
    uint32_t micro = micro_of(s, s->batch.n);

    for (int i = 0; i < w->params; i++)
        if (last_of_its_weight(w, i))
            cpv_weight_clear(w->c, w->param[i].weight);
    if (micro < s->batch.n)
        parts(s, w, number, micro, figures);
    else
        whole(s, w, number, figures);
    optimize(s, w, number);
    cpv_compute_rewind(w->c, mark);
}

/* ---- images ---- */

/* Stored embeddings, or pictures through the tower; broken ones leave the batch. */
static int take_images(step *s, struct cpv_err *err)
{
    struct batch *b = &s->batch;
    size_t dim = (size_t)cpv_clip_config(s->p.model)->dim;
    uint32_t left = 0;
    int rc = CPV_OK;

    b->broken = 0;
    if (!s->pictures)
        for (uint32_t i = 0; i < b->n; i++)
            data_embedding(s->p.data, b->pick[i].sample, b->image + i * dim);
    for (uint32_t at = 0, n; s->pictures && at < b->n && !rc; at += n) {
        uint32_t sample[PICTURES];
        bool good[PICTURES];

        n = b->n - at < PICTURES ? b->n - at : PICTURES;
        for (uint32_t i = 0; i < n; i++)
            sample[i] = b->pick[at + i].sample;
        rc = pictures_embed(s->pictures, sample, n, good, b->image + left * dim, err);
        for (uint32_t i = 0; i < n && !rc; i++)
            if (good[i])
                b->pick[left++] = b->pick[at + i];
    }
    if (s->pictures) {
        b->broken = b->n - left;
        b->n = left;
    }
    return rc;
}

int step_run(step *s, uint64_t number, struct step_figures *out, struct cpv_err *err)
{
    float figures[CPV_LOSS_FIGURES] = {0}, scale = 0;
    int rc;

    memset(out, 0, sizeof *out);
    pick(s, number);
    rc = take_images(s, err);
    out->broken = s->batch.broken;
    out->rate = schedule_rate(&s->p.schedule, number);
    if (!rc && s->batch.n >= 2) {
        take_texts(s);
        work(s, &s->work, number, figures);
        rc = cpv_compute_sync(s->work.c, err);
    }
    if (!rc)
        rc = cpv_clip_scale(s->p.model, &scale, err);
    if (!rc && !isfinite(figures[CPV_LOSS]))
        rc = cpv_fail(err, CPV_E_INPUT,
                      "step %llu: the loss is no number; a smaller optimizer.lr may help",
                      (unsigned long long)number + 1);
    out->loss = (double)figures[CPV_LOSS];
    out->texts = (double)figures[CPV_LOSS_TEXTS];
    out->images = (double)figures[CPV_LOSS_IMAGES];
    out->scale = (double)scale;
    out->pairs = s->batch.n;
    out->tokens = (uint64_t)s->batch.tokens;
    return rc;
}

/* ---- life ---- */

static int place_open(struct place_of_work *w, cpv_clip *m, cpv_device *device,
                      size_t arena, int threads, struct cpv_err *err)
{
    struct cpv_compute_params params = {.arena = arena, .threads = threads};
    int rc = cpv_compute_open(&w->c, device, &params, err);

    w->m = m;
    w->params = cpv_clip_trained(m, &w->param);
    w->mean = cpv_calloc((size_t)w->params + 1, sizeof *w->mean);
    w->square = cpv_calloc((size_t)w->params + 1, sizeof *w->square);
    if (!rc && (!w->mean || !w->square))
        rc = cpv_fail_memory(err);
    for (int i = 0; i < w->params && !rc; i++) {
        w->mean[i] = cpv_zeros(w->c, w->param[i].rows, w->param[i].cols);
        w->square[i] = cpv_zeros(w->c, w->param[i].rows, w->param[i].cols);
    }
    return rc ? rc : cpv_compute_sync(w->c, err);
}

static void place_close(struct place_of_work *w)
{
    cpv_compute_close(&w->c);
    cpv_free(w->mean);
    cpv_free(w->square);
}

/* Of all batches to come: those that no earlier one outdoes in tokens and in length. */
static void dry_batches(step *s, const struct place_of_work *w)
{
    int32_t most = 0, longest = 0;
    float figures[CPV_LOSS_FIGURES];

    for (uint64_t i = s->p.first; i < s->p.steps; i++) {
        int32_t tokens = 0, length = 0, n;

        pick(s, i);
        for (uint32_t k = 0; k < s->batch.n; k++) {
            (void)data_tokens(s->p.data, s->batch.pick[k].caption, &n);
            tokens += n;
            length = n > length ? n : length;
        }
        if (tokens <= most && length <= longest)
            continue;
        most = tokens > most ? tokens : most;
        longest = length > longest ? length : longest;
        take_texts(s);
        work(s, w, i, figures);
    }
    s->most_tokens = most;
}

static int measure(step *s, struct cpv_err *err)
{
    struct place_of_work dry = {0};
    struct cpv_clip_params params = {.text = true};
    struct cpv_clip_train train;
    cpv_device *device = NULL;
    cpv_clip *m = NULL;
    int rc = cpv_dry_twin(&device, cpv_clip_device(s->p.model), err);

    params.train = &train;
    params.adapter = s->p.set->model.adapter;
    if (!rc)
        rc = settings_train(s->p.set, &train, err);
    if (!rc)
        rc = cpv_clip_open(&m, device, cpv_clip_path(s->p.model), &params, err);
    if (!rc)
        rc = place_open(&dry, m, device, 0, s->p.threads, err);
    if (!rc) {
        dry_batches(s, &dry);
        rc = cpv_compute_sync(dry.c, err);
    }
    if (!rc)
        s->bytes = cpv_compute_peak(dry.c);
    place_close(&dry);
    cpv_clip_close(&m);
    cpv_device_close(&device);
    return rc;
}

static int open_batch(step *s, struct cpv_err *err)
{
    struct batch *b = &s->batch;
    size_t n = s->p.draw.batch, dim = (size_t)cpv_clip_config(s->p.model)->dim;
    size_t context = (size_t)cpv_clip_config(s->p.model)->context;

    b->pick = cpv_calloc(n, sizeof *b->pick);
    b->ids = cpv_calloc(n * context, sizeof *b->ids);
    b->length = cpv_calloc(n, sizeof *b->length);
    b->first = cpv_calloc(n, sizeof *b->first);
    b->image = cpv_calloc(n * dim, sizeof *b->image);
    b->text = cpv_calloc(n * dim, sizeof *b->text);
    s->order = cpv_calloc(data_samples(s->p.data), sizeof *s->order);
    s->epoch = UINT64_MAX;
    return b->pick && b->ids && b->length && b->first && b->image && b->text && s->order
               ? CPV_OK
               : cpv_fail_memory(err);
}

static void open_how(step *s)
{
    const struct settings *set = s->p.set;
    const struct cpv_clip_config *k = cpv_clip_config(s->p.model);
    double hidden = set->tower.hidden_dropout, attention = set->tower.attention_dropout;

    s->how.checkpointing = set->tower.checkpointing;
    s->how.pad_to = (int)set->tower.pad_to;
    s->how.hidden = (float)(hidden < 0 ? k->text.dropout : hidden);
    s->how.attention = (float)(attention < 0 ? k->text.attention_dropout : attention);
    s->how.lora = (float)cpv_clip_pairs(s->p.model)->dropout;
    s->how.dice.seed = (uint64_t)set->seed;
}

int step_open(step **out, const struct step_params *params, struct cpv_err *err)
{
    step *s = cpv_calloc(1, sizeof *s);
    struct pictures_params how = {.model = params->model,
                                  .data = params->data,
                                  .most = PICTURES,
                                  .threads = params->threads,
                                  .max_pixels = params->set->data.max_pixels,
                                  .log = params->log};
    int rc = s ? CPV_OK : cpv_fail_memory(err);

    *out = NULL;
    if (rc)
        return rc;
    s->p = *params;
    open_how(s);
    rc = open_batch(s, err);
    if (!rc)
        rc = measure(s, err);
    if (!rc)
        rc = place_open(&s->work, s->p.model, cpv_clip_device(s->p.model), s->bytes,
                        s->p.threads, err);
    if (!rc && params->set->data.image == IMAGE_PIXELS)
        rc = pictures_open(&s->pictures, &how, err);
    if (rc)
        step_close(&s);
    *out = s;
    return rc;
}

void step_close(step **sp)
{
    step *s = *sp;

    if (!s)
        return;
    pictures_close(&s->pictures);
    place_close(&s->work);
    cpv_free(s->batch.pick);
    cpv_free(s->batch.ids);
    cpv_free(s->batch.length);
    cpv_free(s->batch.first);
    cpv_free(s->batch.image);
    cpv_free(s->batch.text);
    cpv_free(s->order);
    cpv_free(s);
    *sp = NULL;
}

size_t step_bytes(const step *s)
{
    return s->bytes;
}

cpv_compute *step_compute(const step *s)
{
    return s->work.c;
}

int64_t step_tokens(const step *s)
{
    return s->most_tokens;
}

/* ---- parameters and moments ---- */

int step_params_count(const step *s)
{
    return s->work.params;
}

const struct cpv_clip_param *step_param(const step *s, int i)
{
    return &s->work.param[i];
}

int step_get(step *s, int i, enum step_kind kind, float *to, struct cpv_err *err)
{
    const struct cpv_clip_param *p = &s->work.param[i];
    cpv_tensor t = kind == STEP_PARAM  ? cpv_weight_param(p->weight, p->which)
                   : kind == STEP_MEAN ? s->work.mean[i]
                                       : s->work.square[i];

    cpv_get(s->work.c, t, to);
    return cpv_compute_sync(s->work.c, err);
}

int step_set(step *s, int i, enum step_kind kind, const float *from, struct cpv_err *err)
{
    const struct cpv_clip_param *p = &s->work.param[i];

    if (kind == STEP_PARAM) {
        cpv_weight_set(s->work.c, p->weight, p->which, from);
        cpv_weight_refresh(s->work.c, p->weight);
    } else
        cpv_set(s->work.c, kind == STEP_MEAN ? s->work.mean[i] : s->work.square[i], from);
    return cpv_compute_sync(s->work.c, err);
}
