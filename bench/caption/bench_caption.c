/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random pictures through a BLIP model, and its products alone.
 *
 *     bench_caption FOLDER f32|int8 IMAGES WORKERS PLACES
 *     bench_caption FOLDER f32|int8 IMAGES products PLACES
 *     bench_caption FOLDER f32|int8 IMAGES split PLACES
 *
 * Ten prompts of 5 tokens, bos included, and exactly 12 new ones: sep is a token that
 * never comes. Workers are threads of one thread each, with up to PLACES pictures in
 * work. `products` runs on two threads what these would multiply, by the same operations,
 * and nothing else: the limit. `split` runs one worker and says which operation took how
 * much.
 *
 * Prints images, seconds by the clock and of CPU, and MiB of the process at most, after a
 * round that warms up.
 */
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/model.h"
#include "common/base/rng.h"
#include "common/model/blip.h"

enum { PROMPTS = 10, TOKENS = 5, NEW = 12, WORKERS_MAX = 16, PICTURES = 4 };

static void report(const char *what, int n, double wall, double cpu)
{
    struct rusage used;

    (void)getrusage(RUSAGE_SELF, &used);
    (void)printf("%s %d %.3f %.3f %ld\n", what, n, seconds(CLOCK_MONOTONIC) - wall,
                 seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, used.ru_maxrss / 1024);
}

/* ---- captions ---- */

/* The pictures that are left, for all workers. */
struct queue {
    pthread_mutex_t lock;
    int left;
    float *pixels[PICTURES];
};

struct share {
    cpv_blip_worker *w;
    struct queue *queue;
    struct cpv_prompt prompt[PROMPTS];
    int32_t ids[PROMPTS][TOKENS];
    long tokens;
    int images;
    struct cpv_err err;
};

static int next(void *arg, bool wait, struct cpv_blip_image *out, struct cpv_err *e)
{
    struct share *s = arg;
    int number;

    (void)wait;
    (void)e;
    pthread_mutex_lock(&s->queue->lock);
    number = s->queue->left > 0 ? s->queue->left-- : 0;
    pthread_mutex_unlock(&s->queue->lock);
    out->number = (uint64_t)number;
    out->pixels = s->queue->pixels[number % PICTURES];
    return number > 0;
}

static int emit(void *arg, uint64_t number, const cpv_beam *const *beam, int n,
                struct cpv_err *e)
{
    struct share *s = arg;
    const int32_t *tokens;
    float score;

    (void)number;
    (void)e;
    for (int i = 0; i < n; i++)
        s->tokens += cpv_beam_best(beam[i], 0, &tokens, &score);
    s->images++;
    return 0;
}

static void *run_share(void *arg)
{
    struct share *s = arg;

    if (cpv_blip_caption(s->w, s->prompt, PROMPTS, next, emit, s, &s->err))
        s->tokens = -1;
    return NULL;
}

static void run_all(struct share *share, int workers, int n)
{
    pthread_t thread[WORKERS_MAX];
    int images = 0;
    long tokens = 0;

    share[0].queue->left = n;
    for (int i = 0; i < workers; i++)
        if (pthread_create(&thread[i], NULL, run_share, &share[i]))
            exit(74);
    for (int i = 0; i < workers; i++) {
        pthread_join(thread[i], NULL);
        images += share[i].images;
        tokens += share[i].tokens;
        share[i].tokens = share[i].images = 0;
    }
    if (images != n || tokens != (long)n * PROMPTS * NEW) {
        (void)fprintf(stderr, "bench_caption: %ld tokens of %d images: %s\n", tokens,
                      images, share[0].err.text);
        exit(1);
    }
}

static void make_pictures(struct queue *q, const cpv_blip *m)
{
    size_t side = (size_t)cpv_blip_config(m)->vision.image;
    struct cpv_rng r;

    cpv_rng_init(&r, 20261125, 1, 0);
    for (int i = 0; i < PICTURES; i++) {
        q->pixels[i] = room(3 * side * side, sizeof *q->pixels[i]);
        for (size_t k = 0; k < 3 * side * side; k++)
            q->pixels[i][k] = (float)(4 * cpv_rng_unit(&r) - 2);
    }
}

static void make_share(struct share *s, const cpv_blip *m, struct queue *queue,
                       int places)
{
    struct cpv_search search = cpv_blip_search(m);
    struct cpv_blip_limits limits = {
        .images = places, .prompts = PROMPTS, .prompt = TOKENS, .target = NEW};

    search.eos = -1;
    must(cpv_blip_worker_open(&s->w, m, &search, &limits, &err));
    s->queue = queue;
    for (int i = 0; i < PROMPTS; i++) {
        for (int k = 0; k < TOKENS; k++)
            s->ids[i][k] = k ? 2000 + 7 * i + k : cpv_blip_config(m)->text.bos;
        s->prompt[i] = (struct cpv_prompt){s->ids[i], TOKENS};
    }
}

static void caption(const cpv_blip *m, int n, int workers, int places)
{
    struct queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct share *share = room(WORKERS_MAX, sizeof *share);
    double wall, cpu;

    make_pictures(&queue, m);
    for (int i = 0; i < workers; i++)
        make_share(&share[i], m, &queue, places);
    run_all(share, workers, workers);
    wall = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    run_all(share, workers, n);
    report("captioned", n, wall, cpu);
    for (int i = 0; i < workers; i++)
        cpv_blip_worker_close(&share[i].w);
    for (int i = 0; i < PICTURES; i++)
        free(queue.pixels[i]);
    free(share);
}

/* ---- the products alone ---- */

enum { LAYERS_MAX = 48, KINDS = 15 };

struct product {
    int64_t out, in, rows;
    double times; /* of an image, in each layer */
    int layers;
    cpv_weight *w[LAYERS_MAX]; /* one for each: they do not stay in the cache */
};

struct limit {
    struct product p[KINDS];
    int n, images;
    cpv_device *device;
    int64_t rows, wide;
    struct cpv_err err;
    int rc;
};

/* With `places` pictures in work a step has the sequences of all of them. */
static void list_products(struct limit *l, const struct cpv_blip_config *k, int places)
{
    int64_t v = k->vision.width, f = k->vision.ffn, t = k->vision.tokens;
    int64_t d = k->text.width, g = k->text.ffn, first = (int64_t)PROMPTS * TOKENS;
    int64_t step = (int64_t)PROMPTS * places, patch = k->vision.patch;
    int a = k->vision.layers, b = k->text.layers;
    double steps = (NEW - 1.0) / places, heads = (double)NEW / places;
    const struct product p[] = {
        {v, 3 * patch * patch, t - 1, 1, 1, {0}},
        {3 * v, v, t, 1, a, {0}},
        {v, v, t, 1, a, {0}},
        {f, v, t, 1, a, {0}},
        {v, f, t, 1, a, {0}},
        {2 * d, v, t, 1, b, {0}},
        {3 * d, d, first, 1, b, {0}},
        {d, d, first, 3, b, {0}},
        {g, d, first, 1, b, {0}},
        {d, g, first, 1, b, {0}},
        {3 * d, d, step, steps, b, {0}},
        {d, d, step, 3 * steps, b, {0}},
        {g, d, step, steps, b, {0}},
        {d, g, step, steps, b, {0}},
        {k->text.vocab, d, step, heads, 1, {0}},
    };

    memcpy(l->p, p, sizeof p);
    l->n = KINDS;
    for (int i = 0; i < l->n; i++) {
        l->rows = l->p[i].rows > l->rows ? l->p[i].rows : l->rows;
        l->wide = l->p[i].in > l->wide ? l->p[i].in : l->wide;
    }
}

static void make_weights(struct limit *l)
{
    for (int i = 0; i < l->n; i++)
        for (int k = 0; k < l->p[i].layers && k < LAYERS_MAX; k++) {
            struct product *p = &l->p[i];

            p->w[k] = noisy_weight(l->device, p->out, p->in);
        }
}

static void multiply(cpv_compute *c, const struct limit *l, cpv_tensor x)
{
    for (int i = 0; i < l->n; i++) {
        const struct product *p = &l->p[i];
        int times = (int)(p->times * l->images * p->layers + 0.5);

        for (int k = 0; k < times; k++) {
            struct cpv_compute_mark mark = cpv_compute_mark(c);

            cpv_linear(c, cpv_columns(cpv_row_range(x, 0, p->rows), 0, p->in),
                       p->w[k % p->layers], CPV_IDENTITY);
            cpv_compute_rewind(c, mark);
        }
    }
}

static void *run_products(void *arg)
{
    struct limit *l = arg;
    struct cpv_compute_params params = {.arena = (size_t)256 << 20};
    float *values = room((size_t)(l->rows * l->wide), sizeof *values);
    cpv_compute *c;

    noise(&l->wide, 1, l->rows, values, NULL);
    l->rc = cpv_compute_open(&c, l->device, &params, &l->err);
    if (!l->rc) {
        multiply(c, l, cpv_put(c, l->rows, l->wide, values));
        l->rc = cpv_compute_sync(c, &l->err);
        cpv_compute_close(&c);
    }
    free(values);
    return NULL;
}

static void products(cpv_device *device, const struct cpv_blip_config *k, int n,
                     int places)
{
    struct limit *l = room(1, sizeof *l), *other = room(1, sizeof *other);
    pthread_t thread;
    double wall = 0, cpu = 0;

    l->device = device;
    list_products(l, k, places);
    make_weights(l);
    for (int round = 0; round < 2; round++) { /* the first warms up */
        l->images = round ? (n + 2 * places - 1) / (2 * places) * places : places;
        *other = *l;
        wall = seconds(CLOCK_MONOTONIC);
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (pthread_create(&thread, NULL, run_products, other))
            exit(74);
        run_products(l);
        pthread_join(thread, NULL);
        if (l->rc || other->rc) {
            (void)fprintf(stderr, "bench_caption: %s\n",
                          l->rc ? l->err.text : other->err.text);
            exit(74);
        }
    }
    report("products", 2 * l->images, wall, cpu);
    for (int i = 0; i < l->n; i++)
        for (int w = 0; w < l->p[i].layers; w++)
            cpv_weight_close(&l->p[i].w[w]);
    free(other);
    free(l);
}

struct one_worker {
    const cpv_blip *m;
    int n, places;
};

static void one_worker(void *arg)
{
    const struct one_worker *w = arg;

    caption(w->m, w->n, 1, w->places);
}

int main(int argc, char **argv)
{
    struct cpv_device_params params = {.name = "cpu", .weights = CPV_F32};
    cpv_device *device;
    cpv_blip *m;
    int n, places;

    if (argc != 6) {
        (void)fputs("usage: bench_caption FOLDER f32|int8 IMAGES WORKERS|products|split "
                    "PLACES\n",
                    stderr);
        return 64;
    }
    n = whole(argv[3]);
    places = whole(argv[5]);
    if (strcmp(argv[2], "int8") == 0)
        params.weights = CPV_I8;
    must(cpv_device_open(&device, &params, &err));
    must(cpv_blip_open(&m, device, argv[1], &err));
    if (strcmp(argv[4], "products") == 0)
        products(device, cpv_blip_config(m), n, places);
    else if (strcmp(argv[4], "split") == 0)
        split(device, cpv_blip_config(m)->text.vocab, one_worker,
              &(struct one_worker){m, n, places});
    else
        caption(m, n, whole(argv[4]), places);
    cpv_blip_close(&m);
    cpv_device_close(&device);
    return 0;
}
