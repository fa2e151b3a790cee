/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of products on the level that this file is compiled for, and the functions
 * of that level that table.c lists. Only kernels/ includes it. gemm.h says what they do.
 *
 * A product is cut into tiles of at most TILE_ROWS x PANEL, whose sums stay in registers
 * while k runs; per step of k a tile loads TILE_VECTORS vectors of the weight and
 * broadcasts TILE_ROWS numbers of A, for TILE_ROWS * TILE_VECTORS multiplications.
 * With 32 registers 8 x 3 was measured against 6 x 4, 12 x 2 and 14 x 2 (Zen 5, weights
 * in L2): equal to 6 x 4 where the weight stays in L2, a tenth faster at 16 rows of a
 * wide weight, because that is two passes over a panel and not three; the taller ones
 * lose a tenth at k = 3,072, as their rows of A meet in the same sets of the L1 cache.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_GEMM_LEVEL_H
#define CPV_COMPUTE_CPU_KERNELS_GEMM_LEVEL_H

#include "common/compute/cpu/gemm.h"
#include "common/compute/cpu/kernels/vec.h"

#if !defined(CPV_ISA_NAME)
#define CPV_ISA_NAME base /* a header read alone */
#endif

#if defined(__AVX512F__)
enum { TILE_ROWS = 8, TILE_VECTORS = 3 };
#else
enum { TILE_ROWS = 6, TILE_VECTORS = 2 };
#endif
enum { PANEL = TILE_VECTORS * VW };

/*
 * Blocks of A, so that what every panel goes over again stays in the L2 cache with that
 * panel and the next: a quarter of 1 MiB with AVX-512, half of 256 KiB elsewhere.
 */
enum { BLOCK_BYTES = VW == 16 ? 256 << 10 : 128 << 10 };

/* Without this clang keeps sums in memory, and gcc broadcasts a number once for each
 * multiplication instead of once. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#if defined(__AVX512F__)
#define IN_REGISTER(x) __asm__("" : "+v"(x))
#elif defined(__x86_64__)
#define IN_REGISTER(x) __asm__("" : "+x"(x))
#elif defined(__aarch64__)
#define IN_REGISTER(x) __asm__("" : "+w"(x))
#else
#define IN_REGISTER(x) (void)(x)
#endif
#define INLINE __attribute__((always_inline)) static inline

INLINE size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* x as a multiple of grain, from below. */
INLINE size_t whole(size_t x, size_t grain)
{
    return (x + grain - 1) / grain * grain;
}

/* The largest piece when `total` is cut evenly into pieces of at most `most`, a multiple
 * of grain. */
INLINE size_t even(size_t total, size_t most, size_t grain)
{
    size_t pieces = (total + most - 1) / most;

    return whole((total + pieces - 1) / pieces, grain);
}

/* A tile of sums and what becomes of it: rows i ... of C, columns j ... j + cols. */
struct tile {
    size_t rows, cols;
    const struct cpv_gemm_epilogue *e;
    size_t i, j;
    size_t nth, tiles; /* which one of how many over the same panel */
    float *c;          /* element (i, j) */
    size_t c_ld;
};

/* Steps that a tile fetches its own panel ahead of its use, from L2 into L1. */
enum { AHEAD = 64 };

/*
 * The next panel comes from L3 or from memory. Every tile over a panel fetches its part
 * of the next into L2, so that the first tile over that one need not wait: with 32 rows
 * of a 62,000 wide weight this gains 10 %. Bytes a step: a line at most, which leaves
 * out some of the panel if there are only two tiles.
 */
struct ahead {
    const char *next;
    size_t step;
};

INLINE struct ahead ahead_of(const struct tile *t, const void *next, size_t bytes,
                             size_t steps)
{
    size_t step = bytes / steps / t->tiles;

    return (struct ahead){(const char *)next + t->nth * (bytes / t->tiles),
                          least(step, 64)};
}

/* Sums [rows][PANEL] of f32; of int32 with the scales of A's rows and of W's columns. */
void K(cpv_gemm_finish)(const struct tile *t, const float *sum);
void K(cpv_gemm_finish_s8)(const struct tile *t, const int32_t *sum, const float *a_scale,
                           const float *w_scale);

size_t K(cpv_gemm_packed_bytes)(size_t n, size_t k);
cpv_gemm_pack_fn K(cpv_gemm_pack);
cpv_gemm_row_fn K(cpv_gemm_row);
void K(cpv_gemm_f32)(const struct cpv_gemm_f32 *g);
void K(cpv_gemm_across)(const struct cpv_gemm_across *g);
void K(cpv_gemm_outer)(const struct cpv_gemm_outer *o);

size_t K(cpv_gemm_s8_packed_bytes)(size_t n, size_t k);
cpv_gemm_pack_fn K(cpv_gemm_s8_pack);
cpv_gemm_row_fn K(cpv_gemm_s8_row);
size_t K(cpv_gemm_s8_quant_bytes)(size_t m, size_t k);
void K(cpv_gemm_s8_quantise)(void *q, size_t m, size_t k, const float *a, size_t a_ld);
void K(cpv_gemm_s8_run)(const struct cpv_gemm_s8 *g);

#if defined(__AVX512F__)
size_t cpv_gemm_vnni_quant_bytes(size_t m, size_t k);
void cpv_gemm_vnni_quantise(void *q, size_t m, size_t k, const float *a, size_t a_ld);
void cpv_gemm_vnni_run(const struct cpv_gemm_s8 *g);

#define CPV_GEMM_VNNI_TABLE                                                              \
    {                                                                                    \
        .packed_bytes = K(cpv_gemm_s8_packed_bytes), .pack = K(cpv_gemm_s8_pack),        \
        .row = K(cpv_gemm_s8_row), .quant_bytes = cpv_gemm_vnni_quant_bytes,             \
        .quantise = cpv_gemm_vnni_quantise, .run = cpv_gemm_vnni_run,                    \
    }
#else
#define CPV_GEMM_VNNI_TABLE                                                              \
    {                                                                                    \
        .run = NULL                                                                      \
    }
#endif

/* The part of the level's table that is about products. */
#define CPV_GEMM_TABLE                                                                   \
    {                                                                                    \
        .panel = PANEL, .packed_bytes = K(cpv_gemm_packed_bytes),                        \
        .pack = K(cpv_gemm_pack), .row = K(cpv_gemm_row), .f32 = K(cpv_gemm_f32),        \
        .across = K(cpv_gemm_across), .outer = K(cpv_gemm_outer),                        \
        .s8 =                                                                            \
            {                                                                            \
                .packed_bytes = K(cpv_gemm_s8_packed_bytes),                             \
                .pack = K(cpv_gemm_s8_pack),                                             \
                .row = K(cpv_gemm_s8_row),                                               \
                .quant_bytes = K(cpv_gemm_s8_quant_bytes),                               \
                .quantise = K(cpv_gemm_s8_quantise),                                     \
                .run = K(cpv_gemm_s8_run),                                               \
            },                                                                           \
        .s8_vnni = CPV_GEMM_VNNI_TABLE,                                                  \
    }

#endif
