/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tape: recorded operations, the values between them, the walk back.
 *
 * Every floating output of a recorded operation is a value with a number; views of it
 * (columns, rows) carry the same number. Numbers grow over all tapes of a context, so
 * that what an inner tape (of a segment) sees from outside is a constant to it.
 */
#include "common/compute/tape.h"

#include <string.h>

#include "common/base/sys.h"
#include "common/compute/backend.h"

struct value {
    cpv_tensor base;
    cpv_tensor grad; /* of base's shape; no tensor until something comes back */
    bool written;    /* by something, zeros at least */
};

struct cpv_tape {
    bool running;
    struct cpv_tape *outer; /* whose segment this one runs again */
    int32_t first;          /* number of value[0] */
    struct cpv_op *op;
    size_t ops, op_room;
    struct value *value;
    size_t values, value_room;
    cpv_tensor *spare; /* memory of gradients that have been passed on */
    size_t spares, spare_room;
};

/* Room for one more; false, and the context has failed, without memory. */
static bool room(cpv_compute *c, void **array, size_t used, size_t *have, size_t size)
{
    size_t more = *have ? 2 * *have : 64;
    void *grown;

    if (used < *have)
        return true;
    grown = cpv_realloc(*array, more * size);
    if (!grown) {
        cpv_compute_fail(c, CPV_E_MEMORY, "out of memory");
        return false;
    }
    *array = grown;
    *have = more;
    return true;
}

static struct value *value_of(const struct cpv_tape *t, int32_t id)
{
    int64_t at = (int64_t)id - t->first;

    return id && at >= 0 && at < (int64_t)t->values ? &t->value[at] : NULL;
}

static int32_t add_value(cpv_compute *c, cpv_tensor base)
{
    struct cpv_tape *t = c->tape;
    void *array = t->value;
    struct value v = {.base = base};
    int32_t id = t->first + (int32_t)t->values;

    if (!room(c, &array, t->values, &t->value_room, sizeof v))
        return 0;
    t->value = array;
    v.base.id = id;
    t->value[t->values++] = v;
    return id;
}

/* ---- recording ---- */

void cpv_tape_start(cpv_compute *c)
{
    if (!c->tape) {
        c->tape = cpv_calloc(1, sizeof *c->tape);
        if (!c->tape) {
            cpv_compute_fail(c, CPV_E_MEMORY, "out of memory");
            return;
        }
        c->tape->first = 1;
    }
    c->tape->running = true;
}

void cpv_tape_stop(cpv_compute *c)
{
    if (c->tape)
        c->tape->running = false;
}

void cpv_tape_clear(cpv_compute *c)
{
    if (c->tape)
        c->tape->ops = c->tape->values = c->tape->spares = 0;
}

bool cpv_tape_runs(const cpv_compute *c)
{
    return c->tape && c->tape->running;
}

static void release(struct cpv_tape *t)
{
    cpv_free(t->op);
    cpv_free(t->value);
    cpv_free(t->spare);
}

void cpv_tape_close(cpv_compute *c)
{
    if (!c->tape)
        return;
    release(c->tape);
    cpv_free(c->tape);
    c->tape = NULL;
}

cpv_tensor cpv_watch(cpv_compute *c, cpv_tensor x)
{
    if (x.data && cpv_tape_runs(c))
        x.id = add_value(c, x);
    return x;
}

static const cpv_weight *weight_of(const struct cpv_op *op, int i)
{
    size_t offset = cpv_op_info(op->kind)->weight[i];
    const cpv_weight *w = NULL;

    if (offset)
        memcpy(&w, (const char *)op + offset, sizeof w);
    return w;
}

/* Does anything that wants a gradient go into it? */
static bool matters(const struct cpv_tape *t, struct cpv_op *op)
{
    const struct cpv_op_info *info = cpv_op_info(op->kind);

    if (op->kind == CPV_OP_SEGMENT)
        return true;
    for (int i = 0; i < 2; i++)
        if (weight_of(op, i) && weight_of(op, i)->train)
            return true;
    for (int i = 0; i < CPV_OP_OPERANDS && info->operand[i].name; i++)
        if (info->operand[i].role == CPV_ROLE_IN &&
            value_of(t, cpv_op_operand(op, &info->operand[i])->id))
            return true;
    return false;
}

void cpv_tape_record(cpv_compute *c, struct cpv_op *op)
{
    const struct cpv_op_info *info = cpv_op_info(op->kind);
    struct cpv_tape *t = c->tape;
    void *array = t->op;

    if (!matters(t, op) || !room(c, &array, t->ops, &t->op_room, sizeof *op))
        return;
    t->op = array;
    for (int i = 0; i < CPV_OP_OPERANDS && info->operand[i].name; i++) {
        cpv_tensor *out = cpv_op_operand(op, &info->operand[i]);

        if (info->operand[i].role == CPV_ROLE_OUT && out->data && out->dtype != CPV_I32)
            out->id = add_value(c, *out);
    }
    t->op[t->ops++] = *op;
}

/* ---- gradients ---- */

/* The part of the whole gradient that belongs to a view of the value. */
static cpv_tensor view_like(cpv_tensor whole, const struct value *v, cpv_tensor t)
{
    size_t size = cpv_dtype_size(t.dtype);
    int64_t at = (int64_t)((size_t)((char *)t.data - (char *)v->base.data) / size);

    whole = cpv_row_range(whole, at / v->base.stride, t.rows);
    return cpv_columns(whole, at % v->base.stride, t.cols);
}

static void fill(cpv_compute *c, cpv_tensor t, float with)
{
    struct cpv_op op = {.kind = CPV_OP_FILL};

    op.fill.out = t;
    op.fill.value = with;
    cpv_compute_run(c, &op);
}

/* Like `base`: memory that a gradient has left, or new. */
static cpv_tensor grad_memory(cpv_compute *c, cpv_tensor base)
{
    struct cpv_tape *t = c->tape;

    for (size_t i = t->spares; i-- > 0;) {
        cpv_tensor mem = t->spare[i];

        if (mem.rows != base.rows || mem.cols != base.cols || mem.dtype != base.dtype)
            continue;
        t->spare[i] = t->spare[--t->spares];
        return mem;
    }
    return cpv_compute_alloc(c, base.rows, base.cols, base.dtype);
}

/* An operation has gone back: nobody adds to, or reads, its output's gradient again. */
static void spare(cpv_compute *c, struct value *v)
{
    struct cpv_tape *t = c->tape;
    void *array = t->spare;

    if (!v || !v->grad.data ||
        !room(c, &array, t->spares, &t->spare_room, sizeof *t->spare))
        return;
    t->spare = array;
    t->spare[t->spares++] = v->grad;
    v->grad = (cpv_tensor){0};
}

/* Is t all of the value that it views? */
static bool is_whole(const struct value *v, cpv_tensor t)
{
    return t.data == v->base.data && t.rows == v->base.rows && t.cols == v->base.cols;
}

/*
 * Where the gradient of t is to be added; no tensor if t is a constant. With `fresh`, it
 * may come unwritten, which *fresh then tells.
 */
static cpv_tensor grad_for(cpv_compute *c, cpv_tensor t, bool *fresh)
{
    struct value *v = value_of(c->tape, t.id);
    bool write = fresh != NULL;

    if (fresh)
        *fresh = false;
    if (!t.data || !v || c->err.code)
        return (cpv_tensor){0};
    if (!v->grad.data) {
        v->grad = grad_memory(c, v->base);
        v->written = false;
    }
    if (!v->grad.data)
        return (cpv_tensor){0};
    if (!v->written && write && is_whole(v, t))
        *fresh = true;
    else if (!v->written)
        fill(c, v->grad, 0);
    v->written = true;
    return view_like(v->grad, v, t);
}

/* What has come back to t so far; no tensor if nothing has. */
cpv_tensor cpv_grad(cpv_compute *c, cpv_tensor x)
{
    struct value *v = c->tape ? value_of(c->tape, x.id) : NULL;

    return v && v->grad.data ? view_like(v->grad, v, x) : (cpv_tensor){0};
}

static void copy(cpv_compute *c, cpv_tensor to, cpv_tensor from)
{
    struct cpv_op op = {.kind = CPV_OP_COPY};

    op.copy.out = to;
    op.copy.x = from;
    if (to.data)
        cpv_compute_run(c, &op);
}

static void add_to(cpv_compute *c, cpv_tensor sum, cpv_tensor t)
{
    struct cpv_op op = {.kind = CPV_OP_ADD};

    op.add.out = op.add.a = sum;
    op.add.b = t;
    if (sum.data)
        cpv_compute_run(c, &op);
}

/* The gradient of y, where the walk begins. */
static void seed(cpv_compute *c, cpv_tensor y, cpv_tensor dy)
{
    bool fresh;
    cpv_tensor to = grad_for(c, y, &fresh);

    if (!fresh)
        add_to(c, to, dy);
    else
        copy(c, to, dy);
}

/* ---- the walk ---- */

static void walk(cpv_compute *c);

/* Run a segment once more, recorded, and go back through it. Its input's gradient is the
 * outer tape's: `fresh`, nothing is there yet. */
static void segment_back(cpv_compute *c, const struct cpv_op_segment *s, cpv_tensor dx,
                         bool fresh, cpv_tensor dy)
{
    struct cpv_tape inner = {.outer = c->tape};
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_tensor x = s->x, y;

    inner.first = inner.outer->first + (int32_t)inner.outer->values;
    inner.running = true;
    c->tape = &inner;
    x.id = 0;
    if (dx.data) {
        x = cpv_watch(c, x);
        if (x.id) {
            inner.value[0].grad = dx;
            inner.value[0].written = !fresh;
        }
    }
    y = s->fn(c, s->arg, x);
    inner.running = false;
    seed(c, y, dy);
    walk(c);
    if (x.id && !inner.value[0].written)
        fill(c, dx, 0);
    c->tape = inner.outer;
    cpv_compute_rewind(c, mark);
    release(&inner);
}

/* The backend's part. */
static void run_back(cpv_compute *c, struct cpv_op *op, const struct cpv_op *grad)
{
    const struct cpv_backend *b = c->device->backend, *like = c->device->like;
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    void *scratch = NULL;
    size_t need;

    if (!like->back[op->kind]) {
        cpv_compute_refuse(c, op, "device '%s' has no backward of it", like->name);
        return;
    }
    if (op->kind == CPV_OP_ATTENTION && op->attention.kv) {
        cpv_compute_refuse(c, op, "there is no way back through slots");
        return;
    }
    need = like->scratch_back ? like->scratch_back(c, op, grad) : 0;
    if (need) {
        scratch = cpv_compute_alloc(c, 1, (int64_t)need, CPV_I8).data;
        cpv_compute_rewind(c, mark);
    }
    if (!c->err.code && !b->blind)
        b->back[op->kind](c, op, grad, scratch, &c->err);
}

/*
 * What only passes a gradient on, a sum and a residual, may give the memory away: to the
 * first operand that is the whole of a value to which nothing has come yet.
 */
static struct value *heir(const struct cpv_tape *t, struct cpv_op *op, int operand)
{
    const struct cpv_op_info *info = cpv_op_info(op->kind);
    const struct value *out = value_of(t, cpv_op_operand(op, &info->operand[0])->id);
    cpv_tensor x = *cpv_op_operand(op, &info->operand[operand]);
    struct value *v = value_of(t, x.id);
    bool passes = op->kind == CPV_OP_ADD ||
                  (op->kind == CPV_OP_LINEAR &&
                   cpv_op_operand(op, &info->operand[operand]) == &op->linear.residual);

    if (!passes || !x.data || !v || v->grad.data || !is_whole(v, x) || !out ||
        out->base.dtype != v->base.dtype ||
        x.id == cpv_op_operand(op, &info->operand[0])->id)
        return NULL;
    for (int i = 0; i < CPV_OP_OPERANDS && info->operand[i].name; i++)
        if (i != operand && cpv_op_operand(op, &info->operand[i])->id == x.id)
            return NULL;
    return v;
}

/* May operand i be written? Not if another is part of the same value. */
static bool may_write(const struct cpv_compute *c, struct cpv_op *op, int operand)
{
    const struct cpv_op_info *info = cpv_op_info(op->kind);
    int32_t id = cpv_op_operand(op, &info->operand[operand])->id;

    if (op->kind != CPV_OP_SEGMENT && !(c->device->like->fresh >> op->kind & 1u))
        return false;
    for (int i = 0; i < CPV_OP_OPERANDS && info->operand[i].name; i++)
        if (i != operand && cpv_op_operand(op, &info->operand[i])->id == id)
            return false;
    return true;
}

static void op_back(cpv_compute *c, struct cpv_op *op)
{
    const struct cpv_op_info *info = cpv_op_info(op->kind);
    struct cpv_op grad = {.kind = op->kind};
    struct value *heir_of = NULL, *v;
    bool came = false;

    for (int i = 0; i < CPV_OP_OPERANDS && info->operand[i].name; i++) {
        const struct cpv_operand *o = &info->operand[i];

        if (o->role != CPV_ROLE_OUT)
            continue;
        *cpv_op_operand(&grad, o) = cpv_grad(c, *cpv_op_operand(op, o));
        came |= cpv_op_operand(&grad, o)->data != NULL;
    }
    if (!came || c->err.code)
        return;
    for (int i = 0; i < CPV_OP_OPERANDS && info->operand[i].name; i++) {
        const struct cpv_operand *o = &info->operand[i];
        cpv_tensor t = *cpv_op_operand(op, o);
        bool fresh = false;

        if (o->role == CPV_ROLE_OUT)
            continue;
        if (!heir_of && (heir_of = heir(c->tape, op, i)))
            continue;
        *cpv_op_operand(&grad, o) = grad_for(c, t, may_write(c, op, i) ? &fresh : NULL);
        grad.fresh |= (unsigned)fresh << i;
    }
    if (c->err.code)
        return;
    if (op->kind == CPV_OP_SEGMENT)
        segment_back(c, &op->segment, grad.segment.x, cpv_op_fresh(&grad, 1),
                     grad.segment.out);
    else
        run_back(c, op, &grad);
    for (int i = 0; i < CPV_OP_OPERANDS && info->operand[i].name; i++) {
        if (info->operand[i].role != CPV_ROLE_OUT)
            continue;
        v = value_of(c->tape, cpv_op_operand(op, &info->operand[i])->id);
        if (i == 0 && v && heir_of) {
            heir_of->grad = v->grad;
            heir_of->written = true;
            v->grad = (cpv_tensor){0};
        } else {
            spare(c, v);
        }
    }
}

static void walk(cpv_compute *c)
{
    for (size_t i = c->tape->ops; i-- > 0 && !c->err.code;)
        op_back(c, &c->tape->op[i]);
}

void cpv_backward(cpv_compute *c, cpv_tensor y, cpv_tensor dy)
{
    struct value *v;

    if (c->err.code)
        return;
    v = c->tape ? value_of(c->tape, y.id) : NULL;
    if (!v || y.rows != dy.rows || y.cols != dy.cols || y.dtype != dy.dtype) {
        cpv_compute_fail(c, CPV_E_BUG,
                         v ? "backward: a gradient of another shape"
                           : "backward: y was not recorded");
        return;
    }
    cpv_tape_stop(c);
    seed(c, y, dy);
    walk(c);
}

/* ---- segments ---- */

cpv_tensor cpv_segment(cpv_compute *c, cpv_segment_fn *fn, void *arg, cpv_tensor x)
{
    struct cpv_op op = {.kind = CPV_OP_SEGMENT};
    struct cpv_compute_mark mark;
    struct cpv_tape *tape = c->tape;
    cpv_tensor y;

    if (!cpv_tape_runs(c))
        return fn(c, arg, x);
    op.segment.x = x;
    op.segment.fn = fn;
    op.segment.arg = arg;
    op.segment.out = cpv_compute_alloc(c, x.rows, x.cols, x.dtype);
    mark = cpv_compute_mark(c);
    c->tape = NULL;
    y = fn(c, arg, x);
    if (!c->err.code && (y.rows != x.rows || y.cols != x.cols || y.dtype != x.dtype))
        cpv_compute_refuse(c, &op, "the output of a segment is like its input");
    if (!c->err.code)
        copy(c, op.segment.out, y);
    c->tape = tape;
    cpv_compute_rewind(c, mark);
    if (!c->err.code)
        cpv_tape_record(c, &op);
    return op.segment.out;
}
