/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows from COCO captions and from Karpathy's splits. The file is one JSON object of
 * a hundred megabytes: a scanner finds the elements of its two arrays, each is
 * parsed alone and kept in a compact form; the rest is passed over.
 */
#include <stdlib.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/json.h"
#include "common/format/rows_internal.h"

enum { WINDOW = 64 << 10 };

/* Its captions are those of the annotations with that id, or in the row already. */
struct image {
    int64_t id;
    bool has_id;
    struct cpv_row row;
};

struct annotation {
    int64_t image;
    uint64_t order; /* in the file */
    const char *caption;
};

struct coco {
    struct image *images;
    struct annotation *annotations; /* at the end sorted by image, then by order */
    int64_t *ids;                   /* of the images, sorted */
    const char **bad;               /* reasons: rows behind the images */
    size_t n_images, n_annotations, n_ids, n_bad;
    size_t room_images, room_annotations, room_bad;
    bool saw_images;
};

/* ---- the scanner ---- */

struct scan {
    cpv_stream *stream;
    const char *path;
    size_t at, end;
    struct cpv_err *err;
    int rc;               /* the first failure */
    struct cpv_buf value; /* the text of the element at hand */
    bool too_long;        /* ... which was not kept to its end */
    size_t max;
    uint8_t buf[WINDOW];
};

/* The next byte, not consumed; -1 at the end or after a failure. */
static int peek(struct scan *s)
{
    ssize_t got;

    if (s->rc)
        return -1;
    if (s->at < s->end)
        return s->buf[s->at];
    got = cpv_stream_read(s->stream, s->buf, WINDOW, s->err);
    if (got < 0)
        s->rc = (int)got;
    s->at = 0;
    s->end = got > 0 ? (size_t)got : 0;
    return got > 0 ? s->buf[0] : -1;
}

static int fail_scan(struct scan *s, const char *expected)
{
    if (!s->rc)
        s->rc = cpv_fail(
            s->err, CPV_E_INPUT, "'%s' byte %llu: expected %s", s->path,
            (unsigned long long)(cpv_stream_offset(s->stream) - (s->end - s->at)),
            expected);
    return s->rc;
}

static int next_solid(struct scan *s)
{
    int c;

    while ((c = peek(s)) == ' ' || c == '\n' || c == '\r' || c == '\t')
        s->at++;
    return c;
}

static bool take(struct scan *s, char wanted)
{
    if (next_solid(s) != wanted)
        return false;
    s->at++;
    return true;
}

static void keep(struct scan *s)
{
    if (s->value.size < s->max)
        cpv_buf_byte(&s->value, s->buf[s->at]);
    else
        s->too_long = true;
    s->at++;
}

static void keep_string(struct scan *s)
{
    int c;

    keep(s);
    while ((c = peek(s)) >= 0) {
        keep(s);
        if (c == '\\' && peek(s) >= 0)
            keep(s);
        else if (c == '"')
            return;
    }
    (void)fail_scan(s, "the end of a string");
}

/* One value of any kind into s->value; brackets must balance, no more is checked. */
static int scan_value(struct scan *s)
{
    size_t depth = 0;
    int c;

    cpv_buf_clear(&s->value);
    s->too_long = false;
    (void)next_solid(s);
    do {
        c = peek(s);
        if (c < 0)
            return fail_scan(s, "a value");
        if (c == '"') {
            keep_string(s);
        } else if (c == '{' || c == '[') {
            depth++;
            keep(s);
        } else if (c == '}' || c == ']' || c == ',') {
            if (depth == 0)
                return s->value.size ? s->rc : fail_scan(s, "a value");
            depth -= c != ',';
            keep(s);
        } else if (depth == 0 && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            break;
        } else {
            keep(s);
            if (depth == 0) /* a number or a word */
                continue;
        }
        if (depth == 0)
            break;
    } while (!s->rc);
    if (!s->rc && s->value.failed)
        s->rc = cpv_fail_memory(s->err);
    return s->rc;
}

/* ---- elements ---- */

static int grow(void **table, size_t *room, size_t used, size_t size, struct cpv_err *err)
{
    size_t more = *room ? *room : 512, bytes;
    void *bigger;

    if (used < *room)
        return CPV_OK;
    if (!cpv_size_mul(more, 2, &more) || !cpv_size_mul(more, size, &bytes) ||
        !(bigger = cpv_realloc(*table, bytes)))
        return cpv_fail_memory(err);
    *table = bigger;
    *room = more;
    return CPV_OK;
}

static int add_bad(cpv_rows *r, const char *why, struct cpv_err *err)
{
    struct coco *c = r->state;
    int rc;

    if (!why)
        return cpv_fail_memory(err);
    if ((rc = grow((void **)&c->bad, &c->room_bad, c->n_bad, sizeof *c->bad, err)))
        return rc;
    c->bad[c->n_bad++] = why;
    return CPV_OK;
}

static struct cpv_bytes text_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);

    if (!json_is_string(v))
        return cpv_bytes_of(NULL, 0);
    return cpv_bytes_of(json_string_value(v), json_string_length(v));
}

/* What is worth keeping of an image, under the names it gets. */
static const struct {
    const char *key, *name;
} kept[] = {{"id", "image_id"},       {"file_name", "file_name"},
            {"license", "license"},   {"cocoid", "cocoid"},
            {"imgid", "imgid"},       {"filepath", "filepath"},
            {"filename", "filename"}, {"split", "split"}};

static int keep_extra(cpv_rows *r, const json_t *object, struct cpv_row *row,
                      struct cpv_err *err)
{
    struct cpv_row_extra *e = cpv_arena_calloc(r->own, CPV_COUNT(kept), sizeof *e);

    if (!e)
        return cpv_fail_memory(err);
    row->extra = e;
    for (size_t i = 0; i < CPV_COUNT(kept); i++) {
        const json_t *v = json_object_get(object, kept[i].key);
        struct cpv_json j;

        if (!v || json_is_object(v) || json_is_array(v))
            continue;
        cpv_buf_clear(&r->scratch);
        cpv_json_init(&j, &r->scratch);
        cpv_json_write(&j, v);
        e->name = kept[i].name;
        e->json = true;
        e->value =
            r->scratch.failed ? NULL : cpv_arena_str(r->own, cpv_buf_view(&r->scratch));
        if (!e->value)
            return cpv_fail_memory(err);
        e++;
        row->n_extra++;
    }
    return CPV_OK;
}

/* Karpathy's captions stand in the image itself. */
static int take_sentences(cpv_rows *r, const json_t *object, struct cpv_row_parts *parts,
                          struct cpv_err *err)
{
    const json_t *list = json_object_get(object, "sentences");
    size_t n = json_array_size(list);

    if (!n)
        return CPV_OK;
    if (!(parts->captions = cpv_arena_calloc(r->own, n, sizeof *parts->captions)))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct cpv_bytes raw = text_of(json_array_get(list, i), "raw");

        if (raw.size)
            parts->captions[parts->n_captions++] = raw;
    }
    return CPV_OK;
}

/* "filepath/filename", or either's like in COCO itself. */
static int take_file(cpv_rows *r, const json_t *object, struct cpv_row_parts *parts,
                     struct cpv_err *err)
{
    struct cpv_bytes folder = text_of(object, "filepath");
    struct cpv_bytes name = text_of(object, "file_name");
    uint8_t *path;

    if (!r->p.root)
        return CPV_OK;
    if (!name.size)
        name = text_of(object, "filename");
    parts->file = name;
    if (!folder.size || !name.size)
        return CPV_OK;
    if (!(path = cpv_arena_alloc(r->own, folder.size + 1 + name.size)))
        return cpv_fail_memory(err);
    memcpy(path, folder.data, folder.size);
    path[folder.size] = '/';
    memcpy(path + folder.size + 1, name.data, name.size);
    parts->file = cpv_bytes_of(path, folder.size + 1 + name.size);
    return CPV_OK;
}

static int fill_image(cpv_rows *r, const json_t *object, struct image *image,
                      struct cpv_err *err)
{
    struct cpv_row_parts parts = {.url = text_of(object, "coco_url")};
    const json_t *id = json_object_get(object, "id");
    int rc;

    image->has_id = json_is_integer(id);
    image->id = json_integer_value(id);
    if (!parts.url.size)
        parts.url = text_of(object, "flickr_url");
    if ((rc = take_file(r, object, &parts, err)) ||
        (rc = take_sentences(r, object, &parts, err)) ||
        (rc = cpv_row_finish(r, r->own, &parts, &image->row, err)) || image->row.bad)
        return rc;
    return keep_extra(r, object, &image->row, err);
}

/* The element as JSON in *out, or NULL with the reason in *why. */
static int parse_element(cpv_rows *r, struct scan *s, const char *array, uint64_t index,
                         json_t **out, const char **why)
{
    struct cpv_err e = {0};
    const char *column;
    int rc;

    *out = NULL;
    *why = NULL;
    if (s->too_long) {
        *why = cpv_arena_printf(r->own, "%s[%llu]: longer than %zu bytes", array,
                                (unsigned long long)index, s->max);
        return CPV_OK;
    }
    rc = cpv_json_parse(cpv_buf_view(&s->value), "", out, &e);
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(s->err);
    column = strstr(e.text, "column");
    if (!rc && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        column = "expected an object";
    }
    if (!*out)
        *why = cpv_arena_printf(r->own, "%s[%llu]: %s", array, (unsigned long long)index,
                                column ? column : e.text);
    return CPV_OK;
}

static int add_image(cpv_rows *r, struct scan *s, uint64_t index)
{
    struct coco *c = r->state;
    struct image *image;
    const char *why;
    json_t *object;
    int rc;

    if ((rc = grow((void **)&c->images, &c->room_images, c->n_images, sizeof *c->images,
                   s->err)) ||
        (rc = parse_element(r, s, "images", index, &object, &why)))
        return rc;
    image = &c->images[c->n_images++];
    *image = (struct image){0};
    if (object)
        rc = fill_image(r, object, image, s->err);
    else if (!why)
        rc = cpv_fail_memory(s->err);
    else
        image->row.bad = why;
    json_decref(object);
    return rc;
}

static int add_annotation(cpv_rows *r, struct scan *s, uint64_t index)
{
    struct coco *c = r->state;
    struct annotation *a;
    struct cpv_bytes caption;
    const char *why;
    json_t *object, *id;
    int rc;

    if ((rc = grow((void **)&c->annotations, &c->room_annotations, c->n_annotations,
                   sizeof *c->annotations, s->err)) ||
        (rc = parse_element(r, s, "annotations", index, &object, &why)))
        return rc;
    if (!object)
        return add_bad(r, why, s->err);
    caption = text_of(object, "caption");
    id = json_object_get(object, "image_id");
    if (!caption.data || !json_is_integer(id)) {
        rc = add_bad(r,
                     cpv_arena_printf(r->own,
                                      "annotations[%llu]: expected an integer "
                                      "'image_id' and a string 'caption'",
                                      (unsigned long long)index),
                     s->err);
    } else {
        a = &c->annotations[c->n_annotations++];
        a->image = json_integer_value(id);
        a->order = index;
        a->caption = cpv_row_text(r, r->own, caption, true);
        rc = a->caption ? CPV_OK : cpv_fail_memory(s->err);
    }
    json_decref(object);
    return rc;
}

/* ---- the file ---- */

static int scan_array(cpv_rows *r, struct scan *s,
                      int (*add)(cpv_rows *r, struct scan *s, uint64_t index))
{
    if (!take(s, '['))
        return fail_scan(s, "an array");
    if (take(s, ']'))
        return s->rc;
    for (uint64_t i = 0; !s->rc; i++) {
        if (scan_value(s) || (s->rc = add(r, s, i)))
            break;
        if (take(s, ']'))
            break;
        if (!take(s, ','))
            return fail_scan(s, "',' or ']'");
    }
    return s->rc;
}

static int scan_member(cpv_rows *r, struct scan *s)
{
    struct coco *c = r->state;
    bool images, annotations;

    if (next_solid(s) != '"' || scan_value(s))
        return fail_scan(s, "a key in quotation marks");
    images = cpv_bytes_equal(cpv_buf_view(&s->value), cpv_bytes_str("\"images\""));
    annotations =
        cpv_bytes_equal(cpv_buf_view(&s->value), cpv_bytes_str("\"annotations\""));
    if (!take(s, ':'))
        return fail_scan(s, "':'");
    if (images) {
        c->saw_images = true;
        return scan_array(r, s, add_image);
    }
    return annotations ? scan_array(r, s, add_annotation) : scan_value(s);
}

static int scan_file(cpv_rows *r, struct scan *s)
{
    if (peek(s) == 0xEF && s->end >= 3 && !memcmp(s->buf, "\xEF\xBB\xBF", 3))
        s->at = 3;
    if (!take(s, '{'))
        return fail_scan(s, "'{'; COCO captions are one object");
    if (!take(s, '}')) {
        while (!scan_member(r, s) && !take(s, '}'))
            if (!take(s, ','))
                return fail_scan(s, "',' or '}'");
    }
    if (!s->rc && next_solid(s) >= 0)
        return fail_scan(s, "nothing behind the object");
    return s->rc;
}

/* ---- annotations to images ---- */

static int by_image(const void *a, const void *b)
{
    const struct annotation *x = a, *y = b;

    if (x->image != y->image)
        return x->image < y->image ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static int by_order(const void *a, const void *b)
{
    const struct annotation *x = a, *y = b;

    return x->order < y->order ? -1 : x->order > y->order;
}

/* Annotations of no image become bad rows, in the order of the file. */
static int report_orphans(cpv_rows *r, struct cpv_err *err)
{
    struct coco *c = r->state;
    struct annotation *lost = NULL;
    size_t n = 0, room = 0;
    int rc = CPV_OK;

    for (size_t i = 0; i < c->n_annotations && !rc; i++) {
        if (c->n_ids &&
            bsearch(&c->annotations[i].image, c->ids, c->n_ids, sizeof *c->ids, by_id))
            continue;
        if (!(rc = grow((void **)&lost, &room, n, sizeof *lost, err)))
            lost[n++] = c->annotations[i];
    }
    if (n)
        qsort(lost, n, sizeof *lost, by_order);
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_bad(r,
                     cpv_arena_printf(r->own, "annotations[%llu]: no image %lld",
                                      (unsigned long long)lost[i].order,
                                      (long long)lost[i].image),
                     err);
    cpv_free(lost);
    return rc;
}

static int join(cpv_rows *r, struct cpv_err *err)
{
    struct coco *c = r->state;

    if (!c->saw_images)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': no 'images'; expected COCO captions or a Karpathy split",
                        r->p.path);
    if (!c->n_annotations && c->n_bad)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': no annotation has a caption; expected COCO captions",
                        r->p.path);
    if (!(c->ids = cpv_alloc(c->n_images * sizeof *c->ids)))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < c->n_images; i++)
        if (c->images[i].has_id)
            c->ids[c->n_ids++] = c->images[i].id;
    if (c->n_ids)
        qsort(c->ids, c->n_ids, sizeof *c->ids, by_id);
    if (c->n_annotations)
        qsort(c->annotations, c->n_annotations, sizeof *c->annotations, by_image);
    return report_orphans(r, err);
}

static void close_coco(cpv_rows *r)
{
    struct coco *c = r->state;

    cpv_free(c->images);
    cpv_free(c->annotations);
    cpv_free(c->ids);
    cpv_free(c->bad);
}

static int open_coco(cpv_rows *r, struct cpv_err *err)
{
    struct scan *s = cpv_calloc(1, sizeof *s);
    int rc;

    r->p.hash_column = NULL;
    if (!s || !(r->state = cpv_arena_calloc(r->own, 1, sizeof(struct coco)))) {
        cpv_free(s);
        return cpv_fail_memory(err);
    }
    s->path = r->p.path;
    s->max = r->p.max_line;
    s->err = err;
    rc = cpv_stream_open(&s->stream, r->p.path, err);
    if (!rc)
        rc = scan_file(r, s);
    if (!rc)
        rc = join(r, err);
    cpv_stream_close(&s->stream);
    cpv_buf_release(&s->value);
    cpv_free(s);
    return rc;
}

/* ---- rows ---- */

/* The captions of an image: its own, or those of the annotations. */
static int copy_captions(const struct coco *c, const struct image *image, cpv_arena *mem,
                         struct cpv_row *out, struct cpv_err *err)
{
    size_t low = 0, high = image->has_id ? c->n_annotations : 0, n = 0;
    size_t own = image->row.captions.count;
    const char **at;

    while (low < high) { /* the first annotation of this image */
        size_t middle = low + (high - low) / 2;

        if (c->annotations[middle].image < image->id)
            low = middle + 1;
        else
            high = middle;
    }
    while (image->has_id && low + n < c->n_annotations &&
           c->annotations[low + n].image == image->id)
        n++;
    if (!(at = cpv_arena_calloc(mem, own + n + 1, sizeof *at)))
        return cpv_fail_memory(err);
    out->captions = (struct cpv_texts){at, 0};
    for (size_t i = 0; i < own + n; i++) {
        const char *text =
            i < own ? image->row.captions.at[i] : c->annotations[low + i - own].caption;

        if (!*text)
            continue;
        if (!(at[out->captions.count++] = cpv_arena_str(mem, cpv_bytes_str(text))))
            return cpv_fail_memory(err);
    }
    return CPV_OK;
}

static int copy_row(const struct cpv_row *row, cpv_arena *mem, struct cpv_row *out,
                    struct cpv_err *err)
{
    struct cpv_row_extra *e = cpv_arena_calloc(mem, row->n_extra + 1, sizeof *e);

    if (!e || (row->url && !(out->url = cpv_arena_str(mem, cpv_bytes_str(row->url)))) ||
        (row->file && !(out->file = cpv_arena_str(mem, cpv_bytes_str(row->file)))))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < row->n_extra; i++) {
        e[i] = row->extra[i];
        if (!(e[i].value = cpv_arena_str(mem, cpv_bytes_str(e[i].value))))
            return cpv_fail_memory(err);
    }
    out->extra = e;
    out->n_extra = row->n_extra;
    return CPV_OK;
}

static int next_row(cpv_rows *r, cpv_arena *mem, struct cpv_row *out, struct cpv_err *err)
{
    const struct coco *c = r->state;
    const struct image *image;
    const char *bad;
    int rc;

    if (r->number >= c->n_images + c->n_bad)
        return 0;
    image = r->number < c->n_images ? &c->images[r->number] : NULL;
    bad = image ? image->row.bad : c->bad[r->number - c->n_images];
    if (bad)
        return (rc = cpv_row_bad(mem, out, err, "%s", bad)) ? rc : 1;
    if ((rc = copy_row(&image->row, mem, out, err)) ||
        (rc = copy_captions(c, image, mem, out, err)))
        return rc;
    return 1;
}

const struct cpv_rows_ops cpv_rows_coco = {
    .open = open_coco, .next = next_row, .close = close_coco};
