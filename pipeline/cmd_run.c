/* SPDX-License-Identifier: Apache-2.0 */
/* capivara run: every stage that the configuration asks for, one after the other, each
 * over all its parts. What is done, stale or in need of work is the stages' own matter;
 * here are the order, the copy of the configuration, the index and the exit status. */
#include <signal.h>
#include <string.h>

#include "common/base/stop.h"
#include "common/corpus/index.h"
#include "pipeline/command.h"
#include "pipeline/setup.h"
#include "pipeline/spawn.h"
#include "pipeline/stages.h"

struct options {
    const char *corpus, *parts, *device;
    struct cpv_texts set;
    int64_t threads;
    bool keep_going, redo, accept_transient, dry_run;
};

#define AT(field) offsetof(struct options, field)

static const struct cpv_opt OPTIONS[] = {
    {.name = "corpus",
     .kind = CPV_OPT_TEXT,
     .offset = AT(corpus),
     .arg = "DIR",
     .help = "The corpus; overrides the configuration. Alone: go on with this one."},
    {.name = "set",
     .kind = CPV_OPT_LIST,
     .offset = AT(set),
     .arg = "KEY=VALUE",
     .help = "Set a key for this run only, as if it stood in the configuration.",
     .flags = CPV_OPT_REPEAT},
    {.name = "parts",
     .kind = CPV_OPT_TEXT,
     .offset = AT(parts),
     .fallback = "all",
     .arg = "LIST",
     .help = "Parts to work on: all, a list such as 3,7,9-12, or env (the scheduler's "
             "array variable). With anything but all, stages that need every part of "
             "their input are left out."},
    {.name = "keep-going",
     .kind = CPV_OPT_FLAG,
     .offset = AT(keep_going),
     .help = "Run later stages over what is there although an earlier one has not "
             "finished; the worst exit status is returned."},
    {.name = "threads",
     .kind = CPV_OPT_INT,
     .offset = AT(threads),
     .fallback = "0",
     .min = 0,
     .max = 4096,
     .arg = "N",
     .help = "Worker threads of a stage; 0: one for each processor."},
    {.name = "device",
     .kind = CPV_OPT_TEXT,
     .offset = AT(device),
     .fallback = "auto",
     .arg = "auto|cpu|cuda[:N]",
     .help = "Where models run."},
    {.name = "redo",
     .kind = CPV_OPT_FLAG,
     .offset = AT(redo),
     .help = "Accept changed settings: parts made with others are made anew as a new "
             "revision."},
    {.name = "accept-transient",
     .kind = CPV_OPT_FLAG,
     .offset = AT(accept_transient),
     .help = "Commit parts however many rows failed for passing reasons."},
    {.name = "dry-run",
     .kind = CPV_OPT_FLAG,
     .offset = AT(dry_run),
     .help = "Check the configuration, say which parts would be worked on and why, write "
             "nothing."},
    {.kind = CPV_OPT_END},
};

/* A run under way. */
struct run {
    struct cpv_call *call;
    const struct options *opt;
    struct cpv_setup setup;
    struct cpv_step *steps;
    size_t n_steps;
};

/* ---- command lines of stages ---- */

static bool passed_on(const char *name)
{
    static const char *const NAMES[] = {"parts", "threads",          "device",
                                        "redo",  "accept-transient", "dry-run",
                                        "quiet", "verbose"};

    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(name, NAMES[i]) == 0)
            return true;
    return false;
}

/* "--name=value" in mem, appended to the words. */
static void add_word(struct cpv_buf *words, cpv_arena *mem, const char *name,
                     const char *value)
{
    char *word = cpv_arena_printf(mem, "--%s=%s", name, value);

    if (!word)
        words->failed = true;
    cpv_buf_add(words, &word, sizeof word);
}

static bool set_is_for(const struct cpv_step *step, const char *setting, cpv_arena *mem)
{
    const char *key = cpv_arena_str(mem, cpv_bytes_of(setting, strcspn(setting, "= ")));

    return key && cpv_step_reads(step, key);
}

/* Everything on our command line that the stage understands. */
static void add_options(struct cpv_buf *words, const struct run *r,
                        const struct cpv_step *step)
{
    const struct cpv_cli *cli = r->call->cli;
    cpv_arena *mem = r->call->mem;

    for (size_t i = 0; i < cli->n_assign; i++) {
        const struct cpv_cli_assign *a = &cli->assign[i];

        if (strcmp(a->opt->name, "set") == 0 ? set_is_for(step, a->value, mem)
                                             : passed_on(a->opt->name))
            add_word(words, mem, a->opt->name, a->value);
    }
}

static int run_stage(const struct run *r, const struct cpv_step *step, const char *config,
                     bool check, int *status, int *sig, struct cpv_err *err)
{
    struct cpv_buf words = {0};
    cpv_arena *mem = r->call->mem;
    struct cpv_spawn spawn = {.mute_out = check};
    const char *end = NULL;
    int rc;

    spawn.path = cpv_program_find(step->stage->program, mem);
    if (!spawn.path)
        return cpv_fail(err, CPV_E_ABSENT,
                        "'%s' is neither beside this program nor on the PATH",
                        step->stage->program);
    cpv_buf_add(&words, &spawn.path, sizeof spawn.path);
    add_word(&words, mem, "config", config);
    add_word(&words, mem, "corpus", r->setup.corpus);
    if (step->instance)
        add_word(&words, mem, step->stage->instance, step->instance);
    add_options(&words, r, step);
    if (check)
        add_word(&words, mem, "print-config", "true");
    cpv_buf_add(&words, &end, sizeof end);
    spawn.argv = (char *const *)(void *)words.data;
    rc = words.failed ? cpv_fail_memory(err) : cpv_program_run(&spawn, status, sig, err);
    cpv_buf_release(&words);
    return rc;
}

/* ---- before anything is written ---- */

static int check_set(const struct run *r, struct cpv_err *err)
{
    for (size_t i = 0; i < r->opt->set.count; i++) {
        const char *setting = r->opt->set.at[i];
        const char *key =
            cpv_arena_str(r->call->mem, cpv_bytes_of(setting, strcspn(setting, "= ")));

        if (!key)
            return cpv_fail_memory(err);
        if (!cpv_stages_read(key))
            return cpv_fail(err, CPV_E_USAGE, "'--set': no stage has a key '%s'", key);
    }
    return CPV_OK;
}

/* Every stage looks at its own section; the first that refuses ends it with its status.
 */
static int check_stages(const struct run *r, struct cpv_err *err)
{
    int rc = CPV_OK, status = 0, sig = 0;

    for (size_t i = 0; !rc && !status && i < r->n_steps; i++)
        rc = run_stage(r, &r->steps[i], r->setup.path, true, &status, &sig, err);
    if (!rc && sig && cpv_stop_requested())
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    if (!rc && sig) /* 70: of a mistake; else somebody sent it */
        return cpv_fail(err, status == 70 ? CPV_E_BUG : CPV_E_STOPPED,
                        "a stage died of signal %d (%s) on --print-config", sig,
                        strsignal(sig));
    r->call->status = status;
    return rc;
}

/* ---- the index ---- */

/* It can be made again at any time, so nothing but a stop ends a run for its sake. */
static int take_in(const struct run *r, struct cpv_err *err)
{
    struct cpv_index_counts counts = {0};
    struct cpv_err why = {0};
    cpv_index *index = NULL;
    int rc = cpv_index_open_write(&index, r->setup.corpus, false, 0, r->call->log, &why);

    if (!rc)
        rc = cpv_index_update(index, &counts, &why);
    cpv_index_close(&index);
    if (rc == CPV_E_STOPPED)
        return cpv_fail(err, rc, "%s", why.text);
    if (rc == CPV_E_BUSY)
        cpv_log_info(r->call->log, "the index is left to another process: %s", why.text);
    else if (rc)
        cpv_log_warning(r->call->log, "the index is behind: %s", why.text);
    else
        cpv_log_debug(r->call->log, "index: %u parts taken in, %u removed, %u unchanged",
                      counts.added, counts.removed, counts.unchanged);
    return CPV_OK;
}

/* ---- stage by stage ---- */

static int worse(int a, int b)
{
    static const int RANK[] = {0, 75, 65, 78, 2, 74, 70};
    int ra = 0, rb = 0;

    for (int i = 0; i < (int)(sizeof RANK / sizeof *RANK); i++) {
        ra = a == RANK[i] ? i : ra;
        rb = b == RANK[i] ? i : rb;
    }
    return rb > ra ? b : a;
}

static const char *advice(int status)
{
    switch (status) {
    case 65:
        return "see its message above and `capivara status`";
    case 74:
        return "make room or mend what its message says, then run again";
    case 75:
        return "run again to go on";
    case 78:
        return "take the change back, or --redo";
    default:
        return "see its message above";
    }
}

static int fail_stage(const struct run *r, const struct cpv_step *step, int status,
                      int sig, struct cpv_err *err)
{
    r->call->status = status;
    if (sig)
        return cpv_fail(err, status == 70 ? CPV_E_BUG : CPV_E_STOPPED,
                        "'%s' was killed by signal %d (%s); %s", step->column, sig,
                        strsignal(sig), advice(status));
    return cpv_fail(err, CPV_E_STOPPED, "'%s' ended with status %d; %s", step->column,
                    status, advice(status));
}

static bool left_out(const struct run *r, const struct cpv_step *step)
{
    return step->stage->whole && strcmp(r->opt->parts, "all") != 0;
}

/* One step; *status is its exit status, kept only when later steps may still run. */
static int do_step(const struct run *r, const struct cpv_step *step, int *worst,
                   struct cpv_err *err)
{
    const char *config = r->opt->dry_run ? r->setup.path : r->setup.copy;
    int status = 0, sig = 0, rc;

    if (left_out(r, step)) {
        cpv_log_info(r->call->log,
                     "%s: left out, it needs every part; run without --parts",
                     step->column);
        return CPV_OK;
    }
    cpv_log_debug(r->call->log, "%s", step->column);
    rc = run_stage(r, step, config, false, &status, &sig, err);
    if (!rc && !r->opt->dry_run &&
        !cpv_stop_requested()) /* the next run makes up for it */
        rc = take_in(r, err);
    if (!rc && status == 75 && r->opt->dry_run && !cpv_stop_requested()) {
        cpv_log_info(r->call->log, "'%s' cannot be planned yet", step->column);
        status = 0;
    }
    if (rc || !status)
        return rc;
    *worst = worse(*worst, status);
    if (cpv_stop_requested() || !r->opt->keep_going)
        return fail_stage(r, step, status, sig, err);
    cpv_log_warning(r->call->log, "'%s' ended with status %d; going on", step->column,
                    status);
    return CPV_OK;
}

static int do_steps(const struct run *r, struct cpv_err *err)
{
    int rc = CPV_OK, worst = 0;

    for (size_t i = 0; !rc && i < r->n_steps; i++) {
        if (cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        else
            rc = do_step(r, &r->steps[i], &worst, err);
    }
    if (!rc && worst) {
        r->call->status = worst;
        rc = cpv_fail(err, CPV_E_STOPPED, "not everything is done: %s", advice(worst));
    }
    return rc;
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    struct run r = {.call = call, .opt = call->options};
    int rc;

    if (strcmp(r.opt->parts, "-") == 0)
        return cpv_fail(err, CPV_E_USAGE,
                        "'--parts -' is for single stages; give a list here");
    rc = cpv_setup_open(&r.setup, call->n_names ? call->names[0] : NULL, r.opt->corpus,
                        call->mem, err);
    if (!rc)
        rc = cpv_steps_list(r.setup.config, call->mem, &r.steps, &r.n_steps, err);
    if (!rc)
        rc = check_set(&r, err);
    if (!rc)
        rc = check_stages(&r, err);
    if (!rc && !call->status)
        rc = cpv_steps_check_columns(r.setup.config, r.setup.corpus, r.steps, r.n_steps,
                                     call->mem, err);
    if (!rc && !call->status && !r.opt->dry_run)
        rc = cpv_setup_copy(&r.setup, err);
    if (!rc && !call->status)
        rc = do_steps(&r, err);
    cpv_setup_close(&r.setup);
    return rc;
}

const struct cpv_command cpv_command_run = {
    .name = "run",
    .summary = "run every stage of a configuration, or go on with it",
    .usage = "[CONFIG] [--corpus DIR] [options]",
    .description =
        "Runs the stages that the configuration asks for over all parts, one stage after "
        "the other. What is done is skipped, what has become stale is done again, and "
        "whatever interrupted an earlier run does not matter: run it again.\n\n"
        "The configuration is copied to config.yaml in the corpus; `capivara run "
        "--corpus "
        "DIR` goes on with that copy. Relative paths in a configuration start from the "
        "folder `base`, by default the one that it stands in.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .most = 1,
    .run = run,
};
