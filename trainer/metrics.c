/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/format/json.h"

struct metrics {
    char *path[2];
    int fd[2]; /* metrics.jsonl, timings.jsonl */
    uint64_t bytes;
    struct cpv_buf line;
};

static const char *const NAMES[] = {"metrics.jsonl", "timings.jsonl"};

static int open_file(metrics *m, const char *folder, int i, struct cpv_err *err)
{
    size_t n = strlen(folder) + strlen(NAMES[i]) + 2;

    m->path[i] = cpv_alloc(n);
    if (!m->path[i])
        return cpv_fail_memory(err);
    (void)snprintf(m->path[i], n, "%s/%s", folder, NAMES[i]);
    m->fd[i] = cpv_sys.open(m->path[i], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return m->fd[i] < 0 ? cpv_fail_sys(err, errno, "cannot open '%s'", m->path[i])
                        : CPV_OK;
}

int metrics_open(metrics **out, const char *folder, uint64_t bytes, struct cpv_err *err)
{
    metrics *m = cpv_calloc(1, sizeof *m);
    uint64_t there = 0;
    int rc;

    *out = NULL;
    if (!m)
        return cpv_fail_memory(err);
    m->fd[0] = m->fd[1] = -1;
    m->bytes = bytes;
    rc = open_file(m, folder, 0, err);
    if (!rc)
        rc = open_file(m, folder, 1, err);
    if (!rc)
        rc = cpv_file_size(m->fd[0], &there, m->path[0], err);
    if (!rc && there < bytes)
        rc = cpv_fail(err, CPV_E_CORRUPT,
                      "'%s' is shorter than the last checkpoint says (%llu bytes, "
                      "expected %llu)",
                      m->path[0], (unsigned long long)there, (unsigned long long)bytes);
    if (!rc && there > bytes && cpv_sys.ftruncate(m->fd[0], (off_t)bytes) < 0)
        rc = cpv_fail_sys(err, errno, "cannot cut '%s'", m->path[0]);
    if (rc)
        metrics_close(&m);
    *out = m;
    return rc;
}

void metrics_close(metrics **mp)
{
    metrics *m = *mp;

    if (!m)
        return;
    for (int i = 0; i < 2; i++) {
        cpv_file_close(&m->fd[i]);
        cpv_free(m->path[i]);
    }
    cpv_buf_release(&m->line);
    cpv_free(m);
    *mp = NULL;
}

/* The line that is there, to file i. */
static int put(metrics *m, int i, struct cpv_err *err)
{
    size_t n = m->line.size;
    int rc;

    if (m->line.failed)
        return cpv_fail_memory(err);
    rc = cpv_file_put(m->fd[i], m->line.data, n, m->path[i], err);
    if (!rc && i == 0)
        m->bytes += n;
    return rc;
}

/* Numbers in full: two runs are compared by them. */
static void put_real(struct cpv_json *j, const char *key, double v)
{
    char text[40];

    cpv_json_key(j, key);
    (void)snprintf(text, sizeof text, "%.9g", v);
    cpv_json_raw(j, cpv_bytes_str(text));
}

static void put_uint(struct cpv_json *j, const char *key, uint64_t v)
{
    cpv_json_key(j, key);
    cpv_json_uint(j, v);
}

static void begin(metrics *m, struct cpv_json *j, uint64_t step)
{
    cpv_buf_clear(&m->line);
    cpv_json_init(j, &m->line);
    cpv_json_begin_object(j);
    put_uint(j, "step", step);
}

static int end(metrics *m, struct cpv_json *j, int i, struct cpv_err *err)
{
    cpv_json_end_object(j);
    cpv_buf_byte(&m->line, '\n');
    return put(m, i, err);
}

int metrics_line(metrics *m, const struct metrics_line *line, struct cpv_err *err)
{
    struct cpv_json j;

    begin(m, &j, line->step);
    put_real(&j, "epoch", line->epoch);
    put_real(&j, "loss", line->loss);
    put_real(&j, "text_accuracy", line->text_accuracy);
    put_real(&j, "image_accuracy", line->image_accuracy);
    put_real(&j, "lr", line->lr);
    put_real(&j, "logit_scale", line->logit_scale);
    put_uint(&j, "pairs", line->pairs);
    put_uint(&j, "tokens", line->tokens);
    put_uint(&j, "broken", line->broken);
    return end(m, &j, 0, err);
}

static void put_side(struct cpv_json *j, const char *key, const struct cpv_recall_side *s)
{
    cpv_json_key(j, key);
    cpv_json_begin_object(j);
    for (int i = 0; i < CPV_RECALL_KS; i++) {
        char word[16];

        (void)snprintf(word, sizeof word, "r%d", cpv_recall_k[i]);
        put_real(j, word, s->at[i]);
    }
    put_real(j, "mean_recall", s->mean);
    cpv_json_end_object(j);
}

int metrics_validation(metrics *m, uint64_t step, const struct validate_result *r,
                       struct cpv_err *err)
{
    struct cpv_json j;

    begin(m, &j, step);
    cpv_json_key(&j, "validation");
    cpv_json_begin_object(&j);
    put_real(&j, "mean_recall", r->mean_recall);
    for (size_t i = 0; i < r->n; i++) {
        cpv_json_key(&j, r->language[i]);
        cpv_json_begin_object(&j);
        put_side(&j, "text_to_image", &r->recall[i].t2i);
        put_side(&j, "image_to_text", &r->recall[i].i2t);
        put_real(&j, "mean_recall", r->recall[i].mean);
        cpv_json_end_object(&j);
    }
    cpv_json_end_object(&j);
    return end(m, &j, 0, err);
}

int metrics_timing(metrics *m, const struct metrics_timing *t, struct cpv_err *err)
{
    double by = t->seconds > 0 ? 1 / t->seconds : 0;
    struct cpv_json j;

    begin(m, &j, t->step);
    put_real(&j, "seconds", t->seconds);
    put_real(&j, "samples_per_s", (double)t->pairs * by);
    put_real(&j, "tokens_per_s", (double)t->tokens * by);
    put_uint(&j, "memory_bytes", metrics_memory());
    return end(m, &j, 1, err);
}

int metrics_sync(metrics *m, uint64_t *bytes, struct cpv_err *err)
{
    *bytes = m->bytes;
    return cpv_sys.fsync(m->fd[0]) < 0
               ? cpv_fail_sys(err, errno, "cannot make '%s' durable", m->path[0])
               : CPV_OK;
}

uint64_t metrics_memory(void)
{
    static const char WORD[] = "RssAnon:";
    struct cpv_err none = {0};
    struct cpv_buf text = {0};
    uint64_t bytes = 0;
    const char *at = NULL;

    if (cpv_file_read("/proc/self/status", 1 << 16, &text, &none) == CPV_OK)
        at = cpv_buf_cstr(&text);
    at = at ? strstr(at, WORD) : NULL;
    if (at)
        bytes = strtoull(at + sizeof WORD - 1, NULL, 10) * 1024;
    cpv_buf_release(&text);
    return bytes;
}
