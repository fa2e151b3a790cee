/* SPDX-License-Identifier: Apache-2.0 */
/* See settings.h. */
#include "common/text/settings.h"

#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/text/vocab.h"

enum { MAX_FILE = 16 << 20 };

static const char *const ROLES[CPV_TOKEN_ROLES] = {
    "bos_token", "eos_token", "unk_token",  "sep_token",
    "pad_token", "cls_token", "mask_token",
};

struct reading {
    struct cpv_text_settings *s;
    const char *path;
    struct cpv_err *err;
};

/* *out is NULL if there is no such file. */
static int load(json_t **out, const char *path, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    json_error_t where;
    int rc;

    *out = NULL;
    rc = cpv_file_read(path, MAX_FILE, &text, err);
    if (rc == CPV_E_ABSENT)
        rc = CPV_OK;
    else if (!rc && !(*out = json_loadb(text.data ? (const char *)text.data : "",
                                        text.size, 0, &where)))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s' line %d column %d: %.100s", path,
                      where.line, where.column, where.text);
    else if (!rc && !json_is_object(*out))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected an object", path);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    cpv_buf_release(&text);
    return rc;
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* A token is a text, or an object with `content` and how it is set apart. */
static int read_token(const struct reading *r, const char *key, const json_t *value,
                      struct cpv_added_token *out)
{
    const json_t *text =
        json_is_object(value) ? json_object_get(value, "content") : value;
    char *copy;

    if (!json_is_string(text))
        return cpv_fail(r->err, CPV_E_INPUT, "'%s': expected '%.60s' to be a token",
                        r->path, key);
    if (is_true(value, "single_word"))
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': '%.60s' is a token for whole words only, which is not "
                        "supported",
                        r->path, key);
    copy = cpv_arena_str(r->s->arena,
                         cpv_bytes_of(json_string_value(text), json_string_length(text)));
    if (!copy)
        return cpv_fail_memory(r->err);
    *out = (struct cpv_added_token){.text = cpv_bytes_str(copy),
                                    .id = -1,
                                    .special = true,
                                    .lstrip = is_true(value, "lstrip"),
                                    .rstrip = is_true(value, "rstrip")};
    return CPV_OK;
}

static int read_names(const struct reading *r, const json_t *object)
{
    const json_t *extra = json_object_get(object, "additional_special_tokens");
    size_t n = json_array_size(extra);
    int rc;

    for (size_t i = 0; i < CPV_TOKEN_ROLES; i++) {
        const json_t *value = json_object_get(object, ROLES[i]);

        if (value && !json_is_null(value) &&
            (rc = read_token(r, ROLES[i], value, r->s->named + i)))
            return rc;
    }
    if (n == 0)
        return CPV_OK;
    if (n > CPV_ADDED_MAX)
        return cpv_fail(r->err, CPV_E_INPUT, "'%s': more than %d additional tokens",
                        r->path, CPV_ADDED_MAX);
    if (!(r->s->extra = cpv_arena_calloc(r->s->arena, n, sizeof *r->s->extra)))
        return cpv_fail_memory(r->err);
    r->s->extra_count = n;
    for (size_t i = 0; i < n; i++) {
        if ((rc = read_token(r, "additional_special_tokens", json_array_get(extra, i),
                             r->s->extra + i)))
            return rc;
    }
    return CPV_OK;
}

/* An id as JSON writes one in a key, "44670", or as a number; -1 if it is none. */
static int32_t id_of_key(const char *key)
{
    int64_t id = 0;

    for (const char *c = key; *c; c++) {
        if (*c < '0' || *c > '9' || (id = id * 10 + (*c - '0')) >= CPV_VOCAB_MAX)
            return -1;
    }
    return *key ? (int32_t)id : -1;
}

static int put_added(const struct reading *r, struct cpv_added_token *token, int64_t id)
{
    if (id < 0 || id >= CPV_VOCAB_MAX)
        return cpv_fail(r->err, CPV_E_INPUT,
                        "'%s': the id of '%.*s' is no number from 0 to %d", r->path,
                        (int)(token->text.size < 60 ? token->text.size : 60),
                        (const char *)token->text.data, CPV_VOCAB_MAX - 1);
    token->id = (int32_t)id;
    token->special = false; /* unless it is named: bind */
    if (cpv_added_add(&r->s->added, token, r->err))
        return cpv_err_add(r->err, "'%s'", r->path);
    return CPV_OK;
}

/* {"44670": {"content": "</s>", ...}, ...} */
static int read_decoder(const struct reading *r, json_t *decoder)
{
    struct cpv_added_token token;
    const char *key;
    json_t *value;
    int rc;

    json_object_foreach(decoder, key, value)
    {
        if ((rc = read_token(r, key, value, &token)) ||
            (rc = put_added(r, &token, id_of_key(key))))
            return rc;
    }
    return CPV_OK;
}

/* {"<x>": 54776, ...} */
static int read_added(const struct reading *r, json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        struct cpv_added_token token = {0};
        char *copy = cpv_arena_str(r->s->arena, cpv_bytes_str(key));
        int rc;

        if (!copy)
            return cpv_fail_memory(r->err);
        token.text = cpv_bytes_str(copy);
        if ((rc = put_added(r, &token,
                            json_is_integer(value) ? json_integer_value(value) : -1)))
            return rc;
    }
    return CPV_OK;
}

static int read_file(struct reading *r, const char *folder, const char *name,
                     json_t **out)
{
    r->path = cpv_arena_printf(r->s->arena, "%s/%s", folder, name);
    if (!r->path)
        return cpv_fail_memory(r->err);
    return load(out, r->path, r->err);
}

static int read_older(struct reading *r, const char *folder)
{
    json_t *map = NULL, *added = NULL;
    int rc = read_file(r, folder, "special_tokens_map.json", &map);

    if (!rc && map)
        rc = read_names(r, map);
    if (!rc)
        rc = read_file(r, folder, "added_tokens.json", &added);
    if (!rc && added)
        rc = read_added(r, added);
    json_decref(map);
    json_decref(added);
    return rc;
}

static int read_all(struct reading *r, const char *folder)
{
    json_t *config = NULL, *decoder = NULL;
    const json_t *lower = NULL;
    int rc = read_file(r, folder, "tokenizer_config.json", &config);

    if (!rc && config) {
        decoder = json_object_get(config, "added_tokens_decoder");
        lower = json_object_get(config, "do_lower_case");
        r->s->clean_up = is_true(config, "clean_up_tokenization_spaces");
        r->s->has_clean_up =
            json_object_get(config, "clean_up_tokenization_spaces") != NULL;
        r->s->prefix_space = is_true(config, "add_prefix_space");
        r->s->separate_vocabs = is_true(config, "separate_vocabs");
        r->s->add_bos = is_true(config, "add_bos_token");
        r->s->has_add_bos = json_object_get(config, "add_bos_token") != NULL;
        rc = read_names(r, config);
    }
    r->s->lower = !lower || json_is_true(lower);
    if (!rc)
        rc = decoder ? read_decoder(r, decoder) : read_older(r, folder);
    json_decref(config);
    return rc;
}

int cpv_text_settings_read(struct cpv_text_settings *s, const char *folder,
                           const char *const defaults[CPV_TOKEN_ROLES],
                           struct cpv_err *err)
{
    struct reading r = {s, folder, err};
    int rc;

    *s = (struct cpv_text_settings){0};
    if ((rc = cpv_arena_open(&s->arena, 0, err)))
        return rc;
    for (size_t i = 0; i < CPV_TOKEN_ROLES; i++) {
        s->named[i] = (struct cpv_added_token){.id = -1, .special = true};
        if (defaults[i])
            s->named[i].text = cpv_bytes_str(defaults[i]);
    }
    rc = read_all(&r, folder);
    if (rc)
        cpv_text_settings_release(s);
    return rc;
}

void cpv_text_settings_release(struct cpv_text_settings *s)
{
    cpv_added_release(&s->added);
    if (s->arena)
        cpv_arena_close(&s->arena);
    *s = (struct cpv_text_settings){0};
}

static int bind_token(struct cpv_text_settings *s, struct cpv_added_token *token,
                      const struct cpv_vocab *vocab, struct cpv_err *err)
{
    const struct cpv_added_token *there = cpv_added_by_text(&s->added, token->text);

    if (token->text.size == 0)
        return CPV_OK;
    if (there)
        *token = *there;
    else
        token->id = cpv_vocab_id(vocab, token->text);
    token->special = true;
    if (token->id < 0)
        return cpv_fail(err, CPV_E_INPUT, "the token '%.60s' is not in the vocabulary",
                        (const char *)token->text.data);
    return cpv_added_add(&s->added, token, err);
}

int cpv_text_settings_bind(struct cpv_text_settings *s, const struct cpv_vocab *vocab,
                           struct cpv_err *err)
{
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < CPV_TOKEN_ROLES; i++)
        rc = bind_token(s, s->named + i, vocab, err);
    for (size_t i = 0; !rc && i < s->extra_count; i++)
        rc = bind_token(s, s->extra + i, vocab, err);
    return rc;
}
