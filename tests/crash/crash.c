/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof that a run may be cut off anywhere: a stage is run on a tiny corpus again
 * and again, each time with a fault at the next file call or allocation, until a run
 * goes by without reaching one. After each fault
 *
 *   - nothing that was there is lost, and what stands under a final name is right;
 *   - an error was one line and a documented status, never a signal or a hang;
 *   - a clean run then gives the tree of an undisturbed one, byte for byte, and leaves
 *     no temporary file or journal behind.
 *
 * The stage's own main is linked in under another name, with the fault table of
 * sys_fault.c, and run in a child: starting a program would take longer than the run.
 *
 * usage: crash-STAGE SCENARIO PROGRAMS IMAGES [SERVER [MODEL]]
 *
 * PROGRAMS is the folder of the programs, for what leads up to it; IMAGES one with three
 * small images and a broken one,
 * SERVER the program of the test server, MODEL the folder of a BLIP.
 * CAPIVARA_CRASH_ONLY=KIND[:K] tries only that, CAPIVARA_CRASH_STRIDE=N every N-th point;
 * CAPIVARA_CRASH_VERBOSE=1 shows every answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/sys_fault.h"
#include "tests/crash/tree.h"

int stage_main(int argc, char **argv); /* main() of the stage, renamed by the build */

enum { ARGS_MAX = 24, HANG_S = 30 };

/* ---- what is tried ---- */

/* Words that start with @ stand for a path of this run: see expand. */
struct scenario {
    const char *name;
    const char *before[4]; /* clean runs that lead up to it, one string each */
    const char *run;       /* the one that faults strike */
    const char *done; /* if this file is there, the clean run is `again`, not `run` */
    const char *again;
    bool server, model;
};

#define FETCH                                                                            \
    "fetch --corpus @corpus --threads 1 --min-free 0 --quiet --image-size 32 "           \
    "--resolver-threads 1 --connections 4 "
#define SHARD "shard --corpus @corpus --threads 1 --min-free 0 --quiet --name train "
#define CAPTION                                                                          \
    "caption --corpus @corpus --threads 1 --min-free 0 --quiet --model @model "          \
    "--max-new-tokens 3 --images 1 --prompt the --prompt a"
#define FOLDER "--input @images "
#define LIST   "--input @list --allow-private --retries 0 --per-host-rate 0 "

static const struct scenario SCENARIOS[] = {
    {.name = "fetch", .run = FETCH FOLDER "--rows-per-part 4"},
    {.name = "parts", .run = FETCH FOLDER "--rows-per-part 2 "},
    {.name = "urls", .run = FETCH LIST, .server = true},
    {.name = "tars",
     .before = {FETCH FOLDER, SHARD},
     .run = "fetch --corpus @corpus/second --threads 1 --min-free 0 --quiet "
            "--image-size 16 --input @tars --input-format webdataset"},
    {.name = "redo",
     .before = {FETCH FOLDER},
     .run = FETCH FOLDER "--image-size 16 --redo"},
    /* With a failure in it, which is what can be asked for again. */
    {.name = "refetch",
     .before = {FETCH FOLDER},
     .run = FETCH FOLDER "--refetch all",
     .done = "fetch/00000.r1.json",
     .again = FETCH FOLDER},
    {.name = "caption", .before = {FETCH FOLDER}, .run = CAPTION, .model = true},
    {.name = "shard", .before = {FETCH FOLDER}, .run = SHARD "--samples-per-shard 2"},
    {.name = "repack",
     .before = {FETCH FOLDER, SHARD, FETCH FOLDER "--image-size 16 --redo"},
     .run = SHARD},
};

/*
 * What a fault does. One that lasts from its moment on meets the same first call as one
 * that does not, so every few moments are enough.
 */
struct kind {
    const char *name;
    cpv_fault_kind kind;
    bool once;
    bool file_call; /* counted in file calls; else in allocations */
    unsigned step;
};

static const struct kind KINDS[] = {
    {"kill", CPV_FAULT_KILL, true, true, 1},
    {"EIO", CPV_FAULT_EIO, true, true, 1},
    {"ENOSPC", CPV_FAULT_ENOSPC, true, true, 1},
    {"full", CPV_FAULT_ENOSPC, false, true, 3},
    {"short", CPV_FAULT_SHORT, true, true, 1},
    {"shorts", CPV_FAULT_SHORT, false, true, 50},
    {"alloc", CPV_FAULT_ALLOC, true, false, 1},
    {"no memory", CPV_FAULT_ALLOC, false, false, 5},
};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

/* ---- one test ---- */

/* What the child says when it ends by itself. */
struct counts {
    bool ended;
    unsigned long calls, allocs;
    char hit[32]; /* the call that was struck, "-" for none */
};

struct test {
    const struct scenario *scenario;
    const char *programs, *images, *model;
    char scratch[PATH_MAX / 4];
    char corpus[PATH_MAX / 2], start[PATH_MAX / 2], errors[PATH_MAX / 2];
    char list[PATH_MAX / 2], tars[PATH_MAX / 2];
    struct counts *counts; /* shared with the child */
    pid_t server;
    struct tree before, should;
    unsigned long faults[N_KINDS], failed, runs;
};

/* How a run ended. */
struct outcome {
    int status; /* exit status, 128 + signal, or -1: it did not end */
    struct counts counts;
    char errors[2048];
};

static void say_path(char out[PATH_MAX / 2], const struct test *t, const char *name)
{
    if (snprintf(out, PATH_MAX / 2, "%s/%s", t->scratch, name) >= PATH_MAX / 2)
        tree_fail("name", name);
}

/* ---- running ---- */

static char *expand(const struct test *t, char *word, char room[PATH_MAX])
{
    const struct {
        const char *name, *value;
    } names[] = {{"@corpus", t->corpus},
                 {"@images", t->images},
                 {"@model", t->model},
                 {"@list", t->list},
                 {"@tars", t->tars}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i].name);

        if (strncmp(word, names[i].name, n) == 0) {
            (void)snprintf(room, PATH_MAX, "%s%s", names[i].value, word + n);
            return room;
        }
    }
    return word;
}

/* In the child: "fetch --corpus @corpus ..." as that program, or as the one linked in. */
static void become(struct test *t, const char *line, const struct kind *kind,
                   unsigned long at)
{
    static char paths[ARGS_MAX][PATH_MAX];
    char program[PATH_MAX], copy[1024], *rest = copy;
    char *argv[ARGS_MAX + 1] = {program};
    const char *hit;
    int n = 1, status, fd = open(t->errors, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    (void)snprintf(copy, sizeof copy, "%s", line);
    (void)snprintf(program, sizeof program, "%s/capivara-%s", t->programs,
                   strsep(&rest, " "));
    for (char *word; n < ARGS_MAX && (word = strsep(&rest, " "));)
        if (*word) {
            argv[n] = expand(t, word, paths[n]);
            n++;
        }
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(99);
    close(fd);
    if (line != t->scenario->run && line != t->scenario->again) {
        execv(program, argv);
        _exit(99);
    }
    cpv_fault_arm(at, kind ? kind->kind : CPV_FAULT_NONE, !kind || kind->once);
    status = stage_main(n, argv);
    hit = cpv_fault_hit();
    t->counts->calls = cpv_fault_calls();
    t->counts->allocs = cpv_fault_allocs();
    (void)snprintf(t->counts->hit, sizeof t->counts->hit, "%s", hit ? hit : "-");
    t->counts->ended = true;
    exit(status); /* not _exit: a leak sanitizer looks around now */
}

static int wait_for(pid_t pid)
{
    struct timespec limit = {.tv_sec = HANG_S};
    sigset_t child;
    int status;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (sigtimedwait(&child, NULL, &limit) < 0 && errno == EAGAIN) {
            (void)kill(pid, SIGABRT); /* it hangs: with a core, if that is allowed */
            (void)waitpid(pid, &status, 0);
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void read_text(const char *path, char *to, size_t room)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(to, 1, room - 1, f) : 0;

    to[n] = '\0';
    if (f)
        (void)fclose(f);
}

static struct outcome run(struct test *t, const char *line, const struct kind *kind,
                          unsigned long at)
{
    struct outcome o = {0};
    pid_t pid;

    *t->counts = (struct counts){.hit = "-"};
    t->runs++;
    (void)fflush(stdout);
    pid = fork();
    if (pid < 0)
        tree_fail("start", line);
    if (pid == 0) {
        sigset_t child;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        (void)sigprocmask(SIG_UNBLOCK, &child, NULL);
        become(t, line, kind, at);
    }
    o.status = wait_for(pid);
    o.counts = *t->counts;
    read_text(t->errors, o.errors, sizeof o.errors);
    return o;
}

/* ---- judging ---- */

/* Exactly one line is the error; before it there may be warnings. */
static bool is_one_line(const char *text)
{
    int errors = 0, others = 0;

    while (*text) {
        size_t n = strcspn(text, "\n");
        char line[1024];

        (void)snprintf(line, sizeof line, "%.*s", (int)n, text);
        errors += strstr(line, ": error: ") != NULL;
        others += !strstr(line, ": error: ") && !strstr(line, ": warning: ");
        text += n + (text[n] == '\n');
    }
    return errors == 1 && others == 0;
}

static void complain(struct test *t, const struct kind *kind, unsigned long at,
                     const struct outcome *o, const char *what)
{
    t->failed++;
    printf("FAILED  %s, %s at %lu (%s): %s\n        status %d, stderr: %s%s",
           t->scenario->name, kind->name, at, o->counts.hit, what, o->status,
           *o->errors ? o->errors : "nothing",
           *o->errors && o->errors[strlen(o->errors) - 1] == '\n' ? "" : "\n");
}

/* Of the run with the fault: did it say what it must? NULL: yes. */
static const char *judge(const struct kind *kind, const struct outcome *o)
{
    if (o->status == -1)
        return "it hangs";
    if (kind->kind == CPV_FAULT_KILL)
        return o->status == 128 + SIGKILL ? NULL : "it was to be killed";
    if (o->status >= 128)
        return "it died of a signal";
    if (kind->kind == CPV_FAULT_SHORT)
        return o->status == 0 ? NULL : "a short write or read is no reason to fail";
    if (o->status == 0)
        return NULL;
    if (o->status != 74 && o->status != 75)
        return "not the exit status of trouble with files or memory";
    return is_one_line(o->errors) ? NULL : "an error is one line";
}

/* After the fault: what is on the disk must be right, then a clean run complete it. */
static const char *judge_tree(struct test *t, const struct outcome *o, char *why,
                              size_t room)
{
    struct tree is = tree_read(t->corpus);
    bool fine = tree_nothing_lost(&is, &t->before, &t->should, why, room);
    bool equal = fine && tree_equal(&is, &t->should, why, room);

    tree_free(&is);
    if (!fine || (equal && o->status == 0))
        return fine ? NULL : why;
    return "";
}

static const char *judge_again(struct test *t, struct outcome *o, char *why, size_t room)
{
    const struct scenario *s = t->scenario;
    char path[PATH_MAX];
    struct tree is;
    bool equal;

    (void)snprintf(path, sizeof path, "%s/%s", t->corpus, s->done ? s->done : "-");
    *o = run(t, access(path, F_OK) == 0 ? s->again : s->run, NULL, 0);
    if (o->status != 0)
        return "the clean run afterwards failed";
    if (*o->errors)
        return "the clean run afterwards had something to say";
    is = tree_read(t->corpus);
    equal = tree_equal(&is, &t->should, why, room);
    tree_free(&is);
    return equal ? NULL : why;
}

static void begin_anew(struct test *t)
{
    tree_remove(t->corpus);
    tree_copy(t->start, t->corpus);
}

/* 1: a fault struck; 0: it did not, there may be more; -1: the run has fewer calls. */
static int try_fault(struct test *t, const struct kind *kind, unsigned long at)
{
    struct outcome o;
    char why[PATH_MAX] = "";
    const char *wrong;

    begin_anew(t);
    o = run(t, t->scenario->run, kind, at);
    if (o.counts.ended && strcmp(o.counts.hit, "-") == 0) {
        if (o.status != 0)
            complain(t, kind, at, &o, "it failed without a fault");
        return (kind->file_call ? o.counts.calls : o.counts.allocs) < at ? -1 : 0;
    }
    if (getenv("CAPIVARA_CRASH_VERBOSE"))
        printf("%s at %lu (%s): status %d\n%s", kind->name, at, o.counts.hit, o.status,
               o.errors);
    wrong = judge(kind, &o);
    if (!wrong)
        wrong = judge_tree(t, &o, why, sizeof why);
    if (wrong && !*wrong)
        wrong = judge_again(t, &o, why, sizeof why);
    if (wrong)
        complain(t, kind, at, &o, wrong);
    return 1;
}

/* ---- all of it ---- */

static void try_kind(struct test *t, size_t i, unsigned long calls, unsigned long allocs)
{
    const char *only = getenv("CAPIVARA_CRASH_ONLY"),
               *stride = getenv("CAPIVARA_CRASH_STRIDE");
    unsigned long step = stride ? strtoul(stride, NULL, 10) : KINDS[i].step, at = 1;
    unsigned long base = KINDS[i].file_call ? calls : allocs;
    size_t n = strlen(KINDS[i].name);

    if (only && strncmp(only, KINDS[i].name, n) == 0 && only[n] == ':') {
        t->faults[i] += try_fault(t, &KINDS[i], strtoul(only + n + 1, NULL, 10)) == 1;
        return;
    }
    if (only && strcmp(only, KINDS[i].name) != 0)
        return;
    for (int got = 0; got >= 0 && t->failed < 20; at += step ? step : 1) {
        got = try_fault(t, &KINDS[i], at);
        t->faults[i] += got == 1;
    }
    /* Threads may take a call more or less, but a fault that is never reached proves
     * nothing: short reads and writes are some of the calls, all others are all. */
    if (!only && !stride && t->failed < 20 &&
        t->faults[i] < (KINDS[i].kind == CPV_FAULT_SHORT ? 2 : base * 9 / 10 / step)) {
        printf("FAILED  %s, %s: only %lu faults were reached, of %lu calls\n",
               t->scenario->name, KINDS[i].name, t->faults[i], base);
        t->failed++;
    }
}

static void must_run(struct test *t, const char *line, struct outcome *o)
{
    *o = run(t, line, NULL, 0);
    if (o->status != 0 || *o->errors) {
        printf("FAILED  %s: an undisturbed run: status %d\n%s", t->scenario->name,
               o->status, o->errors);
        exit(1);
    }
}

/* The corpus before, and the one that an undisturbed run makes of it. */
static void prepare(struct test *t, struct outcome *o)
{
    for (int i = 0; i < 4 && t->scenario->before[i]; i++)
        must_run(t, t->scenario->before[i], o);
    if (strcmp(t->scenario->name, "tars") == 0) {
        char packed[PATH_MAX];

        /* The packed set becomes somebody else's tars, the corpus goes. */
        (void)snprintf(packed, sizeof packed, "%s/shards/train", t->corpus);
        if (rename(packed, t->tars) < 0)
            tree_fail("move", packed);
        tree_remove(t->corpus);
    }
    if (access(t->corpus, F_OK) < 0 && mkdir(t->corpus, 0777) < 0)
        tree_fail("make", t->corpus);
    tree_copy(t->corpus, t->start);
    t->before = tree_read(t->corpus);
    must_run(t, t->scenario->run, o);
    t->should = tree_read(t->corpus);
    if (t->should.n <= t->before.n) {
        printf("FAILED  %s: an undisturbed run did nothing\n", t->scenario->name);
        exit(1);
    }
}

static void start_server(struct test *t, const char *server)
{
    static const char *const names[] = {"a.jpg", "b.png", "c.webp", "d.jpg"};
    char file[PATH_MAX], port[16] = "";
    FILE *list;

    (void)snprintf(file, sizeof file, "%s/port", t->scratch);
    t->server = fork();
    if (t->server == 0) {
        (void)freopen("/dev/null", "w", stdout);
        execl(server, server, "--root", t->images, "--port-file", file,
              "--die-with-parent", (char *)NULL);
        _exit(99);
    }
    for (int i = 0; i < 1000 && !*port; i++) {
        (void)usleep(5000);
        read_text(file, port, sizeof port);
    }
    list = fopen(t->list, "w");
    if (!*port || !list)
        tree_fail("start", server);
    port[strcspn(port, "\n")] = '\0';
    (void)fprintf(list, "url\tcaption\n");
    for (int i = 0; i < 4; i++)
        (void)fprintf(list, "http://127.0.0.1:%s/%s\tnumber %d\n", port, names[i], i);
    if (fclose(list) != 0)
        tree_fail("write", t->list);
}

static void make_scratch(struct test *t)
{
    const char *base = getenv("CAPIVARA_SCRATCH"), *tmp = getenv("TMPDIR");

    if (!base) /* in memory, where fsync costs nothing */
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : tmp ? tmp : "/tmp";
    (void)snprintf(t->scratch, sizeof t->scratch, "%s/capivara-crash-%s-XXXXXX", base,
                   t->scenario->name);
    if (!mkdtemp(t->scratch))
        tree_fail("make", t->scratch);
    say_path(t->corpus, t, "corpus");
    say_path(t->start, t, "start");
    say_path(t->errors, t, "errors");
    say_path(t->list, t, "list.tsv");
    say_path(t->tars, t, "tars");
}

static int report(struct test *t)
{
    unsigned long sum = 0;

    printf("%s:", t->scenario->name);
    for (size_t i = 0; i < N_KINDS; i++) {
        printf(" %s %lu,", KINDS[i].name, t->faults[i]);
        sum += t->faults[i];
    }
    printf(" together %lu faults in %lu runs; %lu failed\n", sum, t->runs, t->failed);
    if (t->failed || sum == 0) {
        printf("left to look at: %s\n", t->scratch);
        return 1;
    }
    tree_remove(t->scratch);
    return 0;
}

int main(int argc, char **argv)
{
    static struct test t;
    struct outcome clean;
    sigset_t child;

    for (size_t i = 0; argc >= 4 && i < sizeof SCENARIOS / sizeof *SCENARIOS; i++)
        if (strcmp(argv[1], SCENARIOS[i].name) == 0)
            t.scenario = &SCENARIOS[i];
    if (!t.scenario || (t.scenario->server && argc < 5) ||
        (t.scenario->model && argc < 6)) {
        fprintf(stderr, "usage: crash-STAGE SCENARIO PROGRAMS IMAGES [SERVER [MODEL]]\n");
        return 2;
    }
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    t.programs = argv[2];
    t.images = argv[3];
    t.model = argc > 5 ? argv[5] : "";
    t.counts = mmap(NULL, sizeof *t.counts, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t.counts == MAP_FAILED)
        tree_fail("share", "memory");
    make_scratch(&t);
    if (t.scenario->server)
        start_server(&t, argv[4]);
    prepare(&t, &clean);
    for (size_t i = 0; i < N_KINDS; i++)
        try_kind(&t, i, clean.counts.calls, clean.counts.allocs);
    if (t.server > 0)
        (void)kill(t.server, SIGTERM);
    return report(&t);
}
