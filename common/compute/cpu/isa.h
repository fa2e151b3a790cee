/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this processor can do, and the kernels that were compiled for it.
 *
 * Every file of kernels/ is compiled once for each level below, with the level's
 * compiler flags, and fills a table of functions; the best table that the processor can
 * run is chosen once, at run time. The levels are those of the x86-64 psABI.
 */
#ifndef CPV_COMPUTE_CPU_ISA_H
#define CPV_COMPUTE_CPU_ISA_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_isa {
    CPV_ISA_BASE, /* what the compiler targets: SSE2 on x86-64, NEON on AArch64 */
    CPV_ISA_V3,   /* x86-64-v3: AVX2 and FMA */
    CPV_ISA_V4,   /* x86-64-v4: AVX-512 F, BW, CD, DQ, VL */
    CPV_ISA_COUNT
} cpv_isa;

struct cpv_kernels; /* kernels.h */

/* The highest level that processor and operating system support. */
cpv_isa cpv_isa_best(void);
/* AVX512_VNNI, with v4: products of 8-bit integers that do not saturate. */
bool cpv_isa_has_vnni(void);
/* "base", "v3", "v4" */
const char *cpv_isa_name(cpv_isa isa);

/* NULL if this processor cannot run them, or this build has none of that level. */
const struct cpv_kernels *cpv_kernels_of(cpv_isa isa);

#ifdef __cplusplus
}
#endif
#endif
