/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See vocab.h. Texts lie in an arena; `slots` is a table with open addressing, at most
 * half full; `texts` is indexed by id.
 */
#include "common/text/vocab.h"

#include <inttypes.h>

#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"

enum { MAX_FILE = 256 << 20 };

struct slot {
    struct cpv_bytes text; /* data NULL: free */
    uint32_t hash;         /* its lower bits say where it wants to be */
    int32_t id;
};

struct cpv_vocab {
    cpv_arena *arena;
    struct slot *slots;
    size_t mask, count; /* slots less one; slots in use */
    struct cpv_bytes *texts;
    size_t texts_room;
    int32_t end;
};

static struct slot *find(const struct slot *slots, size_t mask, struct cpv_bytes text,
                         uint32_t hash)
{
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        const struct slot *s = slots + i;

        if (!s->text.data || (s->hash == hash && cpv_bytes_equal(s->text, text)))
            return (struct slot *)s;
    }
}

static bool make_room(cpv_vocab *v, int32_t id)
{
    size_t room = v->texts_room ? v->texts_room : 1024, slots = (v->mask + 1) * 2;
    struct cpv_bytes *texts;
    struct slot *bigger;

    while (room <= (size_t)id)
        room *= 2;
    if (room > v->texts_room) {
        if (!(texts = cpv_realloc(v->texts, room * sizeof *texts)))
            return false;
        memset(texts + v->texts_room, 0, (room - v->texts_room) * sizeof *texts);
        v->texts = texts;
        v->texts_room = room;
    }
    if (v->count * 2 < v->mask)
        return true;
    if (!(bigger = cpv_calloc(slots, sizeof *bigger)))
        return false;
    for (size_t i = 0; i <= v->mask; i++) {
        if (v->slots[i].text.data)
            *find(bigger, slots - 1, v->slots[i].text, v->slots[i].hash) = v->slots[i];
    }
    cpv_free(v->slots);
    v->slots = bigger;
    v->mask = slots - 1;
    return true;
}

int cpv_vocab_put(cpv_vocab *v, struct cpv_bytes text, int32_t id, struct cpv_err *err)
{
    uint32_t hash = (uint32_t)cpv_xxh64(text.data, text.size, 0);
    struct slot *s;
    char *copy;

    if (id < 0 || id >= CPV_VOCAB_MAX)
        return cpv_fail(err, CPV_E_INPUT, "id %" PRId32 " is not from 0 to %d", id,
                        CPV_VOCAB_MAX - 1);
    if (!make_room(v, id))
        return cpv_fail_memory(err);
    s = find(v->slots, v->mask, text, hash);
    if (!s->text.data) {
        if (!(copy = cpv_arena_str(v->arena, text)))
            return cpv_fail_memory(err);
        *s = (struct slot){cpv_bytes_of(copy, text.size), hash, 0};
        v->count++;
    }
    s->id = id;
    v->texts[id] = s->text;
    if (id >= v->end)
        v->end = id + 1;
    return CPV_OK;
}

static int open_empty(cpv_vocab **out, struct cpv_err *err)
{
    cpv_vocab *v = cpv_calloc(1, sizeof *v);

    *out = NULL;
    if (!v)
        return cpv_fail_memory(err);
    v->mask = 4095;
    if (!(v->slots = cpv_calloc(v->mask + 1, sizeof *v->slots)) ||
        cpv_arena_open(&v->arena, 0, err)) {
        cpv_vocab_close(&v);
        return cpv_fail_memory(err);
    }
    *out = v;
    return CPV_OK;
}

void cpv_vocab_close(cpv_vocab **v)
{
    if (!*v)
        return;
    cpv_arena_close(&(*v)->arena);
    cpv_free((*v)->slots);
    cpv_free((*v)->texts);
    cpv_free(*v);
    *v = NULL;
}

static int put_all(cpv_vocab *v, json_t *object, const char *name, struct cpv_err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;

        if (id < 0 || id >= CPV_VOCAB_MAX)
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s': the id of '%.60s' is no number from 0 to %d", name,
                            key, CPV_VOCAB_MAX - 1);
        if (cpv_vocab_put(v, cpv_bytes_str(key), (int32_t)id, err))
            return cpv_err_add(err, "'%s'", name);
    }
    if (v->count == 0)
        return cpv_fail(err, CPV_E_INPUT, "'%s': expected tokens, found none", name);
    return CPV_OK;
}

int cpv_vocab_read_json(cpv_vocab **out, struct cpv_bytes json, const char *name,
                        struct cpv_err *err)
{
    json_error_t where;
    json_t *root;
    int rc;

    *out = NULL;
    root = json_loadb(json.data ? (const char *)json.data : "", json.size,
                      JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return cpv_fail(err, CPV_E_INPUT, "'%s' line %d column %d: %.100s", name,
                        where.line, where.column, where.text);
    if (!json_is_object(root))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected an object of tokens and ids",
                      name);
    else if (!(rc = open_empty(out, err)))
        rc = put_all(*out, root, name, err);
    json_decref(root);
    if (rc)
        cpv_vocab_close(out);
    return rc;
}

int cpv_vocab_read_lines(cpv_vocab **out, struct cpv_bytes lines, const char *name,
                         struct cpv_err *err)
{
    const uint8_t *at = lines.data ? lines.data : (const uint8_t *)"",
                  *end = at + lines.size;
    int32_t id = 0;
    int rc = open_empty(out, err);

    while (!rc && at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        struct cpv_bytes text = cpv_bytes_of(at, (size_t)((stop ? stop : end) - at));

        if (text.size > 0 && text.data[text.size - 1] == '\r')
            text.size--;
        if (cpv_vocab_put(*out, text, id++, err))
            rc = cpv_err_add(err, "'%s'", name);
        at = stop ? stop + 1 : end;
    }
    if (!rc && id == 0)
        rc =
            cpv_fail(err, CPV_E_INPUT, "'%s': expected a token a line, found none", name);
    if (rc)
        cpv_vocab_close(out);
    return rc;
}

static int open_file(cpv_vocab **out, const char *path, struct cpv_err *err,
                     int (*read)(cpv_vocab **, struct cpv_bytes, const char *,
                                 struct cpv_err *))
{
    struct cpv_buf text = {0};
    int rc;

    *out = NULL;
    rc = cpv_file_read(path, MAX_FILE, &text, err);
    if (!rc)
        rc = read(out, cpv_buf_view(&text), path, err);
    cpv_buf_release(&text);
    return rc;
}

int cpv_vocab_open_json(cpv_vocab **out, const char *path, struct cpv_err *err)
{
    return open_file(out, path, err, cpv_vocab_read_json);
}

int cpv_vocab_open_lines(cpv_vocab **out, const char *path, struct cpv_err *err)
{
    return open_file(out, path, err, cpv_vocab_read_lines);
}

int32_t cpv_vocab_id(const cpv_vocab *v, struct cpv_bytes text)
{
    const struct slot *s =
        find(v->slots, v->mask, text, (uint32_t)cpv_xxh64(text.data, text.size, 0));

    return s->text.data ? s->id : -1;
}

struct cpv_bytes cpv_vocab_text(const cpv_vocab *v, int32_t id)
{
    if (id < 0 || id >= v->end)
        return cpv_bytes_of(NULL, 0);
    return v->texts[id];
}

size_t cpv_vocab_count(const cpv_vocab *v)
{
    return v->count;
}

int32_t cpv_vocab_end(const cpv_vocab *v)
{
    return v->end;
}
