/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLIP on one device against transformers: test_blip DEVICE [int8]. The models and what
 * is expected of them are tests/golden/blip, made by tests/fixtures/make_blip.py, which
 * says what the lines of expected.txt are.
 */
#include <math.h>

#include "common/model/blip.h"
#include "tests/unit/base/unit.h"

enum {
    IDS = 32,
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

struct sequence {
    int32_t id[IDS];
    int n;
    float score;
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

static const char *golden;
static cpv_device *device;
static bool int8;
static struct cpv_err err;
static struct expected want; /* of the model at hand */
static cpv_blip *model;
static float pixels[IMAGES][3 * SIDE * SIDE];

/* ---- what is expected ---- */

static char *numbers(char *at, struct sequence *s)
{
    char *end;

    for (s->n = 0;; at = end) {
        long x = strtol(at, &end, 10);

        if (end == at)
            return at;
        assert_true(s->n < IDS);
        s->id[s->n++] = (int32_t)x;
    }
}

static void read_text(char *at, bool encode)
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

static void read_search(char *at)
{
    struct one_search *s = &want.search[want.searches++];

    assert_true(want.searches <= SEARCHES);
    s->beams = (int)strtol(at, &at, 10);
    s->penalty = strtof(at, &at);
    s->early = strtol(at, &at, 10) != 0;
    s->target = (int)strtol(at, &at, 10);
}

static void read_line(char *line)
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

static FILE *open_golden(const char *name, const char *file)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/blip/%s/%s", golden, name, file);
    f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is not there", path);
    return f;
}

static void read_images(const char *name)
{
    size_t side = (size_t)cpv_blip_config(model)->vision.image;
    FILE *f = open_golden(name, "images.bin");

    assert_true(side <= SIDE);
    for (int i = 0; i < IMAGES; i++)
        for (size_t k = 0; k < 3 * side * side; k++)
            pixels[i][k] = (float)(fgetc(f) - 128) / 64;
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static void open_model(const char *name)
{
    char line[2048], path[4096];
    FILE *f = open_golden(name, "expected.txt");

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

/* ---- states and logits ---- */

/* Of int8 only what it is on average: each rounding here is one in 20 that are added. */
static void compare(const char *what, const float *ours, const float *theirs, size_t n)
{
    float most = 0, off = 0;
    double wrong = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(theirs[i]));
        if (!(fabsf(ours[i] - theirs[i]) <= off))
            off = fabsf(ours[i] - theirs[i]);
        wrong += pow((double)(ours[i] - theirs[i]), 2);
        all += pow((double)theirs[i], 2);
    }
    if (!(int8 ? sqrt(wrong / all) <= 0.25 : off <= 1e-5f * most))
        fail_msg("%s differ by %g of %g, rms %g", what, (double)off, (double)most,
                 sqrt(wrong / all));
}

static float *load_floats(FILE *f, size_t n)
{
    float *x = calloc(n, sizeof *x);

    assert_non_null(x);
    assert_int_equal(fread(x, sizeof *x, n, f), n);
    return x;
}

static void states_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct cpv_blip_config *k;
        FILE *f = open_golden(names[i], "states.bin");
        size_t n;

        open_model(names[i]);
        k = cpv_blip_config(model);
        n = (size_t)k->vision.tokens * (size_t)k->vision.width;
        for (int image = 0; image < IMAGES; image++) {
            float *theirs = load_floats(f, n), *ours = calloc(n, sizeof *ours);
            char what[64];

            assert_ok(cpv_blip_states(model, pixels[image], ours, &err));
            (void)snprintf(what, sizeof what, "%s, picture %d: states", names[i], image);
            compare(what, ours, theirs, n);
            free(theirs);
            free(ours);
        }
        assert_int_equal(fgetc(f), EOF);
        fclose(f);
        cpv_blip_close(&model);
    }
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        FILE *f = open_golden(names[i], "logits.bin");

        open_model(names[i]);
        assert_true(want.forces > 0);
        for (int k = 0; k < want.forces; k++) {
            const struct sequence *s = &want.forced[k];
            size_t n = (size_t)s->n * (size_t)cpv_blip_config(model)->text.vocab;
            float *theirs = load_floats(f, n), *ours = calloc(n, sizeof *ours);
            char what[64];

            assert_ok(cpv_blip_logits(model, pixels[want.forced_image[k]], s->id, s->n,
                                      ours, &err));
            (void)snprintf(what, sizeof what, "%s, target %d: logits", names[i], k);
            compare(what, ours, theirs, n);
            free(theirs);
            free(ours);
        }
        assert_int_equal(fgetc(f), EOF);
        fclose(f);
        cpv_blip_close(&model);
    }
}

/* ---- captions ---- */

/* A stream of images, and what comes of it. */
struct stream {
    int image[STREAM], n;   /* numbers, in the order in which they come */
    int at, waits, later;   /* of every `later` times asked, one has no image yet */
    int fails_at, stops_at; /* by then next fails, or emit says no; -1: never */
    int prompts;
    struct captions got[IMAGES][PROMPTS];
    int emitted[IMAGES], done;
};

static const uint64_t NUMBER =
    1000003; /* what an image is called: this times its place */

static int next(void *arg, bool wait, struct cpv_blip_image *out, struct cpv_err *e)
{
    struct stream *s = arg;

    if (s->at == s->fails_at)
        return cpv_fail(e, CPV_E_IO, "the camera is broken");
    if (!wait && s->later && ++s->waits % s->later == 0)
        return CPV_BLIP_LATER;
    if (s->at == s->n)
        return 0;
    out->number = (uint64_t)s->image[s->at] * NUMBER;
    out->pixels = pixels[s->image[s->at++]];
    return 1;
}

static void keep(const cpv_beam *beam, struct captions *c)
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

static int emit(void *arg, uint64_t number, const cpv_beam *const *beam, int n,
                struct cpv_err *e)
{
    struct stream *s = arg;
    size_t image = (size_t)(number / NUMBER);

    (void)e;
    assert_true(image < IMAGES && number % NUMBER == 0);
    assert_int_equal(n, s->prompts);
    s->emitted[image]++;
    for (int i = 0; i < n; i++)
        keep(beam[i], &s->got[image][i]);
    return ++s->done == s->stops_at ? 12345 : 0;
}

static struct stream stream_of(int n)
{
    struct stream s = {.n = n, .fails_at = -1, .stops_at = -1};

    assert_true(n <= STREAM);
    for (int i = 0; i < n; i++)
        s.image[i] = i % IMAGES;
    return s;
}

static struct cpv_search search_of(const struct one_search *s)
{
    struct cpv_search search = cpv_blip_search(model);

    search.beams = s->beams;
    search.length_penalty = s->penalty;
    search.early_stopping = s->early;
    return search;
}

static cpv_blip_worker *worker(const struct cpv_search *search, int target, int images,
                               int threads)
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

static struct cpv_prompt prompt_of(const struct sequence *s)
{
    return (struct cpv_prompt){s->id, s->n};
}

static void fill_prompts(struct cpv_prompt *to)
{
    for (int i = 0; i < PROMPTS; i++)
        to[i] = prompt_of(&want.prompt[i]);
}

static void run_all(cpv_blip_worker *w, struct stream *s)
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

static void expect_captions(const char *name, const struct one_search *s, int image,
                            int prompt, const struct captions *got)
{
    const struct captions *c = &s->c[image][prompt];

    if (got->outs != c->outs)
        fail_msg("%s, %d beams: picture %d, prompt %d has %d results, expected %d", name,
                 s->beams, image, prompt, got->outs, c->outs);
    for (int k = 0; k < c->outs; k++) {
        const struct sequence *a = &c->out[k], *b = &got->out[k];

        if (a->n != b->n || memcmp(a->id, b->id, (size_t)a->n * sizeof *a->id) != 0)
            fail_msg("%s, %d beams, penalty %g: picture %d, prompt %d differs", name,
                     s->beams, (double)s->penalty, image, prompt);
        if (s->beams > 1 &&
            !(fabsf(a->score - b->score) <= 2e-6f + 1e-4f * fabsf(a->score)))
            fail_msg("%s, %d beams, picture %d, prompt %d: score %.8g, expected %.8g",
                     name, s->beams, image, prompt, (double)b->score, (double)a->score);
    }
}

static void captions_are_those_of_transformers(void **state)
{
    int none = 0, compared = 0;

    (void)state;
    if (int8)
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        open_model(names[i]);
        for (int k = 0; k < want.searches; k++) {
            const struct one_search *s = &want.search[k];
            struct cpv_search search = search_of(s);
            cpv_blip_worker *w = worker(&search, s->target, 3, 1);
            struct stream stream = stream_of(IMAGES);

            run_all(w, &stream);
            for (int n = 0; n < IMAGES * PROMPTS; n++) {
                int image = n / PROMPTS, prompt = n % PROMPTS;

                if (!s->c[image][prompt].known)
                    continue;
                expect_captions(names[i], s, image, prompt, &stream.got[image][prompt]);
                compared++;
                none += s->c[image][prompt].out[0].n == 0;
            }
            cpv_blip_worker_close(&w);
        }
        cpv_blip_close(&model);
    }
    assert_true(compared > 400);
    assert_true(none > 10); /* sep as the first word, or as the only one */
}

static void expect_same(const struct captions *a, const struct captions *b)
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

static void expect_same_stream(const struct stream *a, const struct stream *b)
{
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < PROMPTS; k++)
            expect_same(&a->got[i][k], &b->got[i][k]);
}

/* Each prompt by itself, each image in a worker of its own. */
static void run_apart(const struct cpv_search *search, struct stream *all)
{
    memset(all, 0, sizeof *all);
    for (int image = 0; image < IMAGES; image++)
        for (int k = 0; k < PROMPTS; k++) {
            struct cpv_prompt prompt = prompt_of(&want.prompt[k]);
            cpv_blip_worker *w = worker(search, NEW, 2, 1);
            struct stream one = stream_of(1);

            one.image[0] = image;
            one.prompts = 1;
            assert_ok(cpv_blip_caption(w, &prompt, 1, next, emit, &one, &err));
            all->got[image][k] = one.got[image][0];
            cpv_blip_worker_close(&w);
        }
}

static void one_look_for_all_prompts_gives_what_one_look_each_does(void **state)
{
    static struct stream apart, together;

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        open_model(names[i]);
        for (int k = 0; k < 2; k++) {
            struct cpv_search search = search_of(&want.search[k]);
            cpv_blip_worker *w = worker(&search, NEW, IMAGES, 1);

            run_apart(&search, &apart);
            together = stream_of(IMAGES);
            run_all(w, &together);
            expect_same_stream(&apart, &together);
            cpv_blip_worker_close(&w);
        }
        cpv_blip_close(&model);
    }
}

/* 4, 13 and 16 images, some of them again, in places that are filled and free. */
static void company_order_waiting_and_threads_change_no_bit(void **state)
{
    static const int places[] = {1, 2, 3, 16}, threads[] = {1, 2, 3, 1};
    static struct stream first, s;

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    open_model("base");
    for (int k = 0; k < 2; k++) {
        struct cpv_search search = search_of(&want.search[k]);
        cpv_blip_worker *w = worker(&search, NEW, 1, 1);

        first = stream_of(IMAGES);
        run_all(w, &first);
        cpv_blip_worker_close(&w);
        for (size_t l = 0; l < sizeof places / sizeof *places; l++) {
            w = worker(&search, NEW, places[l], threads[l]);
            for (int turn = 0; turn < 3; turn++) {
                s = stream_of(IMAGES + 6 * turn);
                s.later = turn == 1 ? 2 : turn * 5; /* and a worker is used again */
                for (int i = 0; i < s.n && turn; i++)
                    s.image[i] = (i * 3 + turn) % IMAGES;
                run_all(w, &s);
                expect_same_stream(&first, &s);
            }
            cpv_blip_worker_close(&w);
        }
    }
    cpv_blip_close(&model);
}

static void a_call_that_is_stopped_leaves_nothing_behind(void **state)
{
    static struct stream all, cut, again;
    struct cpv_prompt prompt[PROMPTS];
    struct cpv_search search;
    cpv_blip_worker *w;

    (void)state;
    open_model("base");
    fill_prompts(prompt);
    search = search_of(&want.search[1]);
    w = worker(&search, NEW, 3, 1);
    all = stream_of(IMAGES);
    run_all(w, &all);
    for (int k = 0; k < 10; k++) {
        bool broken = k >= 5;

        cut = stream_of(12);
        cut.prompts = PROMPTS;
        *(broken ? &cut.fails_at : &cut.stops_at) = broken ? 2 * (k - 5) : 1 + k;
        assert_int_equal(cpv_blip_caption(w, prompt, PROMPTS, next, emit, &cut, &err),
                         broken ? CPV_E_IO : 12345);
        if (broken)
            assert_string_equal(err.text, "the camera is broken");
        else
            assert_int_equal(cut.done, cut.stops_at);
        again = stream_of(IMAGES);
        run_all(w, &again);
        if (cpv_device_keeps_rows(device))
            expect_same_stream(&all, &again);
    }
    again = stream_of(0);
    run_all(w, &again); /* no images at all */
    cpv_blip_worker_close(&w);
    cpv_blip_close(&model);
}

static void drawn_captions_depend_on_seed_and_number_alone(void **state)
{
    static struct stream first, s;
    struct cpv_search search;
    cpv_blip_worker *w;
    int other = 0, between = 0;

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    open_model("narrow");
    search = cpv_blip_search(model);
    search.sample = (struct cpv_sampling){
        .on = true, .temperature = 1.5F, .top_p = 0.95F, .top_k = 40, .seed = 7};
    for (int k = 0; k < 4; k++) {
        search.sample.seed = k < 3 ? 7 : 8;
        w = worker(&search, NEW, 1 + 2 * k, 1 + k % 2);
        s = stream_of(4 * (1 + k));
        s.later = k;
        for (int i = 0; i < s.n; i++)
            s.image[i] = (s.n - i + k) % IMAGES;
        run_all(w, &s);
        cpv_blip_worker_close(&w);
        if (k == 0)
            first = s;
        else if (k < 3)
            expect_same_stream(&first, &s);
        for (int i = 0; i < IMAGES * PROMPTS && k == 3; i++) {
            const struct sequence *a = &first.got[i / PROMPTS][i % PROMPTS].out[0],
                                  *b = &s.got[i / PROMPTS][i % PROMPTS].out[0];

            other += a->n != b->n || memcmp(a->id, b->id, (size_t)a->n * 4) != 0;
        }
    }
    for (int i = 1; i < IMAGES; i++)
        between += memcmp(&first.got[0][0].out[0], &first.got[i][0].out[0],
                          sizeof first.got[0][0].out[0]) != 0;
    assert_true(other > IMAGES * PROMPTS / 2);
    assert_true(between > 0);
    cpv_blip_close(&model);
}

/* ---- text ---- */

static void prompts_and_captions_are_those_of_the_tokenizer(void **state)
{
    struct cpv_buf out = {0};
    struct cpv_ids ids = {0};

    (void)state;
    open_model("base");
    assert_true(want.texts > 10);
    for (int i = 0; i < want.texts; i++) {
        const struct text *t = &want.text[i];

        if (t->encode) {
            cpv_ids_clear(&ids);
            cpv_ids_add(&ids, -5); /* what is there stays */
            assert_ok(cpv_blip_prompt(model, cpv_bytes_str(t->text), &ids, &err));
            if (ids.count != (size_t)t->ids.n + 1 || ids.data[0] != -5 ||
                memcmp(ids.data + 1, t->ids.id, (size_t)t->ids.n * 4) != 0)
                fail_msg("'%s': other ids", t->text);
            continue;
        }
        for (int split = 0; split <= t->ids.n; split++) {
            cpv_buf_clear(&out);
            cpv_buf_str(&out, "> ");
            assert_ok(cpv_blip_text(model, t->ids.id, split, t->ids.id + split,
                                    t->ids.n - split, &out, &err));
            assert_string_equal(cpv_buf_cstr(&out) + 2, t->text);
        }
    }
    cpv_ids_release(&ids);
    cpv_buf_release(&out);
    cpv_blip_close(&model);
}

/* ---- limits ---- */

static void what_does_not_fit_is_refused(void **state)
{
    struct cpv_blip_limits limits = {.prompts = 2, .prompt = 4, .target = 3};
    int32_t ids[] = {3, 5, 6, 7, 8}, strange[] = {3, 9999}, below[] = {-1};
    struct cpv_prompt good = {ids, 4};
    struct cpv_prompt bad[] = {{ids, 5}, {ids, 0}, {strange, 2}, {below, 1}};
    struct cpv_prompt many[] = {good, good, good};
    struct cpv_search search;
    cpv_blip_worker *w;

    (void)state;
    open_model("base");
    search = cpv_blip_search(model);
    assert_ok(cpv_blip_worker_open(&w, model, &search, &limits, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cpv_prompt two[] = {good, bad[i]};
        struct stream s = stream_of(2);

        s.prompts = 2;
        assert_int_equal(cpv_blip_caption(w, two, 2, next, emit, &s, &err), CPV_E_BUG);
        assert_non_null(strstr(err.text, "prompt 1"));
        assert_int_equal(s.at, 0);
    }
    for (int n = 0; n <= 3; n += 3) {
        struct stream s = stream_of(2);

        assert_int_equal(cpv_blip_caption(w, many, n, next, emit, &s, &err), CPV_E_BUG);
        assert_non_null(strstr(err.text, "prompts, expected 1 to 2"));
    }
    for (int n = 1; n <= 2; n++) {
        struct stream s = stream_of(2);

        s.prompts = n;
        assert_ok(cpv_blip_caption(w, many, n, next, emit, &s, &err));
        assert_int_equal(s.done, 2);
    }
    cpv_blip_worker_close(&w);
    limits.prompt = 13;
    limits.target = 12; /* 24 positions: the last new token has none */
    assert_ok(cpv_blip_worker_open(&w, model, &search, &limits, &err));
    cpv_blip_worker_close(&w);
    limits.target = 13;
    assert_int_equal(cpv_blip_worker_open(&w, model, &search, &limits, &err),
                     CPV_E_USAGE);
    assert_non_null(strstr(err.text, "24"));
    assert_null(w);
    limits.target = -1;
    assert_int_equal(cpv_blip_worker_open(&w, model, &search, &limits, &err),
                     CPV_E_USAGE);
    limits.target = 3;
    search.beams = CPV_BEAMS_MAX + 1;
    assert_int_not_equal(cpv_blip_worker_open(&w, model, &search, &limits, &err), 0);
    assert_null(w);
    cpv_blip_close(&model);
}

/* As many and as long sequences as a worker was made for, and short ones. */
static void a_worker_has_the_memory_that_it_needs(void **state)
{
    static const struct cpv_blip_limits limits[] = {
        {.images = 1, .prompts = 1, .prompt = 1, .target = 1},
        {.images = 1, .prompts = 1, .prompt = 24, .target = 1},
        {.images = 1, .prompts = 1, .prompt = 1, .target = 24},
        {.images = 2, .prompts = 10, .prompt = 12, .target = 13},
        {.images = 40, .prompts = 1, .prompt = 2, .target = 2},
        {.images = 1, .prompts = 200, .prompt = 20, .target = 5},
        {.images = 7, .prompts = 3, .prompt = 23, .target = 2, .threads = 2},
        {.images = 16, .prompts = 10, .prompt = 7, .target = 6, .threads = 3},
    };
    static struct cpv_prompt prompt[200];
    int32_t ids[24];

    (void)state;
    for (int i = 0; i < 24; i++)
        ids[i] = 5 + i;
    for (size_t i = 0; i < 2 * sizeof limits / sizeof *limits; i++) {
        const struct cpv_blip_limits *l = &limits[i / 2];

        open_model(i % 2 ? "deep" : "narrow");
        for (int beams = 1; beams < 6; beams += 4) {
            struct cpv_search search = cpv_blip_search(model);
            cpv_blip_worker *w;

            search.beams = beams;
            search.eos = beams == 1 ? 0 : search.eos; /* hardly ever */
            assert_ok(cpv_blip_worker_open(&w, model, &search, l, &err));
            for (int kind = 0; kind < 3; kind++) {
                struct stream s = stream_of(l->images + 3 > 16 ? 16 : l->images + 3);

                s.prompts = l->prompts;
                for (int k = 0; k < l->prompts; k++) {
                    int n = kind == 0 ? l->prompt : kind == 1 ? 1 : 1 + k % l->prompt;

                    prompt[k] = (struct cpv_prompt){ids, n};
                }
                if (l->prompts > PROMPTS)
                    s.prompts = PROMPTS; /* what emit has room for */
                assert_ok(cpv_blip_caption(w, prompt, s.prompts, next, emit, &s, &err));
                assert_int_equal(s.done, s.n);
            }
            cpv_blip_worker_close(&w);
        }
        cpv_blip_close(&model);
    }
}

/* A picture of nonsense ends like any other, and harms none beside it. */
static void a_picture_of_nan_harms_only_itself(void **state)
{
    static struct stream good, s;
    struct cpv_search search;
    cpv_blip_worker *w;

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    open_model("base");
    for (int k = 0; k < 2; k++) {
        static const float nonsense[] = {NAN, INFINITY, -INFINITY, 3e38F};

        search = search_of(&want.search[k]);
        w = worker(&search, NEW, 3, 1);
        good = stream_of(IMAGES);
        run_all(w, &good);
        for (size_t n = 0; n < sizeof nonsense / sizeof *nonsense; n++) {
            for (int i = 0; i < 3 * 12 * 12; i++)
                pixels[1][i] = nonsense[n];
            s = stream_of(IMAGES);
            run_all(w, &s);
            for (int i = 0; i < IMAGES * PROMPTS; i++)
                if (i / PROMPTS != 1)
                    expect_same(&good.got[i / PROMPTS][i % PROMPTS],
                                &s.got[i / PROMPTS][i % PROMPTS]);
        }
        read_images("base");
        s = stream_of(IMAGES);
        run_all(w, &s);
        expect_same_stream(&good, &s);
        cpv_blip_worker_close(&w);
    }
    cpv_blip_close(&model);
}

/* ---- folders of our own making ---- */

/* `name` with one of its files changed by sed, in the scratch folder. */
static void altered(const char *name, const char *file, const char *sed)
{
    char command[9000];

    (void)snprintf(command, sizeof command,
                   "rm -rf m && mkdir m && for f in '%s/blip/%s'/*; do ln -s \"$f\" m/; "
                   "done && rm m/%s && sed '%s' '%s/blip/%s/%s' >m/%s",
                   golden, name, file, sed, golden, name, file, file);
    assert_int_equal(shell(command), 0);
}

static void a_folder_that_does_not_fit_is_named(void **state)
{
    static const struct {
        const char *model, *file, *sed, *says[3];
    } bad[] = {
        {"base",
         "config.json",
         "s/\"hidden_size\": 24/\"hidden_size\": 27/",
         {"word_embeddings", "[55, 24]", "1485"}},
        {"base",
         "config.json",
         "s/\"hidden_size\": 20/\"hidden_size\": 24/",
         {"patch_embedding", "[20, 3, 4, 4]", "1152"}},
        {"base",
         "config.json",
         "s/\"num_hidden_layers\": 2/\"num_hidden_layers\": 3/",
         {"layers.2.", "vision_model", "m"}},
        {"base",
         "config.json",
         "s/\"vocab_size\": [0-9]*/\"vocab_size\": 90/",
         {"word_embeddings", "[55, 24]", "2160"}},
        {"base",
         "config.json",
         "s/\"num_attention_heads\": 3/\"num_attention_heads\": 5/",
         {"num_attention_heads", "24", "config.json"}},
        {"base",
         "config.json",
         "s/\"num_attention_heads\": 4/\"num_attention_heads\": 3/",
         {"num_attention_heads", "20", "vision_config"}},
        {"base",
         "config.json",
         "s/\"patch_size\": 4/\"patch_size\": 5/",
         {"image_size", "patch_size", "5"}},
        {"base",
         "config.json",
         "s/\"image_size\": 12/\"image_size\": 16/",
         {"size", "16", "12"}},
        {"base",
         "config.json",
         "s/\"bos_token_id\": [0-9]*/\"bos_token_id\": 400/",
         {"text_config.bos_token_id", "vocabulary", "config.json"}},
        {"base",
         "config.json",
         "s/\"sep_token_id\": 3/\"sep_token_id\": -1/",
         {"text_config.sep_token_id", "config.json", "m"}},
        {"base",
         "config.json",
         "s/\"hidden_size\": 24/\"hidden_size\": 24, \"hidden_act\": \"mish\"/",
         {"hidden_act", "gelu", "config.json"}},
        {"base",
         "preprocessor_config.json",
         "s/\"height\": 12/\"height\": 13/",
         {"preprocessor_config.json", "13", "size"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        altered(bad[i].model, bad[i].file, bad[i].sed);
        assert_int_equal(cpv_blip_open(&model, device, "m", &err), CPV_E_INPUT);
        assert_null(model);
        for (int k = 0; k < 3; k++)
            if (!strstr(err.text, bad[i].says[k]))
                fail_msg("%s: '%s' is not in: %s", bad[i].sed, bad[i].says[k], err.text);
        err = (struct cpv_err){0};
    }
}

static void a_folder_that_lacks_a_file_is_named(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt"};
    char command[256];

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        altered("base", "config.json", "");
        (void)snprintf(command, sizeof command, "rm m/%s", files[i]);
        assert_int_equal(shell(command), 0);
        assert_int_not_equal(cpv_blip_open(&model, device, "m", &err), 0);
        assert_null(model);
        if (!strstr(err.text, i == 1 ? "m" : files[i]))
            fail_msg("%s: %s", files[i], err.text);
        err = (struct cpv_err){0};
    }
    assert_int_not_equal(cpv_blip_open(&model, device, "nowhere", &err), 0);
    assert_non_null(strstr(err.text, "nowhere"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_those_of_transformers),
        cmocka_unit_test(logits_are_those_of_transformers),
        cmocka_unit_test(captions_are_those_of_transformers),
        cmocka_unit_test(one_look_for_all_prompts_gives_what_one_look_each_does),
        cmocka_unit_test(company_order_waiting_and_threads_change_no_bit),
        cmocka_unit_test(a_call_that_is_stopped_leaves_nothing_behind),
        cmocka_unit_test(drawn_captions_depend_on_seed_and_number_alone),
        cmocka_unit_test(prompts_and_captions_are_those_of_the_tokenizer),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_worker_has_the_memory_that_it_needs),
        cmocka_unit_test(a_picture_of_nan_harms_only_itself),
        cmocka_unit_test(a_folder_that_does_not_fit_is_named),
        cmocka_unit_test(a_folder_that_lacks_a_file_is_named),
    };
    struct cpv_device_params params = {.name = argc > 1 ? argv[1] : "cpu"};
    int rc;

    golden = getenv("CAPIVARA_TEST_GOLDEN");
    if (!golden)
        golden = "tests/golden";
    int8 = argc > 2 && strcmp(argv[2], "int8") == 0;
    params.weights = int8 ? CPV_I8 : CPV_F32;
    rc = cpv_device_open(&device, &params, &err);
    if (rc == CPV_E_ABSENT)
        return 77;
    if (rc) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    rc = cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
    cpv_device_close(&device);
    return rc;
}
