/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sample's JSON (schemas/sample.schema.json): the reference's keys for captions,
 * img2dataset's for the rest, then whatever else the input had.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/format/json.h"
#include "stages/fetch/fetch.h"

/* Keys that are ours to set; an input's column of that name gives way. */
static bool is_reserved(const char *name, const char *captions)
{
    static const char *const names[] = {"key",    "url",
                                        "file",   "width",
                                        "height", "original_width",
                                        "sha256", "original_height",
                                        NULL};

    for (size_t i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strcmp(name, captions) == 0;
}

static void put_image(struct cpv_json *j, const struct cpv_image_result *image,
                      const uint8_t sha256[32])
{
    char hex[CPV_SHA256_HEX];

    cpv_hex(hex, sha256, CPV_SHA256_SIZE);
    cpv_json_key(j, "width");
    cpv_json_uint(j, image->width);
    cpv_json_key(j, "height");
    cpv_json_uint(j, image->height);
    cpv_json_key(j, "original_width");
    cpv_json_uint(j, image->original_width);
    cpv_json_key(j, "original_height");
    cpv_json_uint(j, image->original_height);
    cpv_json_key(j, "sha256");
    cpv_json_string(j, hex);
}

static void put_row(struct cpv_json *j, const struct cpv_row *row, const char *captions,
                    const struct cpv_image_result *image, const uint8_t sha256[32])
{
    if (row->url) {
        cpv_json_key(j, "url");
        cpv_json_string(j, row->url);
    }
    if (row->file) {
        cpv_json_key(j, "file");
        cpv_json_string(j, row->file);
    }
    cpv_json_key(j, captions);
    cpv_json_begin_array(j);
    for (size_t i = 0; i < row->captions.count; i++)
        cpv_json_string(j, row->captions.at[i]);
    cpv_json_end_array(j);
    put_image(j, image, sha256);
    for (size_t i = 0; i < row->n_extra; i++) {
        if (is_reserved(row->extra[i].name, captions))
            continue;
        cpv_json_key(j, row->extra[i].name);
        if (row->extra[i].json)
            cpv_json_raw(j, cpv_bytes_str(row->extra[i].value));
        else
            cpv_json_string(j, row->extra[i].value);
    }
}

/* ---- samples of tars ---- */

static const struct cpv_member *find(const struct fetch_foreign *s, const char *ext)
{
    for (size_t i = 0; i < s->n_members; i++)
        if (strcmp(s->members[i].ext, ext) == 0)
            return &s->members[i];
    return NULL;
}

/* The lines of a .txt member: CLIP_benchmark's sets have one caption in each. */
static void put_lines(struct cpv_json *j, struct cpv_bytes text)
{
    while (text.size) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t n = end ? (size_t)(end - text.data) : text.size, line = n;

        while (line && (text.data[line - 1] == '\r' || text.data[line - 1] == ' '))
            line--;
        if (line)
            cpv_json_bytes(j, cpv_bytes_of(text.data, line));
        text.data += n + (end != NULL);
        text.size -= n + (end != NULL);
    }
}

/*
 * captions-L: as it stands; else img2dataset's `caption`; else the .txt. What the
 * JSON already calls captions stays where it is.
 */
static void put_foreign_captions(struct cpv_json *j, const json_t *root,
                                 const struct fetch_foreign *s, const char *captions)
{
    const json_t *caption = json_object_get(root, "caption");
    const struct cpv_member *txt = find(s, "txt");

    if (json_object_get(root, captions))
        return;
    cpv_json_key(j, captions);
    cpv_json_begin_array(j);
    if (json_is_string(caption))
        cpv_json_bytes(
            j, cpv_bytes_of(json_string_value(caption), json_string_length(caption)));
    else if (txt)
        put_lines(j, txt->data);
    cpv_json_end_array(j);
}

/*
 * The sample's own keys in their order, those about the image made anew. The digest
 * that img2dataset left there is of a file that we never saw: kept as orig_sha256.
 */
static void put_foreign_keys(struct cpv_json *j, const json_t *root,
                             const struct fetch_foreign *s)
{
    const char *name;
    const json_t *value;
    bool original_key = false;

    json_object_foreach((json_t *)(uintptr_t)root, name, value)
    {
        if (strcmp(name, "key") == 0 || strcmp(name, "width") == 0 ||
            strcmp(name, "height") == 0 || strcmp(name, "original_width") == 0 ||
            strcmp(name, "original_height") == 0)
            continue;
        original_key |= strcmp(name, "original_key") == 0;
        cpv_json_key(j, strcmp(name, "sha256") == 0 ? "orig_sha256" : name);
        cpv_json_write(j, value);
    }
    if (!original_key && !cpv_shard_key_ok(s->key)) {
        cpv_json_key(j, "original_key");
        cpv_json_string(j, s->key);
    }
}

/* An earlier tool's idea of the original size, where it wrote one. */
static void keep_original_size(const json_t *root, struct cpv_image_result *image)
{
    const json_t *w = json_object_get(root, "original_width");
    const json_t *h = json_object_get(root, "original_height");

    if (json_is_integer(w) && json_is_integer(h) && json_integer_value(w) > 0 &&
        json_integer_value(h) > 0 && json_integer_value(w) <= UINT32_MAX &&
        json_integer_value(h) <= UINT32_MAX) {
        image->original_width = (uint32_t)json_integer_value(w);
        image->original_height = (uint32_t)json_integer_value(h);
    }
}

static int put_foreign(struct cpv_json *j, const struct fetch_foreign *s,
                       const char *captions, const struct cpv_image_result *image,
                       const uint8_t sha256[32], struct cpv_err *err)
{
    const struct cpv_member *json = find(s, "json");
    struct cpv_image_result sized = *image;
    json_t *root = NULL;
    int rc = json ? cpv_json_parse(json->data, s->key, &root, err) : CPV_OK;

    if (!rc && root && !json_is_object(root))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': its JSON is no object", s->key);
    if (!rc) {
        keep_original_size(root, &sized);
        put_foreign_captions(j, root, s, captions);
        put_image(j, &sized, sha256);
        if (root)
            put_foreign_keys(j, root, s);
    }
    json_decref(root);
    return rc;
}

int fetch_sample_json(const struct fetch *f, const struct fetch_job *job, const char *key,
                      const struct cpv_image_result *image, const uint8_t sha256[32],
                      struct cpv_buf *out, struct cpv_err *err)
{
    char captions[48];
    struct cpv_json j;
    int rc = CPV_OK;

    (void)snprintf(captions, sizeof captions, "captions-%s", f->set->language);
    cpv_json_init(&j, out);
    cpv_json_begin_object(&j);
    cpv_json_key(&j, "key");
    cpv_json_string(&j, key);
    if (job->row)
        put_row(&j, job->row, captions, image, sha256);
    else
        rc = put_foreign(&j, job->foreign, captions, image, sha256, err);
    if (rc)
        return rc;
    cpv_json_end_object(&j);
    return out->failed ? cpv_fail_memory(err) : CPV_OK;
}
