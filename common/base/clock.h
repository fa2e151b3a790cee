/* SPDX-License-Identifier: Apache-2.0 */
/* Time that only goes forward, for timeouts and rates; never for anything on disk. */
#ifndef CPV_BASE_CLOCK_H
#define CPV_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t cpv_clock_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t cpv_clock_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
