/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the lanes of a warp do together. Each deposits its argument and waits; the last of
 * those named in the mask works out everybody's result (in runtime/warp.cc, where no
 * sanitizer looks). Shuffles and votes order no memory, as CUDA documents; __syncwarp
 * does.
 *
 * Stricter than a device: a lane must be in its own mask, no lane of the mask may have
 * exited, all of them must call from the same place, and what a shuffle reads must be the
 * value of a lane in the mask. Lanes that a partial warp lacks count as not in the mask.
 */
#ifndef EMU_WARP_H
#define EMU_WARP_H

#include "emu/thread.h"

namespace emu
{

enum class warp_op {
    sync,
    shuffle,
    ballot,
    reduce_add,
    reduce_min,
    reduce_max,
    reduce_and,
    reduce_or,
    reduce_xor,
    match_any,
    multiply
};

/* What one lane brings and takes: 8 bytes, and for a shuffle the lane it reads. */
struct lane_value {
    uint64_t in, out;
    int source;
    bool is_signed;
};

void meet(unsigned mask, warp_op op, void *argument, const site &at);

uint64_t exchange(unsigned mask, warp_op op, uint64_t in, int source, bool is_signed,
                  const site &at);

template <class T> T shuffle(unsigned mask, T value, int source, const site &at)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value,
                  "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;

    memcpy(&bits, &value, sizeof value);
    bits = exchange(mask, warp_op::shuffle, bits, source, false, at);
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline int lane()
{
    return static_cast<int>(current->lane);
}

/* First lane of this lane's section of `width` lanes, as the shuffles divide a warp. */
inline int section(int width, const site &at)
{
    if (width < 1 || width > 32 || (width & (width - 1)))
        fail(&at, "a shuffle's width is %d: expected a power of two up to 32", width);
    return lane() & ~(width - 1);
}

template <class T> T reduce(unsigned mask, warp_op op, T value, const site &at)
{
    static_assert(std::is_same<T, int>::value || std::is_same<T, unsigned>::value,
                  "__reduce_*_sync takes int and unsigned");
    return static_cast<T>(exchange(mask, op, static_cast<uint32_t>(value), 0,
                                   std::is_signed<T>::value, at));
}

} /* namespace emu */

inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_SITE)
{
    emu::meet(mask, emu::warp_op::sync, nullptr, at);
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMU_SITE)
{
    return emu::shuffle(mask, value, emu::section(width, at) | (source & (width - 1)),
                        at);
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EMU_SITE)
{
    int from = emu::lane() ^ bits, first = emu::section(width, at);

    /* An earlier section may be read, a later one may not. */
    return emu::shuffle(mask, value, from >= first + width ? emu::lane() : from, at);
}

template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                          EMU_SITE)
{
    int from = emu::lane() + static_cast<int>(delta), first = emu::section(width, at);

    return emu::shuffle(mask, value, from >= first + width ? emu::lane() : from, at);
}

template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_SITE)
{
    int from = emu::lane() - static_cast<int>(delta), first = emu::section(width, at);

    return emu::shuffle(mask, value, from < first ? emu::lane() : from, at);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_SITE)
{
    return static_cast<unsigned>(
        emu::exchange(mask, emu::warp_op::ballot, predicate != 0, 0, false, at));
}

/* Both votes over all named lanes: what is not there cannot object. */
inline int __any_sync(unsigned mask, int predicate, EMU_SITE)
{
    return __ballot_sync(mask, predicate, at) != 0;
}

inline int __all_sync(unsigned mask, int predicate, EMU_SITE)
{
    return __ballot_sync(mask, !predicate, at) == 0;
}

template <class T> inline unsigned __match_any_sync(unsigned mask, T value, EMU_SITE)
{
    static_assert(sizeof(T) <= 8, "a match compares at most 8 bytes");
    uint64_t bits = 0;

    memcpy(&bits, &value, sizeof value);
    return static_cast<unsigned>(
        emu::exchange(mask, emu::warp_op::match_any, bits, 0, false, at));
}

/* sm_80 and newer. */
template <class T> inline T __reduce_add_sync(unsigned mask, T value, EMU_SITE)
{
    return emu::reduce(mask, emu::warp_op::reduce_add, value, at);
}

template <class T> inline T __reduce_min_sync(unsigned mask, T value, EMU_SITE)
{
    return emu::reduce(mask, emu::warp_op::reduce_min, value, at);
}

template <class T> inline T __reduce_max_sync(unsigned mask, T value, EMU_SITE)
{
    return emu::reduce(mask, emu::warp_op::reduce_max, value, at);
}

inline unsigned __reduce_and_sync(unsigned mask, unsigned value, EMU_SITE)
{
    return emu::reduce(mask, emu::warp_op::reduce_and, value, at);
}

inline unsigned __reduce_or_sync(unsigned mask, unsigned value, EMU_SITE)
{
    return emu::reduce(mask, emu::warp_op::reduce_or, value, at);
}

inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, EMU_SITE)
{
    return emu::reduce(mask, emu::warp_op::reduce_xor, value, at);
}

#endif
