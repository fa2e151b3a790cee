/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h: every way to spell an option, every message, values as YAML. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/cli.h"
#include "common/base/size.h"

static const char *const modes[] = {"no", "border", "keep_ratio", NULL};

struct fields {
    bool dry_run, exif;
    int64_t image_size, budget, seed;
    double ratio, aspect;
    const char *corpus, *format;
    int mode;
    struct cpv_texts captions, set;
};

#define AT(field) offsetof(struct fields, field)

static const struct cpv_opt shared[] = {
    {.name = "corpus", .kind = CPV_OPT_TEXT, .offset = AT(corpus), .arg = "DIR"},
    {.name = "dry-run", .kind = CPV_OPT_FLAG, .offset = AT(dry_run)},
    {.name = "seed",
     .key = "seed",
     .kind = CPV_OPT_INT,
     .offset = AT(seed),
     .fallback = "-5",
     .flags = CPV_OPT_PINNED},
    {.name = "set", .kind = CPV_OPT_LIST, .offset = AT(set), .flags = CPV_OPT_REPEAT},
    {.kind = CPV_OPT_END}};

static const struct cpv_opt fetch[] = {{.name = "image-size",
                                        .key = "image_size",
                                        .aliases = "resize_to size i",
                                        .kind = CPV_OPT_INT,
                                        .offset = AT(image_size),
                                        .fallback = "256",
                                        .min = 1,
                                        .max = 16384,
                                        .arg = "PIXELS",
                                        .help = "Longest side.",
                                        .flags = CPV_OPT_PINNED},
                                       {.name = "resize-mode",
                                        .key = "resize_mode",
                                        .kind = CPV_OPT_CHOICE,
                                        .offset = AT(mode),
                                        .fallback = "keep_ratio",
                                        .choices = modes},
                                       {.name = "budget",
                                        .key = "budget",
                                        .kind = CPV_OPT_SIZE,
                                        .offset = AT(budget),
                                        .fallback = "512M",
                                        .min = 1048576,
                                        .max = 68719476736.0},
                                       {.name = "max-aspect",
                                        .key = "max_aspect",
                                        .kind = CPV_OPT_REAL,
                                        .offset = AT(aspect),
                                        .fallback = "inf",
                                        .min = 1,
                                        .max = INFINITY},
                                       {.name = "ratio",
                                        .key = "ratio",
                                        .kind = CPV_OPT_REAL,
                                        .offset = AT(ratio),
                                        .max = 1},
                                       {.name = "captions",
                                        .key = "captions",
                                        .kind = CPV_OPT_LIST,
                                        .offset = AT(captions),
                                        .fallback = "caption"},
                                       {.name = "exif",
                                        .key = "exif",
                                        .kind = CPV_OPT_FLAG,
                                        .offset = AT(exif),
                                        .fallback = "true"},
                                       {.key = "format",
                                        .kind = CPV_OPT_TEXT,
                                        .offset = AT(format),
                                        .flags = CPV_OPT_PINNED},
                                       {.kind = CPV_OPT_END}};

struct world {
    struct fields f;
    struct cpv_opt_group groups[2];
    struct cpv_program program;
    struct cpv_cli cli;
    struct cpv_err err;
    cpv_arena *mem;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    *state = w;
    if (!w)
        return -1;
    w->groups[0] = (struct cpv_opt_group){"Common", NULL, shared, &w->f};
    w->groups[1] = (struct cpv_opt_group){"Fetch", "fetch", fetch, &w->f};
    w->program = (struct cpv_program){
        "cap-fetch", "1.2", "fetches images", "[options]", NULL, w->groups, 2};
    if (cpv_arena_open(&w->mem, 0, &w->err))
        return -1;
    return cpv_opts_defaults(&w->program, w->mem, &w->err);
}

static int tear_down(void **state)
{
    struct world *w = *state;

    cpv_arena_close(&w->mem);
    free(w);
    return 0;
}

/* Parse and apply words parted by '|'; an empty line is no words. */
static int run(struct world *w, const char *line)
{
    char *words[20] = {NULL}, *copy = cpv_arena_str(w->mem, cpv_bytes_str(line));
    int n = 1, rc;

    for (char *s = copy; line[0] && s; n++) {
        words[n] = s;
        s = strchr(s, '|');
        if (s)
            *s++ = '\0';
    }
    rc = cpv_cli_parse(&w->program, n, words, w->mem, &w->cli, &w->err);
    return rc ? rc : cpv_cli_apply(&w->cli, w->mem, &w->err);
}

static void assert_run(struct world *w, const char *line)
{
    int rc = run(w, line);

    if (rc)
        fail_msg("%s: %s", line, w->err.text);
}

static void defaults_are_as_spelled(void **state)
{
    struct world *w = *state;

    assert_false(w->f.dry_run);
    assert_true(w->f.exif);
    assert_int_equal(w->f.seed, -5);
    assert_int_equal(w->f.image_size, 256);
    assert_int_equal(w->f.budget, 512 << 20);
    assert_true(isinf(w->f.aspect));
    assert_true(w->f.ratio == 0);
    assert_int_equal(w->f.mode, 2);
    assert_int_equal(w->f.captions.count, 1);
    assert_string_equal(w->f.captions.at[0], "caption");
    assert_null(w->f.corpus);
    assert_int_equal(w->f.set.count, 0);
}

static void a_bad_default_is_our_bug(void **state)
{
    struct world *w = *state;
    struct cpv_opt bad[] = {fetch[0], {.kind = CPV_OPT_END}};

    bad[0].fallback = "0";
    w->groups[1].opts = bad;
    assert_int_equal(cpv_opts_defaults(&w->program, w->mem, &w->err), CPV_E_BUG);
    assert_int_equal(w->err.code, CPV_E_BUG);
}

static void names_in_every_spelling(void **state)
{
    static const char *const lines[] = {
        "--image-size|77", "--image_size|77", "--image-size=77", "--image_size=77",
        "--resize_to|77",  "--resize-to=77",  "--size=77",       "--size=1|--size=77",
        "-i|77",           "-i=77",           "--i=77",          "-i|1|-i|77"};
    struct world *w = *state;

    for (size_t i = 0; i < CPV_COUNT(lines); i++) {
        w->f.image_size = 0;
        assert_run(w, lines[i]);
        assert_int_equal(w->f.image_size, 77);
    }
}

static void flags_in_every_spelling(void **state)
{
    static const struct {
        const char *line;
        bool on;
        size_t rest;
    } table[] = {{"--exif", true, 0},          {"--no-exif", false, 0},
                 {"--no_exif", false, 0},      {"--exif=false", false, 0},
                 {"--exif=True", true, 0},     {"--exif|False", false, 0},
                 {"--exif|True", true, 0},     {"--exif|true", true, 1},
                 {"--exif|file", true, 1},     {"--no-exif|True", false, 1},
                 {"--no-exif|--exif", true, 0}};
    struct world *w = *state;

    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        w->f.exif = !table[i].on;
        assert_run(w, table[i].line);
        assert_int_equal(w->f.exif, table[i].on);
        assert_int_equal(w->cli.n_rest, table[i].rest);
    }
}

static void words_that_are_no_options(void **state)
{
    struct world *w = *state;

    assert_run(w, "a|--dry-run|-|--|--exif|--");
    assert_true(w->f.dry_run);
    assert_int_equal(w->cli.n_rest, 4);
    assert_string_equal(w->cli.rest[0], "a");
    assert_string_equal(w->cli.rest[1], "-");
    assert_string_equal(w->cli.rest[2], "--exif");
    assert_string_equal(w->cli.rest[3], "--");
    assert_run(w, "");
    assert_int_equal(w->cli.n_rest, 0);
    assert_int_equal(cpv_cli_parse(&w->program, 0, NULL, w->mem, &w->cli, &w->err), 0);
}

static void values_of_every_kind(void **state)
{
    struct world *w = *state;

    assert_run(w, "--seed|-9223372036854775808|--budget=3G|--ratio|.5|--max-aspect=2e1");
    assert_true(w->f.seed == INT64_MIN);
    assert_true(w->f.budget == (int64_t)3 << 30);
    assert_true(w->f.ratio == 0.5);
    assert_true(w->f.aspect == 20);
    assert_run(w, "--seed=9223372036854775807|--max-aspect=inf|--resize-mode=keep-ratio");
    assert_true(w->f.seed == INT64_MAX);
    assert_true(isinf(w->f.aspect));
    assert_int_equal(w->f.mode, 2);
    assert_run(w, "--budget=2048K|--corpus=|--seed=1|--seed=2");
    assert_int_equal(w->f.budget, 2 << 20);
    assert_string_equal(w->f.corpus, "");
    assert_int_equal(w->f.seed, 2);
}

static void list_is(const struct cpv_texts *list, const char *expected)
{
    char got[256] = "";
    size_t n = 0;

    for (size_t i = 0; i < list->count; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "<%s>", list->at[i]);
    assert_string_equal(got, expected);
}

static void lists_in_every_spelling(void **state)
{
    static const char *const table[][2] = {
        {"a,b", "<a><b>"},
        {" a , b c ", "<a><b c>"},
        {"", ""},
        {"[]", ""},
        {"[ ]", ""},
        {"[\"a\",\"b\"]", "<a><b>"},
        {"[a, 'it''s', \"x,\\\"y]\\u00e9\\n\"] ", "<a><it's><x,\"y]\xc3\xa9\n>"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        int rc = cpv_opts_assign(&w->groups[1], &fetch[5], table[i][0], "'x'", w->mem,
                                 &w->err);

        if (rc)
            fail_msg("%s: %s", table[i][0], w->err.text);
        list_is(&w->f.captions, table[i][1]);
    }
}

static void repeated_options_append(void **state)
{
    struct world *w = *state;

    assert_run(w, "--set|a=1,2|--set=b=3");
    list_is(&w->f.set, "<a=1,2><b=3>");
    assert_run(w, "--set|c");
    list_is(&w->f.set, "<c>");
}

static void every_message(void **state)
{
    static const char *const table[][2] = {
        {"--imge-size=3", "unknown option '--imge-size', did you mean '--image-size'?"},
        {"--image", "unknown option '--image', did you mean '--image-size'?"},
        {"--hlep", "unknown option '--hlep', did you mean '--help'?"},
        {"--no-exfi", "unknown option '--no-exfi', did you mean '--no-exif'?"},
        {"--zzzzzz", "unknown option '--zzzzzz'; --help lists them all"},
        {"-x", "unknown option '-x'; --help lists them all"},
        {"-size", "unknown option '-size', did you mean '--size'?"},
        {"-i", "'-i': needs a value: -i PIXELS"},
        {"--no-seed", "unknown option '--no-seed', did you mean '--seed'?"},
        {"--image-size", "'--image-size': needs a value: --image-size PIXELS"},
        {"--image_size|--exif", "'--image_size': needs a value: --image_size PIXELS"},
        {"--no-exif=true", "'--no-exif': takes no value"},
        {"--exif=yes", "'--exif': expected true or false, got 'yes'"},
        {"--image-size=12x",
         "'--image-size': expected a whole number from 1 to 16384, got '12x'"},
        {"--size=0", "'--size': expected a whole number from 1 to 16384, got '0'"},
        {"--size=16385",
         "'--size': expected a whole number from 1 to 16384, got '16385'"},
        {"--size=", "'--size': expected a whole number from 1 to 16384, got ''"},
        {"--size= 5", "'--size': expected a whole number from 1 to 16384, got ' 5'"},
        {"--size=+5", "'--size': expected a whole number from 1 to 16384, got '+5'"},
        {"--seed=9223372036854775808",
         "'--seed': expected a whole number, got '9223372036854775808'"},
        {"--seed=99999999999999999999",
         "'--seed': expected a whole number, got '99999999999999999999'"},
        {"--seed=-", "'--seed': expected a whole number, got '-'"},
        {"--budget=1K",
         "'--budget': expected a size in bytes, K, M or G from 1M to 64G, got '1K'"},
        {"--budget=G",
         "'--budget': expected a size in bytes, K, M or G from 1M to 64G, got 'G'"},
        {"--budget=99999999999G", "'--budget': expected a size in bytes, K, M or G from "
                                  "1M to 64G, got '99999999999G'"},
        {"--ratio=1.5", "'--ratio': expected a number from 0 to 1, got '1.5'"},
        {"--ratio=nan", "'--ratio': expected a number from 0 to 1, got 'nan'"},
        {"--ratio=0x1", "'--ratio': expected a number from 0 to 1, got '0x1'"},
        {"--ratio=1e", "'--ratio': expected a number from 0 to 1, got '1e'"},
        {"--ratio=1e999", "'--ratio': expected a number from 0 to 1, got '1e999'"},
        {"--max-aspect=.5", "'--max-aspect': expected a number of at least 1, got '.5'"},
        {"--resize-mode=crop",
         "'--resize-mode': expected no, border or keep_ratio, got 'crop'"},
        {"--resize-mode=keep_rati",
         "'--resize-mode': expected no, border or keep_ratio, got 'keep_rati'"},
        {"--captions=a,,b", "'--captions': expected words separated by commas, or "
                            "[\"a\", \"b\"], got 'a,,b'"},
        {"--captions=[a", "'--captions': expected words separated by commas, or "
                          "[\"a\", \"b\"], got '[a'"},
        {"--captions=[a,]", "'--captions': expected words separated by commas, or "
                            "[\"a\", \"b\"], got '[a,]'"},
        {"--captions=[\"a]", "'--captions': expected words separated by commas, or "
                             "[\"a\", \"b\"], got '[\"a]'"},
        {"--captions=[a]b", "'--captions': expected words separated by commas, or "
                            "[\"a\", \"b\"], got '[a]b'"},
        {"--size=a\nb\x1b", "'--size': expected a whole number from 1 to 16384, got "
                            "'a?b?'"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        struct fields before = w->f;

        assert_int_equal(run(w, table[i][0]), CPV_E_USAGE);
        assert_string_equal(w->err.text, table[i][1]);
        assert_memory_equal(&w->f, &before, sizeof before);
    }
}

static void long_values_are_cut_in_messages(void **state)
{
    struct world *w = *state;
    char line[1000] = "--size=";

    memset(line + 7, '9', sizeof line - 8);
    assert_int_equal(run(w, line), CPV_E_USAGE);
    assert_true(strlen(w->err.text) < 200);
    assert_non_null(strstr(w->err.text, "999...'"));
    memset(line + 2, 'z', sizeof line - 3);
    assert_int_equal(run(w, line), CPV_E_USAGE);
    assert_true(strlen(w->err.text) < 200);
}

static void configuration_keys(void **state)
{
    struct world *w = *state;
    const struct cpv_opt_group *g = NULL;
    const char *const items[] = {"x", "y,z"};

    assert_ptr_equal(cpv_opts_find_key(&w->program, "fetch.image_size", &g), &fetch[0]);
    assert_ptr_equal(g, &w->groups[1]);
    assert_ptr_equal(cpv_opts_find_key(&w->program, "seed", NULL), &shared[2]);
    assert_null(cpv_opts_find_key(&w->program, "image_size", NULL));
    assert_null(cpv_opts_find_key(&w->program, "fetch.seed", NULL));
    assert_null(cpv_opts_find_key(&w->program, "corpus", NULL));
    assert_string_equal(cpv_opts_nearest_key(&w->program, "fetch.imagesize", w->mem),
                        "fetch.image_size");
    assert_string_equal(cpv_opts_nearest_key(&w->program, "image_size", w->mem),
                        "fetch.image_size");
    assert_null(cpv_opts_nearest_key(&w->program, "wombat", w->mem));
    assert_int_equal(cpv_opts_assign(g, &fetch[0], "big",
                                     "'c.yaml' line 3 column 9: 'fetch.image_size'",
                                     w->mem, &w->err),
                     CPV_E_USAGE);
    assert_string_equal(w->err.text,
                        "'c.yaml' line 3 column 9: 'fetch.image_size': expected a whole "
                        "number from 1 to 16384, got 'big'");
    assert_int_equal(cpv_opts_assign_list(g, &fetch[5], items, 2, "'x'", w->mem, &w->err),
                     0);
    list_is(&w->f.captions, "<x><y,z>");
    assert_int_equal(cpv_opts_assign_list(g, &fetch[0], items, 2, "'x'", w->mem, &w->err),
                     CPV_E_USAGE);
    assert_string_equal(w->err.text,
                        "'x': expected a whole number from 1 to 16384, got a list");
}

static void near_words(void **state)
{
    static const char *const words[] = {"run", "status", "inspect", "index", NULL};

    (void)state;
    assert_string_equal(cpv_opts_nearest_word("stauts", words), "status");
    assert_string_equal(cpv_opts_nearest_word("ruN", words), "run");
    assert_string_equal(cpv_opts_nearest_word("insp", words), "inspect");
    assert_null(cpv_opts_nearest_word("quite-else", words));
    assert_null(cpv_opts_nearest_word("", words));
    assert_null(cpv_opts_nearest_word("x", words));
}

/* Text, and what must be written for it. */
static void texts_are_quoted_where_yaml_needs_it(void **state)
{
    static const char *const table[][2] = {
        {"plain", "plain"},
        {"a/b.c-d_e", "a/b.c-d_e"},
        {"/data/x.tsv", "/data/x.tsv"},
        {"", "\"\""},
        {"null", "\"null\""},
        {"No", "\"No\""},
        {"true", "\"true\""},
        {"12", "\"12\""},
        {"1e5", "\"1e5\""},
        {"-x", "\"-x\""},
        {"~", "\"~\""},
        {"a: b", "\"a: b\""},
        {"a #b", "\"a #b\""},
        {"a,b", "\"a,b\""},
        {"*x", "\"*x\""},
        {" x", "\" x\""},
        {"say \"\\\"", "\"say \\\"\\\\\\\"\""},
        {"tab\tline\nbell\a", "\"tab\\tline\\nbell\\x07\""},
        {"\xc3\xa9t\xc3\xa9", "\"\xc3\xa9t\xc3\xa9\""},
        {"\xe2\x80\xa8", "\"\\u2028\""},
        {"\xc2\x85", "\"\\x85\""},
    };
    struct world *w = *state;
    struct cpv_buf b = {0};

    cpv_opts_value(&w->groups[1], &fetch[7], &b);
    assert_string_equal(cpv_buf_cstr(&b), "null");
    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        cpv_buf_clear(&b);
        assert_int_equal(cpv_opts_assign(&w->groups[1], &fetch[7], table[i][0], "'f'",
                                         w->mem, &w->err),
                         0);
        cpv_opts_value(&w->groups[1], &fetch[7], &b);
        assert_string_equal(cpv_buf_cstr(&b), table[i][1]);
    }
    cpv_buf_release(&b);
    assert_int_equal(
        cpv_opts_assign(&w->groups[1], &fetch[7], "\xff", "'f'", w->mem, &w->err),
        CPV_E_USAGE);
    assert_non_null(strstr(w->err.text, "'f': expected a text in UTF-8"));
    assert_int_equal(
        cpv_opts_assign(&w->groups[0], &shared[0], "\xff", "'f'", w->mem, &w->err), 0);
}

static void values_of_the_other_kinds(void **state)
{
    static const struct {
        const char *line;
        int opt;
        const char *yaml;
    } table[] = {
        {"--size=7", 0, "7"},
        {"--resize-mode=no", 1, "\"no\""},
        {"--resize-mode=border", 1, "border"},
        {"--budget=1M", 2, "1048576"},
        {"--max-aspect=inf", 3, ".inf"},
        {"--ratio=0.1", 4, "0.1"},
        {"--ratio=1e-9", 4, "1.0e-09"},
        {"--ratio=0.30000000000000004", 4, "0.30000000000000004"},
        {"--captions=a,b c", 5, "[a, \"b c\"]"},
        {"--captions=", 5, "[]"},
        {"--no-exif", 6, "false"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        const struct cpv_opt *o = &fetch[table[i].opt];
        struct cpv_buf b = {0}, again = {0};

        assert_run(w, table[i].line);
        cpv_opts_value(&w->groups[1], o, &b);
        assert_string_equal(cpv_buf_cstr(&b), table[i].yaml);
        /* What a YAML parser hands back for a plain scalar gives the same again. */
        if (b.data[0] != '"') {
            assert_int_equal(cpv_opts_assign(&w->groups[1], o, cpv_buf_cstr(&b), "'x'",
                                             w->mem, &w->err),
                             0);
            cpv_opts_value(&w->groups[1], o, &again);
            assert_string_equal(cpv_buf_cstr(&again), table[i].yaml);
        }
        cpv_buf_release(&b);
        cpv_buf_release(&again);
    }
}

static void built_in_questions(void **state)
{
    static const struct {
        const char *line;
        enum cpv_cli_ask ask;
    } table[] = {{"--help", CPV_ASK_HELP},
                 {"-h", CPV_ASK_HELP},
                 {"--dry-run|--version|--zzz", CPV_ASK_VERSION},
                 {"--man", CPV_ASK_MAN},
                 {"--completion", CPV_ASK_COMPLETION},
                 {"--|--help", CPV_ASK_NOTHING}};
    struct world *w = *state;
    struct cpv_buf b = {0};

    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        assert_run(w, table[i].line);
        assert_int_equal(w->cli.ask, table[i].ask);
    }
    cpv_program_answer(&w->program, CPV_ASK_VERSION, &b);
    assert_string_equal(cpv_buf_cstr(&b), "cap-fetch 1.2\n");
    cpv_buf_release(&b);
}

static const char *check_word(const void *value)
{
    return strcmp(value, "good") == 0 ? NULL : "the word good";
}

static const char *check_pair(const void *value)
{
    return ((const struct cpv_texts *)value)->count == 2 ? NULL : "a pair";
}

/* In every way in which a value comes; what is refused leaves the field as it was. */
static void checks_of_the_options_own(void **state)
{
    static const struct cpv_opt opts[] = {{.key = "word",
                                           .kind = CPV_OPT_TEXT,
                                           .offset = AT(format),
                                           .fallback = "good",
                                           .check = check_word},
                                          {.key = "pair",
                                           .kind = CPV_OPT_LIST,
                                           .offset = AT(captions),
                                           .fallback = "a,b",
                                           .check = check_pair},
                                          {.kind = CPV_OPT_END}};
    static const char *const three[] = {"x", "y", "z"};
    struct world *w = *state;
    struct cpv_opt_group *g = &w->groups[1];

    g->opts = opts;
    w->program.n_groups = 2;
    assert_int_equal(cpv_opts_defaults(&w->program, w->mem, &w->err), 0);
    assert_int_equal(cpv_opts_assign(g, &opts[0], "bad", "'x'", w->mem, &w->err),
                     CPV_E_USAGE);
    assert_string_equal(w->err.text, "'x': expected the word good, got 'bad'");
    assert_string_equal(w->f.format, "good");
    assert_int_equal(cpv_opts_assign(g, &opts[1], "c", "'x'", w->mem, &w->err),
                     CPV_E_USAGE);
    assert_string_equal(w->err.text, "'x': expected a pair, got 'c'");
    assert_int_equal(cpv_opts_assign_list(g, &opts[1], three, 3, "'x'", w->mem, &w->err),
                     CPV_E_USAGE);
    assert_string_equal(w->err.text, "'x': expected a pair, got 'x, y, z'");
    assert_int_equal(cpv_opts_assign_list(g, &opts[1], NULL, 0, "'x'", w->mem, &w->err),
                     CPV_E_USAGE);
    assert_string_equal(w->err.text, "'x': expected a pair, got ''");
    list_is(&w->f.captions, "<a><b>");
    assert_int_equal(cpv_opts_assign_list(g, &opts[1], three, 2, "'x'", w->mem, &w->err),
                     0);
    list_is(&w->f.captions, "<x><y>");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_as_spelled),
        TEST(a_bad_default_is_our_bug),
        TEST(names_in_every_spelling),
        TEST(flags_in_every_spelling),
        TEST(words_that_are_no_options),
        TEST(values_of_every_kind),
        TEST(lists_in_every_spelling),
        TEST(repeated_options_append),
        TEST(every_message),
        TEST(long_values_are_cut_in_messages),
        TEST(configuration_keys),
        TEST(near_words),
        TEST(texts_are_quoted_where_yaml_needs_it),
        TEST(values_of_the_other_kinds),
        TEST(built_in_questions),
        TEST(checks_of_the_options_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
