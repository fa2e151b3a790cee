/* SPDX-License-Identifier: Apache-2.0 */
/* See reference.h. */
#include "common/corpus/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/format/samples.h"
#include "common/format/tar.h"

/* ---- captions ---- */

static int set(json_t *sample, const char *kind, const char *lang, json_t *list,
               struct cpv_err *err)
{
    char name[CPV_LANGUAGE_MAX + 32];

    (void)snprintf(name, sizeof name, "%s-%s", kind, lang);
    return json_object_set(sample, name, list) == 0 ? CPV_OK : cpv_fail_memory(err);
}

static int append(json_t *list, json_t *value, struct cpv_err *err)
{
    return json_array_append_new(list, value) == 0 ? CPV_OK : cpv_fail_memory(err);
}

static int fill(const struct cpv_caption_lists *l, json_t *captions, json_t *generated,
                json_t *numbers, struct cpv_err *err)
{
    int rc = CPV_OK;

    for (uint32_t i = 0; i < l->n_originals + l->n_generated && !rc; i++) {
        struct cpv_bytes text = cpv_captions_text(l, i);
        double number = cpv_captions_similarity(l, i);
        const char *s = (const char *)text.data;

        if (!text.size)
            continue;
        if (i < l->n_originals || l->similarities)
            rc = append(captions, json_stringn(s, text.size), err);
        if (!rc && i >= l->n_originals)
            rc = append(generated, json_stringn(s, text.size), err);
        if (!rc && l->similarities)
            rc = append(numbers, json_real(isnan(number) ? -1 : number), err);
    }
    return rc;
}

static int convert(json_t *sample, const char *lang, const char *key, struct cpv_err *err)
{
    json_t *captions = json_array(), *generated = json_array(), *numbers = json_array();
    char flags[CPV_LANGUAGE_MAX + 32];
    struct cpv_caption_lists l;
    int rc = cpv_captions_find(sample, lang, key, &l, err);

    if (!rc && (!captions || !generated || !numbers))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = fill(&l, captions, generated, numbers, err);
    if (!rc && (l.originals || l.similarities))
        rc = set(sample, "captions", lang, captions, err);
    if (!rc && l.generated)
        rc = set(sample, "generated-captions", lang, generated, err);
    if (!rc && l.similarities)
        rc = set(sample, "similarities", lang, numbers, err);
    (void)snprintf(flags, sizeof flags, "flags-%s", lang);
    (void)json_object_del(sample, flags);
    json_decref(captions);
    json_decref(generated);
    json_decref(numbers);
    return rc;
}

int cpv_reference_json(json_t *sample, const char *key, cpv_arena *mem,
                       struct cpv_err *err)
{
    const char **langs;
    size_t n;
    int rc;

    if (!json_is_object(sample))
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': its JSON is no object", key);
    rc = cpv_captions_languages(sample, mem, &langs, &n, err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = convert(sample, langs[i], key, err);
    return rc;
}

/* ---- samples ---- */

/* Has captions-L a caption, which is what its trainer draws from first? */
static bool speaks(const json_t *sample, const struct cpv_texts *langs)
{
    char name[CPV_LANGUAGE_MAX + 32];

    for (size_t i = 0; i < langs->count; i++) {
        (void)snprintf(name, sizeof name, "captions-%.*s", CPV_LANGUAGE_MAX,
                       langs->at[i]);
        if (json_array_size(json_object_get(sample, name)) == 0)
            return false;
    }
    return true;
}

/* The image under the name that its loader looks for; NULL: there is none. */
static const char *image_of(const struct cpv_sample *s, struct cpv_bytes *data)
{
    static const char *const ours[] = {"jpg", "jpeg", "png"};
    static const char *const theirs[] = {"jpg", "jpg", "png"};

    for (size_t i = 0; i < 3; i++) {
        const struct cpv_member *m = cpv_sample_member(s, ours[i]);

        if (m) {
            *data = m->data;
            return theirs[i];
        }
    }
    return NULL;
}

static int put(cpv_export *e, const struct cpv_sample *s, const struct cpv_texts *langs,
               cpv_arena *mem, uint64_t *left_out, struct cpv_err *err)
{
    const struct cpv_member *json = cpv_sample_member(s, "json");
    struct cpv_member members[2] = {{0}, {.ext = "json"}};
    json_t *root = NULL;
    int rc = CPV_OK;

    members[0].ext = image_of(s, &members[0].data);
    if (!members[0].ext || !json)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s' has no %s member, which the reference reads", s->key,
                        json ? "jpg or png" : "json");
    rc = cpv_json_parse(json->data, s->key, &root, err);
    if (!rc)
        rc = cpv_reference_json(root, s->key, mem, err);
    if (!rc && !speaks(root, langs)) {
        (*left_out)++;
    } else if (!rc) {
        rc = cpv_json_text(root, mem, &members[1].data, err);
        if (!rc)
            cpv_export_put(e, s->key, members, 2);
    }
    json_decref(root);
    cpv_arena_reset(mem);
    return rc ? rc : cpv_export_check(e, err);
}

int cpv_reference_export(const char *path, const char *out_dir, uint32_t number,
                         const struct cpv_texts *langs, struct cpv_exported *done,
                         uint64_t *left_out, struct cpv_err *err)
{
    const struct cpv_samples_params params = {.read_ahead = 2};
    static const uint8_t end[CPV_TAR_END];
    cpv_samples *samples = NULL;
    struct cpv_sample sample;
    cpv_export *e = NULL;
    cpv_arena *mem = NULL;
    char name[32];
    int rc;

    (void)snprintf(name, sizeof name, "%05u.tar", number);
    if ((rc = cpv_arena_open(&mem, 0, err)) ||
        (rc = cpv_samples_open(&samples, path, &params, err)) ||
        (rc = cpv_export_open(&e, out_dir, name, err)))
        goto done;
    while ((rc = cpv_samples_next(samples, &sample, err)) > 0)
        if ((rc = put(e, &sample, langs, mem, left_out, err))) {
            (void)cpv_err_add(err, "'%s'", path);
            goto done;
        }
    if (!rc && cpv_samples_report(samples)->unclosed)
        rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': ends too early", path);
    if (rc)
        goto done;
    cpv_export_write(e, end, sizeof end);
    rc = cpv_export_commit(&e, done, err);
done:
    cpv_export_discard(&e);
    cpv_samples_close(&samples);
    cpv_arena_close(&mem);
    return rc;
}
