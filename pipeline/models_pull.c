/* SPDX-License-Identifier: Apache-2.0 */
/* capivara models pull: common/model/pull.h, with the environment, a progress and a line
 * at the end. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/progress.h"
#include "common/model/pull.h"
#include "pipeline/models.h"
#include "pipeline/text.h"

struct session {
    cpv_log *log;
    cpv_progress *progress;
};

static void on_note(void *ctx, const char *text)
{
    const struct session *s = ctx;

    cpv_log_info(s->log, "%s", text);
}

static void on_moved(void *ctx, uint64_t bytes)
{
    const struct session *s = ctx;

    cpv_progress_add(s->progress, bytes, 0);
}

static int open_hub(cpv_hub **hub, struct cpv_call *call, const struct cpv_hub_env *env,
                    struct session *s, struct cpv_err *err)
{
    const struct cpv_models_options *opt = call->options;
    struct cpv_hub_params p;

    cpv_hub_defaults(&p);
    if (env->endpoint)
        p.endpoint = env->endpoint;
    if (env->stall_ms)
        p.stall_ms = env->stall_ms;
    p.token = env->token;
    p.ca_file = env->ca_file;
    p.retries = (int)opt->retries;
    p.backoff_ms = (int)(opt->backoff * 1000);
    p.note = on_note;
    p.moved = on_moved;
    p.ctx = s;
    return cpv_hub_open(hub, &p, err);
}

/* Nothing is asked of the network: what is in the cache has to do. */
static int pull_offline(struct cpv_call *call, const struct cpv_hub_env *env,
                        const struct cpv_model_name *name, struct cpv_err *err)
{
    const char *whole = cpv_arena_printf(call->mem, "%s@%s", name->id, name->revision);
    struct cpv_model_place place;
    int rc = whole ? CPV_OK : cpv_fail_memory(err);

    if (!rc && cpv_model_find(whole, env->root, call->mem, &place, NULL))
        rc = cpv_fail(
            err, CPV_E_INPUT,
            "HF_HUB_OFFLINE is set, and '%s' is not (complete) in the cache '%s'", whole,
            env->root);
    if (!rc)
        printf("%s\n", place.path);
    return rc;
}

static void say_done(struct cpv_call *call, const struct cpv_model_name *name,
                     const struct cpv_pull_result *r)
{
    char all[32], new[32];

    cpv_text_bytes(all, sizeof all, r->bytes);
    cpv_text_bytes(new, sizeof new, r->fetched);
    cpv_log_info(call->log, "'%s' at %.12s: %llu files, %s, of which %s came now",
                 name->id, r->commit, (unsigned long long)r->files, all,
                 r->fetched ? new : "nothing");
}

static int pull_online(struct cpv_call *call, const struct cpv_hub_env *env,
                       const struct cpv_model_name *name, struct cpv_err *err)
{
    const struct cpv_models_options *opt = call->options;
    struct session s = {.log = call->log};
    struct cpv_progress_params progress = {
        .what = "pull",
        .log = call->log,
        .style = cpv_progress_style_of(STDERR_FILENO, call->quiet),
        .bytes = true};
    struct cpv_pull_params p = {
        .root = env->root, .verify = opt->verify, .log = call->log};
    struct cpv_pull_result result;
    int rc = cpv_progress_open(&s.progress, &progress, err);

    if (!rc)
        rc = open_hub(&p.hub, call, env, &s, err);
    p.progress = s.progress;
    if (!rc)
        rc = cpv_model_pull(&p, name, call->mem, &result, err);
    cpv_hub_close(&p.hub);
    cpv_progress_close(&s.progress);
    if (rc)
        return rc;
    say_done(call, name, &result);
    printf("%s\n", result.path);
    return CPV_OK;
}

int cpv_models_pull(struct cpv_call *call, const char *text, struct cpv_err *err)
{
    struct cpv_model_name name;
    struct cpv_hub_env env;
    int rc = cpv_model_name_parse(&name, text, err);

    if (rc) /* a word of the command line, not a file */
        rc = err->code = CPV_E_USAGE;
    if (!rc)
        rc = cpv_hub_env_read(&env, call->mem, err);
    if (rc)
        return rc;
    return env.offline ? pull_offline(call, &env, &name, err)
                       : pull_online(call, &env, &name, err);
}
