/* SPDX-License-Identifier: Apache-2.0 */
/* See index.h. Looking up keys, totals and reasons. */
#include <string.h>

#include "common/corpus/index_db.h"

/* ---- keys ---- */

static int add_place(sqlite3_stmt *s, cpv_arena *mem, struct cpv_buf *found)
{
    const char *column = (const char *)sqlite3_column_text(s, 0);
    struct cpv_index_place p = {column ? cpv_arena_str(mem, cpv_bytes_str(column)) : NULL,
                                (uint32_t)sqlite3_column_int64(s, 1),
                                (uint32_t)sqlite3_column_int64(s, 2),
                                (uint32_t)sqlite3_column_int64(s, 3)};

    if (!p.column)
        return CPV_E_MEMORY;
    cpv_buf_add(found, &p, sizeof p);
    return found->failed ? CPV_E_MEMORY : CPV_OK;
}

int cpv_index_find(cpv_index *x, const char *key, cpv_arena *mem,
                   struct cpv_index_place **out, uint32_t *n, struct cpv_err *err)
{
    sqlite3_stmt *s = cpv_index_stmt(x, CPV_STMT_FIND);
    struct cpv_buf found = {0};
    int rc = CPV_OK, step;

    *n = 0;
    if (!s || sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC) != SQLITE_OK)
        return cpv_index_fail(x, err, "cannot read the index");
    while (!rc && (step = sqlite3_step(s)) != SQLITE_DONE) {
        if (step != SQLITE_ROW)
            rc = cpv_index_fail(x, err, "cannot read the index");
        else if (add_place(s, mem, &found))
            rc = cpv_fail_memory(err);
    }
    (void)sqlite3_reset(s);
    (void)sqlite3_clear_bindings(s);
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

/* ---- totals ---- */

/* A statement about one column, bound and ready; NULL: cpv_index_fail says why. */
static sqlite3_stmt *about(cpv_index *x, enum cpv_index_stmt which, const char *column)
{
    sqlite3_stmt *s = cpv_index_stmt(x, which);

    if (s && sqlite3_bind_text(s, 1, column, -1, SQLITE_STATIC) != SQLITE_OK)
        return NULL;
    return s;
}

static void finish_with(sqlite3_stmt *s)
{
    if (s) {
        (void)sqlite3_reset(s);
        (void)sqlite3_clear_bindings(s);
    }
}

int cpv_index_totals(cpv_index *x, const char *column, struct cpv_index_totals *out,
                     struct cpv_err *err)
{
    sqlite3_stmt *s = about(x, CPV_STMT_TOTALS, column);
    int rc = CPV_OK;

    memset(out, 0, sizeof *out);
    if (!s || sqlite3_step(s) != SQLITE_ROW) {
        rc = cpv_index_fail(x, err, "cannot read the index");
    } else {
        out->parts = (uint64_t)sqlite3_column_int64(s, 0);
        out->samples = (uint64_t)sqlite3_column_int64(s, 1);
        out->failed = (uint64_t)sqlite3_column_int64(s, 2);
        out->transient = (uint64_t)sqlite3_column_int64(s, 3);
        out->bytes = (uint64_t)sqlite3_column_int64(s, 4);
    }
    finish_with(s);
    return rc;
}

static void add_reason(sqlite3_stmt *s, cpv_arena *mem, struct cpv_buf *found)
{
    const char *status = (const char *)sqlite3_column_text(s, 0);
    struct cpv_status_count c = {
        status ? cpv_arena_str(mem, cpv_bytes_str(status)) : NULL,
        (uint64_t)sqlite3_column_int64(s, 1), (uint64_t)sqlite3_column_int64(s, 2)};

    found->failed |= !c.status;
    cpv_buf_add(found, &c, sizeof c);
}

int cpv_index_reasons(cpv_index *x, const char *column, cpv_arena *mem,
                      struct cpv_status_count **out, uint32_t *n, struct cpv_err *err)
{
    sqlite3_stmt *s = about(x, CPV_STMT_REASONS, column);
    struct cpv_buf found = {0};
    int step = SQLITE_ERROR, rc = CPV_OK;

    while (s && !found.failed && (step = sqlite3_step(s)) == SQLITE_ROW)
        add_reason(s, mem, &found);
    *n = (uint32_t)(found.size / sizeof **out);
    *out = found.failed ? NULL : cpv_arena_calloc(mem, *n + 1u, sizeof **out);
    if (!*out)
        rc = cpv_fail_memory(err);
    else if (step != SQLITE_DONE)
        rc = cpv_index_fail(x, err, "cannot read the index");
    else if (*n)
        memcpy(*out, found.data, found.size);
    finish_with(s);
    cpv_buf_release(&found);
    return rc;
}

int cpv_index_stats(cpv_index *x, const char *column, cpv_index_stats_fn *visit,
                    void *ctx, struct cpv_err *err)
{
    sqlite3_stmt *s = about(x, CPV_STMT_STATS, column);
    int step = SQLITE_ERROR;

    while (s && (step = sqlite3_step(s)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 1);

        if (text)
            visit(ctx, (uint32_t)sqlite3_column_int64(s, 0), cpv_bytes_str(text));
    }
    finish_with(s);
    if (step != SQLITE_DONE)
        return cpv_index_fail(x, err, "cannot read the index");
    return CPV_OK;
}
