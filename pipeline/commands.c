/* SPDX-License-Identifier: Apache-2.0 */
/* The commands in the order of the help; and the driver's own help, man page and
 * completion, which list them and the stages. */
#include <string.h>

#include "common/base/size.h"
#include "pipeline/command.h"
#include "pipeline/stages.h"

static const struct cpv_command *const ORDER[] = {
    &cpv_command_run,     &cpv_command_status, &cpv_command_report, &cpv_command_models,
    &cpv_command_inspect, &cpv_command_cat,    &cpv_command_verify, &cpv_command_export,
    &cpv_command_import,  &cpv_command_index,  &cpv_command_gc,     NULL};

const struct cpv_opt cpv_common_options[] = {
    {.name = "verbose",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct cpv_common, verbose),
     .help = "Say more."},
    {.name = "quiet",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct cpv_common, quiet),
     .help = "Say nothing but warnings and errors."},
    {.kind = CPV_OPT_END},
};

const struct cpv_command *const *cpv_commands(void)
{
    return ORDER;
}

enum { COLUMN = 12 };

static void add_line(struct cpv_buf *out, const char *name, const char *text)
{
    cpv_buf_printf(out, "  %-*s%s\n", COLUMN, name, text);
}

static void add_lists(struct cpv_buf *out)
{
    cpv_buf_str(out, "\nCommands:\n");
    for (size_t i = 0; ORDER[i]; i++)
        add_line(out, ORDER[i]->name, ORDER[i]->summary);
    cpv_buf_str(out, "\nStages, each a program of its own (`capivara fetch` runs "
                     "capivara-fetch):\n");
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s = cpv_stage_after(s))
        add_line(out, s->name, s->summary);
    cpv_buf_str(out, "\nPrograms beside the stages, run likewise:\n");
    for (const struct cpv_tool_entry *t = cpv_tools; t->name; t++)
        add_line(out, t->name, t->summary);
    cpv_buf_str(out, "\n`capivara COMMAND --help` says more about one of them.\n");
}

/* The lists go between the usage and the options. */
static void add_help(const struct cpv_program *p, struct cpv_buf *out)
{
    struct cpv_buf text = {0};
    const char *all, *options;

    cpv_program_help(p, &text);
    all = cpv_buf_cstr(&text);
    options = all ? strstr(all, "\nHelp:\n") : NULL;
    if (options) {
        cpv_buf_add(out, all, (size_t)(options - all));
        add_lists(out);
        cpv_buf_str(out, options);
    } else {
        out->failed |= !all;
        cpv_buf_add(out, text.data, text.size);
        add_lists(out);
    }
    cpv_buf_release(&text);
}

static void add_man_entry(struct cpv_buf *out, const char *name, const char *text)
{
    cpv_buf_printf(out, ".TP\n.B %s\n%s.\n", name, text);
}

static void add_man(struct cpv_buf *out)
{
    cpv_buf_str(out, ".SH COMMANDS\n");
    for (size_t i = 0; ORDER[i]; i++)
        add_man_entry(out, ORDER[i]->name, ORDER[i]->summary);
    cpv_buf_str(out, ".SH STAGES\n");
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s = cpv_stage_after(s))
        add_man_entry(out, s->name, s->summary);
    for (const struct cpv_tool_entry *t = cpv_tools; t->name; t++)
        add_man_entry(out, t->name, t->summary);
}

/* The function _capivara_NAME, from the command's options. */
static void add_function(struct cpv_buf *out, const struct cpv_command *c)
{
    static const struct cpv_opt NONE[] = {{.kind = CPV_OPT_END}};
    const struct cpv_opt_group groups[] = {
        {NULL, NULL, c->options ? c->options : NONE, NULL},
        {NULL, NULL, cpv_common_options, NULL}};
    struct cpv_program program = {.groups = groups, .n_groups = CPV_COUNT(groups)};
    struct cpv_buf name = {0};

    cpv_buf_printf(&name, "capivara %s", c->name);
    program.name = cpv_buf_cstr(&name);
    if (program.name)
        cpv_program_completion(&program, out);
    out->failed |= !program.name;
    cpv_buf_release(&name);
}

/* The first word is a command or a stage; a stage's own program knows the rest. */
static void add_completion(struct cpv_buf *out)
{
    for (size_t i = 0; ORDER[i]; i++)
        add_function(out, ORDER[i]);
    cpv_buf_str(out, "# bash completion for capivara; source it\n"
                     "_capivara()\n{\n"
                     "    local name=_capivara_${COMP_WORDS[1]}\n"
                     "    COMPREPLY=()\n"
                     "    if [[ $COMP_CWORD == 1 ]]; then\n"
                     "        COMPREPLY=($(compgen -W '");
    for (size_t i = 0; ORDER[i]; i++)
        cpv_buf_printf(out, "%s ", ORDER[i]->name);
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s = cpv_stage_after(s))
        cpv_buf_printf(out, "%s ", s->name);
    for (const struct cpv_tool_entry *t = cpv_tools; t->name; t++)
        cpv_buf_printf(out, "%s ", t->name);
    cpv_buf_str(out,
                "help --help --version --man --completion' -- \"${COMP_WORDS[1]}\"))\n"
                "        return\n    fi\n"
                "    if [[ $COMP_CWORD == 2 && ${COMP_WORDS[2]} != -* ]]; then\n"
                "        case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; ORDER[i]; i++)
        if (ORDER[i]->words)
            cpv_buf_printf(out,
                           "        %s) COMPREPLY=($(compgen -W '%s' -- "
                           "\"${COMP_WORDS[2]}\"))\n            return ;;\n",
                           ORDER[i]->name, ORDER[i]->words);
    cpv_buf_str(out, "        esac\n    fi\n    case ${COMP_WORDS[1]} in\n    ");
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s = cpv_stage_after(s))
        cpv_buf_printf(out, "%s|", s->name);
    for (const struct cpv_tool_entry *t = cpv_tools; t->name; t++)
        cpv_buf_printf(out, "%s%s", t == cpv_tools ? "" : "|", t->name);
    cpv_buf_str(out, ")\n"
                     "        declare -F \"$name\" >/dev/null ||\n"
                     "            source <(\"${COMP_WORDS[0]}\" \"${COMP_WORDS[1]}\" "
                     "--completion 2>/dev/null) ;;\n    esac\n"
                     "    if declare -F \"$name\" >/dev/null; then \"$name\"; fi\n}\n"
                     "complete -o bashdefault -o default -F _capivara capivara\n");
}

void cpv_driver_answer(const struct cpv_program *p, enum cpv_cli_ask ask,
                       struct cpv_buf *out)
{
    if (ask == CPV_ASK_COMPLETION) {
        add_completion(out);
    } else if (ask == CPV_ASK_HELP) {
        add_help(p, out);
    } else {
        cpv_program_answer(p, ask, out);
        if (ask == CPV_ASK_MAN)
            add_man(out);
    }
}
