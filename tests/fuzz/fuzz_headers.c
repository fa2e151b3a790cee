/* SPDX-License-Identifier: Apache-2.0 */
/* X-Robots-Tag, Retry-After and robots.txt; the first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "common/net/headers.h"
#include "common/net/robots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void robots(struct cpv_bytes in)
{
    /* The path is the first line. */
    const uint8_t *end = in.size ? memchr(in.data, '\n', in.size) : NULL;
    size_t n = end ? (size_t)(end - in.data) : 0;
    char path[1024];
    cpv_robots *r;

    if (!end || n + 2 > sizeof path || memchr(in.data, '\0', n))
        return;
    path[0] = '/';
    memcpy(path + 1, in.data, n);
    path[n + 1] = '\0';
    r = cpv_robots_parse(cpv_bytes_of(end + 1, in.size - n - 1), "capivara-fetch");
    check(r != NULL);
    (void)cpv_robots_allows(r, path);
    check(cpv_robots_allows(r, "/robots.txt"));
    cpv_robots_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_bytes in = {data + 1, size - 1};
    int64_t ms;

    if (size < 1)
        return 0;
    switch (data[0] % 3) {
    case 0:
        (void)cpv_optout_says_no(in, "capivara-fetch", cpv_optout_default,
                                 CPV_OPTOUT_DEFAULTS);
        break;
    case 1:
        ms = cpv_retry_after_ms(in, 784111777, 600000);
        check(ms >= -1 && ms <= 600000);
        break;
    default:
        robots(in);
    }
    return 0;
}
