/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks and how to change between them: 7 ns by a few instructions on x86-64, ucontext
 * elsewhere. Fibers live until the process ends and are used again by each block. The
 * sanitizers are told of each change.
 */
#include <cstdio>

#include <pthread.h>
#include <sys/mman.h>

#include "internal.h"
#include "sanitizer.h"

#if !defined(__x86_64__) || defined(EMU_UCONTEXT)
#include <ucontext.h>
#define EMU_USES_UCONTEXT 1
#else
#define EMU_USES_UCONTEXT 0
#endif

namespace emu
{

static const size_t MOST_FIBERS = 1024, PAGE = 4096;

struct fiber {
    void *sp;
    void *stack;
    size_t size;
    void *fake_stack; /* AddressSanitizer's, while the fiber is not running */
    void *tsan;
#if EMU_USES_UCONTEXT
    ucontext_t context;
#endif
};

#if EMU_USES_UCONTEXT

static void begin(fiber *f, void (*entry)())
{
    (void)getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->size;
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
}

static void change(fiber *from, fiber *to)
{
    (void)swapcontext(&from->context, &to->context);
}

#else

/* Saves what the ABI asks a callee to keep, changes the stack, and takes it back. */
extern "C" void emu_change_stack(void **save, void *to);
asm(".text\n"
    ".globl emu_change_stack\n"
    ".hidden emu_change_stack\n"
    ".type emu_change_stack,@function\n"
    "emu_change_stack:\n"
    " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,(%rdi)\n"
    " mov %rsi,%rsp\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
    " ret\n"
    ".size emu_change_stack,.-emu_change_stack\n");

static void begin(fiber *f, void (*entry)())
{
    void **sp = reinterpret_cast<void **>(static_cast<char *>(f->stack) + f->size);

    /* At a function's first instruction the ABI has the stack at 8 modulo 16. */
    *--sp = nullptr;
    *--sp = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    f->sp = sp;
}

static void change(fiber *from, fiber *to)
{
    emu_change_stack(&from->sp, to->sp);
}

#endif

static void enter()
{
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
    run_thread();
}

fiber *fiber_of_host()
{
    static fiber host;
    pthread_attr_t attributes;

    (void)pthread_getattr_np(pthread_self(), &attributes);
    (void)pthread_attr_getstack(&attributes, &host.stack, &host.size);
    (void)pthread_attr_destroy(&attributes);
    if (__tsan_get_current_fiber)
        host.tsan = __tsan_get_current_fiber();
    return &host;
}

static char *all_stacks(size_t each)
{
    static char *stacks;

    if (!stacks) {
        void *p = mmap(nullptr, each * MOST_FIBERS, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            fail(nullptr, "no memory for %zu stacks of %zu bytes", MOST_FIBERS, each);
        stacks = static_cast<char *>(p);
    }
    return stacks;
}

fiber *fiber_at(unsigned i)
{
    static fiber fibers[MOST_FIBERS];
    size_t size = (config().stack_size + PAGE - 1) / PAGE * PAGE;
    fiber *f = &fibers[i];

    if (f->stack)
        return f;
    char *lowest = all_stacks(size + PAGE) + i * (size + PAGE);
    (void)mprotect(lowest, PAGE, PROT_NONE); /* an overflow ends here */
    f->stack = lowest + PAGE;
    f->size = size;
    if (__tsan_create_fiber)
        f->tsan = __tsan_create_fiber(0);
    begin(f, enter);
    return f;
}

void fiber_switch(fiber *from, fiber *to)
{
    if (from == to)
        return;
    if (__tsan_switch_to_fiber)
        __tsan_switch_to_fiber(to->tsan, 1); /* 1: the change itself orders nothing */
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->size);
    change(from, to);
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(from->fake_stack, nullptr, nullptr);
}

} /* namespace emu */
