/* SPDX-License-Identifier: Apache-2.0 */
/* See config.h. libyaml gives events; the tree of them stands in one arena. */
#include "common/format/config.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <yaml.h>

#include "common/base/file.h"
#include "common/base/sys.h"

struct cpv_config {
    cpv_arena *mem;
    const char *name;
    const struct cpv_node *root;
    struct cpv_config_entry *entries;
    size_t n_entries;
};

/* ---- parsing ---- */

struct reader {
    cpv_config *c;
    yaml_parser_t yaml;
    yaml_event_t event;
    bool held; /* event is to be deleted */
    size_t nodes;
    struct cpv_err *err;
};

static int fail_mark(const struct reader *r, yaml_mark_t at, const char *fmt, ...)
    CPV_PRINTF(3, 4);

static int fail_mark(const struct reader *r, yaml_mark_t at, const char *fmt, ...)
{
    struct cpv_node node = {.line = (int)at.line + 1, .column = (int)at.column + 1};
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return cpv_config_fail(r->c, &node, r->err, "%s", text);
}

static int fail_yaml(const struct reader *r)
{
    const yaml_parser_t *y = &r->yaml;

    if (y->error == YAML_MEMORY_ERROR)
        return cpv_fail_memory(r->err);
    if (y->error == YAML_READER_ERROR)
        return cpv_fail(r->err, CPV_E_USAGE, "'%s' byte %zu: %s", r->c->name,
                        y->problem_offset, y->problem ? y->problem : "not readable");
    return fail_mark(r, y->problem_mark, "%s%s%s", y->problem ? y->problem : "not YAML",
                     y->context ? " " : "", y->context ? y->context : "");
}

static int next_event(struct reader *r)
{
    if (r->held)
        yaml_event_delete(&r->event);
    r->held = false;
    if (!yaml_parser_parse(&r->yaml, &r->event))
        return fail_yaml(r);
    r->held = true;
    return CPV_OK;
}

/* A list of pointers that grows while its mapping or sequence is read. */
struct items {
    const struct cpv_node **at;
    size_t n, room;
};

static int push(struct items *list, const struct cpv_node *node, struct cpv_err *err)
{
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 16; /* nodes are few: checked */
        void *more = cpv_realloc(list->at, room * sizeof *list->at);

        if (!more)
            return cpv_fail_memory(err);
        list->at = more;
        list->room = room;
    }
    list->at[list->n++] = node;
    return CPV_OK;
}

static int read_node(struct reader *r, int depth, const struct cpv_node **out);

static int read_scalar(struct reader *r, struct cpv_node *node)
{
    const char *text = (const char *)r->event.data.scalar.value;
    size_t n = r->event.data.scalar.length;

    node->kind = CPV_NODE_SCALAR;
    node->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (memchr(text, 0, n))
        return fail_mark(r, r->event.start_mark, "a NUL character in a text");
    node->text = cpv_arena_str(r->c->mem, cpv_bytes_of(text, n));
    return node->text ? CPV_OK : cpv_fail_memory(r->err);
}

static int check_key(struct reader *r, const struct items *keys,
                     const struct cpv_node *key)
{
    if (key->kind != CPV_NODE_SCALAR || !*key->text)
        return cpv_config_fail(r->c, key, r->err, "expected a plain text as key");
    for (size_t i = 0; i < keys->n; i++)
        if (!strcmp(keys->at[i]->text, key->text))
            return cpv_config_fail(r->c, key, r->err,
                                   "key '%.60s' stands twice, first on line %d",
                                   key->text, keys->at[i]->line);
    return CPV_OK;
}

/* Items up to the event that ends them; with keys if it is a mapping. */
static int read_items(struct reader *r, int depth, yaml_event_type_t last,
                      struct items *keys, struct items *values)
{
    bool map = last == YAML_MAPPING_END_EVENT;
    int rc;

    for (;;) {
        const struct cpv_node *key = NULL, *value;

        if ((rc = next_event(r)))
            return rc;
        if (r->event.type == last)
            return CPV_OK;
        if (map &&
            ((rc = read_node(r, depth + 1, &key)) || (rc = check_key(r, keys, key)) ||
             (rc = push(keys, key, r->err)) || (rc = next_event(r))))
            return rc;
        if ((rc = read_node(r, depth + 1, &value)) || (rc = push(values, value, r->err)))
            return rc;
    }
}

static const struct cpv_node *const *keep(struct reader *r, const struct items *list)
{
    const struct cpv_node **at = cpv_arena_calloc(r->c->mem, list->n + 1, sizeof *at);

    if (at && list->n)
        memcpy(at, list->at, list->n * sizeof *at);
    return at;
}

static int read_collection(struct reader *r, int depth, yaml_event_type_t last,
                           struct cpv_node *node)
{
    struct items keys = {0}, values = {0};
    const char **names = NULL;
    int rc = read_items(r, depth, last, &keys, &values);

    node->kind = last == YAML_MAPPING_END_EVENT ? CPV_NODE_MAP : CPV_NODE_LIST;
    if (!rc) {
        node->n = values.n;
        node->items = keep(r, &values);
        node->key_nodes = keep(r, &keys);
        names = cpv_arena_calloc(r->c->mem, keys.n + 1, sizeof *names);
        node->keys = names;
        if (!node->items || !node->key_nodes || !names)
            rc = cpv_fail_memory(r->err);
    }
    for (size_t i = 0; !rc && i < keys.n; i++)
        names[i] = keys.at[i]->text;
    cpv_free(keys.at);
    cpv_free(values.at);
    return rc;
}

/* Anchor and tag of the event at hand; scalars carry a tag of their own only if the
 * file spells it. */
static int refuse_extras(struct reader *r)
{
    const yaml_event_t *e = &r->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (e->type == YAML_ALIAS_EVENT)
        return fail_mark(r, e->start_mark, "aliases (*) are not supported");
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    if (anchor)
        return fail_mark(r, e->start_mark, "anchors (&) are not supported");
    if (tag)
        return fail_mark(r, e->start_mark, "tags (!) are not supported");
    return CPV_OK;
}

/* The node that the event at hand begins. */
static int read_node(struct reader *r, int depth, const struct cpv_node **out)
{
    struct cpv_node *node = cpv_arena_calloc(r->c->mem, 1, sizeof *node);
    yaml_mark_t at = r->event.start_mark;
    int rc;

    *out = node;
    if (!node)
        return cpv_fail_memory(r->err);
    if ((rc = refuse_extras(r)))
        return rc;
    if (depth > CPV_CONFIG_MAX_DEPTH)
        return fail_mark(r, at, "nested more than %d deep", CPV_CONFIG_MAX_DEPTH);
    if (++r->nodes > CPV_CONFIG_MAX_NODES)
        return fail_mark(r, at, "more than %d values", CPV_CONFIG_MAX_NODES);
    node->line = (int)at.line + 1;
    node->column = (int)at.column + 1;
    node->text = "";
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, node);
    case YAML_SEQUENCE_START_EVENT:
        return read_collection(r, depth, YAML_SEQUENCE_END_EVENT, node);
    case YAML_MAPPING_START_EVENT:
        return read_collection(r, depth, YAML_MAPPING_END_EVENT, node);
    default:
        return fail_mark(r, at, "expected a value");
    }
}

static bool is_null(const struct cpv_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    if (node->kind != CPV_NODE_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; words[i]; i++)
        if (!strcmp(node->text, words[i]))
            return true;
    return false;
}

static int read_document(struct reader *r)
{
    static const struct cpv_node empty = {
        .kind = CPV_NODE_MAP, .line = 1, .column = 1, .text = ""};
    int rc;

    if ((rc = next_event(r)) || (rc = next_event(r))) /* behind the stream's start */
        return rc;
    r->c->root = &empty;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return CPV_OK;
    if ((rc = next_event(r)) || (rc = read_node(r, 0, &r->c->root)))
        return rc;
    if (is_null(r->c->root))
        r->c->root = &empty;
    if (r->c->root->kind != CPV_NODE_MAP)
        return cpv_config_fail(r->c, r->c->root, r->err,
                               "expected a mapping, as in 'key: value'");
    if ((rc = next_event(r)) || (rc = next_event(r)))
        return rc;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail_mark(r, r->event.start_mark, "a second document");
    return CPV_OK;
}

/* ---- entries ---- */

static int list_entries(cpv_config *c, const struct cpv_node *map, const char *path,
                        struct cpv_err *err)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct cpv_node *item = map->items[i];
        char *full =
            cpv_arena_printf(c->mem, "%s%s%s", path, *path ? "." : "", map->keys[i]);
        int rc;

        if (!full)
            return cpv_fail_memory(err);
        if (item->kind == CPV_NODE_MAP && item->n) {
            if ((rc = list_entries(c, item, full, err)))
                return rc;
            continue;
        }
        c->entries[c->n_entries++] = (struct cpv_config_entry){
            full, item, map->key_nodes[i]->line, map->key_nodes[i]->column};
    }
    return CPV_OK;
}

int cpv_config_open_bytes(cpv_config **out, struct cpv_bytes text, const char *name,
                          struct cpv_err *err)
{
    cpv_config *c = cpv_calloc(1, sizeof *c);
    struct reader r = {.c = c, .err = err};
    int rc;

    *out = NULL;
    if (!c)
        return cpv_fail_memory(err);
    if ((rc = cpv_arena_open(&c->mem, 0, err)))
        goto done;
    if (!(c->name = cpv_arena_str(c->mem, cpv_bytes_str(name))) ||
        !yaml_parser_initialize(&r.yaml)) {
        rc = cpv_fail_memory(err);
        goto done;
    }
    if (text.size > CPV_CONFIG_MAX_BYTES) {
        rc = cpv_fail(err, CPV_E_USAGE, "'%s': larger than %d bytes", name,
                      CPV_CONFIG_MAX_BYTES);
    } else {
        yaml_parser_set_input_string(&r.yaml, text.data ? text.data : (const uint8_t *)"",
                                     text.size);
        rc = read_document(&r);
    }
    if (r.held)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.yaml);
    if (!rc) {
        c->entries = cpv_arena_calloc(c->mem, r.nodes + 1, sizeof *c->entries);
        rc = c->entries ? list_entries(c, c->root, "", err) : cpv_fail_memory(err);
    }
done:
    if (rc)
        cpv_config_close(&c);
    *out = c;
    return rc;
}

int cpv_config_open(cpv_config **out, const char *path, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_file_read(path, CPV_CONFIG_MAX_BYTES, &text, err);

    *out = NULL;
    if (!rc)
        rc = cpv_config_open_bytes(out, cpv_buf_view(&text), path, err);
    cpv_buf_release(&text);
    return rc;
}

void cpv_config_close(cpv_config **c)
{
    if (!*c)
        return;
    cpv_arena_close(&(*c)->mem);
    cpv_free(*c);
    *c = NULL;
}

/* ---- looking ---- */

const char *cpv_config_name(const cpv_config *c)
{
    return c->name;
}

const struct cpv_node *cpv_config_root(const cpv_config *c)
{
    return c->root;
}

static const struct cpv_node *member(const struct cpv_node *map, struct cpv_bytes key)
{
    for (size_t i = 0; map->kind == CPV_NODE_MAP && i < map->n; i++)
        if (cpv_bytes_equal(cpv_bytes_str(map->keys[i]), key))
            return map->items[i];
    return NULL;
}

const struct cpv_node *cpv_config_find(const cpv_config *c, const char *path)
{
    const struct cpv_node *node = c->root;

    while (node && *path) {
        size_t n = strcspn(path, ".");

        node = member(node, cpv_bytes_of(path, n));
        path += n + (path[n] == '.');
    }
    return node;
}

const char *cpv_config_text(const cpv_config *c, const char *path)
{
    const struct cpv_node *node = cpv_config_find(c, path);

    return node && node->kind == CPV_NODE_SCALAR && !is_null(node) ? node->text : NULL;
}

size_t cpv_config_entries(const cpv_config *c)
{
    return c->n_entries;
}

struct cpv_config_entry cpv_config_entry(const cpv_config *c, size_t i)
{
    return c->entries[i];
}

int cpv_config_fail(const cpv_config *c, const struct cpv_node *at, struct cpv_err *err,
                    const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return cpv_fail(err, CPV_E_USAGE, "'%s' line %d column %d: %s", c->name, at->line,
                    at->column, text);
}

/* ---- options ---- */

/* `where` begins the message, as for cpv_opts_assign. */
static int assign(const struct cpv_opt_group *g, const struct cpv_opt *o,
                  const struct cpv_node *node, const char *where, cpv_arena *mem,
                  struct cpv_err *err)
{
    const char **texts;

    if (node->kind == CPV_NODE_MAP)
        return cpv_fail(err, CPV_E_USAGE, "%s: expected a value, found a mapping", where);
    if (is_null(node) && o->kind == CPV_OPT_LIST)
        return cpv_opts_assign_list(g, o, NULL, 0, where, mem, err);
    if (is_null(node) && o->kind == CPV_OPT_TEXT) {
        *(const char **)((char *)g->into + o->offset) = NULL;
        /* The stage counts on a text where there is one by default. */
        return o->fallback ? cpv_opts_assign(g, o, o->fallback, where, mem, err) : CPV_OK;
    }
    if (node->kind == CPV_NODE_SCALAR && (o->kind != CPV_OPT_LIST || !node->quoted))
        return cpv_opts_assign(g, o, node->text, where, mem, err);
    if (node->kind == CPV_NODE_SCALAR) /* a quoted text is one item, whatever is in it */
        return cpv_opts_assign_list(g, o, &node->text, 1, where, mem, err);
    if (!(texts = cpv_arena_calloc(mem, node->n + 1, sizeof *texts)))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < node->n; i++) {
        if (node->items[i]->kind != CPV_NODE_SCALAR)
            return cpv_fail(err, CPV_E_USAGE, "%s: item %zu: expected a text", where,
                            i + 1);
        texts[i] = node->items[i]->text;
    }
    return cpv_opts_assign_list(g, o, texts, node->n, where, mem, err);
}

static int unknown(const struct cpv_program *program, const char *where, const char *key,
                   cpv_arena *mem, struct cpv_err *err)
{
    const char *near = cpv_opts_nearest_key(program, key, mem);

    return near ? cpv_fail(err, CPV_E_USAGE,
                           "%s: unknown key '%.100s'; did you mean '%s'?", where, key,
                           near)
                : cpv_fail(err, CPV_E_USAGE, "%s: unknown key '%.100s'", where, key);
}

static bool among(const char *const *words, size_t n, struct cpv_bytes word)
{
    for (size_t i = 0; i < n; i++)
        if (cpv_bytes_equal(cpv_bytes_str(words[i]), word))
            return true;
    return false;
}

static bool is_section(const char *const *sections, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(path, sections[i]) == 0)
            return true;
    return false;
}

/* Is it a section ("fetch", "shard.train") or does it stand in one? */
static bool inside(const char *const *sections, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++) {
        size_t m = strlen(sections[i]);

        if (strncmp(path, sections[i], m) == 0 && (path[m] == '.' || !path[m]))
            return true;
    }
    return false;
}

int cpv_config_apply(const cpv_config *c, const struct cpv_program *program,
                     const char *const *sections, size_t n, cpv_arena *mem,
                     struct cpv_err *err)
{
    for (size_t i = 0; i < c->n_entries; i++) {
        const struct cpv_config_entry *e = &c->entries[i];
        size_t head = strcspn(e->path, ".");
        bool top = !e->path[head], ours = inside(sections, n, e->path);
        const struct cpv_opt_group *group = NULL;
        const struct cpv_opt *opt = cpv_opts_find_key(program, e->path, &group);
        const char *place =
            cpv_arena_printf(mem, "'%s' line %d column %d", c->name, e->line, e->column);
        const char *where =
            place ? cpv_arena_printf(mem, "%s: '%s'", place, e->path) : NULL;
        int rc;

        if (!where)
            return cpv_fail_memory(err);
        if (opt && (top || ours)) {
            if ((rc = assign(group, opt, e->node, where, mem, err)))
                return rc;
        } else if (ours && !top && !is_section(sections, n, e->path)) {
            return unknown(program, place, e->path, mem, err);
        } else if (ours && !is_null(e->node) && e->node->kind != CPV_NODE_MAP) {
            return cpv_fail(err, CPV_E_USAGE, "%s: expected a mapping of settings",
                            where);
        }
    }
    return CPV_OK;
}

int cpv_config_sections_check(const cpv_config *c, const char *const *known, size_t n,
                              struct cpv_err *err)
{
    for (size_t i = 0; i < c->root->n; i++) {
        const char *key = c->root->keys[i];
        const char **words, *near;
        int rc;

        if (among(known, n, cpv_bytes_str(key)))
            continue;
        if (!(words = cpv_calloc(n + 1, sizeof *words)))
            return cpv_fail_memory(err);
        memcpy(words, known, n * sizeof *words);
        near = cpv_opts_nearest_word(key, words);
        rc = near ? cpv_config_fail(c, c->root->key_nodes[i], err,
                                    "unknown key '%.100s'; did you mean '%s'?", key, near)
                  : cpv_config_fail(c, c->root->key_nodes[i], err, "unknown key '%.100s'",
                                    key);
        cpv_free(words);
        return rc;
    }
    return CPV_OK;
}

/* A flow sequence or null for a list: through YAML, so that it means the same as in a
 * file. `where` is only for messages. */
static int set_yaml(const struct cpv_opt_group *g, const struct cpv_opt *o,
                    const char *value, const char *where, cpv_arena *mem,
                    struct cpv_err *err)
{
    char *text = cpv_arena_printf(mem, "v: %s", value);
    const struct cpv_node *node;
    cpv_config *c = NULL;
    int rc;

    if (!text)
        return cpv_fail_memory(err);
    rc = cpv_config_open_bytes(&c, cpv_bytes_str(text), "value", NULL);
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(err);
    node = rc ? NULL : cpv_config_find(c, "v");
    if (!node || c->root->n != 1)
        rc = cpv_fail(err, CPV_E_USAGE, "%s: expected a list, as in [a, b]", where);
    else
        rc = assign(g, o, node, where, mem, err);
    cpv_config_close(&c);
    return rc;
}

int cpv_config_set_one(const struct cpv_program *program, const char *setting,
                       cpv_arena *mem, struct cpv_err *err)
{
    const struct cpv_opt_group *group = NULL;
    const struct cpv_opt *opt;
    const char *equals = strchr(setting, '='), *where;
    char *key;

    if (!equals || equals == setting)
        return cpv_fail(err, CPV_E_USAGE,
                        "'--set': '%.100s': expected key=value, as in "
                        "fetch.image_size=256",
                        setting);
    key = cpv_arena_str(mem, cpv_bytes_of(setting, (size_t)(equals - setting)));
    where = key ? cpv_arena_printf(mem, "'--set': '%s'", key) : NULL;
    if (!where)
        return cpv_fail_memory(err);
    if (!(opt = cpv_opts_find_key(program, key, &group)))
        return unknown(program, "'--set'", key, mem, err);
    if (opt->kind == CPV_OPT_LIST && equals[1] == '[')
        return set_yaml(group, opt, equals + 1, where, mem, err);
    return cpv_opts_assign(group, opt, equals + 1, where, mem, err);
}
