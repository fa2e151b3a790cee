/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ours for bench/train: a LoRA step, and scoring, of a model and texts that peers.py
 * made.
 *
 *     bench_train FOLDER train stored|pixels|full STEPS [checkpoint] [padded]
 *     bench_train FOLDER score image|captions IMAGES
 *     bench_train FOLDER products STEPS
 *     bench_train FOLDER split STEPS
 *
 * A step as peers.py's: batch BATCH (32), pairs of r 8 on query and value, projection and
 * logit_scale too (full: all of the text tower), dropout as XLM-R's configuration says,
 * Adam with L2. `captions`: an image with 12 captions. `products` runs what a step
 * multiplies and nothing else: the limit. `split` runs steps on one thread and says which
 * operation took how much. THREADS: 2. DEVICE: cpu.
 *
 * Prints steps or images, seconds by the clock and of CPU, after one that warms up.
 */
#include <string.h>

#include "bench/model.h"
#include "tests/unit/model/clip_steps.h"

enum { CAPTIONS = 12, RANK = 8 };

static cpv_device *device;
static cpv_clip *model;
static int threads, batch;

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);

    return text && *text ? whole(text) : otherwise;
}

static FILE *open_in(const char *folder, const char *name)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(74);
    }
    return f;
}

static void read_texts(struct texts *t, const char *folder)
{
    enum { MOST = 1 << 14, IDS = 1 << 20 };
    FILE *f = open_in(folder, "ids");
    size_t size = 0, used = 0, n;
    char *line = NULL, *at, *end;

    *t = (struct texts){.dim = cpv_clip_config(model)->dim,
                        .ids = room(IDS, sizeof *t->ids),
                        .first = room(MOST, sizeof *t->first),
                        .length = room(MOST, sizeof *t->length)};
    while (t->count < MOST && getline(&line, &size, f) > 0) {
        t->first[t->count] = (int32_t)used;
        for (at = line; used < IDS; at = end) {
            long id = strtol(at, &end, 10);

            if (end == at)
                break;
            t->ids[used++] = (int32_t)id;
        }
        t->length[t->count] = (int32_t)used - t->first[t->count];
        t->count++;
    }
    free(line);
    (void)fclose(f);
    n = (size_t)t->count * (size_t)t->dim;
    t->image = room(n, sizeof *t->image);
    f = open_in(folder, "image.f32");
    if (fread(t->image, sizeof *t->image, n, f) != n)
        exit(74);
    (void)fclose(f);
}

static float *noise_pixels(int n)
{
    int64_t side = cpv_clip_config(model)->vision.image, each = 3 * side * side;
    float *p = room((size_t)(n * each), sizeof *p);

    must(noise(&each, 0, n, p, &err));
    for (int64_t i = 0; i < n * each; i++)
        p[i] *= 16;
    return p;
}

static void open_model(const char *folder, bool image, const struct cpv_clip_train *train)
{
    struct cpv_clip_params params = {.image = image, .text = true, .train = train};

    must(cpv_clip_open(&model, device, folder, &params, &err));
}

static void report(int n, double wall, double cpu)
{
    (void)printf("%d %.3f %.3f\n", n, seconds(CLOCK_MONOTONIC) - wall,
                 seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

/* ---- steps ---- */

struct work {
    struct steps s;
    struct texts t;
    struct manner manner;
    cpv_clip_worker *images; /* NULL: stored */
    float *pixels;
    int steps;
};

static void one_step(struct work *w, int step)
{
    struct cpv_adam how = {
        .lr = 1e-5, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .decay = 0.2};
    struct texts t = w->t;
    int *row = room((size_t)batch, sizeof *row);

    w->manner.how.dice.step = (uint64_t)step;
    batch_rows(&w->t, step, batch, row);
    if (w->images) {
        /* What the tower makes of these pixels, in place of what is stored. */
        t.image = room((size_t)t.count * (size_t)t.dim, sizeof *t.image);
        must(cpv_clip_worker_images(w->images, w->pixels, batch, t.image, &err));
        for (int i = batch - 1; i >= 0; i--)
            memmove(t.image + (size_t)row[i] * (size_t)t.dim,
                    t.image + (size_t)i * (size_t)t.dim, (size_t)t.dim * sizeof *t.image);
    }
    (void)step_gradients(&w->s, &t, row, batch, &w->manner);
    step_adam(&w->s, how);
    if (w->images)
        free(t.image);
    free(row);
}

static void all_steps(void *arg)
{
    struct work *w = arg;

    for (int i = 1; i <= w->steps; i++)
        one_step(w, i);
}

static struct cpv_clip_train what_is_trained(bool full)
{
    struct cpv_clip_train t = {.text = full, .projection = !full, .logit_scale = true};

    if (!full)
        t.lora = (struct cpv_clip_lora){.rank = RANK,
                                        .alpha = RANK,
                                        .targets = CPV_CLIP_QUERY | CPV_CLIP_VALUE,
                                        .layers = UINT64_MAX};
    return t;
}

static void open_work(struct work *w, const char *folder, const char *how, int steps)
{
    struct cpv_clip_train train = what_is_trained(strcmp(how, "full") == 0);
    struct cpv_clip_limits limits = {.threads = threads};
    bool pixels = strcmp(how, "pixels") == 0;

    *w = (struct work){.steps = steps};
    open_model(folder, pixels, &train);
    read_texts(&w->t, folder);
    w->manner.how.hidden = (float)cpv_clip_config(model)->text.dropout;
    w->manner.how.attention = (float)cpv_clip_config(model)->text.attention_dropout;
    w->manner.how.dice.seed = 1;
    steps_open(&w->s, model, device, (size_t)6 << 30, threads);
    if (pixels) {
        must(cpv_clip_worker_open(&w->images, model, &limits, &err));
        w->pixels = noise_pixels(batch);
    }
}

static void close_work(struct work *w)
{
    cpv_clip_worker_close(&w->images);
    steps_close(&w->s);
    texts_release(&w->t);
    free(w->pixels);
}

static void train(const char *folder, const char *how, int steps, char **more)
{
    struct work w;
    double wall, cpu;

    open_work(&w, folder, how, steps);
    for (; *more; more++)
        if (strcmp(*more, "checkpoint") == 0)
            w.manner.how.checkpointing = true;
        else
            w.manner.how.pad_to = cpv_clip_config(model)->context;
    one_step(&w, 0);
    wall = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    all_steps(&w);
    report(steps, wall, cpu);
    close_work(&w);
}

static void split_steps(const char *folder, int steps)
{
    struct work w;

    threads = 1;
    open_work(&w, folder, "stored", steps);
    one_step(&w, 0);
    split(device, 0, all_steps, &w);
    close_work(&w);
}

/* ---- the limit ---- */

static void products(const char *folder, int steps)
{
    struct cpv_compute_params params = {.arena = (size_t)1 << 30, .threads = threads};
    struct cpv_clip_train train = what_is_trained(false);
    const struct cpv_clip_config *k;
    cpv_weight *square, *up, *down;
    cpv_compute *c = NULL;
    struct texts t;
    double wall = 0, cpu = 0;

    open_model(folder, false, &train);
    k = cpv_clip_config(model);
    read_texts(&t, folder);
    square = noisy_weight(device, k->text.width, k->text.width);
    up = noisy_weight(device, k->text.ffn, k->text.width);
    down = noisy_weight(device, k->text.width, k->text.ffn);
    must(cpv_compute_open(&c, device, &params, &err));
    for (int s = 0; s <= steps; s++) {
        int64_t rows = 0;
        cpv_tensor x, y;

        if (s == 1) {
            wall = seconds(CLOCK_MONOTONIC);
            cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        }
        for (int i = 0; i < batch; i++)
            rows += t.length[(s * batch + i) % t.count];
        /* Forth, and back with the same sizes turned: 4 squares and the MLP's two. */
        for (int layer = 0; layer < 2 * k->text.layers; layer++) {
            struct cpv_compute_mark mark = cpv_compute_mark(c);

            x = cpv_zeros(c, rows, k->text.width);
            for (int i = 0; i < 4; i++)
                (void)cpv_linear(c, x, square, CPV_IDENTITY);
            y = cpv_linear(c, x, up, CPV_IDENTITY);
            (void)cpv_linear(c, y, down, CPV_IDENTITY);
            cpv_compute_rewind(c, mark);
        }
        must(cpv_compute_sync(c, &err));
    }
    report(steps, wall, cpu);
    cpv_compute_close(&c);
    cpv_weight_close(&square);
    cpv_weight_close(&up);
    cpv_weight_close(&down);
    texts_release(&t);
}

/* ---- scoring ---- */

static void score(const char *folder, const char *how, int n)
{
    struct cpv_clip_limits limits = {.threads = threads};
    bool captions = strcmp(how, "captions") == 0;
    enum { AT_ONCE = 8 };
    double wall = 0, cpu = 0;
    cpv_clip_worker *w = NULL;
    float *pixels, *image, *text;
    struct texts t;
    int done = 0;

    open_model(folder, true, NULL);
    read_texts(&t, folder);
    must(cpv_clip_worker_open(&w, model, &limits, &err));
    pixels = noise_pixels(AT_ONCE);
    image = room((size_t)(AT_ONCE * t.dim), sizeof *image);
    text = room((size_t)(AT_ONCE * CAPTIONS * t.dim), sizeof *text);
    for (int at = 0; done < n || at == 0; at++) {
        int first = at * AT_ONCE * CAPTIONS % (t.count - AT_ONCE * CAPTIONS);

        if (at == 1) {
            wall = seconds(CLOCK_MONOTONIC);
            cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        }
        must(cpv_clip_worker_images(w, pixels, AT_ONCE, image, &err));
        if (captions)
            must(cpv_clip_worker_texts(w, t.ids + t.first[first], t.length + first,
                                       AT_ONCE * CAPTIONS, text, &err));
        done += at > 0 ? AT_ONCE : 0;
    }
    report(done, wall, cpu);
    cpv_clip_worker_close(&w);
    texts_release(&t);
    free(pixels);
    free(image);
    free(text);
}

int main(int argc, char **argv)
{
    struct cpv_device_params params = {.name = getenv("DEVICE")};

    threads = setting("THREADS", 2);
    batch = setting("BATCH", 32);
    if (!params.name)
        params.name = "cpu";
    must(cpv_device_open(&device, &params, &err));
    if (argc >= 5 && strcmp(argv[2], "train") == 0)
        train(argv[1], argv[3], whole(argv[4]), argv + 5);
    else if (argc == 5 && strcmp(argv[2], "score") == 0)
        score(argv[1], argv[3], whole(argv[4]));
    else if (argc == 4 && strcmp(argv[2], "products") == 0)
        products(argv[1], whole(argv[3]));
    else if (argc == 4 && strcmp(argv[2], "split") == 0)
        split_steps(argv[1], whole(argv[3]));
    else
        return 64;
    cpv_clip_close(&model);
    cpv_device_close(&device);
    return 0;
}
