/* SPDX-License-Identifier: Apache-2.0 */
/* See index.h. Opening and closing; index_fill.c writes, index_query.c looks things
 * up, index_dump.c reads it all. SQLite's own files and memory are SQLite's matter. */
#include "common/corpus/index.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/corpus/index_db.h"

enum { APPLICATION = 0x43505641, VERSION = 1, BUSY_MS = 10000 };

const char cpv_index_schema[] =
#include "index_sql.h"
    ;

/* clang-format off */
static const char *const SQL[CPV_STMTS] = {
    [CPV_STMT_BEGIN] = "BEGIN IMMEDIATE",
    [CPV_STMT_COMMIT] = "COMMIT",
    [CPV_STMT_PART_KNOWN] =
        "SELECT 1 FROM parts WHERE col = ?1 AND part = ?2 AND revision = ?3 "
        "AND record = ?4",
    [CPV_STMT_PARTS] = "SELECT col, part FROM parts ORDER BY col, part",
    [CPV_STMT_FIND] =
        "SELECT s.col, s.part, p.revision, s.pos FROM samples s JOIN parts p "
        "ON p.col = s.col AND p.part = s.part WHERE s.key = ?1 "
        "ORDER BY s.col, s.part, s.pos",
    [CPV_STMT_TOTALS] =
        "SELECT count(*), total(samples), total(failed), total(transient), total(bytes) "
        "FROM parts WHERE col = ?1",
    [CPV_STMT_REASONS] =
        "SELECT status, count(*), sum(transient) FROM failures WHERE col = ?1 "
        "GROUP BY status ORDER BY count(*) DESC, status",
    [CPV_STMT_STATS] = "SELECT part, stats FROM runs WHERE col = ?1 ORDER BY part",
    [CPV_STMT_PUT_PART] =
        "INSERT INTO parts VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)",
    [CPV_STMT_PUT_INPUT] = "INSERT INTO inputs VALUES(?1,?2,?3,?4,?5)",
    [CPV_STMT_PUT_FRAME] = "INSERT INTO frames VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [CPV_STMT_PUT_SAMPLE] =
        "INSERT INTO samples VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
    [CPV_STMT_PUT_SCORE] = "INSERT INTO scores VALUES(?1,?2,?3,?4,?5)",
    [CPV_STMT_PUT_FAILURE] = "INSERT INTO failures VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [CPV_STMT_PUT_RUN] = "INSERT INTO runs VALUES(?1,?2,?3)",
};
/* clang-format on */

/* ---- errors and statements ---- */

int cpv_index_fail(const cpv_index *x, struct cpv_err *err, const char *what)
{
    int code;

    switch (sqlite3_errcode(x->db) & 0xff) {
    case SQLITE_FULL:
        code = CPV_E_SPACE;
        break;
    case SQLITE_NOMEM:
        code = CPV_E_MEMORY;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = CPV_E_BUSY;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_CONSTRAINT: /* our keys are unique by construction */
    case SQLITE_ERROR:      /* no such table: someone dropped it */
    case SQLITE_SCHEMA:
        code = CPV_E_CORRUPT;
        break;
    case SQLITE_MISUSE:
        code = CPV_E_BUG;
        break;
    default:
        code = CPV_E_IO;
        break;
    }
    return cpv_fail(err, code, "'%s': %s: %s", x->path, what, sqlite3_errmsg(x->db));
}

int cpv_index_exec(cpv_index *x, const char *sql, struct cpv_err *err)
{
    if (sqlite3_exec(x->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return cpv_index_fail(x, err, "cannot change the index");
    return CPV_OK;
}

sqlite3_stmt *cpv_index_stmt(cpv_index *x, enum cpv_index_stmt which)
{
    if (x->stmt[which])
        (void)sqlite3_reset(x->stmt[which]);
    else
        (void)sqlite3_prepare_v3(x->db, SQL[which], -1, SQLITE_PREPARE_PERSISTENT,
                                 &x->stmt[which], NULL);
    return x->stmt[which];
}

int cpv_index_run(cpv_index *x, sqlite3_stmt *s, struct cpv_err *err)
{
    if (!s || sqlite3_step(s) != SQLITE_DONE)
        return cpv_index_fail(x, err, "cannot change the index");
    (void)sqlite3_reset(s);
    return CPV_OK;
}

/* The number that a statement of one value gives. */
static int read_number(cpv_index *x, const char *sql, int64_t *out, struct cpv_err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = CPV_OK;

    if (sqlite3_prepare_v2(x->db, sql, -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        rc = cpv_index_fail(x, err, "cannot read the index");
    else
        *out = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return rc;
}

/* ---- the handle ---- */

static void close_db(cpv_index *x)
{
    for (int i = 0; i < CPV_STMTS; i++) {
        (void)sqlite3_finalize(x->stmt[i]);
        x->stmt[i] = NULL;
    }
    (void)sqlite3_close(x->db);
    x->db = NULL;
}

static void free_index(cpv_index *x)
{
    close_db(x);
    cpv_file_close(&x->lock);
    cpv_free(x->corpus);
    cpv_free(x->path);
    cpv_free(x);
}

static char *join(const char *folder, const char *name)
{
    struct cpv_buf b = {0};

    cpv_buf_printf(&b, "%s/%s", folder, name);
    if (!cpv_buf_cstr(&b))
        cpv_buf_release(&b);
    return (char *)b.data;
}

static int make_index(cpv_index **out, const char *corpus, cpv_log *log,
                      struct cpv_err *err)
{
    cpv_index *x = cpv_calloc(1, sizeof *x);

    *out = NULL;
    if (!x)
        return cpv_fail_memory(err);
    x->lock = -1;
    x->log = log;
    x->corpus = cpv_strdup(corpus);
    x->path = join(corpus, "index.sqlite");
    if (!x->corpus || !x->path) {
        free_index(x);
        return cpv_fail_memory(err);
    }
    *out = x;
    return CPV_OK;
}

static int open_db(cpv_index *x, const char *name, int flags, struct cpv_err *err)
{
    int sys = sqlite3_open_v2(name, &x->db, flags | SQLITE_OPEN_NOMUTEX, NULL);

    if (!x->db)
        return cpv_fail_memory(err);
    if (sys != SQLITE_OK)
        return cpv_index_fail(x, err, "cannot open the index");
    (void)sqlite3_extended_result_codes(x->db, 1);
    (void)sqlite3_busy_timeout(x->db, BUSY_MS);
    return CPV_OK;
}

/* ---- what lies there ---- */

enum state { STATE_EMPTY, STATE_OURS, STATE_OTHER_VERSION, STATE_FOREIGN };

/* CPV_E_CORRUPT if it is not even a database. */
static int look(cpv_index *x, enum state *state, struct cpv_err *err)
{
    int64_t application = 0, version = 0, tables = 0;
    int rc;

    if ((rc = read_number(x, "PRAGMA application_id", &application, err)) ||
        (rc = read_number(x, "PRAGMA user_version", &version, err)) ||
        (rc = read_number(x, "SELECT count(*) FROM sqlite_schema", &tables, err)))
        return rc;
    if (application == APPLICATION)
        *state = version == VERSION ? STATE_OURS : STATE_OTHER_VERSION;
    else
        *state = application || version || tables ? STATE_FOREIGN : STATE_EMPTY;
    return CPV_OK;
}

/* Remove the files of the index, or of SQLite's beside it only. */
static int remove_files(const cpv_index *x, bool main_too, struct cpv_err *err)
{
    static const char *const SUFFIX[] = {"", "-wal", "-shm", "-journal"};
    int rc = CPV_OK;

    for (size_t i = main_too ? 0 : 1; !rc && i < CPV_COUNT(SUFFIX); i++) {
        struct cpv_buf name = {0};

        cpv_buf_printf(&name, "%s%s", x->path, SUFFIX[i]);
        if (!cpv_buf_cstr(&name))
            rc = cpv_fail_memory(err);
        else if (cpv_sys.unlink((char *)name.data) < 0 && errno != ENOENT)
            rc = cpv_fail_sys(err, errno, "cannot remove '%s'", (char *)name.data);
        cpv_buf_release(&name);
    }
    return rc;
}

/* Out of the way, replacing what was set aside earlier. */
static int set_aside(cpv_index *x, const char *why, struct cpv_err *err)
{
    char *aside = join(x->corpus, "index.sqlite.damaged");
    int rc = aside ? CPV_OK : cpv_fail_memory(err);

    close_db(x);
    if (!rc && cpv_sys.rename(x->path, aside) < 0)
        rc = cpv_fail_sys(err, errno, "cannot rename '%s' to '%s'", x->path, aside);
    if (!rc)
        rc = remove_files(x, false, err);
    if (!rc)
        cpv_log_warning(x->log, "%s; set aside as '%s', made anew", why, aside);
    cpv_free(aside);
    return rc;
}

/* An empty database becomes an index; all of it or nothing. */
static int make_schema(cpv_index *x, struct cpv_err *err)
{
    int rc = cpv_index_exec(x, "PRAGMA page_size = 8192; BEGIN IMMEDIATE;", err);

    if (!rc)
        rc = cpv_index_exec(x, cpv_index_schema, err);
    return rc ? rc : cpv_index_exec(x, "COMMIT;", err);
}

/*
 * WAL: readers see the last commit while we write. NORMAL: a power loss may cost the
 * newest commits, never the consistency; the next update makes up for them.
 */
static int start_writing(cpv_index *x, struct cpv_err *err)
{
    return cpv_index_exec(x,
                          "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                          "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8192;",
                          err);
}

/* Open what is there for writing, or make it. */
static int open_or_make(cpv_index *x, struct cpv_err *err)
{
    struct cpv_err why = {0};
    enum state state = STATE_FOREIGN;
    int rc = open_db(x, x->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &why);

    if (!rc)
        rc = look(x, &state, &why);
    if (rc && rc != CPV_E_CORRUPT) {
        if (err)
            *err = why;
        return rc;
    }
    if (!rc && state == STATE_FOREIGN)
        rc = cpv_fail(&why, CPV_E_CORRUPT, "'%s' is not an index of ours", x->path);
    if (!rc && state == STATE_OURS)
        return start_writing(x, err);
    if (rc) {
        rc = set_aside(x, why.text, err);
    } else if (state == STATE_OTHER_VERSION) {
        close_db(x);
        cpv_log_info(x->log, "'%s' is of another version; made anew", x->path);
        rc = remove_files(x, true, err);
    }
    if (!rc && !x->db)
        rc = open_db(x, x->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!rc)
        rc = make_schema(x, err);
    return rc ? rc : start_writing(x, err);
}

static int take_lock(cpv_index *x, int wait_ms, struct cpv_err *err)
{
    const struct timespec pause = {0, 20 * 1000000};
    int64_t until = cpv_clock_ms() + wait_ms;
    char *path = join(x->corpus, ".index.lock");
    int rc = path ? CPV_OK : cpv_fail_memory(err);

    while (!rc) {
        rc = cpv_file_lock(&x->lock, path, err);
        if (rc != CPV_E_BUSY || cpv_clock_ms() >= until)
            break;
        rc = CPV_OK;
        (void)nanosleep(&pause, NULL);
    }
    cpv_free(path);
    return rc;
}

int cpv_index_open_write(cpv_index **out, const char *corpus, bool fresh, int wait_ms,
                         cpv_log *log, struct cpv_err *err)
{
    int rc = make_index(out, corpus, log, err);

    if (rc)
        return rc;
    rc = take_lock(*out, wait_ms, err);
    if (!rc && fresh)
        rc = remove_files(*out, true, err);
    if (!rc)
        rc = open_or_make(*out, err);
    if (rc) {
        free_index(*out);
        *out = NULL;
    }
    return rc;
}

int cpv_index_renew(cpv_index *x, const char *why, struct cpv_err *err)
{
    int rc = set_aside(x, why, err);

    return rc ? rc : open_or_make(x, err);
}

int cpv_index_open_memory(cpv_index **out, const char *corpus, cpv_log *log,
                          struct cpv_err *err)
{
    int rc = make_index(out, corpus, log, err);

    if (rc)
        return rc;
    cpv_free((*out)->path);
    (*out)->path = cpv_strdup("index in memory");
    rc = !(*out)->path
             ? cpv_fail_memory(err)
             : open_db(*out, ":memory:",
                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
                       err);
    if (!rc)
        rc = cpv_index_exec(*out, cpv_index_schema, err);
    if (rc) {
        free_index(*out);
        *out = NULL;
    }
    return rc;
}

/* "file:PATH?immutable=1", for folders that cannot be written to. */
static char *immutable_name(const char *path)
{
    struct cpv_buf b = {0};

    cpv_buf_str(&b, "file:");
    for (const char *p = path; *p; p++) {
        if (strchr("%?# ", *p))
            cpv_buf_printf(&b, "%%%02X", (unsigned)(unsigned char)*p);
        else
            cpv_buf_byte(&b, (uint8_t)*p);
    }
    cpv_buf_str(&b, "?immutable=1");
    if (!cpv_buf_cstr(&b))
        cpv_buf_release(&b);
    return (char *)b.data;
}

static int open_immutable(cpv_index *x, enum state *state, struct cpv_err *err)
{
    char *name = immutable_name(x->path);
    int rc = name ? CPV_OK : cpv_fail_memory(err);

    close_db(x);
    if (!rc)
        rc = open_db(x, name, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
    if (!rc)
        rc = look(x, state, err);
    cpv_free(name);
    return rc;
}

int cpv_index_open_read(cpv_index **out, const char *corpus, struct cpv_err *err)
{
    enum state state = STATE_EMPTY;
    int rc = make_index(out, corpus, NULL, err);

    if (rc)
        return rc;
    if (!cpv_file_exists((*out)->path))
        rc = cpv_fail(err, CPV_E_ABSENT, "'%s' is not there", (*out)->path);
    if (!rc) {
        rc = open_db(*out, (*out)->path, SQLITE_OPEN_READONLY, err);
        if (!rc)
            rc = look(*out, &state, err);
        /* WAL mode wants to make a file beside it; where it may not, none is needed. */
        if (rc == CPV_E_IO)
            rc = open_immutable(*out, &state, err);
    }
    if (!rc && state != STATE_OURS)
        rc = cpv_fail(err, CPV_E_CORRUPT, "'%s' is not an index of this version",
                      (*out)->path);
    if (rc) {
        free_index(*out);
        *out = NULL;
    }
    return rc;
}

int cpv_index_finish(cpv_index *x, struct cpv_err *err)
{
    int64_t busy = 0;
    int rc = cpv_index_exec(x, "VACUUM;", err);

    if (!rc)
        rc = read_number(x, "PRAGMA wal_checkpoint(TRUNCATE)", &busy, err);
    if (!rc && busy)
        rc = cpv_fail(err, CPV_E_BUSY, "'%s' is being read by another process", x->path);
    return rc ? rc : cpv_index_exec(x, "PRAGMA journal_mode = DELETE;", err);
}

void cpv_index_close(cpv_index **xp)
{
    cpv_index *x = *xp;

    *xp = NULL;
    if (!x)
        return;
    if (x->lock >= 0 && x->db) {
        /* Best effort: with a reader in the way it stays in WAL mode, which is fine. */
        (void)sqlite3_busy_timeout(x->db, 0);
        (void)sqlite3_exec(x->db, "PRAGMA journal_mode = DELETE;", NULL, NULL, NULL);
    }
    free_index(x);
}
