/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics; rows of samples; shares of workers. */
#include "tests/unit/base/unit.h"

#include "stages/caption/caption.h"

static void add(struct caption_counts *c, const char *const *texts, uint32_t n,
                bool fresh)
{
    struct caption caption[4];
    struct answer a = {.captions = caption,
                       .n = n,
                       .prepare_us = 1000,
                       .model_us = 500000,
                       .vision_us = 300000};

    for (uint32_t i = 0; i < n; i++)
        caption[i] = (struct caption){cpv_bytes_str(texts[i]), 4, 10, i == 0};
    counts_add(c, &a, fresh);
}

static void has(const struct cpv_buf *b, const char *what)
{
    if (!strstr((const char *)(const void *)b->data, what))
        fail_msg("no '%s' in %s", what, (const char *)(const void *)b->data);
}

static void everything_is_counted(void **state)
{
    static const char *const one[] = {"a", "b", "a", ""}, *const two[] = {"b", "c", ""};
    struct answer broken = {.status = "decode", .prepare_us = 4000};
    struct caption_counts c;
    struct cpv_err err = {0};
    struct cpv_buf b = {0};

    (void)state;
    assert_ok(counts_init(&c, 8, &err));
    add(&c, one, 4, false);
    counts_add(&c, &broken, true);
    add(&c, two, 3, true);
    c.run_seconds = 2;
    counts_put(&c, &b);
    assert_non_null(cpv_buf_cstr(&b));
    has(&b, "\"images\":2,\"unreadable\":1,\"resumed\":1,\"captions\":7,");
    /* a in the same image; b and the empty one in the next */
    has(&b, "\"duplicates\":3,\"duplicate_share\":0.4286,\"cut\":2,");
    has(&b, "\"prompt_tokens\":28,\"new_tokens\":70,");
    has(&b, "\"seconds\":2.000,\"seconds_prepare\":0.006,\"seconds_vision\":0.600,"
            "\"seconds_decoding\":0.400,");
    has(&b, "\"images_per_second\":1.000,\"tokens_per_second\":15.0");
    cpv_buf_release(&b);
    counts_release(&c);
}

static void nothing_is_no_division_by_nothing(void **state)
{
    struct caption_counts c;
    struct cpv_err err = {0};
    struct cpv_buf b = {0};

    (void)state;
    assert_ok(counts_init(&c, 0, &err));
    counts_put(&c, &b);
    assert_non_null(cpv_buf_cstr(&b));
    has(&b, "\"duplicate_share\":0.0000");
    has(&b, "\"images_per_second\":0.000,\"tokens_per_second\":0.0");
    cpv_buf_release(&b);
    counts_release(&c);
}

static void many_captions_are_told_apart(void **state)
{
    enum { N = 5000 };
    struct caption_counts c;
    struct cpv_err err = {0};

    (void)state;
    assert_ok(counts_init(&c, 2 * N, &err));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            char text[32];
            const char *one = text;

            (void)snprintf(text, sizeof text, "caption %d", i);
            add(&c, &one, 1, true);
            assert_int_equal(c.duplicates, round ? i + 1 : 0);
        }
    counts_release(&c);
}

static void the_last_are_shared(void **state)
{
    (void)state;
    assert_int_equal(engine_share(1000, 2), 500);
    assert_int_equal(engine_share(3, 2), 2);
    assert_int_equal(engine_share(2, 2), 1);
    assert_int_equal(engine_share(1, 7), 1);
    assert_int_equal(engine_share(0, 2), 1);
    assert_int_equal(engine_share(8, 1), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_counted),
        cmocka_unit_test(nothing_is_no_division_by_nothing),
        cmocka_unit_test(many_captions_are_told_apart),
        cmocka_unit_test(the_last_are_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
