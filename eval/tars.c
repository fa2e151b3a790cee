/* SPDX-License-Identifier: Apache-2.0 */
/* Tars of ours, of img2dataset and of CLIP_benchmark: pictures, captions, labels. */
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/format/npy.h"
#include "common/format/samples.h"
#include "eval/eval.h"

struct reading {
    struct eval_set *s;
    embedder *e;
    const char *tar;
    bool labels;
    struct cpv_buf row; /* of a stored embedding, as floats */
};

static const struct cpv_member *picture_of(const struct cpv_sample *sample)
{
    static const char *const exts[] = {"jpg", "jpeg", "png", "webp"};
    const struct cpv_member *m = NULL;

    for (size_t i = 0; i < CPV_COUNT(exts) && !m; i++)
        m = cpv_sample_member(sample, exts[i]);
    return m;
}

static struct cpv_bytes data_of(const struct cpv_sample *sample, const char *ext)
{
    const struct cpv_member *m = cpv_sample_member(sample, ext);

    return m ? m->data : (struct cpv_bytes){0};
}

/* KEY.cls: a number as text. */
static int read_label(const struct reading *r, const struct cpv_sample *sample,
                      int64_t *out, struct cpv_err *err)
{
    struct cpv_bytes text = data_of(sample, "cls");
    char digits[16] = {0}, *end;

    while (text.size && strchr(" \t\r\n", text.data[text.size - 1]))
        text.size--;
    if (text.size && text.size < sizeof digits)
        memcpy(digits, text.data, text.size);
    *out = digits[0] >= '0' && digits[0] <= '9' ? strtoll(digits, &end, 10) : -1;
    if (*out < 0 || *end)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': '%s.cls': expected the number of a class, from 0", r->tar,
                        sample->key);
    return CPV_OK;
}

/* The first view of KEY.clip.npy. */
static int stored(struct reading *r, const struct cpv_sample *sample, int64_t number,
                  struct cpv_err *err)
{
    struct cpv_bytes file = data_of(sample, "clip.npy");
    struct cpv_npy a;
    float *values;
    int rc;

    if (!file.size)
        return embedder_skip(r->e, number, "no .clip.npy", err);
    rc = cpv_npy_read(file, sample->key, &a, err);
    if (rc) {
        (void)cpv_err_add(err, "'%s'", r->tar);
        return rc;
    }
    if (a.rows < 1 || a.cols != (uint64_t)embedder_dim(r->e))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': '%s.clip.npy' has %llu numbers, the model's embeddings "
                        "have %d: it is another model's",
                        r->tar, sample->key, (unsigned long long)a.cols,
                        embedder_dim(r->e));
    cpv_buf_clear(&r->row);
    values = (float *)(void *)cpv_buf_reserve(&r->row, (size_t)(a.rows * a.cols) * 4);
    if (!values)
        return cpv_fail_memory(err);
    cpv_npy_values(&a, values);
    return embedder_vector(r->e, number, values, err);
}

static int pixels(struct reading *r, const struct cpv_sample *sample, int64_t number,
                  struct cpv_err *err)
{
    const struct cpv_member *m = picture_of(sample);
    struct cpv_buf copy = {0};

    if (!m)
        return embedder_skip(r->e, number, "no image", err);
    cpv_buf_add(&copy, m->data.data, m->data.size);
    if (copy.failed) {
        cpv_buf_release(&copy);
        return cpv_fail_memory(err);
    }
    return embedder_file(r->e, number, &copy, err);
}

static int read_sample(struct reading *r, const struct cpv_sample *sample,
                       struct cpv_err *err)
{
    char *name = cpv_arena_printf(r->s->mem, "%s: %s.json", r->tar, sample->key);
    int64_t label = -1, number;
    int rc = name ? CPV_OK : cpv_fail_memory(err);

    if (!rc && r->labels)
        rc = read_label(r, sample, &label, err);
    if (!rc)
        rc = eval_add_image(r->s, sample->key, label, &number, err);
    if (!rc && !r->labels)
        rc = eval_sample_captions(r->s, number, data_of(sample, "json"),
                                  data_of(sample, "txt"), name, err);
    if (rc)
        return rc;
    return r->s->how->embeddings ? stored(r, sample, number, err)
                                 : pixels(r, sample, number, err);
}

static int read_tar(struct reading *r, struct cpv_err *err)
{
    struct cpv_samples_params params = {.repeats = true, .read_ahead = 2};
    cpv_samples *in = NULL;
    struct cpv_sample sample;
    int rc = cpv_samples_open(&in, r->tar, &params, err), got = 0;

    while (!rc && (got = cpv_samples_next(in, &sample, err)) == 1) {
        rc = read_sample(r, &sample, err);
        if (!rc && cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped");
    }
    cpv_samples_close(&in);
    return rc ? rc : got;
}

int eval_read_tars(struct eval_set *s, const struct eval_source *source, bool labels,
                   embedder *e, struct cpv_err *err)
{
    struct reading r = {.s = s, .e = e, .labels = labels};
    int rc = CPV_OK;

    for (size_t i = 0; i < source->n_tars && !rc; i++) {
        r.tar = source->tars[i];
        rc = read_tar(&r, err);
    }
    cpv_buf_release(&r.row);
    return rc;
}
