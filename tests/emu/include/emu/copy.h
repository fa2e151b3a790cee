/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp.async. The device may write the destination at any time between the call and the
 * wait. So it is written at both ends: 0xFF at the call, which destroys what somebody
 * still reads, and the data at the wait, so that who does not wait reads 0xFF. Under
 * AddressSanitizer the destination cannot be touched at all in between.
 *
 * The loads and stores stand in this header, not in the run time, so that the sanitizers
 * see them, at the kernel's own lines.
 */
#ifndef EMU_COPY_H
#define EMU_COPY_H

#include "emu/thread.h"

namespace emu
{

struct pending_copy {
    int4 *to;
    const int4 *from;
    site at;
};

void copy_begun(const pending_copy &copy);
void copy_committed();

/* The next copy of a group older than the newest `open` groups; false: there is none. */
bool copy_due(int open, pending_copy *out);

} /* namespace emu */

inline void cpv_copy_async16(void *to, const void *from, EMU_SITE)
{
    emu::pending_copy copy = {static_cast<int4 *>(to), static_cast<const int4 *>(from),
                              at};

    if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % 16)
        emu::fail(&at, "an asynchronous copy is not aligned to 16 bytes: to %p from %p",
                  to, from);
    /* Read now too: an address out of bounds is found at this line. */
    const volatile uint64_t *words = static_cast<const volatile uint64_t *>(from);
    (void)words[0];
    (void)words[1];
    *copy.to = int4{-1, -1, -1, -1};
    emu::copy_begun(copy);
}

inline void cpv_copy_async_commit()
{
    emu::copy_committed();
}

template <int N> inline void cpv_copy_async_wait()
{
    emu::pending_copy copy;

    while (emu::copy_due(N, &copy))
        *copy.to = *copy.from;
}

#endif
