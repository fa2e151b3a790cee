/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a pattern: an error, or at least one and at most `max` texts. */
#include <stdlib.h>

#include "common/format/brace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX = 1000 };
    struct cpv_err err = {0};
    struct cpv_texts texts;
    cpv_arena *mem = NULL;
    char *pattern;
    int rc;

    if (size > 4096 || cpv_arena_open(&mem, 0, &err))
        return 0;
    if ((pattern = cpv_arena_str(mem, cpv_bytes_of(data, size)))) {
        rc = cpv_brace_expand(pattern, MAX, mem, &texts, &err);
        if (rc ? !err.text[0] : texts.count < 1 || texts.count > MAX)
            abort();
        for (size_t i = 0; !rc && i < texts.count; i++)
            if (strlen(texts.at[i]) > (size + 1) * 64)
                abort();
    }
    cpv_arena_close(&mem);
    return 0;
}
