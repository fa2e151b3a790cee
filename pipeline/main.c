/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: `capivara COMMAND ...`, and `capivara STAGE ...`, which becomes
 * capivara-STAGE, as git does; so do the programs that are no stages. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/base/stop.h"
#include "pipeline/command.h"
#include "pipeline/spawn.h"
#include "pipeline/stages.h"

static const struct cpv_opt NONE[] = {{.kind = CPV_OPT_END}};

/* ---- output ---- */

static int print_text(struct cpv_buf *text)
{
    bool bad = text->failed || fwrite(text->data, 1, text->size, stdout) != text->size ||
               fflush(stdout) != 0;

    cpv_buf_release(text);
    return bad ? 74 : 0;
}

static int print_error(const char *name, const struct cpv_err *err)
{
    fprintf(stderr, "%s: error: %s\n", name, err->text);
    return cpv_exit_status(err->code);
}

/* ---- one command ---- */

struct session {
    const struct cpv_command *command;
    struct cpv_common common;
    struct cpv_opt_group groups[2];
    struct cpv_program program;
    struct cpv_cli cli;
    struct cpv_call call;
};

static int describe(struct session *s, struct cpv_err *err)
{
    const struct cpv_command *c = s->command;
    void *options =
        cpv_arena_calloc(s->call.mem, 1, c->options_size ? c->options_size : 1);

    s->program.name = cpv_arena_printf(s->call.mem, "capivara %s", c->name);
    if (!options || !s->program.name)
        return cpv_fail_memory(err);
    s->groups[0] =
        (struct cpv_opt_group){"Options", NULL, c->options ? c->options : NONE, options};
    s->groups[1] =
        (struct cpv_opt_group){"Every command", NULL, cpv_common_options, &s->common};
    s->program.version = CPV_VERSION;
    s->program.summary = c->summary;
    s->program.usage = c->usage;
    s->program.description = c->description;
    s->program.groups = s->groups;
    s->program.n_groups = CPV_COUNT(s->groups);
    s->call.options = options;
    s->call.cli = &s->cli;
    return CPV_OK;
}

static int check_operands(const struct session *s, struct cpv_err *err)
{
    const struct cpv_command *c = s->command;

    if (s->cli.n_rest < c->least)
        return cpv_fail(err, CPV_E_USAGE, "usage: %s %s; see --help", s->program.name,
                        c->usage);
    if (s->cli.n_rest > c->most)
        return cpv_fail(err, CPV_E_USAGE, "unexpected '%s'; see --help",
                        s->cli.rest[c->most]);
    return CPV_OK;
}

/* `capivara cat ... | head` ends in silence. */
static void allow_broken_pipe(void)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};

    (void)sigaction(SIGPIPE, &usual, NULL);
}

static int prepare(struct session *s, struct cpv_err *err)
{
    cpv_log_level level;
    int rc = check_operands(s, err);

    if (!rc)
        rc = cpv_opts_defaults(&s->program, s->call.mem, err);
    if (!rc)
        rc = cpv_cli_apply(&s->cli, s->call.mem, err);
    if (!rc)
        rc = cpv_stop_install(err);
    allow_broken_pipe();
    level = s->common.quiet     ? CPV_LOG_WARNING
            : s->common.verbose ? CPV_LOG_DEBUG
                                : CPV_LOG_INFO;
    s->call.quiet = s->common.quiet;
    s->call.verbose = s->common.verbose;
    s->call.names = s->cli.rest;
    s->call.n_names = s->cli.n_rest;
    if (!rc)
        rc = cpv_log_open(&s->call.log, s->program.name, level, STDERR_FILENO, err);
    return rc;
}

static int run_command(const struct cpv_command *command, int argc, char **argv)
{
    struct session s = {.command = command};
    struct cpv_err err = {0};
    int rc = cpv_arena_open(&s.call.mem, 0, &err), status = 0;

    if (!rc)
        rc = describe(&s, &err);
    if (!rc)
        rc = cpv_cli_parse(&s.program, argc, argv, s.call.mem, &s.cli, &err);
    if (!rc && s.cli.ask != CPV_ASK_NOTHING) {
        struct cpv_buf text = {0};

        /* bash completes by the first word, so there is one script for all commands. */
        if (s.cli.ask == CPV_ASK_COMPLETION)
            cpv_driver_answer(NULL, s.cli.ask, &text);
        else
            cpv_program_answer(&s.program, s.cli.ask, &text);
        status = print_text(&text);
    } else {
        if (!rc)
            rc = prepare(&s, &err);
        if (!rc)
            rc = command->run(&s.call, &err);
        if (fflush(stdout) != 0 && !rc)
            rc = cpv_fail(&err, CPV_E_IO, "cannot write to standard output");
        if (rc)
            status = print_error(s.program.name ? s.program.name : "capivara", &err);
        if (s.call.status)
            status = s.call.status;
    }
    cpv_log_close(&s.call.log);
    cpv_arena_close(&s.call.mem);
    return status;
}

/* ---- which command ---- */

static const struct cpv_command *find_command(const char *name)
{
    for (const struct cpv_command *const *c = cpv_commands(); *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

static const char *nearest(const char *word)
{
    const char *words[64];
    size_t n = 0;

    for (const struct cpv_command *const *c = cpv_commands(); *c; c++)
        words[n++] = (*c)->name;
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s = cpv_stage_after(s))
        words[n++] = s->name;
    for (const struct cpv_tool_entry *t = cpv_tools; t->name; t++)
        words[n++] = t->name;
    words[n] = NULL;
    return cpv_opts_nearest_word(word, words);
}

static int become(const char *program, char **argv)
{
    struct cpv_err err = {0};
    cpv_arena *mem = NULL;
    char *path = NULL;

    if (cpv_arena_open(&mem, 0, &err) == CPV_OK) {
        path = cpv_program_find(program, mem);
        if (!path)
            (void)cpv_fail(&err, CPV_E_ABSENT,
                           "'%s' is neither beside this program nor on the PATH",
                           program);
    }
    if (path)
        (void)cpv_program_become(path, argv, &err);
    cpv_arena_close(&mem);
    return print_error("capivara", &err);
}

static int dispatch(int argc, char **argv)
{
    const struct cpv_command *command = find_command(argv[0]);
    const char *near;
    struct cpv_err err = {0};

    if (command)
        return run_command(command, argc, argv);
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s = cpv_stage_after(s))
        if (strcmp(s->name, argv[0]) == 0)
            return become(s->program, argv);
    for (const struct cpv_tool_entry *t = cpv_tools; t->name; t++)
        if (strcmp(t->name, argv[0]) == 0)
            return become(t->program, argv);
    near = nearest(argv[0]);
    if (near)
        (void)cpv_fail(&err, CPV_E_USAGE,
                       "unknown command '%s'; did you mean '%s'? See --help", argv[0],
                       near);
    else
        (void)cpv_fail(&err, CPV_E_USAGE, "unknown command '%s'; see --help", argv[0]);
    return print_error("capivara", &err);
}

/* `capivara` with options only, or `capivara help [COMMAND]`. */
static int answer(int argc, char **argv)
{
    static const struct cpv_program PROGRAM = {
        .name = "capivara",
        .version = CPV_VERSION,
        .summary = "multilingual image-text corpora and models, from URL list to adapter",
        .usage = "COMMAND [options]",
    };
    struct cpv_err err = {0};
    struct cpv_buf text = {0};
    cpv_arena *mem = NULL;
    struct cpv_cli cli;
    int rc = cpv_arena_open(&mem, 0, &err), status;

    if (!rc)
        rc = cpv_cli_parse(&PROGRAM, argc, argv, mem, &cli, &err);
    if (!rc && cli.ask == CPV_ASK_NOTHING)
        rc = cpv_fail(&err, CPV_E_USAGE, "a command is needed; see --help");
    if (!rc)
        cpv_driver_answer(&PROGRAM, cli.ask, &text);
    status = rc ? print_error("capivara", &err) : print_text(&text);
    cpv_arena_close(&mem);
    return status;
}

int main(int argc, char **argv)
{
    char help[] = "--help";

    if (argc >= 2 && strcmp(argv[1], "help") == 0) {
        char *words[] = {argc > 2 ? argv[2] : argv[1], help, NULL};

        return argc > 2 ? dispatch(2, words) : answer(2, words);
    }
    if (argc >= 2 && argv[1][0] != '-')
        return dispatch(argc - 1, argv + 1);
    return answer(argc, argv);
}
