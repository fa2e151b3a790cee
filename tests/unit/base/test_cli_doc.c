/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h: help, man page and completion of a small program, to the letter and by bash. */
#include "tests/unit/base/unit.h"

#include "common/base/cli.h"

static const char *const modes[] = {"no", "border", NULL};

static const struct cpv_opt opts[] = {
    {.name = "image-size",
     .key = "image_size",
     .aliases = "size s",
     .kind = CPV_OPT_INT,
     .fallback = "256",
     .min = 1,
     .max = 999,
     .arg = "PIXELS",
     .help = "Longest side of an image, after it was turned upright and before it is "
             "written.",
     .flags = CPV_OPT_PINNED},
    {.name = "mode",
     .kind = CPV_OPT_CHOICE,
     .choices = modes,
     .fallback = "no",
     .help = ".dots \\and dashes-"},
    {.name = "a-name-that-takes-all-the-room", .kind = CPV_OPT_TEXT, .help = "Yes."},
    {.name = "exif", .kind = CPV_OPT_FLAG, .fallback = "true", .help = "Turn upright."},
    {.name = "secret",
     .kind = CPV_OPT_FLAG,
     .help = "Not shown.",
     .flags = CPV_OPT_HIDDEN},
    {.key = "only_key", .kind = CPV_OPT_INT, .min = 1, .max = 9, .help = "In a file."},
    {.kind = CPV_OPT_END}};

static const struct cpv_opt_group groups[] = {{"Fetch", "fetch", opts, NULL}};

static const struct cpv_program program = {"cap-fetch",
                                           "1.2",
                                           "fetches images",
                                           "[options] FILE...",
                                           "First paragraph\nof two.\n\nSecond one.",
                                           groups,
                                           1};

static void help_to_the_letter(void **state)
{
    struct cpv_buf b = {0};

    (void)state;
    cpv_program_help(&program, &b);
    assert_string_equal(
        cpv_buf_cstr(&b),
        "Usage: cap-fetch [options] FILE...\n"
        "fetches images.\n"
        "\n"
        "First paragraph of two.\n"
        "\n"
        "Second one.\n"
        "\n"
        "Fetch:\n"
        "  --image-size PIXELS       Longest side of an image, after it was turned\n"
        "                            upright and before it is written. (default: 256)\n"
        "  --mode no|border          .dots \\and dashes- (default: no)\n"
        "  --a-name-that-takes-all-the-room TEXT\n"
        "                            Yes.\n"
        "  --[no-]exif               Turn upright. (default: on)\n"
        "\n"
        "Help:\n"
        "  --help, -h                Print this help and leave.\n"
        "  --version                 Print the version and leave.\n"
        "  --man                     Print the manual page (for man -l -) and leave.\n"
        "  --completion              Print a completion script for bash, to be sourced,\n"
        "                            and leave.\n");
    cpv_buf_release(&b);
}

static void no_line_of_help_is_too_long(void **state)
{
    struct cpv_buf b = {0};
    size_t width = 0;

    (void)state;
    cpv_program_help(&program, &b);
    for (size_t i = 0; i < b.size; i++) {
        width = b.data[i] == '\n' ? 0 : width + 1;
        assert_true(width <= 80);
    }
    cpv_buf_release(&b);
}

static void save(const struct cpv_buf *b, const char *path)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->size, f), b->size);
    assert_int_equal(fclose(f), 0);
}

/* Does `text` hold this line, whole? */
static bool has_line(const char *text, const char *line)
{
    size_t n = strlen(line);

    for (const char *s = text; (s = strstr(s, line)); s++)
        if ((s == text || s[-1] == '\n') && s[n] == '\n')
            return true;
    return false;
}

static void the_man_page_is_troff(void **state)
{
    static const char *const lines[] = {
        ".TH CAP-FETCH 1 \"\" \"cap-fetch 1.2\"",
        "cap\\-fetch \\- fetches images",
        ".SS Fetch",
        ".B \\-\\-image\\-size \\fIPIXELS\\fR",
        "Takes a whole number from 1 to 999.",
        "Default: 256.",
        "In a configuration: fetch.image_size.",
        "Also spelled \\-\\-size, \\-s.",
        "\\&.dots \\eand dashes\\-",
        ".B \\-\\-[no\\-]exif",
        ".B fetch.only_key",
        ".SH EXIT STATUS",
        ".B 78",
        ".PP",
    };
    struct cpv_buf b = {0};
    const char *text;

    (void)state;
    cpv_program_man(&program, "1", &b);
    text = cpv_buf_cstr(&b);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!has_line(text, lines[i]))
            fail_msg("no line '%s' in:\n%s", lines[i], text);
    assert_null(strstr(text, "secret"));
    save(&b, "page.1");
    cpv_buf_release(&b);
    /* groff, where there is one, finds nothing to complain about. */
    assert_int_equal(shell("! command -v groff >groff.path || "
                           "{ groff -ww -man -Tutf8 page.1 >page.txt 2>page.err && "
                           "test ! -s page.err; }"),
                     0);
}

static void bash_takes_the_completion(void **state)
{
    static const char script[] =
        "set -u; . ./complete\n"
        "try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _cap_fetch; "
        "echo \"${COMPREPLY[*]-}\"; }\n"
        "try cap-fetch --im; try cap-fetch --mode ''; try cap-fetch --mode = b\n"
        "try cap-fetch --mode =; try cap-fetch --image-size ''; try cap-fetch --no\n"
        "try cap-fetch --s; try cap-fetch fi\n";
    static const char expected[] = "--image-size\nno border\nborder\nno border\n\n"
                                   "--no-exif\n\n\n";
    struct cpv_buf b = {0};
    char got[256] = "";
    FILE *f;

    (void)state;
    if (shell("command -v bash >bash.path") != 0)
        skip();
    cpv_program_completion(&program, &b);
    save(&b, "complete");
    cpv_buf_release(&b);
    assert_int_equal(shell("bash -n complete"), 0);
    cpv_buf_str(&b, script);
    save(&b, "try");
    cpv_buf_release(&b);
    assert_int_equal(shell("bash try >got 2>&1"), 0);
    f = fopen("got", "r");
    assert_non_null(f);
    assert_true(fread(got, 1, sizeof got - 1, f) > 0);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(got, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_to_the_letter),
        cmocka_unit_test(no_line_of_help_is_too_long),
        cmocka_unit_test(the_man_page_is_troff),
        cmocka_unit_test(bash_takes_the_completion),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
