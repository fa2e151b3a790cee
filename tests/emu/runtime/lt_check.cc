/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cuBLASLt's documentation refuses, this refuses, with the status it names. Two
 * algorithms are offered, one without and one with a workspace, so that a caller who
 * forgets the workspace or mixes algorithms up is found out.
 */
#include "lt.h"

namespace emu
{

static const uint32_t MAGIC = 0x4c544131;
static const int ALGORITHMS = 2;
static const size_t WORKSPACE = 1 << 20; /* of algorithm 1 */

size_t lt_type_size(uint32_t type)
{
    switch (type) {
    case CUDA_R_32F:
        return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF:
        return 2;
    default:
        return 0;
    }
}

/* f32 sums of factors of one type, which the result has too, or f32. */
static cublasStatus_t check_types(int compute, int scale, uint32_t a, uint32_t b,
                                  uint32_t c, uint32_t d)
{
    bool tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32;

    if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC && !tf32)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (scale != CUDA_R_32F || !lt_type_size(a) || a != b || c != d)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (d != a && d != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (tf32 && a != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (a == CUDA_R_16BF && config().sm < 80)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_layout(const lt_layout &l, int batch)
{
    uint64_t least = l.order == CUBLASLT_ORDER_ROW ? l.cols : l.rows;

    if (l.order != CUBLASLT_ORDER_COL && l.order != CUBLASLT_ORDER_ROW)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!l.rows || !l.cols || l.ld < 0 || static_cast<uint64_t>(l.ld) < least)
        return CUBLAS_STATUS_INVALID_VALUE;
    return l.batch == batch && batch >= 1 ? CUBLAS_STATUS_SUCCESS
                                          : CUBLAS_STATUS_INVALID_VALUE;
}

static cublasStatus_t check_epilogue(const lt_operation &o, const lt_layout &d,
                                     uint64_t m)
{
    bool auxiliary = o.epilogue & 128;

    switch (o.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_DGELU_BGRAD:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
        break;
    default:
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (d.order != CUBLASLT_ORDER_COL)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (o.bias_type >= 0 && static_cast<uint32_t>(o.bias_type) != d.type)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (o.aux_type >= 0 && static_cast<uint32_t>(o.aux_type) != d.type)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (auxiliary &&
        (o.aux_ld < 0 || static_cast<uint64_t>(o.aux_ld) < m || o.aux_ld % 8))
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

static bool is_operation(int32_t trans)
{
    return trans == CUBLAS_OP_N || trans == CUBLAS_OP_T || trans == CUBLAS_OP_C;
}

cublasStatus_t lt_examine(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                          cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                          cublasLtMatrixLayout_t d, lt_problem *out)
{
    const lt_operation *o = lt_operation_of(operation);
    const lt_layout *l[] = {lt_layout_of(a), lt_layout_of(b), lt_layout_of(c),
                            lt_layout_of(d)};
    cublasStatus_t s;

    if (!o || !l[0] || !l[1] || !l[2] || !l[3])
        return CUBLAS_STATUS_INVALID_VALUE;
    *out = {*o, *l[0], *l[1], *l[2], *l[3], 0, 0, 0};
    if (!is_operation(o->trans_a) || !is_operation(o->trans_b))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (o->trans_c != CUBLAS_OP_N || o->fill_mode != CUBLAS_FILL_MODE_FULL ||
        o->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if ((s = check_types(o->compute, o->scale_type, out->a.type, out->b.type, out->c.type,
                         out->d.type)))
        return s;
    for (const lt_layout *one : l)
        if ((s = check_layout(*one, out->d.batch)))
            return s;

    out->m = o->trans_a ? out->a.cols : out->a.rows;
    out->k = o->trans_a ? out->a.rows : out->a.cols;
    out->n = o->trans_b ? out->b.rows : out->b.cols;
    if ((o->trans_b ? out->b.cols : out->b.rows) != out->k)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (const lt_layout *one : {&out->c, &out->d})
        if (one->rows != out->m || one->cols != out->n)
            return CUBLAS_STATUS_INVALID_VALUE;
    return check_epilogue(*o, out->d, out->m);
}

bool lt_algorithm_of(const cublasLtMatmulAlgo_t *in, lt_algorithm *out)
{
    memcpy(out, in, sizeof *out);
    return out->magic == MAGIC && out->id >= 0 && out->id < ALGORITHMS;
}

size_t lt_workspace_of(const lt_algorithm &algorithm)
{
    return algorithm.id == 1 || algorithm.split_k > 1 ? WORKSPACE : 0;
}

static void describe(int id, cublasLtMatmulAlgo_t *out)
{
    lt_algorithm a = {};

    a.magic = MAGIC;
    a.id = id;
    a.split_k = 1;
    memset(out, 0, sizeof *out);
    memcpy(out, &a, sizeof a);
}

#define FIELD(attribute, member)                                                         \
    {                                                                                    \
        attribute, offsetof(lt_algorithm, member),                                       \
            sizeof(static_cast<lt_algorithm *>(nullptr)->member)                         \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const lt_field algorithm_fields[] = {
    FIELD(CUBLASLT_ALGO_CONFIG_ID, id),
    FIELD(CUBLASLT_ALGO_CONFIG_TILE_ID, tile),
    FIELD(CUBLASLT_ALGO_CONFIG_STAGES_ID, stages),
    FIELD(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, split_k),
    FIELD(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, reduction),
    FIELD(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, swizzle),
    FIELD(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, custom),
    FIELD(CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, inner_shape),
    FIELD(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, cluster_shape),
};

} /* namespace emu */

using namespace emu;

extern "C" {

/* The quicker first: that is the one with a workspace, where one is allowed. */
cublasStatus_t
cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                               cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                               cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                               cublasLtMatmulPreference_t preference, int most,
                               cublasLtMatmulHeuristicResult_t results[], int *count)
{
    const lt_preference *p = lt_preference_of(preference);
    lt_problem problem;
    cublasStatus_t s;

    if (!lt_is_handle(handle) || !p || !results || !count || most < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    if ((s = lt_examine(operation, a, b, c, d, &problem)))
        return s;
    for (int id = ALGORITHMS - 1; id >= 0 && *count < most; id--) {
        cublasLtMatmulHeuristicResult_t *r = &results[*count];
        lt_algorithm algorithm;
        memset(r, 0, sizeof *r);
        describe(id, &r->algo);
        (void)lt_algorithm_of(&r->algo, &algorithm);
        r->workspaceSize = lt_workspace_of(algorithm);
        r->state = CUBLAS_STATUS_SUCCESS;
        r->wavesCount = 1;
        if (r->workspaceSize <= p->workspace)
            ++*count;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetIds(cublasLtHandle_t handle,
                                        cublasComputeType_t compute, cudaDataType_t scale,
                                        cudaDataType_t a, cudaDataType_t b,
                                        cudaDataType_t c, cudaDataType_t d, int most,
                                        int ids[], int *count)
{
    cublasStatus_t s;

    if (!lt_is_handle(handle) || !ids || !count || most < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    if ((s = check_types(compute, scale, a, b, c, d)))
        return s;
    while (*count < ALGORITHMS && *count < most) {
        ids[*count] = *count;
        ++*count;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoInit(cublasLtHandle_t handle,
                                      cublasComputeType_t compute, cudaDataType_t scale,
                                      cudaDataType_t a, cudaDataType_t b,
                                      cudaDataType_t c, cudaDataType_t d, int id,
                                      cublasLtMatmulAlgo_t *out)
{
    if (!lt_is_handle(handle) || !out || id < 0 || id >= ALGORITHMS)
        return CUBLAS_STATUS_INVALID_VALUE;
    describe(id, out);
    return check_types(compute, scale, a, b, c, d);
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle,
                                       cublasLtMatmulDesc_t operation,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    lt_algorithm algorithm;
    lt_problem problem;
    cublasStatus_t s;

    if (!lt_is_handle(handle) || !algo || !result || !lt_algorithm_of(algo, &algorithm))
        return CUBLAS_STATUS_INVALID_VALUE;
    if ((s = lt_examine(operation, a, b, c, d, &problem)))
        return s;
    memset(result, 0, sizeof *result);
    result->algo = *algo;
    result->workspaceSize = lt_workspace_of(algorithm);
    result->state = CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t *algo,
                                     cublasLtMatmulAlgoConfigAttributes_t which,
                                     const void *value, size_t size)
{
    lt_algorithm algorithm;

    if (!algo || !lt_algorithm_of(algo, &algorithm) || which == CUBLASLT_ALGO_CONFIG_ID)
        return CUBLAS_STATUS_INVALID_VALUE;
    return lt_set(algo, algorithm_fields, COUNT(algorithm_fields), which, value, size);
}

cublasStatus_t
cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                     cublasLtMatmulAlgoConfigAttributes_t which,
                                     void *value, size_t size, size_t *written)
{
    lt_algorithm algorithm;

    if (!algo || !lt_algorithm_of(algo, &algorithm))
        return CUBLAS_STATUS_INVALID_VALUE;
    return lt_get(algo, algorithm_fields, COUNT(algorithm_fields), which, value, size,
                  written);
}

} /* extern "C" */
