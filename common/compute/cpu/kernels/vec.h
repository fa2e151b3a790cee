/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors of the level that this file is compiled for. Only kernels/ includes it.
 * Arithmetic is the compiler's own (a + b, a * b, comparisons); what C has no operator
 * for is below. K(name) is the name with the level behind it.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_VEC_H
#define CPV_COMPUTE_CPU_KERNELS_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CPV_K_PASTE(name, isa) name##_##isa
#define CPV_K_NAME(name, isa)  CPV_K_PASTE(name, isa)
#define K(name)                CPV_K_NAME(name, CPV_ISA_NAME)

#if defined(__AVX512F__)
enum { VW = 16 };
#elif defined(__AVX2__)
enum { VW = 8 };
#else
enum { VW = 4 };
#endif

typedef float vf __attribute__((vector_size(VW * 4)));
typedef int32_t vi __attribute__((vector_size(VW * 4)));

static inline vf v_load(const float *p)
{
    vf v;

    memcpy(&v, p, sizeof v);
    return v;
}

static inline void v_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

static inline vf v_set1(float x)
{
    vf zero = {0};

    return x - zero; /* exact: also for -0, NaN and infinities */
}

/* a * b + c; fused where the level has it, so not at base on x86-64. */
static inline vf v_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

#endif
