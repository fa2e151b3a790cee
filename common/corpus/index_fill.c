/* SPDX-License-Identifier: Apache-2.0 */
/* See index.h. Takes the parts of a corpus into the index: a part's rows are
 * replaced in one transaction, from its record and its shard's own tables. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "common/corpus/index_db.h"
#include "common/format/json.h"

enum { RECORD_MAX = 256 << 20, STATS_MAX = 1 << 20 };

/* ---- a part on disk ---- */

static int read_stats(const char *path, cpv_arena *mem, struct cpv_index_part *out,
                      struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = CPV_OK;

    /* Nothing needs it: whatever is wrong with it, there is none. */
    if (cpv_file_read(path, STATS_MAX, &text, NULL) == CPV_OK) {
        out->stats = cpv_arena_str(mem, cpv_buf_view(&text));
        if (!out->stats)
            rc = cpv_fail_memory(err);
    }
    cpv_buf_release(&text);
    return rc;
}

static int check_names(const struct cpv_index_part *p, const char *path,
                       struct cpv_err *err)
{
    const struct cpv_record *r = &p->record;
    struct stat st;

    if (strcmp(r->stage, p->column) != 0 || r->part != p->part ||
        r->revision != p->revision)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "'%s' is the record of another part: '%s' part %u revision %u",
                        path, r->stage, r->part, r->revision);
    if (cpv_sys.stat(p->shard, &st) < 0)
        return cpv_fail_sys(err, errno, "cannot look at '%s'", p->shard);
    if ((uint64_t)st.st_size != r->shard.bytes)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "'%s' has %lld bytes where its record says %llu", p->shard,
                        (long long)st.st_size, (unsigned long long)r->shard.bytes);
    return CPV_OK;
}

int cpv_index_load(const char *corpus, const char *column, uint32_t part,
                   uint32_t revision, cpv_arena *mem, struct cpv_index_part *out,
                   struct cpv_err *err)
{
    const char *record =
        cpv_column_path(mem, corpus, column, part, revision, CPV_FILE_RECORD);
    const char *stats =
        cpv_column_path(mem, corpus, column, part, revision, CPV_FILE_STATS);
    struct cpv_buf text = {0};
    int rc;

    memset(out, 0, sizeof *out);
    out->column = column;
    out->part = part;
    out->revision = revision;
    out->shard = cpv_column_path(mem, corpus, column, part, revision, CPV_FILE_SHARD);
    if (!record || !stats || !out->shard)
        return cpv_fail_memory(err);
    rc = cpv_file_read(record, RECORD_MAX, &text, err);
    if (!rc) {
        cpv_sha256_of(out->digest, cpv_buf_view(&text));
        rc = cpv_record_decode(cpv_buf_view(&text), record, mem, &out->record, err);
    }
    cpv_buf_release(&text);
    if (!rc)
        rc = check_names(out, record, err);
    return rc ? rc : read_stats(stats, mem, out, err);
}

/* ---- rows ---- */

/*
 * Bindings stay from row to row, so column and part are bound once for each
 * statement. SQLITE_STATIC: what is bound outlives the statement's last step.
 */
static sqlite3_stmt *stmt_for(cpv_index *x, enum cpv_index_stmt which,
                              const struct cpv_index_part *p)
{
    sqlite3_stmt *s = cpv_index_stmt(x, which);

    if (s && (sqlite3_bind_text(s, 1, p->column, -1, SQLITE_STATIC) != SQLITE_OK ||
              sqlite3_bind_int64(s, 2, p->part) != SQLITE_OK))
        return NULL;
    return s;
}

static void bind_int(sqlite3_stmt *s, int at, uint64_t v)
{
    (void)sqlite3_bind_int64(s, at, (sqlite3_int64)v);
}

static void bind_digest(sqlite3_stmt *s, int at, const uint8_t sha256[32])
{
    (void)sqlite3_bind_blob(s, at, sha256, 32, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    (void)sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static int put_part(cpv_index *x, const struct cpv_index_part *p, struct cpv_err *err)
{
    sqlite3_stmt *s = stmt_for(x, CPV_STMT_PUT_PART, p);
    const struct cpv_record *r = &p->record;
    uint64_t transient = 0;

    for (uint64_t i = 0; i < r->n_failures; i++)
        transient += r->failures[i].transient;
    if (s) {
        bind_int(s, 3, p->revision);
        bind_int(s, 4, r->row_begin);
        bind_int(s, 5, r->row_end);
        bind_digest(s, 6, r->settings);
        bind_digest(s, 7, p->digest);
        bind_digest(s, 8, r->shard.sha256);
        bind_digest(s, 9, r->shard.tar_sha256);
        bind_int(s, 10, r->shard.bytes);
        bind_int(s, 11, r->shard.tar_bytes);
        bind_int(s, 12, r->shard.samples);
        bind_int(s, 13, r->shard.members);
        bind_int(s, 14, r->shard.frames);
        bind_int(s, 15, r->n_failures);
        bind_int(s, 16, transient);
    }
    return cpv_index_run(x, s, err);
}

static int put_inputs(cpv_index *x, const struct cpv_index_part *p, struct cpv_err *err)
{
    int rc = CPV_OK;

    for (uint32_t i = 0; !rc && i < p->record.n_inputs; i++) {
        sqlite3_stmt *s = stmt_for(x, CPV_STMT_PUT_INPUT, p);

        if (s) {
            bind_int(s, 3, i);
            bind_text(s, 4, p->record.inputs[i].name);
            bind_digest(s, 5, p->record.inputs[i].sha256);
        }
        rc = cpv_index_run(x, s, err);
    }
    return rc;
}

static int put_frames(cpv_index *x, const struct cpv_index_part *p,
                      const cpv_shard *shard, struct cpv_err *err)
{
    sqlite3_stmt *s = stmt_for(x, CPV_STMT_PUT_FRAME, p);
    uint32_t n = cpv_shard_info(shard)->frames;
    int rc = s ? CPV_OK : cpv_index_fail(x, err, "cannot change the index");

    for (uint32_t i = 0; !rc && i < n; i++) {
        const struct cpv_frame_entry *f = cpv_shard_frame(shard, i);

        bind_int(s, 3, i);
        bind_int(s, 4, f->at);
        bind_int(s, 5, f->size);
        bind_int(s, 6, f->tar_at);
        bind_int(s, 7, f->tar_size);
        bind_int(s, 8, f->xxh);
        rc = cpv_index_run(x, s, err);
    }
    return rc;
}

/* Place, size and checksum of a member at `at` and the two columns behind it. */
static void bind_member(sqlite3_stmt *s, int at, const struct cpv_member_entry *m)
{
    if (m) {
        bind_int(s, at, m->offset);
        bind_int(s, at + 1, m->size);
        bind_int(s, at + 2, m->crc32c);
    } else {
        for (int i = at; i < at + 3; i++)
            (void)sqlite3_bind_null(s, i);
    }
}

static bool is_image(const char *ext)
{
    static const char *const EXT[] = {"jpg", "jpeg", "png", "webp"};

    for (size_t i = 0; i < sizeof EXT / sizeof *EXT; i++)
        if (strcmp(ext, EXT[i]) == 0)
            return true;
    return false;
}

static int put_samples(cpv_index *x, const struct cpv_index_part *p,
                       const cpv_shard *shard, struct cpv_err *err)
{
    sqlite3_stmt *s = stmt_for(x, CPV_STMT_PUT_SAMPLE, p);
    uint32_t n = cpv_shard_count(shard);
    int rc = s ? CPV_OK : cpv_index_fail(x, err, "cannot change the index");

    for (uint32_t i = 0; !rc && i < n; i++) {
        const struct cpv_sample_entry *e = cpv_shard_entry(shard, i);
        const struct cpv_member_entry *json = NULL, *image = NULL;

        for (uint32_t m = 0; m < e->n_members; m++) {
            if (strcmp(e->members[m].ext, "json") == 0)
                json = &e->members[m];
            else if (!image && is_image(e->members[m].ext))
                image = &e->members[m];
        }
        bind_int(s, 3, i);
        bind_text(s, 4, e->key);
        bind_int(s, 5, e->frame);
        bind_int(s, 6, e->n_members);
        bind_member(s, 7, json);
        bind_text(s, 10, image ? image->ext : NULL);
        bind_member(s, 11, image);
        rc = cpv_index_run(x, s, err);
    }
    return rc;
}

static int put_failures(cpv_index *x, const struct cpv_index_part *p, struct cpv_err *err)
{
    sqlite3_stmt *s = stmt_for(x, CPV_STMT_PUT_FAILURE, p);
    int rc = s ? CPV_OK : cpv_index_fail(x, err, "cannot change the index");

    for (uint64_t i = 0; !rc && i < p->record.n_failures; i++) {
        const struct cpv_failure *f = &p->record.failures[i];

        bind_int(s, 3, i);
        bind_int(s, 4, f->row);
        bind_text(s, 5, f->key);
        bind_text(s, 6, f->status);
        bind_int(s, 7, f->transient);
        bind_text(s, 8, f->detail);
        rc = cpv_index_run(x, s, err);
    }
    return rc;
}

/* Codes that mean: this part is not what it should be, others may be. */
static bool is_bad_part(int rc)
{
    return rc == CPV_E_CORRUPT || rc == CPV_E_INPUT || rc == CPV_E_ABSENT;
}

/* The numbers of one sample; what is null has no row. */
static int put_similarities(cpv_index *x, sqlite3_stmt *s, uint32_t pos,
                            const json_t *array, struct cpv_err *err)
{
    size_t n = json_array_size(array);
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < n; i++) {
        const json_t *item = json_array_get(array, i);

        if (!json_is_number(item))
            continue;
        bind_int(s, 3, pos);
        bind_int(s, 4, i);
        (void)sqlite3_bind_double(s, 5, json_number_value(item));
        rc = cpv_index_run(x, s, err);
    }
    return rc;
}

/* Of a column score-L alone: its samples are nothing else. *bad: one cannot be read. */
static int put_scores(cpv_index *x, const struct cpv_index_part *p, cpv_shard *shard,
                      bool *bad, struct cpv_err *err)
{
    bool wanted = strncmp(p->column, "score-", 6) == 0;
    sqlite3_stmt *s = wanted ? stmt_for(x, CPV_STMT_PUT_SCORE, p) : NULL;
    cpv_arena *mem = NULL;
    char *key;
    int rc;

    if (!wanted)
        return CPV_OK;
    if (!s)
        return cpv_index_fail(x, err, "cannot change the index");
    rc = cpv_arena_open(&mem, 0, err);
    for (uint32_t i = 0; !rc && i < cpv_shard_count(shard); i++) {
        struct cpv_sample sample;
        json_t *root = NULL;

        key = cpv_arena_printf(mem, "similarities-%s", p->column + 6);
        rc = key ? cpv_shard_read(shard, i, "json", mem, &sample, err)
                 : cpv_fail_memory(err);
        if (!rc)
            rc = cpv_json_parse(sample.members[0].data, sample.key, &root, err);
        *bad = is_bad_part(rc);
        if (!rc)
            rc = put_similarities(x, s, i, json_object_get(root, key), err);
        json_decref(root);
        cpv_arena_reset(mem);
    }
    cpv_arena_close(&mem);
    return rc;
}

static int put_run(cpv_index *x, const struct cpv_index_part *p, struct cpv_err *err)
{
    sqlite3_stmt *s;

    if (!p->stats)
        return CPV_OK;
    s = stmt_for(x, CPV_STMT_PUT_RUN, p);
    if (s)
        bind_text(s, 3, p->stats);
    return cpv_index_run(x, s, err);
}

/* Bindings point at what the caller frees; none may outlive this part. */
static void unbind(cpv_index *x)
{
    for (int i = 0; i < CPV_STMTS; i++) {
        if (x->stmt[i]) {
            (void)sqlite3_reset(x->stmt[i]);
            (void)sqlite3_clear_bindings(x->stmt[i]);
        }
    }
}

/* ---- transactions ---- */

static int begin(cpv_index *x, struct cpv_err *err)
{
    return cpv_index_run(x, cpv_index_stmt(x, CPV_STMT_BEGIN), err);
}

/* Commit if rc is 0, else roll back and keep rc. */
static int end(cpv_index *x, int rc, struct cpv_err *err)
{
    unbind(x);
    if (!rc)
        rc = cpv_index_run(x, cpv_index_stmt(x, CPV_STMT_COMMIT), err);
    if (rc)
        (void)sqlite3_exec(x->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int remove_rows(cpv_index *x, const char *column, uint32_t part,
                       struct cpv_err *err)
{
    static const char *const TABLE[] = {"parts",    "inputs", "frames", "samples",
                                        "failures", "scores", "runs"};
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < sizeof TABLE / sizeof *TABLE; i++) {
        char *sql = sqlite3_mprintf("DELETE FROM %s WHERE col = %Q AND part = %u",
                                    TABLE[i], column, part);

        rc = sql ? cpv_index_exec(x, sql, err) : cpv_fail_memory(err);
        sqlite3_free(sql);
    }
    return rc;
}

static int replace_rows(cpv_index *x, const struct cpv_index_part *p, cpv_shard *shard,
                        bool *bad, struct cpv_err *err)
{
    int rc = remove_rows(x, p->column, p->part, err);

    if (!rc)
        rc = put_part(x, p, err);
    if (!rc)
        rc = put_inputs(x, p, err);
    if (!rc)
        rc = put_frames(x, p, shard, err);
    if (!rc)
        rc = put_samples(x, p, shard, err);
    if (!rc)
        rc = put_failures(x, p, err);
    if (!rc)
        rc = put_scores(x, p, shard, bad, err);
    return rc ? rc : put_run(x, p, err);
}

static int check_shard(const struct cpv_index_part *p, const cpv_shard *shard,
                       struct cpv_err *err)
{
    const struct cpv_shard_info *s = cpv_shard_info(shard), *r = &p->record.shard;

    if (s->samples != r->samples || s->members != r->members || s->frames != r->frames ||
        s->tar_bytes != r->tar_bytes || memcmp(s->tar_sha256, r->tar_sha256, 32) != 0 ||
        memcmp(s->settings, p->record.settings, 32) != 0)
        return cpv_fail(err, CPV_E_CORRUPT, "'%s' is not the shard of its record",
                        p->shard);
    return CPV_OK;
}

int cpv_index_take(cpv_index *x, const struct cpv_index_part *p, bool *bad,
                   struct cpv_err *err)
{
    cpv_shard *shard = NULL;
    int rc = cpv_shard_open(&shard, p->shard, err);

    if (!rc)
        rc = check_shard(p, shard, err);
    *bad = is_bad_part(rc);
    if (!rc)
        rc = begin(x, err);
    if (!rc)
        rc = end(x, replace_rows(x, p, shard, bad, err), err);
    cpv_shard_close(&shard);
    return *bad ? CPV_OK : rc;
}

/* ---- the whole corpus ---- */

int cpv_index_knows(cpv_index *x, const struct cpv_index_part *p, struct cpv_err *err)
{
    sqlite3_stmt *s = stmt_for(x, CPV_STMT_PART_KNOWN, p);
    int step;

    if (!s)
        return cpv_index_fail(x, err, "cannot read the index");
    bind_int(s, 3, p->revision);
    bind_digest(s, 4, p->digest);
    step = sqlite3_step(s);
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        return cpv_index_fail(x, err, "cannot read the index");
    unbind(x);
    return step == SQLITE_ROW;
}

int cpv_index_list(cpv_index *x, cpv_arena *mem, struct cpv_index_at **out, uint32_t *n,
                   struct cpv_err *err)
{
    sqlite3_stmt *s = cpv_index_stmt(x, CPV_STMT_PARTS);
    const char *last = NULL;
    struct cpv_buf found = {0};
    int step = SQLITE_ERROR, rc = CPV_OK;

    while (s && (step = sqlite3_step(s)) == SQLITE_ROW && !found.failed) {
        const char *column = (const char *)sqlite3_column_text(s, 0);
        struct cpv_index_at at;

        if (!column)
            break;
        if (!last || strcmp(last, column) != 0)
            last = cpv_arena_str(mem, cpv_bytes_str(column));
        at.column = last;
        at.part = (uint32_t)sqlite3_column_int64(s, 1);
        found.failed |= !last;
        cpv_buf_add(&found, &at, sizeof at);
    }
    if (found.failed)
        rc = cpv_fail_memory(err);
    else if (step != SQLITE_DONE)
        rc = cpv_index_fail(x, err, "cannot read the index");
    if (s)
        (void)sqlite3_reset(s);
    if (!rc) {
        *n = (uint32_t)(found.size / sizeof **out);
        *out = cpv_arena_calloc(mem, *n + 1u, sizeof **out);
        if (!*out)
            rc = cpv_fail_memory(err);
        else if (*n)
            memcpy(*out, found.data, found.size);
    }
    cpv_buf_release(&found);
    return rc;
}

static int drop_part(cpv_index *x, const char *column, uint32_t part, struct cpv_err *err)
{
    int rc = begin(x, err);

    return rc ? rc : end(x, remove_rows(x, column, part, err), err);
}

/* Take in one part, or find that it is there already, or leave it out. */
static int update_part(cpv_index *x, const char *column, const struct cpv_column_part *at,
                       cpv_arena *mem, struct cpv_index_counts *counts,
                       struct cpv_err *err)
{
    struct cpv_index_part p;
    struct cpv_err why = {0};
    bool bad = false;
    int rc = cpv_index_load(x->corpus, column, at->part, at->revision, mem, &p, &why);

    if (is_bad_part(rc)) {
        bad = true;
        rc = CPV_OK;
    } else if (!rc && (rc = cpv_index_knows(x, &p, &why)) == 1) {
        counts->unchanged++;
        return CPV_OK;
    } else if (!rc) {
        rc = cpv_index_take(x, &p, &bad, &why);
    }
    if (bad) {
        cpv_log_warning(x->log, "left out of the index: %s", why.text);
        counts->bad++;
        return drop_part(x, column, at->part, err);
    }
    if (rc) {
        if (err)
            *err = why;
        return rc;
    }
    counts->added++;
    counts->samples += p.record.shard.samples;
    return CPV_OK;
}

/* Forget the parts that no column holds any more. */
static int drop_gone(cpv_index *x, const char *const *names,
                     const struct cpv_column *columns, uint32_t n_columns, cpv_arena *mem,
                     struct cpv_index_counts *counts, struct cpv_err *err)
{
    struct cpv_index_at *at = NULL;
    uint32_t n = 0, revision;
    int rc = cpv_index_list(x, mem, &at, &n, err);

    for (uint32_t i = 0; !rc && i < n; i++) {
        uint32_t c = 0;

        while (c < n_columns && strcmp(names[c], at[i].column) != 0)
            c++;
        if (c < n_columns && cpv_column_find(&columns[c], at[i].part, &revision))
            continue;
        rc = drop_part(x, at[i].column, at[i].part, err);
        counts->removed += !rc;
    }
    return rc;
}

static int update_all(cpv_index *x, cpv_arena *mem, cpv_arena *part_mem,
                      struct cpv_index_counts *counts, struct cpv_err *err)
{
    const char **names = NULL;
    struct cpv_column *columns = NULL;
    uint32_t n = 0;
    int rc = cpv_columns_list(x->corpus, mem, &names, &n, err);

    memset(counts, 0, sizeof *counts);
    if (!rc && !(columns = cpv_arena_calloc(mem, n + 1u, sizeof *columns)))
        rc = cpv_fail_memory(err);
    for (uint32_t c = 0; !rc && c < n; c++)
        rc = cpv_column_scan(x->corpus, names[c], mem, &columns[c], err);
    if (!rc)
        rc = drop_gone(x, names, columns, n, mem, counts, err);
    for (uint32_t c = 0; !rc && c < n; c++) {
        for (uint32_t i = 0; !rc && i < columns[c].count; i++) {
            if (cpv_stop_requested())
                rc = cpv_fail(err, CPV_E_STOPPED, "stopped while indexing '%s'",
                              x->corpus);
            else
                rc = update_part(x, names[c], &columns[c].at[i], part_mem, counts, err);
            cpv_arena_reset(part_mem);
        }
    }
    return rc;
}

int cpv_index_update(cpv_index *x, struct cpv_index_counts *counts, struct cpv_err *err)
{
    cpv_arena *mem = NULL, *part_mem = NULL;
    struct cpv_err why = {0};
    int rc = cpv_arena_open(&mem, 0, &why);

    if (!rc)
        rc = cpv_arena_open(&part_mem, 0, &why);
    if (!rc)
        rc = update_all(x, mem, part_mem, counts, &why);
    if (rc == CPV_E_CORRUPT) { /* not a part, those are counted: the file itself */
        rc = cpv_index_renew(x, why.text, &why);
        if (!rc)
            rc = update_all(x, mem, part_mem, counts, &why);
    }
    if (rc && err)
        *err = why;
    cpv_arena_close(&mem);
    cpv_arena_close(&part_mem);
    return rc;
}
