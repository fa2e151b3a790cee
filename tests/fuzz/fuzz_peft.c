/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an adapter's settings; what is taken must be written and read back the
 * same. */
#include <stdlib.h>

#include "common/model/peft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void round_trip(const struct cpv_peft *p, const struct cpv_peft_shape *shape)
{
    struct cpv_buf text = {0};
    struct cpv_err err = {0};
    struct cpv_peft q;

    cpv_peft_config_text(p, shape, &text);
    check(!text.failed);
    check(cpv_peft_config_read(&q, cpv_buf_view(&text), "again", shape, &err) == CPV_OK);
    check(q.lora.rank == p->lora.rank && q.lora.alpha == p->lora.alpha);
    check(q.lora.dropout == p->lora.dropout && q.projection == p->projection);
    check(q.lora.targets == p->lora.targets && q.lora.layers == p->lora.layers);
    cpv_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cpv_peft_shape shapes[] = {
        {.layers = 12, .width = 8, .ffn = 16, .hidden = 6, .dim = 4},
        {.layers = 64, .width = 8, .ffn = 16, .hidden = 0, .dim = 4}};

    for (size_t i = 0; i < 2; i++) {
        struct cpv_err err = {0};
        struct cpv_peft p;
        int rc =
            cpv_peft_config_read(&p, cpv_bytes_of(data, size), "fuzz", &shapes[i], &err);

        check(rc == CPV_OK ||
              (rc == CPV_E_INPUT && err.text[0] && !strpbrk(err.text, "\n\r\t")));
        if (rc == CPV_OK)
            round_trip(&p, &shapes[i]);
    }
    return 0;
}
