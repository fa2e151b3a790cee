/* SPDX-License-Identifier: Apache-2.0 */
/* robots.txt as RFC 9309 has it: the groups of our token, or else those of `*`. */
#ifndef CPV_NET_ROBOTS_H
#define CPV_NET_ROBOTS_H

#include "common/base/bytes.h"

enum { CPV_ROBOTS_MAX = 500 * 1024 }; /* bytes that are read; the rest is ignored */

typedef struct cpv_robots cpv_robots;

/* The rules for `token` in that file. NULL: out of memory. */
cpv_robots *cpv_robots_parse(struct cpv_bytes file, const char *token);
void cpv_robots_close(cpv_robots **r);

/*
 * May we ask for this path (with its query, beginning with '/')? The longest matching
 * rule decides, `*` is any run, `$` at the end is the end; on a tie it is yes.
 */
bool cpv_robots_allows(const cpv_robots *r, const char *path);

#endif
