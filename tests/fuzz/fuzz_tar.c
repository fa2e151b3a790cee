/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a tar: no crash, views inside the input's size, counts that agree. */
#include <stdlib.h>

#include "common/format/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

/* All samples; touches every byte that is handed out. */
static void read_all(struct cpv_bytes tar, const struct cpv_samples_params *params)
{
    const struct cpv_samples_report *r;
    struct cpv_sample sample;
    struct cpv_err err = {0};
    uint64_t samples = 0, members = 0, bytes = 0;
    volatile uint8_t sum = 0;
    cpv_samples *s;
    int got;

    if (cpv_samples_open_bytes(&s, tar, "fuzz", params, &err))
        return;
    while ((got = cpv_samples_next(s, &sample, &err)) == 1) {
        check(sample.key[0] != '\0' && sample.n_members > 0);
        check(sample.number == samples++);
        for (size_t i = 0; i < sample.n_members; i++) {
            struct cpv_bytes d = sample.members[i].data;

            check(sample.members[i].ext[0] != '\0');
            for (size_t k = 0; k < d.size; k++)
                sum = (uint8_t)(sum + d.data[k]);
            bytes += d.size;
            members++;
        }
    }
    r = cpv_samples_report(s);
    check(r->samples == samples && r->members == members && bytes <= tar.size);
    check(got == 0 || (got < 0 && err.text[0] && !strpbrk(err.text, "\n\r\t")));
    check(got != 0 || r->tar_bytes == tar.size);
    cpv_samples_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_samples_params lenient = {.salvage = true, .repeats = true};

    read_all(cpv_bytes_of(data, size), NULL);
    read_all(cpv_bytes_of(data, size), &lenient);
    return 0;
}
