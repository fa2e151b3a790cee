/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of `capivara report` share. Nobody else includes this.
 *
 *     columns     records, statistics and settings of every column   report_columns.c
 *     census      one look at every sample's JSON                    report_census.c
 *     write       the page: frame and tables                         report_html.c
 *                 histograms, captions, flags                        report_charts.c
 *                 the samples themselves                             report_cards.c
 *     trainings   curves.h, their charts                             report_training.c
 *
 * Memory does not grow with the number of samples: about 100 bytes a part, some counters
 * a language. All of it lives in `mem`; `scratch` is rewound after each part or sample.
 */
#ifndef CPV_PIPELINE_REPORT_H
#define CPV_PIPELINE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/log.h"
#include "common/corpus/column.h"
#include "common/corpus/part_list.h"
#include "common/format/json.h"
#include "pipeline/page.h"
#include "pipeline/place.h"
#include "pipeline/tally.h"

/* What is beyond is left out and said so (languages, flags), or added up as "other". */
enum {
    CPV_REPORT_LANGS = 64,
    CPV_REPORT_FLAGS = 16,
    CPV_REPORT_REASONS = 64,
    CPV_REPORT_STATS = 128
};

enum { CPV_REPORT_ORIGINAL, CPV_REPORT_GENERATED, CPV_REPORT_KINDS };

struct cpv_report_part {
    uint32_t part, revision;
    uint32_t samples;
    bool there; /* the shard, too */
    uint8_t tar_sha256[32];
};

struct cpv_report_reason {
    const char *status;
    uint64_t count, transient;
    const char *key, *detail; /* of the first such row; detail may be "" */
};

struct cpv_report_stat {
    const char *key; /* "flags.loop" for a number inside of an object */
    double sum, least, most;
    uint64_t parts;
};

struct cpv_report_setting {
    const char *key, *value;
};

struct cpv_report_column {
    const char *name;
    bool packed; /* a training set: has what other columns have */
    struct cpv_report_part *at;
    uint32_t count;
    uint32_t said;        /* how many parts there are in all; UINT32_MAX: not known */
    uint32_t stale, gone; /* made from what has changed since; shard taken away */
    uint64_t rows, samples, failed, transient, bytes;
    struct cpv_report_reason *reasons; /* the most frequent first */
    size_t n_reasons;
    struct cpv_report_stat *stats; /* in the order of the first file */
    size_t n_stats;
    double busy; /* seconds in which at least one part was worked on */
    struct cpv_report_setting *settings;
    size_t n_settings;
    uint32_t settings_revision;
    const char *model;  /* as configured; NULL: none, or not known */
    const char *digest; /* its first digits; NULL: none */
};

struct cpv_report_texts {
    uint64_t samples, texts, empty;
    struct cpv_tally characters, words;
};

struct cpv_report_lang {
    char code[24]; /* as in the key: "pt", "pt-BR" */
    const char *name;
    struct cpv_report_texts kind[CPV_REPORT_KINDS];
    struct cpv_tally similarities;                     /* in thousandths, 1,000 added */
    uint64_t judged, flagged, flags[CPV_REPORT_FLAGS]; /* texts */
};

struct cpv_report_training; /* report_training.c */

struct cpv_report {
    /* asked for */
    struct cpv_place place;
    const char *name; /* of the corpus: no path */
    const struct cpv_part_range *ranges;
    size_t n_ranges; /* 0: all parts */
    uint32_t samples_wanted;
    uint64_t seed;
    cpv_arena *mem, *scratch;
    cpv_log *log;
    bool live; /* say on the terminal how far it is */

    /* columns */
    struct cpv_report_column *columns;
    size_t n;
    /* the one that samples are drawn from; with `alone` its samples are whole, else the
     * columns that are not packed belong to them */
    const struct cpv_report_column *base;
    bool alone;

    struct cpv_report_training *trainings;
    size_t n_trainings;

    /* census */
    struct cpv_report_lang *langs;
    size_t n_langs;
    bool langs_left_out;
    const char *flags[CPV_REPORT_FLAGS];
    size_t n_flags;
    uint64_t looked_at, unreadable, portrait, square, landscape;
    struct cpv_tally longest, aspect, image_kib; /* aspect: 100 * width / height */
};

CPV_MUST_CHECK int cpv_report_columns(struct cpv_report *r, struct cpv_err *err);
CPV_MUST_CHECK int cpv_report_census(struct cpv_report *r, struct cpv_err *err);
/* Of these folders of capivara-train. */
CPV_MUST_CHECK int cpv_report_trainings(struct cpv_report *r,
                                        const struct cpv_texts *folders,
                                        struct cpv_err *err);
CPV_MUST_CHECK int cpv_report_write(struct cpv_report *r, cpv_page *page,
                                    uint32_t *n_cards, struct cpv_err *err);

/* ---- of the census, for the cards ---- */

enum cpv_report_key { CPV_KEY_OTHER, CPV_KEY_TEXTS, CPV_KEY_FLAGS, CPV_KEY_SIMILARITIES };

/* "generated-captions-pt": TEXTS, kind 1, "pt". lang points into key. */
enum cpv_report_key cpv_report_parse_key(const char *key, int *kind, const char **lang);
/* NULL if it is not among them. */
struct cpv_report_lang *cpv_report_find_lang(struct cpv_report *r, const char *code);
/* Lists of texts; a text alone stands for a list of one. */
size_t cpv_report_length(const json_t *value);
const json_t *cpv_report_item(const json_t *value, size_t i);
/* A string as a view; empty for anything else. */
struct cpv_bytes cpv_report_string(const json_t *value);
/* Characters of valid UTF-8. */
uint64_t cpv_report_characters(struct cpv_bytes text);

/* ---- pieces of the page ---- */

void cpv_report_put_images(struct cpv_report *r, cpv_page *page);
void cpv_report_put_captions(struct cpv_report *r, cpv_page *page);
void cpv_report_put_flags(struct cpv_report *r, cpv_page *page);
void cpv_report_put_similarities(struct cpv_report *r, cpv_page *page);
void cpv_report_put_trainings(struct cpv_report *r, cpv_page *page);
CPV_MUST_CHECK int cpv_report_put_cards(struct cpv_report *r, cpv_page *page,
                                        uint32_t *n_cards, struct cpv_err *err);
/* With its heading; `id` is a word of ours, `more` further attributes of it or "". */
void cpv_report_open_section(cpv_page *page, const char *id, const char *more,
                             const char *title);
/* `share` of a whole as a bar, 0 to 1. */
void cpv_report_put_bar(cpv_page *page, double share);

bool cpv_report_has_texts(const struct cpv_report *r);
bool cpv_report_has_flags(const struct cpv_report *r);
bool cpv_report_has_similarities(const struct cpv_report *r);
/* The place of a language in the colours of the page: 0 to 7. */
unsigned cpv_report_colour(const struct cpv_report *r, const struct cpv_report_lang *l);

/* ---- words (report_words.c) ---- */

struct cpv_words {
    char text[40];
};
struct cpv_words cpv_words_count(uint64_t n);              /* "1,234" */
struct cpv_words cpv_words_share(uint64_t n, uint64_t of); /* "3.7 %", "<0.1 %" */
struct cpv_words cpv_words_bytes(uint64_t n);
struct cpv_words cpv_words_seconds(double s); /* "41 ms", "2.3 s", "3 min 12 s" */
struct cpv_words cpv_words_real(double v);    /* few digits: "0.013", "12.4", "1,240" */

const char *cpv_words_lang(const char *code, cpv_arena *mem);     /* "Portuguese" */
const char *cpv_words_reason(const char *status);                 /* NULL: none */
const char *cpv_words_flag(const char *flag);                     /* NULL: none */
const char *cpv_words_column(const char *column, cpv_arena *mem); /* what it holds */
/* NULL: not shown, because it is said elsewhere. */
const char *cpv_words_stat(const char *key, cpv_arena *mem);
/* How a statistic of that key is written, and whether parts add up. */
enum cpv_words_unit { CPV_UNIT_COUNT, CPV_UNIT_BYTES, CPV_UNIT_SECONDS, CPV_UNIT_RATE };
enum cpv_words_unit cpv_words_unit(const char *key);

#endif
