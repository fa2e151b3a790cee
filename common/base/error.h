/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One error object, passed down by whoever will report it, filled once where
 * the fault is known, and printed once, by main.
 *
 * A fallible function returns CPV_OK or one of the codes below and takes
 * `struct cpv_err *err` last. There is one code for each thing that a caller
 * or a user may *do* about it; what happened is in the text:
 *
 *     return cpv_fail(err, CPV_E_CORRUPT, "'%s': frame %u has a bad checksum", path, i);
 *
 * Texts are lower case, one line, no full stop, the subject in single quotes.
 * A caller that knows more puts it in front with cpv_err_add(). err may be
 * NULL where only the code is wanted.
 */
#ifndef CPV_BASE_ERROR_H
#define CPV_BASE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define CPV_MUST_CHECK       __attribute__((warn_unused_result))
#define CPV_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))

typedef enum cpv_code {
    CPV_OK = 0,
    CPV_E_USAGE = -1,     /* the command line or a configuration is wrong: exit 2 */
    CPV_E_INPUT = -2,     /* a file that the user gave is bad: 65 */
    CPV_E_CORRUPT = -3,   /* a file that we wrote fails its own checks: 65 */
    CPV_E_BUG = -4,       /* our own mistake: 70 */
    CPV_E_IO = -5,        /* the system refused: 74 */
    CPV_E_SPACE = -6,     /* the disk is full, or nearly: 74 */
    CPV_E_MEMORY = -7,    /* out of memory: 74 */
    CPV_E_STOPPED = -8,   /* asked to stop; run again: 75 */
    CPV_E_BUSY = -9,      /* another live process holds it; run again: 75 */
    CPV_E_SETTINGS = -10, /* made with other settings: 78 */
    CPV_E_ABSENT = -11    /* the file is not there: 74 unless the caller expected it */
} cpv_code;

struct cpv_err {
    int code;       /* the last cpv_fail's; 0 if none */
    int sys;        /* errno where the system was to blame, else 0 */
    char text[512]; /* one line, always terminated, cut short rather than overflowing */
};

/* Store code and text, return code. errno is left as it was. */
int cpv_fail(struct cpv_err *err, int code, const char *fmt, ...) CPV_PRINTF(3, 4);

/*
 * The same for a failed system call: appends the text of `sys_errno` and picks
 * the code from it (ENOSPC, EDQUOT: SPACE; ENOMEM: MEMORY; ENOENT, ENOTDIR:
 * ABSENT; others: IO).
 */
int cpv_fail_sys(struct cpv_err *err, int sys_errno, const char *fmt, ...)
    CPV_PRINTF(3, 4);

/* "out of memory", CPV_E_MEMORY. */
int cpv_fail_memory(struct cpv_err *err);

/* Put "<prefix>: " before the text; returns err's code (0 for a NULL err). */
int cpv_err_add(struct cpv_err *err, const char *fmt, ...) CPV_PRINTF(2, 3);

/* The exit status for a code: docs/operations.md. */
int cpv_exit_status(int code);

#ifdef __cplusplus
}
#endif
#endif
