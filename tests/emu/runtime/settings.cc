/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment: CPV_EMU_SEED (1), CPV_EMU_ORDER (shuffled, fifo, lifo), CPV_EMU_SM
 * (80), CPV_EMU_MEMORY (bytes), CPV_EMU_STACK (bytes a thread).
 */
#include <cstdarg>
#include <cstdio>

#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

namespace emu
{

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    char *end = nullptr;
    uint64_t n;

    if (!text || !*text)
        return otherwise;
    n = strtoull(text, &end, 10);
    if (*end)
        fail(nullptr, "%s is '%s': expected a number", name, text);
    return n;
}

static order order_named(const char *text)
{
    if (!text || !strcmp(text, "shuffled"))
        return order::shuffled;
    if (!strcmp(text, "fifo"))
        return order::fifo;
    if (!strcmp(text, "lifo"))
        return order::lifo;
    fail(nullptr, "CPV_EMU_ORDER is '%s': expected shuffled, fifo or lifo", text);
}

const settings &config()
{
    static const settings s = {number("CPV_EMU_SEED", 1),
                               order_named(getenv("CPV_EMU_ORDER")),
                               static_cast<int>(number("CPV_EMU_SM", 80)),
                               static_cast<size_t>(number("CPV_EMU_MEMORY", 1 << 30)),
                               static_cast<size_t>(number("CPV_EMU_STACK", 256 << 10))};
    return s;
}

unsigned random_below(unsigned n)
{
    static uint64_t x = config().seed * 0x9E3779B97F4A7C15u;
    uint64_t z = (x += 0x9E3779B97F4A7C15u); /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return static_cast<unsigned>(((z >> 32) * n) >> 32);
}

std::recursive_mutex &lock()
{
    static std::recursive_mutex m;
    return m;
}

void fail(const site *at, const char *format, ...)
{
    static const char *const names[] = {"shuffled", "fifo", "lifo"};
    char place[256], text[1024];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    describe_place(place, sizeof place);
    (void)fflush(stdout);
    (void)fprintf(stderr, "cuda-emu: error: %s%s", text, place);
    if (at)
        (void)fprintf(stderr, "\n    at %s:%d", at->file, at->line);
    (void)fprintf(stderr, "\n    again: CPV_EMU_SEED=%llu CPV_EMU_ORDER=%s\n",
                  static_cast<unsigned long long>(config().seed),
                  names[static_cast<int>(config().how)]);
    (void)fflush(stderr);
    /* No destructor runs, as the stack may be a fiber's; and the status is ours, whatever
       a sanitizer thinks of ending here. */
    (void)syscall(SYS_exit_group, 99);
    abort();
}

} /* namespace emu */
