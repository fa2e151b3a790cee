/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvcuda::wmma with half or bfloat16 factors and float sums, in the three shapes of 16.
 * common/compute/cuda/wmma.cuh includes it in the place of CUDA's mma.h. The unit's own
 * order of summation is not documented; here sums are exact in double, rounded once.
 */
#ifndef EMU_WMMA_H
#define EMU_WMMA_H

#include "emu/warp.h"

namespace emu
{

/* What one lane brings to a product: its elements of each tile, as floats. */
struct tile_lane {
    const float *a, *b, *c;
    float *d;
    int m, n, k;
};

/* The place (row * columns + column) of this lane's i-th element of a tile of `size`. */
int tile_place(int size, int i);

inline void check_tile(const void *p, size_t row_bytes, const site &at)
{
    if (reinterpret_cast<uintptr_t>(p) % 32)
        fail(&at, "wmma: the tile at %p is not aligned to 32 bytes", p);
    if (row_bytes % 16)
        fail(&at, "wmma: a leading dimension of %zu bytes is not a multiple of 16",
             row_bytes);
}

} /* namespace emu */

namespace nvcuda
{
namespace wmma
{

struct matrix_a {
};
struct matrix_b {
};
struct accumulator {
};
struct row_major {
};
struct col_major {
};
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K> struct emu_tile;
template <int M, int N, int K> struct emu_tile<matrix_a, M, N, K> {
    enum { rows = M, columns = K };
};
template <int M, int N, int K> struct emu_tile<matrix_b, M, N, K> {
    enum { rows = K, columns = N };
};
template <int M, int N, int K> struct emu_tile<accumulator, M, N, K> {
    enum { rows = M, columns = N };
};

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
    static_assert(K == 16 && M * N == 256 && (M == 8 || M == 16 || M == 32),
                  "expected 16x16x16, 32x8x16 or 8x32x16");
    enum {
        rows = emu_tile<Use, M, N, K>::rows,
        columns = emu_tile<Use, M, N, K>::columns,
        num_elements = rows * columns / 32
    };
    T x[num_elements];
};

/* Elements of a fragment in memory: f(element, offset from the tile's first). */
template <class F, class Do> void emu_each(F &f, bool by_column, unsigned ld, Do what)
{
    for (int i = 0; i < F::num_elements; i++) {
        unsigned place = static_cast<unsigned>(emu::tile_place(F::rows * F::columns, i));
        unsigned row = place / F::columns, column = place % F::columns;
        what(f.x[i], by_column ? size_t(column) * ld + row : size_t(row) * ld + column);
    }
}

template <class Use, int M, int N, int K, class T, class Layout>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout> &f, const T *p, unsigned ld,
                      EMU_SITE)
{
    emu::check_tile(p, ld * sizeof(T), at);
    __syncwarp(0xffffffffu, at);
    emu_each(f, std::is_same<Layout, col_major>::value, ld,
             [p](T &element, size_t offset) { element = p[offset]; });
}

template <int M, int N, int K>
void load_matrix_sync(fragment<accumulator, M, N, K, float> &f, const float *p,
                      unsigned ld, layout_t layout, EMU_SITE)
{
    emu::check_tile(p, ld * sizeof *p, at);
    __syncwarp(0xffffffffu, at);
    emu_each(f, layout == mem_col_major, ld,
             [p](float &element, size_t offset) { element = p[offset]; });
}

template <int M, int N, int K>
void store_matrix_sync(float *p, const fragment<accumulator, M, N, K, float> &f,
                       unsigned ld, layout_t layout, EMU_SITE)
{
    emu::check_tile(p, ld * sizeof *p, at);
    __syncwarp(0xffffffffu, at);
    emu_each(f, layout == mem_col_major, ld,
             [p](const float &element, size_t offset) { p[offset] = element; });
}

template <class F, class V> void fill_fragment(F &f, V value)
{
    for (auto &element : f.x)
        element = value;
}

template <int M, int N, int K, class T, class LA, class LB>
void mma_sync(fragment<accumulator, M, N, K, float> &d,
              const fragment<matrix_a, M, N, K, T, LA> &a,
              const fragment<matrix_b, M, N, K, T, LB> &b,
              const fragment<accumulator, M, N, K, float> &c, EMU_SITE)
{
    float fa[M * K / 32], fb[K * N / 32];
    emu::tile_lane lane = {fa, fb, c.x, d.x, M, N, K};

    for (int i = 0; i < M * K / 32; i++)
        fa[i] = static_cast<float>(a.x[i]);
    for (int i = 0; i < K * N / 32; i++)
        fb[i] = static_cast<float>(b.x[i]);
    emu::meet(0xffffffffu, emu::warp_op::multiply, &lane, at);
}

} /* namespace wmma */
} /* namespace nvcuda */

#endif
