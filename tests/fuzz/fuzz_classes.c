/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as class names and as templates; what is read can be filled in. */
#include <stdlib.h>
#include <string.h>

#include "eval/eval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int rc, const struct cpv_err *err)
{
    if (rc && err->code != CPV_E_INPUT)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_bytes text = cpv_bytes_of(data, size);
    struct eval_classes classes;
    struct cpv_err err = {0};
    cpv_arena *mem = NULL;
    const char **tmpl;
    int64_t n;
    int rc;

    if (cpv_arena_open(&mem, 0, &err))
        abort();
    rc = eval_classes_parse(text, "fuzz", "en", mem, &classes, &err);
    check(rc, &err);
    for (int64_t i = 0; i < classes.n && !rc; i++)
        if (!*classes.name[i] || (classes.label && classes.label[i] < 0))
            abort();
    rc = eval_templates_parse(text, "fuzz", "en", mem, &tmpl, &n, &err);
    check(rc, &err);
    for (int64_t i = 0; i < n && !rc; i++) {
        char *filled = eval_template_fill(tmpl[i], "name", mem);

        if (!filled || !strstr(filled, "name"))
            abort();
    }
    cpv_arena_close(&mem);
    return 0;
}
