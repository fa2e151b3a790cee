/* SPDX-License-Identifier: Apache-2.0 */
/* BLIP on one device against transformers, and against itself in other company:
 * test_blip DEVICE [int8]. */
#include "tests/unit/model/blip_case.h"

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
        FILE *f = open_golden("blip", names[i], "states.bin");
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
        FILE *f = open_golden("blip", names[i], "logits.bin");

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

static int different(const struct stream *a, const struct stream *b)
{
    int n = 0;

    for (int i = 0; i < IMAGES * PROMPTS; i++) {
        const struct sequence *x = &a->got[i / PROMPTS][i % PROMPTS].out[0],
                              *y = &b->got[i / PROMPTS][i % PROMPTS].out[0];

        n += x->n != y->n || memcmp(x->id, y->id, (size_t)x->n * sizeof *x->id) != 0;
    }
    return n;
}

/* Turn 3 has another seed, turn 4 other numbers; and prompts that are alike differ. */
static void drawn_captions_depend_on_seed_and_number_alone(void **state)
{
    static struct stream first, s;
    struct cpv_prompt prompt[PROMPTS];
    struct cpv_search search;
    cpv_blip_worker *w;
    int alike = 0;

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    open_model("narrow");
    search = cpv_blip_search(model);
    search.sample = (struct cpv_sampling){
        .on = true, .temperature = 1.5F, .top_p = 0.95F, .top_k = 40};
    for (int k = 0; k < 5; k++) {
        search.sample.seed = k == 3 ? 8 : 7;
        w = worker(&search, NEW, 1 + 2 * k, 1 + k % 2);
        s = stream_of(k < 4 ? 4 * (1 + k) : IMAGES);
        s.later = k;
        s.salt = k == 4;
        for (int i = 0; i < s.n; i++)
            s.image[i] = (s.n - i + k) % IMAGES;
        run_all(w, &s);
        if (k == 0)
            first = s;
        else if (k < 3)
            expect_same_stream(&first, &s);
        else
            assert_true(different(&first, &s) > IMAGES * PROMPTS / 2);
        cpv_blip_worker_close(&w);
    }
    w = worker(&search, NEW, 1, 1);
    s = stream_of(1);
    s.prompts = PROMPTS;
    for (int i = 0; i < PROMPTS; i++)
        prompt[i] = prompt_of(&want.prompt[2]);
    assert_ok(cpv_blip_caption(w, prompt, PROMPTS, next, emit, &s, &err));
    for (int i = 1; i < PROMPTS; i++)
        alike += s.got[0][i].out[0].n == s.got[0][0].out[0].n &&
                 memcmp(s.got[0][i].out[0].id, s.got[0][0].out[0].id,
                        (size_t)s.got[0][0].out[0].n * sizeof(int32_t)) == 0;
    assert_true(alike < PROMPTS / 2);
    cpv_blip_worker_close(&w);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_those_of_transformers),
        cmocka_unit_test(logits_are_those_of_transformers),
        cmocka_unit_test(captions_are_those_of_transformers),
        cmocka_unit_test(one_look_for_all_prompts_gives_what_one_look_each_does),
        cmocka_unit_test(company_order_waiting_and_threads_change_no_bit),
        cmocka_unit_test(drawn_captions_depend_on_seed_and_number_alone),
        cmocka_unit_test(prompts_and_captions_are_those_of_the_tokenizer),
    };

    return run_on_device(argc, argv, tests, sizeof tests / sizeof *tests);
}
