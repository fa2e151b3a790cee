/* SPDX-License-Identifier: Apache-2.0 */
/* See pickle.h: the opcodes. */
#include "common/format/pickle_internal.h"

#include "common/base/sys.h"

/* ---- opcodes ---- */

/* Two's complement, little-endian, any length. */
static int push_long(struct cpv_pickle_machine *m, struct cpv_bytes b)
{
    uint64_t v = 0;

    if (b.size > 8)
        return cpv_pickle_push_bytes(m, CPV_PICKLE_LONG, b);
    for (size_t i = b.size; i-- > 0;)
        v = v << 8 | b.data[i];
    if (b.size > 0 && b.size < 8 && b.data[b.size - 1] & 0x80)
        v |= UINT64_MAX << (8 * b.size);
    return cpv_pickle_push_int(m, CPV_PICKLE_INT, (int64_t)v);
}

/* Decimal digits of Python 2: "-12", "12L", and "00", "01" for False and True. */
static int push_decimal(struct cpv_pickle_machine *m, bool may_be_bool)
{
    struct cpv_bytes s;
    uint64_t v = 0;
    size_t i = 0;
    bool minus;
    int rc = cpv_pickle_line(m, &s);

    if (rc)
        return rc;
    if (may_be_bool && s.size == 2 && s.data[0] == '0' &&
        (s.data[1] == '0' || s.data[1] == '1'))
        return cpv_pickle_push_int(m, CPV_PICKLE_BOOL, s.data[1] - '0');
    minus = s.size > 0 && s.data[0] == '-';
    if (s.size > 0 && s.data[s.size - 1] == 'L')
        s.size--;
    if (s.size <= minus || s.size > 18u + minus)
        return cpv_pickle_bad(m, "an integer that is none or too large");
    for (i = minus; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return cpv_pickle_bad(m, "an integer that is none or too large");
        v = v * 10 + (uint64_t)(s.data[i] - '0');
    }
    return cpv_pickle_push_int(m, CPV_PICKLE_INT, minus ? -(int64_t)v : (int64_t)v);
}

static int do_real(struct cpv_pickle_machine *m)
{
    struct cpv_pickle_value *to;
    const uint8_t *p;
    uint64_t bits = 0;
    int rc;

    if (!cpv_pickle_take(m, 8, &p))
        return cpv_pickle_bad(m, "ends within an operation");
    for (unsigned i = 0; i < 8; i++) /* the one big-endian number in a pickle */
        bits = bits << 8 | p[i];
    if ((rc = cpv_pickle_new(m, CPV_PICKLE_REAL, &to)))
        return rc;
    memcpy(&to->real, &bits, sizeof to->real);
    return cpv_pickle_push(m, to);
}

static int do_number(struct cpv_pickle_machine *m, uint8_t op)
{
    struct cpv_bytes b;
    uint64_t v = 0;
    int rc = 0;

    switch (op) {
    case 'N':
        return cpv_pickle_push_int(m, CPV_PICKLE_NONE, 0);
    case 0x88:
    case 0x89:
        return cpv_pickle_push_int(m, CPV_PICKLE_BOOL, op == 0x88);
    case 'I':
    case 'L':
        return push_decimal(m, op == 'I');
    case 'J':
        rc = cpv_pickle_number(m, 4, &v);
        return rc ? rc : cpv_pickle_push_int(m, CPV_PICKLE_INT, (int32_t)(uint32_t)v);
    case 'K':
        rc = cpv_pickle_number(m, 1, &v);
        return rc ? rc : cpv_pickle_push_int(m, CPV_PICKLE_INT, (int64_t)v);
    case 'M':
        rc = cpv_pickle_number(m, 2, &v);
        return rc ? rc : cpv_pickle_push_int(m, CPV_PICKLE_INT, (int64_t)v);
    case 0x8A:
    case 0x8B:
        rc = cpv_pickle_counted(m, op == 0x8A ? 1 : 4, &b);
        return rc ? rc : push_long(m, b);
    case 'G':
        return do_real(m);
    default:
        return CPV_PICKLE_NOT_MINE;
    }
}

static int do_text(struct cpv_pickle_machine *m, uint8_t op)
{
    cpv_pickle_kind kind = CPV_PICKLE_TEXT;
    struct cpv_bytes b;
    unsigned width;
    int rc;

    switch (op) {
    case 'U':  /* Python 2's str: a text for us, keys are such */
    case 0x8C: /* SHORT_BINUNICODE */
        width = 1;
        break;
    case 'T':
    case 'X': /* BINUNICODE */
        width = 4;
        break;
    case 0x8D: /* BINUNICODE8 */
        width = 8;
        break;
    case 'C': /* SHORT_BINBYTES */
        width = 1;
        kind = CPV_PICKLE_BYTES;
        break;
    case 'B':
        width = 4;
        kind = CPV_PICKLE_BYTES;
        break;
    case 0x8E: /* BINBYTES8 */
    case 0x96: /* BYTEARRAY8 */
        width = 8;
        kind = CPV_PICKLE_BYTES;
        break;
    default:
        return CPV_PICKLE_NOT_MINE;
    }
    rc = cpv_pickle_counted(m, width, &b);
    return rc ? rc : cpv_pickle_push_bytes(m, kind, b);
}

static int do_container(struct cpv_pickle_machine *m, uint8_t op)
{
    switch (op) {
    case '(':
        return cpv_pickle_push(m, NULL);
    case ')':
        return cpv_pickle_collect(m, CPV_PICKLE_TUPLE, 0);
    case ']':
        return cpv_pickle_collect(m, CPV_PICKLE_LIST, 0);
    case '}':
        return cpv_pickle_collect(m, CPV_PICKLE_DICT, 0);
    case 0x8F: /* EMPTY_SET */
        return cpv_pickle_collect(m, CPV_PICKLE_SET, 0);
    case 0x85: /* TUPLE1, 2, 3 */
    case 0x86:
    case 0x87:
        return cpv_pickle_collect(m, CPV_PICKLE_TUPLE, op - 0x84u);
    case 't':
        return cpv_pickle_collect_marked(m, CPV_PICKLE_TUPLE);
    case 'l':
        return cpv_pickle_collect_marked(m, CPV_PICKLE_LIST);
    case 'd':
        return cpv_pickle_collect_marked(m, CPV_PICKLE_DICT);
    case 0x91: /* FROZENSET */
        return cpv_pickle_collect_marked(m, CPV_PICKLE_SET);
    case 'a':
        return cpv_pickle_put_top(m, CPV_PICKLE_LIST, 1);
    case 'e':
        return cpv_pickle_put_marked(m, CPV_PICKLE_LIST);
    case 's':
        return cpv_pickle_put_top(m, CPV_PICKLE_DICT, 2);
    case 'u':
        return cpv_pickle_put_marked(m, CPV_PICKLE_DICT);
    case 0x90: /* ADDITEMS */
        return cpv_pickle_put_marked(m, CPV_PICKLE_SET);
    default:
        return CPV_PICKLE_NOT_MINE;
    }
}

static int get_memo(struct cpv_pickle_machine *m, uint64_t i)
{
    if (i >= m->memo_room || !m->memo[i])
        return cpv_pickle_bad(m, "a memo entry that was never made");
    return cpv_pickle_push(m, m->memo[i]);
}

static int put_memo(struct cpv_pickle_machine *m, uint64_t i)
{
    int rc = 0;

    if (m->depth == 0 || !m->stack[m->depth - 1])
        return cpv_pickle_bad(m, "nothing on the stack that could be used");
    if (i >= m->memo_room)
        rc = i < CPV_PICKLE_VALUES_MAX
                 ? cpv_pickle_grow(m, &m->memo, &m->memo_room, (size_t)i + 1)
                 : cpv_pickle_bad(m, "a memo entry with a number larger than is allowed");
    if (rc)
        return rc;
    m->memo_count += !m->memo[i];
    m->memo[i] = m->stack[m->depth - 1];
    return CPV_PICKLE_DONE;
}

static int do_stack(struct cpv_pickle_machine *m, uint8_t op)
{
    size_t first = 0;
    uint64_t v = 0;
    int rc;

    switch (op) {
    case 'h':
    case 'j':
        rc = cpv_pickle_number(m, op == 'h' ? 1 : 4, &v);
        return rc ? rc : get_memo(m, v);
    case 'q':
    case 'r':
        rc = cpv_pickle_number(m, op == 'q' ? 1 : 4, &v);
        return rc ? rc : put_memo(m, v);
    case 0x94: /* MEMOIZE */
        return put_memo(m, m->memo_count);
    case '0':
        if (m->depth == 0)
            return cpv_pickle_bad(m, "nothing on the stack that could be used");
        m->depth--;
        return CPV_PICKLE_DONE;
    case '1': /* POP_MARK */
        if ((rc = cpv_pickle_above_mark(m, &first)))
            return rc;
        m->depth = first - 1;
        return CPV_PICKLE_DONE;
    case '2':
        if (m->depth == 0 || !m->stack[m->depth - 1])
            return cpv_pickle_bad(m, "nothing on the stack that could be used");
        return cpv_pickle_push(m, m->stack[m->depth - 1]);
    case 0x80: /* PROTO */
        rc = cpv_pickle_number(m, 1, &v);
        return rc       ? rc
               : v <= 5 ? CPV_PICKLE_DONE
                        : cpv_pickle_bad(m, "a protocol above 5");
    case 0x95: /* FRAME: only a hint of how much to read ahead */
        rc = cpv_pickle_number(m, 8, &v);
        return rc ? rc : CPV_PICKLE_DONE;
    case '.':
        m->stopped = true;
        return CPV_PICKLE_DONE;
    default:
        return CPV_PICKLE_NOT_MINE;
    }
}

static int push_global(struct cpv_pickle_machine *m, struct cpv_bytes module,
                       struct cpv_bytes name)
{
    struct cpv_pickle_value *to;
    struct cpv_pickle_global *g;
    int rc = cpv_pickle_new(m, CPV_PICKLE_GLOBAL, &to);

    if (rc)
        return rc;
    g = cpv_arena_alloc(m->mem, sizeof *g);
    if (!g)
        return cpv_fail_memory(m->err);
    g->module = module;
    g->name = name;
    to->global = g;
    return cpv_pickle_push(m, to);
}

/* OrderedDict(), or OrderedDict([[key, value], ...]) as Python 2 wrote it. */
static int make_ordered(struct cpv_pickle_machine *m, cpv_pickle_ref args)
{
    struct cpv_pickle_value *to;
    cpv_pickle_ref pairs = args->list.count == 1 ? args->list.at[0] : NULL;
    int rc = cpv_pickle_new(m, CPV_PICKLE_DICT, &to);

    if (!rc && pairs && pairs->kind != CPV_PICKLE_LIST)
        return cpv_pickle_bad(m, "an OrderedDict of what is no list of pairs");
    for (uint32_t i = 0; !rc && pairs && i < pairs->list.count; i++) {
        cpv_pickle_ref p = pairs->list.at[i];

        if ((p->kind != CPV_PICKLE_LIST && p->kind != CPV_PICKLE_TUPLE) ||
            p->list.count != 2)
            return cpv_pickle_bad(m, "an OrderedDict of what is no list of pairs");
        rc = cpv_pickle_add(m, &to->list, p->list.at, 2);
    }
    return rc ? rc : cpv_pickle_push(m, to);
}

static int push_call(struct cpv_pickle_machine *m, cpv_pickle_ref what,
                     cpv_pickle_ref with)
{
    struct cpv_pickle_value *to;
    int rc;

    if (cpv_pickle_is_global(what, "collections", "OrderedDict") &&
        with->kind == CPV_PICKLE_TUPLE && with->list.count <= 1)
        return make_ordered(m, with);
    if ((rc = cpv_pickle_new(m, CPV_PICKLE_CALL, &to)))
        return rc;
    to->call.what = what;
    to->call.with = with;
    return cpv_pickle_push(m, to);
}

/* OBJ: mark, class, arguments. */
static int do_obj(struct cpv_pickle_machine *m)
{
    cpv_pickle_ref what, with;
    size_t first = 0;
    int rc = cpv_pickle_above_mark(m, &first);

    if (rc)
        return rc;
    if (first == m->depth)
        return cpv_pickle_bad(m, "an object without a class");
    what = m->stack[first];
    rc = cpv_pickle_collect(m, CPV_PICKLE_TUPLE, m->depth - first - 1);
    if (rc != CPV_PICKLE_DONE)
        return rc;
    with = m->stack[m->depth - 1];
    m->depth = first - 1;
    return push_call(m, what, with);
}

static int push_persistent(struct cpv_pickle_machine *m)
{
    struct cpv_pickle_value *to;
    cpv_pickle_ref id = cpv_pickle_pop(m), own;
    int rc;

    if (!id)
        return CPV_E_INPUT;
    if ((rc = cpv_pickle_new(m, CPV_PICKLE_PERSISTENT, &to)))
        return rc;
    to->id = id;
    own = to;
    rc = cpv_pickle_add(m, &m->persistent, &own, 1);
    return rc ? rc : cpv_pickle_push(m, to);
}

static int do_object(struct cpv_pickle_machine *m, uint8_t op)
{
    struct cpv_bytes module, name;
    cpv_pickle_ref a, b;
    int rc;

    switch (op) {
    case 'c':
        if ((rc = cpv_pickle_line(m, &module)) || (rc = cpv_pickle_line(m, &name)))
            return rc;
        return push_global(m, module, name);
    case 0x93: /* STACK_GLOBAL */
        if (!(b = cpv_pickle_pop(m)) || !(a = cpv_pickle_pop(m)))
            return CPV_E_INPUT;
        if (a->kind != CPV_PICKLE_TEXT || b->kind != CPV_PICKLE_TEXT)
            return cpv_pickle_bad(m, "a global whose names are no texts");
        return push_global(m, a->bytes, b->bytes);
    case 0x92: /* NEWOBJ_EX: class, arguments, keywords */
        if (!cpv_pickle_pop(m))
            return CPV_E_INPUT;
        /* fall through */
    case 'R':
    case 0x81: /* NEWOBJ */
        if (!(b = cpv_pickle_pop(m)) || !(a = cpv_pickle_pop(m)))
            return CPV_E_INPUT;
        return push_call(m, a, b);
    case 'o':
        return do_obj(m);
    case 'b': /* BUILD: the state is dropped, what it belongs to stays */
        return cpv_pickle_pop(m) ? CPV_PICKLE_DONE : CPV_E_INPUT;
    case 'Q':
        return push_persistent(m);
    default:
        return CPV_PICKLE_NOT_MINE;
    }
}

static int step(struct cpv_pickle_machine *m)
{
    int rc;
    uint8_t op;

    m->op_at = m->at;
    if (m->at >= m->in.size)
        return cpv_pickle_bad(m, "ends before its STOP");
    op = m->in.data[m->at++];
    if ((rc = do_stack(m, op)) || (rc = do_text(m, op)) || (rc = do_number(m, op)) ||
        (rc = do_container(m, op)) || (rc = do_object(m, op)))
        return rc;
    return cpv_fail(m->err, CPV_E_INPUT,
                    "'%s' pickle byte %zu: operation 0x%02x is not supported", m->path,
                    m->op_at, op);
}

int cpv_pickle_read(struct cpv_pickle *out, struct cpv_bytes file, size_t *at,
                    const char *path, cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_pickle_machine m = {.at = *at, .path = path, .mem = mem, .err = err};
    size_t left = file.size - *at;
    int rc = CPV_PICKLE_DONE;

    m.in = file;
    if (left > CPV_PICKLE_SIZE_MAX)
        m.in.size = *at + CPV_PICKLE_SIZE_MAX;
    while (rc == CPV_PICKLE_DONE && !m.stopped)
        rc = step(&m);
    if (rc == CPV_PICKLE_DONE && (m.depth != 1 || !m.stack[0]))
        rc = cpv_pickle_bad(&m, "not one value at its end");
    else if (rc == CPV_E_INPUT && m.at >= m.in.size && m.in.size < file.size)
        rc = cpv_pickle_bad(&m, "longer than the 64 MiB allowed");
    if (rc == CPV_PICKLE_DONE) {
        out->root = m.stack[0];
        out->persistent = m.persistent;
        *at = m.at;
    }
    cpv_free(m.stack);
    cpv_free(m.memo);
    return rc == CPV_PICKLE_DONE ? CPV_OK : rc;
}
