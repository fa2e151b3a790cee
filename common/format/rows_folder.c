/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows from a folder: its images, sorted bytewise by relative path, with the lines
 * of a .txt of the same stem as captions. Links to files are followed, links to
 * folders are not (they could lead round in circles).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/rows_internal.h"

enum { DEPTH_MAX = 64 };

struct folder {
    const char *root;
    char **names; /* relative paths */
    size_t n, room;
};

/* Also of formats that nobody here decodes: such a file is a failure that is counted,
 * never passed over in silence. */
static bool is_image(const char *name)
{
    static const char *const ends[] = {
        ".jpg",  ".jpeg", ".jpe",  ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif",
        ".tiff", ".avif", ".heic", ".heif", ".jxl", ".jp2",  ".svg", ".ico", ".psd"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && dot != name && i < CPV_COUNT(ends); i++)
        if (!strcasecmp(dot, ends[i]))
            return true;
    return false;
}

static int add_name(struct folder *f, cpv_arena *mem, const char *name,
                    struct cpv_err *err)
{
    if (f->n == f->room) {
        size_t room = f->room ? f->room : 512, size;
        char **more;

        if (!cpv_size_mul(room, 2, &room) || !cpv_size_mul(room, sizeof *more, &size) ||
            !(more = cpv_realloc(f->names, size)))
            return cpv_fail_memory(err);
        f->names = more;
        f->room = room;
    }
    if (!(f->names[f->n] = cpv_arena_str(mem, cpv_bytes_str(name))))
        return cpv_fail_memory(err);
    f->n++;
    return CPV_OK;
}

enum what { OTHER, FILE_HERE, FOLDER_HERE, UNKNOWN };

static enum what look(const struct dirent *d, const char *full)
{
    struct stat st;

    if (d->d_type == DT_DIR)
        return FOLDER_HERE;
    if (d->d_type == DT_REG)
        return FILE_HERE;
    if (d->d_type != DT_LNK && d->d_type != DT_UNKNOWN)
        return OTHER;
    if (d->d_type == DT_UNKNOWN) { /* some file systems never say */
        int fd = cpv_sys.open(full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);

        if (fd >= 0) {
            cpv_file_close(&fd);
            return FOLDER_HERE;
        }
    }
    if (cpv_sys.stat(full, &st) == 0)
        return S_ISREG(st.st_mode) ? FILE_HERE : OTHER;
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? OTHER : UNKNOWN;
}

static int walk(cpv_rows *r, const char *below, int depth, struct cpv_err *err);

static int visit(cpv_rows *r, const struct dirent *d, const char *below, int depth,
                 struct cpv_err *err)
{
    struct folder *f = r->state;
    struct cpv_arena_mark mark = cpv_arena_mark(r->own);
    char *name, *full;
    int rc = CPV_OK;

    if (d->d_name[0] == '.')
        return CPV_OK;
    name = cpv_arena_printf(r->own, "%s%s%s", below, *below ? "/" : "", d->d_name);
    full = name ? cpv_arena_printf(r->own, "%s/%s", f->root, name) : NULL;
    if (!full)
        return cpv_fail_memory(err);
    switch (look(d, full)) {
    case FOLDER_HERE:
        return walk(r, name, depth + 1, err);
    case FILE_HERE:
        if (is_image(name)) {
            char *copy = cpv_strdup(name); /* what follows the mark goes */

            cpv_arena_rewind(r->own, mark);
            rc = copy ? add_name(f, r->own, copy, err) : cpv_fail_memory(err);
            cpv_free(copy);
            return rc;
        }
        break;
    case UNKNOWN:
        return cpv_fail_sys(err, errno, "cannot look at '%s'", full);
    case OTHER:
        break;
    }
    cpv_arena_rewind(r->own, mark);
    return rc;
}

static int walk(cpv_rows *r, const char *below, int depth, struct cpv_err *err)
{
    struct folder *f = r->state;
    char *full = cpv_arena_printf(r->own, "%s/%s", f->root, below);
    const struct dirent *d;
    int rc = CPV_OK;
    DIR *dir;

    if (!full)
        return cpv_fail_memory(err);
    if (depth > DEPTH_MAX)
        return cpv_fail(err, CPV_E_INPUT, "'%s': folders nested more than %d deep", full,
                        DEPTH_MAX);
    if (!(dir = opendir(full)))
        return cpv_fail_sys(err, errno, "cannot open folder '%s'", full);
    while (!rc) {
        errno = 0;
        d = readdir(dir);
        if (!d) {
            if (errno)
                rc = cpv_fail_sys(err, errno, "cannot read folder '%s'", full);
            break;
        }
        rc = visit(r, d, below, depth, err);
    }
    (void)closedir(dir);
    return rc;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_folder(cpv_rows *r)
{
    cpv_free(((struct folder *)r->state)->names);
}

static int open_folder(cpv_rows *r, struct cpv_err *err)
{
    struct folder *f = cpv_arena_calloc(r->own, 1, sizeof *f);
    int rc;

    if (!f)
        return cpv_fail_memory(err);
    r->state = f;
    r->p.hash_column = NULL;
    f->root = r->p.path;
    rc = walk(r, "", 0, err);
    if (!rc && f->n)
        qsort(f->names, f->n, sizeof *f->names, by_bytes);
    return rc;
}

/* The lines of NAME.txt beside NAME.jpg, if there is one. */
static int read_captions(cpv_rows *r, const char *name, cpv_arena *mem,
                         struct cpv_row *out, struct cpv_err *err)
{
    const struct folder *f = r->state;
    int stem = (int)(strrchr(name, '.') - name);
    char *path = cpv_arena_printf(mem, "%s/%.*s.txt", f->root, stem, name);
    struct cpv_bytes *lines;
    struct cpv_buf text = {0};
    struct cpv_err why = {0};
    size_t n = 0, begin = 0, room = 1;
    int rc;

    if (!path)
        return cpv_fail_memory(err);
    rc = cpv_file_read(path, r->p.max_line, &text, &why);
    if (rc == CPV_E_ABSENT)
        return CPV_OK;
    if (rc == CPV_E_INPUT)
        rc = cpv_row_bad(mem, out, err, "'%.200s': captions longer than %zu bytes",
                         cpv_row_text(r, mem, cpv_bytes_str(name), true), r->p.max_line);
    else if (rc && err)
        *err = why;
    for (size_t i = 0; i < text.size; i++)
        room += text.data[i] == '\n';
    lines = rc || out->bad ? NULL : cpv_arena_calloc(mem, room, sizeof *lines);
    if (!rc && !out->bad && !lines)
        rc = cpv_fail_memory(err);
    if (text.size >= 3 && !memcmp(text.data, "\xEF\xBB\xBF", 3))
        begin = 3;
    for (size_t i = begin; lines && i <= text.size; i++) {
        if (i < text.size && text.data[i] != '\n')
            continue;
        if (i > begin)
            lines[n++] = cpv_bytes_of(text.data + begin, i - begin);
        begin = i + 1;
    }
    if (lines)
        rc = cpv_row_captions(r, mem, lines, n, out, err);
    cpv_buf_release(&text);
    return rc;
}

static int next_row(cpv_rows *r, cpv_arena *mem, struct cpv_row *out, struct cpv_err *err)
{
    const struct folder *f = r->state;
    int rc;

    if (r->number >= f->n)
        return 0;
    out->file = cpv_arena_str(mem, cpv_bytes_str(f->names[r->number]));
    if (!out->file)
        return cpv_fail_memory(err);
    rc = read_captions(r, out->file, mem, out, err);
    return rc ? rc : 1;
}

const struct cpv_rows_ops cpv_rows_folder = {
    .open = open_folder, .next = next_row, .close = close_folder};
