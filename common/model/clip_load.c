/* SPDX-License-Identifier: Apache-2.0 */
/* Weights: of the text tower, with its pairs, and what is about both. */
#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/base/sys.h"
#include "common/model/bind.h"
#include "common/model/clip_impl.h"
#include "common/model/files.h"
#include "common/model/peft.h"

enum { CLIP_STREAM_LORA = 0x6C6F7261 /* "lora" */ };

struct clip_loader {
    cpv_clip *m;
    cpv_peft_file *adapter;    /* NULL: none */
    struct cpv_clip_lora lora; /* its pairs, or those that are to be trained */
    bool merges;               /* pairs are added to their matrices */
};

/* ---- names, and the list of what is trained ---- */

static bool one(struct clip_loader *l, uint64_t layer, uint8_t id,
                struct cpv_arch_want *want)
{
    struct cpv_err err = {0};

    if (!cpv_arch_one(&l->m->arch, id, layer, want, &err))
        return true;
    cpv_params_fail(l->m->weights, err.code, "%s", err.text);
    return false;
}

/* `name` is the checkpoint's: PEFT wraps what stands behind "text.". */
static void list(struct clip_loader *l, const char *name, const char *suffix,
                 const cpv_weight *w, cpv_param which, int64_t rows, int64_t cols)
{
    cpv_clip *m = l->m;
    struct cpv_clip_param *p = &m->trained[m->n_trained];
    const char *own = name + strlen(m->arch.prefix);

    if (!w)
        return;
    if (strncmp(own, "text.", 5) == 0)
        p->name = cpv_arena_printf(m->mem, "base_model.model.%s%s", own + 5, suffix);
    else
        p->name = cpv_arena_printf(m->mem, "%s%s", own, suffix);
    if (!p->name) {
        cpv_params_fail(m->weights, CPV_E_MEMORY, "out of memory");
        return;
    }
    p->weight = (cpv_weight *)(uintptr_t)w;
    p->which = which;
    p->rows = rows;
    p->cols = cols;
    m->n_trained++;
}

/* ---- products ---- */

/* Rows of one tensor or of several, one after another; to each its pair may be added. */
struct part {
    const struct cpv_ckpt_tensor *t, *bias;
    bool foreign;        /* t is not of the model's own file */
    struct cpv_lora add; /* rank 0: nothing */
};

struct parts {
    struct part part[3];
    int n;
    int64_t out, in; /* of each */
};

void clip_add_pair(float *row, const struct cpv_lora *p, int64_t at, int64_t in)
{
    const float *b = p->b + at * p->rank;

    for (int64_t k = 0; k < in; k++) {
        double sum = 0;

        for (int r = 0; r < p->rank; r++)
            sum += (double)b[r] * (double)p->a[r * in + k];
        row[k] = (float)((double)row[k] + (double)p->scale * sum);
    }
}

static int part_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct parts *s = arg;
    int rc = CPV_OK;

    for (int64_t i = first; i < first + n && !rc; i++, to += s->in) {
        const struct part *p = &s->part[i / s->out];

        rc = cpv_checkpoint_rows_f32(p->t, (uint64_t)(i % s->out), 1, to, err);
        if (!rc && p->add.rank)
            clip_add_pair(to, &p->add, i % s->out, s->in);
    }
    return rc;
}

static int part_bias(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct parts *s = arg;
    int rc = CPV_OK;

    (void)first;
    (void)n;
    for (int i = 0; i < s->n && !rc; i++)
        rc = cpv_checkpoint_rows_f32(s->part[i].bias, 0, (uint64_t)s->out,
                                     to + i * s->out, err);
    return rc;
}

/* Room for a pair's matrices. */
static bool pair_room(struct cpv_lora *pair, int rank, int64_t out, int64_t in)
{
    pair->rank = rank;
    pair->a = cpv_calloc((size_t)rank * (size_t)in, sizeof *pair->a);
    pair->b = cpv_calloc((size_t)rank * (size_t)out, sizeof *pair->b);
    return pair->a && pair->b;
}

static void release(struct cpv_lora *pair)
{
    cpv_free((float *)(uintptr_t)pair->a);
    cpv_free((float *)(uintptr_t)pair->b);
}

/* What a new pair begins with: A uniform in +-1/sqrt(in), B zeros. The numbers depend on
 * the seed and the place alone. */
static void begin_pair(const struct clip_loader *l, uint64_t layer, int product,
                       int64_t in, const struct cpv_lora *pair)
{
    float *a = (float *)(uintptr_t)pair->a;
    double most = 1 / sqrt((double)in);
    struct cpv_rng r;

    cpv_rng_init(&r, l->m->train.seed, CLIP_STREAM_LORA,
                 layer * CLIP_PRODUCTS + (unsigned)product);
    for (int64_t i = 0; i < pair->rank * in; i++)
        a[i] = (float)((2 * cpv_rng_unit(&r) - 1) * most);
}

/* The adapter's. */
static void read_pair(struct clip_loader *l, uint64_t layer, int product,
                      const struct cpv_lora *pair)
{
    struct cpv_err err = {0};
    float *to[2] = {(float *)(uintptr_t)pair->a, (float *)(uintptr_t)pair->b};

    for (int b = 0; b < 2; b++) {
        const struct cpv_ckpt_tensor *t =
            cpv_peft_pair(l->adapter, 1U << product, (int)layer, b);

        if (t && cpv_checkpoint_rows_f32(t, 0, t->dim[0], to[b], &err))
            cpv_params_fail(l->m->weights, err.code, "%s", err.text);
    }
}

static bool wants_pair(const struct clip_loader *l, uint64_t layer, int product)
{
    const struct cpv_clip_lora *p = &l->lora;

    return p->rank > 0 && product >= 0 && (p->targets >> product & 1) && layer < 64 &&
           (p->layers >> layer & 1);
}

/* The pair of a product, if it has one. False: no memory. */
static bool pair_of(struct clip_loader *l, uint64_t layer, int product, int64_t out,
                    int64_t in, struct cpv_lora *pair)
{
    if (!wants_pair(l, layer, product))
        return true;
    if (!pair_room(pair, l->lora.rank, out, in)) {
        cpv_params_fail(l->m->weights, CPV_E_MEMORY, "out of memory");
        return false;
    }
    pair->scale = (float)(l->lora.alpha / l->lora.rank);
    if (l->adapter)
        read_pair(l, layer, product, pair);
    else
        begin_pair(l, layer, product, in, pair);
    return true;
}

/* The tensors of a product, and the pair of it that is to be added. */
static bool take(struct clip_loader *l, uint64_t layer, uint8_t id, int product,
                 struct cpv_arch_want *want, struct parts *s)
{
    struct cpv_bind b = {l->m->weights, &l->m->arch};
    struct part *p = &s->part[s->n++];

    p->t = cpv_bind_tensor(&b, layer, id);
    if (!p->t || !one(l, layer, id, want))
        return false;
    s->out = (int64_t)want->dim[0];
    s->in = (int64_t)want->dim[1];
    if (want->entry->kind == CPV_ARCH_LINEAR) {
        p->bias = cpv_params_tensor(l->m->weights, want->dim[0], "%s.bias", want->name);
        if (!p->bias)
            return false;
    }
    return !l->merges || pair_of(l, layer, product, s->out, s->in, &p->add);
}

static void drop(struct parts *s)
{
    for (int i = 0; i < s->n; i++)
        release(&s->part[i].add);
}

static const cpv_weight *make(struct clip_loader *l, struct parts *s, unsigned train,
                              const struct cpv_lora *pair)
{
    const struct cpv_ckpt_tensor *from[6];
    struct cpv_weight_params w = {.name = s->part[0].t->name,
                                  .out = s->n * s->out,
                                  .in = s->in,
                                  .use = CPV_USE_LINEAR,
                                  .train = train,
                                  .matrix = {.rows = part_rows, .arg = s},
                                  .lora = *pair};
    int n = 0;

    for (int i = 0; i < s->n; i++) {
        if (!s->part[i].foreign)
            from[n++] = s->part[i].t;
        if (s->part[i].bias)
            from[n++] = s->part[i].bias;
    }
    if (s->part[0].bias) {
        w.bias.rows = part_bias;
        w.bias.arg = s;
    }
    return cpv_params_make(l->m->weights, &w, from, n);
}

static void list_product(struct clip_loader *l, const struct cpv_arch_want *want,
                         const cpv_weight *w, unsigned train, int rank)
{
    int64_t out = (int64_t)want->dim[0], in = (int64_t)want->dim[1];

    if (train & CPV_TRAIN_MATRIX)
        list(l, want->name, ".weight", w, CPV_PARAM_MATRIX, out, in);
    if ((train & CPV_TRAIN_BIAS) && want->entry->kind == CPV_ARCH_LINEAR)
        list(l, want->name, ".bias", w, CPV_PARAM_BIAS, 1, out);
    if (train & CPV_TRAIN_LORA) {
        list(l, want->name, ".lora_A.weight", w, CPV_PARAM_LORA_A, rank, in);
        list(l, want->name, ".lora_B.weight", w, CPV_PARAM_LORA_B, out, rank);
    }
}

static struct clip_product product(struct clip_loader *l, uint64_t layer, uint8_t id,
                                   int number)
{
    struct clip_product p = {NULL, !l->merges && wants_pair(l, layer, number)};
    unsigned train = l->m->train.text ? CPV_TRAIN_MATRIX | CPV_TRAIN_BIAS : 0;
    struct cpv_lora pair = {0};
    struct cpv_arch_want want;
    struct parts s = {.n = 0};

    if (p.pair)
        train |= CPV_TRAIN_LORA;
    if (take(l, layer, id, number, &want, &s) &&
        (l->merges || pair_of(l, layer, number, s.out, s.in, &pair))) {
        p.w = make(l, &s, train, &pair);
        list_product(l, &want, p.w, train, pair.rank);
    }
    release(&pair);
    drop(&s);
    return p;
}

/* Queries, keys and values as one. */
static const cpv_weight *fused(struct clip_loader *l, uint64_t layer)
{
    static const uint8_t ID[] = {CPV_CLIP_T_Q, CPV_CLIP_T_K, CPV_CLIP_T_V};
    struct cpv_lora none = {0};
    const cpv_weight *w = NULL;
    struct cpv_arch_want want;
    struct parts s = {.n = 0};
    bool all = true;

    for (int i = 0; i < 3 && all; i++)
        all = take(l, layer, ID[i], i, &want, &s);
    if (all)
        w = make(l, &s, 0, &none);
    drop(&s);
    return w;
}

/* ---- other weights of the text tower ---- */

static struct cpv_layer_norm norm(struct clip_loader *l, uint64_t layer, uint8_t id)
{
    cpv_params *p = l->m->weights;
    bool train = l->m->train.text;
    struct cpv_layer_norm n = {.eps = (float)l->m->config.text.eps};
    const struct cpv_ckpt_tensor *from[2];
    struct cpv_arch_want want;
    struct cpv_weight_params w = {.out = 1,
                                  .use = CPV_USE_NORM,
                                  .train = train ? CPV_TRAIN_MATRIX | CPV_TRAIN_BIAS : 0,
                                  .matrix = {.rows = cpv_params_vector},
                                  .bias = {.rows = cpv_params_vector}};

    if (!one(l, layer, id, &want))
        return n;
    from[0] = cpv_params_tensor(p, want.dim[0], "%s.weight", want.name);
    from[1] = cpv_params_tensor(p, want.dim[0], "%s.bias", want.name);
    if (!from[0] || !from[1])
        return n;
    w.name = from[0]->name;
    w.in = (int64_t)want.dim[0];
    w.matrix.arg = (void *)(uintptr_t)from[0];
    w.bias.arg = (void *)(uintptr_t)from[1];
    n.w = cpv_params_make(p, &w, from, 2);
    if (train) {
        list(l, want.name, ".weight", n.w, CPV_PARAM_MATRIX, 1, w.in);
        list(l, want.name, ".bias", n.w, CPV_PARAM_BIAS, 1, w.in);
    }
    return n;
}

/* A table, with one row added to each of its own (NULL: none). */
struct table {
    const struct cpv_ckpt_tensor *t, *add;
};

static int table_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct table *s = arg;
    size_t cols = (size_t)s->t->dim[1];
    float *row = NULL;
    int rc = cpv_checkpoint_rows_f32(s->t, (uint64_t)first, (uint64_t)n, to, err);

    if (rc || !s->add)
        return rc;
    row = cpv_alloc(cols * sizeof *row);
    rc = row ? cpv_checkpoint_rows_f32(s->add, 0, 1, row, err) : cpv_fail_memory(err);
    for (size_t i = 0; !rc && i < (size_t)n * cols; i++)
        to[i] += row[i % cols];
    cpv_free(row);
    return rc;
}

/* f32 that lie in the mapped file as an array does. */
static const float *plain(const struct cpv_ckpt_tensor *t)
{
    bool fits = t->dtype == CPV_CKPT_F32 && t->contiguous &&
                (uintptr_t)t->data % _Alignof(float) == 0;

    return fits ? (const float *)(const void *)t->data : NULL;
}

/* The file stays open as long as the model, so that a table can be read where it lies: of
 * XLM-R's words a batch needs a few rows of 768 MB. */
static const cpv_weight *table(struct clip_loader *l, uint8_t id, uint8_t add)
{
    struct cpv_bind b = {l->m->weights, &l->m->arch};
    struct table s = {cpv_bind_tensor(&b, 0, id), add ? cpv_bind_tensor(&b, 0, add) : 0};
    const struct cpv_ckpt_tensor *from[] = {s.t, s.add};
    struct cpv_weight_params w = {.use = CPV_USE_TABLE,
                                  .train = l->m->train.text ? CPV_TRAIN_MATRIX : 0,
                                  .matrix = {.rows = table_rows, .arg = &s}};
    const cpv_weight *made;
    struct cpv_arch_want want;

    if (!s.t || (add && !s.add) || !one(l, 0, id, &want))
        return NULL;
    w.name = s.t->name;
    w.out = (int64_t)s.t->dim[0];
    w.in = (int64_t)s.t->dim[1];
    w.matrix.plain = add ? NULL : plain(s.t);
    w.borrow = true;
    made = cpv_params_make(l->m->weights, &w, from, add ? 2 : 1);
    if (w.train)
        list(l, want.name, ".weight", made, CPV_PARAM_MATRIX, w.out, w.in);
    return made;
}

/* Number i of the projection: the adapter's, if it has it. */
static const cpv_weight *projection(struct clip_loader *l, uint8_t id, int i)
{
    unsigned train = l->m->train.text || l->m->train.projection ? CPV_TRAIN_MATRIX : 0;
    const struct cpv_ckpt_tensor *own =
        l->adapter ? cpv_peft_projection(l->adapter, i) : NULL;
    struct cpv_lora none = {0};
    struct cpv_arch_want want;
    struct parts s = {.n = 0};
    const cpv_weight *w;

    if (!take(l, 0, id, -1, &want, &s))
        return NULL;
    if (own) {
        s.part[0].t = own;
        s.part[0].foreign = true;
    }
    w = make(l, &s, train, &none);
    list_product(l, &want, w, train, 0);
    return w;
}

static void load_layer(struct clip_loader *l, uint64_t i)
{
    static const uint8_t ID[CLIP_PRODUCTS] = {CPV_CLIP_T_Q,   CPV_CLIP_T_K,
                                              CPV_CLIP_T_V,   CPV_CLIP_T_OUT,
                                              CPV_CLIP_T_FC1, CPV_CLIP_T_FC2};
    struct clip_layer *to = &l->m->text.layer[i];
    bool apart = l->m->train.text;

    for (int k = CLIP_Q; k <= CLIP_V; k++)
        apart |= !l->merges && wants_pair(l, i, k);
    if (!apart)
        to->qkv = fused(l, i);
    for (int k = apart ? CLIP_Q : CLIP_OUT; k < CLIP_PRODUCTS; k++) {
        to->product[k] = product(l, i, ID[k], k);
        if (k == CLIP_OUT)
            to->attn_norm = norm(l, i, CPV_CLIP_T_ATTN_NORM);
    }
    to->norm = norm(l, i, CPV_CLIP_T_NORM);
}

static void load_text(struct clip_loader *l)
{
    cpv_clip *m = l->m;
    struct clip_text *t = &m->text;

    t->words = table(l, CPV_CLIP_T_EMBED, 0);
    t->positions = table(l, CPV_CLIP_T_POS, m->train.text ? 0 : CPV_CLIP_T_TYPE);
    if (m->train.text)
        t->type = table(l, CPV_CLIP_T_TYPE, 0);
    t->embed_norm = norm(l, 0, CPV_CLIP_T_EMBED_NORM);
    for (int i = 0; i < m->config.text.layers; i++)
        load_layer(l, (uint64_t)i);
    t->proj[0] = projection(l, CPV_CLIP_T_PROJ1, 0);
    if (m->config.text.hidden)
        t->proj[1] = projection(l, CPV_CLIP_T_PROJ2, 1);
}

/* ---- both ---- */

/* ADAPTER/capivara.json, where it was trained along. */
static int read_adapter_scale(cpv_clip *m, struct cpv_err *err)
{
    const char *path = cpv_arena_printf(m->mem, "%s/capivara.json", m->params.adapter);
    struct cpv_hf_object root;
    cpv_hf_config *c = NULL;
    int rc = path ? cpv_hf_config_open(&c, path, err) : cpv_fail_memory(err);

    if (rc == CPV_E_ABSENT || rc == CPV_E_IO) /* a checkpoint is no folder */
        return CPV_OK;
    if (rc)
        return rc;
    root = cpv_hf_config_root(c);
    m->adapter_scale = cpv_hf_has(&root, "logit_scale");
    m->scale = (float)cpv_hf_real(&root, "logit_scale", (double)m->scale, -100, 100);
    rc = cpv_hf_config_check(c, err);
    cpv_hf_config_close(&c);
    return rc;
}

static int load_scale(struct clip_loader *l, struct cpv_err *err)
{
    cpv_clip *m = l->m;
    const struct cpv_ckpt_tensor *t = NULL;
    struct cpv_weight_params w = {.out = 1,
                                  .in = 1,
                                  .use = CPV_USE_TABLE,
                                  .train = m->train.logit_scale ? CPV_TRAIN_MATRIX : 0,
                                  .matrix = {.plain = &m->scale}};
    struct cpv_arch_want want;
    int rc = cpv_arch_one(&m->arch, CPV_CLIP_SCALE, 0, &want, err);

    if (!rc)
        rc = cpv_checkpoint_need(m->file, want.name, 0, NULL, &t, err);
    if (!rc)
        rc = cpv_checkpoint_rows_f32(t, 0, 1, &m->scale, err);
    if (rc)
        return rc;
    if (l->adapter)
        rc = read_adapter_scale(m, err);
    if (rc)
        return rc;
    w.name = t->name;
    m->logit_scale = cpv_params_make(m->weights, &w, &t, 1);
    if (w.train)
        list(l, want.name, "", m->logit_scale, CPV_PARAM_MATRIX, 1, 1);
    return CPV_OK;
}

static int open_arrays(cpv_clip *m, struct cpv_err *err)
{
    const struct cpv_clip_config *k = &m->config;
    size_t trained = 16 + 16 * (size_t)k->text.layers;

    m->vision.layer =
        cpv_arena_calloc(m->mem, (size_t)k->vision.layers, sizeof *m->vision.layer);
    m->text.layer =
        cpv_arena_calloc(m->mem, (size_t)k->text.layers, sizeof *m->text.layer);
    m->trained = cpv_arena_calloc(m->mem, trained, sizeof *m->trained);
    return m->vision.layer && m->text.layer && m->trained ? CPV_OK : cpv_fail_memory(err);
}

/* Pairs to be trained; bits of layers that there are not do not count. */
static int check_lora(cpv_clip *m, struct cpv_err *err)
{
    struct cpv_clip_lora *p = &m->train.lora;
    int layers = m->config.text.layers;

    if (layers < 64)
        p->layers &= ((uint64_t)1 << layers) - 1;
    p->targets &= (1U << CLIP_PRODUCTS) - 1;
    if (!p->rank)
        return CPV_OK;
    if (p->rank < 0 || p->rank > CPV_PEFT_RANK_MAX)
        return cpv_fail(err, CPV_E_USAGE, "LoRA's rank: expected 1 to %d, got %d",
                        CPV_PEFT_RANK_MAX, p->rank);
    if (!p->targets || !p->layers)
        return cpv_fail(err, CPV_E_USAGE, "LoRA pairs without a %s of the %d layers",
                        p->targets ? "layer" : "product", layers);
    if (!(p->dropout >= 0 && p->dropout < 1))
        return cpv_fail(err, CPV_E_USAGE, "LoRA's dropout: expected 0 to below 1, got %g",
                        p->dropout);
    return CPV_OK;
}

/* Pairs are those of the adapter, or else the ones to be trained. */
static int open_adapter(struct clip_loader *l, struct cpv_err *err)
{
    cpv_clip *m = l->m;
    struct cpv_peft_shape shape = clip_shape(&m->config);
    int rc;

    if (!m->params.adapter || !m->params.text) {
        rc = check_lora(m, err);
        l->lora = m->train.lora;
        return rc;
    }
    rc = cpv_peft_open(&l->adapter, m->params.adapter, &shape, err);
    if (rc)
        return rc;
    l->lora = cpv_peft_settings(l->adapter)->lora;
    m->adapter_projects = cpv_peft_settings(l->adapter)->projection;
    l->merges = !m->params.train || m->train.text;
    if (!l->merges)
        m->train.lora = l->lora;
    return CPV_OK;
}

/* Both towers, as far as they are wanted. */
static int load_all(struct clip_loader *l, struct cpv_err *err)
{
    cpv_clip *m = l->m;
    struct cpv_bind b = {m->weights, &m->arch};
    int rc;

    cpv_arch_prefix(&m->arch, m->file);
    if (m->params.image)
        clip_load_image(&b, m);
    if (m->params.text)
        load_text(l);
    rc = load_scale(l, err);
    return rc ? rc : cpv_params_check(m->weights, err);
}

int clip_load(cpv_clip *m, struct cpv_err *err)
{
    struct clip_loader l = {.m = m};
    const char *path = NULL;
    int rc = open_arrays(m, err);

    if (!rc)
        rc = cpv_model_weights(m->path, m->mem, &path, err);
    if (!rc)
        rc = cpv_checkpoint_open(&m->file, path, err);
    if (!rc)
        rc = cpv_params_open(&m->weights, m->device, m->file, err);
    if (!rc)
        rc = open_adapter(&l, err);
    if (!rc)
        rc = load_all(&l, err);
    cpv_peft_close(&l.adapter);
    return rc;
}
