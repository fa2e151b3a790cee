/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults for tests. A program that lists sys_fault.c among its sources and links the
 * static libraries gets its `cpv_sys` from there: the linker then never takes sys.o,
 * which defines nothing else, from the archive.
 *
 * From the environment, read before main:
 *
 *     CPV_FAULT_AT=k        the k-th call, from 1; file calls and allocations are
 *                           counted apart
 *     CPV_FAULT_KIND=       kill: SIGKILL before the file call is made
 *                           EIO, ENOSPC: the file call fails so
 *                           short: a read or write does only half (others: nothing)
 *                           alloc: the allocation yields NULL
 *                           none: only count
 *     CPV_FAULT_ONCE=0      also each call after the k-th; 1 (default): only that one
 *     CPV_FAULT_COUNT=FILE  at exit: "calls N\nallocs M\nhit NAME\n", NAME the first
 *                           call that a fault struck, "-" for none
 *
 * A mistake in these ends the program with 70 at once, so no test runs without its fault.
 */
#ifndef CPV_TESTS_CRASH_SYS_FAULT_H
#define CPV_TESTS_CRASH_SYS_FAULT_H

#include <stdbool.h>

typedef enum cpv_fault_kind {
    CPV_FAULT_NONE,
    CPV_FAULT_KILL,
    CPV_FAULT_EIO,
    CPV_FAULT_ENOSPC,
    CPV_FAULT_SHORT,
    CPV_FAULT_ALLOC
} cpv_fault_kind;

/* The same from within a test; counts start at 0 again. No other thread may run. */
void cpv_fault_arm(unsigned long at, cpv_fault_kind kind, bool once);
unsigned long cpv_fault_calls(void);
unsigned long cpv_fault_allocs(void);
const char *cpv_fault_hit(void); /* NULL: none */

#endif
