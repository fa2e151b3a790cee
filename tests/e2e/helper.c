/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end-to-end tests need and a shell lacks. Each verb is one function below;
 * `help` is the list.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: e2e-helper run FILE SECONDS COMMAND...   its status; 124: killed at the "
    "limit.\n"
    "                  FILE gets `ms N` and `kib N`, its duration and peak memory\n"
    "       e2e-helper no-connect COMMAND...         connect(2) ends it with SIGSYS\n"
    "       e2e-helper listen FILE                   accepts on a port of 8000-8999, on\n"
    "                  every address; FILE gets the port, stdout a line a connection\n"
    "       e2e-helper jpeg-size <JPEG               width and height in its header\n"
    "       e2e-helper scans N <JPEG                 its last scan N times\n"
    "       e2e-helper png-size W H <PNG             another size in its header\n";

enum { SKIPPED = 77, USAGE = 2, FILE_MAX = 64 << 20 };

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- run ---- */

static int wait_for(pid_t child, int64_t limit_ms, struct rusage *used, int *status)
{
    const struct timespec tick = {0, 5000000};
    int64_t start = now_ms();
    bool late = false;

    while (wait4(child, status, WNOHANG, used) == 0) {
        if (now_ms() - start > limit_ms && !late) {
            late = true;
            (void)kill(child, SIGKILL);
        }
        (void)nanosleep(&tick, NULL);
    }
    return late                 ? 124
           : WIFEXITED(*status) ? WEXITSTATUS(*status)
                                : 128 + WTERMSIG(*status);
}

static int run(int argc, char **argv)
{
    struct rusage used = {0};
    int64_t start = now_ms();
    int status = 0, answer;
    pid_t child;
    FILE *out;

    if (argc < 3)
        return USAGE;
    child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    answer = wait_for(child, strtol(argv[1], NULL, 10) * 1000, &used, &status);
    out = fopen(argv[0], "w");
    if (!out)
        return 1;
    fprintf(out, "ms %lld\nkib %ld\n", (long long)(now_ms() - start), used.ru_maxrss);
    return fclose(out) ? 1 : answer;
}

/* ---- no-connect ---- */

static int no_connect(int argc, char **argv)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_connect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    if (argc < 1)
        return USAGE;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("seccomp");
        return SKIPPED;
    }
    execvp(argv[0], argv);
    perror(argv[0]);
    return 127;
}

/* ---- listen ---- */

/* Dual-stack where there is IPv6; -1 if the port is taken. */
static int bind_port(int port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), bad;

    if (fd >= 0) {
        bad = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) ||
              bind(fd, (struct sockaddr *)&six, sizeof six);
    } else {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bad = fd < 0 || bind(fd, (struct sockaddr *)&four, sizeof four);
    }
    if (bad || listen(fd, 64)) {
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    return fd;
}

static int listener(int argc, char **argv)
{
    int fd = -1, port = 8000 + (int)(getpid() % 1000);
    FILE *out;

    if (argc < 1 || prctl(PR_SET_PDEATHSIG, SIGKILL))
        return USAGE;
    for (int i = 0; i < 1000 && (fd = bind_port(port)) < 0; i++)
        port = port == 8999 ? 8000 : port + 1;
    out = fopen(argv[0], "w");
    if (fd < 0 || !out)
        return 1;
    fprintf(out, "%d\n", port);
    if (fclose(out))
        return 1;
    for (;;) {
        int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (got < 0 && errno != EINTR && errno != ECONNABORTED)
            return 1;
        printf("connection\n");
        (void)fflush(stdout);
        if (got >= 0)
            (void)close(got);
    }
}

/* ---- pictures ---- */

static size_t read_all(uint8_t **data)
{
    size_t n;

    *data = malloc(FILE_MAX);
    n = *data ? fread(*data, 1, FILE_MAX, stdin) : 0;
    return n;
}

/* The next marker's position from `at` on, or `size`; *length of its segment. */
static size_t next_segment(const uint8_t *d, size_t size, size_t at, size_t *length)
{
    while (at + 3 < size && (d[at] != 0xff || d[at + 1] == 0xff))
        at++;
    if (at + 3 >= size)
        return size;
    *length = d[at + 1] == 0xd8 ? 0 : (size_t)d[at + 2] << 8 | d[at + 3];
    return at;
}

static int jpeg_size(int argc, char **argv)
{
    uint8_t *d;
    size_t size = read_all(&d), at = 0, length = 0;

    (void)argc, (void)argv;
    while ((at = next_segment(d, size, at, &length)) + 9 < size) {
        uint8_t m = d[at + 1];

        if (m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc) {
            printf("%d %d\n", d[at + 7] << 8 | d[at + 8], d[at + 5] << 8 | d[at + 6]);
            free(d);
            return 0;
        }
        at += 2 + length;
    }
    free(d);
    fputs("no frame header\n", stderr);
    return 1;
}

static int scans(int argc, char **argv)
{
    uint8_t *d;
    size_t size = read_all(&d), last = 0;
    long n = argc > 0 ? strtol(argv[0], NULL, 10) : 0;

    for (size_t i = 0; i + 1 < size; i++)
        if (d[i] == 0xff && d[i + 1] == 0xda)
            last = i;
    if (!last || size < 4 || n < 1) {
        free(d);
        return USAGE;
    }
    (void)fwrite(d, 1, last, stdout);
    for (long i = 0; i < n; i++)
        (void)fwrite(d + last, 1, size - 2 - last, stdout);
    (void)fwrite(d + size - 2, 1, 2, stdout);
    free(d);
    return fflush(stdout) ? 1 : 0;
}

static void put_u32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* The CRC of PNG, bit by bit. */
static uint32_t png_crc(const uint8_t *d, size_t n)
{
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < n; i++) {
        crc ^= d[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return crc ^ 0xffffffffu;
}

static int png_size(int argc, char **argv)
{
    uint8_t *d;
    size_t size = read_all(&d);

    if (argc < 2 || size < 33) {
        free(d);
        return USAGE;
    }
    put_u32(d + 16, (uint32_t)strtoul(argv[0], NULL, 10));
    put_u32(d + 20, (uint32_t)strtoul(argv[1], NULL, 10));
    put_u32(d + 29, png_crc(d + 12, 17));
    (void)fwrite(d, 1, size, stdout);
    free(d);
    return fflush(stdout) ? 1 : 0;
}

static const struct {
    const char *name;
    int (*act)(int argc, char **argv);
} verbs[] = {
    {"run", run},         {"no-connect", no_connect},
    {"listen", listener}, {"jpeg-size", jpeg_size},
    {"scans", scans},     {"png-size", png_size},
};

int main(int argc, char **argv)
{
    int status = USAGE;

    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            status = verbs[i].act(argc - 2, argv + 2);
    if (status == USAGE && argc < 3)
        fputs(help, stderr);
    return status;
}
