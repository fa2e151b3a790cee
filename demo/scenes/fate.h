/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a row of the list: the kind of file, damage done on purpose,
 * duplicates, and the way by which the server is asked for it. A pure function of
 * (seed, row, settings), and with it what a correct download makes of the row.
 *
 * Rare fates come at fixed distances, at a phase that the seed chooses, so that a
 * list of a hundred rows or so has nearly all of them.
 */
#ifndef CPV_DEMO_FATE_H
#define CPV_DEMO_FATE_H

#include "demo/scenes/picture.h"

enum cpv_damage {
    CPV_DAMAGE_NONE,
    CPV_DAMAGE_TRUNCATED, /* 55 % of a JPEG */
    CPV_DAMAGE_HTML,      /* a page that calls itself .jpg */
    CPV_DAMAGE_EMPTY,     /* no byte at all */
    CPV_DAMAGE_NOISE,     /* random bytes */
    CPV_DAMAGE_GARBLED,   /* the start of a JPEG, then random bytes */
    CPV_DAMAGES
};

enum cpv_row_kind {
    CPV_ROW_PLAIN,
    CPV_ROW_SAME_CONTENT, /* the bytes of an earlier row under a URL of its own */
    CPV_ROW_SAME_URL,     /* the URL and captions of an earlier row */
    CPV_ROW_MALFORMED,    /* TSV: a URL and nothing else; whole in the other lists */
    CPV_ROW_KINDS
};

enum cpv_way {
    CPV_WAY_DIRECT,
    CPV_WAY_FLAKY,    /* 503 at first, then the file */
    CPV_WAY_REDIRECT, /* one to three hops */
    CPV_WAY_MISSING,  /* 404 */
    CPV_WAY_OPTOUT,   /* X-Robots-Tag: noai */
    CPV_WAYS
};

/* Named as in failure tables. */
enum cpv_outcome {
    CPV_OUTCOME_OK,
    CPV_OUTCOME_HTTP_4XX,
    CPV_OUTCOME_OPTOUT,
    CPV_OUTCOME_DUPLICATE_URL,
    CPV_OUTCOME_DUPLICATE_CONTENT,
    CPV_OUTCOME_DECODE,
    CPV_OUTCOME_NOT_IMAGE,
    CPV_OUTCOME_EMPTY,
    CPV_OUTCOME_BAD_ROW,
    CPV_OUTCOMES
};

extern const char *const cpv_damage_name[CPV_DAMAGES];
extern const char *const cpv_row_kind_name[CPV_ROW_KINDS];
extern const char *const cpv_way_name[CPV_WAYS];
extern const char *const cpv_outcome_name[CPV_OUTCOMES];

struct cpv_fates {
    uint64_t seed;
    uint64_t rows;
    uint64_t part;  /* rows of a part: a duplicate lies in that of its original */
    bool heldout;   /* held-out rows are always clean */
    bool clean;     /* no damage, no duplicates */
    bool misbehave; /* other ways than the direct one, a repeated URL, a bad row */
};

struct cpv_fate {
    enum cpv_row_kind kind;
    uint64_t of; /* SAME_*: the earlier row; else the row itself. Its scene is shown. */
    enum cpv_damage damage;
    enum cpv_way way;
    int hops; /* REDIRECT */
    struct cpv_picture_file file;
    enum cpv_outcome outcome;      /* of the row in the TSV */
    enum cpv_outcome coco_outcome; /* in the COCO list, where no row is malformed */
};

/* All but `file`. */
void cpv_fate_choose(struct cpv_fate *fate, const struct cpv_fates *all, uint64_t row);
/* `mono`: the scene `of` this row has no colours, so that a gray file shows it all. */
void cpv_fate_choose_file(struct cpv_fate *fate, const struct cpv_fates *all, bool mono);

/* Damage a file's bytes. */
void cpv_fate_damage(const struct cpv_fate *fate, uint64_t seed, struct cpv_buf *file);

#endif
