/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See plan.h. The cache file, little-endian:
 *
 *     8   magic
 *    32   key: sha256 of the input's identity and of the parameters
 *     8   rows        8  bad        4  parts
 *    64   a part: row_begin row_end offset line sha256     times parts
 *     4   crc32c of all before
 */
#include "common/format/plan.h"

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/rows_internal.h"

/* The last digit is the version of the file and of how rows are cut and hashed. */
static const char MAGIC[8] = {'C', 'P', 'V', 'P', 'L', 'A', 'N', '1'};

enum {
    HEAD = 8 + CPV_SHA256_SIZE + 8 + 8 + 4,
    PART = 4 * 8 + CPV_SHA256_SIZE,
    CACHE_MAX = 1 << 30,
    WATCH_BYTES = 4 << 20,
    WATCH_ROWS = 4096
};

/* ---- identity ---- */

static void put_text(struct cpv_buf *b, const char *s)
{
    cpv_buf_byte(b, s != NULL);
    if (s)
        cpv_buf_add(b, s, strlen(s) + 1);
}

static void put_texts(struct cpv_buf *b, const struct cpv_texts *t)
{
    cpv_buf_u64(b, t->count);
    for (size_t i = 0; i < t->count; i++)
        put_text(b, t->at[i]);
}

/* 1: the key. 0: an input that nothing cheap identifies. Below 0: out of memory. */
static int make_key(uint8_t key[CPV_SHA256_SIZE], const struct cpv_rows_params *p,
                    uint64_t rows_per_part, struct cpv_err *err)
{
    struct cpv_buf b = {0};
    struct stat st;
    bool failed;

    if (cpv_sys.stat(p->path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    cpv_buf_u64(&b, (uint64_t)st.st_size);
    cpv_buf_u64(&b, (uint64_t)st.st_mtim.tv_sec);
    cpv_buf_u64(&b, (uint64_t)st.st_mtim.tv_nsec);
    cpv_buf_u64(&b, (uint64_t)st.st_ino);
    cpv_buf_u64(&b, (uint64_t)st.st_dev);
    cpv_buf_u64(&b, rows_per_part);
    /* AUTO goes by the name, so what it comes to is part of the key */
    cpv_buf_u64(&b, p->format ? p->format : cpv_rows_guess(p->path));
    cpv_buf_u64(&b, p->hash_kind);
    cpv_buf_u64(&b, p->header);
    cpv_buf_u64(&b, p->max_line);
    put_text(&b, p->url);
    put_text(&b, p->file);
    put_text(&b, p->root);
    put_text(&b, p->hash_column);
    put_texts(&b, &p->captions);
    put_texts(&b, &p->extra);
    failed = b.failed;
    if (!failed)
        cpv_sha256_of(key, cpv_buf_view(&b));
    cpv_buf_release(&b);
    return failed ? cpv_fail_memory(err) : 1;
}

/* ---- making ---- */

struct maker {
    cpv_rows *rows;
    struct cpv_plan *plan;
    uint64_t per_part;
    size_t room;
    cpv_sha256 *sha;
    cpv_arena *mem; /* of one row at a time */
    const struct cpv_plan_watch *watch;
    uint64_t watched; /* bytes or rows at the last look */
};

static int look_up(struct maker *m, uint64_t bytes, struct cpv_err *err)
{
    uint64_t done = bytes ? bytes : m->plan->rows;

    if (!m->watch || done - m->watched < (bytes ? WATCH_BYTES : WATCH_ROWS))
        return CPV_OK;
    m->watched = done;
    if (m->watch->go_on(m->watch->payload, m->plan->rows, bytes))
        return CPV_OK;
    return cpv_fail(err, CPV_E_STOPPED, "stopped while planning '%s'", m->rows->p.path);
}

/* Before the row is counted: it opens a part if it is the first of one. */
static int begin_row(struct maker *m, uint64_t offset, uint64_t line, struct cpv_err *err)
{
    struct cpv_plan *plan = m->plan;

    if (plan->rows % m->per_part)
        return CPV_OK;
    if (plan->n_parts == UINT32_MAX)
        return cpv_fail(err, CPV_E_USAGE, "'%s': more than %u parts", m->rows->p.path,
                        UINT32_MAX);
    if (plan->n_parts == m->room) {
        size_t room = m->room ? m->room : 64, size;
        void *more;

        if (!cpv_size_mul(room, 2, &room) ||
            !cpv_size_mul(room, sizeof *plan->parts, &size) ||
            !(more = cpv_realloc(plan->parts, size)))
            return cpv_fail_memory(err);
        plan->parts = more;
        m->room = room;
    }
    plan->parts[plan->n_parts++] = (struct cpv_plan_part){
        .row_begin = plan->rows, .row_end = plan->rows, .offset = offset, .line = line};
    return CPV_OK;
}

static void end_part(struct maker *m)
{
    struct cpv_plan_part *part = &m->plan->parts[m->plan->n_parts - 1];

    part->row_end = m->plan->rows;
    if (m->rows->ops->text)
        cpv_lines_digest(&m->rows->lines, part->sha256);
    else
        cpv_sha256_take(m->sha, part->sha256);
}

/* Text: records as they stand, nothing in them is looked at. */
static int plan_text(struct maker *m, struct cpv_err *err)
{
    cpv_rows *r = m->rows;
    struct cpv_record record;
    int rc;

    r->lines.digest = m->sha;
    while ((rc = cpv_lines_next(&r->lines, &record, err)) == 1) {
        if ((rc = begin_row(m, record.offset, record.line, err)))
            break;
        m->plan->rows++;
        m->plan->bad += record.flaw || (r->ops->torn && r->ops->torn(r, &record));
        if (m->plan->rows % m->per_part == 0)
            end_part(m);
        if ((rc = look_up(m, record.offset, err)))
            break;
    }
    return rc;
}

static int plan_rows(struct maker *m, struct cpv_err *err)
{
    struct cpv_arena_mark mark = cpv_arena_mark(m->mem);
    struct cpv_row row;
    int rc;

    while ((rc = cpv_rows_next(m->rows, m->mem, &row, err)) == 1) {
        if ((rc = begin_row(m, 0, row.line, err)))
            break;
        cpv_row_digest(m->sha, &row);
        cpv_arena_rewind(m->mem, mark);
        m->plan->rows++;
        m->plan->bad += row.bad != NULL;
        if (m->plan->rows % m->per_part == 0)
            end_part(m);
        if ((rc = look_up(m, 0, err)))
            break;
    }
    return rc;
}

int cpv_plan_make(struct cpv_plan **out, const struct cpv_rows_params *params,
                  uint64_t rows_per_part, const struct cpv_plan_watch *watch,
                  struct cpv_err *err)
{
    struct maker m = {.per_part = rows_per_part, .watch = watch};
    int rc;

    *out = NULL;
    if (rows_per_part == 0)
        return cpv_fail(err, CPV_E_USAGE, "'%s': parts of 0 rows", params->path);
    if (!(m.plan = cpv_calloc(1, sizeof *m.plan)))
        return cpv_fail_memory(err);
    /* before reading: what changes meanwhile must not look like what was read */
    rc = make_key(m.plan->key, params, rows_per_part, err);
    m.plan->keyed = rc == 1;
    if (rc >= 0 && !(rc = cpv_sha256_open(&m.sha, err)) &&
        !(rc = cpv_arena_open(&m.mem, 0, err)) &&
        !(rc = cpv_rows_prepare(&m.rows, params, err)))
        rc = m.rows->ops->text ? plan_text(&m, err) : plan_rows(&m, err);
    if (!rc && m.plan->rows % rows_per_part)
        end_part(&m);
    cpv_rows_close(&m.rows);
    cpv_sha256_close(&m.sha);
    cpv_arena_close(&m.mem);
    if (rc)
        cpv_plan_close(&m.plan);
    *out = m.plan;
    return rc;
}

void cpv_plan_close(struct cpv_plan **plan)
{
    if (!*plan)
        return;
    cpv_free((*plan)->parts);
    cpv_free(*plan);
    *plan = NULL;
}

/* ---- cache ---- */

int cpv_plan_save(const struct cpv_plan *plan, const char *cache,
                  const struct cpv_rows_params *params, uint64_t rows_per_part,
                  struct cpv_err *err)
{
    uint8_t key[CPV_SHA256_SIZE];
    struct cpv_buf b = {0};
    int rc = make_key(key, params, rows_per_part, err);

    if (rc != 1)
        return rc;
    if (!plan->keyed || memcmp(key, plan->key, sizeof key) != 0)
        return CPV_OK;
    cpv_buf_add(&b, MAGIC, sizeof MAGIC);
    cpv_buf_add(&b, plan->key, sizeof plan->key);
    cpv_buf_u64(&b, plan->rows);
    cpv_buf_u64(&b, plan->bad);
    cpv_buf_u32(&b, plan->n_parts);
    for (uint32_t i = 0; i < plan->n_parts; i++) {
        const struct cpv_plan_part *p = &plan->parts[i];

        cpv_buf_u64(&b, p->row_begin);
        cpv_buf_u64(&b, p->row_end);
        cpv_buf_u64(&b, p->offset);
        cpv_buf_u64(&b, p->line);
        cpv_buf_add(&b, p->sha256, sizeof p->sha256);
    }
    cpv_buf_u32(&b, b.failed ? 0 : cpv_crc32c(0, b.data, b.size));
    rc = b.failed ? cpv_fail_memory(err) : cpv_file_replace(cache, cpv_buf_view(&b), err);
    cpv_buf_release(&b);
    return rc;
}

/* false: not parts of `per_part` rows that follow one another. */
static bool read_parts(struct cpv_cursor *c, struct cpv_plan *plan, uint64_t per_part)
{
    for (uint32_t i = 0; i < plan->n_parts; i++) {
        struct cpv_plan_part *p = &plan->parts[i];
        uint64_t left = plan->rows - (uint64_t)i * per_part;
        struct cpv_bytes digest;

        p->row_begin = cpv_get_u64(c);
        p->row_end = cpv_get_u64(c);
        p->offset = cpv_get_u64(c);
        p->line = cpv_get_u64(c);
        digest = cpv_get_bytes(c, CPV_SHA256_SIZE);
        if (c->failed || p->row_begin != (uint64_t)i * per_part ||
            p->row_end - p->row_begin != (left < per_part ? left : per_part))
            return false;
        memcpy(p->sha256, digest.data, CPV_SHA256_SIZE);
    }
    return true;
}

/* The content of a cache file: 1, 0 or CPV_E_MEMORY as cpv_plan_load. */
static int decode(struct cpv_bytes file, const uint8_t key[CPV_SHA256_SIZE],
                  uint64_t per_part, struct cpv_plan **out, struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(file);
    struct cpv_plan *plan;

    if (file.size < HEAD + 4 || memcmp(file.data, MAGIC, sizeof MAGIC) != 0 ||
        memcmp(file.data + sizeof MAGIC, key, CPV_SHA256_SIZE) != 0 ||
        cpv_load_u32(file.data + file.size - 4) !=
            cpv_crc32c(0, file.data, file.size - 4))
        return 0;
    if (!(plan = cpv_calloc(1, sizeof *plan)))
        return cpv_fail_memory(err);
    (void)cpv_get_bytes(&c, sizeof MAGIC + CPV_SHA256_SIZE);
    plan->rows = cpv_get_u64(&c);
    plan->bad = cpv_get_u64(&c);
    plan->n_parts = cpv_get_u32(&c);
    if (plan->bad > plan->rows ||
        plan->n_parts != plan->rows / per_part + (plan->rows % per_part != 0) ||
        (uint64_t)(file.size - HEAD - 4) != (uint64_t)plan->n_parts * PART)
        goto unusable;
    plan->parts = cpv_calloc(plan->n_parts ? plan->n_parts : 1, sizeof *plan->parts);
    if (!plan->parts) {
        cpv_plan_close(&plan);
        return cpv_fail_memory(err);
    }
    if (!read_parts(&c, plan, per_part))
        goto unusable;
    plan->keyed = true;
    memcpy(plan->key, key, CPV_SHA256_SIZE);
    *out = plan;
    return 1;
unusable:
    cpv_plan_close(&plan);
    return 0;
}

int cpv_plan_load(struct cpv_plan **out, const char *cache,
                  const struct cpv_rows_params *params, uint64_t rows_per_part,
                  struct cpv_err *err)
{
    uint8_t key[CPV_SHA256_SIZE];
    struct cpv_buf b = {0};
    struct cpv_err why = {0};
    int rc;

    *out = NULL;
    if (rows_per_part == 0)
        return 0;
    if ((rc = make_key(key, params, rows_per_part, err)) != 1)
        return rc;
    rc = cpv_file_read(cache, CACHE_MAX, &b, &why);
    if (rc == CPV_E_MEMORY)
        rc = cpv_fail_memory(err);
    else
        rc = rc ? 0 : decode(cpv_buf_view(&b), key, rows_per_part, out, err);
    cpv_buf_release(&b);
    return rc;
}
