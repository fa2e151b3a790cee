/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atomics: relaxed, as CUDA's are, so that the race detector knows them as atomic and
 * takes nothing else from them; __threadfence orders. Other threads may run before each.
 */
#ifndef EMU_ATOMIC_H
#define EMU_ATOMIC_H

#include "emu/thread.h"

namespace emu
{

template <size_t N> struct bits_of;
template <> struct bits_of<2> {
    typedef uint16_t type;
};
template <> struct bits_of<4> {
    typedef uint32_t type;
};
template <> struct bits_of<8> {
    typedef uint64_t type;
};

/* The value before; `f` gives the one after. */
template <class T, class F> T modify(T *address, F f)
{
    typedef typename bits_of<sizeof(T)>::type bits;
    bits *word = reinterpret_cast<bits *>(address);
    bits before, after;
    T old, made;

    maybe_yield();
    before = __atomic_load_n(word, __ATOMIC_RELAXED);
    do {
        memcpy(&old, &before, sizeof old);
        made = f(old);
        memcpy(&after, &made, sizeof after);
    } while (!__atomic_compare_exchange_n(word, &before, after, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return old;
}

} /* namespace emu */

template <class T> inline T atomicAdd(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T old) { return static_cast<T>(old + v); });
}

template <class T> inline T atomicSub(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T old) { return static_cast<T>(old - v); });
}

template <class T> inline T atomicMin(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T old) { return v < old ? v : old; });
}

template <class T> inline T atomicMax(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T old) { return old < v ? v : old; });
}

template <class T> inline T atomicAnd(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T old) { return old & v; });
}

template <class T> inline T atomicOr(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T old) { return old | v; });
}

template <class T> inline T atomicXor(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T old) { return old ^ v; });
}

template <class T> inline T atomicExch(T *p, typename emu::same<T>::type v)
{
    return emu::modify(p, [v](T) { return v; });
}

template <class T>
inline T atomicCAS(T *p, typename emu::same<T>::type expected,
                   typename emu::same<T>::type v)
{
    return emu::modify(p, [expected, v](T old) { return old == expected ? v : old; });
}

inline unsigned atomicInc(unsigned *p, unsigned last)
{
    return emu::modify(p, [last](unsigned old) { return old >= last ? 0 : old + 1; });
}

#endif
