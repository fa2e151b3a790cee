/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner loops of scale.c for x86-64: SSE2, which every such processor has, and
 * AVX2 where there is. Sums of integers are exact, so the bits are those of plain C.
 */
#include "common/image/scale.h"

#if defined(__x86_64__)

#include <emmintrin.h>
#include <immintrin.h>

enum {
    COLUMN_SHIFT = CPV_SCALE_BITS - CPV_SCALE_FRACTION,
    ROW_SHIFT = CPV_SCALE_BITS + CPV_SCALE_FRACTION
};

/* Two weights side by side, as pmaddwd wants them. */
static inline int pair_of(const int16_t *weights)
{
    return (int)((uint32_t)(uint16_t)weights[0] | (uint32_t)(uint16_t)weights[1] << 16);
}

static void sse2_columns(const uint8_t *const *rows, const int16_t *weights,
                         uint32_t taps, uint32_t width, int16_t *out)
{
    const __m128i zero = _mm_setzero_si128();
    const __m128i half = _mm_set1_epi32(1 << (COLUMN_SHIFT - 1));

    for (uint32_t i = 0; i < width; i += 16) {
        __m128i s0 = half, s1 = half, s2 = half, s3 = half;

        for (uint32_t k = 0; k < taps; k += 2) {
            __m128i w = _mm_set1_epi32(pair_of(weights + k));
            __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(rows[k] + i));
            __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(rows[k + 1] + i));
            __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);

            s0 = _mm_add_epi32(s0, _mm_madd_epi16(_mm_unpacklo_epi8(low, zero), w));
            s1 = _mm_add_epi32(s1, _mm_madd_epi16(_mm_unpackhi_epi8(low, zero), w));
            s2 = _mm_add_epi32(s2, _mm_madd_epi16(_mm_unpacklo_epi8(high, zero), w));
            s3 = _mm_add_epi32(s3, _mm_madd_epi16(_mm_unpackhi_epi8(high, zero), w));
        }
        _mm_storeu_si128((__m128i *)(void *)(out + i),
                         _mm_packs_epi32(_mm_srai_epi32(s0, COLUMN_SHIFT),
                                         _mm_srai_epi32(s1, COLUMN_SHIFT)));
        _mm_storeu_si128((__m128i *)(void *)(out + i + 8),
                         _mm_packs_epi32(_mm_srai_epi32(s2, COLUMN_SHIFT),
                                         _mm_srai_epi32(s3, COLUMN_SHIFT)));
    }
}

/* (a0 + a1, a2 + a3, b0 + b1, b2 + b3) */
static inline __m128i add_pairs(__m128i a, __m128i b)
{
    __m128 x = _mm_castsi128_ps(a), y = _mm_castsi128_ps(b);

    return _mm_add_epi32(_mm_castps_si128(_mm_shuffle_ps(x, y, _MM_SHUFFLE(2, 0, 2, 0))),
                         _mm_castps_si128(_mm_shuffle_ps(x, y, _MM_SHUFFLE(3, 1, 3, 1))));
}

/* Two outputs of 4 taps: partial sums (p, p, q, q). */
static inline __m128i two_short(const int16_t *line, const uint32_t *start,
                                const int16_t *weights)
{
    __m128i p = _mm_loadl_epi64((const __m128i *)(const void *)(line + start[0]));
    __m128i q = _mm_loadl_epi64((const __m128i *)(const void *)(line + start[1]));
    __m128i w = _mm_loadu_si128((const __m128i *)(const void *)weights);

    return _mm_madd_epi16(_mm_unpacklo_epi64(p, q), w);
}

static inline __m128i one_long(const int16_t *from, const int16_t *weights, uint32_t taps)
{
    __m128i sum = _mm_setzero_si128();

    for (uint32_t k = 0; k < taps; k += 8) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(from + k));
        __m128i w = _mm_loadu_si128((const __m128i *)(const void *)(weights + k));

        sum = _mm_add_epi32(sum, _mm_madd_epi16(a, w));
    }
    return sum;
}

static inline __m128i four_outputs(const int16_t *line, const uint32_t *start,
                                   const int16_t *weights, uint32_t taps)
{
    const __m128i half = _mm_set1_epi32(1 << (ROW_SHIFT - 1));
    __m128i sum;

    if (taps == 4) {
        sum = add_pairs(two_short(line, start, weights),
                        two_short(line, start + 2, weights + 8));
    } else {
        __m128i a = one_long(line + start[0], weights, taps);
        __m128i b = one_long(line + start[1], weights + taps, taps);
        __m128i c = one_long(line + start[2], weights + 2 * (size_t)taps, taps);
        __m128i d = one_long(line + start[3], weights + 3 * (size_t)taps, taps);

        sum = add_pairs(add_pairs(a, b), add_pairs(c, d));
    }
    return _mm_srai_epi32(_mm_add_epi32(sum, half), ROW_SHIFT);
}

static void sse2_rows(const int16_t *line, const uint32_t *start, const int16_t *weights,
                      uint32_t taps, uint32_t count, uint8_t *out)
{
    for (uint32_t i = 0; i < count; i += 8) {
        __m128i a = four_outputs(line, start + i, weights, taps);
        __m128i b = four_outputs(line, start + i + 4, weights + 4 * (size_t)taps, taps);
        __m128i words = _mm_packs_epi32(a, b);

        _mm_storel_epi64((__m128i *)(void *)(out + i), _mm_packus_epi16(words, words));
        weights += 8 * (size_t)taps;
    }
}

__attribute__((target("avx2"))) static void avx2_columns(const uint8_t *const *rows,
                                                         const int16_t *weights,
                                                         uint32_t taps, uint32_t width,
                                                         int16_t *out)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i half = _mm256_set1_epi32(1 << (COLUMN_SHIFT - 1));

    for (uint32_t i = 0; i < width; i += 32) {
        __m256i s0 = half, s1 = half, s2 = half, s3 = half, p, q;

        for (uint32_t k = 0; k < taps; k += 2) {
            __m256i w = _mm256_set1_epi32(pair_of(weights + k));
            __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(rows[k] + i));
            __m256i b =
                _mm256_loadu_si256((const __m256i *)(const void *)(rows[k + 1] + i));
            __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);

            s0 = _mm256_add_epi32(s0,
                                  _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), w));
            s1 = _mm256_add_epi32(s1,
                                  _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), w));
            s2 = _mm256_add_epi32(s2,
                                  _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), w));
            s3 = _mm256_add_epi32(s3,
                                  _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), w));
        }
        /* unpack and pack work within halves of 128 bits: bring those in order */
        p = _mm256_packs_epi32(_mm256_srai_epi32(s0, COLUMN_SHIFT),
                               _mm256_srai_epi32(s1, COLUMN_SHIFT));
        q = _mm256_packs_epi32(_mm256_srai_epi32(s2, COLUMN_SHIFT),
                               _mm256_srai_epi32(s3, COLUMN_SHIFT));
        _mm256_storeu_si256((__m256i *)(void *)(out + i),
                            _mm256_permute2x128_si256(p, q, 0x20));
        _mm256_storeu_si256((__m256i *)(void *)(out + i + 16),
                            _mm256_permute2x128_si256(p, q, 0x31));
    }
}

/* Four outputs of 4 taps: partial sums (p p q q | r r s s). */
__attribute__((target("avx2"))) static inline __m256i
four_short(const int16_t *line, const uint32_t *start, const int16_t *weights)
{
    __m128i p = _mm_loadl_epi64((const __m128i *)(const void *)(line + start[0]));
    __m128i q = _mm_loadl_epi64((const __m128i *)(const void *)(line + start[1]));
    __m128i r = _mm_loadl_epi64((const __m128i *)(const void *)(line + start[2]));
    __m128i s = _mm_loadl_epi64((const __m128i *)(const void *)(line + start[3]));
    __m256i samples = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_unpacklo_epi64(p, q)), _mm_unpacklo_epi64(r, s), 1);

    return _mm256_madd_epi16(samples,
                             _mm256_loadu_si256((const __m256i *)(const void *)weights));
}

__attribute__((target("avx2"))) static void
avx2_rows(const int16_t *line, const uint32_t *start, const int16_t *weights,
          uint32_t taps, uint32_t count, uint8_t *out)
{
    const __m256i half = _mm256_set1_epi32(1 << (ROW_SHIFT - 1));

    if (taps != 4) {
        sse2_rows(line, start, weights, taps, count, out);
        return;
    }
    for (uint32_t i = 0; i < count; i += 8, weights += 32) {
        __m256i a = four_short(line, start + i, weights);
        __m256i b = four_short(line, start + i + 4, weights + 16);
        __m256i sums = _mm256_add_epi32(_mm256_hadd_epi32(a, b), half); /* 0145 2367 */
        __m256i words = _mm256_srai_epi32(sums, ROW_SHIFT);
        __m256i bytes;

        words = _mm256_packs_epi32(words, words);
        bytes = _mm256_packus_epi16(words, words);
        _mm_storel_epi64((__m128i *)(void *)(out + i),
                         _mm_unpacklo_epi16(_mm256_castsi256_si128(bytes),
                                            _mm256_extracti128_si256(bytes, 1)));
    }
}

static const struct cpv_scale_kernels sse2 = {"sse2", sse2_columns, sse2_rows};
static const struct cpv_scale_kernels avx2 = {"avx2", avx2_columns, avx2_rows};

const struct cpv_scale_kernels *cpv_scale_nth(unsigned i)
{
    if (i == 2 && !__builtin_cpu_supports("avx2"))
        return NULL;
    return i == 0 ? &cpv_scale_plain : i == 1 ? &sse2 : i == 2 ? &avx2 : NULL;
}

#else

const struct cpv_scale_kernels *cpv_scale_nth(unsigned i)
{
    return i == 0 ? &cpv_scale_plain : NULL;
}

#endif

const struct cpv_scale_kernels *cpv_scale_best(void)
{
    const struct cpv_scale_kernels *best = &cpv_scale_plain;

    for (unsigned i = 0; cpv_scale_nth(i); i++)
        best = cpv_scale_nth(i);
    return best;
}
