/* SPDX-License-Identifier: Apache-2.0 */
/* capivara models: fetches models, lists them, says what is in one. */
#include <string.h>

#include "common/base/size.h"
#include "pipeline/models.h"

static const char *const FORMATS[] = {"text", "json", NULL};

static const struct cpv_opt OPTIONS[] = {
    {.name = "format",
     .kind = CPV_OPT_CHOICE,
     .offset = offsetof(struct cpv_models_options, format),
     .fallback = "text",
     .choices = FORMATS,
     .help = "list, check: for people or for programs."},
    {.name = "verify",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct cpv_models_options, verify),
     .help = "pull: check the digests of files that are there already, too, and fetch "
             "damaged ones again."},
    {.name = "retries",
     .kind = CPV_OPT_INT,
     .offset = offsetof(struct cpv_models_options, retries),
     .fallback = "5",
     .min = 0,
     .max = 1000,
     .help = "pull: how often to try again in a row what a dropped connection or an "
             "overloaded server ended."},
    {.name = "backoff",
     .kind = CPV_OPT_REAL,
     .offset = offsetof(struct cpv_models_options, backoff),
     .fallback = "1",
     .min = 0,
     .max = 60,
     .arg = "SECONDS",
     .help = "pull: wait before the first of them; it doubles each time."},
    {.kind = CPV_OPT_END},
};

enum { PULL, LIST, CHECK, N_WORDS };

static const struct {
    const char *word;
    size_t operands;
    const char *usage;
} WORDS[N_WORDS] = {
    [PULL] = {"pull", 1, "NAME[@REVISION]"},
    [LIST] = {"list", 0, ""},
    [CHECK] = {"check", 1, "DIR|NAME"},
};

static int unknown(const char *word, struct cpv_err *err)
{
    const char *words[N_WORDS + 1] = {NULL}, *near;

    for (size_t i = 0; i < N_WORDS; i++)
        words[i] = WORDS[i].word;
    near = cpv_opts_nearest_word(word, words);
    return cpv_fail(err, CPV_E_USAGE, "unknown 'models %s'%s%s%s; see --help", word,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    size_t which = 0, operands = call->n_names - 1;

    while (which < N_WORDS && strcmp(call->names[0], WORDS[which].word) != 0)
        which++;
    if (which == N_WORDS)
        return unknown(call->names[0], err);
    if (operands != WORDS[which].operands)
        return cpv_fail(err, CPV_E_USAGE, "usage: capivara models %s%s%s; see --help",
                        WORDS[which].word, *WORDS[which].usage ? " " : "",
                        WORDS[which].usage);
    if (which == PULL)
        return cpv_models_pull(call, call->names[1], err);
    if (which == LIST)
        return cpv_models_list(call, err);
    return cpv_models_check(call, call->names[1], err);
}

const struct cpv_command cpv_command_models = {
    .name = "models",
    .summary = "fetch models, list them, check what a folder holds",
    .usage = "pull NAME[@REVISION] | list | check DIR|NAME",
    .words = "pull list check",
    .description =
        "pull fetches a model (`org/name`, of branch main or of the branch, tag or "
        "commit "
        "behind the @) from the Hugging Face hub into its cache, which Python tools "
        "share: "
        "only weights of one format, safetensors where there are any, configurations and "
        "tokenizer files; of an OpenCLIP model also the configuration and the tokenizer "
        "of "
        "its text tower, as text/. It prints the folder. It may be killed at any moment: "
        "the next pull goes on at the same byte. Digests are checked.\n\n"
        "list shows what is in the cache and whether it is complete.\n\n"
        "check opens a model, a folder or one in the cache, and says its architecture, "
        "parameters, types and size, and which tensors are missing, not used or of "
        "another "
        "shape than the configuration says; 65 if the model cannot be used.\n\n"
        "Environment: HF_HOME, HF_HUB_CACHE (where the cache is), HF_ENDPOINT (a "
        "mirror), "
        "HF_TOKEN (for private and gated models; else the file $HF_HOME/token), "
        "HF_HUB_OFFLINE (pull then only says what is there), HF_HUB_DOWNLOAD_TIMEOUT "
        "(seconds without a byte after which a connection counts as dropped; 30).",
    .options = OPTIONS,
    .options_size = sizeof(struct cpv_models_options),
    .least = 1,
    .most = 2,
    .run = run,
};
