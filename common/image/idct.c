/* SPDX-License-Identifier: Apache-2.0 */
/* See idct.h. Plain C is the meaning; SSE2 does the same sums eight at a time. */
#include "common/image/idct.h"

#include <stddef.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

/* cosines, times 2^13 */
enum {
    F_0_298 = 2446,
    F_0_390 = 3196,
    F_0_541 = 4433,
    F_0_765 = 6270,
    F_0_899 = 7373,
    F_1_175 = 9633,
    F_1_501 = 12299,
    F_1_847 = 15137,
    F_1_961 = 16069,
    F_2_053 = 16819,
    F_2_562 = 20995,
    F_3_072 = 25172
};

enum { FIRST_SHIFT = 11, SECOND_SHIFT = 18 };

/* --- plain C --------------------------------------------------------------------- */

/* One dimension, of 8 values `step` apart, in place. */
static void transform(int32_t *v, size_t step, int shift)
{
    int32_t even = (v[2 * step] + v[6 * step]) * F_0_541;
    int32_t t2 = even - v[6 * step] * F_1_847, t3 = even + v[2 * step] * F_0_765;
    int32_t t0 = (v[0] + v[4 * step]) * 8192, t1 = (v[0] - v[4 * step]) * 8192;
    int32_t a[4] = {t0 + t3, t1 + t2, t1 - t2, t0 - t3};
    int32_t o7 = v[7 * step], o5 = v[5 * step], o3 = v[3 * step], o1 = v[step];
    int32_t z5 = (o7 + o3 + o5 + o1) * F_1_175;
    int32_t z1 = (o7 + o1) * -F_0_899, z2 = (o5 + o3) * -F_2_562;
    int32_t z3 = (o7 + o3) * -F_1_961 + z5, z4 = (o5 + o1) * -F_0_390 + z5;
    int32_t b[4] = {o1 * F_1_501 + z1 + z4, o3 * F_3_072 + z2 + z3,
                    o5 * F_2_053 + z2 + z4, o7 * F_0_298 + z1 + z3};
    int32_t half = 1 << (shift - 1);

    for (size_t i = 0; i < 4; i++) {
        v[i * step] = (a[i] + b[i] + half) >> shift;
        v[(7 - i) * step] = (a[i] - b[i] + half) >> shift;
    }
}

bool cpv_idct_plain(const int16_t block[64], const int16_t steps[64],
                    uint8_t *const rows[8], uint32_t at)
{
    int32_t v[64], sum = 0;

    for (size_t i = 0; i < 64; i++) {
        v[i] = block[i] * steps[i]; /* steps are below 256: 64 of them fit */
        sum += v[i] < 0 ? -v[i] : v[i];
    }
    if (sum > CPV_IDCT_SUM_MAX)
        return false;
    for (size_t x = 0; x < 8; x++)
        transform(v + x, 8, FIRST_SHIFT);
    for (size_t y = 0; y < 8; y++) {
        transform(v + y * 8, 1, SECOND_SHIFT);
        for (size_t x = 0; x < 8; x++) {
            int32_t sample = v[y * 8 + x] + 128;

            rows[y][at + x] = (uint8_t)(sample < 0 ? 0 : sample > 255 ? 255 : sample);
        }
    }
    return true;
}

/* --- SSE2 ------------------------------------------------------------------------ */

#if defined(__x86_64__)

/* a * p + b * q in 32 bits, of 8 pairs of 16-bit values. */
struct wide {
    __m128i low, high;
};

static inline struct wide products(__m128i a, int p, __m128i b, int q)
{
    __m128i factors = _mm_set1_epi32((int)((uint32_t)(uint16_t)p | (uint32_t)q << 16));
    struct wide w = {_mm_madd_epi16(_mm_unpacklo_epi16(a, b), factors),
                     _mm_madd_epi16(_mm_unpackhi_epi16(a, b), factors)};

    return w;
}

static inline struct wide times_8192(__m128i a)
{
    __m128i zero = _mm_setzero_si128();
    struct wide w = {_mm_srai_epi32(_mm_unpacklo_epi16(zero, a), 3),
                     _mm_srai_epi32(_mm_unpackhi_epi16(zero, a), 3)};

    return w;
}

static inline struct wide plus(struct wide a, struct wide b)
{
    struct wide w = {_mm_add_epi32(a.low, b.low), _mm_add_epi32(a.high, b.high)};

    return w;
}

static inline struct wide minus(struct wide a, struct wide b)
{
    struct wide w = {_mm_sub_epi32(a.low, b.low), _mm_sub_epi32(a.high, b.high)};

    return w;
}

/* The shift must be a literal for the instruction: hence the macro. */
#define NARROW(w, shift)                                                                 \
    _mm_packs_epi32(_mm_srai_epi32((w).low, shift), _mm_srai_epi32((w).high, shift))

#define TRANSFORM(v, shift)                                                              \
    do {                                                                                 \
        struct wide half_ = {_mm_set1_epi32(1 << ((shift)-1)),                           \
                             _mm_set1_epi32(1 << ((shift)-1))};                          \
        struct wide t3_ = products(v[2], F_0_541 + F_0_765, v[6], F_0_541);              \
        struct wide t2_ = products(v[2], F_0_541, v[6], F_0_541 - F_1_847);              \
        struct wide t0_ = plus(times_8192(_mm_add_epi16(v[0], v[4])), half_);            \
        struct wide t1_ = plus(times_8192(_mm_sub_epi16(v[0], v[4])), half_);            \
        __m128i s3_ = _mm_add_epi16(v[7], v[3]), s4_ = _mm_add_epi16(v[5], v[1]);        \
        struct wide z3_ = products(s3_, F_1_175 - F_1_961, s4_, F_1_175);                \
        struct wide z4_ = products(s3_, F_1_175, s4_, F_1_175 - F_0_390);                \
        struct wide b3_ = plus(products(v[7], F_0_298 - F_0_899, v[1], -F_0_899), z3_);  \
        struct wide b0_ = plus(products(v[7], -F_0_899, v[1], F_1_501 - F_0_899), z4_);  \
        struct wide b2_ = plus(products(v[5], F_2_053 - F_2_562, v[3], -F_2_562), z4_);  \
        struct wide b1_ = plus(products(v[5], -F_2_562, v[3], F_3_072 - F_2_562), z3_);  \
        struct wide a0_ = plus(t0_, t3_), a3_ = minus(t0_, t3_);                         \
        struct wide a1_ = plus(t1_, t2_), a2_ = minus(t1_, t2_);                         \
        v[0] = NARROW(plus(a0_, b0_), shift);                                            \
        v[7] = NARROW(minus(a0_, b0_), shift);                                           \
        v[1] = NARROW(plus(a1_, b1_), shift);                                            \
        v[6] = NARROW(minus(a1_, b1_), shift);                                           \
        v[2] = NARROW(plus(a2_, b2_), shift);                                            \
        v[5] = NARROW(minus(a2_, b2_), shift);                                           \
        v[3] = NARROW(plus(a3_, b3_), shift);                                            \
        v[4] = NARROW(minus(a3_, b3_), shift);                                           \
    } while (0)

static inline void transpose(__m128i v[8])
{
    __m128i a[8], b[8];

    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm_unpacklo_epi16(v[i], v[i + 4]);
        a[2 * i + 1] = _mm_unpackhi_epi16(v[i], v[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        v[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
        v[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
    }
}

/* The products, and whether they are good: fit in 16 bits, and are small in sum. */
static inline bool multiply(const int16_t block[64], const int16_t steps[64],
                            __m128i v[8])
{
    const __m128i zero = _mm_setzero_si128(), ones = _mm_set1_epi16(1);
    __m128i sum = zero, wrong = zero;

    for (int i = 0; i < 8; i++) {
        __m128i c = _mm_load_si128((const __m128i *)(const void *)(block + 8 * i));
        __m128i s = _mm_load_si128((const __m128i *)(const void *)(steps + 8 * i));
        __m128i size;

        v[i] = _mm_mullo_epi16(c, s);
        wrong = _mm_or_si128(
            wrong, _mm_xor_si128(_mm_mulhi_epi16(c, s), _mm_srai_epi16(v[i], 15)));
        size = _mm_max_epi16(v[i], _mm_sub_epi16(zero, v[i]));
        /* -32768 has no positive */
        wrong = _mm_or_si128(wrong, _mm_srai_epi16(size, 15));
        sum = _mm_add_epi32(sum, _mm_madd_epi16(size, ones));
    }
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtsi128_si32(sum) <= CPV_IDCT_SUM_MAX &&
           _mm_movemask_epi8(_mm_cmpeq_epi8(wrong, zero)) == 0xFFFF;
}

bool cpv_idct(const int16_t block[64], const int16_t steps[64], uint8_t *const rows[8],
              uint32_t at)
{
    const __m128i middle = _mm_set1_epi8((char)128);
    __m128i v[8];

    if (!multiply(block, steps, v))
        return false;
    TRANSFORM(v, FIRST_SHIFT);
    transpose(v);
    TRANSFORM(v, SECOND_SHIFT);
    transpose(v);
    for (int i = 0; i < 8; i += 2) {
        __m128i two = _mm_add_epi8(_mm_packs_epi16(v[i], v[i + 1]), middle);

        _mm_storel_epi64((__m128i *)(void *)(rows[i] + at), two);
        _mm_storel_epi64((__m128i *)(void *)(rows[i + 1] + at), _mm_srli_si128(two, 8));
    }
    return true;
}

#else

bool cpv_idct(const int16_t block[64], const int16_t steps[64], uint8_t *const rows[8],
              uint32_t at)
{
    return cpv_idct_plain(block, steps, rows, at);
}

#endif
