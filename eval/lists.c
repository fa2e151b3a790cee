/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of files with captions, and folders of pictures. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/format/rows.h"
#include "eval/eval.h"

enum { FILE_MAX = 1 << 30 };

/* Which number a file has: open addressing, by the hash of its name. */
struct names {
    int64_t *slot; /* number + 1; 0: free */
    size_t room, count;
};

struct reading {
    struct eval_set *s;
    embedder *e;
    const char *root;
    bool labels;
    struct names names;
    struct cpv_buf classes; /* of const char *, in the order in which they came */
    uint64_t bad;           /* rows */
    char first_bad[256];
};

static size_t slot_of(const struct names *t, const struct eval_set *s, const char *file)
{
    size_t at = (size_t)cpv_xxh64(file, strlen(file), 0) & (t->room - 1);

    while (t->slot[at] && strcmp(eval_image(s, t->slot[at] - 1)->key, file) != 0)
        at = (at + 1) & (t->room - 1);
    return at;
}

static int grow(struct names *t, const struct eval_set *s, struct cpv_err *err)
{
    struct names larger = {.room = t->room ? t->room * 2 : 1024, .count = t->count};

    if (t->room > 2 * t->count)
        return CPV_OK;
    larger.slot = cpv_calloc(larger.room, sizeof *larger.slot);
    if (!larger.slot)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < t->room; i++)
        if (t->slot[i])
            larger.slot[slot_of(&larger, s, eval_image(s, t->slot[i] - 1)->key)] =
                t->slot[i];
    cpv_free(t->slot);
    *t = larger;
    return CPV_OK;
}

/* ---- pictures ---- */

static int read_file(struct reading *r, const char *file, int64_t number,
                     struct cpv_err *err)
{
    char *path = r->root && *file != '/'
                     ? cpv_arena_printf(r->s->mem, "%s/%s", r->root, file)
                     : cpv_arena_str(r->s->mem, cpv_bytes_str(file));
    struct cpv_buf data = {0};
    struct cpv_err why = {0};
    int rc;

    if (!path)
        return cpv_fail_memory(err);
    rc = cpv_file_read(path, FILE_MAX, &data, &why);
    if (!rc)
        return embedder_file(r->e, number, &data, err);
    cpv_buf_release(&data);
    if (rc != CPV_E_MEMORY)
        return embedder_skip(r->e, number, why.text, err);
    *err = why;
    return rc;
}

/* The folder that the file lies in directly below the root: its class. */
static int class_of(struct reading *r, const char *file, int64_t *label,
                    struct cpv_err *err)
{
    const char *slash = strchr(file, '/'), *name;
    size_t n = r->classes.size / sizeof name;

    if (!slash)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s/%s': expected a folder for each class, with its images",
                        r->root, file);
    for (size_t i = n; i > 0; i--) {
        name = ((const char *const *)(const void *)r->classes.data)[i - 1];
        if (strlen(name) == (size_t)(slash - file) &&
            strncmp(name, file, (size_t)(slash - file)) == 0) {
            *label = (int64_t)i - 1;
            return CPV_OK;
        }
    }
    name = cpv_arena_str(r->s->mem, cpv_bytes_of(file, (size_t)(slash - file)));
    if (!name)
        return cpv_fail_memory(err);
    cpv_buf_add(&r->classes, &name, sizeof name);
    *label = (int64_t)n;
    return r->classes.failed ? cpv_fail_memory(err) : CPV_OK;
}

static int number_of(struct reading *r, const char *file, int64_t *number,
                     struct cpv_err *err)
{
    int64_t label = -1;
    size_t at;
    int rc = grow(&r->names, r->s, err);

    if (rc)
        return rc;
    at = slot_of(&r->names, r->s, file);
    if (r->names.slot[at]) {
        *number = r->names.slot[at] - 1;
        return CPV_OK;
    }
    if (r->labels)
        rc = class_of(r, file, &label, err);
    if (!rc)
        rc = eval_add_image(r->s, file, label, number, err);
    if (rc)
        return rc;
    r->names.slot[at] = *number + 1;
    r->names.count++;
    return read_file(r, file, *number, err);
}

/* ---- rows ---- */

static int take_row(struct reading *r, const struct cpv_row *row, size_t lang,
                    size_t n_lang, struct cpv_err *err)
{
    int64_t number;
    int rc;

    if (row->bad || !row->file) {
        if (r->bad++ == 0)
            (void)snprintf(r->first_bad, sizeof r->first_bad, "%s",
                           row->bad ? row->bad : "a row without a file");
        return CPV_OK;
    }
    rc = number_of(r, row->file, &number, err);
    for (size_t k = lang; k < lang + n_lang && !rc; k++)
        for (size_t i = 0; i < row->captions.count && !rc; i++)
            rc = eval_add_caption(r->s, k, number, cpv_bytes_str(row->captions.at[i]),
                                  err);
    return rc;
}

/* Captions go to languages [lang, lang + n_lang). */
static int take_all(struct reading *r, cpv_rows *rows, size_t lang, size_t n_lang,
                    struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    struct cpv_row row;
    int rc = cpv_arena_open(&mem, 0, err), got = 0;

    while (!rc && (got = cpv_rows_next(rows, mem, &row, err)) == 1) {
        rc = take_row(r, &row, lang, n_lang, err);
        cpv_arena_reset(mem);
        if (!rc && cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped");
    }
    cpv_arena_close(&mem);
    return rc ? rc : got;
}

static void release(struct reading *r)
{
    if (r->bad)
        cpv_log_warning(r->s->log, "%llu bad rows are left out; the first: %s",
                        (unsigned long long)r->bad, r->first_bad);
    cpv_free(r->names.slot);
    cpv_buf_release(&r->classes);
}

/* ---- lists ---- */

/* The first of these columns that the list has; the first one's message otherwise. */
static int open_rows(cpv_rows **out, struct cpv_rows_params *p, const char *const *files,
                     const char *const *captions, struct cpv_err *err)
{
    struct cpv_err other = {0};
    int rc = CPV_E_INPUT;

    for (size_t i = 0; files[i] && rc == CPV_E_INPUT; i++) {
        p->file = files[i];
        rc = cpv_rows_open(out, p, i == 0 ? err : &other);
        cpv_rows_close(out);
    }
    if (rc)
        return rc;
    rc = CPV_E_INPUT;
    for (size_t k = 0; captions[k] && rc == CPV_E_INPUT; k++) {
        p->captions = (struct cpv_texts){&captions[k], 1};
        rc = cpv_rows_open(out, p, k == 0 ? err : &other);
    }
    return rc;
}

static int open_list(struct eval_set *s, size_t lang, cpv_rows **out, struct cpv_err *err)
{
    static const char *const usual[] = {"file",     "image", "filename",
                                        "filepath", "path",  NULL};
    const struct eval_settings *how = s->how;
    const char *files[] = {how->file_col, NULL};
    const char *captions[4] = {NULL};
    struct cpv_rows_params p = {.path = eval_with_lang(how->list, s->lang[lang], s->mem),
                                .root = how->images ? how->images : "."};
    cpv_rows_format format = CPV_ROWS_AUTO;

    captions[0] = eval_with_lang(how->captions ? how->captions : "captions-{lang}",
                                 s->lang[lang], s->mem);
    if (!p.path || !captions[0])
        return cpv_fail_memory(err);
    if (!how->captions) {
        captions[1] = s->lang[lang];
        /* A list of one language need not say which. */
        if (s->n_lang == 1 || strstr(how->list, "{lang}"))
            captions[2] = "caption";
    }
    if (how->format && !cpv_rows_format_parse(how->format, &format))
        return cpv_fail(err, CPV_E_USAGE, "'--format': there is no '%s'", how->format);
    p.format = format;
    if (!cpv_file_exists(p.path))
        return cpv_fail(err, CPV_E_ABSENT, "'%s': there is no such file", p.path);
    return open_rows(out, &p, how->file_col ? files : usual, captions, err);
}

int eval_read_list(struct eval_set *s, embedder *e, struct cpv_err *err)
{
    struct reading r = {.s = s, .e = e, .root = s->how->images};
    int rc = CPV_OK;

    for (size_t i = 0; i < s->n_lang && !rc; i++) {
        cpv_rows *rows = NULL;

        rc = open_list(s, i, &rows, err);
        if (!rc && cpv_rows_kind(rows) == CPV_ROWS_COCO && s->n_lang > 1 &&
            !strstr(s->how->list, "{lang}"))
            rc = cpv_fail(err, CPV_E_USAGE,
                          "'%s' has captions of one language: expected one --lang, or "
                          "{lang} in the name",
                          s->how->list);
        if (!rc)
            rc = take_all(&r, rows, i, 1, err);
        cpv_rows_close(&rows);
    }
    release(&r);
    return rc;
}

/* ---- folders ---- */

struct by_name {
    const char *name;
    int64_t old;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct by_name *)a)->name, ((const struct by_name *)b)->name);
}

/* Classes in the order of their names, as torchvision's ImageFolder has them. */
static int sort_classes(struct reading *r, struct cpv_err *err)
{
    struct eval_set *s = r->s;
    size_t n = r->classes.size / sizeof(char *);
    const char *const *names = (const char *const *)(const void *)r->classes.data;
    struct by_name *sorted = cpv_arena_calloc(s->mem, n + 1, sizeof *sorted);
    int64_t *now = cpv_arena_calloc(s->mem, n + 1, sizeof *now);

    s->class_folder = cpv_arena_calloc(s->mem, n + 1, sizeof *s->class_folder);
    s->n_class_folders = (int64_t)n;
    if (!sorted || !now || !s->class_folder)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct by_name){names[i], (int64_t)i};
    qsort(sorted, n, sizeof *sorted, compare);
    for (size_t i = 0; i < n; i++) {
        s->class_folder[i] = sorted[i].name;
        now[sorted[i].old] = (int64_t)i;
    }
    for (int64_t i = 0; i < eval_images(s); i++)
        eval_image(s, i)->label = now[eval_image(s, i)->label];
    return CPV_OK;
}

int eval_read_folder(struct eval_set *s, const char *folder, bool labels, embedder *e,
                     struct cpv_err *err)
{
    struct reading r = {.s = s, .e = e, .root = folder, .labels = labels};
    struct cpv_rows_params p = {.path = folder, .format = CPV_ROWS_FOLDER};
    cpv_rows *rows = NULL;
    int rc = cpv_rows_open(&rows, &p, err);

    s->unnamed = true;
    if (!rc)
        rc = take_all(&r, rows, 0, labels ? 0 : s->n_lang, err);
    cpv_rows_close(&rows);
    if (!rc && labels)
        rc = sort_classes(&r, err);
    release(&r);
    return rc;
}
