/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command in a session of its own and cuts it off.
 *
 *     chaos-cut MICROSECONDS WHOM SIGNAL COMMAND ARGUMENTS...
 *
 * WHOM: all (every process of the session), leader (the command), child (one that it
 * has started; the command if there is none). Then it waits until all of them are gone
 * and exits with 137 if the signal was sent before the command had ended, else with the
 * command's status (128 + the number of a signal). A session that is not gone after
 * 60 s is killed; that is 124.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CUT = 137, HUNG = 124, PATIENCE_S = 60 };

/* The session of a process, and whether it is a zombie; -1 if it is gone. */
static long session_of(long pid, bool *dead)
{
    char path[64], text[512];
    const char *rest;
    long session = -1;
    size_t n;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return -1;
    n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    /* Behind the name, which may hold anything: state, parent, group, session. */
    rest = strrchr(text, ')');
    if (!rest || strlen(rest) < 4)
        return -1;
    *dead = rest[2] == 'Z' || rest[2] == 'X';
    rest += 3;
    for (int i = 0; i < 3; i++) {
        char *end;

        session = strtol(rest, &end, 10);
        if (end == rest)
            return -1;
        rest = end;
    }
    return session;
}

/* A signal to the session's processes; how many of them live. */
static int signal_session(pid_t leader, const char *whom, int number)
{
    DIR *dir = opendir("/proc");
    struct dirent *e;
    long child = 0;
    int alive = 0;

    while (dir && (e = readdir(dir))) {
        long pid = strtol(e->d_name, NULL, 10);
        bool dead = false;

        if (pid <= 0 || session_of(pid, &dead) != leader || dead)
            continue;
        alive++;
        if (pid != leader)
            child = pid;
        if (strcmp(whom, "all") == 0)
            (void)kill((pid_t)pid, number);
    }
    if (dir)
        closedir(dir);
    if (strcmp(whom, "leader") == 0)
        (void)kill(leader, number);
    if (strcmp(whom, "child") == 0)
        (void)kill(child ? (pid_t)child : leader, number);
    return alive;
}

static void nap(long microseconds)
{
    struct timespec t = {microseconds / 1000000, microseconds % 1000000 * 1000};

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static void start(char **argv)
{
    if (setsid() < 0)
        _exit(126);
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* Until nobody of the session is left; its orphans come to us. */
static bool drain(pid_t leader)
{
    for (long waited = 0; waited < PATIENCE_S * 1000000L; waited += 500) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (signal_session(leader, "nobody", 0) == 0)
            return true;
        nap(500);
    }
    (void)signal_session(leader, "all", SIGKILL);
    return false;
}

int main(int argc, char **argv)
{
    struct timespec limit;
    sigset_t ended;
    int status = 0, sent = 0;
    pid_t leader, got;

    if (argc < 5) {
        fprintf(stderr,
                "usage: chaos-cut MICROSECONDS WHOM SIGNAL COMMAND ARGUMENTS...\n");
        return 2;
    }
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &ended, NULL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    leader = fork();
    if (leader == 0) {
        (void)sigprocmask(SIG_UNBLOCK, &ended, NULL);
        start(argv + 4);
    }
    limit.tv_sec = strtol(argv[1], NULL, 10) / 1000000;
    limit.tv_nsec = strtol(argv[1], NULL, 10) % 1000000 * 1000;
    (void)sigtimedwait(&ended, NULL, &limit);
    got = waitpid(leader, &status, WNOHANG);
    if (got == 0) {
        (void)signal_session(leader, argv[2], (int)strtol(argv[3], NULL, 10));
        sent = 1;
        /* Who was only asked to end may take its time, but not for ever. */
        for (int i = 0; i < PATIENCE_S * 1000 && waitpid(leader, &status, WNOHANG) == 0;
             i++)
            nap(1000);
    }
    if (!drain(leader))
        return HUNG;
    if (sent && strcmp(argv[3], "9") == 0)
        return CUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
