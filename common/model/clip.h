/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenCLIP with an XLM-R text tower (open_clip's CustomTextCLIP: a ViT and HFTextEncoder
 * with mean_pooler and an MLP), base or with a PEFT adapter, to embed and to train.
 *
 *     cpv_clip_open(&m, device, "model folder or file", params)   once per device
 *     cpv_clip_encode(m, text, ids)                               tokens of a caption
 *     cpv_clip_worker_open(&w, m, limits)                         each thread
 *       cpv_clip_worker_images / _texts                           normalised embeddings
 *
 * or, for the trainer, with params.train:
 *
 *     cpv_clip_text(c, m, ids, rows, how)                         on a tape
 *     cpv_clip_trained(m, &list)                                  what the optimizer
 * moves cpv_clip_save_adapter, cpv_clip_save_merged
 *
 * An embedding depends on nothing but its own image or text, wherever the device keeps
 * rows (compute.h): not on the batch, nor on threads.
 *
 * Image: pre-norm with a norm before the first layer, erf GELU, the class token of the
 * last layer alone is computed, its norm and projection. Text: XLM-R, post-norm, mean
 * over all tokens, two products with erf GELU between. Neither is normalised by the
 * towers.
 */
#ifndef CPV_MODEL_CLIP_H
#define CPV_MODEL_CLIP_H

#include "common/base/bytes.h"
#include "common/compute/compute.h"
#include "common/compute/train.h"
#include "common/model/pixels.h"
#include "common/text/ids.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_clip cpv_clip;
typedef struct cpv_clip_worker cpv_clip_worker;

/* ---- opening ---- */

/* Products of a layer of the text tower that may have a LoRA pair: PEFT's target_modules,
 * by the ends of their names. */
enum cpv_clip_target {
    CPV_CLIP_QUERY = 1,    /* "query" */
    CPV_CLIP_KEY = 2,      /* "key" */
    CPV_CLIP_VALUE = 4,    /* "value" */
    CPV_CLIP_ATTN_OUT = 8, /* "attention.output.dense" */
    CPV_CLIP_FFN_IN = 16,  /* "intermediate.dense" */
    CPV_CLIP_FFN_OUT = 32  /* "output.dense" of the layer, not of its attention */
};

struct cpv_clip_lora {
    int rank; /* r; 0: none */
    double alpha;
    double dropout;   /* on the pair's input, while training */
    unsigned targets; /* of enum cpv_clip_target */
    uint64_t layers;  /* bit i: layer i of the text tower (at most 64) */
};

/* What is to be trained. The image tower never is (LiT). */
struct cpv_clip_train {
    struct cpv_clip_lora lora; /* an adapter's own settings count instead of these */
    bool text;                 /* all of the text tower, projection included */
    bool projection;           /* text.proj */
    bool logit_scale;
    uint64_t seed; /* lora_A: uniform in +-1/sqrt(in), as PEFT's kaiming(sqrt 5); B: 0 */
};

struct cpv_clip_params {
    bool image, text; /* towers that are wanted; the other costs nothing */
    /* sentencepiece.bpe.model; NULL: FOLDER/text/ or FOLDER/ has it. */
    const char *tokenizer;
    /* A folder with adapter_config.json and adapter_model.safetensors or .bin. With
     * `train` its pairs go on as they are, else they are added to the matrices. */
    const char *adapter;
    const struct cpv_clip_train *train; /* NULL: to embed only */
};

/*
 * `model`: a folder (open_clip_config.json with open_clip_model.safetensors or
 * open_clip_pytorch_model.bin), or a checkpoint file (CAPIVARA's .ckpt, a .bin, a
 * .safetensors) of the shapes of schemas/presets/xlm-roberta-base-ViT-B-32.json.
 * CPV_E_INPUT names file, key or tensor, and what was expected.
 */
CPV_MUST_CHECK int cpv_clip_open(cpv_clip **out, cpv_device *device, const char *model,
                                 const struct cpv_clip_params *params,
                                 struct cpv_err *err);
void cpv_clip_close(cpv_clip **m);

struct cpv_clip_config {
    int dim;     /* of embeddings */
    int context; /* tokens of a text, <s> and </s> included: 77 */
    struct {
        int width, ffn, layers, heads, image, patch, tokens;
        double eps;
    } vision;
    struct {
        int width, ffn, layers, heads, vocab, positions, hidden;
        cpv_unary_kind act;
        double eps;
        double dropout, attention_dropout; /* of its configuration: 0.1 for XLM-R */
        int32_t bos, eos, pad;
    } text;
};
const struct cpv_clip_config *cpv_clip_config(const cpv_clip *m);
/* How a picture becomes pixels: preprocess_cfg. */
const struct cpv_pixels_config *cpv_clip_pixels(const cpv_clip *m);
size_t cpv_clip_bytes(const cpv_clip *m); /* of weights, on the device */

/* Tokens of a caption, cleaned and cut as open_clip's tokenizer does (77): appended. */
CPV_MUST_CHECK int cpv_clip_encode(const cpv_clip *m, struct cpv_bytes caption,
                                   struct cpv_ids *ids, struct cpv_err *err);
/* exp(logit_scale), of the checkpoint or as it has been trained. */
CPV_MUST_CHECK int cpv_clip_scale(const cpv_clip *m, float *scale, struct cpv_err *err);

/* ---- to embed ---- */

struct cpv_clip_limits {
    int images;  /* in one batch; 0: 8 */
    int tokens;  /* of a batch of texts, at least `context`; 0: 1024 */
    int threads; /* of this worker; 0: 1 */
};

/* Takes an arena of the size that a dry run of the largest batches tells. */
CPV_MUST_CHECK int cpv_clip_worker_open(cpv_clip_worker **out, const cpv_clip *m,
                                        const struct cpv_clip_limits *limits,
                                        struct cpv_err *err);
void cpv_clip_worker_close(cpv_clip_worker **w);
size_t cpv_clip_worker_bytes(const cpv_clip_worker *w);

/* Pixels [n, 3 * image * image] as cpv_pixels_make gives them, any n, to unit vectors
 * [n, dim]. */
CPV_MUST_CHECK int cpv_clip_worker_images(cpv_clip_worker *w, const float *pixels,
                                          int64_t n, float *out, struct cpv_err *err);
/* Texts: ids of all, one after another; length[i] of text i, 1 ... context. Any n;
 * batches are made inside. Unit vectors [n, dim]. */
CPV_MUST_CHECK int cpv_clip_worker_texts(cpv_clip_worker *w, const int32_t *ids,
                                         const int32_t *length, int64_t n, float *out,
                                         struct cpv_err *err);

/* ---- to train ---- */

/* How the text tower runs; all zeros: as for embedding. */
struct cpv_clip_how {
    bool checkpointing; /* each layer is a segment: computed again on the way back */
    /* Rows are padded with <pad> to so many a text, as the reference does: for
     * comparison. The same numbers up to rounding. 0: packed. */
    int pad_to;
    /* hidden: behind embeddings, attention and MLP; attention: of its weights; lora: of
     * the pairs' input. All 0: none. */
    float hidden, attention, lora;
    struct cpv_dice dice; /* what dropout draws from */
};

/* Pixels [n, 3 * image * image] to [n, dim]. */
cpv_tensor cpv_clip_image(cpv_compute *c, const cpv_clip *m, cpv_tensor pixels);
/* ids i32 [rows.total, 1], packed, to [rows.count, dim]. `how` may be NULL. */
cpv_tensor cpv_clip_text(cpv_compute *c, const cpv_clip *m, cpv_tensor ids, cpv_rows rows,
                         const struct cpv_clip_how *how);
/* [1, 1], TABLE: log of the factor of similarities. */
const cpv_weight *cpv_clip_logit_scale(const cpv_clip *m);

/* A trained parameter. `name` as PEFT's get_peft_model_state_dict has it
 * ("base_model.model.transformer.encoder.layer.0.attention.self.query.lora_A.weight",
 * "base_model.model.proj.0.weight"), or "logit_scale". */
struct cpv_clip_param {
    const char *name;
    cpv_weight *weight;
    cpv_param which;
    int64_t rows, cols;
};
/* In a fixed order. The list is the model's. Returns how many. */
int cpv_clip_trained(const cpv_clip *m, const struct cpv_clip_param **list);
/* The pairs that are trained: as asked for, or the adapter's; rank 0: none. */
const struct cpv_clip_lora *cpv_clip_pairs(const cpv_clip *m);

/*
 * FOLDER/adapter_config.json and adapter_model.safetensors, as PEFT writes them; and,
 * beside them, `logit_scale` in capivara.json where it was trained. Files are written
 * whole or not at all. `c` is a context of the model's device.
 */
CPV_MUST_CHECK int cpv_clip_save_adapter(const cpv_clip *m, cpv_compute *c,
                                         const char *folder, struct cpv_err *err);
/*
 * FOLDER/open_clip_model.safetensors (f32; pairs added to their matrices), with
 * open_clip_config.json and text/ of the model it was made from. What open_clip loads.
 * The image tower is copied from the model's own file.
 */
CPV_MUST_CHECK int cpv_clip_save_merged(const cpv_clip *m, cpv_compute *c,
                                        const char *folder, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
