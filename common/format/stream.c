/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. One input buffer, one decoder at most; an error sticks. */
#include "common/format/stream.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/base/file.h"
#include "common/base/sys.h"

enum {
    IN_SIZE = 256 << 10,
    OUT_MAX = 1 << 30, /* of one decoder call: zlib counts in 32 bits */
    SKIP_SIZE = 64 << 10
};

enum kind { PLAIN, GZIP, ZSTD };

struct cpv_stream {
    enum kind kind;
    int fd;
    bool regular; /* a regular file: read by position, so it can be sought */
    bool eof;     /* no more input */
    bool inside;  /* compressed: a member or frame has begun and not ended */
    bool padding; /* gzip: nothing but zeros from here on */
    bool zlib_up; /* z is initialised */
    char *path;
    uint64_t raw_at; /* position in the file behind in[in_end - 1] */
    uint64_t at;     /* decompressed bytes handed out */
    size_t in_at, in_end;
    struct cpv_err error; /* sticks; code 0 while all is well */
    z_stream z;
    ZSTD_DCtx *zstd;
    uint8_t in[IN_SIZE];
};

/* ---- raw input ---- */

static ssize_t raw_read(struct cpv_stream *s, void *to, size_t n)
{
    size_t done = 0;

    while (done < n) {
        uint8_t *p = (uint8_t *)to + done;
        ssize_t got = s->regular ? cpv_sys.pread(s->fd, p, n - done, (off_t)s->raw_at)
                                 : cpv_sys.read(s->fd, p, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cpv_fail_sys(&s->error, errno, "cannot read '%s'", s->path);
        if (got == 0) {
            s->eof = true;
            break;
        }
        done += (size_t)got;
        s->raw_at += (uint64_t)got;
    }
    return (ssize_t)done;
}

/* At least one byte of input, unless the file is at its end. */
static int refill(struct cpv_stream *s)
{
    ssize_t got;

    if (s->in_at < s->in_end || s->eof)
        return CPV_OK;
    got = raw_read(s, s->in, IN_SIZE);
    if (got < 0)
        return (int)got;
    s->in_at = 0;
    s->in_end = (size_t)got;
    return CPV_OK;
}

static int damaged(struct cpv_stream *s, const char *why)
{
    return cpv_fail(&s->error, CPV_E_INPUT,
                    "'%s': damaged %s data at byte %llu (%llu bytes decompressed): %s",
                    s->path, s->kind == GZIP ? "gzip" : "zstd",
                    (unsigned long long)(s->raw_at - (s->in_end - s->in_at)),
                    (unsigned long long)s->at, why);
}

static int truncated(struct cpv_stream *s)
{
    return cpv_fail(&s->error, CPV_E_INPUT,
                    "'%s': cut off at byte %llu, inside its %s data (%llu bytes "
                    "decompressed)",
                    s->path, (unsigned long long)s->raw_at,
                    s->kind == GZIP ? "gzip" : "zstd", (unsigned long long)s->at);
}

/* ---- decoders: up to n bytes, 0 at the end, a code below 0 ---- */

static ssize_t read_plain(struct cpv_stream *s, uint8_t *to, size_t n)
{
    size_t have = s->in_end - s->in_at;

    if (have) { /* what open looked at */
        if (have > n)
            have = n;
        memcpy(to, s->in + s->in_at, have);
        s->in_at += have;
        return (ssize_t)have;
    }
    return raw_read(s, to, n);
}

/* Behind a member: another one, zeros up to the end (tapes), or the end. */
static int gzip_between(struct cpv_stream *s)
{
    while (s->in_at < s->in_end && s->in[s->in_at] == 0) {
        s->padding = true;
        s->in_at++;
    }
    if (s->in_at == s->in_end)
        return CPV_OK;
    if (s->padding || s->in[s->in_at] != 0x1f)
        return damaged(s, "foreign bytes behind it");
    if (inflateReset(&s->z) != Z_OK)
        return damaged(s, "decoder state");
    s->inside = true;
    return CPV_OK;
}

static ssize_t read_gzip(struct cpv_stream *s, uint8_t *to, size_t n)
{
    int rc;

    for (;;) {
        size_t got;

        if ((rc = refill(s)))
            return rc;
        if (!s->inside && (rc = gzip_between(s)))
            return rc;
        if (s->in_at == s->in_end) {
            if (s->eof)
                return s->inside ? truncated(s) : 0;
            continue;
        }
        s->z.next_in = s->in + s->in_at;
        s->z.avail_in = (uInt)(s->in_end - s->in_at);
        s->z.next_out = to;
        s->z.avail_out = (uInt)n;
        rc = inflate(&s->z, Z_NO_FLUSH);
        got = n - s->z.avail_out;
        s->in_at = s->in_end - s->z.avail_in;
        if (rc == Z_STREAM_END)
            s->inside = false;
        else if (rc == Z_MEM_ERROR)
            return cpv_fail_memory(&s->error);
        else if (rc != Z_OK && rc != Z_BUF_ERROR && got == 0)
            return damaged(s, s->z.msg ? s->z.msg : "no valid stream");
        if (got)
            return (ssize_t)got;
    }
}

static ssize_t read_zstd(struct cpv_stream *s, uint8_t *to, size_t n)
{
    for (;;) {
        ZSTD_inBuffer in = {s->in, s->in_end, s->in_at};
        ZSTD_outBuffer out = {to, n, 0};
        size_t rc;

        if (s->in_at == s->in_end && !s->eof) {
            int bad = refill(s);

            if (bad)
                return bad;
            continue;
        }
        if (!s->inside && s->in_at == s->in_end)
            return 0;
        rc = ZSTD_decompressStream(s->zstd, &out, &in);
        s->in_at = in.pos;
        if (ZSTD_isError(rc))
            return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation
                       ? cpv_fail_memory(&s->error)
                       : damaged(s, ZSTD_getErrorName(rc));
        s->inside = rc != 0;
        if (out.pos)
            return (ssize_t)out.pos;
        if (s->inside && s->in_at == s->in_end && s->eof)
            return truncated(s);
    }
}

/* ---- the stream ---- */

/* The decoder for what the first bytes say. */
static int choose(struct cpv_stream *s)
{
    const uint8_t *p = s->in;

    if (s->in_end >= 2 && p[0] == 0x1f && p[1] == 0x8b) {
        s->kind = GZIP;
        if (inflateInit2(&s->z, 15 + 16) != Z_OK)
            return cpv_fail_memory(&s->error);
        s->zlib_up = true;
        s->inside = true;
    } else if (s->in_end >= 4 && (cpv_load_u32(p) == ZSTD_MAGICNUMBER ||
                                  (cpv_load_u32(p) & ZSTD_MAGIC_SKIPPABLE_MASK) ==
                                      ZSTD_MAGIC_SKIPPABLE_START)) {
        s->kind = ZSTD;
        s->zstd = ZSTD_createDCtx();
        if (!s->zstd)
            return cpv_fail_memory(&s->error);
    }
    return CPV_OK;
}

int cpv_stream_open(cpv_stream **out, const char *path, struct cpv_err *err)
{
    struct cpv_stream *s = cpv_calloc(1, sizeof *s);
    struct stat st;
    int rc;

    *out = NULL;
    if (!s)
        return cpv_fail_memory(err);
    s->fd = -1;
    if (!(s->path = cpv_strdup(path)))
        rc = cpv_fail_memory(&s->error);
    else if ((rc = cpv_file_open_read(&s->fd, path, &s->error)))
        ;
    else if (cpv_sys.fstat(s->fd, &st) < 0)
        rc = cpv_fail_sys(&s->error, errno, "cannot look at '%s'", path);
    else {
        s->regular = S_ISREG(st.st_mode);
        if (!(rc = refill(s)))
            rc = choose(s);
    }
    if (rc) {
        if (err)
            *err = s->error;
        cpv_stream_close(&s);
        return rc;
    }
    *out = s;
    return CPV_OK;
}

ssize_t cpv_stream_read(cpv_stream *s, void *to, size_t n, struct cpv_err *err)
{
    size_t done = 0;

    while (done < n && !s->error.code) {
        size_t want = n - done < OUT_MAX ? n - done : OUT_MAX;
        uint8_t *p = (uint8_t *)to + done;
        ssize_t got = s->kind == PLAIN  ? read_plain(s, p, want)
                      : s->kind == GZIP ? read_gzip(s, p, want)
                                        : read_zstd(s, p, want);

        if (got <= 0)
            break;
        done += (size_t)got;
        s->at += (uint64_t)got;
    }
    if (s->error.code && !done) {
        if (err)
            *err = s->error;
        return s->error.code;
    }
    return (ssize_t)done;
}

uint64_t cpv_stream_offset(const cpv_stream *s)
{
    return s->at;
}

bool cpv_stream_seekable(const cpv_stream *s)
{
    return s->regular && s->kind == PLAIN;
}

/* Back to the first byte, errors forgotten. */
static int rewind_all(struct cpv_stream *s)
{
    if (!s->regular)
        return cpv_fail(&s->error, CPV_E_INPUT,
                        "'%s': not a regular file, so it can be read once only", s->path);
    s->error = (struct cpv_err){0};
    s->raw_at = s->at = 0;
    s->in_at = s->in_end = 0;
    s->eof = s->padding = false;
    s->inside = s->kind == GZIP;
    if (s->kind == GZIP && inflateReset(&s->z) != Z_OK)
        return damaged(s, "decoder state");
    if (s->kind == ZSTD)
        (void)ZSTD_DCtx_reset(s->zstd, ZSTD_reset_session_only);
    return CPV_OK;
}

/* Read and drop. */
static int skip_to(struct cpv_stream *s, uint64_t offset, struct cpv_err *err)
{
    uint8_t *sink = cpv_alloc(SKIP_SIZE);
    int rc = sink ? CPV_OK : cpv_fail_memory(err);

    while (!rc && s->at < offset) {
        uint64_t left = offset - s->at;
        ssize_t got =
            cpv_stream_read(s, sink, left < SKIP_SIZE ? (size_t)left : SKIP_SIZE, err);

        if (got < 0)
            rc = (int)got;
        else if (got == 0)
            rc = cpv_fail(err, CPV_E_INPUT, "'%s': ends at byte %llu, before byte %llu",
                          s->path, (unsigned long long)s->at, (unsigned long long)offset);
    }
    cpv_free(sink);
    return rc;
}

int cpv_stream_seek(cpv_stream *s, uint64_t offset, struct cpv_err *err)
{
    if (cpv_stream_seekable(s)) {
        s->error = (struct cpv_err){0};
        s->in_at = s->in_end = 0;
        s->eof = false;
        s->raw_at = s->at = offset;
        return CPV_OK;
    }
    if (offset < s->at && rewind_all(s)) {
        if (err)
            *err = s->error;
        return s->error.code;
    }
    return skip_to(s, offset, err);
}

void cpv_stream_close(cpv_stream **s)
{
    if (!*s)
        return;
    cpv_file_close(&(*s)->fd);
    if ((*s)->zlib_up)
        (void)inflateEnd(&(*s)->z);
    (void)ZSTD_freeDCtx((*s)->zstd);
    cpv_free((*s)->path);
    cpv_free(*s);
    *s = NULL;
}
