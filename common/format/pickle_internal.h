/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack machine of pickle.h: pickle.c has its opcodes, pickle_stack.c its input,
 * stack and containers. A mark is a NULL on the stack. There is no recursion: depth in
 * the file costs nothing.
 */
#ifndef CPV_FORMAT_PICKLE_INTERNAL_H
#define CPV_FORMAT_PICKLE_INTERNAL_H

#include "common/format/pickle.h"

struct cpv_pickle_machine {
    struct cpv_bytes in; /* from the beginning of the file to where this may end */
    size_t at;
    size_t op_at; /* of the operation that is being done: for messages */
    const char *path;
    cpv_arena *mem;
    struct cpv_err *err;
    cpv_pickle_ref *stack, *memo;
    size_t depth, stack_room, memo_room, memo_count;
    size_t values, places; /* made so far: both have a limit */
    struct cpv_pickle_list persistent;
    bool stopped;
};

/*
 * What a group of opcodes says of one; below 0 an error. All that leave a value on the
 * stack return DONE too.
 */
enum { CPV_PICKLE_NOT_MINE = 0, CPV_PICKLE_DONE = 1 };

int cpv_pickle_bad(struct cpv_pickle_machine *m, const char *what);
bool cpv_pickle_take(struct cpv_pickle_machine *m, size_t n, const uint8_t **at);
int cpv_pickle_number(struct cpv_pickle_machine *m, unsigned width, uint64_t *v);
int cpv_pickle_counted(struct cpv_pickle_machine *m, unsigned width,
                       struct cpv_bytes *out);
int cpv_pickle_line(struct cpv_pickle_machine *m, struct cpv_bytes *out);
int cpv_pickle_grow(struct cpv_pickle_machine *m, cpv_pickle_ref **at, size_t *room,
                    size_t want);
int cpv_pickle_push(struct cpv_pickle_machine *m, cpv_pickle_ref v);
int cpv_pickle_new(struct cpv_pickle_machine *m, cpv_pickle_kind kind,
                   struct cpv_pickle_value **out);
int cpv_pickle_push_int(struct cpv_pickle_machine *m, cpv_pickle_kind kind, int64_t v);
int cpv_pickle_push_bytes(struct cpv_pickle_machine *m, cpv_pickle_kind kind,
                          struct cpv_bytes v);
cpv_pickle_ref cpv_pickle_pop(struct cpv_pickle_machine *m);
int cpv_pickle_above_mark(struct cpv_pickle_machine *m, size_t *first);
int cpv_pickle_add(struct cpv_pickle_machine *m, struct cpv_pickle_list *to,
                   const cpv_pickle_ref *from, size_t n);
int cpv_pickle_collect(struct cpv_pickle_machine *m, cpv_pickle_kind kind, size_t n);
int cpv_pickle_collect_marked(struct cpv_pickle_machine *m, cpv_pickle_kind kind);
int cpv_pickle_put_marked(struct cpv_pickle_machine *m, cpv_pickle_kind kind);
int cpv_pickle_put_top(struct cpv_pickle_machine *m, cpv_pickle_kind kind, size_t n);

#endif
