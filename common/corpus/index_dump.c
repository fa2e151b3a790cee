/* SPDX-License-Identifier: Apache-2.0 */
/* See index.h. Everything that is in the index, as text; and whether it is what the
 * shards and records say. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/corpus/column.h"
#include "common/corpus/index_db.h"

const struct cpv_index_table cpv_index_tables[] = {
    {"parts", "col, part"},
    {"inputs", "col, part, n"},
    {"frames", "col, part, frame"},
    {"samples", "col, part, pos"},
    {"failures", "col, part, n"},
    {"scores", "col, part, pos, n"},
    {NULL, NULL},
};

enum { PIECE = 1 << 16 }; /* bytes that go to a sink at a time, about */

/* ---- rows as text ---- */

static void add_text(struct cpv_buf *out, sqlite3_stmt *s, int at)
{
    const char *text = (const char *)sqlite3_column_text(s, at);
    int n = sqlite3_column_bytes(s, at);

    cpv_buf_byte(out, '\'');
    for (int i = 0; text && i < n; i++) {
        if (text[i] == '\'')
            cpv_buf_byte(out, '\'');
        cpv_buf_byte(out, (uint8_t)text[i]);
    }
    cpv_buf_byte(out, '\'');
}

static void add_blob(struct cpv_buf *out, sqlite3_stmt *s, int at)
{
    const uint8_t *blob = sqlite3_column_blob(s, at);
    int n = sqlite3_column_bytes(s, at);

    cpv_buf_str(out, "X'");
    for (int i = 0; blob && i < n; i++)
        cpv_buf_printf(out, "%02x", blob[i]);
    cpv_buf_byte(out, '\'');
}

static void add_value(struct cpv_buf *out, sqlite3_stmt *s, int at)
{
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_INTEGER:
        cpv_buf_printf(out, "%lld", (long long)sqlite3_column_int64(s, at));
        break;
    case SQLITE_FLOAT:
        cpv_buf_printf(out, "%.17g", sqlite3_column_double(s, at));
        break;
    case SQLITE_TEXT:
        add_text(out, s, at);
        break;
    case SQLITE_BLOB:
        add_blob(out, s, at);
        break;
    default:
        cpv_buf_str(out, "NULL");
        break;
    }
}

static int flush(struct cpv_buf *text, cpv_index_sink *sink, void *ctx,
                 struct cpv_err *err)
{
    int rc = text->failed ? cpv_fail_memory(err) : sink(ctx, cpv_buf_view(text), err);

    cpv_buf_clear(text);
    return rc;
}

/* The rows that a statement gives, as INSERTs. */
static int dump_rows(cpv_index *x, sqlite3_stmt *s, const char *table,
                     cpv_index_sink *sink, void *ctx, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = CPV_OK, step;

    while (!rc && (step = sqlite3_step(s)) != SQLITE_DONE) {
        if (step != SQLITE_ROW) {
            rc = cpv_index_fail(x, err, "cannot read the index");
            break;
        }
        cpv_buf_printf(&text, "INSERT INTO %s VALUES", table);
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            cpv_buf_byte(&text, i ? ',' : '(');
            add_value(&text, s, i);
        }
        cpv_buf_str(&text, ");\n");
        if (text.size >= PIECE || text.failed)
            rc = flush(&text, sink, ctx, err);
    }
    if (!rc)
        rc = flush(&text, sink, ctx, err);
    cpv_buf_release(&text);
    return rc;
}

/* One table, all of it (column NULL) or of one part. */
static int dump_table(cpv_index *x, const struct cpv_index_table *t, const char *column,
                      uint32_t part, cpv_index_sink *sink, void *ctx, struct cpv_err *err)
{
    sqlite3_stmt *s = NULL;
    char *sql = column
                    ? sqlite3_mprintf("SELECT * FROM %s WHERE col = %Q AND part = %u "
                                      "ORDER BY %s",
                                      t->name, column, part, t->order)
                    : sqlite3_mprintf("SELECT * FROM %s ORDER BY %s", t->name, t->order);
    int rc;

    if (!sql)
        return cpv_fail_memory(err);
    if (sqlite3_prepare_v2(x->db, sql, -1, &s, NULL) != SQLITE_OK)
        rc = cpv_index_fail(x, err, "cannot read the index");
    else
        rc = dump_rows(x, s, t->name, sink, ctx, err);
    (void)sqlite3_finalize(s);
    sqlite3_free(sql);
    return rc;
}

int cpv_index_dump(cpv_index *x, cpv_index_sink *sink, void *ctx, struct cpv_err *err)
{
    int rc = cpv_index_exec(x, "BEGIN", err); /* one state of it, whoever writes */

    if (rc)
        return rc;
    rc = sink(ctx, cpv_bytes_str(cpv_index_schema), err);
    if (!rc)
        rc = sink(ctx, cpv_bytes_str("BEGIN;\n"), err);
    for (const struct cpv_index_table *t = cpv_index_tables; !rc && t->name; t++)
        rc = dump_table(x, t, NULL, 0, sink, ctx, err);
    if (!rc)
        rc = sink(ctx, cpv_bytes_str("COMMIT;\n"), err);
    (void)sqlite3_exec(x->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* ---- checking ---- */

struct check {
    cpv_index *x, *fresh;
    cpv_index_problem *problem;
    void *ctx;
    uint32_t behind;
    cpv_sha256 *digest;
};

static void report(struct check *c, const char *fmt, ...) CPV_PRINTF(2, 3);
static void report(struct check *c, const char *fmt, ...)
{
    char line[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    c->problem(c->ctx, line);
}

static int into_digest(void *ctx, struct cpv_bytes text, struct cpv_err *err)
{
    struct check *c = ctx;

    (void)err;
    cpv_sha256_add(c->digest, text.data, text.size);
    return CPV_OK;
}

static int compare_part(struct check *c, const char *column, uint32_t part,
                        struct cpv_err *err)
{
    int rc = CPV_OK;

    for (const struct cpv_index_table *t = cpv_index_tables; !rc && t->name; t++) {
        uint8_t was[32], is[32];

        rc = dump_table(c->x, t, column, part, into_digest, c, err);
        cpv_sha256_take(c->digest, was);
        if (!rc)
            rc = dump_table(c->fresh, t, column, part, into_digest, c, err);
        cpv_sha256_take(c->digest, is);
        if (!rc && memcmp(was, is, sizeof is) != 0)
            report(c,
                   "'%s': table '%s' of column '%s' part %u is not what the shard says",
                   c->x->path, t->name, column, part);
    }
    return rc;
}

static int check_part(struct check *c, const char *column,
                      const struct cpv_column_part *at, cpv_arena *mem,
                      struct cpv_err *err)
{
    struct cpv_index_part p;
    bool bad = false;
    int rc = cpv_index_load(c->x->corpus, column, at->part, at->revision, mem, &p, err);

    if (rc == CPV_E_CORRUPT || rc == CPV_E_INPUT || rc == CPV_E_ABSENT)
        return CPV_OK; /* whoever checks shards and records says what is wrong */
    if (!rc)
        rc = cpv_index_knows(c->x, &p, err);
    if (rc == 0) {
        c->behind++;
        return CPV_OK;
    }
    if (rc < 0)
        return rc;
    rc = cpv_index_take(c->fresh, &p, &bad, err);
    if (!rc && !bad)
        rc = compare_part(c, column, at->part, err);
    if (!rc)
        rc =
            cpv_index_exec(c->fresh,
                           "DELETE FROM parts; DELETE FROM inputs; DELETE FROM frames;"
                           "DELETE FROM samples; DELETE FROM failures; DELETE FROM runs;",
                           err);
    return rc;
}

/* Parts of the index that the corpus has not (any more). */
static int count_gone(struct check *c, cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_index_at *at = NULL;
    struct cpv_column column = {0};
    uint32_t n = 0, revision;
    int rc = cpv_index_list(c->x, mem, &at, &n, err);

    for (uint32_t i = 0; !rc && i < n; i++) {
        if (i == 0 || at[i].column != at[i - 1].column)
            rc = cpv_column_scan(c->x->corpus, at[i].column, mem, &column, err);
        if (!rc && !cpv_column_find(&column, at[i].part, &revision))
            c->behind++;
    }
    return rc;
}

static int check_file(struct check *c, struct cpv_err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = CPV_OK, step;

    if (sqlite3_prepare_v2(c->x->db, "PRAGMA integrity_check", -1, &s, NULL) != SQLITE_OK)
        return cpv_index_fail(c->x, err, "cannot read the index");
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(s, 0);

        if (line && strcmp(line, "ok") != 0)
            report(c, "'%s': %s", c->x->path, line);
    }
    if (step != SQLITE_DONE)
        rc = cpv_index_fail(c->x, err, "cannot read the index");
    (void)sqlite3_finalize(s);
    return rc;
}

static int check_all(struct check *c, cpv_arena *mem, cpv_arena *part_mem,
                     struct cpv_err *err)
{
    const char **names = NULL;
    uint32_t n = 0;
    int rc = cpv_columns_list(c->x->corpus, mem, &names, &n, err);

    for (uint32_t i = 0; !rc && i < n; i++) {
        struct cpv_column column;

        rc = cpv_column_scan(c->x->corpus, names[i], mem, &column, err);
        for (uint32_t p = 0; !rc && p < column.count; p++) {
            rc = check_part(c, names[i], &column.at[p], part_mem, err);
            cpv_arena_reset(part_mem);
        }
    }
    return rc ? rc : count_gone(c, mem, err);
}

int cpv_index_check(cpv_index *x, cpv_index_problem *problem, void *ctx, uint32_t *behind,
                    struct cpv_err *err)
{
    struct check c = {.x = x, .problem = problem, .ctx = ctx};
    cpv_arena *mem = NULL, *part_mem = NULL;
    int rc = cpv_arena_open(&mem, 0, err);

    if (!rc)
        rc = cpv_arena_open(&part_mem, 0, err);
    if (!rc)
        rc = cpv_sha256_open(&c.digest, err);
    if (!rc)
        rc = cpv_index_open_memory(&c.fresh, x->corpus, NULL, err);
    if (!rc)
        rc = check_file(&c, err);
    if (!rc)
        rc = check_all(&c, mem, part_mem, err);
    *behind = c.behind;
    cpv_index_close(&c.fresh);
    cpv_sha256_close(&c.digest);
    cpv_arena_close(&part_mem);
    cpv_arena_close(&mem);
    return rc;
}
