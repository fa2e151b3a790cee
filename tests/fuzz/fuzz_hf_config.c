/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration, asked for everything that a getter can give. */
#include <stdlib.h>

#include "common/format/hf_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void ask(const struct cpv_hf_object *o)
{
    static const char *const words[] = {"relu", "gelu", NULL};
    static const char *const keys[] = {"d_model",
                                       "eos_token_id",
                                       "layer_norm_eps",
                                       "activation_function",
                                       "tie_word_embeddings",
                                       "architectures",
                                       "image_mean"};
    int64_t ids[4];
    double mean[3];

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int64_t n = cpv_hf_int(o, keys[i], 3, 1, 1000);
        double x = cpv_hf_real(o, keys[i], 2, 0, 1);
        int w = cpv_hf_word(o, keys[i], words, 0);

        check(n >= 1 && n <= 1000);
        check((x >= 0 && x <= 1) || x == 2);
        check(w == 0 || w == 1);
        (void)cpv_hf_bool(o, keys[i], false);
        check(cpv_hf_text(o, keys[i], "")[0] != 1 || cpv_hf_has(o, keys[i]));
        check(cpv_hf_ints(o, keys[i], ids, 4, 0, 70000) <= 4);
        check(cpv_hf_reals(o, keys[i], mean, 3, 0, 1) <= 3);
        for (size_t k = 0; k < 3; k++)
            (void)cpv_hf_list_text(o, keys[i], k);
        (void)cpv_hf_text_needed(o, keys[i]);
        (void)cpv_hf_real_needed(o, keys[i], 0, 1);
        check((cpv_hf_json(o, keys[i]) != NULL) == cpv_hf_has(o, keys[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_err err = {0};
    struct cpv_hf_object o;
    cpv_hf_config *c;
    int rc = cpv_hf_config_parse(&c, cpv_bytes_of(data, size), "fuzz", &err);

    if (!rc) {
        o = cpv_hf_config_root(c);
        ask(&o);
        for (int i = 0; i < CPV_HF_DEPTH + 2; i++) {
            o = cpv_hf_object(&o, "text_config");
            ask(&o);
        }
        rc = cpv_hf_config_check(c, &err);
    }
    check(rc == CPV_OK ||
          (rc == CPV_E_INPUT && err.text[0] && !strpbrk(err.text, "\n\r\t")));
    cpv_hf_config_close(&c);
    return 0;
}
