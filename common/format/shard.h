/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shards: .tar.zst files that plain tools read and that are random-access at the
 * same time. The bytes are specified in schemas/shard-v1.md.
 *
 *     create, put ..., commit       a writer's life; or discard at any point
 *     open, find, read ..., close   a reader's, in any order of samples
 *
 * For reading one from end to end, or a tar that others wrote, see samples.h.
 *
 * Guarantees:
 *
 *  (1) Nothing exists under the final name before commit returns CPV_OK, and
 *      what exists there is never replaced.
 *  (2) After it has, the whole shard survives power loss.
 *  (3) A reader never hands out a byte whose checksum it has not verified.
 *  (4) The same samples in the same order, with the same parameters, give the
 *      same bytes; the same tar bytes whatever the version of zstd.
 *
 * A handle belongs to one thread at a time.
 */
#ifndef CPV_FORMAT_SHARD_H
#define CPV_FORMAT_SHARD_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/format/sample.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_SHARD_KEY_MAX = 80,      /* [A-Za-z0-9_-] */
    CPV_SHARD_EXT_MAX = 18,      /* [a-z0-9_-] in parts joined by single dots */
    CPV_SHARD_MEMBERS_MAX = 255, /* of one sample; as many extensions in a shard */
    CPV_SHARD_GROUP = 256,       /* no frame crosses a multiple of so many samples */
    CPV_SHARD_SAMPLE_BYTES_MAX = 512 << 20 /* of the tar bytes of one sample */
};

/* 0 in a field asks for the default that the comment gives. */
struct cpv_shard_params {
    uint8_t settings[32];   /* digest of the pinned settings, stored in the index */
    int level;              /* of zstd; 3 */
    unsigned frame_samples; /* a frame is closed after so many samples: 64, */
    size_t frame_bytes;     /* or as soon as it holds so many tar bytes: 16 MiB */
};

struct cpv_shard_info {
    uint64_t bytes; /* of the file */
    uint8_t sha256[32];
    uint64_t tar_bytes; /* of the decompressed tar, its 1024-byte end included */
    uint8_t tar_sha256[32];
    uint32_t samples, members;
    uint32_t frames; /* that hold samples: the frame of the tar end is not counted */
    uint8_t settings[32];
};

/* ---- writing ---- */

typedef struct cpv_shard_writer cpv_shard_writer;

/*
 * The folder must exist; params may be NULL. CPV_E_BUSY if another process is
 * writing the same shard; what a killed process left is dropped.
 */
CPV_MUST_CHECK int cpv_shard_create(cpv_shard_writer **out, const char *final_path,
                                    const struct cpv_shard_params *params,
                                    struct cpv_err *err);

/*
 * Append a copy of a sample; the members may come in any order and are sorted by
 * extension. A key or an extension outside the limits above, a key that came
 * before, or an extension twice is an error. Errors stick: later puts do nothing
 * and commit reports, so a loop of puts needs no checks.
 */
void cpv_shard_put(cpv_shard_writer *w, const char *key, const struct cpv_member *members,
                   size_t n);
/* The error so far, copied to err. */
CPV_MUST_CHECK int cpv_shard_check_writer(const cpv_shard_writer *w, struct cpv_err *err);

/*
 * Both end the writer and set *w to NULL, whatever they return. If the name is
 * taken, that file stays, ours is dropped, *existed is true and the result
 * CPV_OK: info then describes the shard that was dropped. info and existed may
 * be NULL.
 */
CPV_MUST_CHECK int cpv_shard_commit(cpv_shard_writer **w, struct cpv_shard_info *info,
                                    bool *existed, struct cpv_err *err);
void cpv_shard_discard(cpv_shard_writer **w);

/* May such a key, such an extension stand in a shard? */
bool cpv_shard_key_ok(const char *key);
bool cpv_shard_ext_ok(const char *ext);

/* ---- reading, any sample at any time ---- */

typedef struct cpv_shard cpv_shard;

/* Where things are; for reading and for an index outside. */
struct cpv_frame_entry {
    uint64_t at;       /* of the compressed frame, in the file */
    uint64_t tar_at;   /* of its first byte, in the decompressed tar */
    uint32_t size;     /* compressed */
    uint32_t tar_size; /* decompressed */
    uint32_t xxh;      /* low half of XXH64 of the decompressed bytes */
    uint32_t crc32c;   /* of the compressed bytes */
    uint32_t first;    /* its samples are [first, first + samples) */
    uint32_t samples;
};

struct cpv_member_entry {
    const char *ext;
    uint32_t offset; /* of the member's bytes, from the start of the decompressed frame */
    uint32_t size;
    uint32_t crc32c;
};

struct cpv_sample_entry {
    const char *key;
    const struct cpv_member_entry *members; /* ascending by extension */
    uint32_t n_members;
    uint32_t frame;
    uint32_t offset; /* of the sample's first tar header, in the decompressed frame */
    uint32_t size;   /* tar bytes from there to the next sample */
};

/*
 * Reads the seek table and the sample index and checks them against each other;
 * no frame is read. Memory: about 100 bytes a sample, and one frame. A file that is no
 * shard of ours is CPV_E_INPUT; one that is but fails its checks CPV_E_CORRUPT.
 */
CPV_MUST_CHECK int cpv_shard_open(cpv_shard **out, const char *path, struct cpv_err *err);
void cpv_shard_close(cpv_shard **s);

/* sha256 is zero here: that would mean to read the file. */
const struct cpv_shard_info *cpv_shard_info(const cpv_shard *s);
uint32_t cpv_shard_count(const cpv_shard *s);
const char *cpv_shard_key(const cpv_shard *s, uint32_t i);             /* i < count */
bool cpv_shard_find(const cpv_shard *s, const char *key, uint32_t *i); /* hashed */
const struct cpv_sample_entry *cpv_shard_entry(const cpv_shard *s, uint32_t i);
/* f <= info->frames; the last one is the frame of the tar end. */
const struct cpv_frame_entry *cpv_shard_frame(const cpv_shard *s, uint32_t f);

/*
 * Sample i, all members or the one of an extension (CPV_E_ABSENT without it),
 * copied into mem. A frame is decoded only as far as needed and kept until
 * another one is wanted; each member's CRC is checked.
 */
CPV_MUST_CHECK int cpv_shard_read(cpv_shard *s, uint32_t i, const char *ext,
                                  cpv_arena *mem, struct cpv_sample *out,
                                  struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
