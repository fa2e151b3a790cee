/* SPDX-License-Identifier: Apache-2.0 */
/* See safetensors.h. */
#include "common/format/safetensors.h"

#include <stdlib.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/json.h"
#include "common/format/show.h"

static const struct {
    const char *name;
    cpv_ckpt_dtype dtype;
} types[] = {
    {"F32", CPV_CKPT_F32},   {"F16", CPV_CKPT_F16}, {"BF16", CPV_CKPT_BF16},
    {"F64", CPV_CKPT_F64},   {"I64", CPV_CKPT_I64}, {"I32", CPV_CKPT_I32},
    {"I16", CPV_CKPT_I16},   {"I8", CPV_CKPT_I8},   {"U8", CPV_CKPT_U8},
    {"BOOL", CPV_CKPT_BOOL},
};

struct span {
    uint64_t from, to;
};

struct reader {
    struct cpv_ckpt_list *list;
    struct cpv_bytes data; /* behind the header */
    const char *path;
    struct cpv_err *err;
    struct span *spans; /* one for each tensor */
    size_t count;
};

static int bad(const struct reader *r, struct cpv_bytes name, const char *what)
{
    return cpv_fail(r->err, CPV_E_INPUT, "'%s': tensor '%s': %s", r->path,
                    cpv_show(name).text, what);
}

static bool count_of(const json_t *v, uint64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool type_of(const json_t *v, cpv_ckpt_dtype *out)
{
    for (size_t i = 0; json_is_string(v) && i < CPV_COUNT(types); i++)
        if (strcmp(json_string_value(v), types[i].name) == 0) {
            *out = types[i].dtype;
            return true;
        }
    return false;
}

static int add_tensor(struct reader *r, struct cpv_bytes name, const json_t *v)
{
    const json_t *shape = json_object_get(v, "shape"),
                 *type = json_object_get(v, "dtype");
    const json_t *offsets = json_object_get(v, "data_offsets");
    struct cpv_ckpt_tensor t = {0};
    struct cpv_ckpt_place place = {0};
    struct span s;
    size_t rank = json_array_size(shape);
    int rc;

    if (!json_is_array(shape) || json_array_size(offsets) != 2 ||
        !count_of(json_array_get(offsets, 0), &s.from) ||
        !count_of(json_array_get(offsets, 1), &s.to))
        return bad(r, name, "expected dtype, shape and two data_offsets");
    if (!type_of(type, &t.dtype))
        return cpv_fail(
            r->err, CPV_E_INPUT, "'%s': tensor '%s': its type '%s' is not supported",
            r->path, cpv_show(name).text,
            json_is_string(type) ? cpv_show(cpv_bytes_str(json_string_value(type))).text
                                 : "");
    if (rank > CPV_CKPT_RANK_MAX)
        return bad(r, name, "more than 8 dimensions");
    t.rank = (uint32_t)rank;
    for (size_t i = 0; i < rank; i++)
        if (!count_of(json_array_get(shape, i), &t.dim[i]))
            return bad(r, name, "a dimension that is no count");
    if (s.from > s.to || s.to > r->data.size)
        return bad(r, name, "its data_offsets are not inside the file");
    place.storage = cpv_bytes_of(r->data.data + s.from, (size_t)(s.to - s.from));
    if ((rc = cpv_ckpt_list_add(r->list, name, &t, &place, r->path, r->err)))
        return rc;
    if (t.bytes != s.to - s.from)
        return bad(r, name, "its shape and data_offsets do not agree");
    r->spans[r->count++] = s;
    return CPV_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static int judge_spans(struct reader *r)
{
    uint64_t at = 0;

    if (r->count > 1)
        qsort(r->spans, r->count, sizeof *r->spans, by_place);
    for (size_t i = 0; i < r->count; i++) {
        if (r->spans[i].from != at)
            return cpv_fail(r->err, CPV_E_INPUT,
                            "'%s': tensors overlap or leave a gap at data offset %llu",
                            r->path, (unsigned long long)at);
        at = r->spans[i].to;
    }
    if (at != r->data.size)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': tensors end at data offset %llu, the file at %zu", r->path,
                        (unsigned long long)at, r->data.size);
    return CPV_OK;
}

static int add_all(struct reader *r, json_t *header)
{
    const char *key;
    json_t *v;
    int rc = CPV_OK;

    if (!json_is_object(header))
        return cpv_fail(r->err, CPV_E_INPUT, "'%s': its header is no JSON object",
                        r->path);
    r->spans = cpv_calloc(json_object_size(header) + 1, sizeof *r->spans);
    if (!r->spans)
        return cpv_fail_memory(r->err);
    json_object_foreach(header, key, v)
    {
        if (strcmp(key, "__metadata__") != 0)
            rc = add_tensor(r, cpv_bytes_str(key), v);
        if (rc)
            break;
    }
    if (!rc)
        rc = judge_spans(r);
    cpv_free(r->spans);
    return rc;
}

bool cpv_safetensors_is(struct cpv_bytes file)
{
    return file.size > 9 && cpv_load_u64(file.data) <= UINT32_MAX && file.data[8] == '{';
}

int cpv_safetensors_read(struct cpv_ckpt_list *list, struct cpv_bytes file,
                         const char *path, struct cpv_err *err)
{
    struct reader r = {.list = list, .path = path, .err = err};
    struct cpv_bytes head;
    json_t *header;
    uint64_t n;
    int rc;

    if (file.size < 8)
        return cpv_fail(err, CPV_E_INPUT, "'%s': no safetensors file, %zu bytes", path,
                        file.size);
    n = cpv_load_u64(file.data);
    if (n > CPV_CKPT_JSON_MAX)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': a header of %llu bytes, at most %d allowed", path,
                        (unsigned long long)n, CPV_CKPT_JSON_MAX);
    if (!cpv_range_in(8, n, file.size))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': %zu bytes end before its header of %llu does", path,
                        file.size, (unsigned long long)n);
    head = cpv_bytes_of(file.data + 8, (size_t)n);
    r.data = cpv_bytes_of(head.data + n, file.size - 8 - (size_t)n);
    if ((rc = cpv_json_parse(head, path, &header, err)))
        return rc;
    rc = add_all(&r, header);
    json_decref(header);
    return rc;
}
