/* SPDX-License-Identifier: Apache-2.0 */
/* See torch_file.h. */
#include "common/format/torch_file.h"

#include <stdlib.h>

#include "common/base/size.h"
#include "common/format/pickle.h"
#include "common/format/show.h"
#include "common/format/zip.h"

/* Of types that we do not read the size counts: the legacy form has no other. */
static const struct storage_type {
    const char *name;
    int dtype; /* -1: not read */
    uint32_t size;
} storage_types[] = {
    {"FloatStorage", CPV_CKPT_F32, 4},
    {"HalfStorage", CPV_CKPT_F16, 2},
    {"BFloat16Storage", CPV_CKPT_BF16, 2},
    {"DoubleStorage", CPV_CKPT_F64, 8},
    {"LongStorage", CPV_CKPT_I64, 8},
    {"IntStorage", CPV_CKPT_I32, 4},
    {"ShortStorage", CPV_CKPT_I16, 2},
    {"CharStorage", CPV_CKPT_I8, 1},
    {"ByteStorage", CPV_CKPT_U8, 1},
    {"BoolStorage", CPV_CKPT_BOOL, 1},
    {"ComplexFloatStorage", -1, 8},
    {"ComplexDoubleStorage", -1, 16},
    {"QInt8Storage", -1, 1},
    {"QUInt8Storage", -1, 1},
    {"QInt32Storage", -1, 4},
};

/* A persistent id: ('storage', torch.FloatStorage, key, device, count[, view]). */
struct storage_id {
    struct cpv_bytes key;
    const struct storage_type *type;
    uint64_t count;               /* elements of the storage that is in the file */
    uint64_t view_at, view_count; /* the part of it that is meant */
    struct cpv_bytes bytes;       /* legacy: where it is, once that is known */
};

struct reader {
    struct cpv_bytes file;
    const char *path;
    cpv_arena *mem;
    struct cpv_ckpt_list *list;
    struct cpv_err *err;
    struct cpv_pickle pickle;
    /* zip form */
    struct cpv_zip zip;
    struct cpv_bytes root; /* "archive/" */
    /* legacy form: sorted by key; NULL in the zip form */
    struct storage_id *ids;
    size_t n_ids;
};

static int bad(const struct reader *r, struct cpv_bytes name, const char *what)
{
    return cpv_fail(r->err, CPV_E_INPUT, "'%s': tensor '%s': %s", r->path,
                    cpv_show(name).text, what);
}

/* ---- storages ---- */

static bool count_of(cpv_pickle_ref v, uint64_t *out)
{
    if (v->kind != CPV_PICKLE_INT || v->integer < 0)
        return false;
    *out = (uint64_t)v->integer;
    return true;
}

static const struct storage_type *type_of(cpv_pickle_ref v)
{
    for (size_t i = 0; i < CPV_COUNT(storage_types); i++)
        if (cpv_pickle_is_global(v, "torch", storage_types[i].name))
            return &storage_types[i];
    return NULL;
}

static bool read_view(cpv_pickle_ref v, struct storage_id *id)
{
    id->view_at = 0;
    id->view_count = id->count;
    if (v->kind == CPV_PICKLE_NONE)
        return true;
    return v->kind == CPV_PICKLE_TUPLE && v->list.count == 3 &&
           count_of(v->list.at[1], &id->view_at) &&
           count_of(v->list.at[2], &id->view_count) &&
           cpv_range_in(id->view_at, id->view_count, id->count);
}

/* NULL, or what is wrong with the persistent id. Its type may be unknown: NULL. */
static const char *read_id(cpv_pickle_ref v, struct storage_id *id)
{
    static const struct cpv_pickle_value none = {.kind = CPV_PICKLE_NONE};
    const cpv_pickle_ref *at = v->list.at;
    uint32_t n = v->list.count;

    *id = (struct storage_id){0};
    if (v->kind != CPV_PICKLE_TUPLE || n < 5 || n > 6 ||
        !cpv_pickle_is_text(at[0], "storage") || at[2]->kind != CPV_PICKLE_TEXT ||
        !count_of(at[4], &id->count))
        return "its storage is not ('storage', type, key, device, count)";
    id->type = type_of(at[1]);
    id->key = at[2]->bytes;
    if (!read_view(n == 6 ? at[5] : &none, id))
        return "the view of its storage is not inside it";
    return NULL;
}

static int compare_keys(const void *a, const void *b)
{
    struct cpv_bytes x = ((const struct storage_id *)a)->key,
                     y = ((const struct storage_id *)b)->key;
    int c = x.size == y.size && x.size > 0 ? memcmp(x.data, y.data, x.size) : 0;

    return c ? c : (x.size > y.size) - (x.size < y.size);
}

static struct storage_id *known_id(const struct reader *r, struct cpv_bytes key)
{
    struct storage_id want = {.key = key};

    return r->n_ids ? bsearch(&want, r->ids, r->n_ids, sizeof want, compare_keys) : NULL;
}

/* The bytes of a storage of the zip form: the entry ROOT/data/KEY. */
static int zip_storage(const struct reader *r, struct cpv_bytes name,
                       const struct storage_id *id, struct cpv_bytes *out)
{
    static const char folder[] = "data/";
    uint8_t path[256];
    size_t n = r->root.size, all = n + sizeof folder - 1 + id->key.size;
    const struct cpv_zip_entry *e = NULL;

    if (all <= sizeof path) {
        memcpy(path, r->root.data, n);
        memcpy(path + n, folder, sizeof folder - 1);
        if (id->key.size)
            memcpy(path + n + sizeof folder - 1, id->key.data, id->key.size);
        e = cpv_zip_find(&r->zip, cpv_bytes_of(path, all));
    }
    if (!e)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': tensor '%s': the archive has no storage 'data/%s'",
                        r->path, cpv_show(name).text, cpv_show(id->key).text);
    *out = e->data;
    return CPV_OK;
}

/* The bytes that a tensor's storage id means. */
static int find_storage(const struct reader *r, struct cpv_bytes name,
                        const struct storage_id *id, struct cpv_bytes *out)
{
    struct cpv_bytes all = {NULL, 0};
    uint64_t size = id->type->size;
    int rc = CPV_OK;

    if (r->ids) {
        const struct storage_id *known = known_id(r, id->key);

        all = known ? known->bytes : all;
        if (!all.data)
            return bad(r, name, "its storage is not in the file");
    } else {
        rc = zip_storage(r, name, id, &all);
    }
    if (rc)
        return rc;
    /* Untyped storages may have some bytes more than whole elements. */
    if (all.size / size != id->count)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': tensor '%s': its storage has %zu bytes, expected %llu "
                        "elements of %llu",
                        r->path, cpv_show(name).text, all.size,
                        (unsigned long long)id->count, (unsigned long long)size);
    *out = cpv_bytes_of(all.data + id->view_at * size, (size_t)(id->view_count * size));
    return CPV_OK;
}

/* ---- tensors ---- */

/* A tuple (or list) of sizes; false if it is none. */
static bool read_sizes(cpv_pickle_ref v, uint64_t *to, uint32_t *n)
{
    if ((v->kind != CPV_PICKLE_TUPLE && v->kind != CPV_PICKLE_LIST) ||
        v->list.count > CPV_CKPT_RANK_MAX)
        return false;
    for (uint32_t i = 0; i < v->list.count; i++)
        if (!count_of(v->list.at[i], &to[i]))
            return false;
    *n = v->list.count;
    return true;
}

/* Arguments of _rebuild_tensor and _v2: storage, offset, sizes, strides, ... */
static int add_tensor(const struct reader *r, struct cpv_bytes name, cpv_pickle_ref args)
{
    struct cpv_ckpt_tensor t = {0};
    uint64_t stride[CPV_CKPT_RANK_MAX];
    struct cpv_ckpt_place place = {.stride = stride};
    const cpv_pickle_ref *at = args->list.at;
    struct storage_id id;
    const char *why;
    uint32_t n = 0;
    int rc;

    if (args->kind != CPV_PICKLE_TUPLE || args->list.count < 4 ||
        at[0]->kind != CPV_PICKLE_PERSISTENT || !count_of(at[1], &place.offset) ||
        !read_sizes(at[2], t.dim, &t.rank) || !read_sizes(at[3], stride, &n) ||
        n != t.rank)
        return bad(r, name,
                   "not made of a storage, an offset, and up to 8 sizes and "
                   "strides of which none is negative");
    if ((why = read_id(at[0]->id, &id)))
        return bad(r, name, why);
    if (!id.type || id.type->dtype < 0)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': tensor '%s': its type, %s, is not supported", r->path,
                        cpv_show(name).text,
                        cpv_pickle_describe(at[0]->id->list.at[1]).text);
    t.dtype = (cpv_ckpt_dtype)id.type->dtype;
    if ((rc = find_storage(r, name, &id, &place.storage)))
        return rc;
    return cpv_ckpt_list_add(r->list, name, &t, &place, r->path, r->err);
}

static bool is_utils(cpv_pickle_ref what, const char *name)
{
    return cpv_pickle_is_global(what, "torch._utils", name);
}

/* Calls around a tensor that add nothing to its values are looked through. */
static int add_call(const struct reader *r, struct cpv_bytes name, cpv_pickle_ref v)
{
    enum { WRAPPED_MAX = 4 };
    cpv_pickle_ref what = v->call.what, with = v->call.with;

    for (int i = 0; i < WRAPPED_MAX && with->kind == CPV_PICKLE_TUPLE; i++) {
        const cpv_pickle_ref *at = with->list.at;

        if (is_utils(what, "_rebuild_tensor_v2") || is_utils(what, "_rebuild_tensor"))
            return add_tensor(r, name, with);
        if ((is_utils(what, "_rebuild_parameter") ||
             is_utils(what, "_rebuild_parameter_with_state")) &&
            with->list.count >= 1 && at[0]->kind == CPV_PICKLE_CALL) {
            what = at[0]->call.what;
            with = at[0]->call.with;
        } else if (cpv_pickle_is_global(what, "torch._tensor", "_rebuild_from_type_v2") &&
                   with->list.count >= 3) {
            what = at[0]; /* function, type, arguments, state */
            with = at[2];
        } else {
            break;
        }
    }
    return cpv_fail(r->err, CPV_E_INPUT,
                    "'%s': tensor '%s' would have to be made by %s, which is not allowed",
                    r->path, cpv_show(name).text, cpv_pickle_describe(what).text);
}

static int add_dict(const struct reader *r, cpv_pickle_ref dict)
{
    int rc = CPV_OK;

    for (uint32_t i = 0; !rc && i + 1 < dict->list.count; i += 2) {
        cpv_pickle_ref key = dict->list.at[i], v = dict->list.at[i + 1];

        if (v->kind != CPV_PICKLE_CALL)
            continue;
        if (key->kind != CPV_PICKLE_TEXT)
            return cpv_fail(r->err, CPV_E_INPUT,
                            "'%s': the key of a tensor is %s, expected a text", r->path,
                            cpv_pickle_describe(key).text);
        rc = add_call(r, key->bytes, v);
    }
    return rc;
}

static int add_all(const struct reader *r)
{
    cpv_pickle_ref root = r->pickle.root, inside = cpv_pickle_get(root, "state_dict");
    size_t before = r->list->count;
    int rc;

    if (!inside)
        inside = root;
    if (inside->kind != CPV_PICKLE_DICT)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': expected a dict of tensors%s, found %s", r->path,
                        inside == root ? "" : " under 'state_dict'",
                        cpv_pickle_describe(inside).text);
    rc = add_dict(r, inside);
    if (!rc && r->list->count == before && inside->list.count > 0)
        rc = cpv_fail(r->err, CPV_E_INPUT, "'%s': a dict without a single tensor",
                      r->path);
    return rc;
}

/* ---- the zip form ---- */

static bool ends_with(struct cpv_bytes s, const char *end)
{
    size_t n = strlen(end);

    return s.size >= n && memcmp(s.data + (s.size - n), end, n) == 0;
}

/* The entry ROOT/NAME. */
static const struct cpv_zip_entry *root_entry(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->zip.count; i++) {
        struct cpv_bytes n = r->zip.entries[i].name;

        if (n.size == r->root.size + strlen(name) && ends_with(n, name) &&
            memcmp(n.data, r->root.data, r->root.size) == 0)
            return &r->zip.entries[i];
    }
    return NULL;
}

static int read_zip(struct reader *r)
{
    static const char name[] = "data.pkl";
    const struct cpv_zip_entry *data = NULL, *order;
    size_t at = 0;
    int rc = cpv_zip_read(&r->zip, r->file, r->path, r->mem, r->err);

    if (rc)
        return rc;
    for (size_t i = 0; i < r->zip.count; i++) {
        const struct cpv_zip_entry *e = &r->zip.entries[i];

        if (!ends_with(e->name, "/data.pkl"))
            continue;
        if (data)
            return cpv_fail(r->err, CPV_E_INPUT,
                            "'%s': two entries that end in '/data.pkl'", r->path);
        data = e;
    }
    if (!data)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': a ZIP archive, but not PyTorch's: no entry 'data.pkl'",
                        r->path);
    r->root = cpv_bytes_of(data->name.data, data->name.size - (sizeof name - 1));
    order = root_entry(r, "byteorder");
    if (order && !cpv_bytes_equal(order->data, cpv_bytes_str("little")))
        return cpv_fail(r->err, CPV_E_INPUT, "'%s': byte order '%s', expected 'little'",
                        r->path, cpv_show(order->data).text);
    rc = cpv_pickle_read(&r->pickle, data->data, &at, r->path, r->mem, r->err);
    return rc ? rc : add_all(r);
}

/* ---- the legacy form ---- */

static const uint8_t legacy_magic[10] = {0x6C, 0xFC, 0x9C, 0x46, 0xF9,
                                         0x20, 0x6A, 0xA8, 0x50, 0x19};
enum { LEGACY_VERSION = 1001 };

/* All storages that the pickle mentions, also where we do not look: they are in the
 * file one after the other, and only their ids say how large an element is. */
static int gather_ids(struct reader *r)
{
    const struct cpv_pickle_list *p = &r->pickle.persistent;
    size_t n = 0;

    r->ids = cpv_arena_calloc(r->mem, (size_t)p->count + 1, sizeof *r->ids);
    if (!r->ids)
        return cpv_fail_memory(r->err);
    for (uint32_t i = 0; i < p->count; i++) {
        (void)read_id(p->at[i]->id, &r->ids[n]); /* a bad one is its tensor's matter */
        n += r->ids[n].type != NULL;
    }
    if (n > 1)
        qsort(r->ids, n, sizeof *r->ids, compare_keys);
    for (size_t i = 0; i < n; i++) {
        struct storage_id *last = r->n_ids ? &r->ids[r->n_ids - 1] : NULL;

        if (!last || compare_keys(last, &r->ids[i]) != 0)
            r->ids[r->n_ids++] = r->ids[i];
        else if (last->type != r->ids[i].type || last->count != r->ids[i].count)
            return cpv_fail(r->err, CPV_E_INPUT,
                            "'%s': storage '%s' has two different types or sizes",
                            r->path, cpv_show(last->key).text);
    }
    return CPV_OK;
}

/* Behind the last pickle: for each key a count and the elements. */
static int place_storages(struct reader *r, cpv_pickle_ref keys, size_t at)
{
    if (keys->kind != CPV_PICKLE_LIST)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': expected a list of storage keys, found %s", r->path,
                        cpv_pickle_describe(keys).text);
    for (uint32_t i = 0; i < keys->list.count; i++) {
        cpv_pickle_ref key = keys->list.at[i];
        struct storage_id *id =
            key->kind == CPV_PICKLE_TEXT ? known_id(r, key->bytes) : NULL;
        size_t size;

        if (!id || id->bytes.data)
            return cpv_fail(r->err, CPV_E_INPUT,
                            "'%s': storage key %u is unknown or there twice", r->path, i);
        if (!cpv_range_in(at, 8, r->file.size) ||
            cpv_load_u64(r->file.data + at) != id->count ||
            !cpv_size_mul(id->count, id->type->size, &size) ||
            !cpv_range_in(at + 8, size, r->file.size))
            return cpv_fail(r->err, CPV_E_INPUT,
                            "'%s' byte %zu: expected storage '%s' of %llu elements",
                            r->path, at, cpv_show(key->bytes).text,
                            (unsigned long long)id->count);
        id->bytes = cpv_bytes_of(r->file.data + at + 8, size);
        at += 8 + size;
    }
    return CPV_OK;
}

/* Magic, version and the writer's machine: three pickles, which are dropped again. */
static int read_preamble(struct reader *r, size_t *at)
{
    struct cpv_arena_mark mark = cpv_arena_mark(r->mem);
    const char *wrong = NULL;
    int rc = CPV_OK;

    for (int i = 0; i < 3 && !rc && !wrong; i++) {
        cpv_pickle_ref v, little;

        rc = cpv_pickle_read(&r->pickle, r->file, at, r->path, r->mem, r->err);
        if (rc)
            break;
        v = r->pickle.root;
        little = cpv_pickle_get(v, "little_endian");
        if (i == 0 && (v->kind != CPV_PICKLE_LONG ||
                       !cpv_bytes_equal(v->bytes, cpv_bytes_of(legacy_magic, 10))))
            wrong = "no PyTorch file";
        else if (i == 1 && (v->kind != CPV_PICKLE_INT || v->integer != LEGACY_VERSION))
            wrong = "a version of PyTorch's legacy form other than 1001";
        else if (i == 2 &&
                 (!little || little->kind != CPV_PICKLE_BOOL || !little->integer))
            wrong = "not written on a little-endian machine";
        cpv_arena_rewind(r->mem, mark);
    }
    if (!rc && wrong)
        rc = cpv_fail(r->err, CPV_E_INPUT, "'%s': %s", r->path, wrong);
    return rc;
}

static int read_legacy(struct reader *r)
{
    struct cpv_pickle keys = {0};
    size_t at = 0;
    int rc;

    if ((rc = read_preamble(r, &at)) ||
        (rc = cpv_pickle_read(&r->pickle, r->file, &at, r->path, r->mem, r->err)) ||
        (rc = cpv_pickle_read(&keys, r->file, &at, r->path, r->mem, r->err)) ||
        (rc = gather_ids(r)) || (rc = place_storages(r, keys.root, at)))
        return rc;
    return add_all(r);
}

cpv_torch_form cpv_torch_form_of(struct cpv_bytes file)
{
    /* PROTO 2, LONG1 of 10 bytes, the magic number */
    static const uint8_t begins[] = {0x80, 2, 0x8A, 10};

    if (file.size >= 4 && memcmp(file.data, "PK\3\4", 4) == 0)
        return CPV_TORCH_ZIP;
    if (file.size >= 14 && memcmp(file.data, begins, 4) == 0 &&
        memcmp(file.data + 4, legacy_magic, 10) == 0)
        return CPV_TORCH_LEGACY;
    return CPV_TORCH_NONE;
}

int cpv_torch_read(struct cpv_ckpt_list *list, struct cpv_bytes file, const char *path,
                   struct cpv_err *err)
{
    struct reader r = {.file = file, .path = path, .list = list, .err = err};
    int rc = cpv_arena_open(&r.mem, 0, err);

    if (!rc) {
        switch (cpv_torch_form_of(file)) {
        case CPV_TORCH_ZIP:
            rc = read_zip(&r);
            break;
        case CPV_TORCH_LEGACY:
            rc = read_legacy(&r);
            break;
        default:
            rc = cpv_fail(err, CPV_E_INPUT, "'%s': no PyTorch file", path);
        }
    }
    cpv_arena_close(&r.mem);
    return rc;
}
