/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU time per image of every step of common/image, over all files of a folder.
 *
 *     bench_image DIR [SIZE] [REPEATS]
 *
 * The steps are timed in separate passes over the same files; each is the least of
 * REPEATS passes (default 5), in milliseconds of process CPU time per image.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/image/image.h"
#include "common/image/scale.h"

enum { FILES_MAX = 10000 };

struct bench {
    cpv_arena *arena;
    struct cpv_bytes file[FILES_MAX];
    size_t files;
    cpv_image_worker *worker;
    struct cpv_image_params params;
    struct cpv_buf memory;
    struct cpv_err err;
};

typedef int (*step_fn)(struct bench *b, struct cpv_bytes file);

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int load(struct bench *b, const char *dir)
{
    struct dirent **names = NULL;
    int n = scandir(dir, &names, NULL, by_name), rc = n < 0 ? -1 : 0;

    for (int i = 0; i < n; i++) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && b->files < FILES_MAX && rc == 0) {
            struct cpv_buf whole = {0};

            rc = cpv_file_read(path, 64 << 20, &whole, &b->err);
            b->file[b->files++] = cpv_buf_view(&whole);
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

static int step_probe(struct bench *b, struct cpv_bytes file)
{
    struct cpv_image_info info;

    (void)b;
    return cpv_image_probe(file, &info) == CPV_IMAGE_OK ? 0 : 1;
}

static int step_process(struct bench *b, struct cpv_bytes file)
{
    struct cpv_image_result r;

    if (cpv_image_process(b->worker, file, &b->params, &r, &b->err) != 0)
        return -1;
    return r.status == CPV_IMAGE_OK ? 0 : 1;
}

static int step_check(struct bench *b, struct cpv_bytes file)
{
    int rc;

    b->params.pass_through = true;
    rc = step_process(b, file);
    b->params.pass_through = false;
    return rc;
}

static int step_decode(struct bench *b, struct cpv_bytes file)
{
    struct cpv_image_result r;
    struct cpv_pixels p;

    if (cpv_image_decode(b->worker, file, b->params.max_pixels, false, &p, &r, &b->err))
        return -1;
    return r.status == CPV_IMAGE_OK ? 0 : 1;
}

static int decode_resize(struct bench *b, struct cpv_bytes file, struct cpv_pixels *small)
{
    struct cpv_image_result r;
    struct cpv_pixels p;
    double scale;

    if (cpv_image_decode(b->worker, file, b->params.max_pixels, false, &p, &r, &b->err))
        return -1;
    if (r.status != CPV_IMAGE_OK)
        return 1;
    scale = (double)b->params.size / (p.width < p.height ? p.width : p.height);
    return cpv_image_resize(&p, (uint32_t)(p.width * scale + 0.5),
                            (uint32_t)(p.height * scale + 0.5), CPV_IMAGE_AREA,
                            &b->memory, small, &b->err);
}

static int step_resize(struct bench *b, struct cpv_bytes file)
{
    struct cpv_pixels small;

    return decode_resize(b, file, &small);
}

static int step_encode(struct bench *b, struct cpv_bytes file)
{
    struct cpv_pixels small;
    struct cpv_bytes out;
    int rc = decode_resize(b, file, &small);

    if (rc == 0)
        rc = cpv_image_encode_jpeg(b->worker, &small, b->params.quality, &out, &b->err);
    return rc;
}

static int run_step(struct bench *b, const char *name, step_fn step, int repeats)
{
    double best = 0;
    size_t failed = 0;

    for (int i = 0; i < repeats; i++) {
        double start = cpu_ms(), ms;

        failed = 0;
        for (size_t k = 0; k < b->files; k++) {
            int rc = step(b, b->file[k]);

            if (rc < 0)
                return rc;
            failed += rc > 0;
        }
        ms = (cpu_ms() - start) / (double)b->files;
        if (i == 0 || ms < best)
            best = ms;
    }
    printf("%-34s %8.3f ms/image  (%zu images, %zu failed)\n", name, best, b->files,
           failed);
    return 0;
}

int main(int argc, char **argv)
{
    static struct bench b;
    int repeats = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 5, rc;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_image DIR [SIZE] [REPEATS]\n");
        return 2;
    }
    cpv_image_params_default(&b.params);
    if (argc > 2)
        b.params.size = (int)strtol(argv[2], NULL, 10);
    rc = load(&b, argv[1]);
    if (rc == 0)
        rc = cpv_image_worker_open(&b.worker, &b.err);
    if (rc == 0 && b.files > 0) {
        printf("keep_ratio %d, area, quality %d, %s\n", b.params.size, b.params.quality,
               cpv_scale_best()->name);
        (void)(run_step(&b, "probe", step_probe, repeats) ||
               run_step(&b, "check only (pass through)", step_check, repeats) ||
               run_step(&b, "process", step_process, repeats) ||
               run_step(&b, "decode to RGB", step_decode, repeats) ||
               run_step(&b, "decode to RGB, resize", step_resize, repeats) ||
               run_step(&b, "decode to RGB, resize, encode", step_encode, repeats));
    }
    if (rc != 0)
        fprintf(stderr, "bench_image: %s\n", b.err.text);
    cpv_image_worker_close(&b.worker);
    return rc != 0;
}
