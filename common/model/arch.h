/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Architectures: which tensors a model must have and of which shape, from its
 * configuration's sizes. One table for each (arch_*.c) serves `capivara models check`
 * and the loaders of the forward passes.
 *
 *     cpv_model_find(...)                    cache.h: the folder, or a single file
 *     cpv_arch_open(&m, path, ...)           which architecture, and its sizes
 *     cpv_checkpoint_open(&c, path, ...)     common/format/checkpoint.h
 *     cpv_arch_prefix(&m, c)                 what a trainer put before all names
 *     cpv_arch_bind(&m, c, take, ...)        each tensor in its place; the first that is
 *                                            missing or of another shape is an error
 *     cpv_arch_one(&m, id, layer, ...)       or one by one, in the loader's order
 *                                            (bind.h)
 *     cpv_arch_check(&m, c, ...)             or all of what is wrong, for a report
 *
 * A loader switches over `entry->id`:
 *
 *     static int take(void *ctx, const struct cpv_arch_bound *b, struct cpv_err *err)
 *     {
 *         struct layer *l = &model->layer[b->layer];
 *
 *         switch (b->entry->id) {
 *         case CPV_MARIAN_ENC_Q: return pack(&l->q, b->weight, b->bias, err);
 *         ...
 *
 * Sizes are dimensions, numbered for each architecture below; `m.dim[CPV_MARIAN_WIDTH]`.
 * They come from the configuration, and where that is silent from the defaults of the
 * classes that wrote it. Linear weights are [out, in].
 *
 * Sources: transformers models/{marian,blip,blip_2,opt,xlm_roberta}; open_clip model.py,
 * hf_model.py, transformer.py.
 */
#ifndef CPV_MODEL_ARCH_H
#define CPV_MODEL_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/format/checkpoint.h"
#include "common/format/hf_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Dimensions that all have; those of an architecture begin at CPV_DIM_OWN. */
enum { CPV_DIM_END, CPV_DIM_1, CPV_DIM_3, CPV_DIM_OWN, CPV_DIM_MAX = 40 };

/* What stands in the checkpoint under an entry's name. */
typedef enum cpv_arch_kind {
    CPV_ARCH_LINEAR, /* NAME.weight of `dim`, NAME.bias of its first */
    CPV_ARCH_MATRIX, /* NAME.weight of `dim`: no bias, or an embedding */
    CPV_ARCH_NORM,   /* NAME.weight and NAME.bias, both of `dim` */
    CPV_ARCH_TENSOR  /* NAME of `dim` */
} cpv_arch_kind;

typedef enum cpv_arch_role {
    CPV_ARCH_NEEDED,
    CPV_ARCH_OPTIONAL, /* derived or zero without it */
    CPV_ARCH_IGNORED   /* known and not used: `note` says why */
} cpv_arch_role;

struct cpv_arch_entry {
    const char *name; /* `*` is the layer's number */
    const char *also; /* another name for it, where `name` is absent; or NULL */
    cpv_arch_kind kind;
    cpv_arch_role role;
    uint8_t id;       /* of the enums below; 0 if ignored */
    uint8_t count;    /* a dimension: how many layers; without `*`: is it there? */
    uint8_t every;    /* a dimension: only each so many-th layer, from 0 on */
    uint8_t dim[4];   /* dimensions; the first CPV_DIM_END ends them */
    const char *twin; /* IGNORED: the tensor of which it should be a copy; or NULL */
    const char *note; /* IGNORED: why */
};

struct cpv_arch_model;

struct cpv_arch {
    const char *name; /* "marian", "blip", "blip-2", "open_clip" */
    const char *what; /* a few words for people */
    const struct cpv_arch_entry *entries;
    size_t n_entries;
    const char *anchor;          /* a tensor that tells the prefix */
    const char *const *prefixes; /* "" first, ends with NULL */
    /* Fill dim; mistakes are kept by the configurations. text: of open_clip. */
    void (*read)(struct cpv_arch_model *m, const struct cpv_hf_object *config,
                 const struct cpv_hf_object *text);
};

struct cpv_arch_model {
    const struct cpv_arch *arch;
    const char *config; /* the file that the sizes come from; "(preset NAME)" */
    const char *prefix;
    uint64_t dim[CPV_DIM_MAX];
};

/*
 * `path` is a model's folder, or a single checkpoint. A folder with open_clip_config.json
 * is OpenCLIP's (its text tower's configuration lies in text/config.json), else
 * config.json's `model_type` decides. A single checkpoint, or a folder with nothing but
 * one, is taken for OpenCLIP's xlm-roberta-base-ViT-B-32 (schemas/presets), as which
 * CAPIVARA's own are published.
 *
 * CPV_E_INPUT: an architecture that is none of ours, or a size that is missing or out of
 * range.
 */
CPV_MUST_CHECK int cpv_arch_open(struct cpv_arch_model *out, const char *path,
                                 cpv_arena *mem, struct cpv_err *err);
/* The same from configurations that are open already; text may be NULL. */
CPV_MUST_CHECK int cpv_arch_read(struct cpv_arch_model *out, const struct cpv_arch *arch,
                                 const struct cpv_hf_object *config,
                                 const struct cpv_hf_object *text, struct cpv_err *err);
/* Both configurations of an OpenCLIP model, for what is beside the sizes: of a folder, or
 * the preset for a checkpoint, as cpv_arch_open takes them. */
struct cpv_arch_files {
    cpv_hf_config *file, *text_file; /* text_file NULL: the preset has both */
    struct cpv_hf_object root, text;
};
CPV_MUST_CHECK int cpv_arch_files_open(struct cpv_arch_files *out, const char *path,
                                       struct cpv_err *err);
void cpv_arch_files_close(struct cpv_arch_files *f);
/* Of a `model_type`; NULL: none. */
const struct cpv_arch *cpv_arch_of_type(const char *model_type);

/* Sets m->prefix. */
void cpv_arch_prefix(struct cpv_arch_model *m, const cpv_checkpoint *c);

/* A tensor that is to be there. */
struct cpv_arch_want {
    const struct cpv_arch_entry *entry;
    uint64_t layer; /* 0 without layers */
    bool bias;
    char name[256]; /* in full, with the prefix */
    char also[256]; /* "" */
    uint32_t rank;
    uint64_t dim[4];
};

/* Every one, ignored ones too, in the table's order. A code from fn ends it. */
typedef int cpv_arch_each_fn(void *ctx, const struct cpv_arch_want *want,
                             struct cpv_err *err);
CPV_MUST_CHECK int cpv_arch_each(const struct cpv_arch_model *m, cpv_arch_each_fn *fn,
                                 void *ctx, struct cpv_err *err);

/* Entry `id` of one layer by itself, its names without .weight: bind.h. */
CPV_MUST_CHECK int cpv_arch_one(const struct cpv_arch_model *m, uint8_t id,
                                uint64_t layer, struct cpv_arch_want *out,
                                struct cpv_err *err);

/* An entry of one layer with what was found. */
struct cpv_arch_bound {
    const struct cpv_arch_entry *entry;
    uint64_t layer;
    const struct cpv_ckpt_tensor *weight; /* or the tensor itself */
    const struct cpv_ckpt_tensor *bias;   /* LINEAR, NORM; else NULL */
};

typedef int cpv_arch_take_fn(void *ctx, const struct cpv_arch_bound *b,
                             struct cpv_err *err);
/* Each needed entry, and each optional one that is there. */
CPV_MUST_CHECK int cpv_arch_bind(const struct cpv_arch_model *m, const cpv_checkpoint *c,
                                 cpv_arch_take_fn *take, void *ctx, struct cpv_err *err);

/* ---- a report ---- */

enum { CPV_ARCH_TYPES = 10 }; /* cpv_ckpt_dtype */

struct cpv_arch_line {
    const char *name; /* of the tensor */
    const char *text; /* missing: the shape expected; wrong: both; notes: the note */
};

struct cpv_arch_lines {
    struct cpv_arch_line *at;
    size_t count;
};

struct cpv_arch_report {
    struct cpv_arch_lines missing, wrong, notes;
    struct cpv_arch_lines unused;     /* in the checkpoint, in no table */
    uint64_t tensors;                 /* in the checkpoint */
    uint64_t parameters;              /* elements of the tensors that are used */
    uint64_t by_type[CPV_ARCH_TYPES]; /* tensors of the checkpoint */
};

CPV_MUST_CHECK int cpv_arch_check(const struct cpv_arch_model *m, const cpv_checkpoint *c,
                                  cpv_arena *mem, struct cpv_arch_report *out,
                                  struct cpv_err *err);

/* ---- Marian (OPUS-MT), arch_marian.c ---- */

enum {
    CPV_MARIAN_WIDTH = CPV_DIM_OWN,
    CPV_MARIAN_ENC_LAYERS,
    CPV_MARIAN_DEC_LAYERS,
    CPV_MARIAN_ENC_HEADS,
    CPV_MARIAN_DEC_HEADS,
    CPV_MARIAN_ENC_FFN,
    CPV_MARIAN_DEC_FFN,
    CPV_MARIAN_VOCAB,
    CPV_MARIAN_DEC_VOCAB,
    CPV_MARIAN_POSITIONS,
    CPV_MARIAN_IS_SHARED, /* 1: one embedding for both sides */
    CPV_MARIAN_IS_SPLIT,  /* 1: not */
    CPV_MARIAN_IS_UNTIED, /* 1: lm_head.weight is a matrix of its own */
    CPV_MARIAN_IS_TIED
};

enum {
    CPV_MARIAN_EMBED = 1, /* of both sides */
    CPV_MARIAN_ENC_EMBED,
    CPV_MARIAN_DEC_EMBED,
    CPV_MARIAN_HEAD,
    CPV_MARIAN_HEAD_BIAS,
    CPV_MARIAN_ENC_POS,
    CPV_MARIAN_DEC_POS,
    CPV_MARIAN_ENC_Q,
    CPV_MARIAN_ENC_K,
    CPV_MARIAN_ENC_V,
    CPV_MARIAN_ENC_OUT,
    CPV_MARIAN_ENC_ATTN_NORM,
    CPV_MARIAN_ENC_FC1,
    CPV_MARIAN_ENC_FC2,
    CPV_MARIAN_ENC_NORM,
    CPV_MARIAN_DEC_Q,
    CPV_MARIAN_DEC_K,
    CPV_MARIAN_DEC_V,
    CPV_MARIAN_DEC_OUT,
    CPV_MARIAN_DEC_ATTN_NORM,
    CPV_MARIAN_CROSS_Q,
    CPV_MARIAN_CROSS_K,
    CPV_MARIAN_CROSS_V,
    CPV_MARIAN_CROSS_OUT,
    CPV_MARIAN_CROSS_NORM,
    CPV_MARIAN_DEC_FC1,
    CPV_MARIAN_DEC_FC2,
    CPV_MARIAN_DEC_NORM
};

/* ---- the vision tower of BLIP and BLIP-2 ---- */

enum {
    CPV_VIT_WIDTH = CPV_DIM_OWN,
    CPV_VIT_LAYERS,
    CPV_VIT_HEADS,
    CPV_VIT_FFN,
    CPV_VIT_IMAGE,  /* pixels of a side */
    CPV_VIT_PATCH,  /* likewise */
    CPV_VIT_TOKENS, /* patches and one */
    CPV_VIT_QKV,    /* 3 widths: rows of q, then k, then v */
    CPV_VIT_DIM_END
};

enum {
    CPV_VIT_CLASS = 1,
    CPV_VIT_POS,
    CPV_VIT_CONV,
    CPV_VIT_NORM1,
    CPV_VIT_ATTN,
    CPV_VIT_PROJ,
    CPV_VIT_NORM2,
    CPV_VIT_FC1,
    CPV_VIT_FC2,
    CPV_VIT_POST_NORM,
    CPV_VIT_ID_END
};

/* ---- BLIP captioning, arch_blip.c ---- */

enum {
    CPV_BLIP_WIDTH = CPV_VIT_DIM_END, /* of the text decoder */
    CPV_BLIP_LAYERS,
    CPV_BLIP_HEADS,
    CPV_BLIP_FFN,
    CPV_BLIP_VOCAB,
    CPV_BLIP_POSITIONS
};

enum {
    CPV_BLIP_EMBED = CPV_VIT_ID_END,
    CPV_BLIP_POS,
    CPV_BLIP_EMBED_NORM,
    CPV_BLIP_Q,
    CPV_BLIP_K,
    CPV_BLIP_V,
    CPV_BLIP_OUT,
    CPV_BLIP_ATTN_NORM,
    CPV_BLIP_CROSS_Q,
    CPV_BLIP_CROSS_K,
    CPV_BLIP_CROSS_V,
    CPV_BLIP_CROSS_OUT,
    CPV_BLIP_CROSS_NORM,
    CPV_BLIP_FC1,
    CPV_BLIP_FC2,
    CPV_BLIP_NORM,
    CPV_BLIP_TRANSFORM,
    CPV_BLIP_TRANSFORM_NORM,
    CPV_BLIP_HEAD,
    CPV_BLIP_HEAD_BIAS
};

/* ---- BLIP-2 with OPT, arch_blip2.c ---- */

enum {
    CPV_BLIP2_Q_WIDTH = CPV_VIT_DIM_END, /* of the Q-Former */
    CPV_BLIP2_Q_LAYERS,
    CPV_BLIP2_Q_HEADS,
    CPV_BLIP2_Q_FFN,
    CPV_BLIP2_Q_EVERY, /* cross-attention in each so many-th layer */
    CPV_BLIP2_QUERIES,
    CPV_BLIP2_OPT_WIDTH,
    CPV_BLIP2_OPT_LAYERS,
    CPV_BLIP2_OPT_HEADS,
    CPV_BLIP2_OPT_FFN,
    CPV_BLIP2_VOCAB,
    CPV_BLIP2_POSITIONS /* rows of the table: 2 more than positions */
};

enum {
    CPV_BLIP2_QUERY = CPV_VIT_ID_END,
    CPV_BLIP2_QF_NORM,
    CPV_BLIP2_QF_Q,
    CPV_BLIP2_QF_K,
    CPV_BLIP2_QF_V,
    CPV_BLIP2_QF_OUT,
    CPV_BLIP2_QF_ATTN_NORM,
    CPV_BLIP2_QF_CROSS_Q,
    CPV_BLIP2_QF_CROSS_K,
    CPV_BLIP2_QF_CROSS_V,
    CPV_BLIP2_QF_CROSS_OUT,
    CPV_BLIP2_QF_CROSS_NORM,
    CPV_BLIP2_QF_FC1,
    CPV_BLIP2_QF_FC2,
    CPV_BLIP2_QF_LAYER_NORM,
    CPV_BLIP2_PROJECTION,
    CPV_BLIP2_EMBED,
    CPV_BLIP2_POS,
    CPV_BLIP2_Q,
    CPV_BLIP2_K,
    CPV_BLIP2_V,
    CPV_BLIP2_OUT,
    CPV_BLIP2_ATTN_NORM,
    CPV_BLIP2_FC1,
    CPV_BLIP2_FC2,
    CPV_BLIP2_NORM,
    CPV_BLIP2_LAST_NORM
};

/* ---- OpenCLIP with an XLM-R text tower, arch_clip.c ---- */

enum {
    CPV_CLIP_EMBED_DIM = CPV_DIM_OWN, /* of the shared space */
    CPV_CLIP_IMAGE,
    CPV_CLIP_PATCH,
    CPV_CLIP_TOKENS,
    CPV_CLIP_V_WIDTH,
    CPV_CLIP_V_LAYERS,
    CPV_CLIP_V_HEADS,
    CPV_CLIP_V_FFN,
    CPV_CLIP_V_QKV,
    CPV_CLIP_T_WIDTH,
    CPV_CLIP_T_LAYERS,
    CPV_CLIP_T_HEADS,
    CPV_CLIP_T_FFN,
    CPV_CLIP_T_VOCAB,
    CPV_CLIP_T_POSITIONS,
    CPV_CLIP_T_TYPES,
    CPV_CLIP_T_HIDDEN,    /* of the projection */
    CPV_CLIP_T_IS_MLP,    /* 1: proj.0 and proj.2 */
    CPV_CLIP_T_IS_LINEAR, /* 1: proj */
};

enum {
    CPV_CLIP_SCALE = 1,
    CPV_CLIP_V_CLASS,
    CPV_CLIP_V_POS,
    CPV_CLIP_V_CONV,
    CPV_CLIP_V_PRE_NORM,
    CPV_CLIP_V_NORM1,
    CPV_CLIP_V_ATTN,
    CPV_CLIP_V_ATTN_BIAS,
    CPV_CLIP_V_OUT,
    CPV_CLIP_V_NORM2,
    CPV_CLIP_V_FC1,
    CPV_CLIP_V_FC2,
    CPV_CLIP_V_POST_NORM,
    CPV_CLIP_V_PROJ, /* [in, out], unlike the others */
    CPV_CLIP_T_EMBED,
    CPV_CLIP_T_POS,
    CPV_CLIP_T_TYPE,
    CPV_CLIP_T_EMBED_NORM,
    CPV_CLIP_T_Q,
    CPV_CLIP_T_K,
    CPV_CLIP_T_V,
    CPV_CLIP_T_OUT,
    CPV_CLIP_T_ATTN_NORM,
    CPV_CLIP_T_FC1,
    CPV_CLIP_T_FC2,
    CPV_CLIP_T_NORM,
    CPV_CLIP_T_PROJ1,
    CPV_CLIP_T_PROJ2
};

extern const struct cpv_arch cpv_arch_marian, cpv_arch_blip, cpv_arch_blip2,
    cpv_arch_clip;

#ifdef __cplusplus
}
#endif
#endif
