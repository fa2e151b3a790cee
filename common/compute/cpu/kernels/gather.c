/* SPDX-License-Identifier: Apache-2.0 */
/* Rows out of embedding tables, and patches out of images. */
#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_ops.h"

typedef int8_t vb __attribute__((vector_size(VW)));

static inline vf load_i8(const int8_t *p, size_t k, size_t n)
{
    vb b = {0};

    if (n - k >= VW)
        memcpy(&b, p + k, sizeof b);
    else
        memcpy(&b, p + k, n - k);
    return __builtin_convertvector(b, vf);
}

void K(cpv_embed_f32)(float *out, const float *row, float scale, const float *add,
                      size_t n)
{
    vf s = v_set1(scale), zero = {0};

    for (size_t k = 0; k < n; k += VW) {
        vf b = add ? v_load_upto(add, k, n, 0) : zero;

        v_store_upto(out, v_fma(v_load_upto(row, k, n, 0), s, b), k, n);
    }
}

void K(cpv_embed_i8)(float *out, const int8_t *row, float scale, const float *add,
                     size_t n)
{
    vf s = v_set1(scale), zero = {0};

    for (size_t k = 0; k < n; k += VW) {
        vf b = add ? v_load_upto(add, k, n, 0) : zero;

        v_store_upto(out, v_fma(load_i8(row, k, n), s, b), k, n);
    }
}

void K(cpv_patches)(float *out, size_t out_stride, const float *pixels, size_t channels,
                    size_t height, size_t width, size_t p)
{
    for (size_t py = 0; py < height / p; py++)
        for (size_t px = 0; px < width / p; px++, out += out_stride) {
            float *to = out;

            for (size_t c = 0; c < channels; c++)
                for (size_t y = 0; y < p; y++, to += p) {
                    const float *from =
                        pixels + (c * height + py * p + y) * width + px * p;

                    for (size_t k = 0; k < p; k += VW)
                        v_store_upto(to, v_load_upto(from, k, p, 0), k, p);
                }
        }
}
