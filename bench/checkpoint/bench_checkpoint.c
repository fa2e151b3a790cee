/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a checkpoint as users do: into weights of the cpu device, by the loader of its
 * architecture (Marian), or by the architecture's table (BLIP), in f32 or in int8.
 *
 *     bench_checkpoint FOLDER f32|int8|read [ROUNDS]
 *
 * `read` makes f32 of every tensor and packs nothing: what the file alone costs.
 *
 * Each round is a process of its own, for which the model is the first thing that it
 * loads. One line a round: seconds by the clock, those of them in which it waited for a
 * processor that other programs had (none on a machine of one's own), those of the
 * processor; the largest anonymous memory (RssAnon, which leaves out the mapped files),
 * and what part that is of 4 bytes a parameter; tensors that share their memory count
 * once. Exit status 1 if the best round took 2 s or more, waiting for a processor left
 * out, or any one more memory than 1.4 of that (int8: 0.45).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/model/arch.h"
#include "common/model/marian.h"
#include "common/model/params.h"

static const double SECONDS = 2, OF_F32 = 1.4, OF_F32_INT8 = 0.45;

struct result {
    double seconds; /* by the clock */
    double waited;  /* of them, for a processor that others had */
    double cpu;     /* user and system */
    double peak;    /* bytes */
    uint64_t parameters;
    size_t tensors;
    char format[16];
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u))
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* One line of a file of /proc, "" where there is none. */
static void first_line(const char *path, char *to, int size)
{
    FILE *f = fopen(path, "r");

    if (!f || !fgets(to, size, f))
        *to = '\0';
    if (f)
        (void)fclose(f);
}

/* What this thread has waited for a processor; 0 where the system does not say. */
static double waited(void)
{
    char text[200];
    const char *second;

    first_line("/proc/thread-self/schedstat", text, sizeof text);
    second = strchr(text, ' ');
    return second ? 1e-9 * (double)strtoull(second, NULL, 10) : 0;
}

/* ---- memory that belongs to no file ---- */

struct watch {
    pthread_t thread;
    _Atomic bool ends;
    double peak;
};

static double anonymous(void)
{
    char text[4096];
    const char *at = NULL;
    FILE *f = fopen("/proc/self/status", "r");

    if (f) {
        size_t n = fread(text, 1, sizeof text - 1, f);

        text[n] = '\0';
        at = strstr(text, "RssAnon:");
        (void)fclose(f);
    }
    return at ? 1024.0 * (double)strtol(at + strlen("RssAnon:"), NULL, 10) : 0;
}

static void *look(void *arg)
{
    struct watch *w = arg;
    struct timespec pause = {0, 1000000};
    bool last;

    do {
        double here;

        last = atomic_load(&w->ends);
        here = anonymous();
        w->peak = here > w->peak ? here : w->peak;
        nanosleep(&pause, NULL);
    } while (!last);
    return NULL;
}

/* ---- tensors alone ---- */

static bool seen(const cpv_checkpoint *c, size_t i)
{
    const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(c, i);

    for (size_t k = 0; k < i; k++)
        if (cpv_checkpoint_tied(cpv_checkpoint_at(c, k), t))
            return true;
    return false;
}

static bool counts(const cpv_checkpoint *c, size_t i)
{
    return cpv_checkpoint_at(c, i)->dtype <= CPV_CKPT_F64 && !seen(c, i);
}

/* A checkpoint open, and what of it is to be freed at the end. */
struct loaded {
    cpv_checkpoint *file;
    cpv_device *device;
    cpv_params *params;
    cpv_marian *marian;
    void **plain;
};

static int read_plain(struct loaded *l, struct cpv_err *err)
{
    size_t n = cpv_checkpoint_count(l->file);
    int rc = CPV_OK;

    l->plain = cpv_calloc(n + 1, sizeof *l->plain);
    if (!l->plain)
        return cpv_fail_memory(err);
    for (size_t i = 0; !rc && i < n; i++) {
        const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(l->file, i);

        if (!counts(l->file, i))
            continue;
        l->plain[i] = cpv_alloc((size_t)t->elements * sizeof(float));
        rc = l->plain[i] ? cpv_checkpoint_rows_f32(t, 0, t->rank ? t->dim[0] : 1,
                                                   l->plain[i], err)
                         : cpv_fail_memory(err);
        cpv_checkpoint_release(l->file, t);
    }
    return rc;
}

/* ---- BLIP, entry by entry ---- */

/* Rows of the first dimension: a convolution's weight is [h, channels * patch * patch].
 */
static int first_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    return cpv_checkpoint_rows_f32(arg, (uint64_t)first, (uint64_t)n, to, err);
}

static int whole(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct cpv_ckpt_tensor *t = arg;

    (void)first;
    (void)n;
    return cpv_checkpoint_rows_f32(t, 0, t->dim[0], to, err);
}

static int take(void *ctx, const struct cpv_arch_bound *b, struct cpv_err *err)
{
    struct loaded *l = ctx;
    const struct cpv_ckpt_tensor *from[2] = {b->weight, b->bias};
    uint64_t last = b->weight->dim[b->weight->rank - 1];
    struct cpv_weight_params w = {
        .name = b->weight->name,
        .use = CPV_USE_LINEAR,
        .out = (int64_t)b->weight->dim[0],
        .in = (int64_t)(b->weight->elements / b->weight->dim[0]),
        .matrix = {.rows = first_rows, .arg = (void *)(uintptr_t)b->weight}};

    if (b->entry->id == CPV_BLIP_HEAD_BIAS)
        return CPV_OK; /* went with the head */
    if (b->entry->id == CPV_BLIP_HEAD)
        from[1] = cpv_params_tensor(l->params, b->weight->dim[0],
                                    "text_decoder.cls.predictions.bias");
    if (b->entry->kind == CPV_ARCH_NORM) {
        w.use = CPV_USE_NORM;
        w.in = w.out;
        w.out = 1;
        w.matrix.rows = whole;
    } else if (b->entry->kind == CPV_ARCH_TENSOR || b->entry->id == CPV_BLIP_EMBED ||
               b->entry->id == CPV_BLIP_POS) {
        w.use = CPV_USE_TABLE;
        w.in = (int64_t)last;
        w.out = (int64_t)(b->weight->elements / last);
        w.matrix.rows = cpv_params_rows;
    }
    if (from[1]) {
        w.bias.rows = whole;
        w.bias.arg = (void *)(uintptr_t)from[1];
    }
    (void)cpv_params_make(l->params, &w, from, from[1] ? 2 : 1);
    return cpv_params_check(l->params, err);
}

/* ---- a round ---- */

static int open_device(struct loaded *l, const char *dtype, struct cpv_err *err)
{
    struct cpv_device_params p = {.name = "cpu", .weights = CPV_F32};

    if (!strcmp(dtype, "int8"))
        p.weights = CPV_I8;
    return cpv_device_open(&l->device, &p, err);
}

static int load(struct loaded *l, const char *folder, const char *dtype,
                struct cpv_err *err)
{
    struct cpv_arch_model model;
    cpv_arena *mem = NULL;
    int rc = strcmp(dtype, "read") ? cpv_arena_open(&mem, 0, err) : read_plain(l, err);

    if (rc || !mem)
        return rc;
    rc = cpv_arch_open(&model, folder, mem, err);
    if (!rc)
        rc = open_device(l, dtype, err);
    if (!rc && !strcmp(model.arch->name, "marian"))
        rc = cpv_marian_open(&l->marian, l->device, folder, err);
    else if (!rc && strcmp(model.arch->name, "blip"))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': %s, expected marian or blip", folder,
                      model.arch->name);
    else if (!rc)
        rc = cpv_params_open(&l->params, l->device, l->file, err);
    if (!rc && l->params) {
        cpv_arch_prefix(&model, l->file);
        rc = cpv_arch_bind(&model, l->file, take, l, err);
    }
    cpv_arena_close(&mem);
    return rc;
}

static void unload(struct loaded *l)
{
    for (size_t i = 0; l->plain && i < cpv_checkpoint_count(l->file); i++)
        cpv_free(l->plain[i]);
    cpv_free(l->plain);
    cpv_marian_close(&l->marian);
    cpv_params_close(&l->params);
    cpv_device_close(&l->device);
    cpv_checkpoint_close(&l->file);
}

static int measure(const char *folder, const char *dtype, struct result *r,
                   struct cpv_err *err)
{
    struct loaded l = {0};
    struct watch w = {0};
    double start = now(), before = waited();
    int rc;

    if (pthread_create(&w.thread, NULL, look, &w))
        return cpv_fail_memory(err);
    rc = cpv_checkpoint_open(&l.file, folder, err);
    if (!rc)
        rc = load(&l, folder, dtype, err);
    r->seconds = now() - start;
    r->waited = waited() - before;
    r->cpu = cpu_seconds();
    atomic_store(&w.ends, true);
    (void)pthread_join(w.thread, NULL);
    r->peak = w.peak;
    for (size_t i = 0; !rc && i < cpv_checkpoint_count(l.file); i++)
        if (counts(l.file, i)) {
            r->parameters += cpv_checkpoint_at(l.file, i)->elements;
            r->tensors++;
        }
    if (!rc)
        snprintf(r->format, sizeof r->format, "%s", cpv_checkpoint_format(l.file));
    unload(&l);
    return rc;
}

/* In a child, so that no round profits from the memory of another. */
static bool round_of(const char *folder, const char *dtype, struct result *r)
{
    struct cpv_err err = {0};
    int ends[2], status = 1;
    pid_t child;

    if (pipe(ends))
        return false;
    child = fork();
    if (child == 0) {
        struct result own = {0};

        if (measure(folder, dtype, &own, &err)) {
            fprintf(stderr, "bench_checkpoint: %s\n", err.text);
            _exit(cpv_exit_status(err.code));
        }
        _exit(write(ends[1], &own, sizeof own) == (ssize_t)sizeof own ? 0 : 1);
    }
    (void)close(ends[1]);
    if (child < 0 || read(ends[0], r, sizeof *r) != (ssize_t)sizeof *r)
        r->parameters = 0;
    (void)close(ends[0]);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 &&
           r->parameters;
}

int main(int argc, char **argv)
{
    long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 3;
    double best = 1e9, most = 0, bound;

    if (argc < 3 || argc > 4 || rounds < 1 ||
        (strcmp(argv[2], "f32") && strcmp(argv[2], "int8") && strcmp(argv[2], "read"))) {
        fprintf(stderr, "usage: bench_checkpoint FOLDER f32|int8|read [ROUNDS]\n");
        return 2;
    }
    bound = strcmp(argv[2], "int8") ? OF_F32 : OF_F32_INT8;
    for (long i = 0; i < rounds; i++) {
        struct result r = {0};
        double part;

        if (!round_of(argv[1], argv[2], &r))
            return 74;
        part = r.peak / (4.0 * (double)r.parameters);
        best = r.seconds - r.waited < best ? r.seconds - r.waited : best;
        most = part > most ? part : most;
        printf(
            "%-4s %-12s %4zu tensors %6.1f M parameters %6.3f s (waited %.3f, CPU %.3f), "
            "peak %7.1f MB anonymous, %.3f of f32\n",
            argv[2], r.format, r.tensors, (double)r.parameters * 1e-6, r.seconds,
            r.waited, r.cpu, r.peak * 1e-6, part);
    }
    if (!(best < SECONDS && most <= bound)) {
        printf("%s: over the bounds: %.0f s, %.2f of f32\n", argv[2], SECONDS, bound);
        return 1;
    }
    return 0;
}
