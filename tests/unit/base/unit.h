/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of common/base share: cmocka, and a scratch folder. */
#ifndef CPV_TESTS_UNIT_BASE_UNIT_H
#define CPV_TESTS_UNIT_BASE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/error.h"

/* cmocka's assert_true does not say what went wrong. */
#define assert_ok(call)                                                                  \
    do {                                                                                 \
        int rc_ = (call);                                                                \
        if (rc_ != CPV_OK)                                                               \
            fail_msg("%s: %d: %s", #call, rc_, err.text);                                \
    } while (0)

/* Status of a shell command, as waitpid gives it. */
static inline int shell(const char *command)
{
    return system(command); /* lint: allow system: tests ask bash, groff and grep */
}

/* Go into a new empty folder below $TMPDIR; its files are left to leave_scratch. */
static inline int enter_scratch(void **state)
{
    const char *tmp = getenv("TMPDIR");
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/cpv-unit-XXXXXX", tmp ? tmp : "/tmp");
    *state = path;
    return mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}

static inline int leave_scratch(void **state)
{
    char command[300];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
    return chdir("/") == 0 && shell(command) == 0 ? 0 : -1;
}

#endif
