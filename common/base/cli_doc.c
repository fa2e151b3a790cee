/* SPDX-License-Identifier: Apache-2.0 */
/* See cli.h. Help, man page and completion, all from the option tables. */
#include <ctype.h>
#include <stdio.h>

#include "common/base/cli_impl.h"
#include "common/base/size.h"

static const struct {
    const char *name, *help;
} built_in[] = {
    {"help", "Print this help and leave."},
    {"version", "Print the version and leave."},
    {"man", "Print the manual page (for man -l -) and leave."},
    {"completion", "Print a completion script for bash, to be sourced, and leave."},
};

static bool shown(const struct cpv_opt *o)
{
    return o->name && !(o->flags & CPV_OPT_HIDDEN);
}

static bool any_shown(const struct cpv_opt_group *g)
{
    for (const struct cpv_opt *o = g->opts; o->kind != CPV_OPT_END; o++)
        if (shown(o))
            return true;
    return false;
}

/* A flag that is on by itself is listed as --[no-]name. */
static bool is_on(const struct cpv_opt *o)
{
    return o->kind == CPV_OPT_FLAG && o->fallback && (o->fallback[0] | 0x20) == 't';
}

/* ---- help ---- */

enum { COLUMN = 28, WIDTH = 80 };

/* Words of `text` from column `at` on, new lines starting at COLUMN `indent`. */
static void wrap(struct cpv_buf *out, const char *text, size_t at, size_t indent)
{
    bool first = true;

    for (;;) {
        size_t n;

        text += strspn(text, " ");
        n = strcspn(text, " ");
        if (n == 0)
            break;
        if (!first && at + 1 + n > WIDTH) {
            cpv_buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            cpv_buf_byte(out, ' ');
            at++;
        }
        cpv_buf_add(out, text, n);
        at += n;
        text += n;
        first = false;
    }
    cpv_buf_byte(out, '\n');
}

static void add_entry(struct cpv_buf *out, size_t start, const char *text)
{
    size_t at = out->size - start;

    if (out->failed)
        return;
    if (at + 2 > COLUMN) {
        cpv_buf_byte(out, '\n');
        at = 0;
    }
    cpv_buf_printf(out, "%*s", (int)(COLUMN - at), "");
    wrap(out, text, COLUMN, COLUMN);
}

/* "no|border|keep_ratio" for a choice without a metavariable. */
static void add_arg(const struct cpv_opt *o, struct cpv_buf *out)
{
    if (o->kind != CPV_OPT_CHOICE || o->arg) {
        cpv_buf_str(out, cpv_opt_arg(o));
        return;
    }
    for (size_t i = 0; o->choices[i]; i++) {
        if (i)
            cpv_buf_byte(out, '|');
        cpv_buf_str(out, o->choices[i]);
    }
}

static void add_help_text(const struct cpv_opt *o, struct cpv_buf *text)
{
    cpv_buf_str(text, o->help ? o->help : "");
    if (o->fallback && o->fallback[0] && o->kind != CPV_OPT_FLAG)
        cpv_buf_printf(text, " (default: %s)", o->fallback);
    if (is_on(o))
        cpv_buf_str(text, " (default: on)");
    if (o->flags & CPV_OPT_REPEAT)
        cpv_buf_str(text, " May be given several times.");
}

static void help_option(const struct cpv_opt *o, struct cpv_buf *out)
{
    struct cpv_buf text = {0};
    size_t start = out->size;
    const char *s;

    cpv_buf_printf(out, "  --%s%s", is_on(o) ? "[no-]" : "", o->name);
    if (o->kind != CPV_OPT_FLAG) {
        cpv_buf_byte(out, ' ');
        add_arg(o, out);
    }
    add_help_text(o, &text);
    s = cpv_buf_cstr(&text);
    if (s)
        add_entry(out, start, s);
    else
        out->failed = true;
    cpv_buf_release(&text);
}

/* Paragraphs parted by an empty line, each wrapped. */
static void add_paragraphs(struct cpv_buf *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        struct cpv_buf one = {0};
        const char *s;

        cpv_buf_add(&one, text, n);
        for (size_t i = 0; i < one.size; i++)
            if (one.data[i] == '\n')
                one.data[i] = ' ';
        s = cpv_buf_cstr(&one);
        cpv_buf_byte(out, '\n');
        if (s)
            wrap(out, s, 0, 0);
        else
            out->failed = true;
        cpv_buf_release(&one);
        text += n;
        text += strspn(text, "\n");
    }
}

void cpv_program_help(const struct cpv_program *p, struct cpv_buf *out)
{
    cpv_buf_printf(out, "Usage: %s %s\n", p->name, p->usage ? p->usage : "[options]");
    cpv_buf_printf(out, "%s.\n", p->summary);
    if (p->description)
        add_paragraphs(out, p->description);
    for (size_t i = 0; i < p->n_groups; i++) {
        const struct cpv_opt_group *g = &p->groups[i];

        if (!any_shown(g))
            continue;
        cpv_buf_printf(out, "\n%s:\n", g->title ? g->title : "Options");
        for (const struct cpv_opt *o = g->opts; o->kind != CPV_OPT_END; o++)
            if (shown(o))
                help_option(o, out);
    }
    cpv_buf_str(out, "\nHelp:\n");
    for (size_t i = 0; i < CPV_COUNT(built_in); i++) {
        size_t start = out->size;

        cpv_buf_printf(out, "  --%s%s", built_in[i].name,
                       strcmp(built_in[i].name, "help") == 0 ? ", -h" : "");
        add_entry(out, start, built_in[i].help);
    }
}

/* ---- man page ---- */

/* Text that troff takes as it is: no escapes, no requests at the start of a line. */
static void add_troff(struct cpv_buf *out, const char *s)
{
    bool start = true;

    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            cpv_buf_str(out, "\\&");
        start = *s == '\n';
        if (*s == '\\')
            cpv_buf_str(out, "\\e");
        else if (*s == '-')
            cpv_buf_str(out, "\\-");
        else
            cpv_buf_byte(out, (uint8_t)*s);
    }
}

static void troff_line(struct cpv_buf *out, const char *s)
{
    add_troff(out, s);
    cpv_buf_byte(out, '\n');
}

/* What an option accepts, is by default, and is called elsewhere. */
static void man_details(const struct cpv_opt_group *g, const struct cpv_opt *o,
                        struct cpv_buf *out)
{
    const char *alias = o->aliases,
               *section = g->section && g->section[0] ? g->section : "";
    struct cpv_buf line = {0};
    const char *text;
    size_t size;

    if (o->kind != CPV_OPT_TEXT && o->kind != CPV_OPT_FLAG) {
        cpv_buf_str(&line, "Takes ");
        cpv_opt_expected(o, &line);
        cpv_buf_str(&line, ".\n");
    }
    if (o->fallback && o->fallback[0])
        cpv_buf_printf(&line, "Default: %s.\n", o->fallback);
    if (o->flags & CPV_OPT_REPEAT)
        cpv_buf_str(&line, "May be given several times.\n");
    if (o->key && o->name)
        cpv_buf_printf(&line, "In a configuration: %s%s%s.\n", section,
                       section[0] ? "." : "", o->key);
    if (o->flags & CPV_OPT_PINNED)
        cpv_buf_str(&line, "Changes the bytes of the output, and is pinned with it.\n");
    if (alias && o->name) {
        const char *between = "Also spelled ";

        for (; (size = cpv_opt_alias(&alias)); alias += size) {
            cpv_buf_printf(&line, "%s%s%.*s", between, size == 1 ? "-" : "--", (int)size,
                           alias);
            between = ", ";
        }
        cpv_buf_str(&line, ".\n");
    }
    text = cpv_buf_cstr(&line);
    if (text)
        add_troff(out, text);
    else
        out->failed = true;
    cpv_buf_release(&line);
}

static void man_option(const struct cpv_opt_group *g, const struct cpv_opt *o,
                       struct cpv_buf *out)
{
    cpv_buf_str(out, ".TP\n.B ");
    if (o->name) {
        cpv_buf_str(out, is_on(o) ? "\\-\\-[no\\-]" : "\\-\\-");
        add_troff(out, o->name);
    } else {
        if (g->section && g->section[0]) {
            add_troff(out, g->section);
            cpv_buf_byte(out, '.');
        }
        add_troff(out, o->key);
    }
    if (o->name && o->kind != CPV_OPT_FLAG) {
        cpv_buf_str(out, " \\fI");
        add_troff(out, cpv_opt_arg(o));
        cpv_buf_str(out, "\\fR");
    }
    cpv_buf_byte(out, '\n');
    if (o->help && o->help[0])
        troff_line(out, o->help);
    man_details(g, o, out);
}

/* Keys that only a configuration can set. */
static void man_keys(const struct cpv_program *p, struct cpv_buf *out)
{
    bool any = false;

    for (size_t i = 0; i < p->n_groups; i++)
        for (const struct cpv_opt *o = p->groups[i].opts; o->kind != CPV_OPT_END; o++) {
            if (o->name || !o->key || o->flags & CPV_OPT_HIDDEN)
                continue;
            if (!any)
                cpv_buf_str(out, ".SH CONFIGURATION\n"
                                 "These have no option of their own:\n");
            any = true;
            man_option(&p->groups[i], o, out);
        }
}

static void man_status(struct cpv_buf *out)
{
    static const struct {
        const char *status, *text;
    } table[] = {
        {"0", "Done. Samples may have failed: they are counted and listed."},
        {"2", "Wrong usage."},
        {"65", "The input is bad, or too many samples failed."},
        {"70", "A mistake in the program."},
        {"74", "The system refused: disk full, permission, memory."},
        {"75", "Stopped, or held by another process; run it again."},
        {"78", "The settings differ from those that the output was made with."},
    };

    cpv_buf_str(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        cpv_buf_printf(out, ".TP\n.B %s\n", table[i].status);
        troff_line(out, table[i].text);
    }
}

/* In one word: what follows a space would be the section. */
static void add_upper(struct cpv_buf *out, const char *s)
{
    for (; *s; s++)
        cpv_buf_byte(out, *s == ' ' ? '-' : (uint8_t)toupper((unsigned char)*s));
}

void cpv_program_man(const struct cpv_program *p, const char *date_free_section,
                     struct cpv_buf *out)
{
    cpv_buf_str(out, ".TH ");
    add_upper(out, p->name);
    cpv_buf_printf(out, " %s \"\" \"%s %s\"\n.SH NAME\n", date_free_section, p->name,
                   p->version);
    add_troff(out, p->name);
    cpv_buf_str(out, " \\- ");
    troff_line(out, p->summary);
    cpv_buf_str(out, ".SH SYNOPSIS\n.B ");
    troff_line(out, p->name);
    troff_line(out, p->usage ? p->usage : "[options]");
    if (p->description) {
        cpv_buf_str(out, ".SH DESCRIPTION\n");
        for (const char *s = p->description; *s;) {
            size_t n = strcspn(s, "\n");
            struct cpv_buf line = {0};
            const char *text;

            cpv_buf_add(&line, s, n);
            text = cpv_buf_cstr(&line);
            if (n == 0)
                cpv_buf_str(out, ".PP\n");
            else if (text)
                troff_line(out, text);
            out->failed |= !text;
            cpv_buf_release(&line);
            s += n + (s[n] == '\n');
        }
    }
    cpv_buf_str(out, ".SH OPTIONS\n");
    for (size_t i = 0; i < p->n_groups; i++) {
        if (!any_shown(&p->groups[i]))
            continue;
        cpv_buf_str(out, ".SS ");
        troff_line(out, p->groups[i].title ? p->groups[i].title : "Options");
        for (const struct cpv_opt *o = p->groups[i].opts; o->kind != CPV_OPT_END; o++)
            if (shown(o))
                man_option(&p->groups[i], o, out);
    }
    cpv_buf_str(out, ".SS Help\n");
    for (size_t i = 0; i < CPV_COUNT(built_in); i++) {
        cpv_buf_printf(out, ".TP\n.B \\-\\-%s\n", built_in[i].name);
        troff_line(out, built_in[i].help);
    }
    man_keys(p, out);
    man_status(out);
}

/* ---- completion ---- */

/* A case of the script for each option with words to choose from, or with a value. */
static void complete_values(const struct cpv_program *p, struct cpv_buf *out)
{
    bool any = false;

    for (size_t i = 0; i < p->n_groups; i++)
        for (const struct cpv_opt *o = p->groups[i].opts; o->kind != CPV_OPT_END; o++) {
            if (!shown(o) || o->kind != CPV_OPT_CHOICE)
                continue;
            cpv_buf_printf(out, "    --%s)\n        words='", o->name);
            for (size_t k = 0; o->choices[k]; k++)
                cpv_buf_printf(out, "%s%s", k ? " " : "", o->choices[k]);
            cpv_buf_str(out, "' ;;\n");
        }
    for (size_t i = 0; i < p->n_groups; i++)
        for (const struct cpv_opt *o = p->groups[i].opts; o->kind != CPV_OPT_END; o++) {
            if (!shown(o) || o->kind == CPV_OPT_CHOICE || o->kind == CPV_OPT_FLAG)
                continue;
            cpv_buf_printf(out, "%s--%s", any ? "|" : "    ", o->name);
            any = true;
        }
    if (any)
        cpv_buf_str(out, ")\n        return ;;\n");
}

void cpv_program_completion(const struct cpv_program *p, struct cpv_buf *out)
{
    struct cpv_buf function = {0};
    const char *name;

    cpv_buf_byte(&function, '_');
    for (const char *s = p->name; *s; s++)
        cpv_buf_byte(&function, isalnum((unsigned char)*s) ? (uint8_t)*s : '_');
    name = cpv_buf_cstr(&function);
    if (!name) {
        out->failed = true;
        cpv_buf_release(&function);
        return;
    }
    /* An empty reply falls through to bash's own completion of file names. */
    cpv_buf_printf(out,
                   "# bash completion for %s; source it\n%s()\n{\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
                   "    local prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                   "    COMPREPLY=()\n"
                   "    if [[ $cur == = ]]; then\n        cur=\n"
                   "    elif [[ $prev == = && $COMP_CWORD -gt 1 ]]; then\n"
                   "        prev=${COMP_WORDS[COMP_CWORD-2]}\n    fi\n"
                   "    case $prev in\n",
                   p->name, name);
    complete_values(p, out);
    cpv_buf_str(out, "    *)\n        [[ $cur == -* ]] || return\n        words='");
    for (size_t i = 0; i < p->n_groups; i++)
        for (const struct cpv_opt *o = p->groups[i].opts; o->kind != CPV_OPT_END; o++)
            if (shown(o))
                cpv_buf_printf(out, "--%s%s ", is_on(o) ? "no-" : "", o->name);
    for (size_t i = 0; i < CPV_COUNT(built_in); i++)
        cpv_buf_printf(out, "%s--%s", i ? " " : "", built_in[i].name);
    cpv_buf_str(out, "' ;;\n    esac\n"
                     "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n");
    if (!strchr(p->name, ' ')) /* else whoever completes the first word calls it */
        cpv_buf_printf(out, "complete -o bashdefault -o default -F %s %s\n", name,
                       p->name);
    cpv_buf_release(&function);
}

void cpv_program_answer(const struct cpv_program *p, enum cpv_cli_ask ask,
                        struct cpv_buf *out)
{
    switch (ask) {
    case CPV_ASK_NOTHING:
        break;
    case CPV_ASK_HELP:
        cpv_program_help(p, out);
        break;
    case CPV_ASK_VERSION:
        cpv_buf_printf(out, "%s %s\n", p->name, p->version);
        break;
    case CPV_ASK_MAN:
        cpv_program_man(p, "1", out);
        break;
    case CPV_ASK_COMPLETION:
        cpv_program_completion(p, out);
        break;
    }
}

int cpv_program_print(const struct cpv_program *p, enum cpv_cli_ask ask)
{
    struct cpv_buf text = {0};
    int status = 0;

    cpv_program_answer(p, ask, &text);
    if (text.failed || fwrite(text.data, 1, text.size, stdout) != text.size ||
        fflush(stdout) != 0)
        status = 74;
    cpv_buf_release(&text);
    return status;
}
