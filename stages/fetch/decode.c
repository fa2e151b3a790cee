/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job becomes an outcome: read (local files), digest, filters, resize, encode,
 * JSON. Runs in the decoders' threads; everything a thread needs is its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "stages/fetch/fetch.h"

struct decoder {
    struct fetch *f;
    cpv_image_worker *images;
    struct cpv_buf json;
    cpv_arena *mem; /* of one job */
};

static void fail_job(struct fetch_job *job, const char *status, const char *detail)
{
    job->status = status;
    (void)snprintf(job->detail, sizeof job->detail, "%s", detail);
}

/* ---- local files ---- */

/* No way out of the root: a path is data of strangers. */
static bool path_is_inside(const char *path)
{
    const char *p = path;

    if (*p == '/' || !*p)
        return false;
    while (p) {
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
            return false;
        p = strchr(p, '/');
        p = p ? p + 1 : NULL;
    }
    return true;
}

static void read_local(struct decoder *d, struct fetch_job *job)
{
    const struct fetch_settings *set = d->f->set;
    const char *root = set->root ? set->root : set->path;
    struct cpv_err err = {0};
    struct stat st;
    char *path;
    int rc;

    if (!path_is_inside(job->path)) {
        fail_job(job, "bad_path", "a path must lie inside of the root");
        return;
    }
    path = cpv_arena_printf(d->mem, "%s/%s", root, job->path);
    if (!path) {
        job->out_of_memory = true;
        return;
    }
    if (cpv_sys.stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        fail_job(job, "not_a_file", ""); /* a pipe would be waited for, for ever */
        return;
    }
    rc = cpv_file_read(path, (size_t)set->max_bytes, &job->body, &err);
    if (rc == CPV_E_MEMORY)
        job->out_of_memory = true;
    else if (rc == CPV_E_ABSENT)
        fail_job(job, "missing_file", "");
    else if (rc == CPV_E_INPUT)
        fail_job(job, "too_big", "");
    else if (rc) {
        fail_job(job, "read_error", "");
        job->transient = err.sys != EACCES && err.sys != EPERM && err.sys != ELOOP &&
                         err.sys != ENAMETOOLONG;
    }
}

/* ---- one job ---- */

static bool digest_agrees(const struct fetch *f, const struct fetch_job *job,
                          struct cpv_bytes file, const uint8_t sha256[32])
{
    char hex[CPV_SHA256_HEX];
    uint8_t md5[16];

    if (!job->row || !job->row->hash)
        return true;
    if (strcmp(f->set->hash.at[1], "md5") == 0) {
        cpv_md5_of(md5, file);
        cpv_hex(hex, md5, sizeof md5);
    } else {
        cpv_hex(hex, sha256, CPV_SHA256_SIZE);
    }
    return strcmp(hex, job->row->hash) == 0;
}

/* The image among a tar sample's members, by webdataset's names. */
static const struct cpv_member *find_image(const struct fetch_foreign *s)
{
    static const char *const names[] = {"jpg", "jpeg", "png", "webp", NULL};

    for (size_t n = 0; names[n]; n++)
        for (size_t i = 0; i < s->n_members; i++)
            if (strcmp(s->members[i].ext, names[n]) == 0)
                return &s->members[i];
    return NULL;
}

/* Members of the outcome: image and JSON, and what else a tar's sample had. */
static void add_members(const struct fetch_job *job, const struct cpv_image_result *image,
                        struct cpv_bytes json, struct fetch_outcome *o)
{
    const struct cpv_member *old = job->foreign ? find_image(job->foreign) : NULL;

    o->members[o->n_members++] = (struct cpv_member){image->ext, image->data};
    o->members[o->n_members++] = (struct cpv_member){"json", json};
    for (size_t i = 0; job->foreign && i < job->foreign->n_members; i++) {
        const struct cpv_member *m = &job->foreign->members[i];

        if (m != old && strcmp(m->ext, "json") != 0 && strcmp(m->ext, image->ext) != 0 &&
            cpv_shard_ext_ok(m->ext))
            o->members[o->n_members++] = *m;
    }
}

static int make_outcome(struct decoder *d, struct fetch_job *job, struct cpv_bytes file,
                        const char *key, struct fetch_outcome *o)
{
    struct cpv_image_result image;
    int rc;

    cpv_sha256_of(o->sha256, file);
    if (!digest_agrees(d->f, job, file, o->sha256)) {
        fail_job(job, "hash_mismatch", "");
        return CPV_OK;
    }
    rc = cpv_image_process(d->images, file, &d->f->image, &image, NULL);
    if (rc)
        return rc;
    if (image.status != CPV_IMAGE_OK) {
        fail_job(job, cpv_image_status_name(image.status), image.detail);
        return CPV_OK;
    }
    cpv_buf_clear(&d->json);
    rc = fetch_sample_json(d->f, job, key, &image, o->sha256, &d->json, NULL);
    if (rc == CPV_E_INPUT) {
        fail_job(job, "bad_json", "");
        return CPV_OK;
    }
    if (rc)
        return rc;
    add_members(job, &image, cpv_buf_view(&d->json), o);
    o->ok = true;
    fetch_outcome_encode(o, &job->payload); /* while the image is still there */
    return CPV_OK;
}

static int run_job(struct decoder *d, struct fetch_job *job)
{
    const struct cpv_member *image = job->foreign ? find_image(job->foreign) : NULL;
    struct fetch_outcome o = {.index = job->index};
    struct cpv_bytes file;
    const char *key;
    int rc = CPV_OK;

    if (job->path && !job->status)
        read_local(d, job);
    if (job->foreign)
        key = o.key = fetch_foreign_key(job->foreign->key, d->mem);
    else
        key = fetch_key(d->f, job->owner->part->number, job->index, d->mem);
    if (job->out_of_memory || !key)
        return CPV_E_MEMORY;
    file = image ? image->data : cpv_buf_view(&job->body);
    if (!job->status && job->foreign && !image)
        fail_job(job, "no_image", "");
    if (!job->status && file.size > (size_t)d->f->set->max_bytes)
        fail_job(job, "too_big", "");
    if (!job->status)
        rc = make_outcome(d, job, file, key, &o);
    if (!rc && job->status) {
        job->failed = true;
        o.status = job->status;
        o.transient = job->transient;
        o.detail = job->row && job->row->bad && strcmp(job->status, "bad_row") == 0
                       ? job->row->bad
                       : job->detail;
        cpv_buf_clear(&job->payload);
        fetch_outcome_encode(&o, &job->payload);
    }
    return rc || job->payload.failed ? CPV_E_MEMORY : CPV_OK;
}

void fetch_decode_main(void *arg, int worker)
{
    struct fetch *f = arg;
    struct decoder d = {.f = f};
    void *item;
    bool ready = cpv_image_worker_open(&d.images, NULL) == CPV_OK &&
                 cpv_arena_open(&d.mem, 0, NULL) == CPV_OK;

    (void)worker;
    while (cpv_queue_get(f->todo, &item)) {
        struct fetch_job *job = item;

        if (atomic_load(&f->cancel))
            job->stopped = true;
        else if (!ready || run_job(&d, job))
            job->out_of_memory = true;
        cpv_buf_release(&job->body);
        if (job->charged)
            cpv_http_release(f->http, job->charged);
        job->charged = 0;
        if (d.mem)
            cpv_arena_reset(d.mem);
        if (!cpv_queue_put(f->done, job))
            fetch_job_free(&job);
    }
    cpv_buf_release(&d.json);
    cpv_image_worker_close(&d.images);
    cpv_arena_close(&d.mem);
}
