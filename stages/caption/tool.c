/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program on files: their captions on standard output, in the order of the command
 * line, as they are done. A file that cannot be read is said and passed over.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/format/json.h"
#include "common/stage/model.h"
#include "stages/caption/caption.h"

enum {
    FILE_MAX = 1 << 30,
    READ = 1 << 16,
    AHEAD = 4, /* rooms of the engine that pictures may be ahead of the one to be shown */
    FEW = 8,   /* files for which a thread need not be ready for more */
    TICK_MS = 100
};

struct tool_settings {
    const char *device;
    int64_t threads, seed;
    bool json, int8;
};

#define AT(field) offsetof(struct tool_settings, field)
static const struct cpv_opt tool_options[] = {
    {.name = "json",
     .kind = CPV_OPT_FLAG,
     .offset = AT(json),
     .help = "A line of JSON for each file: file and generated-captions-en, or error."},
    {.name = "int8",
     .kind = CPV_OPT_FLAG,
     .offset = AT(int8),
     .help = "Short for --weights int8."},
    {.name = "device",
     .kind = CPV_OPT_TEXT,
     .offset = AT(device),
     .fallback = "auto",
     .arg = "auto|cpu|cuda[:N]",
     .help = "Where the model runs."},
    {.name = "threads",
     .kind = CPV_OPT_INT,
     .offset = AT(threads),
     .fallback = "0",
     .min = 0,
     .max = 4096,
     .help = "Threads; 0: one for each processor, but not more than files."},
    {.name = "seed",
     .kind = CPV_OPT_INT,
     .offset = AT(seed),
     .fallback = "0",
     .min = 0,
     .max = 9007199254740992.0,
     .help = "With sample: another seed, other captions; of one image always the same."},
    {.kind = CPV_OPT_END},
};

struct tool {
    struct caption_settings set;
    struct tool_settings own;
    cpv_arena *mem;
    engine *engine;
    const char *const *names;
    size_t n, fed, shown, in_work;
    struct picture **back; /* [n]: done, and not yet shown */
    struct cpv_buf out;
    size_t unreadable;
    bool closed; /* whoever reads has enough */
};

/* ---- files in ---- */

static int read_stdin(struct cpv_buf *out, struct cpv_err *err)
{
    for (;;) {
        uint8_t *room = cpv_buf_reserve(out, READ);
        ssize_t n;

        if (!room)
            return cpv_fail_memory(err);
        do
            n = read(STDIN_FILENO, room, READ);
        while (n < 0 && errno == EINTR && !cpv_stop_requested());
        if (n < 0)
            return cpv_fail_sys(err, errno, "cannot read standard input");
        if (n == 0)
            return CPV_OK;
        out->size += (size_t)n;
        if (out->size > FILE_MAX)
            return cpv_fail(err, CPV_E_INPUT, "standard input: more than 1 GiB");
    }
}

/* A picture with the file's bytes, or with what is wrong. */
static int read_file(struct tool *t, size_t i, struct picture **out, struct cpv_err *err)
{
    struct picture *p = *out = cpv_calloc(1, sizeof *p);
    struct cpv_err why = {0};
    int rc;

    if (!p)
        return cpv_fail_memory(err);
    rc = strcmp(t->names[i], "-") == 0
             ? read_stdin(&p->file, &why)
             : cpv_file_read(t->names[i], FILE_MAX, &p->file, &why);
    if (rc == CPV_E_MEMORY) {
        *err = why;
        return rc;
    }
    if (rc) {
        p->status = "unreadable";
        (void)snprintf(p->detail, sizeof p->detail, "%s", why.text);
    }
    p->index = (uint32_t)i;
    p->number = cpv_xxh64(p->file.data, p->file.size, 0);
    return CPV_OK;
}

/* ---- captions out ---- */

static void put_json(struct tool *t, const char *name, const struct answer *a,
                     const char *error)
{
    struct cpv_json j;

    cpv_json_init(&j, &t->out);
    cpv_json_begin_object(&j);
    cpv_json_key(&j, "file");
    cpv_json_string(&j, name);
    if (error) {
        cpv_json_key(&j, "error");
        cpv_json_string(&j, error);
    } else {
        cpv_json_key(&j, "generated-captions-en");
        answer_put_texts(a, &j);
    }
    cpv_json_end_object(&j);
    cpv_buf_byte(&t->out, '\n');
}

static void put_text(struct tool *t, const char *name, const struct answer *a)
{
    cpv_buf_printf(&t->out, "%s\n", name);
    for (uint32_t i = 0; i < a->n; i++) {
        size_t at = t->out.size;

        cpv_buf_add(&t->out, a->captions[i].text.data, a->captions[i].text.size);
        for (; at < t->out.size; at++)
            if (t->out.data[at] == '\n' || t->out.data[at] == '\r')
                t->out.data[at] = ' '; /* a line is a line */
        cpv_buf_byte(&t->out, '\n');
    }
}

static int show(struct tool *t, const struct picture *p, struct cpv_err *err)
{
    const char *name = t->names[p->index];
    struct answer a = picture_answer(p);
    struct cpv_err why = {0};
    int rc;

    if (a.status && strcmp(a.status, "unreadable") == 0)
        (void)cpv_fail(&why, CPV_E_INPUT, "%s", a.detail);
    else if (a.status)
        (void)cpv_fail(&why, CPV_E_INPUT, "'%s': no image that can be described: %s%s%s",
                       name, a.status, *a.detail ? ", " : "", a.detail);
    if (why.code) {
        t->unreadable++;
        fprintf(stderr, "capivara-caption: error: %s\n", why.text);
    }
    if (t->own.json)
        put_json(t, name, &a, why.code ? why.text : NULL);
    else if (!why.code)
        put_text(t, name, &a);
    if (t->out.failed)
        return cpv_fail_memory(err);
    rc = cpv_file_put(STDOUT_FILENO, t->out.data, t->out.size, "standard output", err);
    if (rc && err->sys == EPIPE) {
        t->closed = true;
        rc = CPV_OK;
    }
    cpv_buf_clear(&t->out);
    return rc;
}

static int show_what_is_due(struct tool *t, struct cpv_err *err)
{
    int rc = CPV_OK;

    while (!rc && !t->closed && t->shown < t->n && t->back[t->shown]) {
        rc = show(t, t->back[t->shown], err);
        picture_free(&t->back[t->shown++]);
    }
    return rc;
}

/* ---- the loop ---- */

static int feed(struct tool *t, struct cpv_err *err)
{
    size_t room = (size_t)engine_room(t->engine);
    int rc = CPV_OK;

    while (!rc && t->fed < t->n && t->in_work < room &&
           t->fed - t->shown < AHEAD * room) {
        struct picture *p;

        rc = read_file(t, t->fed, &p, err);
        if (!rc)
            rc = engine_put(t->engine, p, err);
        else
            picture_free(&p);
        t->fed++;
        t->in_work++;
    }
    return rc;
}

static int run(struct tool *t, struct cpv_err *err)
{
    int rc = CPV_OK;

    engine_expect(t->engine, (int64_t)t->n);
    while (!rc && t->shown < t->n && !t->closed) {
        struct picture *p = NULL;

        rc = feed(t, err);
        if (!rc)
            rc = engine_take(t->engine, &p, TICK_MS, err);
        if (rc == 1) {
            t->in_work--;
            t->back[p->index] = p;
            rc = show_what_is_due(t, err);
        }
    }
    return rc;
}

static int open_tool(struct tool *t, const struct cpv_cli *cli, struct cpv_err *err)
{
    struct engine_params p = {
        .set = &t->set, .device = t->own.device, .seed = t->own.seed};
    int rc = cpv_model_folder(t->set.model, t->mem, &p.model, err);

    if (rc)
        return rc;
    if (cli->n_rest == 0)
        return cpv_fail(err, CPV_E_USAGE, "which images? Files, or - for standard input");
    t->names = cli->rest;
    t->n = cli->n_rest;
    t->back = cpv_arena_calloc(t->mem, t->n, sizeof(struct picture *));
    if (!t->back)
        return cpv_fail_memory(err);
    if (t->own.int8)
        t->set.weights = CPV_WEIGHTS_INT8;
    p.threads = t->own.threads ? (int)t->own.threads : cpv_processors();
    if ((size_t)p.threads > t->n)
        p.threads = (int)t->n;
    /* No memory for more images than there are. */
    if (!t->set.images && t->n < FEW)
        t->set.images = engine_share((int64_t)t->n, p.threads);
    return engine_open(&t->engine, &p, err);
}

static void release(struct tool *t)
{
    for (size_t i = 0; t->back && i < t->n; i++)
        picture_free(&t->back[i]);
    engine_close(&t->engine);
    cpv_buf_release(&t->out);
    cpv_arena_close(&t->mem);
}

int caption_tool(int argc, char **argv)
{
    struct tool t = {0};
    const struct cpv_opt_group groups[] = {{"Captions", NULL, caption_options, &t.set},
                                           {"Files", NULL, tool_options, &t.own}};
    const struct cpv_program program = {
        .name = "capivara-caption",
        .version = CPV_VERSION,
        .summary = "captions of image files, by a BLIP model",
        .usage = "--model FOLDER [--prompt TEXT]... IMAGE...",
        .description = "Prints the name of each file and its captions, one for each "
                       "prompt. The name - is standard input. Files that are no images "
                       "are said and passed over; the exit status is then 65.",
        .groups = groups,
        .n_groups = CPV_COUNT(groups)};
    struct cpv_err err = {0};
    struct cpv_cli cli = {0};
    int rc = cpv_arena_open(&t.mem, 0, &err);

    (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    if (!rc)
        rc = cpv_opts_defaults(&program, t.mem, &err);
    if (!rc)
        rc = cpv_cli_parse(&program, argc, argv, t.mem, &cli, &err);
    if (!rc && cli.ask != CPV_ASK_NOTHING) {
        rc = cpv_program_print(&program, cli.ask);
        release(&t);
        return rc;
    }
    if (!rc)
        rc = cpv_cli_apply(&cli, t.mem, &err);
    if (!rc)
        rc = cpv_stop_install(&err);
    if (!rc)
        rc = open_tool(&t, &cli, &err);
    if (!rc)
        rc = run(&t, &err);
    if (rc)
        fprintf(stderr, "capivara-caption: error: %s\n", err.text);
    else if (t.unreadable)
        rc = CPV_E_INPUT;
    release(&t);
    return cpv_exit_status(rc);
}
