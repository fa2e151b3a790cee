/* SPDX-License-Identifier: Apache-2.0 */
/* See safetensors_write.h. */
#include "common/format/safetensors_write.h"

#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/half.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/json.h"

enum { PIECE = 256 << 10 }; /* values asked for at a time, unless a row has more */

/* A tensor in the file's order. */
struct place {
    const struct cpv_safetensors_tensor *t;
    uint64_t rows, row; /* of `row` values */
    uint64_t from, to;  /* bytes behind the header */
};

static uint64_t size_of(const struct place *p)
{
    return p->t->dtype == CPV_CKPT_F16 ? 2 : 4;
}

static int by_type_and_name(const void *a, const void *b)
{
    const struct cpv_safetensors_tensor *x = ((const struct place *)a)->t,
                                        *y = ((const struct place *)b)->t;

    if (x->dtype != y->dtype)
        return x->dtype == CPV_CKPT_F32 ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct cpv_safetensors_pair *)a)->key,
                  ((const struct cpv_safetensors_pair *)b)->key);
}

static int bug(const struct cpv_safetensors_tensor *t, const char *what,
               struct cpv_err *err)
{
    return cpv_fail(err, CPV_E_BUG, "tensor '%s': %s", t->name, what);
}

static int place_one(struct place *p, struct cpv_err *err)
{
    const struct cpv_safetensors_tensor *t = p->t;
    uint64_t n;

    if (t->dtype != CPV_CKPT_F32 && t->dtype != CPV_CKPT_F16)
        return bug(t, "only f32 and f16 are written", err);
    if (t->rank > CPV_CKPT_RANK_MAX)
        return bug(t, "more than 8 dimensions", err);
    p->rows = t->rank ? t->dim[0] : 1;
    p->row = 1;
    for (uint32_t i = 1; i < t->rank; i++)
        if (!cpv_size_mul(p->row, t->dim[i], &p->row))
            return bug(t, "too large", err);
    if (!cpv_size_mul(p->rows, p->row, &n) || n > SIZE_MAX / 16)
        return bug(t, "too large", err);
    if (t->copy && t->copy->elements != n)
        return bug(t, "is to be a copy of another size", err);
    if (n > 0 && !t->values && !t->copy && !t->rows)
        return bug(t, "has no values", err);
    p->to = n * size_of(p);
    return CPV_OK;
}

static int place_all(struct place *p, const struct cpv_safetensors_tensor *tensors,
                     size_t n, struct cpv_err *err)
{
    uint64_t at = 0;
    int rc = CPV_OK;

    for (size_t i = 0; i < n && !rc; i++) {
        p[i].t = &tensors[i];
        rc = place_one(&p[i], err);
    }
    if (rc)
        return rc;
    if (n > 1)
        qsort(p, n, sizeof *p, by_type_and_name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && by_type_and_name(&p[i - 1], &p[i]) == 0)
            return bug(p[i].t, "is there twice", err);
        p[i].from = at;
        if (!cpv_u64_add(at, p[i].to, &at))
            return bug(p[i].t, "too large", err);
        p[i].to = at;
    }
    return CPV_OK;
}

static int write_meta(struct cpv_json *j, const struct cpv_safetensors_pair *meta,
                      size_t n, struct cpv_err *err)
{
    struct cpv_safetensors_pair *pairs = cpv_calloc(n + 1, sizeof *pairs);

    if (!pairs)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++)
        pairs[i] = meta[i];
    pairs[n] = (struct cpv_safetensors_pair){"format", "pt"};
    qsort(pairs, n + 1, sizeof *pairs, by_key);
    cpv_json_key(j, "__metadata__");
    cpv_json_begin_object(j);
    for (size_t i = 0; i <= n; i++) {
        cpv_json_key(j, pairs[i].key);
        cpv_json_string(j, pairs[i].value);
    }
    cpv_json_end_object(j);
    cpv_free(pairs);
    return CPV_OK;
}

static void write_entry(struct cpv_json *j, const struct place *p)
{
    cpv_json_key(j, p->t->name);
    cpv_json_begin_object(j);
    cpv_json_key(j, "dtype");
    cpv_json_string(j, p->t->dtype == CPV_CKPT_F16 ? "F16" : "F32");
    cpv_json_key(j, "shape");
    cpv_json_begin_array(j);
    for (uint32_t i = 0; i < p->t->rank; i++)
        cpv_json_uint(j, p->t->dim[i]);
    cpv_json_end_array(j);
    cpv_json_key(j, "data_offsets");
    cpv_json_begin_array(j);
    cpv_json_uint(j, p->from);
    cpv_json_uint(j, p->to);
    cpv_json_end_array(j);
    cpv_json_end_object(j);
}

/* Its length, itself, and spaces. */
static int write_header(struct cpv_draft *d, const struct place *p, size_t n,
                        const struct cpv_safetensors_pair *meta, size_t n_meta,
                        struct cpv_err *err)
{
    struct cpv_buf text = {0}, length = {0};
    struct cpv_json j;
    int rc;

    cpv_json_init(&j, &text);
    cpv_json_begin_object(&j);
    rc = write_meta(&j, meta, n_meta, err);
    for (size_t i = 0; i < n && !rc; i++)
        write_entry(&j, &p[i]);
    if (!rc) {
        cpv_json_end_object(&j);
        while (text.size % 8 && !text.failed)
            cpv_buf_byte(&text, ' ');
        cpv_buf_u64(&length, text.size);
        if (text.failed || length.failed)
            rc = cpv_fail_memory(err);
    }
    if (!rc) {
        cpv_draft_write(d, length.data, length.size);
        cpv_draft_write(d, text.data, text.size);
    }
    cpv_buf_release(&text);
    cpv_buf_release(&length);
    return rc;
}

/* Halves take the first half of the same memory: each is written where its own single
 * has been read already. */
static void put(struct cpv_draft *d, const struct place *p, float *piece, size_t n)
{
    uint8_t *to = (uint8_t *)piece;

    if (p->t->dtype == CPV_CKPT_F16)
        for (size_t i = 0; i < n; i++) {
            uint16_t h = cpv_half_of(piece[i]);

            memcpy(to + 2 * i, &h, sizeof h);
        }
    cpv_draft_write(d, to, n * size_of(p));
}

static int write_values(struct cpv_draft *d, const struct place *p, float *piece,
                        size_t room, struct cpv_err *err)
{
    const struct cpv_safetensors_tensor *t = p->t;
    uint64_t step, n;
    int rc = CPV_OK;

    if (p->rows == 0 || p->row == 0)
        return CPV_OK;
    step = room / p->row;
    for (uint64_t at = 0; at < p->rows && !rc; at += n) {
        n = p->rows - at < step ? p->rows - at : step;
        if (t->values)
            memcpy(piece, t->values + at * p->row, n * p->row * sizeof *piece);
        else if (t->copy)
            rc = cpv_checkpoint_rows_f32(t->copy, at, n, piece, err);
        else
            rc = t->rows(t->ctx, at, n, piece, err);
        if (!rc) {
            put(d, p, piece, (size_t)(n * p->row));
            rc = cpv_draft_check(d, err);
        }
    }
    return rc;
}

static int write_all(struct cpv_draft *d, const struct place *p, size_t n,
                     struct cpv_err *err)
{
    size_t room = PIECE;
    float *piece;
    int rc = CPV_OK;

    for (size_t i = 0; i < n; i++)
        room = p[i].row > room ? (size_t)p[i].row : room;
    piece = cpv_calloc(room, sizeof *piece);
    if (!piece)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = write_values(d, &p[i], piece, room, err);
    cpv_free(piece);
    return rc;
}

int cpv_safetensors_write(const char *path, const struct cpv_safetensors_tensor *tensors,
                          size_t n, const struct cpv_safetensors_pair *meta,
                          size_t n_meta, struct cpv_err *err)
{
    struct place *p = cpv_calloc(n ? n : 1, sizeof *p);
    struct cpv_draft *d = NULL;
    int rc;

    if (!p)
        return cpv_fail_memory(err);
    if ((rc = place_all(p, tensors, n, err)))
        goto done;
    if ((rc = cpv_draft_open(&d, path, err)))
        goto done;
    if ((rc = write_header(d, p, n, meta, n_meta, err)))
        goto done;
    if ((rc = write_all(d, p, n, err)))
        goto done;
    rc = cpv_draft_replace(&d, err);
done:
    cpv_draft_discard(&d);
    cpv_free(p);
    return rc;
}
