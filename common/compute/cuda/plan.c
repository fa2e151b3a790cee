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
 * cuBLASLt counts columns first: our [n, out] is its out x n matrix, and the product is
 * matrix^T times x, with all sizes as they lie in memory.
 */
#include "common/compute/cuda/lt.h"

#include <cuda_runtime_api.h>

#include "common/base/sys.h"
#include "common/compute/cuda/internal.h"

enum { ROWS_TYPICAL = 512, CANDIDATES = 32 };

/* Rows of x and of the result, in cuBLASLt's terms: set anew for each product. */
struct cpv_cuda_layouts {
    cublasLtMatrixLayout_t x, add, out;
};

struct key {
    bool wide; /* the result is f32, the matrix is not */
    bool add;
    bool aligned; /* the result, which follows from the matrix's rows: x always is */
    bool bias;
    cpv_unary_kind act;
};

struct cpv_cuda_plan {
    struct cpv_cuda_plan *next;
    struct key key;
    bool bias, act; /* what of the key could be fused */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t matrix;
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
    cublasStatus_t e;

    x->layouts = cpv_calloc(1, sizeof *x->layouts);
    if (!x->layouts)
        return cpv_fail_memory(err);
    e = d->lt->MatrixLayoutCreate(&x->layouts->x, CUDA_R_32F, 1, 1, 1);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = d->lt->MatrixLayoutCreate(&x->layouts->add, CUDA_R_32F, 1, 1, 1);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = d->lt->MatrixLayoutCreate(&x->layouts->out, CUDA_R_32F, 1, 1, 1);
    return e == CUBLAS_STATUS_SUCCESS ? CPV_OK : fail_lt(err, e, "make a layout");
}

void cpv_cuda_layouts_release(struct cpv_cuda_context *x, const struct cpv_cuda_device *d)
{
    if (!x->layouts)
        return;
    if (x->layouts->x)
        (void)d->lt->MatrixLayoutDestroy(x->layouts->x);
    if (x->layouts->add)
        (void)d->lt->MatrixLayoutDestroy(x->layouts->add);
    if (x->layouts->out)
        (void)d->lt->MatrixLayoutDestroy(x->layouts->out);
    cpv_free(x->layouts);
    x->layouts = NULL;
}

/* `rows` of ours, of `cols` each. */
static cublasStatus_t set_layout(const struct cpv_lt *lt, cublasLtMatrixLayout_t layout,
                                 cpv_dtype dtype, int64_t rows, int64_t cols, int64_t ld)
{
    uint32_t type = (uint32_t)type_of(dtype);
    uint64_t lines = (uint64_t)cols, count = (uint64_t)rows;
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
    const struct cpv_cuda_matrix *m;
    struct cpv_cuda_plan *plan;
};

static uint32_t epilogue_of(const struct cpv_cuda_plan *p)
{
    cpv_unary_kind act = p->act ? p->key.act : CPV_IDENTITY;

    if (act == CPV_GELU_TANH)
        return p->bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    return p->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

/* Layouts for n rows as dense as their alignment allows: the choice must not depend on
 * who comes first. */
static cublasStatus_t set_rows(const struct maker *k, int64_t n)
{
    cpv_dtype in = k->m->t.dtype, out = k->plan->key.wide ? CPV_F32 : in;
    int64_t x_ld = cpv_cuda_padded(k->m->t.cols, in), o_ld;
    cublasStatus_t e;

    o_ld = k->plan->key.aligned ? cpv_cuda_padded(k->m->t.rows, out) : k->m->t.rows | 1;
    e = set_layout(k->lt, k->layouts->x, in, n, k->m->t.cols, x_ld);
    return e == CUBLAS_STATUS_SUCCESS
               ? set_layout(k->lt, k->layouts->out, out, n, k->m->t.rows, o_ld)
               : e;
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
            k->lt->MatmulAlgoCheck(k->lt->handle, k->plan->desc, k->plan->matrix,
                                   k->layouts->x, k->layouts->out, k->layouts->out, algo,
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
        e = k->lt->MatmulAlgoGetHeuristic(k->lt->handle, k->plan->desc, k->plan->matrix,
                                          k->layouts->x, k->layouts->out, k->layouts->out,
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
    cublasOperation_t turned = CUBLAS_OP_T;
    const struct key *key = &k->plan->key;
    cublasStatus_t e;

    e = k->lt->MatmulDescCreate(&k->plan->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = k->lt->MatmulDescSetAttribute(k->plan->desc, CUBLASLT_MATMUL_DESC_TRANSA,
                                          &turned, sizeof turned);
    if (e == CUBLAS_STATUS_SUCCESS && key->bias)
        e = k->lt->MatmulDescSetAttribute(
            k->plan->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = k->lt->MatrixLayoutCreate(&k->plan->matrix, type_of(k->m->t.dtype),
                                      (uint64_t)k->m->t.cols, (uint64_t)k->m->t.rows,
                                      k->m->t.stride);
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
    if (p->matrix)
        (void)lt->MatrixLayoutDestroy(p->matrix);
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
    return a->wide == b->wide && a->add == b->add && a->aligned == b->aligned &&
           a->bias == b->bias && a->act == b->act;
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
    struct key key = {.wide = p->out.dtype != p->matrix->t.dtype,
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
    cpv_tensor add = cpv_is(p->add) ? p->add : p->out;
    float beta = cpv_is(p->add) ? 1 : 0;
    struct cpv_cuda_plan *plan = NULL;
    cublasStatus_t e;
    int rc;

    pthread_mutex_lock(&d->lock);
    rc = find(&plan, d, x, p, err);
    pthread_mutex_unlock(&d->lock);
    if (rc)
        return rc;
    e = set_layout(d->lt, x->layouts->x, p->x.dtype, p->x.rows, p->x.cols, p->x.stride);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = set_layout(d->lt, x->layouts->out, p->out.dtype, p->out.rows, p->out.cols,
                       p->out.stride);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = set_layout(d->lt, x->layouts->add, add.dtype, add.rows, add.cols, add.stride);
    if (e == CUBLAS_STATUS_SUCCESS)
        e = d->lt->Matmul(d->lt->handle, plan->desc, &p->alpha, p->matrix->t.data,
                          plan->matrix, p->x.data, x->layouts->x, &beta, add.data,
                          x->layouts->add, p->out.data, x->layouts->out, &plan->algo,
                          x->workspace, CPV_CUDA_WORKSPACE, (cudaStream_t)x->stream);
    p->bias_done = plan->bias;
    p->act_done = plan->act;
    return e == CUBLAS_STATUS_SUCCESS ? CPV_OK : fail_lt(err, e, "multiply");
}
