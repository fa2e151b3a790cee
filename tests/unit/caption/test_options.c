/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts: the reference's by default, any others by option or configuration. */
#include "tests/unit/base/unit.h"

#include "stages/caption/caption.h"

static int parse(struct caption_settings *into, cpv_arena *mem, struct cpv_err *err,
                 int argc, const char *const *argv)
{
    const struct cpv_opt_group group = {"Captions", "caption", caption_options, into};
    const struct cpv_program p = {.name = "caption", .groups = &group, .n_groups = 1};
    struct cpv_cli cli;
    int rc = cpv_opts_defaults(&p, mem, err);

    if (!rc)
        rc = cpv_cli_parse(&p, argc, (char **)(uintptr_t)argv, mem, &cli, err);
    return rc ? rc : cpv_cli_apply(&cli, mem, err);
}

static void the_reference_s_by_default(void **state)
{
    static const char *const wanted[] = {"the foreground features",
                                         "a photo of",
                                         "a picture of",
                                         "this is a scene depicting",
                                         "an image of",
                                         "portrait of a",
                                         "this image captures a moment of",
                                         "a painting of",
                                         "an art of",
                                         "the picture shows"};
    const char *argv[] = {"caption"};
    struct caption_settings set = {0};
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(parse(&set, mem, &err, 1, argv));
    assert_int_equal(set.prompts.count, 10);
    for (int i = 0; i < 10; i++)
        assert_string_equal(set.prompts.at[i], wanted[i]);
    assert_int_equal(set.max_new_tokens, 50);
    assert_int_equal(set.beams, 1);
    cpv_arena_close(&mem);
}

/* A prompt is taken as it stands, commas and all; the empty one is one. */
static void options_replace_them(void **state)
{
    const char *argv[] = {"caption",  "--prompt", "a red, round thing",
                          "--prompt", "",         "--prompt=[\"x\"]"};
    struct caption_settings set = {0};
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(parse(&set, mem, &err, 6, argv));
    assert_int_equal(set.prompts.count, 3);
    assert_string_equal(set.prompts.at[0], "a red, round thing");
    assert_string_equal(set.prompts.at[1], "");
    assert_string_equal(set.prompts.at[2], "[\"x\"]");
    cpv_arena_close(&mem);
}

static void a_list_replaces_them(void **state)
{
    struct caption_settings set = {0};
    const struct cpv_opt_group group = {"Captions", "caption", caption_options, &set};
    const struct cpv_program p = {.name = "caption", .groups = &group, .n_groups = 1};
    const char *many[PROMPTS_MAX + 1], *argv[] = {"caption"};
    const struct cpv_opt *o = cpv_opts_find_key(&p, "caption.prompts", NULL);
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(parse(&set, mem, &err, 1, argv));
    for (int i = 0; i <= PROMPTS_MAX; i++)
        many[i] = "";
    assert_ok(cpv_opts_assign_list(&group, o, many, PROMPTS_MAX, "here", mem, &err));
    assert_int_equal(set.prompts.count, PROMPTS_MAX);
    assert_int_equal(
        cpv_opts_assign_list(&group, o, many, PROMPTS_MAX + 1, "here", mem, &err),
        CPV_E_USAGE);
    assert_int_equal(cpv_opts_assign_list(&group, o, many, 0, "here", mem, &err),
                     CPV_E_USAGE);
    assert_int_equal(set.prompts.count, PROMPTS_MAX);
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_s_by_default),
        cmocka_unit_test(options_replace_them),
        cmocka_unit_test(a_list_replaces_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
