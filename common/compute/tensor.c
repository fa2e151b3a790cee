/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/tensor.h"

#include <assert.h>

size_t cpv_dtype_size(cpv_dtype dtype)
{
    static const size_t sizes[CPV_DTYPE_COUNT] = {
        [CPV_F32] = 4, [CPV_BF16] = 2, [CPV_F16] = 2, [CPV_I32] = 4, [CPV_I8] = 1};

    return sizes[dtype];
}

const char *cpv_dtype_name(cpv_dtype dtype)
{
    static const char *const names[CPV_DTYPE_COUNT] = {[CPV_F32] = "f32",
                                                       [CPV_BF16] = "bf16",
                                                       [CPV_F16] = "f16",
                                                       [CPV_I32] = "i32",
                                                       [CPV_I8] = "i8"};

    return names[dtype];
}

cpv_tensor cpv_columns(cpv_tensor t, int64_t first, int64_t n)
{
    if (!t.data)
        return t;
    assert(first >= 0 && n >= 0 && first <= t.cols - n);
    t.data = (char *)t.data + (size_t)first * cpv_dtype_size(t.dtype);
    t.cols = n;
    return t;
}

cpv_tensor cpv_row_range(cpv_tensor t, int64_t first, int64_t n)
{
    if (!t.data)
        return t;
    assert(first >= 0 && n >= 0 && first <= t.rows - n);
    t.data = (char *)t.data + (size_t)(first * t.stride) * cpv_dtype_size(t.dtype);
    t.rows = n;
    return t;
}
