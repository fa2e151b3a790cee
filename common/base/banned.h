/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that do not compile here. Included before everything else by the compiler's
 * -include, so it first includes the system headers that declare or use them.
 *
 *     strcpy strcat sprintf vsprintf     no bounds: cpv_buf, snprintf, memcpy
 *     atoi atol atof                     no errors: strict parsers
 *     strtok gmtime localtime            hidden state: strcspn, gmtime_r
 */
#ifndef CPV_BASE_BANNED_H
#define CPV_BASE_BANNED_H

#if defined(__GNUC__) && !defined(__cplusplus)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <wchar.h>

#pragma GCC poison strcpy strcat sprintf vsprintf
#pragma GCC poison atoi atol atof
#pragma GCC poison strtok gmtime localtime
#endif

#endif
