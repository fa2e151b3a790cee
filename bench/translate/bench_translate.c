/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sentences through a Marian model, and its products alone.
 *
 *     bench_translate FOLDER f32|int8 BEAMS SENTENCES WORKERS LANES
 *     bench_translate FOLDER f32|int8 BEAMS SENTENCES products LANES
 *     bench_translate FOLDER f32|int8 BEAMS SENTENCES split LANES
 *
 * 14 tokens in and exactly 14 out: eos is a token that never comes. Workers are threads
 * of one thread each, with their own half of the sentences. `products` runs what these
 * would multiply, by the same operations, and nothing else: the limit. `split` runs one
 * worker and says which operation took how much.
 *
 * Prints sentences, seconds by the clock and of CPU, after a round that warms up.
 */
#include <pthread.h>
#include <string.h>

#include "bench/model.h"
#include "common/base/rng.h"
#include "common/model/marian.h"

enum { TOKENS = 14, WORKERS_MAX = 16 };

/* ---- translating ---- */

struct share {
    cpv_marian_worker *w;
    struct cpv_sentence *sentence;
    int n;
    long tokens;
    struct cpv_err err;
};

static int emit(void *arg, int sentence, const cpv_beam *beam)
{
    struct share *s = arg;
    const int32_t *tokens;
    float score;

    (void)sentence;
    s->tokens += cpv_beam_best(beam, 0, &tokens, &score);
    return 0;
}

static void *run_share(void *arg)
{
    struct share *s = arg;

    if (cpv_marian_translate(s->w, s->sentence, s->n, emit, s, &s->err))
        s->tokens = -1;
    return NULL;
}

static struct cpv_sentence *make_sentences(int n, int vocab)
{
    struct cpv_sentence *s = calloc((size_t)n, sizeof *s);
    int32_t *ids = calloc((size_t)n * TOKENS, sizeof *ids);
    struct cpv_rng r;

    if (!s || !ids)
        exit(74);
    cpv_rng_init(&r, 20261125, 1, 0);
    for (int i = 0; i < n; i++) {
        s[i] = (struct cpv_sentence){ids + (size_t)i * TOKENS, TOKENS};
        for (int k = 0; k < TOKENS - 1; k++)
            ids[i * TOKENS + k] = 2 + (int32_t)cpv_rng_below(&r, (uint64_t)vocab - 3);
    }
    return s;
}

static void run_all(struct share *share, int workers)
{
    pthread_t thread[WORKERS_MAX];

    for (int i = 0; i < workers; i++)
        if (pthread_create(&thread[i], NULL, run_share, &share[i]))
            exit(74);
    for (int i = 0; i < workers; i++) {
        pthread_join(thread[i], NULL);
        if (share[i].tokens != (long)share[i].n * TOKENS) {
            (void)fprintf(stderr, "bench_translate: %ld tokens of %d sentences: %s\n",
                          share[i].tokens, share[i].n, share[i].err.text);
            exit(1);
        }
        share[i].tokens = 0;
    }
}

static void report(const char *what, int n, double wall, double cpu)
{
    (void)printf("%s %d %.3f %.3f\n", what, n, seconds(CLOCK_MONOTONIC) - wall,
                 seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static void translate(const cpv_marian *m, int beams, int n, int workers, int lanes)
{
    struct cpv_search search = cpv_marian_config(m)->search;
    struct cpv_marian_limits limits = {
        .lanes = lanes, .source = TOKENS, .target = TOKENS};
    struct share share[WORKERS_MAX] = {{0}};
    struct cpv_sentence *all = make_sentences(n, cpv_marian_config(m)->vocab);
    double wall, cpu;

    search.beams = beams;
    search.eos = search.forced_eos = -1;
    for (int i = 0; i < workers; i++) {
        must(cpv_marian_worker_open(&share[i].w, m, &search, &limits, &err));
        share[i].sentence = all + i * (n / workers);
        share[i].n = n / workers < lanes ? n / workers : lanes;
    }
    run_all(share, workers);
    for (int i = 0; i < workers; i++)
        share[i].n = n / workers;
    wall = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    run_all(share, workers);
    report("translated", n / workers * workers, wall, cpu);
    for (int i = 0; i < workers; i++)
        cpv_marian_worker_close(&share[i].w);
    free((void *)(uintptr_t)all[0].ids);
    free(all);
}

/* ---- the products alone ---- */

struct product {
    int64_t out, in, rows; /* rows in a batch of `lanes` sentences */
    int times;
    cpv_weight *w[6]; /* one for each layer: they do not stay in the cache */
    int weights;
};

static void one_batch(cpv_compute *c, const struct product *p, int n, cpv_tensor x)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < p[i].times; k++) {
            struct cpv_compute_mark mark = cpv_compute_mark(c);

            cpv_linear(c, cpv_columns(cpv_row_range(x, 0, p[i].rows), 0, p[i].in),
                       p[i].w[k % p[i].weights], CPV_IDENTITY);
            cpv_compute_rewind(c, mark);
        }
}

static void products(cpv_device *device, const struct cpv_marian_config *k, int beams,
                     int n, int lanes)
{
    int64_t d = k->d_model, f = k->encoder_ffn, g = k->decoder_ffn;
    int64_t s = (int64_t)lanes * TOKENS, r = (int64_t)lanes * beams, one = lanes;
    int e = k->encoder_layers, l = k->decoder_layers, t = l * (TOKENS - 1);
    struct product p[] = {
        {3 * d, d, s, e, {0}, e},
        {d, d, s, e, {0}, e},
        {f, d, s, e, {0}, e},
        {d, f, s, e, {0}, e},
        {2 * d, d, s, l, {0}, l},
        {3 * d, d, one, l, {0}, l},
        {d, d, one, 3 * l, {0}, l},
        {g, d, one, l, {0}, l},
        {d, g, one, l, {0}, l},
        {3 * d, d, r, t, {0}, l},
        {d, d, r, 3 * t, {0}, l},
        {g, d, r, t, {0}, l},
        {d, g, r, t, {0}, l},
        {k->target_vocab, d, one, 1, {0}, 1},
        {k->target_vocab, d, r, TOKENS - 1, {0}, 1},
    };
    int count = (int)(sizeof p / sizeof *p), batches = n / lanes > 0 ? n / lanes : 1;
    int64_t rows = s > r ? s : r, wide = d > f ? d : f;
    struct cpv_compute_params params = {.arena = (size_t)1 << 30};
    cpv_compute *c;
    cpv_tensor x;
    double wall, cpu;
    float *values = calloc((size_t)(rows * wide), sizeof *values);

    if (!values)
        exit(74);
    for (int i = 0; i < count; i++)
        for (int w = 0; w < p[i].weights && w < 6; w++)
            p[i].w[w] = noisy_weight(device, p[i].out, p[i].in);
    noise(&wide, 1, rows, values, &err);
    must(cpv_compute_open(&c, device, &params, &err));
    x = cpv_put(c, rows, wide, values);
    one_batch(c, p, count, x);
    wall = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < batches; i++)
        one_batch(c, p, count, x);
    must(cpv_compute_sync(c, &err));
    report("products", batches * lanes, wall, cpu);
    cpv_compute_close(&c);
    for (int i = 0; i < count; i++)
        for (int w = 0; w < p[i].weights && w < 6; w++)
            cpv_weight_close(&p[i].w[w]);
    free(values);
}

struct one_worker {
    const cpv_marian *m;
    int beams, n, lanes;
};

static void one_worker(void *arg)
{
    const struct one_worker *w = arg;

    translate(w->m, w->beams, w->n, 1, w->lanes);
}

int main(int argc, char **argv)
{
    struct cpv_device_params params = {.name = "cpu", .weights = CPV_F32};
    cpv_device *device;
    cpv_marian *m;
    int beams, n, lanes;

    if (argc != 7) {
        (void)fputs("usage: bench_translate FOLDER f32|int8 BEAMS SENTENCES "
                    "WORKERS|products|split LANES\n",
                    stderr);
        return 64;
    }
    beams = whole(argv[3]);
    n = whole(argv[4]);
    lanes = whole(argv[6]);
    if (strcmp(argv[2], "int8") == 0)
        params.weights = CPV_I8;
    must(cpv_device_open(&device, &params, &err));
    must(cpv_marian_open(&m, device, argv[1], &err));
    if (strcmp(argv[5], "products") == 0)
        products(device, cpv_marian_config(m), beams, n, lanes);
    else if (strcmp(argv[5], "split") == 0)
        split(device, cpv_marian_config(m)->target_vocab, one_worker,
              &(struct one_worker){m, beams, n, lanes});
    else
        translate(m, beams, n, whole(argv[5]), lanes);
    cpv_marian_close(&m);
    cpv_device_close(&device);
    return 0;
}
