/* SPDX-License-Identifier: Apache-2.0 */
/* Which captions of a sample, in which language. */
#include <stdlib.h>
#include <string.h>

#include "common/format/json.h"
#include "eval/eval.h"

/* ---- the set ---- */

int eval_add_image(struct eval_set *s, const char *key, int64_t label, int64_t *number,
                   struct cpv_err *err)
{
    struct eval_image image = {cpv_arena_str(s->mem, cpv_bytes_str(key)), label};

    *number = eval_images(s);
    if (!image.key)
        return cpv_fail_memory(err);
    cpv_buf_add(&s->images, &image, sizeof image);
    return s->images.failed ? cpv_fail_memory(err) : CPV_OK;
}

static bool blank(struct cpv_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!strchr(" \t\r\n", text.data[i]) || !text.data[i])
            return false;
    return true;
}

int eval_add_caption(struct eval_set *s, size_t lang, int64_t image,
                     struct cpv_bytes text, struct cpv_err *err)
{
    struct eval_caption caption = {.image = image};

    if (blank(text))
        return CPV_OK;
    caption.text = cpv_arena_str(s->mem, text);
    if (!caption.text)
        return cpv_fail_memory(err);
    cpv_buf_add(&s->captions[lang], &caption, sizeof caption);
    return s->captions[lang].failed ? cpv_fail_memory(err) : CPV_OK;
}

/* ---- --originals and --pick ---- */

/* A number or nothing, and the colon behind it, or the end. */
static bool take_number(const char **at, int64_t fallback, int64_t *out)
{
    char *end;

    *out = fallback;
    if (**at >= '0' && **at <= '9') {
        *out = strtoll(*at, &end, 10);
        *at = end;
    }
    if (**at == ':')
        (*at)++;
    else if (**at)
        return false;
    return *out < INT32_MAX;
}

int eval_slice_parse(const struct eval_settings *how, struct eval_slice *out,
                     struct cpv_err *err)
{
    const char *at = how->pick;

    *out = (struct eval_slice){0, how->originals ? how->originals : -1, 1};
    if (!at)
        return CPV_OK;
    if (how->originals)
        return cpv_fail(err, CPV_E_USAGE, "'--originals' and '--pick': one of the two");
    if (!strchr(at, ':') || !take_number(&at, 0, &out->start) ||
        !take_number(&at, -1, &out->stop) || !take_number(&at, 1, &out->step) || *at ||
        out->step < 1)
        return cpv_fail(err, CPV_E_USAGE,
                        "'--pick': expected a slice such as 0:5 or 1::2, got '%s'",
                        how->pick);
    return CPV_OK;
}

static bool in_slice(const struct eval_slice *k, int64_t i)
{
    return i >= k->start && (k->stop < 0 || i < k->stop) && (i - k->start) % k->step == 0;
}

/* Captions of one image need not stand side by side: a list may come back to it. */
int eval_slice_all(struct eval_set *s, struct cpv_err *err)
{
    size_t n = (size_t)eval_images(s);
    int32_t *seen = cpv_arena_calloc(s->mem, n ? n : 1, sizeof *seen);

    if (!seen)
        return cpv_fail_memory(err);
    for (size_t lang = 0; lang < s->n_lang; lang++) {
        int64_t count = eval_captions(s, lang), kept = 0;

        memset(seen, 0, n * sizeof *seen);
        for (int64_t i = 0; i < count; i++) {
            struct eval_caption c = *eval_caption(s, lang, i);

            c.index = seen[c.image]++;
            if (in_slice(&s->slice, c.index))
                *eval_caption(s, lang, kept++) = c;
        }
        s->captions[lang].size = (size_t)kept * sizeof(struct eval_caption);
    }
    return CPV_OK;
}

/* ---- a sample of a tar ---- */

static int add_value(struct eval_set *s, size_t lang, int64_t image, const json_t *value,
                     struct cpv_err *err)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    int rc = CPV_OK;

    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;

        if (json_is_string(one))
            rc = eval_add_caption(
                s, lang, image,
                cpv_bytes_of(json_string_value(one), json_string_length(one)), err);
    }
    return rc;
}

/* One caption a line. */
static int add_lines(struct eval_set *s, size_t lang, int64_t image, struct cpv_bytes txt,
                     struct cpv_err *err)
{
    struct cpv_buf clean = {0};
    int rc = CPV_OK;

    (void)cpv_utf8_clean(&clean, txt);
    if (clean.failed)
        rc = cpv_fail_memory(err);
    for (size_t at = 0; at < clean.size && !rc;) {
        const uint8_t *line = clean.data + at;
        const uint8_t *end = memchr(line, '\n', clean.size - at);
        size_t n = end ? (size_t)(end - line) : clean.size - at;

        rc = eval_add_caption(s, lang, image, cpv_bytes_of(line, n), err);
        at += n + 1;
    }
    cpv_buf_release(&clean);
    return rc;
}

/* Does the sample say of any captions which language they are? */
static bool names_languages(json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key,
                        value) if (strncmp(key, "captions-", strlen("captions-")) ==
                                   0) return true;
    return false;
}

static int add_lang(struct eval_set *s, size_t lang, int64_t image, json_t *object,
                    struct cpv_bytes txt, struct cpv_err *err)
{
    const char *how = s->how->captions ? s->how->captions : "captions-{lang}";
    char *key = eval_with_lang(how, s->lang[lang], s->mem);
    const json_t *value;

    if (!key)
        return cpv_fail_memory(err);
    value = json_object_get(object, key);
    if (value || s->how->captions || names_languages(object))
        return value ? add_value(s, lang, image, value, err) : CPV_OK;
    s->unnamed = true;
    if (txt.size)
        return add_lines(s, lang, image, txt, err);
    value = json_object_get(object, "caption");
    return value ? add_value(s, lang, image, value, err) : CPV_OK;
}

int eval_sample_captions(struct eval_set *s, int64_t image, struct cpv_bytes json,
                         struct cpv_bytes txt, const char *name, struct cpv_err *err)
{
    json_t *object = NULL;
    int rc = json.size ? cpv_json_parse(json, name, &object, err) : CPV_OK;

    if (!rc && object && !json_is_object(object))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected a JSON object", name);
    for (size_t i = 0; i < s->n_lang && !rc; i++)
        rc = add_lang(s, i, image, object, txt, err);
    json_decref(object);
    return rc;
}
