/* SPDX-License-Identifier: Apache-2.0 */
/* What is where in an operation, and operations in words. */
#include "common/compute/op.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/compute/backend.h"

#define IN(op, field)                                                                    \
    {                                                                                    \
#field, CPV_ROLE_IN, offsetof(struct cpv_op, op.field)                           \
    }
#define OUT(op, field)                                                                   \
    {                                                                                    \
#field, CPV_ROLE_OUT, offsetof(struct cpv_op, op.field)                          \
    }
#define WEIGHT(op, field) offsetof(struct cpv_op, op.field)

static const struct cpv_op_info infos[CPV_OP_COUNT] = {
    [CPV_OP_ADAM] = {"adam",
                     {OUT(adam, param), OUT(adam, m), OUT(adam, v), IN(adam, grad)},
                     {0}},
    [CPV_OP_ADD] = {"add", {OUT(add, out), IN(add, a), IN(add, b)}, {0}},
    [CPV_OP_ARGMAX] = {"argmax", {OUT(argmax, out), IN(argmax, x)}, {0}},
    [CPV_OP_ATTENTION] = {"attention",
                          {OUT(attention, out), IN(attention, q), IN(attention, k),
                           IN(attention, v), OUT(attention, lse)},
                          {0}},
    [CPV_OP_CLAMP] = {"clamp", {OUT(clamp, x)}, {0}},
    [CPV_OP_CONTRASTIVE] = {"contrastive",
                            {OUT(contrastive, figures), OUT(contrastive, dtext),
                             OUT(contrastive, dscale), IN(contrastive, image),
                             IN(contrastive, text)},
                            {WEIGHT(contrastive, scale)}},
    [CPV_OP_COPY] = {"copy", {OUT(copy, out), IN(copy, x)}, {0}},
    [CPV_OP_DROPOUT] = {"dropout", {OUT(dropout, out), IN(dropout, x)}, {0}},
    [CPV_OP_EMBED] = {"embed",
                      {OUT(embed, out), IN(embed, ids), IN(embed, at)},
                      {WEIGHT(embed, table), WEIGHT(embed, positions)}},
    [CPV_OP_FILL] = {"fill", {OUT(fill, out)}, {0}},
    [CPV_OP_GATHER] = {"gather",
                       {OUT(gather, out), IN(gather, x), IN(gather, index)},
                       {0}},
    [CPV_OP_KV_EXTEND] = {"kv_extend", {OUT(kv_extend, positions)}, {0}},
    [CPV_OP_KV_FORK] = {"kv_fork", {IN(kv_fork, src)}, {0}},
    [CPV_OP_KV_WRITE] = {"kv_write",
                         {IN(kv_write, k), IN(kv_write, v), IN(kv_write, positions)},
                         {0}},
    [CPV_OP_L2NORM] = {"l2norm", {OUT(l2norm, out), IN(l2norm, x)}, {0}},
    [CPV_OP_LAYERNORM] = {"layernorm",
                          {OUT(layernorm, out), IN(layernorm, x), OUT(layernorm, mean),
                           OUT(layernorm, rstd)},
                          {WEIGHT(layernorm, w)}},
    [CPV_OP_LINEAR] = {"linear",
                       {OUT(linear, out), IN(linear, x), IN(linear, residual),
                        IN(linear, lora_x)},
                       {WEIGHT(linear, w)}},
    [CPV_OP_MEAN] = {"mean", {OUT(mean, out), IN(mean, x)}, {0}},
    [CPV_OP_PATCHES] = {"patches", {OUT(patches, out), IN(patches, x)}, {0}},
    [CPV_OP_POSITIONS] = {"positions", {OUT(positions, out)}, {0}},
    [CPV_OP_SCALE] = {"scale", {OUT(scale, out), IN(scale, x)}, {0}},
    [CPV_OP_SEGMENT] = {"segment", {OUT(segment, out), IN(segment, x)}, {0}},
    [CPV_OP_SIMILARITY] = {"similarity",
                           {OUT(similarity, out), IN(similarity, a), IN(similarity, b)},
                           {0}},
    [CPV_OP_SOFTMAX] = {"softmax", {OUT(softmax, out), IN(softmax, x)}, {0}},
    [CPV_OP_SQUARES] = {"squares", {OUT(squares, out), IN(squares, x)}, {0}},
    [CPV_OP_TOKENS] = {"tokens",
                       {OUT(tokens, out), IN(tokens, x)},
                       {WEIGHT(tokens, first), WEIGHT(tokens, positions)}},
    [CPV_OP_TOPK] = {"topk",
                     {OUT(topk, ids), OUT(topk, values), OUT(topk, lse), IN(topk, x)},
                     {0}},
    [CPV_OP_UNARY] = {"unary", {OUT(unary, out), IN(unary, x)}, {0}},
};

const struct cpv_op_info *cpv_op_info(cpv_op_kind kind)
{
    return &infos[kind];
}

cpv_tensor *cpv_op_operand(struct cpv_op *op, const struct cpv_operand *o)
{
    return (cpv_tensor *)(void *)((char *)op + o->offset);
}

/* Append to a text of fixed size; what does not fit is left out. */
static void add(char *to, size_t size, const char *fmt, ...) CPV_PRINTF(3, 4);
static void add(char *to, size_t size, const char *fmt, ...)
{
    size_t n = strlen(to);
    va_list ap;

    if (n + 1 >= size)
        return;
    va_start(ap, fmt);
    vsnprintf(to + n, size - n, fmt, ap);
    va_end(ap);
}

void cpv_op_print(const struct cpv_op *op, char *to, size_t size)
{
    const struct cpv_op_info *info = &infos[op->kind];
    const char *between = "";

    if (!size)
        return;
    *to = '\0';
    for (const struct cpv_operand *o = info->operand;
         o < info->operand + CPV_OP_OPERANDS && o->name; o++) {
        const cpv_tensor *t =
            (const cpv_tensor *)(const void *)((const char *)op + o->offset);

        if (!t->data && o->role == CPV_ROLE_OUT)
            continue;
        if (!t->data && !t->rows)
            continue;
        add(to, size, "%s%s [%lld, %lld]", between, o->name, (long long)t->rows,
            (long long)t->cols);
        if (t->dtype != CPV_F32)
            add(to, size, " %s", cpv_dtype_name(t->dtype));
        between = ", ";
    }
    for (int i = 0; i < 2; i++) {
        const cpv_weight *w;

        if (!info->weight[i])
            continue;
        memcpy(&w, (const char *)op + info->weight[i], sizeof w);
        if (w)
            add(to, size, " against '%s' [%lld, %lld]", w->name, (long long)w->out,
                (long long)w->in);
    }
}
