/* SPDX-License-Identifier: Apache-2.0 */
/* See spawn.h. */
#include "pipeline/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/stop.h"
#include "common/base/sys.h"

/* ---- finding ---- */

static bool runnable(const char *path)
{
    struct stat st;

    return cpv_sys.stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static char *find_beside(const char *name, cpv_arena *mem)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash, *path;

    if (n <= 0)
        return NULL;
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (!slash)
        return NULL;
    path = cpv_arena_printf(mem, "%.*s/%s", (int)(slash - self), self, name);
    return path && runnable(path) ? path : NULL;
}

char *cpv_program_find(const char *name, cpv_arena *mem)
{
    char *found = find_beside(name, mem);
    const char *p = getenv("PATH");

    while (!found && p && *p) {
        size_t n = strcspn(p, ":");
        char *path = n ? cpv_arena_printf(mem, "%.*s/%s", (int)n, p, name) : NULL;

        if (path && runnable(path))
            found = path;
        p += n + (p[n] == ':');
    }
    return found;
}

int cpv_program_become(const char *path, char *const *argv, struct cpv_err *err)
{
    (void)execv(path, argv);
    return cpv_fail_sys(err, errno, "cannot run '%s'", path);
}

/* ---- running ---- */

/* In the child, between fork and exec: only what is async-signal-safe. */
static void become_child(const struct cpv_spawn *s, int out, pid_t parent)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    int nowhere = -1;

    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before we asked to be told */
        _exit(75);
    (void)sigaction(SIGPIPE, &usual, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (s->silent || s->mute_out)
        nowhere = cpv_sys.open("/dev/null", O_WRONLY | O_CLOEXEC, 0);
    if (nowhere >= 0 && s->silent)
        (void)dup2(nowhere, STDERR_FILENO);
    if (s->out)
        (void)dup2(out, STDOUT_FILENO);
    else if (nowhere >= 0)
        (void)dup2(nowhere, STDOUT_FILENO);
    (void)execv(s->path, s->argv);
    _exit(errno == ENOENT ? 127 : 126);
}

/* What is there to read from the pipe; 0 once it has ended. */
static int read_some(int fd, struct cpv_buf *out, struct cpv_err *err)
{
    enum { STEP = 1 << 16 };
    uint8_t *to = cpv_buf_reserve(out, STEP);
    ssize_t got;

    if (!to)
        return cpv_fail_memory(err);
    do
        got = cpv_sys.read(fd, to, STEP);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cpv_fail_sys(err, errno, "cannot read from a child");
    out->size += (size_t)got;
    return got > 0;
}

/*
 * The pipe ends when the child does. Its content is the child's output, or nothing:
 * then it serves only for this. After a first request to stop we wait; a second one
 * ends us at once (stop.h) and thereby the child.
 */
static int wait_for_end(pid_t child, int fd, struct cpv_buf *out, struct cpv_err *err)
{
    struct cpv_buf nothing = {0};
    bool told = false;
    int rc = 1;

    while (rc > 0) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = told ? -1 : cpv_stop_fd(), .events = POLLIN}};

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            rc = cpv_fail_sys(err, errno, "cannot wait for a child");
        else if (cpv_stop_requested() && !told) {
            (void)kill(child, SIGTERM);
            told = true;
        } else if (fds[0].revents)
            rc = read_some(fd, out ? out : &nothing, err);
    }
    cpv_buf_release(&nothing);
    return rc;
}

static void read_status(int wait_status, int *status, int *sig)
{
    *sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    if (!*sig)
        *status = WEXITSTATUS(wait_status);
    else if (*sig == SIGSEGV || *sig == SIGABRT || *sig == SIGBUS || *sig == SIGFPE ||
             *sig == SIGILL || *sig == SIGSYS)
        *status = 70;
    else
        *status = 75;
}

int cpv_program_run(const struct cpv_spawn *s, int *status, int *sig, struct cpv_err *err)
{
    int fds[2], rc, wait_status = 0;
    pid_t parent = getpid(), child;

    /* With `out` it is the child's stdout; without, an inherited end that says when. */
    if (pipe2(fds, s->out ? O_CLOEXEC : 0) < 0)
        return cpv_fail_sys(err, errno, "cannot make a pipe");
    child = fork();
    if (child < 0) {
        rc = cpv_fail_sys(err, errno, "cannot start '%s'", s->path);
        cpv_file_close(&fds[0]);
        cpv_file_close(&fds[1]);
        return rc;
    }
    if (child == 0) {
        (void)cpv_sys.close(fds[0]);
        become_child(s, fds[1], parent);
    }
    cpv_file_close(&fds[1]);
    rc = wait_for_end(child, fds[0], s->out, err);
    cpv_file_close(&fds[0]);
    if (rc < 0)
        (void)kill(child, SIGTERM);
    while (waitpid(child, &wait_status, 0) < 0)
        if (errno != EINTR)
            return rc ? rc : cpv_fail_sys(err, errno, "cannot wait for '%s'", s->path);
    read_status(wait_status, status, sig);
    return rc;
}
