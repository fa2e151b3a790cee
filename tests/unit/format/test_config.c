/* SPDX-License-Identifier: Apache-2.0 */
/* config.h: what is taken, what is refused, and where the message points. */
#include "tests/unit/format/input_unit.h"

#include "common/format/config.h"

struct settings {
    int64_t size;
    double aspect;
    bool strict;
    const char *url;
    const char *agent;
    struct cpv_texts captions;
    int mode;
    int64_t seed;
};

static const char *const modes[] = {"no", "border", "keep_ratio", NULL};

static const struct cpv_opt fetch_opts[] = {{.name = "image-size",
                                             .key = "image_size",
                                             .kind = CPV_OPT_INT,
                                             .fallback = "256",
                                             .offset = offsetof(struct settings, size),
                                             .min = 16,
                                             .max = 4096},
                                            {.name = "aspect",
                                             .key = "aspect",
                                             .kind = CPV_OPT_REAL,
                                             .fallback = "inf",
                                             .offset = offsetof(struct settings, aspect)},
                                            {.name = "strict",
                                             .key = "strict",
                                             .kind = CPV_OPT_FLAG,
                                             .offset = offsetof(struct settings, strict)},
                                            {.name = "agent",
                                             .key = "agent",
                                             .kind = CPV_OPT_TEXT,
                                             .fallback = "capivara",
                                             .offset = offsetof(struct settings, agent)},
                                            {.name = "mode",
                                             .key = "mode",
                                             .kind = CPV_OPT_CHOICE,
                                             .choices = modes,
                                             .fallback = "no",
                                             .offset = offsetof(struct settings, mode)},
                                            {.kind = CPV_OPT_END}};
static const struct cpv_opt input_opts[] = {
    {.name = "url",
     .key = "url",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct settings, url)},
    {.name = "captions",
     .key = "captions",
     .kind = CPV_OPT_LIST,
     .offset = offsetof(struct settings, captions)},
    {.kind = CPV_OPT_END}};
static const struct cpv_opt top_opts[] = {{.name = "seed",
                                           .key = "seed",
                                           .kind = CPV_OPT_INT,
                                           .offset = offsetof(struct settings, seed)},
                                          {.kind = CPV_OPT_END}};
static const char *const sections[] = {"fetch", "input"};

struct world {
    struct settings s;
    struct cpv_opt_group groups[3];
    struct cpv_program program;
    cpv_arena *mem;
};

static void begin(struct world *w)
{
    struct cpv_err err = {0};

    *w = (struct world){0};
    w->groups[0] = (struct cpv_opt_group){"Fetch", "fetch", fetch_opts, &w->s};
    w->groups[1] = (struct cpv_opt_group){"Input", "input", input_opts, &w->s};
    w->groups[2] = (struct cpv_opt_group){"All", "", top_opts, &w->s};
    w->program = (struct cpv_program){.name = "t", .groups = w->groups, .n_groups = 3};
    assert_ok(cpv_arena_open(&w->mem, 0, &err));
    assert_ok(cpv_opts_defaults(&w->program, w->mem, &err));
}

static int apply(struct world *w, const char *text, struct cpv_err *err)
{
    cpv_config *c;
    int rc = cpv_config_open_bytes(&c, cpv_bytes_str(text), "c.yaml", err);

    if (!rc)
        rc = cpv_config_apply(c, &w->program, sections, 2, w->mem, err);
    cpv_config_close(&c);
    return rc;
}

static void settings_arrive(void **state)
{
    struct cpv_err err = {0};
    struct world w;

    (void)state;
    begin(&w);
    assert_ok(apply(&w,
                    "seed: 7\n"
                    "fetch:\n"
                    "  image_size: 384   # a comment\n"
                    "  aspect: 2.5\n"
                    "  strict: true\n"
                    "  agent: \"a: b # c\"\n"
                    "  mode: keep_ratio\n"
                    "input: {url: URL, captions: [en, \"1, 2\"]}\n"
                    "caption:\n"
                    "  unknown: [to, this, program]\n"
                    "other: 5\n",
                    &err));
    assert_int_equal(w.s.seed, 7);
    assert_int_equal(w.s.size, 384);
    assert_true(w.s.aspect == 2.5);
    assert_true(w.s.strict);
    assert_string_equal(w.s.agent, "a: b # c");
    assert_int_equal(w.s.mode, 2);
    assert_string_equal(w.s.url, "URL");
    assert_int_equal(w.s.captions.count, 2);
    assert_string_equal(w.s.captions.at[1], "1, 2");
    assert_ok(apply(&w,
                    "fetch: {aspect: .inf, agent: null}\n"
                    "input: {captions: null, url: null}\n",
                    &err));
    assert_true(w.s.aspect > 1e300);
    assert_string_equal(w.s.agent, "capivara"); /* null: the default, if there is one */
    assert_null(w.s.url);
    assert_int_equal(w.s.captions.count, 0);
    assert_ok(apply(&w, "fetch: {agent: \"null\"}\ninput: {captions: \"a, b\"}\n", &err));
    assert_string_equal(w.s.agent, "null");
    assert_int_equal(w.s.captions.count, 1);
    assert_ok(apply(&w, "fetch:\ninput: {}\n", &err));
    cpv_arena_close(&w.mem);
}

static void mistakes_are_named_by_line_and_column(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"fetch:\n  imge_size: 3\n",
         "'c.yaml' line 2 column 3: unknown key "
         "'fetch.imge_size'; did you mean 'fetch.image_size'?"},
        {"fetch:\n  zzzzzzzzz: 3\n", "'c.yaml' line 2 column 3: unknown key "
                                     "'fetch.zzzzzzzzz'"},
        {"fetch:\n  image_size: {a: 3}\n", "'c.yaml' line 2 column 16: unknown key"},
        {"fetch:\n  image_size: {}\n", "'c.yaml' line 2 column 3: 'fetch.image_size': "
                                       "expected a value, found a mapping"},
        {"fetch: 5\n",
         "'c.yaml' line 1 column 1: 'fetch': expected a mapping of settings"},
        {"\n\nfetch: {image_size: 1x}\n", "'c.yaml' line 3 column 9: 'fetch.image_size'"},
        {"fetch: {image_size: 5}\n", "'c.yaml' line 1 column 9: 'fetch.image_size'"},
        {"fetch: {image_size: }\n", "'c.yaml' line 1 column 9: 'fetch.image_size'"},
        {"fetch: {image_size: [1]}\n", "'c.yaml' line 1 column 9: 'fetch.image_size'"},
        {"fetch: {mode: keep}\n", "'c.yaml' line 1 column 9: 'fetch.mode'"},
        {"input: {captions: [a, [b]]}\n",
         "'c.yaml' line 1 column 9: 'input.captions': item 2: expected a text"},
        {"seed: x\n", "'c.yaml' line 1 column 1: 'seed'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cpv_err err = {0};
        struct world w;

        begin(&w);
        assert_int_equal(apply(&w, cases[i].text, &err), CPV_E_USAGE);
        if (strncmp(err.text, cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("case %zu: %s", i, err.text);
        assert_null(strchr(err.text, '\n'));
        cpv_arena_close(&w.mem);
    }
}

static void yaml_that_is_not_ours_is_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"a: &x 1\n", "'c.yaml' line 1 column 4: anchors (&) are not supported"},
        {"a: &x [1]\n", "'c.yaml' line 1 column 4: anchors (&) are not supported"},
        {"a: *x\n", "'c.yaml' line 1 column 4: aliases (*) are not supported"},
        {"a: !!int 1\n", "'c.yaml' line 1 column 4: tags (!) are not supported"},
        {"a: ! x\n", "'c.yaml' line 1 column 4: tags (!) are not supported"},
        {"a:\n  - !t {b: 1}\n", "'c.yaml' line 2 column 5: tags (!) are not supported"},
        {"a: 1\n---\nb: 2\n", "'c.yaml' line 2 column 1: a second document"},
        {"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
         "'c.yaml' line 5 column 3: key 'c' stands twice, first on line 3"},
        {"{[a]: 1}\n", "'c.yaml' line 1 column 2: expected a plain text as key"},
        {"\"\": 1\n", "'c.yaml' line 1 column 1: expected a plain text as key"},
        {"- a\n", "'c.yaml' line 1 column 1: expected a mapping, as in 'key: value'"},
        {"just text\n",
         "'c.yaml' line 1 column 1: expected a mapping, as in 'key: value'"},
        {"a: \"x\\0y\"\n", "'c.yaml' line 1 column 4: a NUL character in a text"},
        {"a: [1\n", "'c.yaml' line 2 column 1: "},
        {"a: 1\n\tb: 2\n", "'c.yaml' line 2 column 1: "},
        {"a: \xFF\n", "'c.yaml' byte 3: invalid leading UTF-8 octet"},
        {"a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n",
         "'c.yaml' line 1 column 20: nested more than 16 deep"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cpv_err err = {0};
        cpv_config *c;

        assert_int_equal(
            cpv_config_open_bytes(&c, cpv_bytes_str(cases[i].text), "c.yaml", &err),
            CPV_E_USAGE);
        assert_null(c);
        if (strncmp(err.text, cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void sizes_are_limited(void **state)
{
    struct cpv_err err = {0};
    struct cpv_buf b = {0};
    cpv_config *c;

    (void)state;
    cpv_buf_str(&b, "a: [");
    for (int i = 0; i < CPV_CONFIG_MAX_NODES; i++)
        cpv_buf_str(&b, "1,");
    cpv_buf_str(&b, "]\n");
    assert_int_equal(cpv_config_open_bytes(&c, cpv_buf_view(&b), "c", &err), CPV_E_USAGE);
    assert_non_null(strstr(err.text, "more than 16384 values"));
    while (b.size <= CPV_CONFIG_MAX_BYTES)
        cpv_buf_str(&b, "# filler filler filler filler filler filler filler\n");
    assert_int_equal(cpv_config_open_bytes(&c, cpv_buf_view(&b), "c", &err), CPV_E_USAGE);
    assert_non_null(strstr(err.text, "larger than 1048576 bytes"));
    cpv_buf_release(&b);
}

static void it_can_be_looked_through(void **state)
{
    static const struct {
        const char *path;
        int line, column;
    } want[] = {
        {"a.b.c", 3, 5}, {"a.b.d", 4, 5}, {"a.e", 5, 3}, {"f", 6, 1}, {"g", 7, 1}};
    struct cpv_err err = {0};
    const struct cpv_node *node;
    cpv_config *c;

    (void)state;
    (void)make_text("c.yaml",
                    "a:\n  b:\n    c: 1\n    d: [x, {y: z}]\n  e:\nf: \"\"\ng: {}\n");
    assert_ok(cpv_config_open(&c, "c.yaml", &err));
    assert_string_equal(cpv_config_name(c), "c.yaml");
    assert_string_equal(cpv_config_text(c, "a.b.c"), "1");
    assert_null(cpv_config_text(c, "a.e")); /* null */
    assert_string_equal(cpv_config_text(c, "f"), "");
    assert_null(cpv_config_text(c, "a.b"));
    assert_null(cpv_config_find(c, "a.b.x"));
    assert_null(cpv_config_find(c, "a.b.c.d"));
    assert_ptr_equal(cpv_config_find(c, ""), cpv_config_root(c));
    node = cpv_config_find(c, "a.b.d");
    assert_non_null(node);
    assert_int_equal(node->kind, CPV_NODE_LIST);
    assert_int_equal(node->n, 2);
    assert_string_equal(node->items[1]->keys[0], "y");
    assert_int_equal(node->items[1]->column, 12);
    assert_int_equal(cpv_config_entries(c), 5);
    for (size_t i = 0; i < 5; i++) {
        struct cpv_config_entry e = cpv_config_entry(c, i);

        assert_string_equal(e.path, want[i].path);
        assert_int_equal(e.line, want[i].line);
        assert_int_equal(e.column, want[i].column);
    }
    cpv_config_close(&c);
    assert_null(c);
    assert_int_equal(cpv_config_open(&c, "nowhere", &err), CPV_E_ABSENT);
    assert_ok(cpv_config_open(&c, make_text("empty", "# nothing\n"), &err));
    assert_int_equal(cpv_config_root(c)->n, 0);
    cpv_config_close(&c);
}

static void unknown_sections_are_named(void **state)
{
    static const char *const known[] = {"corpus", "fetch", "input"};
    struct cpv_err err = {0};
    cpv_config *c;

    (void)state;
    assert_ok(cpv_config_open_bytes(&c, cpv_bytes_str("corpus: x\nfecth: {a: 1}\n"),
                                    "c.yaml", &err));
    assert_int_equal(cpv_config_sections_check(c, known, 3, &err), CPV_E_USAGE);
    assert_string_equal(err.text,
                        "'c.yaml' line 2 column 1: unknown key 'fecth'; did you "
                        "mean 'fetch'?");
    cpv_config_close(&c);
    assert_ok(cpv_config_open_bytes(&c, cpv_bytes_str("input:\ncorpus: x\n"), "c", &err));
    assert_ok(cpv_config_sections_check(c, known, 3, &err));
    cpv_config_close(&c);
}

static void set_assigns_one_key(void **state)
{
    static const struct {
        const char *setting, *error;
    } bad[] = {
        {"fetch.imge_size=3",
         "'--set': unknown key 'fetch.imge_size'; did you mean 'fetch.image_size'?"},
        {"fetch.image_size", "'--set': 'fetch.image_size': expected key=value"},
        {"=3", "'--set': '=3': expected key=value"},
        {"fetch.image_size=3", "'--set': 'fetch.image_size'"},
        {"input.captions=[a", "'--set': 'input.captions': expected a list, as in [a, b]"},
        {"input.captions=[a]\nb: 1", "'--set': 'input.captions': expected a list"},
    };
    struct cpv_err err = {0};
    struct world w;

    (void)state;
    begin(&w);
    assert_ok(cpv_config_set_one(&w.program, "fetch.image_size=512", w.mem, &err));
    assert_int_equal(w.s.size, 512);
    assert_ok(cpv_config_set_one(&w.program, "fetch.agent=a=b # c", w.mem, &err));
    assert_string_equal(w.s.agent, "a=b # c");
    assert_ok(
        cpv_config_set_one(&w.program, "input.captions=[a, 'b, c', \"d\"]", w.mem, &err));
    assert_int_equal(w.s.captions.count, 3);
    assert_string_equal(w.s.captions.at[1], "b, c");
    assert_ok(cpv_config_set_one(&w.program, "input.captions=x,y", w.mem, &err));
    assert_int_equal(w.s.captions.count, 2);
    assert_ok(cpv_config_set_one(&w.program, "seed=9", w.mem, &err));
    assert_int_equal(w.s.seed, 9);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cpv_config_set_one(&w.program, bad[i].setting, w.mem, &err),
                         CPV_E_USAGE);
        if (strncmp(err.text, bad[i].error, strlen(bad[i].error)) != 0)
            fail_msg("case %zu: %s", i, err.text);
    }
    assert_int_equal(w.s.size, 512);
    cpv_arena_close(&w.mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_arrive),
        cmocka_unit_test(mistakes_are_named_by_line_and_column),
        cmocka_unit_test(yaml_that_is_not_ours_is_refused),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(it_can_be_looked_through),
        cmocka_unit_test(unknown_sections_are_named),
        cmocka_unit_test(set_assigns_one_key),
    };

    return cmocka_run_group_tests_name("config", tests, enter_scratch, leave_scratch);
}
