/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marian on one device against transformers: test_marian DEVICE [int8]. The models and
 * what is expected of them are tests/golden/marian, made by
 * tests/fixtures/make_marian.py, which says what the lines of expected.txt are.
 */
#include "common/model/marian.h"
#include "tests/unit/model/on_device.h"

enum { CASES = 32, RESULTS = 8, SEARCHES = 10, FORCED = 4 };

struct one_case {
    struct sequence in, out[RESULTS];
    int outs;
};

struct one_search {
    int beams;
    float penalty;
    bool early;
    struct one_case c[CASES];
    int cases;
};

struct expected {
    struct one_search search[SEARCHES];
    int searches;
    struct sequence source[FORCED], target[FORCED];
    int forced;
};

static const char *const names[] = {"base", "tc-big", "split", "untied", "bin"};

static struct expected want; /* of the model at hand */
static cpv_marian *model;

/* ---- what is expected ---- */

static void read_line(char *line)
{
    struct one_search *s = want.searches ? &want.search[want.searches - 1] : NULL;
    char *at = line + strcspn(line, " ");

    if (strncmp(line, "search ", 7) == 0) {
        assert_true(want.searches < SEARCHES);
        s = &want.search[want.searches++];
        s->beams = (int)strtol(at, &at, 10);
        s->penalty = strtof(at, &at);
        s->early = strtol(at, &at, 10) != 0;
    } else if (s && strncmp(line, "in ", 3) == 0) {
        assert_true(s->cases < CASES);
        numbers(at, &s->c[s->cases++].in);
    } else if (s && strncmp(line, "out ", 4) == 0) {
        struct one_case *c = &s->c[s->cases - 1];

        assert_true(c->outs < RESULTS);
        c->out[c->outs].score = strtof(at, &at);
        numbers(at, &c->out[c->outs++]);
    } else {
        assert_true(strncmp(line, "force ", 6) == 0 && want.forced < FORCED);
        at = numbers(at, &want.source[want.forced]);
        at += strspn(at, " ");
        assert_int_equal(*at, '/');
        numbers(at + 1, &want.target[want.forced++]);
    }
}

static void open_model(const char *name)
{
    char line[2048], path[4096];
    FILE *f = open_golden("marian", name, "expected.txt");

    memset(&want, 0, sizeof want);
    while (fgets(line, sizeof line, f))
        read_line(line);
    fclose(f);
    assert_true(want.searches > 0 && want.forced > 0);
    (void)snprintf(path, sizeof path, "%s/marian/%s", golden, name);
    assert_ok(cpv_marian_open(&model, device, path, &err));
}

/* ---- logits ---- */

static struct cpv_sentence sentence(const struct sequence *s)
{
    return (struct cpv_sentence){s->id, s->n};
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        FILE *f = open_golden("marian", names[i], "logits.bin");

        open_model(names[i]);
        for (int k = 0; k < want.forced; k++) {
            size_t n =
                (size_t)want.target[k].n * (size_t)cpv_marian_config(model)->target_vocab;
            float *theirs = calloc(n, sizeof *theirs), *ours = calloc(n, sizeof *ours);
            float most = 0, off = 0;
            double wrong = 0, all = 0;

            assert_int_equal(fread(theirs, sizeof *theirs, n, f), n);
            assert_ok(cpv_marian_logits(model, sentence(&want.source[k]),
                                        sentence(&want.target[k]), ours, &err));
            for (size_t x = 0; x < n; x++) {
                /* A bad word is out from the start where the model says so. */
                if (isinf(ours[x]) && cpv_marian_config(model)->renormalize)
                    continue;
                most = fmaxf(most, fabsf(theirs[x]));
                if (!(fabsf(ours[x] - theirs[x]) <= off))
                    off = fabsf(ours[x] - theirs[x]);
                wrong += pow((double)(ours[x] - theirs[x]), 2);
                all += pow((double)theirs[x], 2);
            }
            /* Of int8 only what it is on average: each rounding here is one in 64 that
             * are added. */
            if (!(int8 ? sqrt(wrong / all) <= 0.15 : off <= 1e-5f * most))
                fail_msg("%s, sequence %d: logits differ by %g of %g, rms %g", names[i],
                         k, (double)off, (double)most, sqrt(wrong / all));
            free(theirs);
            free(ours);
        }
        assert_int_equal(fgetc(f), EOF);
        fclose(f);
        cpv_marian_close(&model);
    }
}

/* ---- translations ---- */

/* What a call gave, by sentence; `stop`: how many before emit says no. */
struct given {
    struct one_case c[2 * CASES];
    int n, stop;
};

static int take(void *arg, int number, const cpv_beam *beam)
{
    struct given *g = arg;
    struct one_case *c = &g->c[number];
    const int32_t *tokens;
    int n;

    assert_int_equal(c->outs, 0);
    for (; (n = cpv_beam_best(beam, c->outs, &tokens, &c->out[c->outs].score)) >= 0;
         c->outs++) {
        assert_true(n <= IDS && c->outs < RESULTS);
        c->out[c->outs].n = n;
        memcpy(c->out[c->outs].id, tokens, (size_t)n * sizeof *tokens);
    }
    return ++g->n == g->stop ? 12345 : 0;
}

static struct cpv_search search_of(const struct one_search *s)
{
    struct cpv_search search = cpv_marian_config(model)->search;

    search.beams = s->beams;
    search.length_penalty = s->penalty;
    search.early_stopping = s->early;
    return search;
}

static cpv_marian_worker *worker(const struct one_search *s, int lanes, int threads)
{
    struct cpv_search search = search_of(s);
    struct cpv_marian_limits limits = {.lanes = lanes, .threads = threads};
    cpv_marian_worker *w;

    assert_ok(cpv_marian_worker_open(&w, model, &search, &limits, &err));
    return w;
}

static void translate(cpv_marian_worker *w, const struct cpv_sentence *in, int n,
                      struct given *g)
{
    memset(g, 0, sizeof *g);
    assert_ok(cpv_marian_translate(w, in, n, take, g, &err));
    assert_int_equal(g->n, n);
}

static void expect_case(const char *name, const struct one_search *s, int number,
                        const struct one_case *got)
{
    const struct one_case *c = &s->c[number];

    assert_int_equal(got->outs, c->outs);
    for (int k = 0; k < c->outs; k++) {
        const struct sequence *a = &c->out[k], *b = &got->out[k];

        if (a->n != b->n || memcmp(a->id, b->id, (size_t)a->n * sizeof *a->id) != 0)
            fail_msg("%s, %d beams, penalty %g: sentence %d differs", name, s->beams,
                     (double)s->penalty, number);
        if (s->beams > 1 && !(fabsf(a->score - b->score) <= 2e-5f * fabsf(a->score)))
            fail_msg("%s, %d beams, sentence %d: score %.8g, expected %.8g", name,
                     s->beams, number, (double)b->score, (double)a->score);
    }
}

static void translations_are_those_of_transformers(void **state)
{
    (void)state;
    if (int8)
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        open_model(names[i]);
        for (int k = 0; k < want.searches; k++) {
            const struct one_search *s = &want.search[k];
            cpv_marian_worker *w = worker(s, 7, 1);
            struct cpv_sentence in[CASES];
            struct given g;

            for (int c = 0; c < s->cases; c++)
                in[c] = sentence(&s->c[c].in);
            translate(w, in, s->cases, &g);
            for (int c = 0; c < s->cases; c++)
                expect_case(names[i], s, c, &g.c[c]);
            cpv_marian_worker_close(&w);
        }
        cpv_marian_close(&model);
    }
}

static void expect_same(const struct one_case *a, const struct one_case *b)
{
    assert_int_equal(a->outs, b->outs);
    for (int k = 0; k < a->outs; k++) {
        assert_int_equal(a->out[k].n, b->out[k].n);
        assert_memory_equal(&a->out[k].score, &b->out[k].score, sizeof(float));
        assert_memory_equal(a->out[k].id, b->out[k].id,
                            (size_t)a->out[k].n * sizeof(int32_t));
    }
}

/* All sentences of a model that greedy and beam 4 are expected for: 48 and more. */
static int gather(struct cpv_sentence *in)
{
    int n = 0;

    for (int k = 0; k < 2; k++)
        for (int c = 0; c < want.search[k].cases; c++)
            in[n++] = sentence(&want.search[k].c[c].in);
    return n;
}

static void company_order_and_threads_change_no_bit(void **state)
{
    static const int lanes[] = {1, 3, 32, 100}, threads[] = {1, 2, 3, 1};
    struct cpv_sentence in[2 * CASES], turned[2 * CASES];
    static struct given alone, g;
    cpv_marian_worker *w;
    int n;

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    open_model("base");
    n = gather(in);
    for (int i = 0; i < n; i++)
        turned[i] = in[n - 1 - i];
    for (int k = 0; k < 2; k++) {
        const struct one_search *s = &want.search[k];

        memset(&alone, 0, sizeof alone);
        for (int i = 0; i < n; i++) {
            w = worker(s, 4, 1);
            translate(w, &in[i], 1, &g);
            alone.c[i] = g.c[0];
            cpv_marian_worker_close(&w);
        }
        for (size_t l = 0; l < sizeof lanes / sizeof *lanes; l++) {
            w = worker(s, lanes[l], threads[l]);
            translate(w, in, n, &g);
            for (int i = 0; i < n; i++)
                expect_same(&g.c[i], &alone.c[i]);
            translate(w, turned, n, &g); /* and a worker is used again */
            for (int i = 0; i < n; i++)
                expect_same(&g.c[n - 1 - i], &alone.c[i]);
            cpv_marian_worker_close(&w);
        }
    }
    cpv_marian_close(&model);
}

static void a_call_that_is_stopped_leaves_nothing_behind(void **state)
{
    struct cpv_sentence in[2 * CASES];
    static struct given g, again, cut;
    cpv_marian_worker *w;
    int n;

    (void)state;
    open_model("base");
    n = gather(in);
    w = worker(&want.search[1], 8, 1);
    translate(w, in, n, &g);
    for (int stop = 1; stop < 12; stop += 5) {
        memset(&cut, 0, sizeof cut);
        cut.stop = stop;
        assert_int_equal(cpv_marian_translate(w, in, n, take, &cut, &err), 12345);
        assert_int_equal(cut.n, stop);
        translate(w, in, n, &again);
        for (int i = 0; i < n && cpv_device_keeps_rows(device); i++)
            expect_same(&g.c[i], &again.c[i]);
    }
    cpv_marian_worker_close(&w);
    cpv_marian_close(&model);
}

static void limits_end_a_translation(void **state)
{
    struct cpv_search search;
    struct cpv_marian_limits limits = {.target = 9, .target_per = 0.5, .target_more = 2};
    struct cpv_sentence in[2 * CASES];
    cpv_marian_worker *w;
    static struct given g;
    int n, cut = 0;

    (void)state;
    open_model("untied"); /* no eos is forced */
    n = gather(in);
    search = cpv_marian_config(model)->search;
    assert_ok(cpv_marian_worker_open(&w, model, &search, &limits, &err));
    translate(w, in, n, &g);
    for (int i = 0; i < n; i++) {
        int most = (int)(0.5 * in[i].n + 2);

        most = most < 9 ? most : 9;
        for (int k = 0; k < g.c[i].outs; k++)
            assert_true(g.c[i].out[k].n <= most);
        cut += g.c[i].outs && g.c[i].out[0].n == most;
    }
    assert_true(cut > 0);
    cpv_marian_worker_close(&w);
    cpv_marian_close(&model);
}

static void sentences_that_do_not_fit_are_refused(void **state)
{
    struct cpv_search search;
    struct cpv_marian_limits limits = {.source = 5};
    int32_t ids[] = {4, 5, 6, 7, 8, 0}, strange[] = {4, 97, 0}, below[] = {-1, 0};
    struct cpv_sentence fits = {ids + 1, 5},
                        bad[] = {{ids, 6}, {ids, 0}, {strange, 3}, {below, 2}};
    cpv_marian_worker *w;
    static struct given g;

    (void)state;
    open_model("base");
    search = cpv_marian_config(model)->search;
    assert_ok(cpv_marian_worker_open(&w, model, &search, &limits, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cpv_sentence two[] = {fits, bad[i]};

        memset(&g, 0, sizeof g);
        assert_int_equal(cpv_marian_translate(w, two, 2, take, &g, &err), CPV_E_BUG);
        assert_non_null(strstr(err.text, "sentence 1"));
        assert_int_equal(g.n, 0);
    }
    translate(w, &fits, 1, &g);
    cpv_marian_worker_close(&w);
    search.beams = cpv_marian_config(model)->target_vocab / 2 + 1;
    assert_int_not_equal(cpv_marian_worker_open(&w, model, &search, &limits, &err), 0);
    assert_null(w);
    assert_non_null(strstr(err.text, "vocabulary"));
    search.beams = CPV_BEAMS_MAX + 1;
    assert_int_not_equal(cpv_marian_worker_open(&w, model, &search, &limits, &err), 0);
    assert_null(w);
    limits.lanes = -1;
    search.beams = 1;
    assert_int_equal(cpv_marian_worker_open(&w, model, &search, &limits, &err),
                     CPV_E_USAGE);
    cpv_marian_close(&model);
}

/* ---- folders of our own making ---- */

/* `name` with its config.json changed by sed, in the scratch folder. */
static void altered(const char *name, const char *sed)
{
    char command[9000];

    (void)snprintf(
        command, sizeof command,
        "rm -rf m && mkdir m && for f in '%s/marian/%s'/*; do ln -s \"$f\" m/; "
        "done && rm m/config.json && sed '%s' '%s/marian/%s/config.json' "
        ">m/config.json",
        golden, name, sed, golden, name);
    assert_int_equal(shell(command), 0);
}

static void a_checkpoint_that_does_not_fit_is_named(void **state)
{
    static const struct {
        const char *sed, *says[3];
    } bad[] = {
        {"s/\"d_model\": 32/\"d_model\": 36/",
         {"[97, 32]", "[97, 36]", "model.shared.weight"}},
        {"s/vocab_size\": 97/vocab_size\": 98/",
         {"model.shared.weight", "[97, 32]", "[98, 32]"}},
        {"s/\"vocab_size\": 97/\"vocab_size\": 98/",
         {"decoder_vocab_size", "98", "config.json"}},
        {"s/\"encoder_layers\": 2/\"encoder_layers\": 3/", {"layers.2.", "encoder", "m"}},
        {"s/\"decoder_ffn_dim\": 64/\"decoder_ffn_dim\": 60/", {"fc1", "64", "60"}},
        {"s/\"decoder_attention_heads\": 4/\"decoder_attention_heads\": 5/",
         {"decoder_attention_heads", "divides", "32"}},
        {"s/swish/softsign/", {"activation_function", "swish, silu", "config.json"}},
        {"s/\"normalize_before\": false/\"normalize_before\": true/",
         {"normalize_before", "false", "config.json"}},
        {"s/\"eos_token_id\": 0/\"eos_token_id\": 97/", {"eos_token_id", "97", "m"}},
        {"s/^      96$/96, 95/", {"bad_words_ids", "config.json", "one token"}},
        {"s/^      96$/97/", {"bad_words_ids", "97", "m"}},
        {"/d_model/d", {"d_model", "config.json", "m"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        altered("base", bad[i].sed);
        if (cpv_marian_open(&model, device, "m", &err) != CPV_E_INPUT)
            fail_msg("%s: not refused: %s", bad[i].sed, err.text);
        assert_null(model);
        for (int k = 0; k < 3; k++)
            if (!strstr(err.text, bad[i].says[k]))
                fail_msg("%s: '%s' is not in: %s", bad[i].sed, bad[i].says[k], err.text);
        err = (struct cpv_err){0};
    }
}

/* Null is what is not there: transformers writes it. */
static void null_is_absent(void **state)
{
    (void)state;
    altered("base", "s/\"forced_eos_token_id\": 0/\"forced_eos_token_id\": null/");
    assert_ok(cpv_marian_open(&model, device, "m", &err));
    assert_int_equal(cpv_marian_config(model)->search.forced_eos, -1);
    assert_int_equal(cpv_marian_config(model)->search.bad_count, 1);
    cpv_marian_close(&model);
}

static int count(void *arg, int number, const cpv_beam *beam)
{
    (void)number;
    (void)beam;
    ++*(int *)arg;
    return 0;
}

/* n sentences of these lengths, in turn; their ends are those of one long one. */
static void fill(cpv_marian_worker *w, const int *length, int lengths, int n)
{
    static int32_t ids[600];
    static struct cpv_sentence in[700];
    int done = 0;

    for (int i = 0; i < 600; i++)
        ids[i] = i == 599 ? 0 : 1 + i % 95;
    for (int i = 0; i < n; i++) {
        in[i].n = length[i % lengths];
        in[i].ids = ids + 600 - in[i].n;
    }
    assert_ok(cpv_marian_translate(w, in, n, count, &done, &err));
    assert_int_equal(done, n);
}

/* As many and as long sentences as a worker was made for, many short ones, and some of
 * each. */
static void a_worker_has_the_memory_that_it_needs(void **state)
{
    static const struct cpv_marian_limits limits[] = {
        {.lanes = 1, .source = 1, .target = 1},
        {.lanes = 1, .source = 600},
        {.lanes = 30, .source = 600, .target = 2},
        {.lanes = 40, .source = 1},
        {.lanes = 300, .source = 10, .target = 2},
        {.lanes = 3, .source = 342, .target = 3},
        {.lanes = 9, .source = 513, .target = 2},
        {.lanes = 5, .source = 205, .threads = 2},
    };

    (void)state;
    altered("base", "s/_embeddings\": 40/_embeddings\": 600/");
    assert_ok(cpv_marian_open(&model, device, "m", &err));
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const struct cpv_marian_limits *l = &limits[i];
        int last = l->source < 300 ? 1 : 1024 - l->source;
        int longest[] = {l->source}, shortest[] = {1},
            mixed[] = {l->source, last < l->source ? last : 1, 1};

        for (int beams = 1; beams < 6; beams += 4) {
            struct cpv_search search = cpv_marian_config(model)->search;
            cpv_marian_worker *w;

            search.beams = beams;
            assert_ok(cpv_marian_worker_open(&w, model, &search, l, &err));
            fill(w, longest, 1, l->lanes + 3);
            fill(w, shortest, 1, 2 * l->lanes + 3);
            fill(w, mixed, 3, l->lanes + 3);
            cpv_marian_worker_close(&w);
        }
    }
    cpv_marian_close(&model);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers),
        cmocka_unit_test(translations_are_those_of_transformers),
        cmocka_unit_test(company_order_and_threads_change_no_bit),
        cmocka_unit_test(a_call_that_is_stopped_leaves_nothing_behind),
        cmocka_unit_test(limits_end_a_translation),
        cmocka_unit_test(sentences_that_do_not_fit_are_refused),
        cmocka_unit_test(a_checkpoint_that_does_not_fit_is_named),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(a_worker_has_the_memory_that_it_needs),
    };

    return run_on_device(argc, argv, tests, sizeof tests / sizeof *tests);
}
