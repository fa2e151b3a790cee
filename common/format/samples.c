/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See samples.h. A window slides over the decoded bytes: it holds the sample under
 * way, so that the views handed out need no copies, and never more than one block
 * ahead. Where a sample straddles two blocks, the smaller part moves.
 */
#include "common/format/samples.h"

#include <stdio.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/blocks.h"
#include "common/format/keyset.h"
#include "common/format/tar.h"

enum { MAX_BYTES = 512 << 20, BYTES_STEP = 4096, SHOWN = 200 };

/* Of the sample under way; `data` counts from the start of the window. */
struct part {
    size_t ext; /* in texts */
    size_t data, size;
    uint64_t tar_at; /* of its data */
};

struct cpv_samples {
    char *path;
    struct cpv_samples_params params;
    struct cpv_samples_report report;
    cpv_blocks *blocks;
    struct cpv_block *window; /* NULL before the first block */
    size_t pos;               /* of the next tar byte, from the window's start */
    uint64_t tar_at;          /* the same in the tar */
    bool eof;                 /* no more blocks */
    bool ended;               /* no more samples */

    /* Headers that concern the next member. */
    struct cpv_tar_pax local, global;
    struct cpv_buf long_name, global_name; /* the paths of local and global */

    /* A member whose header was read; its data is at pos. */
    bool have_member;
    struct cpv_buf name; /* terminated; key_size bytes of it are the key */
    size_t key_size;
    uint64_t size;

    /* The sample under way. */
    struct cpv_buf key, texts, parts, members;
    struct cpv_keyset keys;
    struct cpv_err error; /* sticks */
};

/* ---- errors ---- */

/* Names come from files: nothing but printable ASCII and UTF-8 goes into a message. */
static const char *shown(const char *name, char to[SHOWN])
{
    size_t i;

    for (i = 0; i < SHOWN - 1 && name[i]; i++)
        to[i] =
            (uint8_t)name[i] < 0x20 || name[i] == 0x7f || name[i] == '\'' ? '?' : name[i];
    to[i] = '\0';
    return to;
}

static int bad_tar(cpv_samples *s, const char *why)
{
    return cpv_fail(&s->error, CPV_E_INPUT, "'%s': %s at byte %llu of the tar", s->path,
                    why, (unsigned long long)s->tar_at);
}

/* The data ends where it should not: 0 if it is to be salvaged. */
static int cut_off(cpv_samples *s, const char *inside)
{
    uint64_t end = s->tar_at + (s->window ? s->window->size - s->pos : 0);
    char text[SHOWN];

    s->ended = true;
    s->report.truncated = true;
    s->report.truncated_at = end;
    if (s->params.salvage)
        return 0;
    if (s->report.why[0])
        return cpv_fail(&s->error, CPV_E_INPUT, "%s", s->report.why);
    return cpv_fail(&s->error, CPV_E_INPUT,
                    "'%s': cut off inside of '%s', at byte %llu of the tar", s->path,
                    shown(inside, text), (unsigned long long)end);
}

/* ---- the window: 1, 0 at the end of the data, or a code ---- */

/* One more block behind those bytes of the window that are still wanted. */
static int merge(cpv_samples *s, struct cpv_block *next)
{
    struct cpv_block *w = s->window;

    if (!w || w->size <= next->at) {
        if (w) {
            next->at -= w->size;
            next->size += w->size;
            memcpy(next->mem + next->at, w->mem + w->at, w->size);
        }
        cpv_blocks_give(s->blocks, w);
        s->window = next;
        return 1;
    }
    if (w->at) { /* at most once a sample: it begins at the window's start */
        memmove(w->mem, w->mem + w->at, w->size);
        w->at = 0;
    }
    if (!cpv_block_grow(w, next->size)) {
        cpv_blocks_give(s->blocks, next);
        return cpv_fail_memory(&s->error);
    }
    memcpy(w->mem + w->size, next->mem + next->at, next->size);
    w->size += next->size;
    cpv_blocks_give(s->blocks, next);
    return 1;
}

static int next_block(cpv_samples *s, struct cpv_block **next)
{
    struct cpv_err why = {0};
    int got;

    if (s->eof)
        return 0;
    got = cpv_blocks_next(s->blocks, next, &why);
    if (got == CPV_E_INPUT) { /* cut off or damaged: nothing follows */
        (void)snprintf(s->report.why, sizeof s->report.why, "%s", why.text);
        got = 0;
    }
    if (got < 0)
        s->error = why;
    if (got == 1)
        s->report.tar_bytes += (*next)->size;
    s->eof = got == 0;
    return got;
}

/* n bytes from pos on. */
static int need(cpv_samples *s, size_t n)
{
    struct cpv_block *next;
    int got;

    while (!s->window || s->window->size - s->pos < n) {
        if ((got = next_block(s, &next)) != 1 || (got = merge(s, next)) != 1)
            return got;
    }
    return 1;
}

static const uint8_t *at_pos(const cpv_samples *s)
{
    return s->window->mem + s->window->at + s->pos;
}

static void advance(cpv_samples *s, size_t n)
{
    s->pos += n;
    s->tar_at += n;
}

/* Past n bytes that nobody wants, without gathering them. */
static int skip(cpv_samples *s, uint64_t n)
{
    size_t here = s->window->size - s->pos;
    struct cpv_block *next;
    int got;

    if (n <= here) {
        advance(s, (size_t)n);
        return 1;
    }
    s->window->size = s->pos;
    s->tar_at += here;
    for (n -= here; n > 0;) {
        if ((got = next_block(s, &next)) != 1)
            return got;
        here = next->size < n ? next->size : (size_t)n;
        next->at += here;
        next->size -= here;
        s->tar_at += here;
        n -= here;
        if (next->size == 0)
            cpv_blocks_give(s->blocks, next);
        else if ((got = merge(s, next)) != 1)
            return got;
    }
    return 1;
}

/* What lies before pos is not wanted any more. */
static void forget(cpv_samples *s)
{
    if (!s->window)
        return;
    s->window->at += s->pos;
    s->window->size -= s->pos;
    s->pos = 0;
}

/* ---- headers ---- */

/* Note where something other than zeros begins. */
static void look_at_rest(cpv_samples *s, const uint8_t *data, size_t n)
{
    size_t i = 0;

    if (!s->report.trailing && !cpv_tar_is_zero(data, n)) {
        while (data[i] == 0)
            i++;
        s->report.trailing = true;
        s->report.trailing_at = s->tar_at + i;
    }
    s->tar_at += n;
}

/* Behind the end blocks there may be zeros, up to the end of the file. The window
 * stays: it may hold the last sample. */
static int read_rest(cpv_samples *s)
{
    struct cpv_block *next;
    int got;

    s->ended = true;
    look_at_rest(s, at_pos(s), s->window->size - s->pos);
    s->window->size = s->pos;
    while ((got = next_block(s, &next)) == 1) {
        look_at_rest(s, next->mem + next->at, next->size);
        cpv_blocks_give(s->blocks, next);
    }
    if (got == 0 && s->report.why[0] && !s->report.trailing) {
        s->report.trailing = true;
        s->report.trailing_at = s->tar_at;
    }
    return got;
}

/* Keep a path that lies in the window: `to`, terminated, and a view of it. */
static int keep_path(cpv_samples *s, struct cpv_buf *to, struct cpv_bytes path,
                     struct cpv_bytes *view)
{
    if (path.size > CPV_TAR_NAME_MAX)
        return bad_tar(s, "a name of more than 4096 bytes");
    cpv_buf_clear(to);
    cpv_buf_add(to, path.data, path.size);
    if (!cpv_buf_cstr(to))
        return cpv_fail_memory(&s->error);
    *view = cpv_buf_view(to);
    return CPV_OK;
}

/* A header that says something about the next member, or about all: its data. */
static int read_extra(cpv_samples *s, const struct cpv_tar_head *head)
{
    struct cpv_bytes data, path;
    const char *why = NULL;
    int got, rc = CPV_OK;

    if (head->size > CPV_TAR_EXTRA_MAX)
        return bad_tar(s, "an extended header of more than 1 MiB");
    got = need(s, (size_t)cpv_tar_padded(head->size));
    if (got != 1)
        return got < 0 ? got : cut_off(s, "an extended header");
    data = cpv_bytes_of(at_pos(s), (size_t)head->size);
    if (head->kind == CPV_TAR_LONG_NAME) {
        path = cpv_bytes_of(data.data, strnlen((const char *)data.data, data.size));
        rc = keep_path(s, &s->long_name, path, &s->local.path);
    } else if (head->kind == CPV_TAR_PAX) {
        struct cpv_bytes before = s->local.path;

        why = cpv_tar_read_pax(&s->local, data);
        if (!why && s->local.path.data && s->local.path.data != before.data)
            rc = keep_path(s, &s->long_name, s->local.path, &s->local.path);
    } else if (head->kind == CPV_TAR_PAX_GLOBAL) {
        struct cpv_bytes before = s->global.path;

        why = cpv_tar_read_pax(&s->global, data);
        if (!why && s->global.path.data && s->global.path.data != before.data)
            rc = keep_path(s, &s->global_name, s->global.path, &s->global.path);
    }
    if (why)
        return bad_tar(s, why);
    advance(s, (size_t)cpv_tar_padded(head->size));
    return rc ? rc : 1;
}

/* The extended headers of an old GNU sparse file; their last byte but 7 says "more". */
static int skip_sparse(cpv_samples *s, bool more)
{
    int got = 1;

    while (more && (got = need(s, CPV_TAR_BLOCK)) == 1) {
        more = at_pos(s)[504] != 0;
        advance(s, CPV_TAR_BLOCK);
    }
    return got;
}

/*
 * The path split at the first dot of its basename, in s->name; false if it is one
 * that the rules leave out.
 */
static bool split_name(cpv_samples *s, struct cpv_bytes path)
{
    const char *name, *base, *dot, *stop;

    cpv_buf_clear(&s->name);
    while (path.size >= 2 && path.data[0] == '.' && path.data[1] == '/') {
        path.data += 2;
        path.size -= 2;
    }
    cpv_buf_add(&s->name, path.data, path.size);
    if (!(name = cpv_buf_cstr(&s->name)))
        return false;
    if (name[0] == '_' && name[1] == '_') {
        stop = strchr(name, '/');
        stop = stop ? stop : name + strlen(name);
        if (stop - name >= 4 && stop[-1] == '_' && stop[-2] == '_')
            return false;
    }
    base = strrchr(name, '/');
    base = base ? base + 1 : name;
    dot = strchr(base, '.');
    if (!dot || dot == base || dot[1] == '\0')
        return false;
    s->key_size = (size_t)(dot - name);
    return true;
}

/*
 * A file's header was read: is it a member? Its name then is in s->name and its
 * data at pos. 1: yes. 2: no, it was skipped. 0 or below 0: as need().
 */
static int judge_member(cpv_samples *s, const struct cpv_tar_head *head)
{
    struct cpv_bytes path = cpv_bytes_str(head->name);
    bool sparse = head->kind == CPV_TAR_SPARSE || s->local.sparse || s->global.sparse;
    bool member;
    int got;

    if (s->local.path.data)
        path = s->local.path;
    else if (s->global.path.data)
        path = s->global.path;
    s->size = s->local.has_size    ? s->local.size
              : s->global.has_size ? s->global.size
                                   : head->size;
    if (head->kind == CPV_TAR_OTHER)
        s->size = 0;
    member = head->kind == CPV_TAR_FILE && !sparse && split_name(s, path);
    memset(&s->local, 0, sizeof s->local);
    if (s->name.failed)
        return cpv_fail_memory(&s->error);
    if (s->size > INT64_MAX - CPV_TAR_BLOCK)
        return bad_tar(s, "an absurd size");
    if (member)
        return 1;
    s->report.skipped++;
    if ((got = skip_sparse(s, head->more)) == 1)
        got = skip(s, cpv_tar_padded(s->size));
    return got == 1 ? 2 : got < 0 ? got : cut_off(s, head->name);
}

/* Up to the next member that counts. 1: s->name and so on; 0: the end. */
static int read_member(cpv_samples *s)
{
    struct cpv_tar_head head;
    const char *why;
    bool extra = false; /* headers that announced a member */
    int got;

    for (;;) {
        got = need(s, CPV_TAR_BLOCK);
        if (got < 0)
            return got;
        if (got == 0) {
            size_t left = s->window ? s->window->size - s->pos : 0;

            if (!s->window && !s->report.why[0])
                return bad_tar(s, "an empty file instead of a tar,");
            if (extra || s->report.why[0] || !cpv_tar_is_zero(at_pos(s), left))
                return cut_off(s, "a tar header");
            s->ended = s->report.unclosed = true;
            return 0;
        }
        if (cpv_tar_is_zero(at_pos(s), CPV_TAR_BLOCK))
            return read_rest(s);
        if ((why = cpv_tar_read(&head, at_pos(s))))
            return bad_tar(s, why);
        advance(s, CPV_TAR_BLOCK);
        if (head.kind >= CPV_TAR_LONG_NAME) {
            extra = head.kind != CPV_TAR_PAX_GLOBAL;
            if ((got = read_extra(s, &head)) != 1)
                return got;
            continue;
        }
        extra = false;
        if ((got = judge_member(s, &head)) != 2)
            return got;
    }
}

/* ---- samples ---- */

/* The member at pos joins the sample. 1, 0 if it is cut off, or a code. */
static int take_member(cpv_samples *s)
{
    const char *name = (const char *)s->name.data, *ext = name + s->key_size + 1;
    struct part part = {.ext = s->texts.size}, *parts;
    size_t n = s->parts.size / sizeof part;
    char text[SHOWN];
    int got;

    if (s->pos + CPV_TAR_BLOCK + s->size > s->params.max_bytes)
        return cpv_fail(&s->error, CPV_E_INPUT,
                        "'%s': '%s', at byte %llu of the tar: a sample of more than %zu "
                        "bytes",
                        s->path, shown(name, text), (unsigned long long)s->tar_at,
                        s->params.max_bytes);
    if ((got = need(s, (size_t)s->size)) != 1)
        return got < 0 ? got : cut_off(s, name);
    for (const char *p = ext; *p; p++)
        cpv_buf_byte(&s->texts, (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p + 'a' - 'A' : *p));
    cpv_buf_byte(&s->texts, 0);
    part.data = s->pos;
    part.tar_at = s->tar_at;
    part.size = (size_t)s->size;
    cpv_buf_add(&s->parts, &part, sizeof part);
    if (s->texts.failed || s->parts.failed)
        return cpv_fail_memory(&s->error);
    parts = (struct part *)(void *)s->parts.data;
    ext = (const char *)s->texts.data + part.ext;
    for (size_t i = 0; i < n; i++)
        if (strcmp((const char *)s->texts.data + parts[i].ext, ext) == 0)
            return cpv_fail(&s->error, CPV_E_INPUT,
                            "'%s': '%s' twice in one sample, at byte %llu of the tar",
                            s->path, shown(name, text), (unsigned long long)s->tar_at);
    advance(s, part.size);
    /* Padding that the end of the file cuts off is no loss. */
    got = need(s, (size_t)(cpv_tar_padded(part.size) - part.size));
    if (got < 0)
        return got;
    if (got == 0)
        advance(s, s->window->size - s->pos);
    else
        advance(s, (size_t)cpv_tar_padded(part.size) - part.size);
    return 1;
}

/* A new sample, of the member that was read. *fresh: its key is new. */
static int begin(cpv_samples *s, bool *fresh)
{
    char text[SHOWN];
    int rc;

    cpv_buf_clear(&s->key);
    cpv_buf_clear(&s->texts);
    cpv_buf_clear(&s->parts);
    cpv_buf_clear(&s->members);
    cpv_buf_add(&s->key, s->name.data, s->key_size);
    if (!cpv_buf_cstr(&s->key))
        return cpv_fail_memory(&s->error);
    if ((rc = cpv_keyset_add(&s->keys, cpv_buf_view(&s->key), fresh, &s->error)))
        return rc;
    if (!*fresh && !s->params.repeats)
        return cpv_fail(&s->error, CPV_E_INPUT,
                        "'%s': '%s', at byte %llu of the tar: a sample of that key came "
                        "before",
                        s->path, shown((const char *)s->name.data, text),
                        (unsigned long long)(s->tar_at - CPV_TAR_BLOCK));
    return CPV_OK;
}

static bool same_key(const cpv_samples *s)
{
    return s->key_size == s->key.size &&
           memcmp(s->name.data, s->key.data, s->key_size) == 0;
}

/* All members of one sample. 1: complete. 0: the end, or cut off. */
static int gather(cpv_samples *s, bool *fresh)
{
    int got;

    forget(s);
    if (!s->have_member && (got = s->ended ? 0 : read_member(s)) != 1)
        return got;
    s->have_member = false;
    if ((got = begin(s, fresh)))
        return got;
    do {
        got = take_member(s);
        if (got == 1)
            got = read_member(s);
        if (got < 0)
            return got;
        if (got == 0) {
            /* Cut off: whether more members would have come, nobody knows. */
            s->report.dropped += s->report.truncated;
            return s->report.truncated ? 0 : 1;
        }
    } while (same_key(s));
    s->have_member = true;
    return 1;
}

static int deliver(cpv_samples *s, struct cpv_sample *out)
{
    const struct part *parts = (const struct part *)(const void *)s->parts.data;
    size_t n = s->parts.size / sizeof *parts;

    for (size_t i = 0; i < n; i++) {
        struct cpv_member m = {
            (const char *)s->texts.data + parts[i].ext,
            {s->window->mem + s->window->at + parts[i].data, parts[i].size}};

        cpv_buf_add(&s->members, &m, sizeof m);
    }
    if (s->members.failed)
        return cpv_fail_memory(&s->error);
    out->key = (const char *)s->key.data;
    out->members = (const struct cpv_member *)(const void *)s->members.data;
    out->n_members = n;
    out->number = s->report.samples++;
    s->report.members += n;
    return 1;
}

int cpv_samples_next(cpv_samples *s, struct cpv_sample *out, struct cpv_err *err)
{
    bool fresh = true;
    int got = s->error.code;

    memset(out, 0, sizeof *out);
    while (!s->error.code && (got = gather(s, &fresh)) == 1 && !fresh)
        s->report.duplicates++;
    if (got == 1)
        got = deliver(s, out);
    if (got < 0 && err)
        *err = s->error;
    return got;
}

const struct cpv_samples_report *cpv_samples_report(const cpv_samples *s)
{
    return &s->report;
}

/* ---- opening and closing ---- */

static int create(cpv_samples **out, const char *name,
                  const struct cpv_samples_params *params, struct cpv_err *err)
{
    cpv_samples *s = cpv_calloc(1, sizeof *s);

    *out = s;
    if (!s || !(s->path = cpv_strdup(name)))
        return cpv_fail_memory(err);
    if (params)
        s->params = *params;
    if (!s->params.max_bytes)
        s->params.max_bytes = MAX_BYTES;
    return CPV_OK;
}

int cpv_samples_open(cpv_samples **out, const char *path,
                     const struct cpv_samples_params *params, struct cpv_err *err)
{
    int rc = create(out, path, params, err);

    if (!rc)
        rc = cpv_blocks_open(&(*out)->blocks, path, (*out)->params.read_ahead, err);
    if (rc)
        cpv_samples_close(out);
    return rc;
}

int cpv_samples_open_bytes(cpv_samples **out, struct cpv_bytes file, const char *name,
                           const struct cpv_samples_params *params, struct cpv_err *err)
{
    int rc = create(out, name, params, err);

    if (!rc)
        rc = cpv_blocks_open_bytes(&(*out)->blocks, file, BYTES_STEP, err);
    if (rc)
        cpv_samples_close(out);
    return rc;
}

uint64_t cpv_samples_at(const cpv_samples *s, size_t member)
{
    return ((const struct part *)(const void *)s->parts.data)[member].tar_at;
}

void cpv_samples_close(cpv_samples **sp)
{
    cpv_samples *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    if (s->window)
        cpv_blocks_give(s->blocks, s->window);
    cpv_blocks_close(&s->blocks);
    cpv_keyset_release(&s->keys);
    cpv_buf_release(&s->long_name);
    cpv_buf_release(&s->global_name);
    cpv_buf_release(&s->name);
    cpv_buf_release(&s->key);
    cpv_buf_release(&s->texts);
    cpv_buf_release(&s->parts);
    cpv_buf_release(&s->members);
    cpv_free(s->path);
    cpv_free(s);
}
