/* SPDX-License-Identifier: Apache-2.0 */
/* See stop.h. The handler does only what POSIX allows in one. */
#include "common/base/stop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STATUS_STOPPED = 75 };

static atomic_bool requested;
static atomic_int wake_fd = -1;

/* One write makes the eventfd readable for good: nobody reads it. */
static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;

    (void)number;
    if (atomic_exchange(&requested, true))
        _exit(STATUS_STOPPED);
    if (write(atomic_load(&wake_fd), &one, sizeof one) < 0)
        errno = 0; /* the flag is set all the same */
    errno = saved;
}

int cpv_stop_install(struct cpv_err *err)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction on = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int fd;

    if (atomic_load(&wake_fd) >= 0)
        return CPV_OK;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return cpv_fail_sys(err, errno, "cannot make an event descriptor");
    atomic_store(&wake_fd, fd);
    (void)sigfillset(&on.sa_mask);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        if (sigaction(stops[i], &on, NULL) < 0)
            return cpv_fail_sys(err, errno, "cannot handle signal %d", stops[i]);
    if (sigaction(SIGPIPE, &ignore, NULL) < 0)
        return cpv_fail_sys(err, errno, "cannot ignore SIGPIPE");
    return CPV_OK;
}

bool cpv_stop_requested(void)
{
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

int cpv_stop_fd(void)
{
    return atomic_load(&wake_fd);
}
