/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations as Hugging Face writes them (config.json, generation_config.json,
 * preprocessor_config.json, open_clip_config.json), read as they are.
 *
 *     struct cpv_hf_object root, text;
 *
 *     cpv_hf_config_open(&c, "model/config.json", err)
 *     root = cpv_hf_config_root(c);
 *     width = cpv_hf_int(&root, "d_model", CPV_HF_NEEDED, 1, 65536);
 *     text = cpv_hf_object(&root, "text_config");
 *     eps = cpv_hf_real(&text, "layer_norm_eps", 1e-12, 0, 1);
 *     rc = cpv_hf_config_check(c, err);       the first mistake of all of these
 *     cpv_hf_config_close(&c);
 *
 * Getters are strict in the type: an integer is no boolean and no text, a real may be
 * an integer. A key that is absent, or null, has its default; CPV_HF_NEEDED says that
 * there is none. NaN and the infinities, which Python's json writes, are null, as
 * common/format/json.h reads them. A mistake yields the default (0, false, NULL for one
 * that is needed) and is kept for cpv_hf_config_check: file, key with its objects
 * ("text_config.hidden_size"), what was expected. So a model reads all of its keys
 * and then asks once.
 *
 * Keys that nobody asks for are passed over: configurations are full of them. Texts and
 * objects live as long as the handle, which is one thread's.
 */
#ifndef CPV_FORMAT_HF_CONFIG_H
#define CPV_FORMAT_HF_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CPV_HF_NEEDED INT64_MIN /* as the default of an integer */

enum {
    CPV_HF_SIZE_MAX = 16 << 20, /* bytes of a configuration */
    CPV_HF_DEPTH = 6            /* of objects in objects that can be asked for */
};

typedef struct cpv_hf_config cpv_hf_config;

/* One object of the file; a value to be copied. An absent one has no keys at all. */
struct cpv_hf_object {
    cpv_hf_config *config;
    json_t *json; /* NULL: absent */
    const char *path[CPV_HF_DEPTH];
    int depth;
};

/* CPV_E_INPUT: not JSON, not an object, too long. CPV_E_ABSENT: no such file. */
CPV_MUST_CHECK int cpv_hf_config_open(cpv_hf_config **out, const char *path,
                                      struct cpv_err *err);
/* The same from memory; `name` is what messages call it. */
CPV_MUST_CHECK int cpv_hf_config_parse(cpv_hf_config **out, struct cpv_bytes text,
                                       const char *name, struct cpv_err *err);
void cpv_hf_config_close(cpv_hf_config **c);

/* The first mistake that a getter met, or CPV_OK. */
CPV_MUST_CHECK int cpv_hf_config_check(const cpv_hf_config *c, struct cpv_err *err);
const char *cpv_hf_config_name(const cpv_hf_config *c);

struct cpv_hf_object cpv_hf_config_root(cpv_hf_config *c);
/* `key` is a literal: it is kept for messages. Absent: an object without keys. */
struct cpv_hf_object cpv_hf_object(const struct cpv_hf_object *o, const char *key);
bool cpv_hf_has(const struct cpv_hf_object *o, const char *key); /* there and not null */

/* Within [min, max], both allowed. The default need not be. */
int64_t cpv_hf_int(const struct cpv_hf_object *o, const char *key, int64_t def,
                   int64_t min, int64_t max);
double cpv_hf_real(const struct cpv_hf_object *o, const char *key, double def, double min,
                   double max);
double cpv_hf_real_needed(const struct cpv_hf_object *o, const char *key, double min,
                          double max);
bool cpv_hf_bool(const struct cpv_hf_object *o, const char *key, bool def);
/* A text without NUL. */
const char *cpv_hf_text(const struct cpv_hf_object *o, const char *key, const char *def);
const char *cpv_hf_text_needed(const struct cpv_hf_object *o, const char *key);
/* One of `words` (which a NULL ends): its index. `def` -1: needed. */
int cpv_hf_word(const struct cpv_hf_object *o, const char *key, const char *const *words,
                int def);

/*
 * A list of integers, or one alone, as eos_token_id is: how many were stored in out.
 * Absent: 0. More than `room` is a mistake.
 */
size_t cpv_hf_ints(const struct cpv_hf_object *o, const char *key, int64_t *out,
                   size_t room, int64_t min, int64_t max);
/* The same of reals, as image_mean is. */
size_t cpv_hf_reals(const struct cpv_hf_object *o, const char *key, double *out,
                    size_t room, double min, double max);
/* Text i of a list of texts, as architectures is; NULL beyond its end or if absent. */
const char *cpv_hf_list_text(const struct cpv_hf_object *o, const char *key, size_t i);

/* Any value, for shapes that the above have no word for; NULL: absent or null. */
const json_t *cpv_hf_json(const struct cpv_hf_object *o, const char *key);
/* A mistake of the caller's own finding: "'FILE' KEY: expected WHAT". */
void cpv_hf_mistake(const struct cpv_hf_object *o, const char *key, const char *fmt, ...)
    CPV_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
