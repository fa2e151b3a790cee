/* SPDX-License-Identifier: Apache-2.0 */
/* See pickle_internal.h; and the questions of pickle.h. */
#include "common/format/pickle_internal.h"

#include <stdio.h>

#include "common/base/sys.h"
#include "common/format/show.h"

int cpv_pickle_bad(struct cpv_pickle_machine *m, const char *what)
{
    return cpv_fail(m->err, CPV_E_INPUT, "'%s' pickle byte %zu: %s", m->path, m->op_at,
                    what);
}

/* ---- input ---- */

bool cpv_pickle_take(struct cpv_pickle_machine *m, size_t n, const uint8_t **at)
{
    if (n > m->in.size - m->at)
        return false;
    *at = m->in.data + m->at;
    m->at += n;
    return true;
}

/* An unsigned little-endian integer of 1, 2, 4 or 8 bytes. */
int cpv_pickle_number(struct cpv_pickle_machine *m, unsigned width, uint64_t *v)
{
    const uint8_t *p;

    if (!cpv_pickle_take(m, width, &p))
        return cpv_pickle_bad(m, "ends within an operation");
    *v = 0;
    for (unsigned i = width; i-- > 0;)
        *v = *v << 8 | p[i];
    return 0;
}

/* Bytes behind their length. */
int cpv_pickle_counted(struct cpv_pickle_machine *m, unsigned width,
                       struct cpv_bytes *out)
{
    const uint8_t *p;
    uint64_t n;
    int rc = cpv_pickle_number(m, width, &n);

    if (rc)
        return rc;
    if (n > m->in.size - m->at)
        return cpv_pickle_bad(m, "a text or integer reaches beyond the end");
    (void)cpv_pickle_take(m, (size_t)n, &p);
    *out = cpv_bytes_of(p, (size_t)n);
    return 0;
}

int cpv_pickle_line(struct cpv_pickle_machine *m, struct cpv_bytes *out)
{
    const uint8_t *p = m->in.data + m->at;
    const uint8_t *end = memchr(p, '\n', m->in.size - m->at);

    if (!end)
        return cpv_pickle_bad(m, "a line has no end");
    *out = cpv_bytes_of(p, (size_t)(end - p));
    m->at += out->size + 1;
    return 0;
}

/* ---- values ---- */

int cpv_pickle_grow(struct cpv_pickle_machine *m, cpv_pickle_ref **at, size_t *room,
                    size_t want)
{
    size_t n = *room ? *room : 256;
    cpv_pickle_ref *more;

    if (want > CPV_PICKLE_VALUES_MAX)
        return cpv_pickle_bad(m, "more values than are allowed");
    while (n < want)
        n *= 2;
    more = cpv_realloc(*at, n * sizeof **at);
    if (!more)
        return cpv_fail_memory(m->err);
    memset(more + *room, 0, (n - *room) * sizeof **at);
    *at = more;
    *room = n;
    return 0;
}

/* CPV_PICKLE_DONE or an error, as the groups of opcodes want it. */
int cpv_pickle_push(struct cpv_pickle_machine *m, cpv_pickle_ref v)
{
    int rc = 0;

    if (m->depth == m->stack_room)
        rc = cpv_pickle_grow(m, &m->stack, &m->stack_room, m->depth + 1);
    if (rc)
        return rc;
    m->stack[m->depth++] = v;
    return CPV_PICKLE_DONE;
}

int cpv_pickle_new(struct cpv_pickle_machine *m, cpv_pickle_kind kind,
                   struct cpv_pickle_value **out)
{
    if (m->values++ == CPV_PICKLE_VALUES_MAX)
        return cpv_pickle_bad(m, "more values than are allowed");
    *out = cpv_arena_calloc(m->mem, 1, sizeof **out);
    if (!*out)
        return cpv_fail_memory(m->err);
    (*out)->kind = kind;
    return 0;
}

int cpv_pickle_push_int(struct cpv_pickle_machine *m, cpv_pickle_kind kind, int64_t v)
{
    struct cpv_pickle_value *to;
    int rc = cpv_pickle_new(m, kind, &to);

    if (rc)
        return rc;
    to->integer = v;
    return cpv_pickle_push(m, to);
}

int cpv_pickle_push_bytes(struct cpv_pickle_machine *m, cpv_pickle_kind kind,
                          struct cpv_bytes v)
{
    struct cpv_pickle_value *to;
    int rc = cpv_pickle_new(m, kind, &to);

    if (rc)
        return rc;
    to->bytes = v;
    return cpv_pickle_push(m, to);
}

/* The top value, taken off; NULL (an error is set) if there is none. */
cpv_pickle_ref cpv_pickle_pop(struct cpv_pickle_machine *m)
{
    if (m->depth == 0 || !m->stack[m->depth - 1]) {
        (void)cpv_pickle_bad(m, "nothing on the stack that could be used");
        return NULL;
    }
    return m->stack[--m->depth];
}

/* Where the values above the topmost mark begin. */
int cpv_pickle_above_mark(struct cpv_pickle_machine *m, size_t *first)
{
    for (size_t i = m->depth; i-- > 0;)
        if (!m->stack[i]) {
            *first = i + 1;
            return 0;
        }
    return cpv_pickle_bad(m, "no mark on the stack");
}

int cpv_pickle_add(struct cpv_pickle_machine *m, struct cpv_pickle_list *to,
                   const cpv_pickle_ref *from, size_t n)
{
    size_t want = to->count + n, room = to->capacity ? to->capacity : 4;

    if (n == 0)
        return 0;
    if (want > to->capacity) {
        cpv_pickle_ref *at;

        if (to->capacity == 0)
            room = n;
        while (room < want)
            room *= 2;
        m->places += room;
        if (m->places > CPV_PICKLE_PLACES_MAX)
            return cpv_pickle_bad(m, "more values in lists than are allowed");
        at = cpv_arena_alloc(m->mem, room * sizeof *at);
        if (!at)
            return cpv_fail_memory(m->err);
        if (to->count)
            memcpy(at, to->at, to->count * sizeof *at);
        to->at = at;
        to->capacity = (uint32_t)room;
    }
    memcpy(to->at + to->count, from, n * sizeof *from);
    to->count = (uint32_t)want;
    return 0;
}

/* The top n values become one list, tuple, set or dict. */
int cpv_pickle_collect(struct cpv_pickle_machine *m, cpv_pickle_kind kind, size_t n)
{
    struct cpv_pickle_value *to;
    int rc;

    if (n > m->depth || (kind == CPV_PICKLE_DICT && n % 2))
        return cpv_pickle_bad(m, "not as many values on the stack as are needed");
    for (size_t i = m->depth - n; i < m->depth; i++)
        if (!m->stack[i])
            return cpv_pickle_bad(m, "not as many values on the stack as are needed");
    rc = cpv_pickle_new(m, kind, &to);
    if (!rc)
        rc = cpv_pickle_add(m, &to->list, n ? m->stack + (m->depth - n) : NULL, n);
    if (rc)
        return rc;
    m->depth -= n;
    return cpv_pickle_push(m, to);
}

int cpv_pickle_collect_marked(struct cpv_pickle_machine *m, cpv_pickle_kind kind)
{
    size_t first = 0;
    int rc = cpv_pickle_above_mark(m, &first);

    if (rc)
        return rc;
    rc = cpv_pickle_collect(m, kind, m->depth - first);
    if (rc == CPV_PICKLE_DONE) { /* the result takes the mark's place */
        m->stack[first - 1] = m->stack[first];
        m->depth--;
    }
    return rc;
}

/* What stands from `first` on goes into the container below `mark`. */
static int put_in(struct cpv_pickle_machine *m, cpv_pickle_kind kind, size_t first,
                  size_t mark)
{
    cpv_pickle_ref into = mark > 0 ? m->stack[mark - 1] : NULL;
    size_t n = m->depth - first;
    int rc = 0;

    if (kind == CPV_PICKLE_DICT && n % 2)
        return cpv_pickle_bad(m, "a key without a value");
    for (size_t i = first; i < m->depth; i++)
        if (!m->stack[i])
            return cpv_pickle_bad(m, "a mark where a value should be");
    if (into && into->kind == kind) {
        /* Only values of the machine's own making are on its stack. */
        struct cpv_pickle_value *own = (struct cpv_pickle_value *)(uintptr_t)into;

        rc = cpv_pickle_add(m, &own->list, m->stack + first, n);
    } else if (!into || into->kind != CPV_PICKLE_CALL) {
        return cpv_pickle_bad(m, "nothing that values could be put into");
    }
    m->depth = mark;
    return rc ? rc : CPV_PICKLE_DONE;
}

int cpv_pickle_put_marked(struct cpv_pickle_machine *m, cpv_pickle_kind kind)
{
    size_t first = 0;
    int rc = cpv_pickle_above_mark(m, &first);

    return rc ? rc : put_in(m, kind, first, first - 1);
}

int cpv_pickle_put_top(struct cpv_pickle_machine *m, cpv_pickle_kind kind, size_t n)
{
    if (m->depth < n + 1)
        return cpv_pickle_bad(m, "not as many values on the stack as are needed");
    return put_in(m, kind, m->depth - n, m->depth - n);
}

/* ---- questions ---- */

bool cpv_pickle_is_text(cpv_pickle_ref v, const char *text)
{
    return v && v->kind == CPV_PICKLE_TEXT &&
           cpv_bytes_equal(v->bytes, cpv_bytes_str(text));
}

bool cpv_pickle_is_global(cpv_pickle_ref v, const char *module, const char *name)
{
    return v && v->kind == CPV_PICKLE_GLOBAL &&
           cpv_bytes_equal(v->global->module, cpv_bytes_str(module)) &&
           cpv_bytes_equal(v->global->name, cpv_bytes_str(name));
}

cpv_pickle_ref cpv_pickle_get(cpv_pickle_ref dict, const char *key)
{
    if (dict && dict->kind == CPV_PICKLE_DICT)
        for (uint32_t i = dict->list.count; i >= 2; i -= 2)
            if (cpv_pickle_is_text(dict->list.at[i - 2], key))
                return dict->list.at[i - 1];
    return NULL;
}

struct cpv_pickle_words cpv_pickle_describe(cpv_pickle_ref v)
{
    static const char *const names[] = {
        [CPV_PICKLE_NONE] = "None",       [CPV_PICKLE_BOOL] = "a boolean",
        [CPV_PICKLE_INT] = "an integer",  [CPV_PICKLE_LONG] = "a large integer",
        [CPV_PICKLE_REAL] = "a number",   [CPV_PICKLE_TEXT] = "a text",
        [CPV_PICKLE_BYTES] = "bytes",     [CPV_PICKLE_TUPLE] = "a tuple",
        [CPV_PICKLE_LIST] = "a list",     [CPV_PICKLE_SET] = "a set",
        [CPV_PICKLE_DICT] = "a dict",     [CPV_PICKLE_GLOBAL] = "global",
        [CPV_PICKLE_CALL] = "a call of ", [CPV_PICKLE_PERSISTENT] = "a storage"};
    struct cpv_pickle_words out = {""};
    const char *before = "";

    if (v->kind == CPV_PICKLE_CALL) {
        before = names[v->kind];
        v = v->call.what;
    }
    if (v->kind == CPV_PICKLE_GLOBAL)
        (void)snprintf(out.text, sizeof out.text, "%sglobal '%s.%s'", before,
                       cpv_show(v->global->module).text, cpv_show(v->global->name).text);
    else
        (void)snprintf(out.text, sizeof out.text, "%s%s", before,
                       v->kind == CPV_PICKLE_CALL ? "what a call made" : names[v->kind]);
    return out;
}
