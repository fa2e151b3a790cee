/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of an input file, decompressed by its magic: plain, gzip (several
 * members too) or zstd (several frames, skippable ones too). The file's name
 * does not matter. Pipes can be read, but not sought backwards.
 *
 * A compressed file that ends too early or is damaged is CPV_E_INPUT; the text
 * names the file and the place: the byte of the file that the decoder was at,
 * and how much had been decompressed. Bytes that were read before the damage
 * were checked only as far as their format checks them.
 */
#ifndef CPV_FORMAT_STREAM_H
#define CPV_FORMAT_STREAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_stream cpv_stream;

CPV_MUST_CHECK int cpv_stream_open(cpv_stream **out, const char *path,
                                   struct cpv_err *err);

/* Up to n bytes, fewer only at the end: the count, or a code below 0. */
CPV_MUST_CHECK ssize_t cpv_stream_read(cpv_stream *s, void *to, size_t n,
                                       struct cpv_err *err);

/* Of the next byte that read will give, counted in decompressed bytes. */
uint64_t cpv_stream_offset(const cpv_stream *s);

/* Is every seek cheap (a plain regular file)? */
bool cpv_stream_seekable(const cpv_stream *s);

/*
 * The next read is at `offset`. A compressed file is decoded on from here, or
 * again from its start if that lies behind. An offset beyond the end is
 * CPV_E_INPUT for a compressed file and for a plain one an empty read.
 */
CPV_MUST_CHECK int cpv_stream_seek(cpv_stream *s, uint64_t offset, struct cpv_err *err);

void cpv_stream_close(cpv_stream **s);

#ifdef __cplusplus
}
#endif
#endif
