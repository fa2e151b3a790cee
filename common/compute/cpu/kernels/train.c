/* SPDX-License-Identifier: Apache-2.0 */
/* Dropout: common/compute/dice.h, a vector of neighbouring channels at a time. */
#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_ops.h"

typedef uint32_t vu __attribute__((vector_size(VW * 4)));

/* The upper and the lower half of x * by. */
static inline vu multiply(vu x, uint32_t by, vu *low)
{
#if defined(__AVX512F__)
    __m512i a = (__m512i)x, b = _mm512_set1_epi64((long long)by);
    __m512i even = _mm512_mul_epu32(a, b);
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), b);

    *low = (vu)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    return (vu)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#elif defined(__AVX2__)
    __m256i a = (__m256i)x, b = _mm256_set1_epi64x((long long)by);
    __m256i even = _mm256_mul_epu32(a, b);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), b);

    *low = (vu)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    return (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
    vu high = x;

    for (int k = 0; k < VW; k++) {
        uint64_t p = (uint64_t)x[k] * by;

        (*low)[k] = (uint32_t)p;
        high[k] = (uint32_t)(p >> 32);
    }
    return high;
#endif
}

static inline void philox(vu x[4], const uint32_t key[2])
{
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        vu a_low = x[0], b_low = x[2];
        vu a = multiply(x[0], 0xD2511F53u, &a_low),
           b = multiply(x[2], 0xCD9E8D57u, &b_low);

        x[0] = b ^ x[1] ^ k0;
        x[1] = b_low;
        x[2] = a ^ x[3] ^ k1;
        x[3] = a_low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

void K(cpv_drop)(float *out, const float *in, const struct cpv_drop *d, size_t n)
{
    vu zero = {0}, lanes = (vu)v_lanes();

    for (size_t from = 0; from < n; from += 64)
        for (size_t l = 0; l < 16 && from + l < n; l += VW) {
            vu x[4] = {zero + d->sample, zero + d->position, zero + d->head,
                       lanes + (uint32_t)(from / 4 + l)};

            philox(x, d->draw->key);
            for (size_t w = 0; w < 4 && from + 16 * w + l < n; w++) {
                size_t k = from + 16 * w + l;
                vi keep = (vi)(x[w] >= zero + d->draw->below);
                vf y = v_load_upto(in, k, n, 0) * d->draw->scale;

                v_store_upto(out, v_float(v_bits(y) & keep), k, n);
            }
        }
}
