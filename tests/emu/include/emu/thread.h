/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads, blocks, launches, barriers and shared memory. One host thread runs all of it:
 * each CUDA thread of the block at hand is a fiber, and control changes hands only where
 * a thread waits, in an order drawn from the seed.
 *
 * A `site` is the place in the kernel that called, for messages and to tell two barriers
 * apart. Return addresses would not do: optimisation merges calls.
 */
#ifndef EMU_THREAD_H
#define EMU_THREAD_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <cuda_runtime.h>

#define EMU_SITE emu::site at = {__builtin_FILE(), __builtin_LINE()}

namespace emu
{

struct site {
    const char *file;
    int line;
};

struct thread {
    uint3 index;
    unsigned linear; /* within the block */
    unsigned lane, warp;
};

extern thread *current;
extern uint3 block_index;
extern dim3 block_dim, grid_dim;

enum class vote { count, all, any };

/* Waits for every thread of the block that has not exited. */
int barrier(const site &at, int predicate, vote how);

/* Orders what this thread wrote before against what others read after theirs. */
void fence();

/* Lets other threads run, now and then: where threads talk through memory. */
void maybe_yield();

/* Says what is wrong, where, and how to see it again; ends the process with 99. */
[[noreturn]] void fail(const site *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Shared memory of this block for the declaration that owns `slot`, made at its first
   use: of exactly this size, so that an overrun is seen, and full of 0xFF. */
struct slot {
    unsigned long block;
    void *memory;
};
void *shared(slot *slot, size_t size, size_t alignment);
void *dynamic_shared();

/* Queue the grid; `function` is what cudaFuncSetAttribute knows the kernel by. */
void launch_grid(const char *name, const void *function, dim3 grid, dim3 block,
                 size_t bytes, cudaStream_t stream, std::function<void()> body);

template <class... P, class... A>
void launch(const char *name, dim3 grid, dim3 block, size_t bytes, cudaStream_t stream,
            void (*kernel)(P...), A &&...arguments)
{
    /* By value, as a launch copies them; converted as a call would. */
    std::tuple<std::decay_t<P>...> copy(std::forward<A>(arguments)...);

    launch_grid(name, reinterpret_cast<const void *>(kernel), grid, block, bytes, stream,
                [kernel, copy] { std::apply(kernel, copy); });
}

template <class T> struct same {
    typedef T type;
};

} /* namespace emu */

#define CPV_LAUNCH(kernel, grid, block, bytes, stream, ...)                              \
    emu::launch(#kernel, (grid), (block), (bytes), (stream), kernel, ##__VA_ARGS__)

#define CPV_SHARED(T, name, ...)                                                         \
    typedef emu::same<T>::type name##_element;                                           \
    typedef name##_element name##_type __VA_ARGS__;                                      \
    static emu::slot name##_slot;                                                        \
    name##_type &name = *static_cast<name##_type *>(                                     \
        emu::shared(&name##_slot, sizeof(name##_type), alignof(name##_type)))

#define CPV_DYN_SHARED(T, name) T *name = static_cast<T *>(emu::dynamic_shared())

#undef __launch_bounds__
#define __launch_bounds__(...)

#define threadIdx (static_cast<const uint3 &>(emu::current->index))
#define blockIdx  (static_cast<const uint3 &>(emu::block_index))
#define blockDim  (static_cast<const dim3 &>(emu::block_dim))
#define gridDim   (static_cast<const dim3 &>(emu::grid_dim))
static const int warpSize = 32;

inline void __syncthreads(EMU_SITE)
{
    (void)emu::barrier(at, 0, emu::vote::any);
}

inline int __syncthreads_or(int predicate, EMU_SITE)
{
    return emu::barrier(at, predicate, emu::vote::any);
}

inline int __syncthreads_and(int predicate, EMU_SITE)
{
    return emu::barrier(at, predicate, emu::vote::all);
}

inline int __syncthreads_count(int predicate, EMU_SITE)
{
    return emu::barrier(at, predicate, emu::vote::count);
}

inline void __threadfence()
{
    emu::fence();
}

inline void __threadfence_block()
{
    emu::fence();
}

inline void cpv_trap(EMU_SITE)
{
    emu::fail(&at, "the kernel trapped");
}

/* nvcc's headers have this template only for nvcc. */
template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute which, int value)
{
    return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), which, value);
}

template <class... P>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, void (*kernel)(P...))
{
    return cudaFuncGetAttributes(out, reinterpret_cast<const void *>(kernel));
}

template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, void (*kernel)(P...),
                                                          int threads, size_t bytes)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(
        out, reinterpret_cast<const void *>(kernel), threads, bytes);
}

#endif
