/* SPDX-License-Identifier: Apache-2.0 */
/* See settings.h. */
#include "common/corpus/settings.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"

enum { SETTINGS_MAX = 1 << 20, REVISIONS_MAX = 9999 };

int cpv_settings_text(const struct cpv_opt_group *groups, size_t n, struct cpv_buf *out,
                      struct cpv_err *err)
{
    for (size_t g = 0; g < n; g++) {
        for (const struct cpv_opt *o = groups[g].opts; o->kind != CPV_OPT_END; o++) {
            if (!(o->flags & CPV_OPT_PINNED) || !o->key)
                continue;
            if (groups[g].section && *groups[g].section)
                cpv_buf_printf(out, "%s.", groups[g].section);
            cpv_buf_printf(out, "%s: ", o->key);
            cpv_opts_value(&groups[g], o, out);
            cpv_buf_byte(out, '\n');
        }
    }
    return out->failed ? cpv_fail_memory(err) : CPV_OK;
}

/* ---- the difference, field by field ---- */

/* The next line of *text without its end; false at the end. */
static bool next_line(struct cpv_bytes *text, struct cpv_bytes *line)
{
    const uint8_t *end;

    if (text->size == 0)
        return false;
    end = memchr(text->data, '\n', text->size);
    *line = cpv_bytes_of(text->data, end ? (size_t)(end - text->data) : text->size);
    text->data += line->size + (end != NULL);
    text->size -= line->size + (end != NULL);
    return true;
}

/* "key: value": the key, and the value behind it. */
static void split_line(struct cpv_bytes line, struct cpv_bytes *key,
                       struct cpv_bytes *value)
{
    const uint8_t *colon = line.size ? memchr(line.data, ':', line.size) : NULL;
    size_t n = colon ? (size_t)(colon - line.data) : line.size;
    size_t skip = n + 2 < line.size ? n + 2 : line.size;

    *key = cpv_bytes_of(line.data, n);
    *value = cpv_bytes_of(line.data + skip, line.size - skip);
}

static bool find_key(struct cpv_bytes text, struct cpv_bytes key, struct cpv_bytes *value)
{
    struct cpv_bytes line, k;

    while (next_line(&text, &line)) {
        split_line(line, &k, value);
        if (cpv_bytes_equal(k, key))
            return true;
    }
    return false;
}

static void add_diff(struct cpv_buf *diff, struct cpv_bytes key,
                     const struct cpv_bytes *was, const struct cpv_bytes *now)
{
    cpv_buf_printf(diff, "%.*s: ", (int)key.size, (const char *)key.data);
    if (was)
        cpv_buf_add(diff, was->data, was->size);
    else
        cpv_buf_str(diff, "(absent)");
    cpv_buf_str(diff, " -> ");
    if (now)
        cpv_buf_add(diff, now->data, now->size);
    else
        cpv_buf_str(diff, "(absent)");
    cpv_buf_byte(diff, '\n');
}

static void compare(struct cpv_bytes was, struct cpv_bytes now, struct cpv_buf *diff)
{
    struct cpv_bytes rest = was, line, key, value, other;

    while (next_line(&rest, &line)) {
        split_line(line, &key, &value);
        if (!find_key(now, key, &other))
            add_diff(diff, key, &value, NULL);
        else if (!cpv_bytes_equal(value, other))
            add_diff(diff, key, &value, &other);
    }
    rest = now;
    while (next_line(&rest, &line)) {
        split_line(line, &key, &value);
        if (!find_key(was, key, &other))
            add_diff(diff, key, NULL, &value);
    }
}

/* ---- pinning ---- */

static char *path_of(cpv_arena *mem, const char *corpus, const char *column, unsigned rev)
{
    if (rev == 0)
        return cpv_arena_printf(mem, "%s/%s/settings.yaml", corpus, column);
    return cpv_arena_printf(mem, "%s/%s/settings.r%u.yaml", corpus, column, rev);
}

/* The highest revision that is there into *rev; false if none is. */
static bool find_newest(cpv_arena *mem, const char *corpus, const char *column,
                        unsigned *rev)
{
    unsigned next = 0;

    while (next <= REVISIONS_MAX) {
        const char *path = path_of(mem, corpus, column, next);

        if (!path || !cpv_file_exists(path))
            break;
        next++;
    }
    *rev = next ? next - 1 : 0;
    return next > 0;
}

/* A new file of that name. Should another process be faster, its content counts. */
static int write_new(const char *path, struct cpv_bytes text, struct cpv_err *err)
{
    cpv_draft *draft = NULL;
    bool existed = false;
    int rc = cpv_draft_open(&draft, path, err);

    if (rc)
        return rc;
    cpv_draft_write(draft, text.data, text.size);
    rc = cpv_draft_commit(&draft, &existed, err);
    if (!rc && existed)
        rc = cpv_fail(err, CPV_E_BUSY, "'%s': another process has just pinned it", path);
    return rc;
}

static int pin(cpv_arena *mem, const char *corpus, const char *column,
               struct cpv_bytes text, bool redo, bool dry, struct cpv_buf *diff,
               struct cpv_err *err)
{
    struct cpv_buf pinned = {0};
    unsigned rev;
    bool there = find_newest(mem, corpus, column, &rev);
    const char *path = path_of(mem, corpus, column, rev);
    int rc = path ? CPV_OK : cpv_fail_memory(err);

    if (!rc && !there)
        rc = dry ? CPV_OK : write_new(path, text, err);
    if (!rc && there)
        rc = cpv_file_read(path, SETTINGS_MAX, &pinned, err);
    if (!rc && there && !cpv_bytes_equal(cpv_buf_view(&pinned), text)) {
        compare(cpv_buf_view(&pinned), text, diff);
        if (!redo) {
            rc = cpv_fail(err, CPV_E_SETTINGS,
                          "the settings differ from those of '%s'; "
                          "--redo makes every part anew with the new ones",
                          path);
        } else if (!dry) {
            path = path_of(mem, corpus, column, rev + 1);
            rc = path ? write_new(path, text, err) : cpv_fail_memory(err);
        }
    }
    cpv_buf_release(&pinned);
    return rc;
}

int cpv_settings_pin(const char *corpus, const char *column, struct cpv_bytes text,
                     bool redo, bool dry, uint8_t digest[32], struct cpv_buf *diff,
                     struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    int rc = cpv_arena_open(&mem, 0, err);

    cpv_sha256_of(digest, text);
    if (!rc)
        rc = pin(mem, corpus, column, text, redo, dry, diff, err);
    cpv_arena_close(&mem);
    return rc;
}

int cpv_settings_find(const char *corpus, const char *column, cpv_arena *mem,
                      const char **path, unsigned *rev, struct cpv_err *err)
{
    *path = NULL;
    if (!find_newest(mem, corpus, column, rev))
        return CPV_OK;
    *path = path_of(mem, corpus, column, *rev);
    return *path ? CPV_OK : cpv_fail_memory(err);
}
