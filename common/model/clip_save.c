/* SPDX-License-Identifier: Apache-2.0 */
/* What training made, for PEFT and for open_clip: see clip.h. */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/format/safetensors_write.h"
#include "common/model/clip_impl.h"
#include "common/model/files.h"
#include "common/model/peft.h"

enum { TEXT_MAX = 64 << 20 };

static const char PEFT[] = "base_model.model.";

struct save;

/* Where rows of a tensor come from, if not from the model's file as they are. */
struct source {
    const struct save *s;
    const struct cpv_clip_param *param; /* a trained one */
    bool vector;                        /* of rank 1: its columns are the rows */
    const struct cpv_ckpt_tensor *base; /* or of the file, */
    struct cpv_lora add;                /* and this is added */
};

struct save {
    const cpv_clip *m;
    cpv_compute *c;
    cpv_arena *mem;
    cpv_peft_file *adapter; /* NULL: there is none, or its pairs are the model's own */
    struct cpv_safetensors_tensor *tensor;
    size_t n;
    float scale; /* logit_scale */
};

struct cpv_peft_shape clip_shape(const struct cpv_clip_config *k)
{
    return (struct cpv_peft_shape){.layers = k->text.layers,
                                   .width = k->text.width,
                                   .ffn = k->text.ffn,
                                   .hidden = k->text.hidden,
                                   .dim = k->dim};
}

/* ---- values ---- */

static int get(const struct save *s, cpv_tensor t, float *to, struct cpv_err *err)
{
    cpv_get(s->c, t, to);
    return cpv_compute_sync(s->c, err);
}

static int rows(void *ctx, uint64_t row0, uint64_t n, float *out, struct cpv_err *err)
{
    const struct source *s = ctx;
    uint64_t in = s->base && s->base->rank > 1 ? s->base->dim[1] : 1;
    int rc;

    if (s->param && s->vector)
        return get(s->s,
                   cpv_columns(cpv_weight_param(s->param->weight, s->param->which),
                               (int64_t)row0, (int64_t)n),
                   out, err);
    if (s->param)
        return get(s->s,
                   cpv_row_range(cpv_weight_param(s->param->weight, s->param->which),
                                 (int64_t)row0, (int64_t)n),
                   out, err);
    rc = cpv_checkpoint_rows_f32(s->base, row0, n, out, err);
    for (uint64_t i = 0; i < n && !rc; i++)
        clip_add_pair(out + i * in, &s->add, (int64_t)(row0 + i), (int64_t)in);
    return rc;
}

static const struct cpv_clip_param *trained(const cpv_clip *m, const char *name)
{
    for (int i = 0; i < m->n_trained; i++)
        if (strcmp(m->trained[i].name, name) == 0)
            return &m->trained[i];
    return NULL;
}

/* ---- an adapter ---- */

static int open_save(struct save *s, const cpv_clip *m, cpv_compute *c, size_t tensors,
                     struct cpv_err *err)
{
    struct cpv_peft_shape shape = clip_shape(&m->config);
    int rc = cpv_arena_open(&s->mem, 0, err);

    s->m = m;
    s->c = c;
    if (!rc) {
        s->tensor = cpv_arena_calloc(s->mem, tensors ? tensors : 1, sizeof *s->tensor);
        if (!s->tensor)
            rc = cpv_fail_memory(err);
    }
    /* What is not trained of it is still only there. */
    if (!rc && m->params.adapter && m->params.text && !m->train.text)
        rc = cpv_peft_open(&s->adapter, m->params.adapter, &shape, err);
    return rc;
}

static void close_save(struct save *s)
{
    cpv_peft_close(&s->adapter);
    cpv_arena_close(&s->mem);
}

/* One that is trained: rank 2, or a vector. */
static int put_trained(struct save *s, const char *name, const struct cpv_clip_param *p,
                       uint32_t rank, struct cpv_err *err)
{
    struct cpv_safetensors_tensor *t = &s->tensor[s->n++];
    struct source *from = cpv_arena_calloc(s->mem, 1, sizeof *from);

    if (!from)
        return cpv_fail_memory(err);
    *from = (struct source){.s = s, .param = p, .vector = rank == 1};
    *t = (struct cpv_safetensors_tensor){
        .name = name, .dtype = CPV_CKPT_F32, .rank = rank, .rows = rows, .ctx = from};
    t->dim[0] = (uint64_t)(rank == 1 ? p->cols : p->rows);
    t->dim[1] = (uint64_t)(rank == 1 ? 1 : p->cols);
    return CPV_OK;
}

/* Of the projection where it is the adapter's and stays as it is. */
static int put_projection(struct save *s, struct cpv_err *err)
{
    struct cpv_peft_shape shape = clip_shape(&s->m->config);
    const struct cpv_ckpt_tensor *from;

    for (int i = 0; (from = cpv_peft_projection(s->adapter, i)); i++) {
        struct cpv_safetensors_tensor *t = &s->tensor[s->n++];
        char name[CPV_PEFT_NAME];

        *t = (struct cpv_safetensors_tensor){
            .dtype = CPV_CKPT_F32, .rank = 2, .dim = {from->dim[0], from->dim[1]}};
        t->copy = from;
        t->name = cpv_arena_str(s->mem,
                                cpv_bytes_str(cpv_peft_projection_name(name, &shape, i)));
        if (!t->name)
            return cpv_fail_memory(err);
        if (i == 1)
            break;
    }
    return CPV_OK;
}

static int write_scale(const cpv_clip *m, const char *folder, struct cpv_err *err)
{
    struct cpv_buf path = {0}, text = {0};
    float scale;
    int rc = clip_log_scale(m, &scale, err);

    cpv_buf_printf(&path, "%s/capivara.json", folder);
    cpv_buf_printf(&text, "{\n  \"logit_scale\": %.9g\n}\n", (double)scale);
    if (!rc && (!cpv_buf_cstr(&path) || text.failed))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_file_replace(cpv_buf_cstr(&path), cpv_buf_view(&text), err);
    cpv_buf_release(&path);
    cpv_buf_release(&text);
    return rc;
}

int cpv_clip_save_adapter(const cpv_clip *m, cpv_compute *c, const char *folder,
                          struct cpv_err *err)
{
    struct cpv_peft_shape shape = clip_shape(&m->config);
    struct cpv_peft peft = {m->train.lora, m->train.projection || m->adapter_projects};
    struct save s = {0};
    int rc;

    if (!m->train.lora.rank)
        return cpv_fail(err, CPV_E_USAGE,
                        "an adapter is made of LoRA pairs: none were "
                        "trained, save the whole model instead");
    rc = open_save(&s, m, c, (size_t)m->n_trained + 2, err);
    for (int i = 0; i < m->n_trained && !rc; i++)
        if (strncmp(m->trained[i].name, PEFT, sizeof PEFT - 1) == 0)
            rc = put_trained(&s, m->trained[i].name, &m->trained[i], 2, err);
    if (!rc && m->adapter_projects && !m->train.projection)
        rc = put_projection(&s, err);
    if (!rc)
        rc = cpv_folder_make(folder, err);
    if (!rc && (m->train.logit_scale || m->adapter_scale))
        rc = write_scale(m, folder, err);
    if (!rc)
        rc = cpv_peft_write(folder, &peft, &shape, s.tensor, s.n, err);
    close_save(&s);
    return rc;
}

/* ---- the whole model ---- */

/* PEFT's name of what stands under `own` ("text....weight") in the model. */
static const char *peft_name(struct save *s, const char *own, const char *suffix)
{
    static const char WEIGHT[] = ".weight";
    size_t n = strlen(own) - 5, tail = sizeof WEIGHT - 1;

    if (*suffix && n > tail && strcmp(own + 5 + n - tail, WEIGHT) == 0)
        n -= tail;
    return cpv_arena_printf(s->mem, "%s%.*s%s", PEFT, (int)n, own + 5, suffix);
}

/* The pair of a matrix: trained, or of the adapter that the model was opened with. */
static int find_pair(struct save *s, const struct cpv_arch_want *w, const char *own,
                     struct cpv_lora *pair, struct cpv_err *err)
{
    const char *name[2] = {peft_name(s, own, ".lora_A.weight"),
                           peft_name(s, own, ".lora_B.weight")};
    const struct cpv_clip_lora *lora =
        s->adapter ? &cpv_peft_settings(s->adapter)->lora : &s->m->train.lora;
    int rc = CPV_OK;

    if (!name[0] || !name[1])
        return cpv_fail_memory(err);
    for (int b = 0; b < 2 && !rc; b++) {
        const struct cpv_clip_param *p = trained(s->m, name[b]);
        const struct cpv_ckpt_tensor *t =
            s->adapter && !p
                ? cpv_checkpoint_find(cpv_peft_checkpoint(s->adapter), name[b])
                : NULL;
        size_t n = (size_t)lora->rank * (size_t)w->dim[b ? 0 : 1];
        float *to;

        if (!p && !t)
            return CPV_OK;
        to = cpv_arena_calloc(s->mem, n, sizeof *to);
        if (!to)
            return cpv_fail_memory(err);
        rc = p ? get(s, cpv_weight_param(p->weight, p->which), to, err)
               : cpv_checkpoint_rows_f32(t, 0, t->dim[0], to, err);
        *(b ? &pair->b : &pair->a) = to;
    }
    pair->rank = lora->rank;
    pair->scale = (float)(lora->alpha / lora->rank);
    return rc;
}

static int put_text(struct save *s, const struct cpv_arch_want *w,
                    struct cpv_safetensors_tensor *t, struct cpv_err *err)
{
    const char *name = peft_name(s, t->name, "");
    const struct cpv_clip_param *p = name ? trained(s->m, name) : NULL;
    const struct cpv_ckpt_tensor *base = t->copy;
    struct cpv_lora pair = {0};
    struct source *from;
    int rc;

    if (!name)
        return cpv_fail_memory(err);
    if (p) {
        s->n--;
        return put_trained(s, t->name, p, w->rank, err);
    }
    for (int i = 0; s->adapter && i < 2; i++) {
        uint8_t id = i ? CPV_CLIP_T_PROJ2 : CPV_CLIP_T_PROJ1;

        if (w->entry->id == id && cpv_peft_projection(s->adapter, i))
            t->copy = cpv_peft_projection(s->adapter, i);
    }
    rc = w->bias || w->rank != 2 ? CPV_OK : find_pair(s, w, t->name, &pair, err);
    if (rc || !pair.rank || !pair.b)
        return rc;
    from = cpv_arena_calloc(s->mem, 1, sizeof *from);
    if (!from)
        return cpv_fail_memory(err);
    *from = (struct source){.s = s, .base = base, .add = pair};
    t->copy = NULL;
    t->rows = rows;
    t->ctx = from;
    return CPV_OK;
}

static int put_one(void *ctx, const struct cpv_arch_want *w, struct cpv_err *err)
{
    struct save *s = ctx;
    const cpv_clip *m = s->m;
    const struct cpv_ckpt_tensor *base = NULL;
    struct cpv_safetensors_tensor *t = &s->tensor[s->n];
    int rc;

    if (w->entry->role == CPV_ARCH_IGNORED)
        return CPV_OK;
    rc = cpv_checkpoint_need(m->file, w->name, w->rank, w->dim, &base, err);
    if (rc)
        return rc;
    s->n++;
    *t = (struct cpv_safetensors_tensor){
        .dtype = CPV_CKPT_F32, .rank = w->rank, .copy = base};
    memcpy(t->dim, w->dim, sizeof w->dim);
    t->name = cpv_arena_str(s->mem, cpv_bytes_str(w->name + strlen(m->arch.prefix)));
    if (!t->name)
        return cpv_fail_memory(err);
    if (w->entry->id == CPV_CLIP_SCALE)
        t->values = &s->scale;
    return strncmp(t->name, "text.", 5) == 0 && m->params.text ? put_text(s, w, t, err)
                                                               : CPV_OK;
}

static int count_one(void *ctx, const struct cpv_arch_want *w, struct cpv_err *err)
{
    (void)w;
    (void)err;
    ++*(size_t *)ctx;
    return CPV_OK;
}

static int write_weights(const cpv_clip *m, cpv_compute *c, const char *folder,
                         struct cpv_err *err)
{
    struct save s = {0};
    struct cpv_buf path = {0};
    size_t n = 0;
    int rc = cpv_arch_each(&m->arch, count_one, &n, err);

    if (!rc)
        rc = open_save(&s, m, c, n, err);
    if (!rc)
        rc = clip_log_scale(m, &s.scale, err);
    if (!rc)
        rc = cpv_arch_each(&m->arch, put_one, &s, err);
    cpv_buf_printf(&path, "%s/open_clip_model.safetensors", folder);
    if (!rc && !cpv_buf_cstr(&path))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_safetensors_write(cpv_buf_cstr(&path), s.tensor, s.n, NULL, 0, err);
    cpv_buf_release(&path);
    close_save(&s);
    return rc;
}

/* ---- what stands beside the weights ---- */

static int copy_file(const char *from, const char *folder, const char *name,
                     struct cpv_err *err)
{
    struct cpv_buf content = {0}, path = {0};
    int rc = cpv_file_read(from, TEXT_MAX, &content, err);

    cpv_buf_printf(&path, "%s/%s", folder, name);
    if (!rc && !cpv_buf_cstr(&path))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_file_replace(cpv_buf_cstr(&path), cpv_buf_view(&content), err);
    cpv_buf_release(&path);
    cpv_buf_release(&content);
    return rc;
}

static int dump(const struct cpv_hf_object *o, const char *folder, const char *name,
                struct cpv_err *err)
{
    char *text = json_dumps(o->json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    struct cpv_buf path = {0};
    int rc = CPV_OK;

    cpv_buf_printf(&path, "%s/%s", folder, name);
    if (!text || !cpv_buf_cstr(&path))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_file_replace(cpv_buf_cstr(&path), cpv_bytes_str(text), err);
    free(text); /* lint: allow free: jansson's memory */
    cpv_buf_release(&path);
    return rc;
}

static bool has_end(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n > k && strcmp(name + n - k, end) == 0;
}

/* Tokenizers and configurations in text/, but no weights. */
static int copy_text_folder(const cpv_clip *m, const char *folder, struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    struct cpv_model_files files = {0};
    int rc = cpv_arena_open(&mem, 0, err);

    if (!rc)
        rc = cpv_model_files_look(m->path, mem, &files, err);
    for (size_t i = 0; i < files.names.count && !rc; i++) {
        const char *name = files.names.at[i];
        const char *from = cpv_arena_printf(mem, "%s/%s", m->path, name);
        bool root = strcmp(name, "open_clip_config.json") == 0;

        if (!root && (strncmp(name, "text/", 5) != 0 || strchr(name + 5, '/') ||
                      !(has_end(name, ".json") || has_end(name, ".model") ||
                        has_end(name, ".txt"))))
            continue;
        rc = from ? copy_file(from, folder, name, err) : cpv_fail_memory(err);
    }
    cpv_arena_close(&mem);
    return rc;
}

static int write_rest(const cpv_clip *m, const char *folder, struct cpv_err *err)
{
    struct cpv_arch_files f;
    struct cpv_buf path = {0};
    int rc = cpv_arch_files_open(&f, m->path, err);

    if (rc)
        return rc;
    cpv_buf_printf(&path, "%s/text", folder);
    rc = cpv_buf_cstr(&path) ? cpv_folder_make(cpv_buf_cstr(&path), err)
                             : cpv_fail_memory(err);
    if (!rc && f.text_file)
        rc = copy_text_folder(m, folder, err);
    if (!rc && !f.text_file) { /* of a checkpoint by itself: the preset */
        rc = dump(&f.text, folder, "text/config.json", err);
        if (!rc && json_object_del(f.root.json, "text_config"))
            rc = cpv_fail(err, CPV_E_BUG, "a preset without text_config");
        if (!rc)
            rc = dump(&f.root, folder, "open_clip_config.json", err);
    }
    if (!rc && m->tokenizer_path)
        rc = copy_file(m->tokenizer_path, folder, "text/sentencepiece.bpe.model", err);
    cpv_buf_release(&path);
    cpv_arch_files_close(&f);
    return rc;
}

int cpv_clip_save_merged(const cpv_clip *m, cpv_compute *c, const char *folder,
                         struct cpv_err *err)
{
    int rc = write_rest(m, folder, err);

    return rc ? rc : write_weights(m, c, folder, err);
}
