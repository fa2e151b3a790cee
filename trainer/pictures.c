/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/pictures.h"

#include <stdatomic.h>
#include <string.h>

#include "common/base/queue.h"
#include "common/base/sys.h"

enum { SAID = 5 };

struct reader {
    data_reader *file;
    cpv_pixels_maker *maker;
    cpv_arena *mem;
    struct cpv_err err;
};

struct pictures {
    struct pictures_params p;
    cpv_clip_worker *worker;
    struct reader *reader; /* one for each thread */
    float *pixels;         /* [most, 3 * side * side] */
    size_t each;
    /* Of the call. */
    const uint32_t *sample;
    uint32_t n;
    bool *good;
    atomic_uint next;
    uint64_t said;
};

static int read_one(pictures *p, struct reader *r, uint32_t i)
{
    enum cpv_image_status status;
    const char *detail = "";
    struct cpv_bytes file;
    int rc = data_picture(r->file, p->sample[i], r->mem, &file, &r->err);

    if (!rc)
        rc = cpv_pixels_make(r->maker, file, p->p.max_pixels, p->pixels + i * p->each,
                             &status, &detail, &r->err);
    p->good[i] = !rc && status == CPV_IMAGE_OK;
    cpv_arena_reset(r->mem);
    return rc;
}

static void read_some(void *arg, int who)
{
    pictures *p = arg;
    struct reader *r = &p->reader[who];
    unsigned i;

    while (!r->err.code && (i = atomic_fetch_add(&p->next, 1)) < p->n)
        (void)read_one(p, r, i);
}

static int read_all(pictures *p, struct cpv_err *err)
{
    cpv_pool *pool = NULL;
    int rc;

    atomic_store(&p->next, 0);
    rc = cpv_pool_open(&pool, "picture", p->p.threads, 0, read_some, p, err);
    cpv_pool_close(&pool);
    for (int i = 0; i < p->p.threads && !rc; i++)
        if (p->reader[i].err.code) {
            *err = p->reader[i].err;
            rc = err->code;
        }
    return rc;
}

int pictures_embed(pictures *p, const uint32_t *sample, uint32_t n, bool *good,
                   float *out, struct cpv_err *err)
{
    uint32_t left = 0;
    int rc;

    p->sample = sample;
    p->n = n;
    p->good = good;
    rc = read_all(p, err);
    for (uint32_t i = 0; i < n && !rc; i++) {
        if (!good[i]) {
            if (p->said++ < SAID)
                cpv_log_warning(p->p.log,
                                "sample '%s' is left out: its picture cannot "
                                "be read",
                                data_key(p->p.data, sample[i]));
            continue;
        }
        if (left < i)
            memmove(p->pixels + left * p->each, p->pixels + i * p->each,
                    p->each * sizeof *p->pixels);
        left++;
    }
    return rc || !left ? rc
                       : cpv_clip_worker_images(p->worker, p->pixels, left, out, err);
}

int pictures_open(pictures **out, const struct pictures_params *params,
                  struct cpv_err *err)
{
    pictures *p = cpv_calloc(1, sizeof *p);
    struct cpv_clip_limits limits = {.images = (int)params->most,
                                     .threads = params->threads};
    size_t side = (size_t)cpv_clip_config(params->model)->vision.image;
    int rc;

    *out = NULL;
    if (!p)
        return cpv_fail_memory(err);
    p->p = *params;
    p->each = 3 * side * side;
    p->pixels = cpv_calloc((size_t)params->most * p->each, sizeof *p->pixels);
    p->reader = cpv_calloc((size_t)params->threads, sizeof *p->reader);
    rc = p->pixels && p->reader
             ? cpv_clip_worker_open(&p->worker, params->model, &limits, err)
             : cpv_fail_memory(err);
    for (int i = 0; i < params->threads && !rc; i++) {
        struct reader *r = &p->reader[i];

        rc = data_reader_open(&r->file, params->data, err);
        if (!rc)
            rc = cpv_pixels_open(&r->maker, cpv_clip_pixels(params->model), err);
        if (!rc)
            rc = cpv_arena_open(&r->mem, 0, err);
    }
    if (rc)
        pictures_close(&p);
    *out = p;
    return rc;
}

void pictures_close(pictures **pp)
{
    pictures *p = *pp;

    if (!p)
        return;
    for (int i = 0; p->reader && i < p->p.threads; i++) {
        data_reader_close(&p->reader[i].file);
        cpv_pixels_close(&p->reader[i].maker);
        cpv_arena_close(&p->reader[i].mem);
    }
    cpv_clip_worker_close(&p->worker);
    cpv_free(p->reader);
    cpv_free(p->pixels);
    cpv_free(p);
    *pp = NULL;
}
