/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values of attention, kept over the steps of decoding, addressed by slots.
 *
 * A slot is the history of one sequence, of at most `capacity` positions. Position t of
 * slot s is physically the row that some slot w wrote, table[s][t] = w: so beams are
 * re-ordered, and prefixes shared, by copying a line of the table, never a key. A slot
 * writes each of its positions once, after what it took over; therefore what others took
 * over from it stays as it is until the slot is cleared.
 *
 *     per step     slots = cpv_slots_put, positions = cpv_kv_extend     once
 *                  cpv_kv_write, cpv_attend                             each layer
 *     between      cpv_kv_fork, cpv_kv_reorder     shared prefixes, beams
 *                  cpv_kv_clear                    the sequence has left
 *
 * Lengths are known to the host without asking the device. A memory that is written once
 * and looked at by many (the image of ten prompts, the source sentence of four beams) is
 * a cache too, with `fixed`: its slots are never forked and lie contiguously.
 */
#ifndef CPV_COMPUTE_KV_H
#define CPV_COMPUTE_KV_H

#include "common/base/error.h"
#include "common/compute/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_kv cpv_kv;
struct cpv_compute;
typedef struct cpv_device cpv_device;

struct cpv_kv_params {
    int layers;
    int slots;
    int capacity;  /* positions a slot */
    int64_t width; /* channels of keys, and of values: heads * head size */
    bool fixed;    /* slots are not forked or re-ordered */
};

/* Device memory of its own, 2 * layers * slots * capacity * width values. */
CPV_MUST_CHECK int cpv_kv_open(cpv_kv **out, cpv_device *device,
                               const struct cpv_kv_params *params, struct cpv_err *err);
void cpv_kv_close(cpv_kv **kv);
size_t cpv_kv_bytes(const cpv_kv *kv);

/* Positions that slot s holds. */
int cpv_kv_length(const cpv_kv *kv, int slot);

/* Copied; they last until the context is rewound. */
cpv_slots cpv_slots_put(struct cpv_compute *c, const int32_t *slot, int32_t count);

/*
 * Sequence i of `rows` goes on in slot i of `slots` (all different): rows of it are
 * appended. Returns the position of each row, i32 [rows.total, 1], for embeddings. Too
 * long for a slot: the context fails.
 */
cpv_tensor cpv_kv_extend(struct cpv_compute *c, cpv_kv *kv, cpv_rows rows,
                         cpv_slots slots);
/* The keys and values [rows.total, width] of the last extend, of one layer. */
void cpv_kv_write(struct cpv_compute *c, cpv_kv *kv, int layer, cpv_tensor k,
                  cpv_tensor v);

/* Slot i of dst takes over the history of slot i of src. All at once: any may be both. */
void cpv_kv_fork(struct cpv_compute *c, cpv_kv *kv, cpv_slots dst, cpv_slots src);
/*
 * The same where only the device knows the parents: src is i32 [n, 1], slots of the same
 * length as dst[i] each: the beams of one sentence.
 */
void cpv_kv_reorder(struct cpv_compute *c, cpv_kv *kv, cpv_slots dst, cpv_tensor src);
/* Empty slots. Nobody may still refer to what they wrote. */
void cpv_kv_clear(struct cpv_compute *c, cpv_kv *kv, cpv_slots slots);

#ifdef __cplusplus
}
#endif
#endif
