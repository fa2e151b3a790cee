/* SPDX-License-Identifier: Apache-2.0 */
/* stop.h: in children, because signals belong to a process. */
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/base/stop.h"

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

/* The child's exit status: 0, or the number of the check that failed. */
static int check_first(int number)
{
    int pipe_fd[2];

    if (cpv_stop_fd() != -1 || cpv_stop_install(NULL) || cpv_stop_install(NULL))
        return 1;
    if (cpv_stop_requested() || readable(cpv_stop_fd()))
        return 2;
    errno = 123;
    (void)raise(number);
    if (errno != 123 || !cpv_stop_requested())
        return 3;
    if (!readable(cpv_stop_fd()) || !readable(cpv_stop_fd()))
        return 4;
    if (pipe(pipe_fd) || close(pipe_fd[0]) || write(pipe_fd[1], "x", 1) != -1 ||
        errno != EPIPE)
        return 5;
    return 0;
}

static int status_of(int number, bool twice)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int failed = check_first(number);

        if (!failed && twice)
            (void)raise(number == SIGTERM ? SIGINT : SIGTERM);
        _exit(failed);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_first_asks(void **state)
{
    (void)state;
    assert_int_equal(status_of(SIGINT, false), 0);
    assert_int_equal(status_of(SIGTERM, false), 0);
    assert_int_equal(status_of(SIGUSR1, false), 0);
}

static void the_second_leaves(void **state)
{
    (void)state;
    assert_int_equal(status_of(SIGINT, true), 75);
    assert_int_equal(status_of(SIGTERM, true), 75);
    assert_int_equal(status_of(SIGUSR1, true), 75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_asks),
        cmocka_unit_test(the_second_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
