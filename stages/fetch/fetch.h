/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetch stage: rows of the user's input become image parts.
 *
 *   source.c   the input, cut into parts; rows or tar samples of one
 *   tars.c     digests of the user's tars, kept in a cache
 *   feed.c     rows of a part become jobs: journal replayed, URLs de-duplicated
 *   decode.c   jobs become outcomes: hash, filters, resize, encode, sample JSON
 *   outcome.c  the bytes of an outcome in the journal
 *   finish.c   the outcomes of a part, in row order, become shard and record
 *   work.c     the loop that keeps all of this going
 *
 * Threads: the main thread claims, feeds and journals; libcurl's event thread and
 * the resolver's live in common/net; a pool decodes; one thread finishes parts.
 * A job belongs to exactly one of them at a time.
 */
#ifndef CPV_FETCH_FETCH_H
#define CPV_FETCH_FETCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/queue.h"
#include "common/format/journal.h"
#include "common/format/plan.h"
#include "common/format/rows.h"
#include "common/format/samples.h"
#include "common/image/image.h"
#include "common/net/http.h"
#include "common/stage/stage.h"

/* ---- settings (options.c) ---- */

struct fetch_settings {
    /* input.* */
    const char *path, *url, *file, *root;
    int format; /* index into fetch_formats, = cpv_rows_format */
    int header;
    struct cpv_texts captions, extra, hash;
    const char *language;
    bool salvage;
    /* fetch.* : what changes bytes */
    int64_t rows_per_part, image_size, quality, min_size, max_pixels, max_bytes;
    int resize_mode, downscale, upscale;
    bool only_if_bigger, skip_reencode, pass_through, accept_truncated;
    double max_area, max_aspect;
    bool respect_optout, robots;
    struct cpv_texts directives;
    /* fetch.* : what does not */
    int64_t connections, per_host, retries, redirects, memory, resolver_threads,
        host_down_after;
    double per_host_rate, timeout, connect_timeout, backoff, retry_after_max,
        dns_pause_max;
    const char *user_agent, *user_agent_token, *contact, *proxy, *ca_file;
    bool allow_private, insecure_tls;
    const char *refetch;
    /* img2dataset's, without a counterpart */
    int foreign_word;
    int64_t foreign_number;
    const char *foreign_text;
    bool wandb, exif;
};

extern const struct cpv_stage_group fetch_groups[];
extern const size_t fetch_n_groups;

/* ---- the input (source.c) ---- */

typedef struct fetch_source fetch_source;

/* `auto` becomes the format that the input has. */
CPV_MUST_CHECK int fetch_settle(struct cpv_run *run, struct cpv_err *err);

CPV_MUST_CHECK int fetch_source_open(fetch_source **out, struct cpv_run *run,
                                     struct cpv_err *err);
void fetch_source_close(fetch_source **s);
uint32_t fetch_source_parts(const fetch_source *s);
uint64_t fetch_source_rows(const fetch_source *s); /* 0: not known (tars) */
bool fetch_source_is_tars(const fetch_source *s);
/* Inputs and row range of a part, for its record. */
CPV_MUST_CHECK int fetch_source_describe(fetch_source *s, uint32_t part, cpv_arena *mem,
                                         struct cpv_record *out, struct cpv_err *err);
/* All rows of a part, strings in mem. */
CPV_MUST_CHECK int fetch_source_rows_of(fetch_source *s, uint32_t part, cpv_arena *mem,
                                        struct cpv_row **rows, uint32_t *n,
                                        struct cpv_err *err);
/* The tar of a part, to be read sample by sample. */
CPV_MUST_CHECK int fetch_source_samples_of(fetch_source *s, uint32_t part,
                                           cpv_samples **out, struct cpv_err *err);

/* ---- digests of tars (tars.c) ---- */

struct fetch_tars;

/* `cache` need not exist. */
CPV_MUST_CHECK int fetch_tars_open(struct fetch_tars **out, const char *cache,
                                   struct cpv_err *err);
CPV_MUST_CHECK int fetch_tars_digest(struct fetch_tars *t, const char *path,
                                     uint8_t out[32], struct cpv_err *err);
void fetch_tars_save(struct fetch_tars *t, const char *cache); /* never an error */
void fetch_tars_close(struct fetch_tars **t);

/* ---- outcomes (outcome.c) ---- */

enum { FETCH_MEMBERS_MAX = 64 };

/* How a row ended; views only. */
struct fetch_outcome {
    uint32_t index; /* of the row in its part */
    bool ok, transient;
    bool kept; /* a failure of an earlier revision that is not to be tried again */
    const char *status, *detail; /* if not ok; detail may be "" */
    const char *key;             /* of tar samples; NULL: made from the row's number */
    uint8_t sha256[32];          /* of the original file, if ok */
    struct cpv_member members[FETCH_MEMBERS_MAX];
    size_t n_members;
};

void fetch_outcome_encode(const struct fetch_outcome *o, struct cpv_buf *out);
/* Strings (not member data) are copied into mem. CPV_E_CORRUPT if it is none. */
CPV_MUST_CHECK int fetch_outcome_decode(struct cpv_bytes payload, cpv_arena *mem,
                                        struct fetch_outcome *out, struct cpv_err *err);

/* ---- parts and jobs ---- */

/* What is known of a row. */
enum fetch_state { FETCH_TODO, FETCH_JOURNALED, FETCH_COPIED };
struct fetch_slot {
    uint64_t at; /* JOURNALED: offset in the journal; COPIED: index in `old` */
    uint8_t state;
    bool transient; /* a journaled passing failure */
};

struct fetch_part {
    struct cpv_part *part;
    cpv_journal *journal;
    const struct cpv_row *rows; /* NULL for tars */
    cpv_samples *samples;       /* tars, while they are being read */
    struct fetch_slot *slots;
    uint32_t n, capacity; /* of slots; grows for tars */
    uint32_t pending;     /* jobs under way */
    bool fed;             /* no more jobs to come */
    bool broken;          /* its tar cannot be read: it will not be finished */
    uint64_t repeated;    /* samples of the tar left out because their key came before */
    uint64_t cut_off;     /* samples lost with the end of the tar */
    uint64_t first_row;   /* of the part in the input */
    cpv_shard *old;       /* what is copied from, in a refetch */
    cpv_arena *mem;       /* rows and keys: the main thread's, then the finisher's */
    uint64_t body_bytes;
};

/* One row on its way. */
struct fetch_job {
    struct fetch_part *owner;
    uint32_t index;
    const struct cpv_row *row; /* NULL for tar samples */
    const char *path;          /* a local file, or NULL */
    /* from the network or the tar */
    struct cpv_buf body;
    size_t charged;     /* bytes to give back to the memory budget */
    size_t fetched;     /* bytes that came over the network */
    const char *status; /* NULL: still good */
    bool transient;
    char detail[160];
    /* tar samples: a copy of the sample, in `body`'s order */
    struct fetch_foreign *foreign;
    /* to the journal */
    struct cpv_buf payload;
    bool failed, stopped, out_of_memory;
    bool is_finish; /* not a row: the finisher says that `owner` is done with */
};

/* A sample of a tar, copied out of the reader: key, members in one block. */
struct fetch_foreign {
    char *key;
    struct cpv_member members[FETCH_MEMBERS_MAX];
    size_t n_members;
};

/* Parts under way at once: so many may wait for their slowest rows. */
enum { FETCH_ACTIVE_MAX = 16 };

struct fetch {
    struct cpv_run *run;
    const struct fetch_settings *set;
    fetch_source *source;
    struct cpv_image_params image;
    int key_digits; /* of a row's number within its part */
    cpv_http *http; /* NULL if nothing comes from the network */
    cpv_queue *todo, *done, *finish;
    cpv_pool *decoders, *finisher;
    atomic_bool cancel;                         /* pass jobs through undone */
    struct fetch_part *parts[FETCH_ACTIVE_MAX]; /* claimed and not yet finished */
    int active;                                 /* how many they are */
    int finishing;                              /* with the finisher */
    struct fetch_part *feeding;                 /* the one that is not all fed, or NULL */
    uint64_t in_flight;                         /* jobs */
    uint32_t unreadable;                        /* tars */
    pthread_mutex_t lock;
    struct cpv_err finish_err; /* the finisher's first error, under lock */
};

/* ---- the steps ---- */

/* Does --refetch ask for this failure? */
bool fetch_refetch_wants(const struct fetch_settings *set,
                         const struct cpv_failure *fail);

/* Key of a row: as img2dataset numbers them. */
char *fetch_key(const struct fetch *f, uint32_t part, uint32_t index, cpv_arena *mem);
/* A key that a shard may hold, for a foreign one. */
char *fetch_foreign_key(const char *key, cpv_arena *mem);

CPV_MUST_CHECK int fetch_part_open(struct fetch *f, struct cpv_part **part,
                                   struct fetch_part **out, struct cpv_err *err);
void fetch_part_close(struct fetch *f, struct fetch_part **p);
/* Send what is left of it on its way: everything for rows, some samples of a tar. */
CPV_MUST_CHECK int fetch_part_feed(struct fetch *f, struct fetch_part *p,
                                   struct cpv_err *err);
CPV_MUST_CHECK int fetch_part_note(struct fetch_part *p, uint32_t index, uint64_t offset,
                                   bool transient, struct cpv_err *err);

/* A decoder thread: takes jobs from todo until it ends, leaves payloads. */
void fetch_decode_main(void *arg, int worker);
/* Sample JSON of a row or of a foreign sample, appended to out. */
int fetch_sample_json(const struct fetch *f, const struct fetch_job *job, const char *key,
                      const struct cpv_image_result *image, const uint8_t sha256[32],
                      struct cpv_buf *out, struct cpv_err *err);

/* The finisher's thread. */
void fetch_finish_main(void *arg, int worker);
void fetch_job_free(struct fetch_job **job);

CPV_MUST_CHECK int fetch_work(struct fetch *f, struct cpv_err *err);

#endif
