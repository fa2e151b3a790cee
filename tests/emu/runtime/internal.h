/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the run time share. They are compiled once and without a sanitizer,
 * whatever the kernels are compiled with: what they do to a kernel's data is not a race,
 * and which sanitizer is there, if any, is found out through weak symbols (sanitizer.h).
 *
 *     settings.cc   the environment, random numbers, messages
 *     fiber.cc      switching between stacks
 *     scheduler.cc  grids, blocks, barriers
 *     warp.cc       what lanes do together
 *     shared.cc     shared memory, asynchronous copies
 *     memory.cc     device and page-locked memory
 *     stream.cc     streams, events, graphs
 *     runtime.cc    the rest of the CUDA runtime
 *     lt_*.cc       cuBLASLt
 */
#ifndef EMU_INTERNAL_H
#define EMU_INTERNAL_H

#include <deque>
#include <mutex>
#include <vector>

#include "cuda_emu.h"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace emu
{

/* --- settings.cc --- */

enum class order { shuffled, fifo, lifo };

struct settings {
    uint64_t seed;
    order how;
    int sm;            /* 80: compute capability 8.0 */
    size_t memory;     /* of the device, bytes */
    size_t stack_size; /* of a thread */
};
const settings &config();

unsigned random_below(unsigned n); /* n >= 1 */

/* All of the emulator is one lock: calls may come from several host threads. */
typedef std::lock_guard<std::recursive_mutex> guard;
std::recursive_mutex &lock();

/* What cudaGetLastError() will say; returns `e`. */
cudaError_t keep_error(cudaError_t e);

inline bool same_site(const site &a, const site &b)
{
    return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file));
}

/* --- fiber.cc --- */

struct fiber;

fiber *fiber_of_host();      /* the stack of the calling host thread, taken anew */
fiber *fiber_at(unsigned i); /* i < 1024; made at its first use; runs run_thread() */
void fiber_switch(fiber *from, fiber *to);
void run_thread(); /* scheduler.cc: never returns */

/* --- scheduler.cc --- */

enum class state { runnable, at_barrier, in_warp, exited };

struct task : thread {
    fiber *on;
    state is;
    site where;                                   /* it waits */
    std::vector<pending_copy> open;               /* not committed yet */
    std::deque<std::vector<pending_copy>> groups; /* oldest first */
};

struct launch_shape {
    const char *name;
    dim3 grid, block;
    size_t bytes;
    size_t limit; /* of static and dynamic shared memory together */
};

task *self(); /* the thread that runs, or NULL: the host does */
task *task_at(unsigned linear);
unsigned block_size();
unsigned long block_serial(); /* counts all blocks ever run; from 1 */
void wake(task *t);
void yield_to_others(); /* the caller has said what it waits for */
void run_grid(const launch_shape &shape, const std::function<void()> &body);

/* "kernel 'k' block (0,0,0) thread (1,0,0)", or nothing outside a kernel. */
void describe_place(char *out, size_t size);

/* --- warp.cc --- */

void warps_reset(unsigned n);
void warp_thread_exits(task *t);

/* --- shared.cc --- */

void shared_begin_block(size_t dynamic_bytes, size_t limit);
void shared_end_block();
void copies_end_thread(task *t);

/* --- memory.cc --- */

enum class memory_kind { device, pinned };

/* Whether [p, p + n) lies within one allocation of device memory. */
bool in_device(const void *p, size_t n);
bool is_device(const void *p);
bool is_pinned(const void *p);
void need_device(const void *p, size_t n, const char *what); /* fails loudly */
void check_guards();
void give_back(void *p);
size_t memory_taken();

/* While one of these lives, device memory may be touched; else AddressSanitizer, where it
   is there, reports any access, which then is the host's. */
struct device_open {
    device_open();
    ~device_open();
};

/* --- stream.cc --- */

void enqueue(cudaStream_t stream, std::function<void()> op);
void synchronise_all();
void synchronise(cudaStream_t stream);

/* --- runtime.cc --- */

size_t dynamic_limit(const void *function); /* what a launch may ask for */

} /* namespace emu */

#endif
