/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles and descriptors. An attribute that is not in the tables is NOT_SUPPORTED, one
 * of another size INVALID_VALUE: what the product begins to use is added here, and to
 * what looks at it.
 */
#include "lt.h"

namespace emu
{

template <class T> struct object {
    uint32_t magic;
    T value;
};

static const uint32_t HANDLE = 0x4c544831, OPERATION = 0x4c544f31, LAYOUT = 0x4c544c31,
                      PREFERENCE = 0x4c545031;

template <class T> static T *value_of(void *handle, uint32_t magic)
{
    object<T> *o = static_cast<object<T> *>(handle);
    return o && o->magic == magic ? &o->value : nullptr;
}

template <class H> static cublasStatus_t destroy(H handle, uint32_t magic)
{
    uint32_t *first = reinterpret_cast<uint32_t *>(handle);

    if (!first || *first != magic)
        return CUBLAS_STATUS_INVALID_VALUE;
    *first = 0;
    free(first);
    return CUBLAS_STATUS_SUCCESS;
}

/* From malloc, so that one function can free them all. */
template <class T, class H>
static cublasStatus_t create(H *out, uint32_t magic, const T &value)
{
    void *p = out ? malloc(sizeof(object<T>)) : nullptr;

    if (!p)
        return out ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_INVALID_VALUE;
    object<T> made = {magic, value};
    memcpy(p, &made, sizeof made);
    *out = static_cast<H>(p);
    return CUBLAS_STATUS_SUCCESS;
}

const lt_operation *lt_operation_of(cublasLtMatmulDesc_t handle)
{
    return value_of<lt_operation>(handle, OPERATION);
}

const lt_layout *lt_layout_of(cublasLtMatrixLayout_t handle)
{
    return value_of<lt_layout>(handle, LAYOUT);
}

const lt_preference *lt_preference_of(cublasLtMatmulPreference_t handle)
{
    return value_of<lt_preference>(handle, PREFERENCE);
}

bool lt_is_handle(cublasLtHandle_t handle)
{
    return value_of<int>(handle, HANDLE) != nullptr;
}

static const lt_field *find(const lt_field *fields, size_t n, int attribute)
{
    for (size_t i = 0; i < n; i++)
        if (fields[i].attribute == attribute)
            return &fields[i];
    return nullptr;
}

cublasStatus_t lt_set(void *object, const lt_field *fields, size_t n, int attribute,
                      const void *value, size_t size)
{
    const lt_field *f = find(fields, n, attribute);

    if (!object || !value)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!f)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (size != f->size)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(static_cast<char *>(object) + f->offset, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t lt_get(const void *object, const lt_field *fields, size_t n, int attribute,
                      void *value, size_t size, size_t *written)
{
    const lt_field *f = find(fields, n, attribute);

    if (!object || (!size && !written) || (size && !value))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!f)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (size && size != f->size)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (written)
        *written = f->size;
    if (size)
        memcpy(value, static_cast<const char *>(object) + f->offset, size);
    return CUBLAS_STATUS_SUCCESS;
}

#define FIELD(attribute, type, member)                                                   \
    {                                                                                    \
        attribute, offsetof(type, member), sizeof(static_cast<type *>(nullptr)->member)  \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const lt_field operation_fields[] = {
    FIELD(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, lt_operation, compute),
    FIELD(CUBLASLT_MATMUL_DESC_SCALE_TYPE, lt_operation, scale_type),
    FIELD(CUBLASLT_MATMUL_DESC_POINTER_MODE, lt_operation, pointer_mode),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSA, lt_operation, trans_a),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSB, lt_operation, trans_b),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSC, lt_operation, trans_c),
    FIELD(CUBLASLT_MATMUL_DESC_FILL_MODE, lt_operation, fill_mode),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE, lt_operation, epilogue),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_POINTER, lt_operation, bias),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, lt_operation, bias_stride),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, lt_operation, bias_type),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, lt_operation, aux),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, lt_operation, aux_ld),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, lt_operation, aux_stride),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, lt_operation, aux_type),
    FIELD(CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, lt_operation, multiprocessors),
};

static const lt_field layout_fields[] = {
    FIELD(CUBLASLT_MATRIX_LAYOUT_TYPE, lt_layout, type),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ORDER, lt_layout, order),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ROWS, lt_layout, rows),
    FIELD(CUBLASLT_MATRIX_LAYOUT_COLS, lt_layout, cols),
    FIELD(CUBLASLT_MATRIX_LAYOUT_LD, lt_layout, ld),
    FIELD(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, lt_layout, batch),
    FIELD(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, lt_layout, stride),
};

static const lt_field preference_fields[] = {
    FIELD(CUBLASLT_MATMUL_PREF_SEARCH_MODE, lt_preference, search_mode),
    FIELD(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, lt_preference, workspace),
    FIELD(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, lt_preference, reduction_mask),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, lt_preference, alignment_a),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, lt_preference, alignment_b),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, lt_preference, alignment_c),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, lt_preference, alignment_d),
    FIELD(CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, lt_preference, waves),
    FIELD(CUBLASLT_MATMUL_PREF_IMPL_MASK, lt_preference, implementations),
};

} /* namespace emu */

using namespace emu;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    return create<int>(out, HANDLE, 0);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return destroy(handle, HANDLE);
}

size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

size_t cublasLtGetCudartVersion(void)
{
    return CUDART_VERSION;
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    default:
        return "an unknown cuBLAS status";
    }
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return cublasLtGetStatusName(status);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out,
                                        cublasComputeType_t compute, cudaDataType_t scale)
{
    lt_operation o = {};

    o.compute = compute;
    o.scale_type = scale;
    o.fill_mode = CUBLAS_FILL_MODE_FULL;
    o.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    o.bias_type = o.aux_type = -1;
    return create(out, OPERATION, o);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle)
{
    return destroy(handle, OPERATION);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t which,
                                              const void *value, size_t size)
{
    return lt_set(value_of<lt_operation>(handle, OPERATION), operation_fields,
                  COUNT(operation_fields), which, value, size);
}

cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t which,
                                              void *value, size_t size, size_t *written)
{
    return lt_get(lt_operation_of(handle), operation_fields, COUNT(operation_fields),
                  which, value, size, written);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    lt_layout l = {};

    l.type = type;
    l.order = CUBLASLT_ORDER_COL;
    l.rows = rows;
    l.cols = cols;
    l.ld = ld;
    l.batch = 1;
    return create(out, LAYOUT, l);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle)
{
    return destroy(handle, LAYOUT);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t which,
                                                const void *value, size_t size)
{
    return lt_set(value_of<lt_layout>(handle, LAYOUT), layout_fields,
                  COUNT(layout_fields), which, value, size);
}

cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t which,
                                                void *value, size_t size, size_t *written)
{
    return lt_get(lt_layout_of(handle), layout_fields, COUNT(layout_fields), which, value,
                  size, written);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    lt_preference p = {};

    p.reduction_mask = CUBLASLT_REDUCTION_SCHEME_MASK;
    p.alignment_a = p.alignment_b = p.alignment_c = p.alignment_d = 256;
    p.implementations = ~static_cast<uint64_t>(0);
    return create(out, PREFERENCE, p);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle)
{
    return destroy(handle, PREFERENCE);
}

cublasStatus_t
cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                     cublasLtMatmulPreferenceAttributes_t which,
                                     const void *value, size_t size)
{
    return lt_set(value_of<lt_preference>(handle, PREFERENCE), preference_fields,
                  COUNT(preference_fields), which, value, size);
}

cublasStatus_t
cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t handle,
                                     cublasLtMatmulPreferenceAttributes_t which,
                                     void *value, size_t size, size_t *written)
{
    return lt_get(lt_preference_of(handle), preference_fields, COUNT(preference_fields),
                  which, value, size, written);
}

} /* extern "C" */
