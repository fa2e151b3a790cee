/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of HTML on its way to a file: what is ours goes in as it is, what comes from
 * files goes through cpv_page_text, and nothing is kept in memory but a buffer.
 *
 *     create, raw | printf | text | base64 ..., commit         or discard at any point
 *
 * The file has its name only once it is whole; one that was there is replaced then.
 * Errors stick and are reported by commit.
 */
#ifndef CPV_PIPELINE_PAGE_H
#define CPV_PIPELINE_PAGE_H

#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

typedef struct cpv_page cpv_page;

/* path "-": standard output. What is there and no regular file is CPV_E_USAGE. */
CPV_MUST_CHECK int cpv_page_create(cpv_page **out, const char *path, struct cpv_err *err);

void cpv_page_raw(cpv_page *p, const char *html);
/* For numbers and words of ours: nothing is escaped. */
void cpv_page_printf(cpv_page *p, const char *fmt, ...) CPV_PRINTF(2, 3);
/* Escaped: see cpv_page_escape. */
void cpv_page_text(cpv_page *p, struct cpv_bytes text);
void cpv_page_str(cpv_page *p, const char *text);
void cpv_page_base64(cpv_page *p, struct cpv_bytes data);

/* Both end the page and set *p to NULL. bytes may be NULL. */
CPV_MUST_CHECK int cpv_page_commit(cpv_page **p, uint64_t *bytes, struct cpv_err *err);
void cpv_page_discard(cpv_page **p);

/*
 * Any bytes as text of an element or of a quoted attribute, appended: & < > " ' become
 * references; invalid UTF-8 and characters that HTML forbids (NUL and other controls but
 * tab and newline, noncharacters) become U+FFFD.
 */
void cpv_page_escape(struct cpv_buf *to, struct cpv_bytes text);
void cpv_page_encode64(struct cpv_buf *to, struct cpv_bytes data);

#endif
