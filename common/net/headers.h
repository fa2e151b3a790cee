/* SPDX-License-Identifier: Apache-2.0 */
/* The two response headers that ask something of us. Values are untrusted bytes. */
#ifndef CPV_NET_HEADERS_H
#define CPV_NET_HEADERS_H

#include "common/base/bytes.h"

/* "noai", "noimageai", "noindex", "noimageindex", "noml". */
enum { CPV_OPTOUT_DEFAULTS = 5 };
extern const char *const cpv_optout_default[CPV_OPTOUT_DEFAULTS];

/*
 * Does one X-Robots-Tag value hold one of the directives (any case), for everybody or
 * for the robot `token`? `name: directive, directive` concerns that robot only, up to
 * the next name; `none` includes noindex.
 */
bool cpv_optout_says_no(struct cpv_bytes value, const char *token,
                        const char *const *directives, size_t n_directives);

/*
 * Retry-After: seconds from now, or one of the three HTTP dates, `now` being seconds
 * since 1970. Milliseconds within [0, max_ms], or -1 if it is neither.
 */
int64_t cpv_retry_after_ms(struct cpv_bytes value, int64_t now, int64_t max_ms);

/* An HTTP date (RFC 9110, 5.6.7: the preferred form and the two old ones) as seconds
 * since 1970; false if it is none. */
bool cpv_http_date(struct cpv_bytes value, int64_t *out);

#endif
