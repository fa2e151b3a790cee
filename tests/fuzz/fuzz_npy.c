/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an array of numpy; what is read has its numbers. */
#include <stdlib.h>

#include "common/base/sys.h"
#include "common/format/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_err err = {0};
    struct cpv_npy a;
    float *values;
    size_t n;

    if (cpv_npy_read(cpv_bytes_of(data, size), "fuzz", &a, &err)) {
        if (err.code != CPV_E_INPUT)
            abort();
        return 0;
    }
    n = (size_t)(a.rows * a.cols);
    if (a.dims < 1 || a.dims > 2 || a.data.size != n * (a.type == CPV_NPY_F16 ? 2 : 4))
        abort();
    values = cpv_calloc(n + 1, sizeof *values);
    if (!values)
        abort();
    cpv_npy_values(&a, values);
    cpv_free(values);
    return 0;
}
