/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our side of peft.sh: the text tower of a model, with an adapter or without.
 *
 *     clip_steps MODEL [-a ADAPTER] [-t lora|proj|full] [-p PAD] [-m MICRO] [-c]
 *                [-j THREADS] [-n TEXTS] COMMAND ...
 *         texts FOLDER OUT           unit vectors of all of FOLDER/ids
 *         images PIXELS COUNT OUT    of pixels, f32
 *         step FOLDER BATCH OUT      one step's gradients, as OUT (safetensors), and the
 *                                    loss as a line
 *         steps FOLDER BATCH LR...   the loss before each step, a line each; Adam with L2
 *         adapter OUT [FOLDER BATCH LR...]    save the adapter, after steps
 *         merge OUT                  save the merged model
 *
 * FOLDER: ids, a line of numbers for each caption, and image.f32, unit vectors. -t: what
 * is trained (without -a new pairs of r 8 on query and value, of seed 1). -p: texts are
 * padded to so many. -m: so many texts at a time. -c: gradient checkpointing. -n: texts
 * of FOLDER that are used.
 */
#include <unistd.h>

#include "common/base/size.h"
#include "common/format/safetensors_write.h"
#include "tests/unit/model/clip_steps.h"

struct options {
    const char *model, *adapter, *trained;
    struct manner manner;
    int threads, texts;
};

static struct cpv_err err;

static void fail(const char *what, const char *of)
{
    (void)fprintf(stderr, "clip_steps: %s: '%s'\n", what, of);
    exit(2);
}

static long number(const char *text, long most)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*end || n < 0 || n > most)
        fail("expected a number", text);
    return n;
}

/* ---- files ---- */

static FILE *open_in(const char *folder, const char *name, const char *mode)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s%s%s", folder, *name ? "/" : "", name);
    f = fopen(path, mode);
    if (!f)
        fail("cannot open", path);
    return f;
}

static void read_ids(struct texts *t, const char *folder, int most)
{
    FILE *f = open_in(folder, "ids", "r");
    size_t room = 1 << 16, used = 0, size = 0;
    char *line = NULL;

    t->ids = some(room, sizeof *t->ids);
    t->first = some((size_t)most, sizeof *t->first);
    t->length = some((size_t)most, sizeof *t->length);
    while (t->count < most && getline(&line, &size, f) > 0) {
        char *at = line, *end;

        t->first[t->count] = (int32_t)used;
        for (;; at = end) {
            long id = strtol(at, &end, 10);

            if (end == at)
                break;
            if (used == room)
                t->ids = realloc(t->ids, (room *= 2) * sizeof *t->ids);
            if (!t->ids)
                exit(1);
            t->ids[used++] = (int32_t)id;
        }
        t->length[t->count] = (int32_t)used - t->first[t->count];
        t->count++;
    }
    free(line);
    (void)fclose(f);
}

static void read_texts(struct texts *t, const char *folder, const struct options *o,
                       int dim)
{
    FILE *f = open_in(folder, "image.f32", "rb");
    size_t n;

    *t = (struct texts){.dim = dim};
    read_ids(t, folder, o->texts);
    n = (size_t)t->count * (size_t)dim;
    t->image = some(n, sizeof *t->image);
    if (fread(t->image, sizeof *t->image, n, f) != n)
        fail("too short", "image.f32");
    (void)fclose(f);
}

static void write_floats(const char *path, const float *x, size_t n)
{
    FILE *f = open_in(path, "", "wb");

    if (fwrite(x, sizeof *x, n, f) != n || fclose(f) != 0)
        fail("cannot write", path);
}

/* ---- commands ---- */

static void do_texts(cpv_clip *m, const struct options *o, char **arg)
{
    struct cpv_clip_limits limits = {.threads = o->threads};
    int dim = cpv_clip_config(m)->dim;
    cpv_clip_worker *w = NULL;
    struct texts t;
    float *out;

    read_texts(&t, arg[0], o, dim);
    out = some((size_t)t.count * (size_t)dim, sizeof *out);
    no_error(cpv_clip_worker_open(&w, m, &limits, &err), &err);
    no_error(cpv_clip_worker_texts(w, t.ids, t.length, t.count, out, &err), &err);
    write_floats(arg[1], out, (size_t)t.count * (size_t)dim);
    cpv_clip_worker_close(&w);
    texts_release(&t);
    free(out);
}

static void do_images(cpv_clip *m, const struct options *o, char **arg)
{
    struct cpv_clip_limits limits = {.threads = o->threads};
    const struct cpv_clip_config *k = cpv_clip_config(m);
    int64_t n = number(arg[1], 1 << 20);
    size_t each = 3 * (size_t)k->vision.image * (size_t)k->vision.image;
    float *pixels = some((size_t)n * each, sizeof *pixels);
    float *out = some((size_t)n * (size_t)k->dim, sizeof *out);
    FILE *f = open_in(arg[0], "", "rb");
    cpv_clip_worker *w = NULL;

    if (fread(pixels, sizeof *pixels, (size_t)n * each, f) != (size_t)n * each)
        fail("too short", arg[0]);
    (void)fclose(f);
    no_error(cpv_clip_worker_open(&w, m, &limits, &err), &err);
    no_error(cpv_clip_worker_images(w, pixels, n, out, &err), &err);
    write_floats(arg[2], out, (size_t)n * (size_t)k->dim);
    cpv_clip_worker_close(&w);
    free(pixels);
    free(out);
}

/* The arena: what a step takes on a device of shapes alone, and room to spare. */
static void open_steps(struct steps *s, cpv_clip *m, cpv_device *device,
                       const struct options *o)
{
    steps_open(s, m, device, (size_t)6 << 30, o->threads);
}

struct gradient {
    const struct steps *s;
    const struct cpv_clip_param *p;
    float *all; /* NULL: not asked for yet */
};

static int gradient_rows(void *arg, uint64_t first, uint64_t n, float *to,
                         struct cpv_err *e)
{
    struct gradient *g = arg;
    size_t cols = (size_t)g->p->cols, count = (size_t)g->p->rows * cols;

    if (!g->all) {
        g->all = some(count, sizeof *g->all);
        cpv_get(g->s->c, cpv_weight_grad(g->p->weight, g->p->which), g->all);
        no_error(cpv_compute_sync(g->s->c, e), e);
    }
    memcpy(to, g->all + first * cols, n * cols * sizeof *to);
    if ((first + n) * cols == count) {
        free(g->all);
        g->all = NULL;
    }
    return CPV_OK;
}

static void do_step(struct steps *s, const struct options *o, char **arg)
{
    struct cpv_safetensors_tensor *t = some((size_t)s->params, sizeof *t);
    struct gradient *g = some((size_t)s->params, sizeof *g);
    int n = (int)number(arg[1], 1 << 16), *row = some((size_t)n, sizeof *row);
    struct texts texts;

    read_texts(&texts, arg[0], o, cpv_clip_config(s->m)->dim);
    batch_rows(&texts, 0, n, row);
    (void)printf("%.9g\n", (double)step_gradients(s, &texts, row, n, &o->manner));
    for (int i = 0; i < s->params; i++) {
        g[i] = (struct gradient){.s = s, .p = &s->param[i]};
        t[i] = (struct cpv_safetensors_tensor){
            .name = s->param[i].name,
            .dtype = CPV_CKPT_F32,
            .rank = 2,
            .dim = {(uint64_t)s->param[i].rows, (uint64_t)s->param[i].cols},
            .rows = gradient_rows,
            .ctx = &g[i]};
    }
    no_error(cpv_safetensors_write(arg[2], t, (size_t)s->params, NULL, 0, &err), &err);
    texts_release(&texts);
    free(row);
    free(t);
    free(g);
}

static void do_steps(struct steps *s, const struct options *o, char **arg)
{
    int n = (int)number(arg[1], 1 << 16), *row = some((size_t)n, sizeof *row);
    struct texts texts;

    read_texts(&texts, arg[0], o, cpv_clip_config(s->m)->dim);
    for (int i = 0; arg[2 + i]; i++) {
        struct cpv_adam how = {.lr = strtod(arg[2 + i], NULL),
                               .beta1 = 0.9,
                               .beta2 = 0.98,
                               .eps = 1e-6,
                               .decay = 0.2};

        batch_rows(&texts, i, n, row);
        (void)printf("%.9g\n", (double)step_gradients(s, &texts, row, n, &o->manner));
        step_adam(s, how);
    }
    texts_release(&texts);
    free(row);
}

static void run(cpv_clip *m, cpv_device *device, const struct options *o, char **arg,
                int n)
{
    const char *command = arg[0];
    struct steps s;

    if (strcmp(command, "texts") == 0 && n == 3) {
        do_texts(m, o, arg + 1);
        return;
    }
    if (strcmp(command, "images") == 0 && n == 4) {
        do_images(m, o, arg + 1);
        return;
    }
    open_steps(&s, m, device, o);
    if (strcmp(command, "step") == 0 && n == 4) {
        do_step(&s, o, arg + 1);
    } else if (strcmp(command, "steps") == 0 && n > 3) {
        do_steps(&s, o, arg + 1);
    } else if (strcmp(command, "adapter") == 0 && (n == 2 || n > 4)) {
        if (n > 4)
            do_steps(&s, o, arg + 2);
        no_error(cpv_clip_save_adapter(m, s.c, arg[1], &err), &err);
    } else if (strcmp(command, "merge") == 0 && n == 2) {
        no_error(cpv_clip_save_merged(m, s.c, arg[1], &err), &err);
    } else {
        fail("no command, or not its arguments", command);
    }
    steps_close(&s);
}

static void read_options(struct options *o, int argc, char **argv)
{
    int c;

    *o = (struct options){.model = argv[1], .threads = 1, .texts = 1 << 16};
    optind = 2;
    while ((c = getopt(argc, argv, "+a:t:p:m:cj:n:")) != -1)
        switch (c) {
        case 'a':
            o->adapter = optarg;
            break;
        case 't':
            o->trained = optarg;
            break;
        case 'p':
            o->manner.how.pad_to = (int)number(optarg, 1 << 10);
            break;
        case 'm':
            o->manner.micro = (int)number(optarg, 1 << 16);
            break;
        case 'c':
            o->manner.how.checkpointing = true;
            break;
        case 'j':
            o->threads = (int)number(optarg, 64);
            break;
        case 'n':
            o->texts = (int)number(optarg, 1 << 16);
            break;
        default:
            exit(2);
        }
}

int main(int argc, char **argv)
{
    struct cpv_device_params params = {.name = getenv("DEVICE")};
    struct options o;
    struct cpv_clip_train train = {.seed = 1};
    struct cpv_clip_params what = {.image = true, .text = true};
    cpv_device *device = NULL;
    cpv_clip *m = NULL;

    if (argc < 3)
        fail("expected a model and a command", "see clip_steps.c");
    read_options(&o, argc, argv);
    if (optind >= argc)
        fail("expected a command", "see clip_steps.c");
    if (o.trained) {
        train.text = strcmp(o.trained, "full") == 0;
        train.projection = strcmp(o.trained, "proj") == 0;
        train.logit_scale = train.text || train.projection;
        if (!train.text)
            train.lora =
                (struct cpv_clip_lora){.rank = 8,
                                       .alpha = 8,
                                       .targets = CPV_CLIP_QUERY | CPV_CLIP_VALUE,
                                       .layers = UINT64_MAX};
        what.train = &train;
    }
    what.image = strcmp(argv[optind], "images") == 0;
    what.adapter = o.adapter;
    if (!params.name)
        params.name = "cpu";
    no_error(cpv_device_open(&device, &params, &err), &err);
    no_error(cpv_clip_open(&m, device, o.model, &what, &err), &err);
    run(m, device, &o, argv + optind, argc - optind);
    cpv_clip_close(&m);
    cpv_device_close(&device);
    return 0;
}
