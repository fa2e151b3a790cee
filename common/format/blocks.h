/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoded bytes of a file in blocks of any size, read ahead by a thread if
 * wanted. Files in the zstd seekable format, ours among them, come frame by frame,
 * each decoded in one go and checked before it is handed out; everything else
 * through stream.h.
 *
 * A block belongs to who got it until it is given back. There is room in front of
 * its bytes, so that what was left of the block before can be put there.
 */
#ifndef CPV_FORMAT_BLOCKS_H
#define CPV_FORMAT_BLOCKS_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_BLOCK_ROOM = 256 << 10 }; /* in front of a new block's bytes */

struct cpv_block {
    uint8_t *mem;
    size_t capacity;
    size_t at, size; /* the bytes are mem[at, at + size) */
    unsigned worker; /* whose it is */
};

typedef struct cpv_blocks cpv_blocks;

/* ahead: blocks decoded ahead, by one thread, or by two from 4 on if the file has
 * frames; 0: none, and no thread. */
CPV_MUST_CHECK int cpv_blocks_open(cpv_blocks **out, const char *path, int ahead,
                                   struct cpv_err *err);
/* Over memory that is not decoded, in blocks of `step` bytes. */
CPV_MUST_CHECK int cpv_blocks_open_bytes(cpv_blocks **out, struct cpv_bytes bytes,
                                         size_t step, struct cpv_err *err);
void cpv_blocks_close(cpv_blocks **b);

/* 1: a block. 0: the end. Below 0: an error, after all blocks that came before it. */
CPV_MUST_CHECK int cpv_blocks_next(cpv_blocks *b, struct cpv_block **out,
                                   struct cpv_err *err);
/* At most two blocks may be out at a time. NULL is fine. */
void cpv_blocks_give(cpv_blocks *b, struct cpv_block *block);

/* Room for n more bytes behind those of a block; false without memory. */
CPV_MUST_CHECK bool cpv_block_grow(struct cpv_block *block, size_t n);

#ifdef __cplusplus
}
#endif
#endif
