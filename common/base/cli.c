/* SPDX-License-Identifier: Apache-2.0 */
/* See cli.h. The command line: words to assignments; suggestions for mistakes. */
#include "common/base/cli.h"

#include <limits.h>

#include "common/base/cli_impl.h"
#include "common/base/size.h"

/* ---- names ---- */

static char folded(char c)
{
    return c == '_' ? '-' : c;
}

/* Equal but for - and _? b has a length: it may be one of several in a string. */
static bool same_name(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] == '\0' || folded(a[i]) != folded(b[i]))
            return false;
    return a[n] == '\0';
}

size_t cpv_opt_alias(const char **at)
{
    const char *s = *at + strspn(*at, " ");

    *at = s;
    return strcspn(s, " ");
}

static bool has_name(const struct cpv_opt *o, const char *name, size_t n)
{
    const char *alias = o->aliases;
    size_t size;

    if (!o->name)
        return false;
    if (strlen(o->name) == n && same_name(o->name, name, n))
        return true;
    for (; alias && (size = cpv_opt_alias(&alias)); alias += size) {
        size_t i = 0;

        while (i < size && i < n && folded(alias[i]) == folded(name[i]))
            i++;
        if (i == size && i == n)
            return true;
    }
    return false;
}

static const struct cpv_opt *find_name(const struct cpv_program *p, const char *name,
                                       size_t n, const struct cpv_opt_group **group)
{
    for (size_t i = 0; i < p->n_groups; i++)
        for (const struct cpv_opt *o = p->groups[i].opts; o->kind != CPV_OPT_END; o++)
            if (has_name(o, name, n)) {
                *group = &p->groups[i];
                return o;
            }
    return NULL;
}

/* ---- what was meant ---- */

enum { WORD_MAX = 64, FAR = INT_MAX };

/*
 * Edits from one word to the other: insert, delete, replace, swap neighbours; - and _
 * are the same, and so are cases. FAR for words too long to be worth it.
 */
static int distance(const char *a, const char *b)
{
    int row[3][WORD_MAX + 1], *before = row[0], *last = row[1], *now = row[2];
    size_t na = strlen(a), nb = strlen(b);

    if (na > WORD_MAX || nb > WORD_MAX)
        return FAR;
    for (size_t j = 0; j <= nb; j++)
        last[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int *spare = before;

        now[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            char x = folded(a[i - 1]), y = folded(b[j - 1]);
            bool same = (x | 0x20) == (y | 0x20);
            int best = last[j - 1] + !same;

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

/* Smaller is nearer; FAR if it is no help. The start of a word is near to it. */
static int nearness(const char *typed, const char *word)
{
    int d = distance(typed, word);
    size_t n = strlen(typed);

    if (n >= 3 && strlen(word) > n) {
        size_t i = 0;

        while (i < n && folded(typed[i]) == folded(word[i]))
            i++;
        if (i == n)
            return 1;
    }
    return d <= (n < 4 ? 1 : (int)(n + 2) / 4 + 1) && d < (int)n ? d : FAR;
}

const char *cpv_opts_nearest_word(const char *word, const char *const *words)
{
    const char *best = NULL;
    int best_d = FAR;

    for (; *words; words++) {
        int d = nearness(word, *words);

        if (d < best_d) {
            best = *words;
            best_d = d;
        }
    }
    return best;
}

static bool top_level(const struct cpv_opt_group *g)
{
    return !g->section || !g->section[0];
}

const char *cpv_opts_nearest_key(const struct cpv_program *p, const char *full_key,
                                 cpv_arena *mem)
{
    const char *dot = strrchr(full_key, '.'), *tail = dot ? dot + 1 : full_key;
    char *best = NULL;
    int best_d = FAR;

    for (size_t i = 0; i < p->n_groups; i++) {
        const struct cpv_opt_group *g = &p->groups[i];

        for (const struct cpv_opt *o = g->opts; o->kind != CPV_OPT_END; o++) {
            char *key;
            int d;

            if (!o->key)
                continue;
            key = cpv_opt_full_key(g, o, mem);
            if (!key)
                return NULL;
            d = nearness(full_key, key);
            if (d > 1 && strcmp(tail, o->key) == 0)
                d = 1; /* the right key in the wrong section */
            if (d < best_d) {
                best = key;
                best_d = d;
            }
        }
    }
    return best;
}

char *cpv_opt_full_key(const struct cpv_opt_group *g, const struct cpv_opt *o,
                       cpv_arena *mem)
{
    if (top_level(g))
        return cpv_arena_printf(mem, "%s", o->key);
    return cpv_arena_printf(mem, "%s.%s", g->section, o->key);
}

const struct cpv_opt *cpv_opts_find_key(const struct cpv_program *p, const char *full_key,
                                        const struct cpv_opt_group **group)
{
    for (size_t i = 0; i < p->n_groups; i++) {
        const struct cpv_opt_group *g = &p->groups[i];
        const char *key = full_key;

        if (!top_level(g)) {
            size_t n = strlen(g->section);

            if (strncmp(key, g->section, n) != 0 || key[n] != '.')
                continue;
            key += n + 1;
        }
        for (const struct cpv_opt *o = g->opts; o->kind != CPV_OPT_END; o++)
            if (o->key && strcmp(o->key, key) == 0) {
                if (group)
                    *group = g;
                return o;
            }
    }
    return NULL;
}

struct nearest {
    char name[WORD_MAX + 1];
    int d;
    bool flag;
};

static void consider(struct nearest *best, const char *typed, const char *word, size_t n,
                     bool flag)
{
    char copy[WORD_MAX + 1];
    int d;

    if (n >= sizeof copy)
        return;
    memcpy(copy, word, n);
    copy[n] = '\0';
    d = nearness(typed, copy);
    if (d < best->d) {
        best->d = d;
        best->flag = flag;
        memcpy(best->name, copy, n + 1);
    }
}

/* The option nearest to what was typed, without dashes; "" if none is near. */
static void nearest_option(const struct cpv_program *p, const char *typed,
                           struct nearest *best)
{
    static const char *const built_in[] = {"help", "version", "man", "completion"};

    for (size_t i = 0; i < p->n_groups; i++)
        for (const struct cpv_opt *o = p->groups[i].opts; o->kind != CPV_OPT_END; o++) {
            const char *alias = o->aliases;
            bool flag = o->kind == CPV_OPT_FLAG;
            size_t size;

            if (!o->name || o->flags & CPV_OPT_HIDDEN)
                continue;
            consider(best, typed, o->name, strlen(o->name), flag);
            for (; alias && (size = cpv_opt_alias(&alias)); alias += size)
                consider(best, typed, alias, size, flag);
        }
    for (size_t i = 0; i < CPV_COUNT(built_in); i++)
        consider(best, typed, built_in[i], strlen(built_in[i]), false);
}

static int unknown(const struct cpv_program *p, const char *word, size_t n,
                   struct cpv_err *err)
{
    char typed[WORD_MAX + 1], shown[CPV_SHOWN];
    struct nearest best = {.d = FAR}, denied = {.d = FAR};

    cpv_opt_shown(shown, word, n);
    if (n > 2 && n - 2 < sizeof typed) {
        memcpy(typed, word + 2, n - 2);
        typed[n - 2] = '\0';
        nearest_option(p, typed, &best);
        if (same_name("no-", typed, 3) && typed[3])
            nearest_option(p, typed + 3, &denied);
    }
    if (denied.flag && denied.d < best.d)
        return cpv_fail(err, CPV_E_USAGE, "unknown option '%s', did you mean '--no-%s'?",
                        shown, denied.name);
    if (best.d == FAR)
        return cpv_fail(err, CPV_E_USAGE, "unknown option '%s'; --help lists them all",
                        shown);
    return cpv_fail(err, CPV_E_USAGE, "unknown option '%s', did you mean '--%s'?", shown,
                    best.name);
}

/* ---- words ---- */

static enum cpv_cli_ask asked(const char *word)
{
    static const struct {
        const char *word;
        enum cpv_cli_ask ask;
    } table[] = {{"-h", CPV_ASK_HELP},
                 {"--help", CPV_ASK_HELP},
                 {"--version", CPV_ASK_VERSION},
                 {"--man", CPV_ASK_MAN},
                 {"--completion", CPV_ASK_COMPLETION}};

    for (size_t i = 0; i < CPV_COUNT(table); i++)
        if (strcmp(word, table[i].word) == 0)
            return table[i].ask;
    return CPV_ASK_NOTHING;
}

struct words {
    int argc, at;
    char **argv;
};

/* The value of an option: after '=', or the next word, or what a flag says itself. */
static int take_value(struct cpv_cli_assign *a, const char *equals, bool negated,
                      struct words *w, struct cpv_err *err)
{
    const char *next = w->at + 1 < w->argc ? w->argv[w->at + 1] : NULL;
    const char *arg = cpv_opt_arg(a->opt);

    if (a->opt->kind == CPV_OPT_FLAG) {
        a->value = negated ? "false" : "true";
        if (equals && negated)
            return cpv_fail(err, CPV_E_USAGE, "'%s': takes no value", a->spelled);
        if (equals) {
            a->value = equals + 1;
        } else if (!negated && next &&
                   (strcmp(next, "True") == 0 || strcmp(next, "False") == 0)) {
            a->value = next;
            w->at++;
        }
        return CPV_OK;
    }
    if (equals) {
        a->value = equals + 1;
        return CPV_OK;
    }
    if (!next || strncmp(next, "--", 2) == 0)
        return cpv_fail(err, CPV_E_USAGE, "'%s': needs a value: %s%s%s", a->spelled,
                        a->spelled, arg[0] ? " " : "", arg);
    a->value = next;
    w->at++;
    return CPV_OK;
}

static int take_option(const struct cpv_program *p, struct words *w, cpv_arena *mem,
                       struct cpv_cli *out, struct cpv_err *err)
{
    const char *word = w->argv[w->at], *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    size_t dashes = strncmp(word, "--", 2) == 0 ? 2 : 1;
    struct cpv_cli_assign a = {0};
    bool negated = false;
    int rc;

    if (dashes == 1 && n != 2) /* one letter, or it is none of ours */
        return unknown(p, word, n, err);
    a.opt = find_name(p, word + dashes, n - dashes, &a.group);
    if (!a.opt && n > 5 && same_name("no-", word + 2, 3)) {
        a.opt = find_name(p, word + 5, n - 5, &a.group);
        negated = true;
    }
    if (!a.opt || (negated && a.opt->kind != CPV_OPT_FLAG))
        return unknown(p, word, n, err);
    a.spelled = cpv_arena_str(mem, cpv_bytes_of(word, n));
    if (!a.spelled)
        return cpv_fail_memory(err);
    if ((rc = take_value(&a, equals, negated, w, err)))
        return rc;
    out->assign[out->n_assign++] = a;
    return CPV_OK;
}

int cpv_cli_parse(const struct cpv_program *p, int argc, char **argv, cpv_arena *mem,
                  struct cpv_cli *out, struct cpv_err *err)
{
    struct words w = {argc, 1, argv};
    size_t most = argc > 0 ? (size_t)argc : 1;
    bool ended = false;
    int rc;

    memset(out, 0, sizeof *out);
    out->assign = cpv_arena_calloc(mem, most, sizeof *out->assign);
    out->rest = cpv_arena_calloc(mem, most, sizeof *out->rest);
    if (!out->assign || !out->rest)
        return cpv_fail_memory(err);
    for (; w.at < argc; w.at++) {
        const char *word = argv[w.at];

        if (ended || word[0] != '-' || word[1] == '\0') {
            out->rest[out->n_rest++] = word;
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if ((out->ask = asked(word)) != CPV_ASK_NOTHING) {
            return CPV_OK;
        } else if ((rc = take_option(p, &w, mem, out, err))) {
            return rc;
        }
    }
    return CPV_OK;
}

int cpv_cli_apply(const struct cpv_cli *cli, cpv_arena *mem, struct cpv_err *err)
{
    for (size_t i = 0; i < cli->n_assign; i++) {
        const struct cpv_cli_assign *a = &cli->assign[i];

        if (a->opt->flags & CPV_OPT_REPEAT)
            cpv_opt_clear(a->group, a->opt);
    }
    for (size_t i = 0; i < cli->n_assign; i++) {
        const struct cpv_cli_assign *a = &cli->assign[i];
        const char *where = cpv_arena_printf(mem, "'%s'", a->spelled);
        int rc;

        if (!where)
            return cpv_fail_memory(err);
        rc = cpv_opts_assign(a->group, a->opt, a->value, where, mem, err);
        if (rc)
            return rc;
    }
    return CPV_OK;
}
