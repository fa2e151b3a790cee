/* SPDX-License-Identifier: Apache-2.0 */
/* The library's names, newest first; then where a toolkit puts it. */
#include "common/compute/cuda/lt.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/sys.h"

static void *find_library(void)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                        "libcublasLt.so"};
    const char *home = getenv("CUDA_HOME");
    char path[4096];
    void *library = NULL;

    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) {
        int n = snprintf(path, sizeof path, "%s/lib64/%s",
                         home ? home : "/usr/local/cuda", names[i]);

        if (n > 0 && (size_t)n < sizeof path)
            library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

static int fill(struct cpv_lt *lt, struct cpv_err *err)
{
/* POSIX's way from an object's address to a function's, which ISO C does not have. */
#define FIND(name)                                                                       \
    *(void **)&lt->name = dlsym(lt->library, "cublasLt" #name);                          \
    if (!lt->name)                                                                       \
        return cpv_fail(err, CPV_E_ABSENT, "cuBLASLt has no function 'cublasLt%s'",      \
                        #name);
    CPV_LT_FUNCTIONS(FIND)
#undef FIND
    return CPV_OK;
}

int cpv_lt_open(struct cpv_lt **out, struct cpv_err *err)
{
    struct cpv_lt *lt = cpv_calloc(1, sizeof *lt);
    int rc = CPV_OK;

    *out = NULL;
    if (!lt)
        return cpv_fail_memory(err);
    lt->library = find_library();
    if (!lt->library)
        rc = cpv_fail(err, CPV_E_ABSENT,
                      "cuBLASLt (libcublasLt.so.13 or .12) is not there: install it, or "
                      "set CUDA_HOME");
    if (!rc)
        rc = fill(lt, err);
    if (!rc && lt->Create(&lt->handle) != CUBLAS_STATUS_SUCCESS)
        rc = cpv_fail(err, CPV_E_IO, "cuBLASLt cannot be started");
    if (rc)
        cpv_lt_close(&lt);
    *out = lt;
    return rc;
}

void cpv_lt_close(struct cpv_lt **lt)
{
    if (!*lt)
        return;
    if ((*lt)->handle)
        (void)(*lt)->Destroy((*lt)->handle);
    if ((*lt)->library)
        (void)dlclose((*lt)->library);
    cpv_free(*lt);
    *lt = NULL;
}
