/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One LoRA step of a text tower like XLM-R base on random weights, on the cpu backend:
 * seconds of forward, of the loss, of backward, of Adam; and of the products alone.
 *
 *     bench_step [-t THREADS] [-r ROUNDS] [-l LAYERS] [-n TEXTS] [-m TOKENS] [-d DROPOUT]
 *
 * 12 layers of 768 in 12 heads, MLP of 3,072; rank 8 on query and value; lengths vary
 * around the mean; nothing is checkpointed. Wall clock, the fastest round. "products":
 * every frozen matrix's product once, forward; backward has as many again.
 */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "common/compute/train.h"

enum { WIDTH = 768, HEADS = 12, MLP = 3072, DIM = 512, RANK = 8, LAYERS_MAX = 24 };
enum { QUERY, KEY, VALUE, MIX, UP, DOWN, NORM1, NORM2, PARTS };

struct tower {
    cpv_device *device;
    int layers, texts, tokens, threads;
    float dropout;
    cpv_weight *part[LAYERS_MAX][PARTS], *projection, *scale;
    struct cpv_dice dice;
    cpv_rows rows;
    float *values, *image, *x;
};

static void check(int rc, const struct cpv_err *err)
{
    if (rc) {
        (void)fprintf(stderr, "bench_step: %s\n", err->text);
        exit(74);
    }
}

static cpv_weight *weight(const struct tower *t, int64_t out, int64_t in, unsigned use,
                          bool lora, unsigned train)
{
    struct cpv_weight_params p = {.name = "w",
                                  .out = out,
                                  .in = in,
                                  .use = use,
                                  .train = train,
                                  .matrix = {.plain = t->values},
                                  .bias = {.plain = t->values}};
    struct cpv_err err = {0};
    cpv_weight *w = NULL;

    if (lora)
        p.lora = (struct cpv_lora){RANK, 1, t->values, t->values + 5};
    if (out == 1 && in == 1)
        p.bias.plain = NULL;
    check(cpv_weight_create(&w, t->device, &p, &err), &err);
    return w;
}

static void build(struct tower *t)
{
    static const int64_t out[PARTS] = {WIDTH, WIDTH, WIDTH, WIDTH, MLP, WIDTH, 1, 1};
    size_t n = (size_t)MLP * WIDTH;

    t->values = bench_floats(n, 1);
    for (size_t i = 0; i < n; i++)
        t->values[i] *= 0.05F;
    for (int l = 0; l < t->layers; l++)
        for (int k = 0; k < PARTS; k++) {
            bool lora = k == QUERY || k == VALUE;

            t->part[l][k] = weight(t, out[k], k == DOWN ? MLP : WIDTH,
                                   k >= NORM1 ? CPV_USE_NORM : CPV_USE_LINEAR, lora,
                                   lora ? CPV_TRAIN_LORA : 0);
        }
    t->projection = weight(t, DIM, WIDTH, CPV_USE_LINEAR, false, 0);
    t->scale = weight(t, 1, 1, CPV_USE_TABLE, false, CPV_TRAIN_MATRIX);
    t->image = bench_floats((size_t)t->texts * DIM, 2);
    t->x = bench_floats((size_t)t->texts * (size_t)t->tokens * 2 * WIDTH, 3);
}

static cpv_tensor drop(cpv_compute *c, struct tower *t, cpv_tensor x, uint32_t operation)
{
    return cpv_dropout(c, x, t->rows, t->dropout, &t->dice, operation);
}

static cpv_tensor layer(cpv_compute *c, struct tower *t, int l, cpv_tensor x)
{
    cpv_weight **p = t->part[l];
    struct cpv_heads heads = {.count = HEADS};
    uint32_t at = (uint32_t)l * 8;
    cpv_tensor q = cpv_linear_pair(c, x, drop(c, t, x, at), p[QUERY]);
    cpv_tensor k = cpv_linear(c, x, p[KEY], CPV_IDENTITY);
    cpv_tensor v = cpv_linear_pair(c, x, drop(c, t, x, at + 1), p[VALUE]);
    cpv_tensor a = cpv_self_attention_dropout(c, q, k, v, t->rows, heads, t->dropout,
                                              &t->dice, at + 2);
    cpv_tensor h;

    if (t->dropout > 0) {
        h = drop(c, t, cpv_linear(c, a, p[MIX], CPV_IDENTITY), at + 3);
        x = cpv_layernorm(c, cpv_add(c, h, x), p[NORM1], 1e-5F);
        h = cpv_linear(c, cpv_linear(c, x, p[UP], CPV_GELU), p[DOWN], CPV_IDENTITY);
        return cpv_layernorm(c, cpv_add(c, drop(c, t, h, at + 4), x), p[NORM2], 1e-5F);
    }
    x = cpv_layernorm(c, cpv_linear_add(c, a, p[MIX], x), p[NORM1], 1e-5F);
    h = cpv_linear(c, x, p[UP], CPV_GELU);
    return cpv_layernorm(c, cpv_linear_add(c, h, p[DOWN], x), p[NORM2], 1e-5F);
}

static double now(void)
{
    return bench_clock(CLOCK_MONOTONIC);
}

enum { FORWARD, LOSS, BACKWARD, ADAM, ALL, TIMES };

static void adam(cpv_compute *c, struct tower *t, cpv_tensor (*moments)[2], int64_t step)
{
    struct cpv_adam how = {1e-4, 0.9, 0.98, 1e-6, 0, false, step};
    int at = 0;

    for (int l = 0; l < t->layers; l++)
        for (int k = QUERY; k <= VALUE; k += 2) {
            cpv_weight *w = t->part[l][k];

            cpv_adam(c, w, CPV_PARAM_LORA_A, moments[at][0], moments[at][1], &how);
            cpv_adam(c, w, CPV_PARAM_LORA_B, moments[at + 1][0], moments[at + 1][1],
                     &how);
            cpv_weight_refresh(c, w);
            cpv_weight_clear(c, w);
            at += 2;
        }
}

static void step(cpv_compute *c, struct tower *t, cpv_tensor (*moments)[2], int64_t n,
                 double took[TIMES])
{
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_tensor x = cpv_put(c, t->rows.total, WIDTH, t->x), image, y;
    struct cpv_contrastive loss;
    double at[5];

    image = cpv_l2norm(c, cpv_put(c, t->texts, DIM, t->image), 1e-12F);
    at[0] = now();
    t->dice.step = (uint64_t)n;
    cpv_tape_clear(c);
    cpv_tape_start(c);
    for (int l = 0; l < t->layers; l++)
        x = layer(c, t, l, x);
    x = cpv_linear(c, cpv_mean(c, x, t->rows), t->projection, CPV_IDENTITY);
    y = cpv_l2norm(c, x, 1e-12F);
    cpv_tape_stop(c);
    at[1] = now();
    loss = cpv_contrastive(c, image, y, t->scale);
    at[2] = now();
    cpv_backward(c, y, loss.dtext);
    at[3] = now();
    adam(c, t, moments, n);
    at[4] = now();
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    for (int i = 0; i <= ADAM; i++)
        took[i] = at[i + 1] - at[i];
    took[ALL] = at[4] - at[0];
}

/* All matrices once. */
static double products(cpv_compute *c, struct tower *t)
{
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_tensor x = cpv_put(c, t->rows.total, WIDTH, t->x), h;
    double from = now();

    for (int l = 0; l < t->layers; l++) {
        struct cpv_compute_mark inner = cpv_compute_mark(c);

        h = cpv_linear(c, x, t->part[l][UP], CPV_IDENTITY);
        (void)cpv_linear(c, h, t->part[l][DOWN], CPV_IDENTITY);
        for (int k = QUERY; k <= MIX; k++) /* key and mix stand for those with pairs */
            (void)cpv_linear(c, x, t->part[l][k % 2 ? k : KEY], CPV_IDENTITY);
        cpv_compute_rewind(c, inner);
    }
    from = now() - from;
    cpv_compute_rewind(c, mark);
    return from;
}

static cpv_rows rows_of(cpv_compute *c, const struct tower *t)
{
    int32_t *length = bench_alloc((size_t)t->texts * sizeof *length);
    cpv_rows rows;

    for (int i = 0; i < t->texts; i++) /* halves to one and a half times the mean */
        length[i] = t->tokens / 2 +
                    (int32_t)((int64_t)t->tokens * (i % 2 ? i : t->texts - 1 - i) /
                              (t->texts > 1 ? t->texts - 1 : 1));
    rows = cpv_rows_put(c, length, t->texts);
    free(length);
    return rows;
}

static void moments_of(cpv_compute *c, struct tower *t, cpv_tensor (*moments)[2])
{
    for (int i = 0; i < 4 * t->layers; i++)
        for (int k = 0; k < 2; k++)
            moments[i][k] = i % 2 ? cpv_zeros(c, WIDTH, RANK) : cpv_zeros(c, RANK, WIDTH);
}

int main(int argc, char **argv)
{
    static cpv_tensor moments[4 * LAYERS_MAX][2];
    struct tower t = {.layers = 12, .texts = 32, .tokens = 16, .threads = 2};
    struct cpv_device_params device = {.name = "cpu"};
    struct cpv_compute_params params = {.arena = (size_t)3 << 30};
    double took[TIMES], best[TIMES], product = INFINITY;
    struct cpv_err err = {0};
    struct rusage usage;
    cpv_compute *c;
    int rounds = 5, option;

    while ((option = getopt(argc, argv, "t:r:l:n:m:d:")) != -1) {
        long n = strtol(optarg, NULL, 10);

        if (option == 'd')
            t.dropout = strtof(optarg, NULL);
        else if (option == 't')
            t.threads = (int)n;
        else if (option == 'r')
            rounds = (int)n;
        else if (option == 'l')
            t.layers = n < LAYERS_MAX ? (int)n : LAYERS_MAX;
        else if (option == 'n')
            t.texts = (int)n;
        else if (option == 'm')
            t.tokens = (int)n;
    }
    params.threads = t.threads;
    check(cpv_device_open(&t.device, &device, &err), &err);
    build(&t);
    check(cpv_compute_open(&c, t.device, &params, &err), &err);
    t.rows = rows_of(c, &t);
    moments_of(c, &t, moments);
    for (int i = 0; i < TIMES; i++)
        best[i] = INFINITY;
    for (int r = 0; r < rounds; r++) {
        step(c, &t, moments, r + 1, took);
        for (int i = 0; i < TIMES; i++)
            best[i] = took[i] < best[i] ? took[i] : best[i];
        product = fmin(product, products(c, &t));
    }
    check(cpv_compute_sync(c, &err), &err);
    getrusage(RUSAGE_SELF, &usage);
    printf("%d texts, %d rows, %d layers, %d threads, dropout %g: step %.3f s: forward "
           "%.3f, loss %.4f, backward %.3f, Adam %.4f; products once %.3f; arena %zu MB, "
           "peak RSS %ld MB\n",
           t.texts, (int)t.rows.total, t.layers, t.threads, (double)t.dropout, best[ALL],
           best[FORWARD], best[LOSS], best[BACKWARD], best[ADAM], product,
           cpv_compute_peak(c) >> 20, usage.ru_maxrss >> 10);
    return 0;
}
