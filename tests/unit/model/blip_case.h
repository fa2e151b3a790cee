/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of BLIP share: the models of tests/golden/blip and what is expected of
 * them (tests/fixtures/make_blip.py says what the lines of expected.txt are), streams of
 * pictures, and captions kept.
 */
#ifndef CPV_TESTS_UNIT_MODEL_BLIP_CASE_H
#define CPV_TESTS_UNIT_MODEL_BLIP_CASE_H

#include "common/model/blip.h"
#include "tests/unit/model/on_device.h"

enum {
    IMAGES = 4,
    PROMPTS = 9,
    RESULTS = 8,
    SEARCHES = 6,
    FORCED = 4,
    TEXTS = 20,
    SIDE = 21, /* of the largest picture */
    NEW = 12,
    STREAM = 16 /* pictures of a call */
};

/* What a picture and a prompt give, best first. */
struct captions {
    struct sequence out[RESULTS];
    int outs;
    bool known;
};

struct one_search {
    int beams, target;
    float penalty;
    bool early;
    struct captions c[IMAGES][PROMPTS];
    struct captions *last;
};

struct text {
    bool encode;
    struct sequence ids;
    char text[128];
};

struct expected {
    struct one_search search[SEARCHES];
    struct sequence prompt[PROMPTS], forced[FORCED];
    struct text text[TEXTS];
    int forced_image[FORCED];
    int searches, prompts, texts, forces;
};

static const char *const names[] = {"base", "narrow", "deep", "bin"};

static struct expected want; /* of the model at hand */
static cpv_blip *model;
static float pixels[IMAGES][3 * SIDE * SIDE];

/* ---- what is expected ---- */

static inline void read_text(char *at, bool encode)
{
    struct text *t = &want.text[want.texts++];

    assert_true(want.texts <= TEXTS);
    t->encode = encode;
    at = numbers(at, &t->ids);
    at = strstr(at, "/ ");
    assert_non_null(at);
    (void)snprintf(t->text, sizeof t->text, "%s", at + 2);
    t->text[strcspn(t->text, "\n")] = '\0';
}

static inline void read_search(char *at)
{
    struct one_search *s = &want.search[want.searches++];

    assert_true(want.searches <= SEARCHES);
    s->beams = (int)strtol(at, &at, 10);
    s->penalty = strtof(at, &at);
    s->early = strtol(at, &at, 10) != 0;
    s->target = (int)strtol(at, &at, 10);
}

static inline void read_line(char *line)
{
    struct one_search *s = want.searches ? &want.search[want.searches - 1] : NULL;
    char *at = line + strcspn(line, " ");

    if (strncmp(line, "encode ", 7) == 0 || strncmp(line, "decode ", 7) == 0) {
        read_text(at, *line == 'e');
    } else if (strncmp(line, "prompt ", 7) == 0) {
        assert_true(want.prompts < PROMPTS);
        numbers(at, &want.prompt[want.prompts++]);
    } else if (strncmp(line, "search ", 7) == 0) {
        read_search(at);
    } else if (s && strncmp(line, "in ", 3) == 0) {
        long image = strtol(at, &at, 10), prompt = strtol(at, &at, 10);

        assert_true(image < IMAGES && prompt < want.prompts);
        s->last = &s->c[image][prompt];
        s->last->known = true;
    } else if (s && strncmp(line, "out ", 4) == 0) {
        assert_true(s->last->outs < RESULTS);
        s->last->out[s->last->outs].score = strtof(at, &at);
        numbers(at, &s->last->out[s->last->outs++]);
    } else {
        assert_true(strncmp(line, "force ", 6) == 0 && want.forces < FORCED);
        want.forced_image[want.forces] = (int)strtol(at, &at, 10);
        at += strspn(at, " /");
        numbers(at, &want.forced[want.forces++]);
    }
}

static inline void read_images(const char *name)
{
    size_t side = (size_t)cpv_blip_config(model)->vision.image;
    FILE *f = open_golden("blip", name, "images.bin");

    assert_true(side <= SIDE);
    for (int i = 0; i < IMAGES; i++)
        for (size_t k = 0; k < 3 * side * side; k++)
            pixels[i][k] = (float)(fgetc(f) - 128) / 64;
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static inline void open_model(const char *name)
{
    char line[2048], path[4096];
    FILE *f = open_golden("blip", name, "expected.txt");

    memset(&want, 0, sizeof want);
    while (fgets(line, sizeof line, f))
        read_line(line);
    fclose(f);
    assert_int_equal(want.searches, SEARCHES);
    assert_int_equal(want.prompts, PROMPTS);
    (void)snprintf(path, sizeof path, "%s/blip/%s", golden, name);
    assert_ok(cpv_blip_open(&model, device, path, &err));
    read_images(name);
}

/* ---- captions ---- */

/* A stream of images, and what comes of it. */
struct stream {
    int image[STREAM], n;   /* numbers, in the order in which they come */
    int at, waits, later;   /* of every `later` times asked, one has no image yet */
    int fails_at, stops_at; /* by then next fails, or emit says no; -1: never */
    int prompts;
    uint64_t salt; /* of the numbers that images have */
    struct captions got[IMAGES][PROMPTS];
    int emitted[IMAGES], done;
};

static const uint64_t NUMBER =
    1000003; /* what an image is called: this times its place */

static inline int next(void *arg, bool wait, struct cpv_blip_image *out,
                       struct cpv_err *e)
{
    struct stream *s = arg;

    if (s->at == s->fails_at)
        return cpv_fail(e, CPV_E_IO, "the camera is broken");
    if (!wait && s->later && ++s->waits % s->later == 0)
        return CPV_BLIP_LATER;
    if (s->at == s->n)
        return 0;
    out->number = (uint64_t)s->image[s->at] * NUMBER + s->salt;
    out->pixels = pixels[s->image[s->at++]];
    return 1;
}

static inline void keep(const cpv_beam *beam, struct captions *c)
{
    const int32_t *tokens;
    int n;

    for (c->outs = 0;
         (n = cpv_beam_best(beam, c->outs, &tokens, &c->out[c->outs].score)) >= 0;
         c->outs++) {
        assert_true(n <= IDS && c->outs < RESULTS);
        c->out[c->outs].n = n;
        if (n)
            memcpy(c->out[c->outs].id, tokens, (size_t)n * sizeof *tokens);
    }
    c->known = true;
}

static inline int emit(void *arg, uint64_t number, const cpv_beam *const *beam, int n,
                       struct cpv_err *e)
{
    struct stream *s = arg;
    size_t image = (size_t)(number / NUMBER);

    (void)e;
    assert_true(image < IMAGES && number % NUMBER == s->salt);
    assert_int_equal(n, s->prompts);
    s->emitted[image]++;
    for (int i = 0; i < n; i++)
        keep(beam[i], &s->got[image][i]);
    return ++s->done == s->stops_at ? 12345 : 0;
}

static inline struct stream stream_of(int n)
{
    struct stream s = {.n = n, .fails_at = -1, .stops_at = -1};

    assert_true(n <= STREAM);
    for (int i = 0; i < n; i++)
        s.image[i] = i % IMAGES;
    return s;
}

static inline struct cpv_search search_of(const struct one_search *s)
{
    struct cpv_search search = cpv_blip_search(model);

    search.beams = s->beams;
    search.length_penalty = s->penalty;
    search.early_stopping = s->early;
    return search;
}

static inline cpv_blip_worker *worker(const struct cpv_search *search, int target,
                                      int images, int threads)
{
    struct cpv_blip_limits limits = {.images = images,
                                     .prompts = PROMPTS,
                                     .prompt = 13,
                                     .target = target,
                                     .threads = threads};
    cpv_blip_worker *w;

    assert_ok(cpv_blip_worker_open(&w, model, search, &limits, &err));
    assert_true(cpv_blip_worker_bytes(w) > 0);
    return w;
}

static inline struct cpv_prompt prompt_of(const struct sequence *s)
{
    return (struct cpv_prompt){s->id, s->n};
}

static inline void fill_prompts(struct cpv_prompt *to)
{
    for (int i = 0; i < PROMPTS; i++)
        to[i] = prompt_of(&want.prompt[i]);
}

static inline void run_all(cpv_blip_worker *w, struct stream *s)
{
    struct cpv_prompt prompt[PROMPTS];
    int rc;

    fill_prompts(prompt);
    s->prompts = PROMPTS;
    rc = cpv_blip_caption(w, prompt, PROMPTS, next, emit, s, &err);
    if (rc)
        fail_msg("%d: %s", rc, err.text);
    assert_int_equal(s->done, s->n);
    assert_int_equal(s->at, s->n);
}

static inline void expect_same(const struct captions *a, const struct captions *b)
{
    assert_true(a->known && b->known);
    assert_int_equal(a->outs, b->outs);
    for (int k = 0; k < a->outs; k++) {
        assert_int_equal(a->out[k].n, b->out[k].n);
        assert_memory_equal(&a->out[k].score, &b->out[k].score, sizeof(float));
        assert_memory_equal(a->out[k].id, b->out[k].id,
                            (size_t)a->out[k].n * sizeof(int32_t));
    }
}

static inline void expect_same_stream(const struct stream *a, const struct stream *b)
{
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < PROMPTS; k++)
            expect_same(&a->got[i][k], &b->got[i][k]);
}

#endif
