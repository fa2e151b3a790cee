/* SPDX-License-Identifier: Apache-2.0 */
/* main() of every stage: options, configuration, settings, the run, its verdict. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "common/corpus/settings.h"
#include "common/format/config.h"
#include "common/stage/internal.h"

enum { GROUPS_MAX = 12 };

/* Everything that exists from the first option to the exit status. */
struct life {
    const struct cpv_stage *stage;
    struct cpv_run run;
    struct cpv_run_state state;
    struct cpv_opt instance_option[2];
    struct cpv_opt_group groups[GROUPS_MAX]; /* the stage's, then the shared ones */
    size_t n_groups;
    struct cpv_program program;
    struct cpv_cli cli;
    cpv_arena *mem;
};

/* ---- the table of options ---- */

static int describe(struct life *l, struct cpv_err *err)
{
    const struct cpv_stage *stage = l->stage;
    size_t n = 0;

    l->run.settings = cpv_arena_calloc(l->mem, 1, stage->settings_size);
    l->program.name = cpv_arena_printf(l->mem, "capivara-%s", stage->name);
    if (!l->run.settings || !l->program.name)
        return cpv_fail_memory(err);
    for (; n < stage->n_groups; n++) {
        const struct cpv_stage_group *g = &stage->groups[n];

        l->groups[n] =
            (struct cpv_opt_group){g->title, g->section, g->opts, l->run.settings};
    }
    if (stage->instance) {
        l->instance_option[0] =
            (struct cpv_opt){.name = stage->instance,
                             .kind = CPV_OPT_TEXT,
                             .offset = offsetof(struct cpv_shared, instance),
                             .arg = "NAME",
                             .help = stage->instance_help};
        l->groups[n++] = (struct cpv_opt_group){"Which one", NULL, l->instance_option,
                                                &l->state.shared};
    }
    l->groups[n++] =
        (struct cpv_opt_group){"Every stage", NULL, cpv_shared_options, &l->state.shared};
    l->n_groups = n;
    l->program.version = CPV_VERSION;
    l->program.summary = stage->summary;
    l->program.usage = "--corpus DIR [options]";
    l->program.description = stage->description;
    l->program.groups = l->groups;
    l->program.n_groups = n;
    return CPV_OK;
}

/* "shard.%s" for "train": "shard.train". */
static const char *put_name(struct life *l, const char *pattern, const char *name)
{
    const char *at = name ? strstr(pattern, "%s") : NULL;

    return at ? cpv_arena_printf(l->mem, "%.*s%s%s", (int)(at - pattern), pattern, name,
                                 at + 2)
              : pattern;
}

/* "shard.%s" and "shards/%s" become this instance's section and column. */
static int name_instance(struct life *l, struct cpv_err *err)
{
    const struct cpv_stage *stage = l->stage;
    const char *instance = l->state.shared.instance;
    const char *section = put_name(l, stage->section, instance);
    const char *column = put_name(l, stage->column, instance);

    if (!section || !column)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < stage->n_groups; i++)
        l->groups[i].section =
            stage->groups[i].section ? stage->groups[i].section : section;
    l->run.instance = instance;
    l->run.column = column;
    return CPV_OK;
}

/* ---- configuration ---- */

/* Without --config, the corpus's own copy, if it is there. */
static int find_config(struct life *l, struct cpv_err *err)
{
    struct cpv_shared *s = &l->state.shared;
    char *path;

    l->run.config = s->config;
    if (s->config || !s->corpus)
        return CPV_OK;
    path = cpv_arena_printf(l->mem, "%s/config.yaml", s->corpus);
    if (!path)
        return cpv_fail_memory(err);
    if (cpv_file_exists(path))
        l->run.config = path;
    return CPV_OK;
}

/* Without --name: the only one that the configuration has. */
static int choose_instance(struct life *l, const cpv_config *config, struct cpv_err *err)
{
    const struct cpv_stage *stage = l->stage;
    const struct cpv_node *node = NULL;
    const char **instance = &l->state.shared.instance;
    size_t top = strcspn(stage->section, ".");
    char section[64];

    if (!stage->instance)
        return CPV_OK;
    (void)snprintf(section, sizeof section, "%.*s", (int)top, stage->section);
    if (stage->section[top]) /* of all instances it lists none */
        node = config && !*instance ? cpv_config_find(config, section) : NULL;
    if (node && node->kind == CPV_NODE_MAP && node->n == 1)
        *instance = cpv_arena_str(l->mem, cpv_bytes_str(node->keys[0]));
    if (!*instance)
        return cpv_fail(
            err, CPV_E_USAGE, "'--%s' is needed: the configuration has %s under '%s'",
            stage->instance, node && node->n ? "more than one" : "none", section);
    if (!cpv_column_name_is_plain(*instance))
        return cpv_fail(err, CPV_E_USAGE,
                        "'--%s': expected up to 64 letters, digits, - and _, got '%s'",
                        stage->instance, *instance);
    return CPV_OK;
}

/* The folder that a configuration's relative paths start from. */
static const char *base_of(struct life *l)
{
    const char *base = l->state.shared.base, *slash = strrchr(l->run.config, '/');

    if (base && *base == '/')
        return base;
    if (!slash)
        return base;
    return cpv_arena_printf(l->mem, "%.*s/%s", (int)(slash - l->run.config),
                            l->run.config, base ? base : "");
}

/* Paths that came from a configuration are made relative to its base. */
static int settle_paths(struct life *l, struct cpv_err *err)
{
    const char *base = base_of(l);

    for (size_t g = 0; base && g < l->n_groups; g++) {
        for (const struct cpv_opt *o = l->groups[g].opts; o->kind != CPV_OPT_END; o++) {
            const char **field =
                (const char **)(void *)((char *)l->groups[g].into + o->offset);
            bool slash = base[0] && base[strlen(base) - 1] == '/';

            if (!(o->flags & CPV_OPT_PATH) || !*field || **field == '/' || !**field)
                continue;
            *field = cpv_arena_printf(l->mem, "%s%s%s", base, slash ? "" : "/", *field);
            if (!*field)
                return cpv_fail_memory(err);
        }
    }
    return CPV_OK;
}

/* The sections that this stage reads, each once. */
static size_t sections_of(const struct life *l, const char *out[GROUPS_MAX])
{
    size_t n = 0;

    for (size_t g = 0; g < l->stage->n_groups; g++) {
        size_t i = 0;

        while (i < n && strcmp(out[i], l->groups[g].section) != 0)
            i++;
        if (i == n)
            out[n++] = l->groups[g].section;
    }
    return n;
}

/* defaults, then the file, then --set, then the command line. */
static int resolve(struct life *l, const cpv_config *config, struct cpv_err *err)
{
    const char *sections[GROUPS_MAX];
    const char *instance = l->state.shared.instance;
    size_t n = sections_of(l, sections);
    struct cpv_texts set = l->state.shared.set;
    int rc = cpv_opts_defaults(&l->program, l->mem, err);

    l->state.shared.instance = instance;
    if (!rc && config)
        rc = cpv_config_apply(config, &l->program, sections, n, l->mem, err);
    for (size_t i = 0; i < set.count && !rc; i++)
        rc = cpv_config_set_one(&l->program, set.at[i], l->mem, err);
    if (!rc && config)
        rc = settle_paths(l, err);
    if (!rc)
        rc = cpv_cli_apply(&l->cli, l->mem, err);
    l->state.shared.instance = instance;
    return rc;
}

static int configure(struct life *l, struct cpv_err *err)
{
    cpv_config *config = NULL;
    int rc = cpv_opts_defaults(&l->program, l->mem, err);

    if (!rc)
        rc = cpv_cli_apply(&l->cli, l->mem, err);
    if (!rc)
        rc = find_config(l, err);
    if (!rc && l->run.config)
        rc = cpv_config_open(&config, l->run.config, err);
    if (!rc)
        rc = choose_instance(l, config, err);
    if (!rc)
        rc = name_instance(l, err);
    if (!rc)
        rc = resolve(l, config, err);
    cpv_config_close(&config);
    if (!rc && l->cli.n_rest)
        rc = cpv_fail(err, CPV_E_USAGE, "unexpected '%s'; see --help", l->cli.rest[0]);
    return rc;
}

/* ---- --print-config ---- */

static void print_group(const struct cpv_opt_group *g, const char *indent,
                        struct cpv_buf *out)
{
    for (const struct cpv_opt *o = g->opts; o->kind != CPV_OPT_END; o++) {
        if (!o->key)
            continue;
        cpv_buf_printf(out, "%s%s: ", indent, o->key);
        cpv_opts_value(g, o, out);
        cpv_buf_byte(out, '\n');
    }
}

static int print_config(struct life *l, struct cpv_err *err)
{
    const char *sections[GROUPS_MAX];
    size_t n = sections_of(l, sections);
    struct cpv_buf out = {0};
    int rc = CPV_OK;

    print_group(&l->groups[l->n_groups - 1], "", &out);
    for (size_t s = 0; s < n; s++) {
        const char *dot = strchr(sections[s], '.');

        if (dot)
            cpv_buf_printf(&out, "%.*s:\n  %s:\n", (int)(dot - sections[s]), sections[s],
                           dot + 1);
        else
            cpv_buf_printf(&out, "%s:\n", sections[s]);
        for (size_t g = 0; g < l->stage->n_groups; g++)
            if (strcmp(l->groups[g].section, sections[s]) == 0)
                print_group(&l->groups[g], dot ? "    " : "  ", &out);
    }
    if (out.failed)
        rc = cpv_fail_memory(err);
    else if (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0)
        rc = cpv_fail(err, CPV_E_IO, "cannot write to stdout");
    cpv_buf_release(&out);
    return rc;
}

/* ---- the run ---- */

static void print_diff(cpv_log *log, struct cpv_buf *diff)
{
    char *line = (char *)(uintptr_t)cpv_buf_cstr(diff), *end;

    for (; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        cpv_log_error(log, "%s", line);
    }
}

/*
 * The bytes that matter: pinned options, and the seed where the stage uses it. dry:
 * only compare them with what is pinned.
 */
static int pin_settings(struct life *l, bool dry, struct cpv_err *err)
{
    struct cpv_opt_group groups[GROUPS_MAX];
    struct cpv_shared *s = &l->state.shared;
    struct cpv_buf text = {0}, diff = {0};
    char *folder = cpv_arena_printf(l->mem, "%s/%s", s->corpus, l->run.column);
    int rc = folder ? CPV_OK : cpv_fail_memory(err);

    if (!rc && !s->dry_run)
        rc = cpv_folder_make(folder, err);
    /* Without the instance's name: equal sets under two names are equal. */
    for (size_t i = 0; i < l->stage->n_groups; i++) {
        groups[i] = l->groups[i];
        if (!l->stage->groups[i].section)
            groups[i].section = l->stage->name;
    }
    if (l->stage->uses_seed)
        cpv_buf_printf(&text, "seed: %lld\n", (long long)s->seed);
    if (!rc)
        rc = cpv_settings_text(groups, l->stage->n_groups, &text, err);
    if (!rc)
        rc = cpv_settings_pin(s->corpus, l->run.column, cpv_buf_view(&text), s->redo, dry,
                              l->run.settings_digest, &diff, err);
    if (rc == CPV_E_SETTINGS)
        print_diff(l->run.log, &diff);
    cpv_buf_release(&text);
    cpv_buf_release(&diff);
    return rc;
}

static int dry_run(struct life *l, struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    uint32_t number;
    int rc = cpv_arena_open(&mem, 0, err);

    while (!rc &&
           (rc = cpv_select_next(l->state.select, l->run.n_parts, &number, err)) > 0) {
        enum cpv_part_need need;
        struct cpv_record record;
        int previous;

        rc = cpv_part_examine(&l->run, number, mem, &record, &previous, &need, err);
        if (!rc)
            printf("%s part %05u rows %llu-%llu: %s\n", l->run.column, number,
                   (unsigned long long)record.row_begin,
                   (unsigned long long)record.row_end, cpv_part_need_name(need));
        cpv_arena_reset(mem);
    }
    cpv_arena_close(&mem);
    return rc;
}

static int verdict(struct life *l, struct cpv_err *err)
{
    struct cpv_run_state *s = &l->state;
    uint64_t failed = s->failed + s->failed_before;
    uint64_t rows = s->samples + s->samples_before + failed;

    cpv_log_info(l->run.log,
                 "%llu parts committed, %llu done before; %llu samples, %llu failed",
                 (unsigned long long)s->committed, (unsigned long long)s->done_before,
                 (unsigned long long)s->samples, (unsigned long long)s->failed);
    if (s->held || s->busy || s->waiting)
        return cpv_fail(err, CPV_E_BUSY,
                        "run again: %llu parts held back for passing failures, %llu in "
                        "use elsewhere, %llu waiting for their input",
                        (unsigned long long)s->held, (unsigned long long)s->busy,
                        (unsigned long long)s->waiting);
    if (rows && (double)failed > s->shared.max_failed * (double)rows)
        return cpv_fail(err, CPV_E_INPUT,
                        "%llu of %llu rows failed, more than max_failed allows (%g)",
                        (unsigned long long)failed, (unsigned long long)rows,
                        s->shared.max_failed);
    return CPV_OK;
}

static int open_run(struct life *l, struct cpv_err *err)
{
    struct cpv_shared *s = &l->state.shared;
    struct cpv_progress_params progress = {
        .what = l->run.column,
        .log = l->run.log,
        .style = cpv_progress_style_of(STDERR_FILENO, s->quiet),
    };
    int rc = cpv_select_open(&l->state.select, s->parts, err);

    if (!rc)
        rc = cpv_stop_install(err);
    if (!rc && l->stage->settle)
        rc = l->stage->settle(&l->run, err);
    if (!rc)
        rc = pin_settings(l, true, err);
    if (!rc && !s->dry_run)
        cpv_column_sweep(s->corpus, l->run.column);
    if (!rc)
        rc = cpv_column_scan(s->corpus, l->run.column, l->mem, &l->state.column, err);
    if (!rc && !s->dry_run)
        rc = cpv_progress_open(&l->run.progress, &progress, err);
    return rc;
}

static bool device_is_one(const char *s)
{
    if (strncmp(s, "cuda:", 5) == 0)
        return s[5] && strspn(s + 5, "0123456789") == strlen(s + 5);
    return strcmp(s, "auto") == 0 || strcmp(s, "cpu") == 0 || strcmp(s, "cuda") == 0;
}

static int live(struct life *l, struct cpv_err *err)
{
    struct cpv_shared *s = &l->state.shared;
    int rc;

    if (!s->corpus || !*s->corpus)
        return cpv_fail(err, CPV_E_USAGE, "'--corpus' is needed; see --help");
    if (!device_is_one(s->device))
        return cpv_fail(err, CPV_E_USAGE,
                        "'--device': expected auto, cpu or cuda[:N], got '%s'",
                        s->device);
    l->run.corpus = s->corpus;
    l->run.seed = s->seed;
    l->run.device = s->device;
    l->run.base = l->run.config ? base_of(l) : NULL;
    l->run.accept_transient = s->accept_transient;
    l->run.dry_run = s->dry_run;
    l->run.threads = s->threads ? (int)s->threads : cpv_processors();
    rc = open_run(l, err);
    if (!rc)
        rc = l->stage->open(&l->run, err);
    /* Not before the stage has found its input: a misspelt column pins nothing. */
    if (!rc && !s->dry_run)
        rc = pin_settings(l, false, err);
    if (!rc && !s->dry_run)
        rc = cpv_column_set_parts(s->corpus, l->run.column, l->run.n_parts, err);
    l->state.taken = rc ? NULL : cpv_arena_calloc(l->mem, l->run.n_parts + 1u, 1);
    if (!rc && !l->state.taken)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = s->dry_run ? dry_run(l, err) : l->stage->work(&l->run, err);
    l->stage->close(&l->run);
    cpv_progress_close(&l->run.progress);
    cpv_select_close(&l->state.select);
    if (!rc && !s->dry_run)
        rc = verdict(l, err);
    return rc;
}

int cpv_stage_main(const struct cpv_stage *stage, int argc, char **argv)
{
    struct life l = {.stage = stage};
    struct cpv_err err = {0};
    cpv_log_level level;
    int rc, status;

    l.run.stage = stage;
    l.run.state = &l.state;
    pthread_mutex_init(&l.state.lock, NULL);
    rc = cpv_arena_open(&l.mem, 0, &err);
    l.run.mem = l.mem;
    if (!rc)
        rc = describe(&l, &err);
    if (!rc)
        rc = cpv_cli_parse(&l.program, argc, argv, l.mem, &l.cli, &err);
    if (!rc && l.cli.ask != CPV_ASK_NOTHING) {
        status = cpv_program_print(&l.program, l.cli.ask);
        cpv_arena_close(&l.mem);
        return status;
    }
    if (!rc)
        rc = configure(&l, &err);
    level = l.state.shared.quiet     ? CPV_LOG_WARNING
            : l.state.shared.verbose ? CPV_LOG_DEBUG
                                     : CPV_LOG_INFO;
    if (cpv_log_open(&l.run.log, l.program.name ? l.program.name : stage->name, level,
                     STDERR_FILENO, rc ? NULL : &err))
        rc = rc ? rc : err.code;
    if (!rc)
        rc = l.state.shared.print_config ? print_config(&l, &err) : live(&l, &err);
    if (rc && l.run.log)
        cpv_log_err(l.run.log, &err);
    else if (rc)
        fprintf(stderr, "capivara-%s: error: %s\n", stage->name, err.text);
    status = cpv_exit_status(rc);
    cpv_log_close(&l.run.log);
    cpv_arena_close(&l.mem);
    pthread_mutex_destroy(&l.state.lock);
    return status;
}
