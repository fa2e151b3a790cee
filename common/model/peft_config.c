/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_config.json: read strictly, written as PEFT does. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/model/peft_impl.h"

/* Keys that are read below. */
static const char *const READ[] = {
    "peft_type",      "r",
    "lora_alpha",     "lora_dropout",
    "bias",           "fan_in_fan_out",
    "use_rslora",     "init_lora_weights",
    "target_modules", "layers_to_transform",
    "layers_pattern", "modules_to_save",
};
/* Keys that say nothing about what the tensors mean, or nothing alone. */
static const char *const HARMLESS[] = {
    "task_type",      "auto_mapping",   "peft_version",        "base_model_name_or_path",
    "revision",       "inference_mode", "megatron_core",       "qalora_group_size",
    "runtime_config", "eva_config",     "ensure_weight_tying",
};

static bool is_one_of(const char *key, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, words[i]) == 0)
            return true;
    return false;
}

/* null, false, nothing in it: what PEFT writes for what nobody asked for. */
static bool is_nothing(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) ||
           (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_string(v) && json_string_length(v) == 0);
}

static void refuse_others(const struct cpv_hf_object *o)
{
    const char *key;
    json_t *v;

    json_object_foreach(o->json, key, v)
    {
        if (!is_one_of(key, READ, CPV_COUNT(READ)) &&
            !is_one_of(key, HARMLESS, CPV_COUNT(HARMLESS)) && !is_nothing(v))
            cpv_hf_mistake(o, key, "null, false or nothing: it is not supported");
    }
}

/* Of the initial values most are gone when an adapter has been trained; some have changed
 * the base model's matrices, too. */
static void read_init(const struct cpv_hf_object *o)
{
    const json_t *v = cpv_hf_json(o, "init_lora_weights");
    static const char *const FINE[] = {"gaussian", "orthogonal", "eva"};

    if (v && !json_is_boolean(v) &&
        !(json_is_string(v) && is_one_of(json_string_value(v), FINE, CPV_COUNT(FINE))))
        cpv_hf_mistake(o, "init_lora_weights",
                       "true, false, 'gaussian', 'orthogonal' or 'eva': others change "
                       "the base model");
}

static bool read_modules_to_save(const struct cpv_hf_object *o)
{
    const json_t *v = cpv_hf_json(o, "modules_to_save");

    if (!v || is_nothing(v))
        return false;
    if (!json_is_array(v) || json_array_size(v) != 1 ||
        !json_is_string(json_array_get(v, 0)) ||
        strcmp(json_string_value(json_array_get(v, 0)), "proj") != 0)
        cpv_hf_mistake(o, "modules_to_save", "null or [\"proj\"]");
    return true;
}

static void read_all(struct cpv_peft *out, const struct cpv_hf_object *o,
                     const struct cpv_peft_shape *shape)
{
    static const char *const TYPES[] = {"LORA", NULL}, *const BIAS[] = {"none", NULL};

    (void)cpv_hf_word(o, "peft_type", TYPES, -1);
    (void)cpv_hf_word(o, "bias", BIAS, 0);
    out->lora.rank = (int)cpv_hf_int(o, "r", 8, 1, CPV_PEFT_RANK_MAX);
    out->lora.alpha = cpv_hf_real(o, "lora_alpha", 8, -1e6, 1e6);
    out->lora.dropout = cpv_hf_real(o, "lora_dropout", 0, 0, 1);
    if (!(out->lora.dropout < 1))
        cpv_hf_mistake(o, "lora_dropout", "a number from 0 to below 1");
    if (cpv_hf_bool(o, "fan_in_fan_out", false))
        cpv_hf_mistake(o, "fan_in_fan_out", "false");
    if (cpv_hf_bool(o, "use_rslora", false))
        out->lora.alpha *= sqrt((double)out->lora.rank);
    read_init(o);
    out->projection = read_modules_to_save(o);
    cpv_peft_match(out, o, shape);
    refuse_others(o);
}

int cpv_peft_config_read(struct cpv_peft *out, struct cpv_bytes text, const char *name,
                         const struct cpv_peft_shape *shape, struct cpv_err *err)
{
    cpv_hf_config *c = NULL;
    struct cpv_hf_object root;
    int rc;

    *out = (struct cpv_peft){0};
    if (shape->layers < 1 || shape->layers > CPV_PEFT_LAYERS)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': a text tower of %d layers, expected 1 to %d", name,
                        shape->layers, CPV_PEFT_LAYERS);
    if ((rc = cpv_hf_config_parse(&c, text, name, err)))
        return rc;
    root = cpv_hf_config_root(c);
    read_all(out, &root, shape);
    rc = cpv_hf_config_check(c, err);
    cpv_hf_config_close(&c);
    return rc;
}

/* ---- writing ---- */

/* As Python's json: the fewest digits that are the same double, and a point. */
static void add_real(struct cpv_buf *to, double v, bool point)
{
    char text[40];

    if (v == floor(v) && fabs(v) < 1e15) {
        cpv_buf_printf(to, point ? "%.1f" : "%.0f", v);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) /* NOLINT: exactly */
            break;
    }
    cpv_buf_str(to, text);
}

struct list {
    struct cpv_buf *to;
    const char *key;
    int count;
};

static void add_item(struct list *l, const char *quote, const char *text)
{
    cpv_buf_printf(l->to, l->count++ ? ",\n    %s%s%s" : "\n    %s%s%s", quote, text,
                   quote);
}

static void begin_list(struct list *l, struct cpv_buf *to, const char *key)
{
    *l = (struct list){to, key, 0};
    cpv_buf_printf(to, "  \"%s\": [", key);
}

static uint64_t all_layers(const struct cpv_peft_shape *shape)
{
    return shape->layers >= 64 ? UINT64_MAX : (UINT64_C(1) << shape->layers) - 1;
}

static void add_layers(const struct cpv_peft *p, const struct cpv_peft_shape *shape,
                       struct cpv_buf *to)
{
    uint64_t layers = p->lora.layers & all_layers(shape);
    struct list l;
    char number[16];

    if (layers == all_layers(shape)) {
        cpv_buf_str(to, "  \"layers_to_transform\": null,\n");
        return;
    }
    begin_list(&l, to, "layers_to_transform");
    for (int i = 0; i < shape->layers; i++)
        if (layers >> i & 1) {
            (void)snprintf(number, sizeof number, "%d", i);
            add_item(&l, "", number);
        }
    cpv_buf_str(to, "\n  ],\n");
}

/* "output.dense" would take the attention's, too: without it each layer's is named. */
static void add_targets(const struct cpv_peft *p, const struct cpv_peft_shape *shape,
                        struct cpv_buf *to)
{
    struct list l;
    char name[32];

    begin_list(&l, to, "target_modules");
    for (unsigned t = 1; t <= CPV_CLIP_FFN_OUT; t <<= 1) {
        if (!(p->lora.targets & t))
            continue;
        if (t != CPV_CLIP_FFN_OUT || p->lora.targets & CPV_CLIP_ATTN_OUT) {
            add_item(&l, "\"", cpv_peft_target_word(t));
            continue;
        }
        for (int i = 0; i < shape->layers; i++)
            if (p->lora.layers >> i & 1) {
                (void)snprintf(name, sizeof name, "%d.output.dense", i);
                add_item(&l, "\"", name);
            }
    }
    cpv_buf_str(to, "\n  ],\n");
}

void cpv_peft_config_text(const struct cpv_peft *p, const struct cpv_peft_shape *shape,
                          struct cpv_buf *to)
{
    cpv_buf_str(to, "{\n"
                    "  \"auto_mapping\": {\n"
                    "    \"base_model_class\": \"HFTextEncoder\",\n"
                    "    \"parent_library\": \"open_clip.hf_model\"\n"
                    "  },\n"
                    "  \"base_model_name_or_path\": null,\n"
                    "  \"bias\": \"none\",\n"
                    "  \"fan_in_fan_out\": false,\n"
                    "  \"inference_mode\": true,\n"
                    "  \"init_lora_weights\": true,\n"
                    "  \"layers_pattern\": null,\n");
    add_layers(p, shape, to);
    cpv_buf_str(to, "  \"lora_alpha\": ");
    add_real(to, p->lora.alpha, false);
    cpv_buf_str(to, ",\n  \"lora_dropout\": ");
    add_real(to, p->lora.dropout, true);
    cpv_buf_str(to, p->projection ? ",\n  \"modules_to_save\": [\n    \"proj\"\n  ],\n"
                                  : ",\n  \"modules_to_save\": null,\n");
    cpv_buf_printf(to,
                   "  \"peft_type\": \"LORA\",\n"
                   "  \"r\": %d,\n"
                   "  \"revision\": null,\n",
                   p->lora.rank);
    add_targets(p, shape, to);
    cpv_buf_str(to, "  \"task_type\": null\n}");
}
