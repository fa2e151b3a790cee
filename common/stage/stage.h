/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life that all stages share.
 *
 * A stage says what it is in one const struct; the runner does the rest: options,
 * configuration, pinned settings, which parts need work and why, locks, commits,
 * records, signals, the disk guard, progress, exit status (docs/architecture.md).
 *
 *     open        once, when settings are final: load models, find the input, set
 *                 run->n_parts
 *     inputs      for a part: what it is made from, by digest
 *     work        take parts with cpv_run_next until it returns 0, fill each and
 *                 commit it; several may be open at a time
 *     close       once, whatever happened
 *
 * A part's bytes must be a pure function of its inputs and the pinned settings.
 * A sample that cannot be done is passed to cpv_part_fail and the rest go on; an
 * error is returned only when the stage as a whole cannot.
 */
#ifndef CPV_STAGE_STAGE_H
#define CPV_STAGE_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/progress.h"
#include "common/corpus/record.h"
#include "common/format/shard.h"

struct cpv_run;
struct cpv_part;

/* A table of options of the stage's own. */
struct cpv_stage_group {
    const char *title;          /* in --help */
    const char *section;        /* "input"; NULL: the stage's own section */
    const struct cpv_opt *opts; /* offsets count from the start of run->settings */
};

struct cpv_stage {
    const char *name;        /* "fetch": the program is capivara-fetch */
    const char *summary;     /* one line, lower case */
    const char *description; /* for the man page; NULL: none */
    /*
     * One column, or one for each of several instances that an option selects
     * ("name" for shards, "lang" for translations). With an instance, section and
     * column hold one %s for it: "shard.%s", "shards/%s". Without, they are plain. A
     * section without %s is that of all instances, which must then be named.
     */
    const char *instance;      /* NULL, or the option's name */
    const char *instance_help; /* its line in --help */
    const char *section;       /* "fetch" */
    const char *column;        /* "fetch" */
    const struct cpv_stage_group *groups;
    size_t n_groups;
    size_t settings_size; /* of the struct that all groups fill */
    bool uses_seed;       /* then the seed is pinned with the settings */

    /* May be NULL: make settings that say "find out" say what was found, before they
     * are pinned. */
    int (*settle)(struct cpv_run *run, struct cpv_err *err);
    int (*open)(struct cpv_run *run, struct cpv_err *err);
    /*
     * Fill inputs (in mem) and the part's range of rows. CPV_E_ABSENT: they are not
     * there yet; the part is left for a later run.
     */
    int (*inputs)(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                  struct cpv_record *out, struct cpv_err *err);
    /* May be NULL: a committed part, up to date, that is to be made again anyway. */
    bool (*wants_again)(struct cpv_run *run, const struct cpv_record *record);
    int (*work)(struct cpv_run *run, struct cpv_err *err);
    void (*close)(struct cpv_run *run);
};

/* One run of a stage. Fields are read-only for the stage unless it says so. */
struct cpv_run {
    const struct cpv_stage *stage;
    void *settings;       /* the stage's struct, filled from its tables */
    void *self;           /* the stage's own */
    const char *instance; /* "train" for shards/train, NULL without instances */
    const char *column;   /* "fetch", "shards/train" */
    const char *corpus;   /* folder */
    const char *config;   /* file, or NULL */
    const char *base;     /* folder that its relative paths start from; NULL: none */
    const char *device;   /* as --device: "auto", "cpu", "cuda", "cuda:1" */
    int64_t seed;
    int threads;      /* at least 1 */
    uint32_t n_parts; /* set by open */
    uint8_t settings_digest[32];
    bool accept_transient;
    bool dry_run; /* write nothing, caches neither */
    cpv_log *log;
    cpv_progress *progress;      /* the stage adds samples; the runner sets totals */
    cpv_arena *mem;              /* lives as long as the run; the opening thread's */
    struct cpv_run_state *state; /* the runner's own */
};

/* A part under way: claimed, locked, and being written. */
struct cpv_part {
    uint32_t number, revision;
    int previous;             /* the revision that this one replaces, or -1 */
    bool again;               /* that one had the same settings and inputs: what it
                                 holds may be copied */
    struct cpv_record record; /* inputs and range are filled; the rest at commit */
    cpv_shard_writer *writer; /* put samples here, in row order */
    cpv_arena *mem;           /* lives as long as the part */
    struct cpv_part_state *state;
};

/*
 * The next part that needs work: new, made with other settings, or made from
 * inputs that have changed. 1 with *out claimed; 0 when there are no more; or a
 * code (CPV_E_STOPPED after a signal, CPV_E_SPACE when the disk is nearly full).
 */
CPV_MUST_CHECK int cpv_run_next(struct cpv_run *run, struct cpv_part **out,
                                struct cpv_err *err);

/* False while cpv_run_next would wait for a part number on standard input. */
bool cpv_run_ready(const struct cpv_run *run);

/* Rows must come in ascending order. Strings are copied. Any one thread at a time. */
CPV_MUST_CHECK int cpv_part_fail(struct cpv_part *part, uint64_t row, const char *key,
                                 const char *status, bool transient, const char *detail,
                                 struct cpv_err *err);

/* The failures so far, into out->failures and n_failures; views of the part's. */
void cpv_part_failures(const struct cpv_part *part, struct cpv_record *out);

/*
 * Commit and forget the part: shard, then record, then statistics. `stats`: the
 * inside of a JSON object that goes to the stats file after the common keys
 * ("\"bytes\":12,..."), may be empty. If too many rows failed for passing reasons it
 * is not committed: CPV_OK, *committed false, the run will end with 75.
 * Ends the part whatever it returns. May be called from another thread than next.
 */
CPV_MUST_CHECK int cpv_part_commit(struct cpv_run *run, struct cpv_part **part,
                                   struct cpv_bytes stats, bool *committed,
                                   struct cpv_err *err);
/* Would a part with so many passing failures be held back? To ask before the work. */
bool cpv_run_holds(const struct cpv_run *run, uint64_t rows, uint64_t transient);
/* Let go of a part without committing it. */
void cpv_part_release(struct cpv_run *run, struct cpv_part **part);

/*
 * Path of a file of this part beside its shard: the journal, for stages that keep
 * one. In part->mem; NULL when out of memory.
 */
char *cpv_part_journal_path(const struct cpv_run *run, const struct cpv_part *part);
/* What the part depends on, settings and inputs, for the journal's identity. */
void cpv_part_identity(const struct cpv_part *part, uint8_t out[32]);

/* ---- for a column that is made from others, part by part (inputs.c) ---- */

/* In open: as many parts as that column has, and its samples as the progress's total.
 * CPV_E_BUSY if none is finished yet. */
CPV_MUST_CHECK int cpv_run_follow(struct cpv_run *run, const char *column,
                                  struct cpv_err *err);
/* In inputs: all of it, where the same part of each of these columns is what it is made
 * from; rows are those of the first. Names must last. CPV_E_ABSENT if one is not there.
 */
CPV_MUST_CHECK int cpv_run_inputs(struct cpv_run *run, const char *const *columns,
                                  uint32_t n, uint32_t part, cpv_arena *mem,
                                  struct cpv_record *out, struct cpv_err *err);
/* The tar digest of the part that counts, and its record (in mem). CPV_E_ABSENT if there
 * is none. */
CPV_MUST_CHECK int cpv_run_input(struct cpv_run *run, const char *column, uint32_t part,
                                 cpv_arena *mem, struct cpv_record_input *input,
                                 struct cpv_record *record, struct cpv_err *err);
/* In work: its shard. */
CPV_MUST_CHECK int cpv_run_open_input(struct cpv_run *run, const char *column,
                                      uint32_t part, cpv_arena *mem, cpv_shard **out,
                                      struct cpv_err *err);

/* Is there still room on the corpus's disk? CPV_E_SPACE if not; cheap, call often, from
 * any thread. */
CPV_MUST_CHECK int cpv_run_check_space(struct cpv_run *run, struct cpv_err *err);

/* main() of a stage's program. */
int cpv_stage_main(const struct cpv_stage *stage, int argc, char **argv);

#endif
