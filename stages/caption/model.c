/* SPDX-License-Identifier: Apache-2.0 */
/* The model behind an engine: BLIP. Another one gets a file like this. */
#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/model/blip.h"
#include "common/model/pixels.h"
#include "common/text/wordpiece.h"
#include "stages/caption/caption.h"

/* That a worker has in work, by default. Keys and values are 85 MB an image of BLIP base;
 * products of 40 rows are about as fast on a processor as those of 80. */
enum { IMAGES = 4, IMAGES_GPU = 32 };

struct caption_model {
    struct engine_params p;
    cpv_device *device;
    cpv_blip *blip;
    struct cpv_ids ids;        /* of the prompts, one after another */
    struct cpv_prompt *prompt; /* n views of them */
    int n, longest;
};

struct caption_worker {
    const caption_model *m;
    cpv_blip_worker *blip;
    const struct caption_stream *stream; /* of the call under way */
    struct picture **held;               /* given to the model and not described yet */
    int n_held, room;
    int64_t looked;        /* ns, of those described before */
    struct picture *later; /* its turn comes when one with its number has left */
};

/* ---- life ---- */

static int read_prompts(caption_model *m, struct cpv_err *err)
{
    const struct cpv_texts *t = &m->p.set->prompts;
    size_t at = 0;
    int rc = CPV_OK;

    m->n = (int)t->count;
    m->prompt = cpv_calloc(t->count, sizeof *m->prompt);
    if (!m->prompt)
        return cpv_fail_memory(err);
    for (int i = 0; i < m->n && !rc; i++) {
        size_t before = m->ids.count;

        rc = cpv_blip_prompt(m->blip, cpv_bytes_str(t->at[i]), &m->ids, err);
        m->prompt[i].n = (int)(m->ids.count - before);
        if (m->prompt[i].n > m->longest)
            m->longest = m->prompt[i].n;
    }
    /* They have their place only now that the list does not grow any more. */
    for (int i = 0; i < m->n && !rc; at += (size_t)m->prompt[i++].n)
        m->prompt[i].ids = m->ids.data + at;
    return rc;
}

int model_open(caption_model **out, const struct engine_params *params,
               struct cpv_err *err)
{
    caption_model *m = cpv_calloc(1, sizeof *m);
    int rc;

    *out = NULL;
    if (!m)
        return cpv_fail_memory(err);
    m->p = *params;
    rc = cpv_model_device(&m->device, params->device, params->set->weights, err);
    if (!rc)
        rc = cpv_blip_open(&m->blip, m->device, params->model, err);
    if (!rc)
        rc = read_prompts(m, err);
    if (rc)
        model_close(&m);
    *out = m;
    return rc;
}

/* As a worker would say it, but before anything is begun. */
static int check_prompts(const struct caption_settings *set, const char *folder,
                         int positions, struct cpv_err *err)
{
    cpv_wordpiece *tokenizer = NULL;
    struct cpv_ids ids = {0};
    int rc = cpv_wordpiece_open(&tokenizer, folder, err);

    for (size_t i = 0; i < set->prompts.count && !rc; i++) {
        ids.count = 0;
        rc =
            cpv_wordpiece_encode(tokenizer, cpv_bytes_str(set->prompts.at[i]), &ids, err);
        /* Without [SEP]; and the last of the new ones is not looked at any more. */
        if (!rc && (int64_t)ids.count - 1 + set->max_new_tokens - 1 > positions)
            rc = cpv_fail(err, CPV_E_USAGE,
                          "a prompt of %zu tokens ('%s') and max_new_tokens of %lld are "
                          "more than the model's %d positions",
                          ids.count - 1, set->prompts.at[i],
                          (long long)set->max_new_tokens, positions);
    }
    cpv_ids_release(&ids);
    cpv_wordpiece_close(&tokenizer);
    return rc;
}

int model_check(const struct caption_settings *set, const char *folder,
                struct cpv_err *err)
{
    struct cpv_device_params dry = {.name = "dry", .weights = CPV_F32, .values = CPV_F32};
    cpv_device *device = NULL;
    cpv_blip *blip = NULL;
    int rc = cpv_device_open(&device, &dry, err);

    if (!rc)
        rc = cpv_blip_open(&blip, device, folder, err);
    if (!rc)
        rc = check_prompts(set, folder, cpv_blip_config(blip)->text.positions, err);
    cpv_blip_close(&blip);
    cpv_device_close(&device);
    return rc;
}

void model_close(caption_model **m)
{
    if (!*m)
        return;
    cpv_ids_release(&(*m)->ids);
    cpv_free((*m)->prompt);
    cpv_blip_close(&(*m)->blip);
    cpv_device_close(&(*m)->device);
    cpv_free(*m);
    *m = NULL;
}

bool model_is_cpu(const caption_model *m)
{
    return strncmp(cpv_device_name(m->device), "cuda", 4) != 0;
}

int model_images(const caption_model *m)
{
    if (m->p.set->images)
        return (int)m->p.set->images;
    return model_is_cpu(m) ? IMAGES : IMAGES_GPU;
}

/* ---- pictures ---- */

int model_prepare(const caption_model *m, caption_maker **maker, struct picture *p,
                  struct cpv_err *err)
{
    const struct cpv_pixels_config *config = cpv_blip_pixels(m->blip);
    size_t side = (size_t)config->size;
    enum cpv_image_status status = CPV_IMAGE_OK;
    const char *detail = "";
    int rc = *maker ? CPV_OK : cpv_pixels_open(maker, config, err);

    if (rc || p->status)
        return rc;
    p->pixels = cpv_alloc(3 * side * side * sizeof *p->pixels);
    if (!p->pixels)
        return cpv_fail_memory(err);
    rc = cpv_pixels_make(*maker, cpv_buf_view(&p->file), m->p.set->max_pixels, p->pixels,
                         &status, &detail, err);
    if (!rc && status != CPV_IMAGE_OK) {
        p->status = cpv_image_status_name(status);
        (void)snprintf(p->detail, sizeof p->detail, "%s", detail ? detail : "");
    }
    return rc;
}

void model_maker_close(caption_maker **maker)
{
    cpv_pixels_close(maker);
}

/* ---- workers ---- */

int model_worker_open(caption_worker **out, const caption_model *m, struct cpv_err *err)
{
    const struct caption_settings *set = m->p.set;
    struct cpv_search search = cpv_blip_search(m->blip);
    struct cpv_blip_limits limits = {.images = model_images(m),
                                     .prompts = m->n,
                                     .prompt = m->longest,
                                     .target = (int)set->max_new_tokens,
                                     .threads = 1};
    caption_worker *w = cpv_calloc(1, sizeof *w);
    int rc = w ? CPV_OK : cpv_fail_memory(err);

    *out = NULL;
    search.beams = set->beams > 1 ? (int)set->beams : 1;
    search.length_penalty = (float)set->length_penalty;
    cpv_model_sample(&search, &set->sampling, m->p.seed);
    if (!rc) {
        w->m = m;
        /* One more: the model may ask for the next before it says what the last gave. */
        w->room = limits.images + 1;
        w->held = cpv_calloc((size_t)w->room, sizeof(struct picture *));
        rc = w->held ? cpv_blip_worker_open(&w->blip, m->blip, &search, &limits, err)
                     : cpv_fail_memory(err);
    }
    if (rc)
        model_worker_close(&w);
    *out = w;
    return rc;
}

void model_worker_close(caption_worker **w)
{
    if (!*w)
        return;
    for (int i = 0; i < (*w)->n_held; i++)
        picture_free(&(*w)->held[i]);
    picture_free(&(*w)->later);
    cpv_free((*w)->held);
    cpv_blip_worker_close(&(*w)->blip);
    cpv_free(*w);
    *w = NULL;
}

static int find(const caption_worker *w, uint64_t number)
{
    int i = 0;

    while (i < w->n_held && w->held[i]->number != number)
        i++;
    return i;
}

static int next(void *arg, bool wait, struct cpv_blip_image *out, struct cpv_err *err)
{
    caption_worker *w = arg;
    struct picture *p;
    int rc = 1;

    if (w->n_held == w->room)
        return cpv_fail(err, CPV_E_BUG, "more than %d images in work", w->room);
    if (!w->later)
        rc = w->stream->next(w->stream->arg, wait, &w->later, err);
    if (rc == PICTURE_LATER)
        return CPV_BLIP_LATER;
    if (rc != 1)
        return rc;
    p = w->later;
    if (find(w, p->number) < w->n_held)
        return CPV_BLIP_LATER; /* what comes back could not be told apart */
    w->later = NULL;
    w->held[w->n_held++] = p;
    out->number = p->number;
    out->pixels = p->pixels;
    return 1;
}

/* Texts stand behind one another; where, is only known when the buffer has its size. */
static int put_caption(const caption_model *m, struct picture *p, int i,
                       const cpv_beam *beam, struct cpv_err *err)
{
    const int32_t *tokens = NULL;
    float score = 0;
    size_t before = p->texts.size;
    int n = cpv_beam_best(beam, 0, &tokens, &score), rc;

    if (n < 0)
        n = 0;
    rc = cpv_blip_text(m->blip, m->prompt[i].ids, m->prompt[i].n, tokens, n, &p->texts,
                       err);
    p->captions[i] = (struct caption){.text = cpv_bytes_of(NULL, p->texts.size - before),
                                      .prompt = (uint32_t)m->prompt[i].n,
                                      .tokens = (uint32_t)n,
                                      .cut = cpv_beam_was_cut(beam)};
    return rc;
}

static int emit(void *arg, uint64_t number, const cpv_beam *const *beam, int n,
                struct cpv_err *err)
{
    caption_worker *w = arg;
    int which = find(w, number), rc = CPV_OK;
    struct picture *p;
    size_t at = 0;

    if (which == w->n_held)
        return cpv_fail(err, CPV_E_BUG, "captions of an image that was not given");
    p = w->held[which];
    p->captions = cpv_calloc((size_t)n, sizeof *p->captions);
    if (!p->captions)
        rc = cpv_fail_memory(err);
    for (int i = 0; i < n && !rc; i++)
        rc = put_caption(w->m, p, i, beam[i], err);
    if (!rc && p->texts.failed)
        rc = cpv_fail_memory(err);
    if (rc)
        return rc;
    for (int i = 0; i < n && p->texts.size; at += p->captions[i++].text.size)
        p->captions[i].text.data = p->texts.data + at;
    p->n = (uint32_t)n;
    p->vision_us = (uint64_t)(cpv_blip_worker_looked(w->blip) - w->looked) / 1000;
    w->looked = cpv_blip_worker_looked(w->blip);
    w->held[which] = w->held[--w->n_held];
    return w->stream->done(w->stream->arg, p, err);
}

int model_run(caption_worker *w, const struct caption_stream *s, struct cpv_err *err)
{
    w->stream = s;
    return cpv_blip_caption(w->blip, w->m->prompt, w->m->n, next, emit, w, err);
}
