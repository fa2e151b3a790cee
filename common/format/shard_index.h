/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two structures at the end of a shard: the sample index in a skippable frame
 * of ours, and the seek table of the zstd seekable format. schemas/shard-v1.md
 * says what each byte means. Encoders and parsers only: no files here.
 */
#ifndef CPV_FORMAT_SHARD_INDEX_H
#define CPV_FORMAT_SHARD_INDEX_H

#include "common/format/shard.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CPV_INDEX_MAGIC    0x184D2A5Du
#define CPV_SEEK_MAGIC     0x184D2A5Eu
#define CPV_SEEK_FOOT      0x8F92EAB1u
#define CPV_INDEX_NAME     "CPVIDX01"
#define CPV_XXH_OF_NOTHING 0x51D8E999u /* low half of XXH64 of no bytes */

enum {
    CPV_INDEX_VERSION = 1,
    CPV_SKIP_HEAD = 8,          /* magic and size of a skippable frame */
    CPV_INDEX_FIXED = 96,       /* of the content, before the extensions */
    CPV_INDEX_FRAME = 12,       /* of one frame */
    CPV_SEEK_ENTRY = 12,        /* with checksum; 8 without */
    CPV_SEEK_TAIL = 9,          /* count, descriptor, magic */
    CPV_FRAME_TAR_MAX = 1 << 30 /* decompressed; the seekable format's own limit */
};

/* ---- seek table: of any file in the zstd seekable format ---- */

struct cpv_seek_entry {
    uint32_t size;     /* compressed */
    uint32_t raw_size; /* decompressed; 0 for a skippable frame */
    uint32_t xxh;      /* 0 if the table has none */
};

/* The whole frame, with checksums. */
void cpv_seek_put(struct cpv_buf *out, const struct cpv_seek_entry *entries, size_t n);

/*
 * From the last 9 bytes of a file, the size of the whole seek table frame; 0 if
 * that is none.
 */
uint64_t cpv_seek_frame_size(const uint8_t tail[CPV_SEEK_TAIL]);

/*
 * Parse a whole seek table frame; the entries come from mem. They must fill the
 * file up to the table: `before` is where the table begins.
 */
CPV_MUST_CHECK int cpv_seek_parse(struct cpv_bytes frame, uint64_t before, cpv_arena *mem,
                                  const struct cpv_seek_entry **entries, size_t *n,
                                  struct cpv_err *err);

/* ---- sample index ---- */

/* What the writer has gathered when it comes to write the index. */
struct cpv_index_parts {
    const struct cpv_shard_info *info; /* all but bytes and sha256 */
    struct cpv_bytes exts; /* u8 length and text each, in order of first use */
    uint8_t n_exts;
    struct cpv_bytes frames;  /* CPV_INDEX_FRAME bytes each, that of the tar end too */
    struct cpv_bytes samples; /* as encoded by cpv_index_put_sample */
};

/* The skippable frame, head and all. */
void cpv_index_put(struct cpv_buf *out, const struct cpv_index_parts *parts);
void cpv_index_put_frame(struct cpv_buf *out, uint32_t size, uint32_t crc32c,
                         uint32_t samples);

struct cpv_index {
    struct cpv_shard_info info;       /* bytes and sha256 are 0 */
    struct cpv_frame_entry *frames;   /* info.frames + 1; xxh is 0 */
    struct cpv_sample_entry *samples; /* info.samples */
};

/* `content` is what follows the skippable frame's head. All tables come from mem. */
CPV_MUST_CHECK int cpv_index_parse(struct cpv_bytes content, cpv_arena *mem,
                                   struct cpv_index *out, struct cpv_err *err);

/*
 * Does the seek table describe the same frames, with the index as its last entry?
 * If so, its checksums are copied to the frames.
 */
CPV_MUST_CHECK int cpv_index_match(struct cpv_index *index,
                                   const struct cpv_seek_entry *entries, size_t n,
                                   uint64_t index_size, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
