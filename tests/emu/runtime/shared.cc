/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory and the asynchronous copies into it. */
#include "internal.h"
#include "sanitizer.h"

namespace emu
{

static const size_t GUARD = 64; /* where AddressSanitizer does not keep watch itself */

struct piece {
    unsigned char *base; /* what malloc gave */
    unsigned char *memory;
    size_t size;
};

static std::vector<piece> pieces;
static unsigned char *dynamic;
static size_t used, most;

/* By a loop and not by memset, which the race detector would see. */
static void fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        static_cast<volatile unsigned char *>(p)[i] = 0xff;
}

static unsigned char *make_piece(size_t size, size_t alignment)
{
    size_t guard = __asan_poison_memory_region ? 0 : GUARD;
    piece p = {nullptr, nullptr, size};
    void *memory = nullptr;

    if (alignment < 16)
        alignment = 16;
    if (alignment > GUARD && guard)
        guard = alignment;
    if (posix_memalign(&memory, alignment, guard + size + guard))
        fail(nullptr, "no memory for %zu bytes of shared memory", size);
    p.base = static_cast<unsigned char *>(memory);
    p.memory = p.base + guard;
    fill(p.base, guard + size + guard);
    pieces.push_back(p);
    return p.memory;
}

void *shared(slot *slot, size_t size, size_t alignment)
{
    if (slot->block != block_serial()) {
        unseen u;
        slot->block = block_serial();
        slot->memory = make_piece(size, alignment);
        used += size;
        if (used > most)
            fail(nullptr,
                 "shared memory of %zu bytes, static and dynamic: a block has %zu", used,
                 most);
    }
    return slot->memory;
}

void *dynamic_shared()
{
    if (!dynamic)
        fail(nullptr, "the kernel uses dynamic shared memory, its launch gives none");
    return dynamic;
}

void shared_begin_block(size_t dynamic_bytes, size_t limit)
{
    unseen u;

    used = dynamic_bytes;
    most = limit;
    dynamic = dynamic_bytes ? make_piece(dynamic_bytes, 16) : nullptr;
}

static void check_piece(const piece &p)
{
    size_t guard = static_cast<size_t>(p.memory - p.base);

    for (size_t i = 0; i < guard; i++) {
        if (p.base[i] != 0xff)
            fail(nullptr, "a store %zu bytes before shared memory of %zu bytes",
                 guard - i, p.size);
        if (p.memory[p.size + i] != 0xff)
            fail(nullptr, "a store %zu bytes past the end of shared memory of %zu bytes",
                 i, p.size);
    }
}

void shared_end_block()
{
    unseen u;

    for (const piece &p : pieces) {
        check_piece(p);
        free(p.base);
    }
    pieces.clear();
    dynamic = nullptr;
}

void copy_begun(const pending_copy &copy)
{
    unseen u;

    self()->open.push_back(copy);
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(copy.to, sizeof *copy.to);
}

void copy_committed()
{
    unseen u;

    self()->groups.push_back(self()->open);
    self()->open.clear();
}

bool copy_due(int open, pending_copy *out)
{
    unseen u;
    auto &groups = self()->groups;

    while (groups.size() > static_cast<size_t>(open) && groups.front().empty())
        groups.pop_front();
    if (groups.size() <= static_cast<size_t>(open))
        return false;
    *out = groups.front().back();
    groups.front().pop_back();
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(out->to, sizeof *out->to);
    return true;
}

void copies_end_thread(task *t)
{
    unseen u;
    const pending_copy *left = t->open.empty() ? nullptr : &t->open.front();

    for (const auto &group : t->groups)
        if (!group.empty())
            left = &group.front();
    if (left)
        fail(&left->at, "a thread exits and never waited for this asynchronous copy");
    t->groups.clear();
}

} /* namespace emu */
