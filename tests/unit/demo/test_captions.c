/* SPDX-License-Identifier: Apache-2.0 */
/* Captions: what each says is true, and said in good English. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "demo/scenes/plan.h"
#include "tests/unit/demo/reading.h"

enum { SEED = 11, SCENES = 4000, HELDOUT = 500 };

struct tally {
    int captions, opening[READING_OPENINGS], relations, grounds, all_named;
};

static void read_scene(uint64_t number, bool heldout, enum cpv_order order,
                       struct tally *tally)
{
    struct cpv_captions captions;
    struct cpv_scene scene;
    struct cpv_buf text = {0};
    struct cpv_err err = {0};
    struct reading reading;

    cpv_scene_make(&scene, SEED, number, heldout, &cpv_look_default);
    assert_int_equal(cpv_captions_make(&captions, &scene, SEED, order, &err), CPV_OK);
    assert_in_range(captions.n, 1, CPV_CAPTIONS);
    for (int i = 0; i < captions.n; i++) {
        const char *wrong;

        cpv_buf_clear(&text);
        cpv_english_say(&scene, &captions.plan[i], &text);
        wrong = reading_of(&scene, cpv_buf_cstr(&text), &reading);
        if (wrong)
            fail_msg("scene %llu: %s: '%s'", (unsigned long long)number, wrong,
                     cpv_buf_cstr(&text));
        tally->captions++;
        if (reading.opening >= 0)
            tally->opening[reading.opening]++;
        tally->relations += reading.relations;
        tally->grounds += reading.ground;
        tally->all_named += reading.objects == scene.objects;
    }
    cpv_buf_release(&text);
}

static void every_caption_is_true_and_grammatical(void **state)
{
    struct tally t = {0};

    (void)state;
    for (uint64_t i = 0; i < SCENES; i++)
        read_scene(i, false, CPV_ORDER_RANDOM, &t);
    for (uint64_t i = 0; i < HELDOUT; i++)
        read_scene(i, true, CPV_ORDER_RANDOM, &t);
    for (uint64_t i = 0; i < HELDOUT; i++)
        read_scene(i, false, CPV_ORDER_SHAPE, &t);
    assert_true(t.captions > 3 * SCENES);
    assert_true(t.relations > t.captions / 2);
    assert_true(t.grounds > t.captions / 4);
    assert_true(t.all_named > t.captions / 4);
    /* all that the reader knows but "the background is", which opens nothing */
    for (int i = 0; i < READING_OPENINGS - 1; i++)
        assert_true(t.opening[i] > t.captions / 100 / 4);
    for (int i = 0; i < CPV_PROMPTS; i++)
        assert_true(t.opening[i] > t.captions / 100);
}

/* A large orange square on the left, an arrow inside it; a small red star far right. */
static struct cpv_scene known_scene(void)
{
    struct cpv_scene s = {.objects = 3, .nested = true, .ground = CPV_SEA};

    s.object[0] = (struct cpv_object){.shape = CPV_SQUARE,
                                      .colour = CPV_ORANGE,
                                      .extent = CPV_LARGE,
                                      .x = 1200,
                                      .y = 2000,
                                      .radius = 900};
    s.object[1] = (struct cpv_object){.shape = CPV_ARROW,
                                      .colour = CPV_RED,
                                      .extent = CPV_SMALL,
                                      .x = 1200,
                                      .y = 2000,
                                      .radius = 450};
    s.object[2] = (struct cpv_object){.shape = CPV_STAR,
                                      .colour = CPV_RED,
                                      .extent = CPV_SMALL,
                                      .texture = CPV_DOTTED,
                                      .x = 3400,
                                      .y = 2100,
                                      .radius = 450};
    return s;
}

static void the_reader_tells_good_from_bad(void **state)
{
    static const char *const good[] = {
        "an orange square",
        "a small red arrow in a large orange square in front of the sea",
        "portrait of a small dotted red star",
        "two red shapes",
        "there are three objects. an arrow is in a square. the background is the sea.",
        "a star. a large orange square is left of the star. an arrow is in the square.",
        "there is a square around an arrow and to the left of a dotted star",
        "an arrow, a square and a star against the sea",
    };
    static const char *const bad[] = {
        "a orange square",
        "an red star",
        "a green star",
        "a circle",
        "a large star",
        "a striped star",
        "portrait of a orange square",
        "a star left of a square",
        "a star next to a square",
        "a square inside an arrow",
        "an arrow above a star",
        "two shapes",
        "three red shapes",
        "three shape",
        "there is three shapes",
        "there are a star",
        "the star",
        "a star and a star",
        "a star in the sky",
        "a star. the background is gray.",
        "a star. a square is left of a star.",
        "a star. a square left of the star.",
        "a star. a square is left of the star",
        "a red  star",
        "a red star a square",
        "",
    };
    struct cpv_scene s = known_scene();
    struct reading reading;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (reading_of(&s, good[i], &reading))
            fail_msg("'%s': %s", good[i], reading_of(&s, good[i], &reading));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!reading_of(&s, bad[i], &reading))
            fail_msg("'%s' was taken", bad[i]);
}

static void captions_of_a_scene_differ(void **state)
{
    struct cpv_captions captions;
    struct cpv_scene scene;
    struct cpv_err err;

    (void)state;
    for (uint64_t n = 0; n < 300; n++) {
        struct cpv_buf text[CPV_CAPTIONS] = {{0}};

        cpv_scene_make(&scene, SEED, n, false, &cpv_look_default);
        assert_int_equal(
            cpv_captions_make(&captions, &scene, SEED, CPV_ORDER_RANDOM, &err), CPV_OK);
        for (int i = 0; i < captions.n; i++) {
            cpv_english_say(&scene, &captions.plan[i], &text[i]);
            for (int k = 0; k < i; k++)
                assert_false(
                    cpv_bytes_equal(cpv_buf_view(&text[i]), cpv_buf_view(&text[k])));
        }
        for (int i = 0; i < captions.n; i++)
            cpv_buf_release(&text[i]);
    }
}

/* --order shape: whatever a caption lists, it lists in the order of the shapes. */
static void objects_are_named_in_the_order_of_shapes(void **state)
{
    struct cpv_captions captions;
    struct cpv_scene scene;
    struct cpv_err err;
    int lists = 0;

    (void)state;
    for (uint64_t n = 0; n < 500; n++) {
        cpv_scene_make(&scene, SEED, n, false, &cpv_look_default);
        assert_int_equal(
            cpv_captions_make(&captions, &scene, SEED, CPV_ORDER_SHAPE, &err), CPV_OK);
        for (int i = 0; i < captions.n; i++) {
            const struct cpv_clause *c = &captions.plan[i].clause[0];

            for (int k = 1; k < c->mentions; k++) {
                assert_true(scene.object[c->mention[k - 1].object].shape <
                            scene.object[c->mention[k].object].shape);
                lists++;
            }
        }
    }
    assert_true(lists > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_caption_is_true_and_grammatical),
        cmocka_unit_test(the_reader_tells_good_from_bad),
        cmocka_unit_test(captions_of_a_scene_differ),
        cmocka_unit_test(objects_are_named_in_the_order_of_shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
