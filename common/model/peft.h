/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LoRA adapters of the text tower as PEFT keeps them: a folder with adapter_config.json
 * and adapter_model.safetensors or adapter_model.bin.
 *
 *     cpv_peft_open(&f, folder, &shape)     settings and tensors, all checked
 *     cpv_peft_pair, cpv_peft_projection    views of the file, valid until close
 *     cpv_peft_close(&f)
 *
 *     cpv_peft_pair_name, cpv_peft_projection_name      of a tensor in the file
 *     cpv_peft_write(folder, &peft, &shape, tensors, n) both files
 *
 * PEFT wraps open_clip's HFTextEncoder, so names begin with base_model.model.transformer
 * or base_model.model.proj, without `text.`. It passes over what it misses and what it
 * does not know without a word; here every tensor that the settings promise must be
 * there with its shape, and none may be there that they do not: CPV_E_INPUT by name.
 *
 * What PEFT can do and this cannot is refused by the name of its setting: DoRA, ranks or
 * alphas that differ, biases, and whatever a later version adds, if it is set to
 * anything. With use_rslora alpha is multiplied by sqrt(r) on reading, so that alpha / r
 * is the factor of the pairs in all cases; written again it is without use_rslora.
 *
 * target_modules may be a list (ends of names), or a regular expression of Python's that
 * says nothing beyond literals, sets, groups, `|`, `*`, `+`, `?`, `.`, `\d`, `\w`.
 *
 * Sources: peft 0.5.0 and 0.21.2, tuners/lora/config.py, tuners/tuners_utils.py
 * (check_target_module_exists), utils/save_and_load.py, utils/other.py.
 */
#ifndef CPV_MODEL_PEFT_H
#define CPV_MODEL_PEFT_H

#include "common/base/bytes.h"
#include "common/format/checkpoint.h"
#include "common/format/safetensors_write.h"
#include "common/model/clip.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_PEFT_TARGETS = 6, /* products of a layer: bits of enum cpv_clip_target */
    CPV_PEFT_LAYERS = 64, /* at most */
    CPV_PEFT_NAME = 128,  /* bytes of a tensor's name, with its terminator */
    CPV_PEFT_RANK_MAX = 4096
};

/* What an adapter is of. */
struct cpv_peft {
    struct cpv_clip_lora lora;
    bool projection; /* modules_to_save: all of text.proj */
};

/* The text tower that it is for (struct cpv_clip_config has them). */
struct cpv_peft_shape {
    int layers, width, ffn;
    int hidden; /* of the projection, 0: it is one matrix */
    int dim;
};

/* The word of a target in messages and settings ("query"), NULL: not one of them. */
const char *cpv_peft_target_word(unsigned target);
/* The product's sizes: y = W x, W of [out, in]. */
void cpv_peft_target_dims(unsigned target, const struct cpv_peft_shape *shape, int *out,
                          int *in);

/* ---- settings ---- */

/* `name` is what messages call it. */
CPV_MUST_CHECK int cpv_peft_config_read(struct cpv_peft *out, struct cpv_bytes text,
                                        const char *name,
                                        const struct cpv_peft_shape *shape,
                                        struct cpv_err *err);
/* As PEFT writes it: keys sorted, indented by 2. Lack of memory sticks to the buffer. */
void cpv_peft_config_text(const struct cpv_peft *p, const struct cpv_peft_shape *shape,
                          struct cpv_buf *to);

/* ---- names ---- */

/* base_model.model.transformer.encoder.layer.LAYER.TARGET.lora_A.weight, `b`: lora_B.
 * lora_A is [rank, in], lora_B [out, rank]. */
const char *cpv_peft_pair_name(char to[CPV_PEFT_NAME], unsigned target, int layer,
                               bool b);
/* base_model.model.proj.0.weight and .2.weight (i: 0, 1), or proj.weight. */
const char *cpv_peft_projection_name(char to[CPV_PEFT_NAME],
                                     const struct cpv_peft_shape *shape, int i);
/*
 * What the wrapped tower's state (a checkpoint of a run with an adapter, as CAPIVARA's
 * Lightning ones) may call a tensor of the base model that is `name` otherwise
 * (text.transformer..., text.proj...): spelling i from 0 on, NULL: no more.
 * text.base_model.model.transformer....query.weight, ....query.base_layer.weight,
 * text.base_model.model.proj.original_module.0.weight.
 */
const char *cpv_peft_base_name(char to[256], const char *name, int i);

/* ---- reading ---- */

typedef struct cpv_peft_file cpv_peft_file;

/*
 * `path`: the folder, or a checkpoint with adapter_config.json beside it. Of a checkpoint
 * that holds a whole state only the adapter's tensors are taken, whose names may have
 * what PEFT drops when it saves (lora_A.default.weight,
 * proj.modules_to_save.default.0.weight) and anything before base_model.
 */
CPV_MUST_CHECK int cpv_peft_open(cpv_peft_file **out, const char *path,
                                 const struct cpv_peft_shape *shape, struct cpv_err *err);
void cpv_peft_close(cpv_peft_file **f);
const struct cpv_peft *cpv_peft_settings(const cpv_peft_file *f);
/* The file of the tensors, for cpv_checkpoint_release. */
const cpv_checkpoint *cpv_peft_checkpoint(const cpv_peft_file *f);
/* NULL: this product has no pair. */
const struct cpv_ckpt_tensor *cpv_peft_pair(const cpv_peft_file *f, unsigned target,
                                            int layer, bool b);
/* NULL: it is the base model's. */
const struct cpv_ckpt_tensor *cpv_peft_projection(const cpv_peft_file *f, int i);

/* ---- writing ---- */

/*
 * FOLDER/adapter_model.safetensors, then FOLDER/adapter_config.json; the folder is made.
 * The tensors are those that the settings promise, in any order; that they are is
 * checked (CPV_E_BUG).
 */
CPV_MUST_CHECK int cpv_peft_write(const char *folder, const struct cpv_peft *p,
                                  const struct cpv_peft_shape *shape,
                                  const struct cpv_safetensors_tensor *tensors, size_t n,
                                  struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
