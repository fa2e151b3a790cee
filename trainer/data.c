/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/data.h"

#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/base/sys.h"
#include "common/format/half.h"
#include "common/format/shard.h"
#include "trainer/data_impl.h"

enum { STREAM_ORDER = 0x74726f72, STREAM_CAPTION = 0x74726361 };

const struct data_counts *data_count(const data *d)
{
    return &d->counts;
}

uint32_t data_samples(const data *d)
{
    return d->n;
}

const uint8_t *data_digest(const data *d)
{
    return d->digest;
}

const char *data_key(const data *d, uint32_t sample)
{
    return d->key[sample];
}

void data_embedding(const data *d, uint32_t sample, float *to)
{
    const uint16_t *from = d->embedding + (size_t)sample * (size_t)d->dim;
    double sum = 0;
    float by;

    for (int i = 0; i < d->dim; i++) {
        to[i] = cpv_half_value(from[i]);
        sum += (double)to[i] * (double)to[i];
    }
    by = sum > 0 ? (float)(1.0 / sqrt(sum)) : 0;
    for (int i = 0; i < d->dim; i++)
        to[i] *= by;
}

uint32_t data_captions(const data *d, uint32_t sample, size_t lang, uint32_t *first)
{
    size_t at = (size_t)sample * d->langs + lang;

    *first = at ? d->lang_end[at - 1] : 0;
    return d->lang_end[at] - *first;
}

const int32_t *data_tokens(const data *d, uint32_t caption, int32_t *n)
{
    uint64_t first = caption ? d->caption_end[caption - 1] : 0;

    *n = (int32_t)(d->caption_end[caption] - first);
    return d->tokens + first;
}

/* ---- pictures ---- */

struct data_reader {
    const data *d;
    cpv_shard *shard; /* of the file that was asked last */
    uint32_t file;
};

int data_reader_open(data_reader **out, const data *d, struct cpv_err *err)
{
    *out = cpv_calloc(1, sizeof **out);
    if (!*out)
        return cpv_fail_memory(err);
    (*out)->d = d;
    return CPV_OK;
}

void data_reader_close(data_reader **r)
{
    if (!*r)
        return;
    cpv_shard_close(&(*r)->shard);
    cpv_free(*r);
    *r = NULL;
}

int data_picture(data_reader *r, uint32_t sample, cpv_arena *mem, struct cpv_bytes *file,
                 struct cpv_err *err)
{
    const data *d = r->d;
    const struct place *p = &d->place[sample];
    struct cpv_sample s;
    int rc = CPV_OK;

    if (d->map[p->file].data) {
        struct cpv_bytes map = d->map[p->file];

        *file = p->offset <= map.size && p->size <= map.size - p->offset
                    ? cpv_bytes_of(map.data + p->offset, p->size)
                    : (struct cpv_bytes){0};
        return CPV_OK;
    }
    if (r->shard && r->file != p->file)
        cpv_shard_close(&r->shard);
    if (!r->shard)
        rc = cpv_shard_open(&r->shard, d->file[p->file], err);
    r->file = p->file;
    if (!rc)
        rc = cpv_shard_read(r->shard, p->sample, p->ext, mem, &s, err);
    if (!rc)
        *file = s.members[0].data;
    return rc;
}

/* ---- which samples and captions a step takes ---- */

uint64_t data_batches(const data *d, const struct data_draw *draw)
{
    uint64_t whole = d->n / draw->batch;

    return whole ? whole : 1;
}

/* A language that the sample has, by its share; one there is. */
static size_t draw_language(const data *d, uint32_t sample, const double *shares,
                            struct cpv_rng *r)
{
    double sum = 0, at;
    size_t last = 0;
    uint32_t first;

    for (size_t i = 0; i < d->langs; i++)
        if (data_captions(d, sample, i, &first)) {
            sum += shares[i];
            last = i;
        }
    at = cpv_rng_unit(r) * sum;
    for (size_t i = 0; i < d->langs; i++) {
        if (!data_captions(d, sample, i, &first))
            continue;
        if (at < shares[i])
            return i;
        at -= shares[i];
    }
    return last;
}

uint32_t data_pick_batch(const data *d, const struct data_draw *draw, uint64_t step,
                         uint32_t *order, uint64_t *epoch, struct data_pick *out)
{
    uint64_t batches = data_batches(d, draw), now = step / batches;
    uint64_t at = step % batches * draw->batch;
    uint32_t n = d->n < draw->batch ? d->n : draw->batch;

    if (*epoch != now)
        cpv_rng_permutation(order, d->n, draw->seed, STREAM_ORDER, now);
    *epoch = now;
    for (uint32_t i = 0; i < n; i++) {
        struct cpv_rng r;
        uint32_t sample = order[at + i], first, count;

        cpv_rng_init(&r, draw->seed, STREAM_CAPTION, step * draw->batch + i);
        out[i].sample = sample;
        out[i].lang = (uint16_t)draw_language(d, sample, draw->shares, &r);
        count = data_captions(d, sample, out[i].lang, &first);
        out[i].caption = first + (uint32_t)cpv_rng_below(&r, count);
    }
    return n;
}
