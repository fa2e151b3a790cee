/* SPDX-License-Identifier: Apache-2.0 */
/* lt.h under the emulator: the functions of runtime/lt_*.cc, with nothing to open. */
#include "common/compute/cuda/lt.h"

#include "common/base/sys.h"

int cpv_lt_open(struct cpv_lt **out, struct cpv_err *err)
{
    struct cpv_lt *lt = cpv_calloc(1, sizeof *lt);

    *out = NULL;
    if (!lt)
        return cpv_fail_memory(err);
#define FIND(name) lt->name = cublasLt##name;
    CPV_LT_FUNCTIONS(FIND)
#undef FIND
    if (lt->Create(&lt->handle) != CUBLAS_STATUS_SUCCESS) {
        cpv_free(lt);
        return cpv_fail(err, CPV_E_IO, "cuBLASLt cannot be started");
    }
    *out = lt;
    return CPV_OK;
}

void cpv_lt_close(struct cpv_lt **lt)
{
    if (!*lt)
        return;
    (void)(*lt)->Destroy((*lt)->handle);
    cpv_free(*lt);
    *lt = NULL;
}
