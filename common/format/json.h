/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in and out.
 *
 * Writing is canonical: the same calls give the same bytes anywhere. Keys stand
 * in the caller's order; no spaces; UTF-8 as it is; invalid UTF-8 becomes U+FFFD;
 * control characters, quotation marks and backslashes are escaped; reals have six
 * decimals, and those that JSON cannot say (NaN, infinities) are null.
 *
 *     struct cpv_json j;
 *     cpv_json_init(&j, &buf);
 *     cpv_json_begin_object(&j);
 *     cpv_json_key(&j, "rows");
 *     cpv_json_uint(&j, 12);
 *     cpv_json_end_object(&j);            {"rows":12}
 *
 * Lack of memory sticks to the buffer (bytes.h): one check of buf.failed at the
 * end. Wrong nesting is our own mistake and asserted.
 *
 * Reading is tolerant, because other people's JSON is to be kept: Python's NaN,
 * Infinity and -Infinity are null, invalid UTF-8 becomes U+FFFD, a byte order
 * mark is skipped, of equal keys the last one wins. What it returns is jansson's.
 */
#ifndef CPV_FORMAT_JSON_H
#define CPV_FORMAT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_JSON_DEPTH = 64,           /* of what we write and of what we read */
    CPV_JSON_TEXT_MAX = 256 << 20, /* bytes that cpv_json_parse takes */
};

struct cpv_json {
    struct cpv_buf *to;
    int depth;
    bool want_value;                 /* a key stands, its value does not yet */
    bool filled[CPV_JSON_DEPTH + 1]; /* by level: is there something before? */
    bool object[CPV_JSON_DEPTH + 1]; /* by level: an object, not an array */
};

void cpv_json_init(struct cpv_json *j, struct cpv_buf *to); /* appends to `to` */

void cpv_json_begin_object(struct cpv_json *j);
void cpv_json_end_object(struct cpv_json *j);
void cpv_json_begin_array(struct cpv_json *j);
void cpv_json_end_array(struct cpv_json *j);

void cpv_json_key(struct cpv_json *j, const char *key);
void cpv_json_key_bytes(struct cpv_json *j, struct cpv_bytes key);

void cpv_json_string(struct cpv_json *j, const char *s); /* NULL is written as null */
void cpv_json_bytes(struct cpv_json *j, struct cpv_bytes s);
void cpv_json_int(struct cpv_json *j, int64_t v);
void cpv_json_uint(struct cpv_json *j, uint64_t v);
void cpv_json_real6(struct cpv_json *j, double v); /* %.6f */
void cpv_json_bool(struct cpv_json *j, bool v);
void cpv_json_null(struct cpv_json *j);
/* A value that is canonical JSON already. */
void cpv_json_raw(struct cpv_json *j, struct cpv_bytes text);

/*
 * Any jansson value, keys in its own order. Its reals are written with the fewest
 * digits that give the same double again (%.17g at most), not with six decimals:
 * a foreign number is kept as it is. Deeper than CPV_JSON_DEPTH: null.
 */
void cpv_json_write(struct cpv_json *j, const json_t *value);

/* The same on its own: its text in mem. */
CPV_MUST_CHECK int cpv_json_text(const json_t *value, cpv_arena *mem,
                                 struct cpv_bytes *out, struct cpv_err *err);

/*
 * One JSON value with nothing but white space around it. `name` is what messages
 * call it; they give line and column (both from 1, columns in bytes). The caller
 * ends the value with json_decref. CPV_E_INPUT where it is not JSON, too deep or
 * too long.
 */
CPV_MUST_CHECK int cpv_json_parse(struct cpv_bytes text, const char *name, json_t **out,
                                  struct cpv_err *err);

/*
 * `s` appended to `to` with every maximal invalid part replaced by U+FFFD, as
 * the Unicode standard (section 3.9, table 3-8) and Python do. True if nothing
 * had to be replaced.
 */
bool cpv_utf8_clean(struct cpv_buf *to, struct cpv_bytes s);
bool cpv_utf8_valid(struct cpv_bytes s);

#ifdef __cplusplus
}
#endif
#endif
