/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of others: what was read and written canonically is a fixed point. */
#include <stdlib.h>

#include "common/format/json.h"

static json_t *parse(struct cpv_bytes text)
{
    struct cpv_err err = {0};
    json_t *v;

    if (cpv_json_parse(text, "fuzz", &v, &err)) {
        if (v || !err.text[0] || memchr(err.text, '\n', strlen(err.text)))
            abort();
        return NULL;
    }
    return v;
}

static void write_out(struct cpv_buf *to, json_t *v)
{
    struct cpv_json j;

    cpv_json_init(&j, to);
    cpv_json_write(&j, v);
    json_decref(v);
    if (to->failed || !cpv_utf8_valid(cpv_buf_view(to)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_buf first = {0}, second = {0}, clean = {0};
    json_t *v = parse(cpv_bytes_of(data, size));

    if (v) {
        write_out(&first, v);
        if (!(v = parse(cpv_buf_view(&first))))
            abort();
        write_out(&second, v);
        if (!cpv_bytes_equal(cpv_buf_view(&first), cpv_buf_view(&second)))
            abort();
    }
    if (cpv_utf8_clean(&clean, cpv_bytes_of(data, size)) !=
            cpv_utf8_valid(cpv_bytes_of(data, size)) ||
        !cpv_utf8_valid(cpv_buf_view(&clean)))
        abort();
    cpv_buf_release(&first);
    cpv_buf_release(&second);
    cpv_buf_release(&clean);
    return 0;
}
