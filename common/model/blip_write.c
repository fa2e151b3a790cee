/* SPDX-License-Identifier: Apache-2.0 */
/* Images for the generator: each is looked at once, its prompts write from that. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/sys.h"
#include "common/model/blip_impl.h"
#include "common/model/generate.h"

enum { IMAGES = 4, PROMPTS = 10, PROMPT = 32, TARGET = 50 };

struct cpv_blip_worker {
    const cpv_blip *m;
    struct cpv_search search;
    struct cpv_blip_limits limits;
    cpv_generator *generator;
    /* For a call. */
    const struct cpv_prompt *prompt;
    int prompts;
    cpv_blip_next *next;
    cpv_blip_emit *emit;
    void *arg;
    const float *pixels; /* of the image that was just taken */
    int64_t looked;      /* ns, over all calls */
};

/* ---- prompts and captions as text ---- */

int cpv_blip_prompt(const cpv_blip *m, struct cpv_bytes text, struct cpv_ids *ids,
                    struct cpv_err *err)
{
    size_t first = ids->count;
    int rc = cpv_wordpiece_encode(m->tokenizer, text, ids, err);

    if (rc)
        return rc;
    ids->data[first] = m->config.text.bos; /* for [CLS] */
    ids->count--;                          /* and no [SEP] */
    for (size_t i = first; i < ids->count; i++)
        if (ids->data[i] >= m->config.text.vocab)
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s/vocab.txt': token %d of a prompt is none of the "
                            "model's %d",
                            m->folder, ids->data[i], m->config.text.vocab);
    return CPV_OK;
}

int cpv_blip_text(const cpv_blip *m, const int32_t *prompt, int prompt_n,
                  const int32_t *tokens, int n, struct cpv_buf *out, struct cpv_err *err)
{
    struct cpv_ids ids = {0};
    int rc;

    /* bos has no text, but its number may be another word's in a small vocabulary */
    for (int i = 0; i < prompt_n; i++)
        if (prompt[i] != m->config.text.bos)
            cpv_ids_add(&ids, prompt[i]);
    for (int i = 0; i < n; i++)
        if (tokens[i] != m->config.text.bos)
            cpv_ids_add(&ids, tokens[i]);
    rc = ids.failed ? cpv_fail_memory(err)
                    : cpv_wordpiece_decode(m->tokenizer, ids.data, ids.count, out, err);
    cpv_ids_release(&ids);
    return rc;
}

/* ---- what the generator asks of a model ---- */

static cpv_tensor decode(cpv_compute *c, const void *self, cpv_tensor ids, cpv_rows rows,
                         cpv_kv *history, cpv_slots slots, const cpv_kv *memory,
                         cpv_slots memories)
{
    return blip_decode(c, self, ids, rows, history, slots, memory, memories);
}

static cpv_tensor logits(cpv_compute *c, const void *self, cpv_tensor x)
{
    return blip_logits(c, self, x);
}

static struct cpv_generate_model model_of(const cpv_blip *m)
{
    struct cpv_generate_model model = {.self = m,
                                       .layers = m->config.text.layers,
                                       .width = m->config.text.width,
                                       .vocab = m->config.text.vocab,
                                       .decode = decode,
                                       .logits = logits};

    return model;
}

static void look(cpv_compute *c, const cpv_blip *m, const float *pixels, cpv_kv *memory,
                 int32_t slot)
{
    int64_t side = m->config.vision.image;
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_tensor x = cpv_vit_encode(c, &m->vision, cpv_put(c, 1, 3 * side * side, pixels));

    x = cpv_compute_keep(c, mark, x);
    cpv_kv_extend(c, memory, cpv_rows_equal(c, m->config.vision.tokens, 1),
                  cpv_slots_put(c, &slot, 1));
    blip_remember(c, m, x, memory);
}

/* ---- the worst case, on shapes alone ---- */

static void look_once(void *arg, cpv_compute *c, cpv_kv *memory)
{
    struct cpv_compute_mark mark = cpv_compute_mark(c);

    look(c, arg, NULL, memory, 0);
    cpv_compute_rewind(c, mark);
}

static struct cpv_generate_limits limits_of(const cpv_blip_worker *w)
{
    const struct cpv_blip_limits *l = &w->limits;
    struct cpv_generate_limits limits = {.sources = l->images,
                                         .admitted = 1,
                                         .sequences = l->prompts,
                                         .memory = w->m->config.vision.tokens,
                                         .prompt = l->prompt,
                                         .target = l->target,
                                         .threads = l->threads};

    return limits;
}

static int measure(const cpv_blip_worker *w, size_t *bytes, struct cpv_err *err)
{
    struct cpv_generate_limits limits = limits_of(w);
    struct cpv_generate_model model;
    cpv_device *device = NULL;
    cpv_blip *dry = NULL;
    int rc = cpv_dry_twin(&device, w->m->device, err);

    if (!rc)
        rc = cpv_blip_open(&dry, device, w->m->folder, err);
    if (!rc) {
        model = model_of(dry);
        rc = cpv_generator_measure(&model, device, &w->search, &limits, look_once, dry,
                                   bytes, err);
    }
    cpv_blip_close(&dry);
    cpv_device_close(&device);
    return rc;
}

/* ---- life ---- */

static int or_default(int n, int otherwise)
{
    return n ? n : otherwise;
}

static int set_limits(cpv_blip_worker *w, const struct cpv_blip_limits *l,
                      struct cpv_err *err)
{
    int positions = w->m->config.text.positions;

    w->limits = (struct cpv_blip_limits){.images = or_default(l->images, IMAGES),
                                         .prompts = or_default(l->prompts, PROMPTS),
                                         .prompt = or_default(l->prompt, PROMPT),
                                         .target = or_default(l->target, TARGET),
                                         .threads = or_default(l->threads, 1)};
    l = &w->limits;
    if (l->images < 1 || l->prompts < 1 || l->prompt < 1 || l->target < 1 ||
        l->threads < 1)
        return cpv_fail(err, CPV_E_USAGE, "limits of captions below 1");
    if (l->prompt + l->target - 1 > positions)
        return cpv_fail(err, CPV_E_USAGE,
                        "a prompt of %d tokens and %d new ones: the model has %d "
                        "positions",
                        l->prompt, l->target, positions);
    return CPV_OK;
}

int cpv_blip_worker_open(cpv_blip_worker **out, const cpv_blip *m,
                         const struct cpv_search *search,
                         const struct cpv_blip_limits *limits, struct cpv_err *err)
{
    struct cpv_generate_model model = model_of(m);
    struct cpv_generate_limits most;
    cpv_blip_worker *w = cpv_calloc(1, sizeof *w);
    size_t arena = 0;
    int rc;

    *out = NULL;
    if (!w)
        return cpv_fail_memory(err);
    w->m = m;
    w->search = *search;
    rc = set_limits(w, limits, err);
    if (!rc)
        rc = measure(w, &arena, err);
    if (!rc) {
        most = limits_of(w);
        rc = cpv_generator_open(&w->generator, &model, m->device, search, &most, arena,
                                err);
    }
    if (rc)
        cpv_blip_worker_close(&w);
    *out = w;
    return rc;
}

void cpv_blip_worker_close(cpv_blip_worker **w)
{
    if (!*w)
        return;
    cpv_generator_close(&(*w)->generator);
    cpv_free(*w);
    *w = NULL;
}

size_t cpv_blip_worker_bytes(const cpv_blip_worker *w)
{
    return cpv_generator_bytes(w->generator);
}

int64_t cpv_blip_worker_looked(const cpv_blip_worker *w)
{
    return w->looked;
}

/* ---- a call ---- */

/* One image at a time: its prompts then run in one batch with what others write. */
static int take(void *arg, int used, int room, struct cpv_source_text *out, int *n,
                bool *over, struct cpv_err *err)
{
    cpv_blip_worker *w = arg;
    struct cpv_blip_image image;
    int got = w->next(w->arg, used == 0, &image, err);

    (void)room;
    if (got == 1) {
        w->pixels = image.pixels;
        *n = 1;
        *out = (struct cpv_source_text){.id = image.number,
                                        .number = image.number,
                                        .most = w->limits.target,
                                        .prompt = w->prompt,
                                        .sequences = w->prompts};
    } else if (got == CPV_BLIP_LATER && used == 0) {
        return cpv_fail(err, CPV_E_BUG, "an image that was waited for did not come");
    }
    *over = got == 0;
    return got < 0 ? got : CPV_OK;
}

static void encode(void *arg, cpv_compute *c, cpv_kv *memory, const int32_t *slot, int n)
{
    cpv_blip_worker *w = arg;
    int64_t start = cpv_clock_ns();

    (void)n;
    look(c, w->m, w->pixels, memory, *slot);
    w->looked += cpv_clock_ns() - start;
}

static int give(void *arg, uint64_t id, const cpv_beam *const *beam, int n,
                struct cpv_err *err)
{
    const cpv_blip_worker *w = arg;

    return w->emit(w->arg, id, beam, n, err);
}

static int check(const cpv_blip_worker *w, const struct cpv_prompt *prompt, int n,
                 struct cpv_err *err)
{
    int vocab = w->m->config.text.vocab;

    if (n < 1 || n > w->limits.prompts)
        return cpv_fail(err, CPV_E_BUG, "%d prompts, expected 1 to %d", n,
                        w->limits.prompts);
    for (int i = 0; i < n; i++) {
        if (prompt[i].n < 1 || prompt[i].n > w->limits.prompt)
            return cpv_fail(err, CPV_E_BUG, "prompt %d has %d tokens, expected 1 to %d",
                            i, prompt[i].n, w->limits.prompt);
        for (int k = 0; k < prompt[i].n; k++)
            if (prompt[i].ids[k] < 0 || prompt[i].ids[k] >= vocab)
                return cpv_fail(err, CPV_E_BUG, "prompt %d: no token %d in %d", i,
                                prompt[i].ids[k], vocab);
    }
    return CPV_OK;
}

int cpv_blip_caption(cpv_blip_worker *w, const struct cpv_prompt *prompt, int n,
                     cpv_blip_next *next, cpv_blip_emit *emit, void *arg,
                     struct cpv_err *err)
{
    struct cpv_generate_feed feed = {
        .arg = w, .take = take, .encode = encode, .emit = give};
    int rc = check(w, prompt, n, err);

    w->prompt = prompt;
    w->prompts = n;
    w->next = next;
    w->emit = emit;
    w->arg = arg;
    return rc ? rc : cpv_generate(w->generator, &feed, err);
}
