/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans one input and says what it took, as one JSON line.
 *
 *     plan_file FORMAT FILE [ROWS_PER_PART]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "common/format/plan.h"

static double now(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    struct cpv_rows_params params = {0};
    struct cpv_plan *plan = NULL;
    struct cpv_err err = {0};
    struct rusage usage;
    double begin = now(CLOCK_MONOTONIC), seconds;
    char hex[CPV_SHA256_HEX] = "";

    if (argc < 3 || !cpv_rows_format_parse(argv[1], &params.format)) {
        (void)fputs("usage: plan_file FORMAT FILE [ROWS_PER_PART]\n", stderr);
        return 2;
    }
    params.path = argv[2];
    if (cpv_plan_make(&plan, &params, argc > 3 ? strtoull(argv[3], NULL, 10) : 10000,
                      NULL, &err)) {
        (void)fprintf(stderr, "plan_file: %s\n", err.text);
        return cpv_exit_status(err.code);
    }
    seconds = now(CLOCK_MONOTONIC) - begin;
    (void)getrusage(RUSAGE_SELF, &usage);
    if (plan->n_parts)
        cpv_hex(hex, plan->parts[plan->n_parts - 1].sha256, CPV_SHA256_SIZE);
    printf("{\"rows\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"parts\":%" PRIu32
           ",\"seconds\":%.2f,\"cpu\":%.2f,\"peak_mib\":%.1f,\"last\":\"%.16s\"}\n",
           plan->rows, plan->bad, plan->n_parts, seconds, now(CLOCK_PROCESS_CPUTIME_ID),
           (double)usage.ru_maxrss / 1024, hex);
    cpv_plan_close(&plan);
    return 0;
}
