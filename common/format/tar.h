/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar headers: the one form that we write (ustar), and all that others do. Pure
 * functions over bytes; samples.c makes members and samples of them.
 *
 * Where a function finds a fault it returns NULL or, as here, the reason in a few
 * words ("bad header checksum"); the caller knows file and offset.
 */
#ifndef CPV_FORMAT_TAR_H
#define CPV_FORMAT_TAR_H

#include <stdbool.h>

#include "common/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_TAR_BLOCK = 512,
    CPV_TAR_END = 1024,         /* zero bytes that end a tar */
    CPV_TAR_NAME_MAX = 4096,    /* of a path that we read */
    CPV_TAR_EXTRA_MAX = 1 << 20 /* of a PAX header or a GNU long name */
};

/* Bytes of the header's data in the stream: rounded up to whole blocks. */
static inline uint64_t cpv_tar_padded(uint64_t size)
{
    return (size + CPV_TAR_BLOCK - 1) & ~(uint64_t)(CPV_TAR_BLOCK - 1);
}

/*
 * The header of "key.ext": ustar, mode 0444, no owner, mtime 0. The name must fit
 * in 99 bytes and the size in 11 octal digits.
 */
void cpv_tar_write(uint8_t out[CPV_TAR_BLOCK], const char *key, const char *ext,
                   uint64_t size);

enum cpv_tar_kind {
    CPV_TAR_FILE,
    CPV_TAR_OTHER,      /* folder, link, device: no data follows, whatever it says */
    CPV_TAR_OTHER_DATA, /* unknown or multi-volume: data to be skipped */
    CPV_TAR_SPARSE, /* GNU sparse: maybe more header blocks, then data, to be skipped */
    CPV_TAR_LONG_NAME, /* GNU 'L': the data is the next member's path */
    CPV_TAR_LONG_LINK, /* GNU 'K': of no use to us */
    CPV_TAR_PAX,       /* PAX records for the next member */
    CPV_TAR_PAX_GLOBAL /* ... for all that follow */
};

struct cpv_tar_head {
    enum cpv_tar_kind kind;
    uint64_t size;
    bool more;      /* sparse: another header block follows */
    char name[257]; /* prefix and name joined; may be overruled by 'x' or 'L' */
};

bool cpv_tar_is_zero(const uint8_t *data, size_t n);

/* NULL, or why this is no header. */
const char *cpv_tar_read(struct cpv_tar_head *out, const uint8_t block[CPV_TAR_BLOCK]);

/* What matters to us among PAX records; zero-initialise. */
struct cpv_tar_pax {
    struct cpv_bytes path; /* of the records given; data NULL: none */
    bool has_size, sparse;
    uint64_t size;
};

/* Records on top of what *out holds; an empty value withdraws one. NULL or why not. */
const char *cpv_tar_read_pax(struct cpv_tar_pax *out, struct cpv_bytes records);

#ifdef __cplusplus
}
#endif
#endif
