/* SPDX-License-Identifier: Apache-2.0 */
/* Between data_load.c and data.c; nobody else's. */
#ifndef CPV_TRAINER_DATA_IMPL_H
#define CPV_TRAINER_DATA_IMPL_H

#include <pthread.h>

#include "common/base/bytes.h"
#include "common/format/samples.h"
#include "common/text/ids.h"
#include "trainer/data.h"

/* Where a picture lies. */
struct place {
    uint32_t file, sample; /* the sample's number in one of our shards */
    uint64_t offset, size; /* in a plain tar */
    char ext[8];
};

/* What one file gives. */
struct chunk {
    const char *path;
    cpv_arena *mem; /* keys */
    struct cpv_bytes map;
    cpv_samples *in; /* while it is read */
    size_t n, captions;
    uint16_t *embedding;
    struct place *place;
    uint32_t *lang_end;
    uint64_t *caption_end;
    const char **key;
    struct cpv_ids ids;
    size_t embedding_room, place_room, lang_room, caption_room, key_room;
    uint64_t broken, captionless;
};

struct data {
    cpv_arena *mem;
    const char **file;
    struct cpv_bytes *map; /* of plain tars, with pixels */
    size_t files, langs;
    int dim;
    uint32_t n;
    uint16_t *embedding;   /* [n, dim], half precision */
    struct place *place;   /* [n], instead */
    uint32_t *lang_end;    /* [n, langs]: captions before the end of this language's */
    uint64_t *caption_end; /* tokens before the end of this caption's */
    int32_t *tokens;
    const char **key;
    struct data_counts counts;
    uint8_t digest[32];
};

#endif
