/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory is host memory that only device work may touch. Under AddressSanitizer
 * it is poisoned whenever none is running, and an access beyond an allocation is found at
 * once; otherwise a margin around it is looked at after each piece of work.
 */
#include <map>

#include "internal.h"
#include "sanitizer.h"

namespace emu
{

static const size_t ALIGNMENT = 256; /* cudaMalloc's; also the margin's size */
static const unsigned char MARGIN = 0xA5;

struct allocation {
    unsigned char *base;
    size_t size;
    memory_kind kind;
};

typedef std::map<uintptr_t, allocation> table;

/* Never destroyed: programs free things in destructors of their own. */
static table &all()
{
    static table *t = new table;
    return *t;
}

static size_t taken;
static unsigned opened;

static size_t margin()
{
    return __asan_poison_memory_region ? 0 : ALIGNMENT;
}

static const std::pair<const uintptr_t, allocation> *find(const void *p)
{
    uintptr_t at = reinterpret_cast<uintptr_t>(p);
    auto next = all().upper_bound(at);

    if (next == all().begin())
        return nullptr;
    --next;
    return at < next->first + next->second.size || at == next->first ? &*next : nullptr;
}

bool is_device(const void *p)
{
    auto a = find(p);
    return a && a->second.kind == memory_kind::device;
}

bool is_pinned(const void *p)
{
    auto a = find(p);
    return a && a->second.kind == memory_kind::pinned;
}

bool in_device(const void *p, size_t n)
{
    auto a = find(p);
    return a && a->second.kind == memory_kind::device &&
           n <= a->first + a->second.size - reinterpret_cast<uintptr_t>(p);
}

void need_device(const void *p, size_t n, const char *what)
{
    auto a = find(p);

    if (!n || in_device(p, n))
        return;
    if (!a || a->second.kind != memory_kind::device)
        fail(nullptr, "%s: %p is not device memory", what, p);
    fail(nullptr, "%s: %zu bytes at offset %zu of an allocation of %zu bytes", what, n,
         static_cast<size_t>(reinterpret_cast<uintptr_t>(p) - a->first), a->second.size);
}

static void check_guard(const allocation &a)
{
    for (size_t i = 0; i < margin(); i++) {
        if (a.base[i] != MARGIN)
            fail(nullptr, "a store %zu bytes before device memory of %zu bytes",
                 margin() - i, a.size);
        if (a.base[margin() + a.size + i] != MARGIN)
            fail(nullptr, "a store %zu bytes past the end of device memory of %zu bytes",
                 i, a.size);
    }
}

void check_guards()
{
    for (const auto &entry : all())
        check_guard(entry.second);
}

static void *take(size_t n, memory_kind kind)
{
    allocation a = {nullptr, n, kind};
    void *p = nullptr;
    uintptr_t at;

    if (posix_memalign(&p, ALIGNMENT, margin() + n + margin() + !n))
        return nullptr;
    a.base = static_cast<unsigned char *>(p);
    memset(a.base, MARGIN, margin());
    memset(a.base + margin(), 0xff, n);
    memset(a.base + margin() + n, MARGIN, margin());
    at = reinterpret_cast<uintptr_t>(a.base + margin());
    all()[at] = a;
    if (kind == memory_kind::device) {
        taken += n;
        if (!opened && __asan_poison_memory_region)
            __asan_poison_memory_region(a.base, n);
    }
    return a.base + margin();
}

void give_back(void *p)
{
    auto at = all().find(reinterpret_cast<uintptr_t>(p));
    allocation a = at->second;

    check_guard(a);
    if (a.kind == memory_kind::device) {
        taken -= a.size;
        if (__asan_unpoison_memory_region)
            __asan_unpoison_memory_region(a.base, a.size);
    }
    all().erase(at);
    free(a.base);
}

size_t memory_taken()
{
    return taken;
}

static void for_device(void (*what)(const volatile void *, size_t))
{
    if (!what)
        return;
    for (const auto &entry : all())
        if (entry.second.kind == memory_kind::device)
            what(entry.second.base, entry.second.size);
}

device_open::device_open()
{
    if (!opened++)
        for_device(__asan_unpoison_memory_region);
}

device_open::~device_open()
{
    if (!--opened)
        for_device(__asan_poison_memory_region);
}

static cudaError_t allocate(void **out, size_t n, memory_kind kind)
{
    guard g(lock());

    if (!out)
        return keep_error(cudaErrorInvalidValue);
    *out = nullptr;
    if (kind == memory_kind::device &&
        (n > config().memory || taken > config().memory - n))
        return keep_error(cudaErrorMemoryAllocation);
    if (n && !(*out = take(n, kind)))
        return keep_error(cudaErrorMemoryAllocation);
    return cudaSuccess;
}

static bool owned(const void *p, memory_kind kind)
{
    auto a = find(p);
    return a && a->first == reinterpret_cast<uintptr_t>(p) && a->second.kind == kind;
}

} /* namespace emu */

using namespace emu;

extern "C" {

cudaError_t cudaMalloc(void **out, size_t n)
{
    return allocate(out, n, memory_kind::device);
}

cudaError_t cudaFree(void *p)
{
    guard g(lock());

    if (!p)
        return cudaSuccess;
    if (!owned(p, memory_kind::device))
        return keep_error(cudaErrorInvalidValue);
    synchronise_all();
    give_back(p);
    return cudaSuccess;
}

/* The address is good at once; that it may not be used by other streams yet is not seen.
 */
cudaError_t cudaMallocAsync(void **out, size_t n, cudaStream_t)
{
    return allocate(out, n, memory_kind::device);
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t stream)
{
    guard g(lock());

    if (!p)
        return cudaSuccess;
    if (!owned(p, memory_kind::device))
        return keep_error(cudaErrorInvalidValue);
    enqueue(stream, [p] { give_back(p); });
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t n)
{
    return allocate(out, n, memory_kind::pinned);
}

cudaError_t cudaHostAlloc(void **out, size_t n, unsigned)
{
    return allocate(out, n, memory_kind::pinned);
}

cudaError_t cudaFreeHost(void *p)
{
    guard g(lock());

    if (!p)
        return cudaSuccess;
    if (!owned(p, memory_kind::pinned))
        return keep_error(cudaErrorInvalidValue);
    synchronise_all();
    give_back(p);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    guard g(lock());

    *total = config().memory;
    *free_bytes = config().memory - taken;
    return cudaSuccess;
}

} /* extern "C" */
