/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command in a session of its own and cuts it off.
 *
 *     chaos-cut MICROSECONDS WHOM SIGNAL COMMAND ARGUMENTS...
 *
 * WHOM: all (every process of the session), leader (the command), child (one that it
 * has started itself; the command if there is none). Then it waits until all of them are
 * gone and exits with 137 if the signal was sent before the command had ended, else with
 * the command's status (128 + the number of a signal). A session that is not gone after
 * 60 s is killed; that is 124.
 */
#include <dirent.h>
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

/* The session and the parent of a process, and whether it is dead; -1 if it is gone. */
static long session_of(long pid, long *parent, bool *dead)
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
        if (i == 0)
            *parent = session;
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
        long pid = strtol(e->d_name, NULL, 10), parent = 0;
        bool dead = false;

        if (pid <= 0 || session_of(pid, &parent, &dead) != leader || dead)
            continue;
        alive++;
        if (parent == leader)
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

/* Half a millisecond; false once a minute has gone by since `start`. */
static bool nap(time_t start)
{
    struct timespec t = {0, 500000}, now;

    (void)nanosleep(&t, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - start < PATIENCE_S;
}

/* In the child; who waits at the pipe then knows that the session is there. */
static void start(char **argv, const int ready[2])
{
    if (setsid() < 0)
        _exit(126);
    close(ready[0]);
    close(ready[1]);
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* Until nobody of the session is left; its orphans come to us. */
static bool drain(pid_t leader, int *status)
{
    struct timespec start;

    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        bool gone = signal_session(leader, "nobody", 0) == 0; /* or dead, to be reaped */
        int one;

        for (pid_t pid; (pid = waitpid(-1, &one, WNOHANG)) > 0;)
            if (pid == leader)
                *status = one;
        if (gone)
            return true;
    } while (nap(start.tv_sec));
    (void)signal_session(leader, "all", SIGKILL);
    return false;
}

int main(int argc, char **argv)
{
    struct timespec limit;
    sigset_t ended;
    int status = 0, sent = 0, ready[2];
    char nothing;
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
    if (pipe(ready) < 0 || (leader = fork()) < 0) {
        perror("chaos-cut");
        return 2;
    }
    if (leader == 0) {
        (void)sigprocmask(SIG_UNBLOCK, &ended, NULL);
        start(argv + 4, ready);
    }
    close(ready[1]);
    (void)!read(ready[0], &nothing, 1); /* its end */
    limit.tv_sec = strtol(argv[1], NULL, 10) / 1000000;
    limit.tv_nsec = strtol(argv[1], NULL, 10) % 1000000 * 1000;
    (void)sigtimedwait(&ended, NULL, &limit);
    got = waitpid(leader, &status, WNOHANG);
    if (got == 0) {
        (void)signal_session(leader, argv[2], (int)strtol(argv[3], NULL, 10));
        sent = 1;
    }
    if (!drain(leader, &status))
        return HUNG;
    if (sent && strcmp(argv[3], "9") == 0)
        return CUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
