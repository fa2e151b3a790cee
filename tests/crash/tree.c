/* SPDX-License-Identifier: Apache-2.0 */
/* See tree.h. */
#include "tests/crash/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/sys.h"

void tree_fail(const char *what, const char *name)
{
    fprintf(stderr, "crash: cannot %s ", what);
    perror(name);
    exit(99);
}

static void join(char out[PATH_MAX], const char *folder, const char *name)
{
    if (snprintf(out, PATH_MAX, "%s%s%s", folder, *folder ? "/" : "", name) >= PATH_MAX)
        tree_fail("name", name);
}

/* ---- files ---- */

static char *read_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *data;

    if (fd < 0 || fstat(fd, &st) < 0)
        tree_fail("read", path);
    *size = (size_t)st.st_size;
    data = cpv_alloc(*size);
    if (!data || read(fd, data, *size) != (ssize_t)*size)
        tree_fail("read", path);
    close(fd);
    return data;
}

static void copy_file(const char *from, const char *to)
{
    size_t size;
    char *data = read_file(from, &size);
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) < 0)
        tree_fail("write", to);
    cpv_free(data);
}

/* ---- folders ---- */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void tree_copy(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    struct dirent *e;

    if (!dir || (mkdir(to, 0777) < 0 && errno != EEXIST))
        tree_fail("copy", from);
    while ((e = readdir(dir))) {
        char a[PATH_MAX], b[PATH_MAX];

        if (is_dots(e->d_name))
            continue;
        join(a, from, e->d_name);
        join(b, to, e->d_name);
        if (e->d_type == DT_DIR)
            tree_copy(a, b);
        else
            copy_file(a, b);
    }
    closedir(dir);
}

void tree_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    if (!dir && errno == ENOENT)
        return;
    if (!dir)
        tree_fail("remove", path);
    while ((e = readdir(dir))) {
        char a[PATH_MAX];

        if (is_dots(e->d_name))
            continue;
        join(a, path, e->d_name);
        if (e->d_type == DT_DIR)
            tree_remove(a);
        else if (unlink(a) < 0)
            tree_fail("remove", a);
    }
    closedir(dir);
    if (rmdir(path) < 0)
        tree_fail("remove", path);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool counts(const char *name)
{
    return !(name[0] != '.' && ends_with(name, ".stats.json")) &&
           strcmp(name, ".plan") != 0 && strcmp(name, ".survey") != 0 &&
           strcmp(name, ".tars") != 0;
}

static void add(struct tree *t, const char *root, const char *path)
{
    char full[PATH_MAX];
    struct tree_file f;

    join(full, root, path);
    f.path = cpv_strdup(path);
    f.data = read_file(full, &f.size);
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 32;
        t->at = cpv_realloc(t->at, t->room * sizeof *t->at);
    }
    if (!f.path || !t->at)
        tree_fail("remember", path);
    t->at[t->n++] = f;
}

static void walk(struct tree *t, const char *root, const char *below)
{
    char full[PATH_MAX];
    struct dirent *e;
    DIR *dir;

    join(full, root, below);
    dir = opendir(full);
    if (!dir && errno == ENOENT && !*below)
        return;
    if (!dir)
        tree_fail("read", full);
    while ((e = readdir(dir))) {
        char path[PATH_MAX];

        if (is_dots(e->d_name))
            continue;
        join(path, below, e->d_name);
        if (e->d_type == DT_DIR)
            walk(t, root, path);
        else if (counts(e->d_name))
            add(t, root, path);
    }
    closedir(dir);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct tree_file *)a)->path,
                  ((const struct tree_file *)b)->path);
}

struct tree tree_read(const char *path)
{
    struct tree t = {0};

    walk(&t, path, "");
    if (t.n)
        qsort(t.at, t.n, sizeof *t.at, compare_files);
    return t;
}

void tree_free(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        cpv_free(t->at[i].path);
        cpv_free(t->at[i].data);
    }
    cpv_free(t->at);
    *t = (struct tree){0};
}

/* ---- comparing ---- */

const struct tree_file *tree_find(const struct tree *t, const char *path)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->at[i].path, path) == 0)
            return &t->at[i];
    return NULL;
}

static bool same(const struct tree_file *a, const struct tree_file *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* Everything that `a` has is in `b`, with the same bytes. */
static bool contained(const struct tree *a, const struct tree *b, const char *absent,
                      char *why, size_t room)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct tree_file *other = tree_find(b, a->at[i].path);

        if (!other || !same(&a->at[i], other)) {
            (void)snprintf(why, room, "'%s' %s", a->at[i].path,
                           other ? "has other bytes" : absent);
            return false;
        }
    }
    return true;
}

bool tree_equal(const struct tree *is, const struct tree *should, char *why, size_t room)
{
    return contained(should, is, "is missing", why, room) &&
           contained(is, should, "is left over", why, room);
}

static bool is_final(const char *path)
{
    const char *slash = strrchr(path, '/');

    return (slash ? slash[1] : path[0]) != '.';
}

bool tree_nothing_lost(const struct tree *is, const struct tree *before,
                       const struct tree *should, char *why, size_t room)
{
    if (!contained(before, is, "was there and is lost", why, room))
        return false;
    for (size_t i = 0; i < is->n; i++) {
        const struct tree_file *f = &is->at[i], *other = tree_find(should, f->path);
        char shard[PATH_MAX];

        if (!is_final(f->path))
            continue;
        if (!other || !same(f, other)) {
            (void)snprintf(why, room, "'%s' %s", f->path,
                           other ? "stands there with other bytes"
                                 : "should not be there");
            return false;
        }
        if (!ends_with(f->path, ".json") || ends_with(f->path, "/column.json"))
            continue;
        (void)snprintf(shard, sizeof shard, "%.*s.tar.zst", (int)(strlen(f->path) - 5),
                       f->path);
        if (!tree_find(is, shard)) {
            (void)snprintf(why, room, "'%s' is there without its shard", f->path);
            return false;
        }
    }
    return true;
}
