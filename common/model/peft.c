/* SPDX-License-Identifier: Apache-2.0 */
/* Names, reading and writing of adapters; see peft.h. */
#include "common/model/peft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/show.h"
#include "common/model/peft_impl.h"

#define WRAPPED "base_model.model."
#define LAYER   "transformer.encoder.layer."

struct cpv_peft_file {
    struct cpv_peft p;
    struct cpv_peft_shape shape;
    cpv_checkpoint *c;
    bool state; /* a whole model's, in which others' tensors are fine */
    const struct cpv_ckpt_tensor *pair[CPV_PEFT_TARGETS][CPV_PEFT_LAYERS][2];
    const struct cpv_ckpt_tensor *proj[2];
};

static int index_of(unsigned target)
{
    for (int i = 0; i < CPV_PEFT_TARGETS; i++)
        if (target == 1U << i)
            return i;
    return -1;
}

const char *cpv_peft_target_word(unsigned target)
{
    static const char *const WORDS[CPV_PEFT_TARGETS] = {
        "query",        "key", "value", "attention.output.dense", "intermediate.dense",
        "output.dense",
    };
    int i = index_of(target);

    return i < 0 ? NULL : WORDS[i];
}

void cpv_peft_target_dims(unsigned target, const struct cpv_peft_shape *shape, int *out,
                          int *in)
{
    *out = target == CPV_CLIP_FFN_IN ? shape->ffn : shape->width;
    *in = target == CPV_CLIP_FFN_OUT ? shape->ffn : shape->width;
}

const char *cpv_peft_pair_name(char to[CPV_PEFT_NAME], unsigned target, int layer, bool b)
{
    int i = index_of(target);

    (void)snprintf(to, CPV_PEFT_NAME, WRAPPED LAYER "%d.%s.lora_%c.weight", layer,
                   i < 0 ? "" : cpv_peft_module(i), b ? 'B' : 'A');
    return to;
}

const char *cpv_peft_projection_name(char to[CPV_PEFT_NAME],
                                     const struct cpv_peft_shape *shape, int i)
{
    if (shape->hidden > 0)
        (void)snprintf(to, CPV_PEFT_NAME, WRAPPED "proj.%d.weight", 2 * i);
    else
        (void)snprintf(to, CPV_PEFT_NAME, WRAPPED "proj.weight");
    return to;
}

const char *cpv_peft_base_name(char to[256], const char *name, int i)
{
    const char *rest = name + 5, *dot = strrchr(name, '.');

    if (strncmp(name, "text.", 5) != 0)
        return NULL;
    if (i == 0 && strncmp(rest, "proj.", 5) == 0) {
        (void)snprintf(to, 256, "text." WRAPPED "proj.original_module.%s", rest + 5);
        return to;
    }
    i -= strncmp(rest, "proj.", 5) == 0;
    if (i == 0)
        (void)snprintf(to, 256, "text." WRAPPED "%s", rest);
    else if (i == 1 && strncmp(rest, "proj.", 5) != 0)
        (void)snprintf(to, 256, "text." WRAPPED "%.*s.base_layer%s", (int)(dot - rest),
                       rest, dot);
    else
        return NULL;
    return to;
}

/* ---- reading ---- */

static bool skip(const char **at, const char *prefix)
{
    size_t n = strlen(prefix);

    if (strncmp(*at, prefix, n) != 0)
        return false;
    *at += n;
    return true;
}

/* Behind the last `base_model.model.` that begins the name or a part of it. */
static const char *behind_wrapper(const char *name)
{
    const char *found = NULL;

    for (const char *at = name; (at = strstr(at, WRAPPED)); at++)
        if (at == name || at[-1] == '.')
            found = at + strlen(WRAPPED);
    return found;
}

/* transformer.encoder.layer.3.attention.self.query.lora_A[.default].weight */
static const struct cpv_ckpt_tensor **pair_slot(cpv_peft_file *f, const char *at)
{
    long layer;
    char *end;

    if (!skip(&at, LAYER) || *at < '0' || *at > '9')
        return NULL;
    layer = strtol(at, &end, 10);
    if (layer >= f->shape.layers || *end != '.' || (*at == '0' && end != at + 1))
        return NULL;
    for (int i = 0; i < CPV_PEFT_TARGETS; i++) {
        const char *rest = end + 1;
        bool b;

        if (!skip(&rest, cpv_peft_module(i)) || !skip(&rest, ".lora_"))
            continue;
        b = *rest == 'B';
        if (!skip(&rest, "A") && !skip(&rest, "B"))
            return NULL;
        (void)skip(&rest, ".default");
        if (strcmp(rest, ".weight") != 0)
            return NULL;
        return f->p.lora.targets >> i & 1 && f->p.lora.layers >> layer & 1
                   ? &f->pair[i][layer][b]
                   : NULL;
    }
    return NULL;
}

/* proj[.modules_to_save[.default]].0.weight */
static const struct cpv_ckpt_tensor **proj_slot(cpv_peft_file *f, const char *at)
{
    if (!f->p.projection || !skip(&at, "proj"))
        return NULL;
    if (skip(&at, ".modules_to_save"))
        (void)skip(&at, ".default");
    if (f->shape.hidden == 0)
        return strcmp(at, ".weight") == 0 ? &f->proj[0] : NULL;
    if (strcmp(at, ".0.weight") == 0)
        return &f->proj[0];
    return strcmp(at, ".2.weight") == 0 ? &f->proj[1] : NULL;
}

/* In a whole state only these are the adapter's. */
static bool is_ours(const char *name)
{
    return strstr(name, ".lora_") || strstr(name, ".modules_to_save.");
}

static int take_tensor(cpv_peft_file *f, const struct cpv_ckpt_tensor *t,
                       struct cpv_err *err)
{
    const char *at = behind_wrapper(t->name), *path = cpv_checkpoint_path(f->c);
    const struct cpv_ckpt_tensor **slot = NULL;

    if (f->state && !is_ours(t->name))
        return CPV_OK;
    if (at && !(slot = pair_slot(f, at)))
        slot = proj_slot(f, at);
    if (!slot)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': tensor '%s' is none that adapter_config.json names", path,
                        cpv_show(cpv_bytes_str(t->name)).text);
    if (*slot)
        return cpv_fail(err, CPV_E_INPUT, "'%s': tensors '%s' and '%s' are the same one",
                        path, (*slot)->name, cpv_show(cpv_bytes_str(t->name)).text);
    *slot = t;
    return CPV_OK;
}

static bool is_floating(cpv_ckpt_dtype t)
{
    return t == CPV_CKPT_F32 || t == CPV_CKPT_F16 || t == CPV_CKPT_BF16 ||
           t == CPV_CKPT_F64;
}

static int judge(const cpv_peft_file *f, const struct cpv_ckpt_tensor *t,
                 const char *name, uint64_t rows, uint64_t cols, struct cpv_err *err)
{
    const char *path = cpv_checkpoint_path(f->c);
    char shape[64];

    if (!t)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': tensor '%s' is missing, expected [%llu, %llu]", path, name,
                        (unsigned long long)rows, (unsigned long long)cols);
    if (t->rank != 2 || t->dim[0] != rows || t->dim[1] != cols)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': tensor '%s' is %s, expected [%llu, %llu]", path, t->name,
                        cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim),
                        (unsigned long long)rows, (unsigned long long)cols);
    if (!is_floating(t->dtype))
        return cpv_fail(err, CPV_E_INPUT, "'%s': tensor '%s' is %s, expected f32", path,
                        t->name, cpv_ckpt_dtype_name(t->dtype));
    return CPV_OK;
}

typedef int each_fn(void *ctx, const char *name, int target, int layer, int b,
                    uint64_t rows, uint64_t cols, struct cpv_err *err);

/* Each tensor that the settings promise; of the projection target is -1, b which. */
static int each(const struct cpv_peft *p, const struct cpv_peft_shape *shape, each_fn *fn,
                void *ctx, struct cpv_err *err)
{
    char name[CPV_PEFT_NAME];
    int rc = CPV_OK, mid = shape->hidden ? shape->hidden : shape->dim, n = 0, out, in;

    for (int l = 0; l < shape->layers; l++)
        for (int i = 0; i < CPV_PEFT_TARGETS; i++)
            for (int b = 0; b < 2 && !rc; b++) {
                if (!(p->lora.targets >> i & 1 && p->lora.layers >> l & 1))
                    continue;
                cpv_peft_target_dims(1U << i, shape, &out, &in);
                cpv_peft_pair_name(name, 1U << i, l, b);
                rc = fn(ctx, name, i, l, b, (uint64_t)(b ? out : p->lora.rank),
                        (uint64_t)(b ? p->lora.rank : in), err);
            }
    if (p->projection)
        n = shape->hidden ? 2 : 1;
    for (int i = 0; i < n && !rc; i++)
        rc =
            fn(ctx, cpv_peft_projection_name(name, shape, i), -1, 0, i,
               (uint64_t)(i ? shape->dim : mid), (uint64_t)(i ? mid : shape->width), err);
    return rc;
}

static int judge_one(void *ctx, const char *name, int target, int layer, int b,
                     uint64_t rows, uint64_t cols, struct cpv_err *err)
{
    const cpv_peft_file *f = ctx;

    return judge(f, target < 0 ? f->proj[b] : f->pair[target][layer][b], name, rows, cols,
                 err);
}

static int read_settings(cpv_peft_file *f, const char *path, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_file_read(path, CPV_HF_SIZE_MAX, &text, err);

    if (!rc)
        rc = cpv_peft_config_read(&f->p, cpv_buf_view(&text), path, &f->shape, err);
    cpv_buf_release(&text);
    return rc;
}

/* The folder's weights; or, if `path` is a file, itself, its settings beside it. */
static int open_files(cpv_peft_file *f, const char *path, cpv_arena *mem,
                      struct cpv_err *err)
{
    static const char *const WEIGHTS[] = {"adapter_model.safetensors",
                                          "adapter_model.bin"};
    const char *settings = cpv_arena_printf(mem, "%s/adapter_config.json", path);
    const char *weights = NULL, *slash = strrchr(path, '/');
    int rc;

    if (!settings)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < CPV_COUNT(WEIGHTS) && !weights; i++) {
        weights = cpv_arena_printf(mem, "%s/%s", path, WEIGHTS[i]);
        if (!weights)
            return cpv_fail_memory(err);
        if (!cpv_file_exists(weights))
            weights = NULL;
    }
    if (!weights && !cpv_file_exists(settings)) {
        settings = cpv_arena_printf(mem, "%.*sadapter_config.json",
                                    slash ? (int)(slash + 1 - path) : 0, path);
        if (!settings)
            return cpv_fail_memory(err);
        if (!cpv_file_exists(path) || !cpv_file_exists(settings))
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s': expected a folder with adapter_config.json and "
                            "adapter_model.safetensors or .bin",
                            path);
        weights = path;
        f->state = true;
    } else if (!weights) {
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': neither adapter_model.safetensors nor adapter_model.bin",
                        path);
    }
    if ((rc = read_settings(f, settings, err)))
        return rc;
    return cpv_checkpoint_open(&f->c, weights, err);
}

int cpv_peft_open(cpv_peft_file **out, const char *path,
                  const struct cpv_peft_shape *shape, struct cpv_err *err)
{
    cpv_peft_file *f = cpv_calloc(1, sizeof *f);
    cpv_arena *mem = NULL;
    int rc;

    *out = NULL;
    if (!f)
        return cpv_fail_memory(err);
    f->shape = *shape;
    rc = cpv_arena_open(&mem, 0, err);
    if (!rc)
        rc = open_files(f, path, mem, err);
    for (size_t i = 0; !rc && i < cpv_checkpoint_count(f->c); i++)
        rc = take_tensor(f, cpv_checkpoint_at(f->c, i), err);
    if (!rc)
        rc = each(&f->p, &f->shape, judge_one, f, err);
    cpv_arena_close(&mem);
    if (rc)
        cpv_peft_close(&f);
    *out = f;
    return rc;
}

void cpv_peft_close(cpv_peft_file **f)
{
    if (!*f)
        return;
    cpv_checkpoint_close(&(*f)->c);
    cpv_free(*f);
    *f = NULL;
}

const struct cpv_peft *cpv_peft_settings(const cpv_peft_file *f)
{
    return &f->p;
}

const cpv_checkpoint *cpv_peft_checkpoint(const cpv_peft_file *f)
{
    return f->c;
}

const struct cpv_ckpt_tensor *cpv_peft_pair(const cpv_peft_file *f, unsigned target,
                                            int layer, bool b)
{
    int i = index_of(target);

    return i < 0 || layer < 0 || layer >= f->shape.layers ? NULL : f->pair[i][layer][b];
}

const struct cpv_ckpt_tensor *cpv_peft_projection(const cpv_peft_file *f, int i)
{
    return f->proj[i != 0];
}

/* ---- writing ---- */

struct given {
    const struct cpv_safetensors_tensor *t;
    size_t n, found;
};

static int find_one(void *ctx, const char *name, int target, int layer, int b,
                    uint64_t rows, uint64_t cols, struct cpv_err *err)
{
    struct given *g = ctx;

    (void)target, (void)layer, (void)b;
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->t[i].name, name) == 0 && g->t[i].rank == 2 &&
            g->t[i].dim[0] == rows && g->t[i].dim[1] == cols) {
            g->found++;
            return CPV_OK;
        }
    return cpv_fail(err, CPV_E_BUG, "an adapter without '%s' [%llu, %llu]", name,
                    (unsigned long long)rows, (unsigned long long)cols);
}

int cpv_peft_write(const char *folder, const struct cpv_peft *p,
                   const struct cpv_peft_shape *shape,
                   const struct cpv_safetensors_tensor *tensors, size_t n,
                   struct cpv_err *err)
{
    struct given g = {tensors, n, 0};
    struct cpv_buf text = {0}, path = {0};
    const char *name;
    int rc = each(p, shape, find_one, &g, err);

    if (!rc && g.found != n)
        rc = cpv_fail(err, CPV_E_BUG, "an adapter of %zu tensors, given %zu", g.found, n);
    if (!rc)
        rc = cpv_folder_make(folder, err);
    if (rc)
        return rc;
    cpv_buf_printf(&path, "%s/adapter_model.safetensors", folder);
    if (!(name = cpv_buf_cstr(&path)))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_safetensors_write(name, tensors, n, NULL, 0, err);
    cpv_peft_config_text(p, shape, &text);
    cpv_buf_clear(&path);
    cpv_buf_printf(&path, "%s/adapter_config.json", folder);
    name = cpv_buf_cstr(&path);
    if (!rc && (!name || text.failed))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_file_replace(name, cpv_buf_view(&text), err);
    cpv_buf_release(&path);
    cpv_buf_release(&text);
    return rc;
}
