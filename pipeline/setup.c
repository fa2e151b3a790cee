/* SPDX-License-Identifier: Apache-2.0 */
/* See setup.h. */
#include "pipeline/setup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cli.h"
#include "common/base/file.h"
#include "common/base/sys.h"
#include "pipeline/stages.h"

/* ---- paths ---- */

static const char *join(cpv_arena *mem, const char *folder, const char *name)
{
    bool slash = folder[0] && folder[strlen(folder) - 1] == '/';

    if (name[0] == '/')
        return name;
    return cpv_arena_printf(mem, "%s%s%s", folder, slash ? "" : "/", name);
}

/* The absolute folder that a file stands in. */
static const char *folder_of(const char *path, cpv_arena *mem, struct cpv_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *folder =
        !slash          ? "."
        : slash == path ? "/"
                        : cpv_arena_str(mem, cpv_bytes_of(path, (size_t)(slash - path)));
    char full[PATH_MAX];
    const char *copy;

    if (!folder) {
        (void)cpv_fail_memory(err);
        return NULL;
    }
    if (!realpath(folder, full)) {
        (void)cpv_fail_sys(err, errno, "cannot look at '%s'", folder);
        return NULL;
    }
    copy = cpv_arena_str(mem, cpv_bytes_str(full));
    if (!copy)
        (void)cpv_fail_memory(err);
    return copy;
}

/* Sets base; and corpus, if the command line did not. */
static int resolve(struct cpv_setup *s, cpv_arena *mem, struct cpv_err *err)
{
    const char *base = cpv_config_text(s->config, "base");
    const char *corpus = cpv_config_text(s->config, "corpus");
    const char *folder = folder_of(s->path, mem, err);

    if (!folder)
        return err ? err->code : CPV_E_IO;
    s->base = base && *base ? join(mem, folder, base) : folder;
    if (!s->corpus && corpus && *corpus && s->base)
        s->corpus = join(mem, s->base, corpus);
    if (!s->base)
        return cpv_fail_memory(err);
    if (!s->corpus)
        return cpv_fail(err, CPV_E_USAGE,
                        "'%s' has no key 'corpus'; add it or give --corpus", s->path);
    return CPV_OK;
}

int cpv_setup_open(struct cpv_setup *out, const char *config, const char *corpus,
                   cpv_arena *mem, struct cpv_err *err)
{
    int rc;

    memset(out, 0, sizeof *out);
    if (!config && !corpus)
        return cpv_fail(err, CPV_E_USAGE,
                        "a configuration or --corpus is needed; see --help");
    out->corpus = corpus;
    out->path = config ? config : join(mem, corpus, "config.yaml");
    if (!out->path)
        return cpv_fail_memory(err);
    rc = cpv_config_open(&out->config, out->path, err);
    if (rc == CPV_E_ABSENT)
        rc = cpv_fail(err, CPV_E_USAGE, "'%s' is not there", out->path);
    if (!rc)
        rc = cpv_steps_check(out->config, err);
    if (!rc)
        rc = resolve(out, mem, err);
    if (!rc && !(out->copy = join(mem, out->corpus, "config.yaml")))
        rc = cpv_fail_memory(err);
    if (rc)
        cpv_setup_close(out);
    return rc;
}

void cpv_setup_close(struct cpv_setup *s)
{
    cpv_config_close(&s->config);
}

/* ---- the text of the copy ---- */

static void add_quoted(struct cpv_buf *out, const char *text)
{
    static const struct cpv_opt TEXT = {.name = "base", .kind = CPV_OPT_TEXT};
    struct cpv_opt_group group = {NULL, NULL, &TEXT, &text};

    cpv_opts_value(&group, &TEXT, out);
}

/* Where line and column (from 1) stand in the text; its size if there is no such. */
static size_t place_of(struct cpv_bytes text, int line, int column)
{
    size_t at = 0;

    for (; line > 1 && at < text.size; at++)
        line -= text.data[at] == '\n';
    at += (size_t)(column - 1); /* characters before it are spaces, or a brace */
    return at < text.size ? at : text.size;
}

static size_t line_start(struct cpv_bytes text, size_t at)
{
    while (at > 0 && text.data[at - 1] != '\n')
        at--;
    return at;
}

static bool all_spaces(struct cpv_bytes text, size_t from, size_t to)
{
    for (; from < to; from++)
        if (text.data[from] != ' ')
            return false;
    return true;
}

/* `base` in front of the first key: on a line of its own, or inside of braces. */
static void put_base(struct cpv_bytes text, const struct cpv_node *root, const char *base,
                     struct cpv_buf *out)
{
    const struct cpv_node *first = root->n ? root->key_nodes[0] : NULL;
    size_t at = first ? place_of(text, first->line, first->column) : 0;
    size_t start = line_start(text, at);
    bool block = all_spaces(text, start, at);

    cpv_buf_add(out, text.data, at);
    cpv_buf_str(out, "base: ");
    add_quoted(out, base);
    cpv_buf_str(out, block ? "\n" : ", ");
    if (block)
        cpv_buf_add(out, text.data + start, at - start);
    if (text.size)
        cpv_buf_add(out, text.data + at, text.size - at);
}

/* Another value for the `base` that is there; false if it is written in a way that we
 * would rather not touch. */
static bool replace_base(struct cpv_bytes text, const struct cpv_node *old,
                         const char *base, struct cpv_buf *out)
{
    size_t at = place_of(text, old->line, old->column), n = strlen(old->text);
    size_t begin = at + old->quoted, end = begin + n + old->quoted;

    if (end > text.size || memcmp(text.data + begin, old->text, n) != 0)
        return false;
    cpv_buf_add(out, text.data, at);
    add_quoted(out, base);
    cpv_buf_add(out, text.data + end, text.size - end);
    return true;
}

static bool same_tree(const struct cpv_node *a, const struct cpv_node *b);

static bool same_map(const struct cpv_node *a, const struct cpv_node *b, const char *but)
{
    size_t i = 0, k = 0;

    for (;;) {
        if (but && i < a->n && strcmp(a->keys[i], but) == 0)
            i++;
        if (but && k < b->n && strcmp(b->keys[k], but) == 0)
            k++;
        if (i >= a->n || k >= b->n)
            return i >= a->n && k >= b->n;
        if (strcmp(a->keys[i], b->keys[k]) != 0 || !same_tree(a->items[i], b->items[k]))
            return false;
        i++;
        k++;
    }
}

static bool same_tree(const struct cpv_node *a, const struct cpv_node *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == CPV_NODE_SCALAR)
        return a->quoted == b->quoted && strcmp(a->text, b->text) == 0;
    if (a->kind == CPV_NODE_MAP)
        return same_map(a, b, NULL);
    for (size_t i = 0; i < a->n && a->n == b->n; i++)
        if (!same_tree(a->items[i], b->items[i]))
            return false;
    return a->n == b->n;
}

int cpv_setup_rebase(struct cpv_bytes text, const cpv_config *config, const char *base,
                     struct cpv_buf *out, struct cpv_err *err)
{
    const struct cpv_node *root = cpv_config_root(config);
    const struct cpv_node *old = cpv_config_find(config, "base");
    cpv_config *copy = NULL;
    const char *now;
    bool good;
    int rc;

    if (old && old->kind == CPV_NODE_SCALAR && strcmp(old->text, base) == 0) {
        cpv_buf_add(out, text.data, text.size);
        return out->failed ? cpv_fail_memory(err) : CPV_OK;
    }
    good = !old || replace_base(text, old, base, out);
    if (!old)
        put_base(text, root, base, out);
    if (out->failed)
        return cpv_fail_memory(err);
    /* Editing text is fragile; what came out must say the same. */
    rc = good ? cpv_config_open_bytes(&copy, cpv_buf_view(out), "the copy", NULL)
              : CPV_E_USAGE;
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(err);
    now = rc ? NULL : cpv_config_text(copy, "base");
    good = now && strcmp(now, base) == 0 && same_map(root, cpv_config_root(copy), "base");
    cpv_config_close(&copy);
    if (!good)
        return cpv_fail(err, CPV_E_USAGE,
                        "'%s': write 'base: %s' into it by hand, on a line of its own",
                        cpv_config_name(config), base);
    return CPV_OK;
}

/* ---- the copy ---- */

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;

    return cpv_sys.stat(a, &sa) == 0 && cpv_sys.stat(b, &sb) == 0 &&
           sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int write_copy(const struct cpv_setup *s, struct cpv_bytes text,
                      struct cpv_err *err)
{
    struct cpv_buf old = {0};
    int rc = CPV_OK;

    if (cpv_file_read(s->copy, CPV_CONFIG_MAX_BYTES, &old, NULL) != CPV_OK ||
        !cpv_bytes_equal(cpv_buf_view(&old), text))
        rc = cpv_file_replace(s->copy, text, err);
    cpv_buf_release(&old);
    return rc;
}

int cpv_setup_copy(const struct cpv_setup *s, struct cpv_err *err)
{
    struct cpv_buf text = {0}, copy = {0};
    int rc = cpv_folder_make(s->corpus, err);

    if (rc || same_file(s->path, s->copy))
        return rc;
    rc = cpv_file_read(s->path, CPV_CONFIG_MAX_BYTES, &text, err);
    if (!rc)
        rc = cpv_setup_rebase(cpv_buf_view(&text), s->config, s->base, &copy, err);
    if (!rc)
        rc = write_copy(s, cpv_buf_view(&copy), err);
    cpv_buf_release(&text);
    cpv_buf_release(&copy);
    return rc;
}
