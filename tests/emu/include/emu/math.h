/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device functions that CUDA's headers leave to nvcc. The fast ones (__expf) are the
 * exact ones here: a device may differ from them by the bounds that NVIDIA documents.
 */
#ifndef EMU_MATH_H
#define EMU_MATH_H

#include <cmath>

#include "emu/thread.h"

inline float rsqrtf(float x)
{
    return 1.0f / std::sqrt(x);
}

inline float __expf(float x)
{
    return std::exp(x);
}

inline float __logf(float x)
{
    return std::log(x);
}

inline float __fdividef(float a, float b)
{
    return a / b;
}

inline float __fsqrt_rn(float x)
{
    return std::sqrt(x);
}

inline float __fadd_rn(float a, float b)
{
    return a + b;
}

inline float __fmul_rn(float a, float b)
{
    return a * b;
}

inline float __fmaf_rn(float a, float b, float c)
{
    return std::fma(a, b, c);
}

inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}

inline int __popcll(unsigned long long x)
{
    return __builtin_popcountll(x);
}

inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

inline int __clz(int x)
{
    return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}

inline unsigned __umulhi(unsigned a, unsigned b)
{
    return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}

inline float __int_as_float(int x)
{
    float f;

    memcpy(&f, &x, sizeof f);
    return f;
}

inline int __float_as_int(float x)
{
    int i;

    memcpy(&i, &x, sizeof i);
    return i;
}

inline float __uint_as_float(unsigned x)
{
    return __int_as_float(static_cast<int>(x));
}

inline unsigned __float_as_uint(float x)
{
    return static_cast<unsigned>(__float_as_int(x));
}

inline int __float2int_rn(float x)
{
    return static_cast<int>(std::nearbyint(x));
}

/* Four signed products of bytes, added to c. */
inline int __dp4a(int a, int b, int c)
{
    for (int i = 0; i < 32; i += 8)
        c += static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i);
    return c;
}

#define EMU_MIN_MAX(T)                                                                   \
    inline T min(T a, T b)                                                               \
    {                                                                                    \
        return b < a ? b : a;                                                            \
    }                                                                                    \
    inline T max(T a, T b)                                                               \
    {                                                                                    \
        return a < b ? b : a;                                                            \
    }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
#undef EMU_MIN_MAX

inline float min(float a, float b)
{
    return std::fmin(a, b);
}

inline float max(float a, float b)
{
    return std::fmax(a, b);
}

/* Loads and stores with a hint about caches. */
template <class T> inline T __ldg(const T *p)
{
    return *p;
}

template <class T> inline T __ldcs(const T *p)
{
    return *p;
}

template <class T> inline T __ldcg(const T *p)
{
    return *p;
}

template <class T> inline void __stcs(T *p, typename emu::same<T>::type v)
{
    *p = v;
}

#endif
