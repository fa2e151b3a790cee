/* SPDX-License-Identifier: Apache-2.0 */
/* See error.h. */
#include "common/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* At most room - 1 bytes. Through a copy: the arguments may be of err->text itself. */
static void set_text(struct cpv_err *err, size_t room, const char *fmt, va_list ap)
    CPV_PRINTF(3, 0);

static void set_text(struct cpv_err *err, size_t room, const char *fmt, va_list ap)
{
    char text[sizeof err->text];

    if (vsnprintf(text, room, fmt, ap) < 0)
        text[0] = '\0';
    memcpy(err->text, text, strlen(text) + 1);
    /* What a file or a user says may hold anything; the text stays one line. */
    for (char *p = err->text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
}

int cpv_fail(struct cpv_err *err, int code, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (err) {
        err->code = code;
        err->sys = 0;
        va_start(ap, fmt);
        set_text(err, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return code;
}

static int code_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
        return CPV_E_SPACE;
    case ENOMEM:
        return CPV_E_MEMORY;
    case ENOENT:
    case ENOTDIR:
        return CPV_E_ABSENT;
    default:
        return CPV_E_IO;
    }
}

int cpv_fail_sys(struct cpv_err *err, int sys_errno, const char *fmt, ...)
{
    int code = code_of_errno(sys_errno), saved = errno;
    char space[128];
    const char *reason;
    size_t used;
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    err->sys = sys_errno;
    /* GNU strerror_r returns the text, not necessarily in the buffer. */
    reason = strerror_r(sys_errno, space, sizeof space);
    va_start(ap, fmt);
    set_text(err, sizeof err->text - strnlen(reason, sizeof space) - 2, fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", reason);
    errno = saved;
    return code;
}

int cpv_fail_memory(struct cpv_err *err)
{
    return cpv_fail(err, CPV_E_MEMORY, "out of memory");
}

int cpv_err_add(struct cpv_err *err, const char *fmt, ...)
{
    char old[sizeof err->text];
    size_t used;
    va_list ap;

    if (!err)
        return 0;
    memcpy(old, err->text, sizeof old);
    va_start(ap, fmt);
    set_text(err, sizeof err->text, fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    if (used + 2 < sizeof err->text) {
        size_t room = sizeof err->text - used - 3;
        size_t n = strnlen(old, sizeof old);

        if (n > room)
            n = room;
        memcpy(err->text + used, ": ", 2);
        memcpy(err->text + used + 2, old, n);
        err->text[used + 2 + n] = '\0';
    }
    return err->code;
}

int cpv_exit_status(int code)
{
    switch (code) {
    case CPV_OK:
        return 0;
    case CPV_E_USAGE:
        return 2;
    case CPV_E_INPUT:
    case CPV_E_CORRUPT:
        return 65;
    case CPV_E_IO:
    case CPV_E_SPACE:
    case CPV_E_MEMORY:
    case CPV_E_ABSENT:
        return 74;
    case CPV_E_STOPPED:
    case CPV_E_BUSY:
        return 75;
    case CPV_E_SETTINGS:
        return 78;
    default:
        return 70;
    }
}
