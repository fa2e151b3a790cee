/* SPDX-License-Identifier: Apache-2.0 */
/* What the sanitizers' run times export; NULL where a program is linked without them. */
#ifndef EMU_SANITIZER_H
#define EMU_SANITIZER_H

#include <cstddef>

extern "C" {
#define EMU_WEAK __attribute__((weak))
EMU_WEAK void __sanitizer_start_switch_fiber(void **save, const void *stack, size_t size);
EMU_WEAK void __sanitizer_finish_switch_fiber(void *save, const void **stack,
                                              size_t *size);
EMU_WEAK void __asan_poison_memory_region(const volatile void *p, size_t size);
EMU_WEAK void __asan_unpoison_memory_region(const volatile void *p, size_t size);
EMU_WEAK void *__tsan_get_current_fiber();
EMU_WEAK void *__tsan_create_fiber(unsigned flags);
EMU_WEAK void __tsan_switch_to_fiber(void *fiber, unsigned flags);
EMU_WEAK void __tsan_acquire(void *token);
EMU_WEAK void __tsan_release(void *token);
EMU_WEAK void AnnotateIgnoreReadsBegin(const char *file, int line);
EMU_WEAK void AnnotateIgnoreReadsEnd(const char *file, int line);
EMU_WEAK void AnnotateIgnoreWritesBegin(const char *file, int line);
EMU_WEAK void AnnotateIgnoreWritesEnd(const char *file, int line);
#undef EMU_WEAK
}

namespace emu
{

inline void acquire(void *token)
{
    if (__tsan_acquire)
        __tsan_acquire(token);
}

inline void release(void *token)
{
    if (__tsan_release)
        __tsan_release(token);
}

/* While one lives, the race detector looks away: malloc, free and memcpy are its own
   functions even where they are called from code that it does not instrument. */
struct unseen {
    unseen()
    {
        if (AnnotateIgnoreReadsBegin) {
            AnnotateIgnoreReadsBegin("", 0);
            AnnotateIgnoreWritesBegin("", 0);
        }
    }
    ~unseen()
    {
        if (AnnotateIgnoreReadsEnd) {
            AnnotateIgnoreReadsEnd("", 0);
            AnnotateIgnoreWritesEnd("", 0);
        }
    }
};

} /* namespace emu */

#endif
