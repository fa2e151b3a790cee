/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/cpu/isa.h"

#include <stddef.h>

#include "common/compute/cpu/kernels.h"

cpv_isa cpv_isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return CPV_ISA_V4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return CPV_ISA_V3;
#endif
    return CPV_ISA_BASE;
}

bool cpv_isa_has_vnni(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return cpv_isa_best() == CPV_ISA_V4 && __builtin_cpu_supports("avx512vnni");
#else
    return false;
#endif
}

const char *cpv_isa_name(cpv_isa isa)
{
    static const char *const names[] = {"base", "v3", "v4"};

    return names[isa];
}

const struct cpv_kernels *cpv_kernels_of(cpv_isa isa)
{
    static const struct cpv_kernels *const tables[CPV_ISA_COUNT] = {
        &cpv_kernels_base,
#if defined(__x86_64__)
        &cpv_kernels_v3,
        &cpv_kernels_v4,
#endif
    };

    return isa <= cpv_isa_best() ? tables[isa] : NULL;
}

const struct cpv_gemm_s8_kernels *cpv_gemm_s8_of(const struct cpv_kernels *k)
{
    return k->gemm.s8_vnni.run && cpv_isa_has_vnni() ? &k->gemm.s8_vnni : &k->gemm.s8;
}
