/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter: a line in, a line out, in constant memory. Lines are taken in blocks, so
 * that the model has enough to do at once; from a person at a terminal, or a program that
 * waits for its answer, one at a time as they come.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/stage/model.h"
#include "stages/translate/translate.h"

enum {
    BLOCK = 1024,             /* lines */
    BLOCK_BYTES = 1 << 20,    /* or so much, whichever comes first */
    LINE_MAX_BYTES = 1 << 16, /* what is longer is translated as far as here */
    READ = 1 << 16
};

struct filter_settings {
    const char *device, *lang;
    int64_t threads, seed, n_best;
    bool quiet, flags;
};

#define AT(field) offsetof(struct filter_settings, field)
static const struct cpv_opt filter_options[] = {
    {.name = "lang",
     .kind = CPV_OPT_TEXT,
     .offset = AT(lang),
     .fallback = "",
     .arg = "LANG",
     .help = "Language of the translations, for what is flagged."},
    {.name = "device", .kind = CPV_OPT_TEXT, .offset = AT(device), .fallback = "auto"},
    {.name = "threads",
     .kind = CPV_OPT_INT,
     .offset = AT(threads),
     .fallback = "0",
     .min = 0,
     .max = 4096},
    {.name = "seed",
     .kind = CPV_OPT_INT,
     .offset = AT(seed),
     .fallback = "0",
     .min = 0,
     .max = 9007199254740992.0},
    {.name = "n-best",
     .kind = CPV_OPT_INT,
     .offset = AT(n_best),
     .fallback = "1",
     .min = 1,
     .max = CPV_BEAMS_MAX,
     .arg = "N",
     .help =
         "N translations of each line, best first, each on a line of its own: number of "
         "the line, score, text, parted by tabs."},
    {.name = "flags",
     .kind = CPV_OPT_FLAG,
     .offset = AT(flags),
     .help = "Put a tab and the words of its flags behind each translation."},
    {.name = "quiet", .kind = CPV_OPT_FLAG, .offset = AT(quiet)},
    {.kind = CPV_OPT_END},
};

struct filter {
    struct translate_settings set;
    struct filter_settings own;
    cpv_arena *mem; /* settings */
    engine *engine;
    struct cpv_buf in;  /* read and not yet translated */
    struct cpv_buf out; /* translated and not yet written */
    bool ended, closed;
    uint64_t lines, long_lines;
};

/* ---- reading ---- */

/* Offsets of up to BLOCK whole lines; the last one of the input may lack its end. */
static size_t find_lines(const struct filter *f, struct translation *t, size_t *used)
{
    size_t n = 0, at = 0;

    while (n < BLOCK && at < f->in.size) {
        const uint8_t *line = f->in.data + at;
        const uint8_t *end = memchr(line, '\n', f->in.size - at);
        size_t size = end ? (size_t)(end - line) : f->in.size - at;

        if (!end && !f->ended)
            break;
        at += size + (end ? 1 : 0);
        if (size && line[size - 1] == '\r')
            size--;
        if (size > LINE_MAX_BYTES)
            size = LINE_MAX_BYTES;
        t[n++] = (struct translation){.source = cpv_bytes_of(line, size)};
    }
    *used = at;
    return n;
}

/* Is there a block, or what there is all there will be? A line without end is dropped
 * beyond a length that no sentence has, so that memory stays constant. */
static int fill(struct filter *f, struct cpv_err *err)
{
    uint8_t *room = cpv_buf_reserve(&f->in, READ);
    ssize_t n;

    if (!room)
        return cpv_fail_memory(err);
    do
        n = read(STDIN_FILENO, room, READ);
    while (n < 0 && errno == EINTR && !cpv_stop_requested());
    if (n < 0 && !cpv_stop_requested())
        return cpv_fail_sys(err, errno, "cannot read standard input");
    if (n <= 0)
        f->ended = true;
    else
        f->in.size += (size_t)n;
    return CPV_OK;
}

static bool has_line(const struct filter *f)
{
    return f->in.size && memchr(f->in.data, '\n', f->in.size) != NULL;
}

/* Cut the inside out of a line that does not end. */
static void shorten(struct filter *f)
{
    if (!has_line(f) && f->in.size > 2 * LINE_MAX_BYTES) {
        f->in.size = LINE_MAX_BYTES + 1;
        f->long_lines++;
    }
}

/* ---- writing ---- */

/* Lines of score and text, each behind the number of the line that came in. */
static void put_several(struct filter *f, const struct translation *t, uint64_t number)
{
    const uint8_t *at = t->target.data, *end = at + t->target.size;

    while (at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);

        cpv_buf_printf(&f->out, "%llu\t", (unsigned long long)number);
        cpv_buf_add(&f->out, at, n);
        cpv_buf_byte(&f->out, '\n');
        at += n + 1;
    }
}

static void put_line(struct filter *f, const struct translation *t)
{
    size_t at = f->out.size;
    const char *between = "\t";

    cpv_buf_add(&f->out, t->target.data, t->target.size);
    for (; at < f->out.size; at++)
        if (f->out.data[at] == '\n' || f->out.data[at] == '\r')
            f->out.data[at] = ' '; /* a line is a line */
    for (int i = 0; f->own.flags && i < CPV_FLAG_COUNT; i++)
        if (t->flags >> i & 1) {
            cpv_buf_printf(&f->out, "%s%s", between, cpv_flags_word(i));
            between = " ";
        }
    cpv_buf_byte(&f->out, '\n');
}

static int flush(struct filter *f, struct cpv_err *err)
{
    int rc =
        cpv_file_put(STDOUT_FILENO, f->out.data, f->out.size, "standard output", err);

    if (rc && err->sys == EPIPE) {
        f->closed = true; /* whoever reads has enough */
        rc = CPV_OK;
    }
    cpv_buf_clear(&f->out);
    return rc;
}

/* ---- the loop ---- */

static int run_block(struct filter *f, struct translation *t, struct cpv_err *err)
{
    size_t used, n = find_lines(f, t, &used);
    int rc = n ? engine_run(f->engine, t, n, NULL, NULL, err) : CPV_OK;

    for (size_t i = 0; i < n && !rc; i++)
        if (f->own.n_best > 1)
            put_several(f, &t[i], f->lines + i + 1);
        else
            put_line(f, &t[i]);
    if (rc)
        return rc;
    f->lines += n;
    memmove(f->in.data, f->in.data + used, f->in.size - used);
    f->in.size -= used;
    return f->out.failed ? cpv_fail_memory(err) : flush(f, err);
}

static int run(struct filter *f, struct cpv_err *err)
{
    struct translation *t = cpv_calloc(BLOCK, sizeof *t);
    int rc = t ? CPV_OK : cpv_fail_memory(err);

    while (!rc && !f->closed && !cpv_stop_requested() && (!f->ended || f->in.size)) {
        /* What a pipe holds arrives in one piece; wait for no more than a line. */
        while (!rc && !f->ended && !has_line(f)) {
            rc = fill(f, err);
            shorten(f);
        }
        if (!rc)
            rc = run_block(f, t, err);
    }
    cpv_free(t);
    if (!rc && cpv_stop_requested())
        rc = cpv_fail(err, CPV_E_STOPPED, "stopped after %llu lines",
                      (unsigned long long)f->lines);
    return rc;
}

static int open_filter(struct filter *f, struct cpv_err *err)
{
    struct engine_params p = {.set = &f->set,
                              .device = f->own.device,
                              .lang = f->own.lang,
                              .threads =
                                  f->own.threads ? (int)f->own.threads : cpv_processors(),
                              .seed = f->own.seed,
                              .n_best = (int)f->own.n_best};
    int rc = cpv_model_folder(f->set.model, f->mem, &p.model, err);

    return rc ? rc : engine_open(&f->engine, &p, err);
}

int translate_filter(int argc, char **argv)
{
    struct filter f = {0};
    const struct cpv_opt_group groups[] = {
        {"Translation", NULL, translate_options, &f.set},
        {"Filter", NULL, filter_options, &f.own}};
    const struct cpv_program program = {.name = "capivara-translate",
                                        .version = CPV_VERSION,
                                        .usage = "--model FOLDER < LINES",
                                        .groups = groups,
                                        .n_groups = CPV_COUNT(groups)};
    struct cpv_err err = {0};
    struct cpv_cli cli;
    int rc = cpv_arena_open(&f.mem, 0, &err);

    (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    if (!rc)
        rc = cpv_opts_defaults(&program, f.mem, &err);
    if (!rc)
        rc = cpv_cli_parse(&program, argc, argv, f.mem, &cli, &err);
    if (!rc)
        rc = cpv_cli_apply(&cli, f.mem, &err);
    if (!rc && cli.n_rest)
        rc = cpv_fail(&err, CPV_E_USAGE, "unexpected '%s'; see --help", cli.rest[0]);
    if (!rc)
        rc = cpv_stop_install(&err);
    if (!rc)
        rc = open_filter(&f, &err);
    if (!rc)
        rc = run(&f, &err);
    if (rc)
        fprintf(stderr, "capivara-translate: error: %s\n", err.text);
    engine_close(&f.engine);
    cpv_buf_release(&f.in);
    cpv_buf_release(&f.out);
    cpv_arena_close(&f.mem);
    return cpv_exit_status(rc);
}
