/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capivara-test-load: what does a download cost us? Fetches one URL many times and says
 * CPU time per request, rate and peak memory.
 *
 *     capivara-test-load URL COUNT CONNECTIONS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/http.h"

static void on_done(void *ctx, struct cpv_http_reply *reply)
{
    (void)ctx, (void)reply;
}

static double cpu_seconds(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static void report(const cpv_http *h, int64_t begun, long count)
{
    struct cpv_http_stats s;
    struct rusage u;
    double took = (double)(cpv_clock_ms() - begun) / 1000;

    cpv_http_stats(h, &s);
    (void)getrusage(RUSAGE_SELF, &u);
    printf("%ld requests, %llu ok, %.2f s, %.0f/s, %.4f ms CPU each, %llu connections, "
           "%d at once, peak %ld MiB\n",
           count, (unsigned long long)s.by_status[CPV_HTTP_OK], took,
           (double)count / took, cpu_seconds(&u) * 1000 / (double)count,
           (unsigned long long)s.connections, s.in_flight_peak, u.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
    struct cpv_http_params p;
    struct cpv_err err = {0};
    cpv_http *h = NULL;
    int64_t begun = cpv_clock_ms();
    long count = argc == 4 ? strtol(argv[2], NULL, 10) : 0;

    if (count < 1) {
        fprintf(stderr, "usage: capivara-test-load URL COUNT CONNECTIONS\n");
        return 2;
    }
    cpv_http_defaults(&p);
    p.allow_private = true;
    p.per_host_rate = 0;
    p.connections = p.per_host = (int)strtol(argv[3], NULL, 10);
    if (cpv_http_open(&h, &p, on_done, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (long i = 0; i < count; i++) {
        while (cpv_http_waiting(h) > 4000)
            usleep(500);
        if (cpv_http_submit(h, argv[1], NULL, &err))
            return 1;
    }
    while (cpv_http_waiting(h) > 0)
        usleep(500);
    usleep(2000);
    report(h, begun, count);
    cpv_http_close(&h);
    return 0;
}
