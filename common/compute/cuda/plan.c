/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products by cuBLASLt. A plan is a descriptor and an algorithm; a matrix has one for
 * each way it is used (dtype of the result, what is added and fused, alignment), made at
 * the first use and kept.
 *
 * The algorithm is asked for once, for a typical number of rows, and then used for every
 * number of rows: an algorithm fixes the tiles along K and thus the order of the sum, so
 * that a row's bits do not depend on the batch. Split-K, whose parts are added up in an
 * order of its own, is excluded. The list of candidates is cuBLASLt's own ranking; the
 * first that can do every number of rows wins.
 *
 * cuBLASLt counts columns first: our [n, out] is its out x n matrix. Its product D = A B
 * is then, for our three forms, W^T x, W y and x y^T.
 */
#include "common/compute/cuda/lt.h"

#include <cuda_runtime_api.h>

#include "common/base/sys.h"
#include "common/compute/cuda/internal.h"

enum { ROWS_TYPICAL = 512, CANDIDATES = 32 };

/* Set anew for each product. */
struct cpv_cuda_layouts {
    cublasLtMatrixLayout_t a, b, add, out;
};

struct key {
    cpv_cuda_form form;
    bool wide; /* the result is f32, the matrix is not */
    bool add;
    bool
        aligned; /* the result: this follows from the matrix's shape; inputs always are */
    bool bias;
    cpv_unary_kind act;
};

struct cpv_cuda_plan {
    struct cpv_cuda_plan *next;
    struct key key;
    bool bias, act; /* what of the key could be fused */
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulAlgo_t algo;
};

static int fail_lt(struct cpv_err *err, cublasStatus_t status, const char *doing)
{
    return cpv_fail(err, status == CUBLAS_STATUS_ALLOC_FAILED ? CPV_E_MEMORY : CPV_E_IO,
                    "cuBLASLt cannot %s: status %d", doing, (int)status);
}

static cudaDataType_t type_of(cpv_dtype dtype)
{
    return dtype == CPV_BF16 ? CUDA_R_16BF : dtype == CPV_F16 ? CUDA_R_16F : CUDA_R_32F;
}

/* ---- layouts ---- */

int cpv_cuda_layouts_init(struct cpv_cuda_context *x, const struct cpv_cuda_device *d,
                          struct cpv_err *err)
{
    cublasLtMatrixLayout_t *all[4];
    cublasStatus_t e = CUBLAS_STATUS_SUCCESS;

    x->layouts = cpv_calloc(1, sizeof *x->layouts);
    if (!x->layouts)
        return cpv_fail_memory(err);
    all[0] = &x->layouts->a;
    all[1] = &x->layouts->b;
    all[2] = &x->layouts->add;
    all[3] = &x->layouts->out;
    for (int i = 0; i < 4 && e == CUBLAS_STATUS_SUCCESS; i++)
        e = d->lt->MatrixLayoutCreate(all[i], CUDA_R_32F, 1, 1, 1);
    return e == CUBLAS_STATUS_SUCCESS ? CPV_OK : fail_lt(err, e, "make a layout");
}

void cpv_cuda_layouts_release(struct cpv_cuda_context *x, const struct cpv_cuda_device *d)
{
    if (!x->layouts)
        return;
    if (x->layouts->a)
        (void)d->lt->MatrixLayoutDestroy(x->layouts->a);
    if (x->layouts->b)
        (void)d->lt->MatrixLayoutDestroy(x->layouts->b);
    if (x->layouts->add)
        (void)d->lt->MatrixLayoutDestroy(x->layouts->add);
    if (x->layouts->out)
        (void)d->lt->MatrixLayoutDestroy(x->layouts->out);
    cpv_free(x->layouts);
    x->layouts = NULL;
}

static cublasStatus_t set_layout(const struct cpv_lt *lt, cublasLtMatrixLayout_t layout,
                                 cpv_tensor t)
{
    uint32_t type = (uint32_t)type_of(t.dtype);
    uint64_t lines = (uint64_t)t.cols, count = (uint64_t)t.rows;
    int64_t ld = t.stride;
    cublasStatus_t e;

    e = lt->MatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_TYPE, &type,
                                     sizeof type);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = lt->MatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_ROWS, &lines,
                                         sizeof lines);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = lt->MatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_COLS, &count,
                                         sizeof count);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = lt->MatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_LD, &ld,
                                         sizeof ld);
    return e;
}

/* ---- making a plan ---- */

/* What a plan is made with. */
struct maker {
    const struct cpv_lt *lt;
    const struct cpv_cuda_layouts *layouts;
    struct cpv_cuda_matrix *m;
    struct cpv_cuda_plan *plan;
};

static uint32_t epilogue_of(const struct cpv_cuda_plan *p)
{
    cpv_unary_kind act = p->act ? p->key.act : CPV_IDENTITY;

    if (act == CPV_GELU_TANH)
        return p->bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    return p->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

/* The operands of a product, as tensors: D = A B + C. */
struct operands {
    cpv_tensor a, b, add, out;
};

static cublasStatus_t set_layouts(const struct cpv_lt *lt,
                                  const struct cpv_cuda_layouts *l,
                                  const struct operands *o)
{
    cublasStatus_t e = set_layout(lt, l->a, o->a);

    if (e == CUBLAS_STATUS_SUCCESS)
        e = set_layout(lt, l->b, o->b);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = set_layout(lt, l->add, o->add);
    return e == CUBLAS_STATUS_SUCCESS ? set_layout(lt, l->out, o->out) : e;
}

static struct operands operands_of(const struct cpv_cuda_product *p)
{
    struct operands o = {.add = cpv_is(p->add) ? p->add : p->out, .out = p->out};

    o.a = p->form == CPV_CUDA_OUTER ? p->x : p->matrix->t;
    o.b = p->form == CPV_CUDA_FORWARD ? p->x : p->y;
    return o;
}

/* Layouts for n rows, as dense as their alignment allows: the choice must not depend on
 * who comes first. */
static cublasStatus_t set_rows(const struct maker *k, int64_t n)
{
    const cpv_tensor w = k->m->t;
    const struct key *key = &k->plan->key;
    cpv_tensor x = {.rows = n, .cols = w.cols, .dtype = w.dtype}, y = x;
    struct cpv_cuda_product p = {.form = key->form, .matrix = k->m};
    struct operands o;

    y.cols = w.rows;
    x.stride = cpv_cuda_padded(x.cols, x.dtype);
    y.stride = cpv_cuda_padded(y.cols, y.dtype);
    p.x = x;
    p.y = y;
    p.out = key->form == CPV_CUDA_FORWARD ? y : key->form == CPV_CUDA_BACK ? x : w;
    p.out.dtype = key->wide ? CPV_F32 : w.dtype;
    p.out.stride =
        key->aligned ? cpv_cuda_padded(p.out.cols, p.out.dtype) : p.out.cols | 1;
    o = operands_of(&p);
    return set_layouts(k->lt, k->layouts, &o);
}

static cublasStatus_t set_preference(const struct maker *k, cublasLtMatmulPreference_t p)
{
    size_t size = cpv_dtype_size(k->plan->key.wide ? CPV_F32 : k->m->t.dtype);
    uint64_t workspace = CPV_CUDA_WORKSPACE;
    uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_NONE, whole = 16;
    uint32_t part = k->plan->key.aligned ? 16 : (uint32_t)size;
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t size;
    } set[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme, sizeof scheme},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &whole, sizeof whole},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &whole, sizeof whole},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &part, sizeof part},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &part, sizeof part},
    };
    cublasStatus_t e = CUBLAS_STATUS_SUCCESS;

    for (size_t i = 0; i < sizeof set / sizeof *set && e == CUBLAS_STATUS_SUCCESS; i++)
        e = k->lt->MatmulPreferenceSetAttribute(p, set[i].name, set[i].value,
                                                set[i].size);
    return e;
}

/* One piece along K, and good for few rows and many? */
static bool fits_all_rows(const struct maker *k, const cublasLtMatmulAlgo_t *algo)
{
    static const int64_t rows[] = {1, 7, 64, 1000, 100000};
    int32_t split = 0;
    size_t written = 0;

    if (k->lt->MatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split,
                                            sizeof split,
                                            &written) != CUBLAS_STATUS_SUCCESS ||
        split > 1)
        return false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cublasLtMatmulHeuristicResult_t result;

        if (set_rows(k, rows[i]) != CUBLAS_STATUS_SUCCESS ||
            k->lt->MatmulAlgoCheck(k->lt->handle, k->plan->desc, k->layouts->a,
                                   k->layouts->b, k->layouts->add, k->layouts->out, algo,
                                   &result) != CUBLAS_STATUS_SUCCESS ||
            result.workspaceSize > CPV_CUDA_WORKSPACE)
            return false;
    }
    return true;
}

/* CUBLAS_STATUS_NOT_SUPPORTED: no algorithm does it all. */
static cublasStatus_t choose(const struct maker *k)
{
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    cublasLtMatmulPreference_t preference = NULL;
    cublasStatus_t e;
    int n = 0;

    e = k->lt->MatmulPreferenceCreate(&preference);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = set_preference(k, preference);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = set_rows(k, ROWS_TYPICAL);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = k->lt->MatmulAlgoGetHeuristic(k->lt->handle, k->plan->desc, k->layouts->a,
                                          k->layouts->b, k->layouts->add, k->layouts->out,
                                          preference, CANDIDATES, found, &n);
    if (preference)
        (void)k->lt->MatmulPreferenceDestroy(preference);
    if (e != CUBLAS_STATUS_SUCCESS)
        return e;
    for (int i = 0; i < n; i++)
        if (found[i].state == CUBLAS_STATUS_SUCCESS && fits_all_rows(k, &found[i].algo)) {
            k->plan->algo = found[i].algo;
            return CUBLAS_STATUS_SUCCESS;
        }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

static cublasStatus_t try_plan(const struct maker *k, bool bias, bool act)
{
    uint32_t epilogue;

    k->plan->bias = bias;
    k->plan->act = act;
    epilogue = epilogue_of(k->plan);
    if (k->lt->MatmulDescSetAttribute(k->plan->desc, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                      &epilogue,
                                      sizeof epilogue) != CUBLAS_STATUS_SUCCESS)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return choose(k);
}

/* The most that can be fused: bias and act, the bias, nothing. */
static cublasStatus_t complete(const struct maker *k, const struct cpv_cuda_product *p)
{
    const struct key *key = &k->plan->key;
    int32_t turn_a = key->form == CPV_CUDA_FORWARD ? CUBLAS_OP_T : CUBLAS_OP_N;
    int32_t turn_b = key->form == CPV_CUDA_OUTER ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasStatus_t e;

    e = k->lt->MatmulDescCreate(&k->plan->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = k->lt->MatmulDescSetAttribute(k->plan->desc, CUBLASLT_MATMUL_DESC_TRANSA,
                                          &turn_a, sizeof turn_a);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = k->lt->MatmulDescSetAttribute(k->plan->desc, CUBLASLT_MATMUL_DESC_TRANSB,
                                          &turn_b, sizeof turn_b);
    if (e == CUBLAS_STATUS_SUCCESS && key->bias)
        e = k->lt->MatmulDescSetAttribute(
            k->plan->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    if (e != CUBLAS_STATUS_SUCCESS)
        return e;
    e = CUBLAS_STATUS_NOT_SUPPORTED;
    if (key->act != CPV_IDENTITY)
        e = try_plan(k, key->bias, true);
    if (e == CUBLAS_STATUS_NOT_SUPPORTED && key->bias)
        e = try_plan(k, true, false);
    if (e == CUBLAS_STATUS_NOT_SUPPORTED)
        e = try_plan(k, false, false);
    return e;
}

static void release(const struct cpv_lt *lt, struct cpv_cuda_plan *p)
{
    if (p->desc)
        (void)lt->MatmulDescDestroy(p->desc);
    cpv_free(p);
}

void cpv_cuda_plans_release(const struct cpv_cuda_device *d, struct cpv_cuda_plan **list)
{
    while (*list) {
        struct cpv_cuda_plan *next = (*list)->next;

        release(d->lt, *list);
        *list = next;
    }
}

/* ---- using it ---- */

static bool same(const struct key *a, const struct key *b)
{
    return a->form == b->form && a->wide == b->wide && a->add == b->add &&
           a->aligned == b->aligned && a->bias == b->bias && a->act == b->act;
}

/* cuBLASLt's ReLU may turn a NaN into 0, and its GELU is too coarse for f32. */
static cpv_unary_kind fusible(const struct cpv_cuda_product *p)
{
    return p->act == CPV_GELU_TANH && p->out.dtype != CPV_F32 ? p->act : CPV_IDENTITY;
}

/* Under the device's lock. */
static int find(struct cpv_cuda_plan **out, const struct cpv_cuda_device *d,
                const struct cpv_cuda_context *x, const struct cpv_cuda_product *p,
                struct cpv_err *err)
{
    struct key key = {.form = p->form,
                      .wide = p->out.dtype != p->matrix->t.dtype,
                      .add = cpv_is(p->add),
                      .aligned = cpv_cuda_is_aligned(p->out),
                      .bias = p->bias != NULL,
                      .act = fusible(p)};
    struct cpv_cuda_plan *plan;
    struct maker k;
    cublasStatus_t e;

    for (plan = p->matrix->plans; plan; plan = plan->next)
        if (same(&plan->key, &key)) {
            *out = plan;
            return CPV_OK;
        }
    plan = cpv_calloc(1, sizeof *plan);
    if (!plan)
        return cpv_fail_memory(err);
    plan->key = key;
    k = (struct maker){d->lt, x->layouts, p->matrix, plan};
    e = complete(&k, p);
    if (e != CUBLAS_STATUS_SUCCESS) {
        release(d->lt, plan);
        return fail_lt(err, e, "plan a product");
    }
    plan->next = p->matrix->plans;
    p->matrix->plans = plan;
    *out = plan;
    return CPV_OK;
}

int cpv_cuda_multiply(cpv_compute *c, struct cpv_cuda_product *p, struct cpv_err *err)
{
    struct cpv_cuda_device *d = cpv_cuda_device_of(c->device);
    const struct cpv_cuda_context *x = cpv_cuda_context_of(c);
    const struct cpv_cuda_layouts *l = x->layouts;
    struct operands o = operands_of(p);
    float beta = cpv_is(p->add) ? 1 : 0;
    struct cpv_cuda_plan *plan = NULL;
    cublasStatus_t e;
    int rc;

    pthread_mutex_lock(&d->lock);
    rc = find(&plan, d, x, p, err);
    pthread_mutex_unlock(&d->lock);
    if (rc)
        return rc;
    p->bias_done = plan->bias;
    p->act_done = plan->act;
    e = set_layouts(d->lt, l, &o);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = d->lt->Matmul(d->lt->handle, plan->desc, &p->alpha, o.a.data, l->a, o.b.data,
                          l->b, &beta, o.add.data, l->add, o.out.data, l->out,
                          &plan->algo, x->workspace, CPV_CUDA_WORKSPACE,
                          (cudaStream_t)x->stream);
    return e == CUBLAS_STATUS_SUCCESS ? CPV_OK : fail_lt(err, e, "multiply");
}
