/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes: the same everywhere, distinct, unmistakable, and withheld where promised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "common/base/sys.h"
#include "demo/scenes/plan.h"

enum { SEED = 7 };

static struct cpv_scene scene_of(uint64_t number, bool heldout)
{
    struct cpv_scene s;

    cpv_scene_make(&s, SEED, number, heldout, &cpv_look_default);
    return s;
}

/*
 * Fifty scenes, every fifth of any size, the last ten held out. The digests change
 * with the world: then say so in the changelog, for models trained on it.
 */
static void pixels_and_captions_never_change(void **state)
{
    uint8_t *rgb = cpv_alloc(640 * 640 * 3), digest[CPV_SHA256_SIZE];
    struct cpv_captions captions;
    struct cpv_buf text = {0};
    struct cpv_err err = {0};
    char hex[CPV_SHA256_HEX];
    cpv_sha256 *pixels;

    (void)state;
    assert_non_null(rgb);
    assert_int_equal(cpv_sha256_open(&pixels, &err), CPV_OK);
    for (uint64_t i = 0; i < 50; i++) {
        struct cpv_look look = cpv_look_default;
        struct cpv_scene s;

        look.mixed = i % 5 == 0;
        cpv_scene_make(&s, SEED, i, i >= 40, &look);
        assert_int_equal(cpv_scene_draw(&s, SEED, rgb, &err), CPV_OK);
        cpv_sha256_add(pixels, rgb, (size_t)s.width * (size_t)s.height * 3);
        assert_int_equal(cpv_captions_make(&captions, &s, SEED, CPV_ORDER_RANDOM, &err),
                         CPV_OK);
        for (int k = 0; k < captions.n; k++) {
            cpv_english_say(&s, &captions.plan[k], &text);
            cpv_plan_json(&captions.plan[k], &text);
        }
    }
    cpv_sha256_take(pixels, digest);
    cpv_hex(hex, digest, sizeof digest);
    assert_string_equal(
        hex, "7a638fcd89abce92887428234ed893cc118a4429a05e1efd7f425dced68e8888");
    cpv_sha256_of(digest, cpv_buf_view(&text));
    cpv_hex(hex, digest, sizeof digest);
    assert_string_equal(
        hex, "8235ce8aeb7955ba1a6c46e07a217be71d0d960dc8d605ed71c671915636e099");
    cpv_sha256_close(&pixels);
    cpv_buf_release(&text);
    cpv_free(rgb);
}

static void check_pair(const struct cpv_scene *s, int a, int b)
{
    static const enum cpv_relation inverse[CPV_RELATIONS] = {
        CPV_RIGHT_OF, CPV_LEFT_OF, CPV_BELOW,  CPV_ABOVE,
        CPV_AROUND,   CPV_INSIDE,  CPV_NEXT_TO};
    const struct cpv_object *p = &s->object[a], *q = &s->object[b];
    enum cpv_relation r = cpv_scene_relation(s, a, b);
    int dx = abs(p->x - q->x), dy = abs(p->y - q->y), n = 0;
    int far = dx > dy ? dx : dy, near = dx > dy ? dy : dx;

    for (int k = 0; k < CPV_NEXT_TO; k++)
        n += cpv_scene_holds(s, a, (enum cpv_relation)k, b);
    assert_int_equal(n, 1);
    for (int k = 0; k < CPV_RELATIONS; k++)
        assert_int_equal(cpv_scene_holds(s, a, (enum cpv_relation)k, b),
                         cpv_scene_holds(s, b, inverse[k], a));
    if (r == CPV_INSIDE || r == CPV_AROUND) {
        assert_true(s->nested && a + b == 1);
        assert_true(cpv_rgb_distance(cpv_colour_rgb[p->colour],
                                     cpv_colour_rgb[q->colour]) >= CPV_CONTRAST);
    } else {
        assert_true(far > p->radius + q->radius);
        assert_true(5 * far >= 7 * near);
    }
    assert_int_not_equal(p->shape, q->shape);
}

static void check_scene(const struct cpv_scene *s)
{
    bool shows_withheld = false;

    assert_in_range(s->objects, 1, CPV_OBJECTS);
    for (int i = 0; i < s->objects; i++) {
        const struct cpv_object *o = &s->object[i];

        assert_in_range(o->x, o->radius, CPV_SIDE - o->radius);
        assert_in_range(o->y, o->radius, CPV_SIDE - o->radius);
        assert_true(cpv_rgb_distance(cpv_colour_rgb[o->colour],
                                     cpv_ground_rgb[s->ground]) >= CPV_CONTRAST);
        if (s->mono)
            assert_true(o->colour == CPV_BLACK || o->colour == CPV_WHITE);
        shows_withheld |= cpv_pair_withheld(o->shape, o->colour);
        for (int k = 0; k < i; k++)
            check_pair(s, i, k);
    }
    if (s->mono)
        assert_int_equal(s->ground, CPV_GRAY);
    assert_int_equal(shows_withheld, s->heldout);
}

static void scenes_keep_the_rules(void **state)
{
    bool seen[CPV_SHAPES][CPV_COLOURS] = {{false}};
    int relation[CPV_RELATIONS] = {0}, ground[CPV_GROUNDS] = {0}, objects[5] = {0};
    int mono = 0;

    (void)state;
    for (uint64_t i = 0; i < 12000; i++) {
        struct cpv_scene s = scene_of(i, i >= 10000);

        check_scene(&s);
        objects[s.objects]++;
        ground[s.ground]++;
        mono += s.mono;
        for (int a = 0; a < s.objects; a++) {
            if (!s.heldout)
                seen[s.object[a].shape][s.object[a].colour] = true;
            for (int k = 0; k < CPV_RELATIONS && a > 0; k++)
                relation[k] += cpv_scene_holds(&s, a, (enum cpv_relation)k, 0);
        }
    }
    for (int k = 0; k < CPV_RELATIONS; k++)
        assert_true(relation[k] > 1000 ||
                    k == CPV_AROUND); /* object 0 is the container */
    for (int k = 0; k < CPV_GROUNDS; k++)
        assert_true(ground[k] > 600);
    for (int k = 1; k <= CPV_OBJECTS; k++)
        assert_true(objects[k] > 1000);
    assert_true(mono > 100);
    /* exactly the withheld pairs are never seen in training */
    for (int shape = 0; shape < CPV_SHAPES; shape++)
        for (int colour = 0; colour < CPV_COLOURS; colour++)
            assert_int_equal(
                seen[shape][colour],
                !cpv_pair_withheld((enum cpv_shape)shape, (enum cpv_colour)colour));
}

static void any_look_comes_to_an_end(void **state)
{
    static const struct cpv_look looks[] = {
        {.min_radius = 200, .max_objects = 4, .nested = 100},
        {.min_radius = 200, .max_objects = 4, .textured = 100},
        {.min_radius = 40, .max_objects = 4, .noise = 60, .blur = 100, .nested = 100},
        {.min_radius = 110, .max_objects = 1, .mixed = true},
    };
    int nested = 0;

    (void)state;
    for (size_t k = 0; k < sizeof looks / sizeof *looks; k++)
        for (uint64_t i = 0; i < 300; i++) {
            struct cpv_scene s;

            cpv_scene_make(&s, SEED, i, i % 3 == 0, &looks[k]);
            check_scene(&s);
            assert_true(s.objects <= looks[k].max_objects);
            assert_in_range(s.width, 96, 640);
            assert_in_range(s.height, 96, 640);
            nested += s.nested;
        }
    assert_true(nested > 300);
}

/* The picture's size is drawn apart: the same objects at any size. */
static void size_leaves_the_objects_alone(void **state)
{
    struct cpv_look mixed = cpv_look_default;
    int other = 0;

    (void)state;
    mixed.mixed = true;
    for (uint64_t i = 0; i < 200; i++) {
        struct cpv_scene a = scene_of(i, false), b;

        cpv_scene_make(&b, SEED, i, false, &mixed);
        assert_int_equal(a.objects, b.objects);
        assert_memory_equal(a.object, b.object, (size_t)a.objects * sizeof *a.object);
        other += a.width != b.width;
    }
    assert_true(other > 100);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int different(uint64_t *v, int n)
{
    int found = n > 0;

    qsort(v, (size_t)n, sizeof *v, by_value);
    for (int i = 1; i < n; i++)
        found += v[i] != v[i - 1];
    return found;
}

/* With places all differ; and nearly all do in words alone. */
static void twelve_thousand_scenes_differ(void **state)
{
    enum { N = 12000 };
    static uint64_t whole[N], words[N];

    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        struct cpv_scene s = scene_of(i, false);
        int32_t d[4 + 7 * CPV_OBJECTS + 2] = {(int32_t)s.ground, s.objects}, n = 2;

        for (int k = 0; k < s.objects; k++) {
            const struct cpv_object *o = &s.object[k];

            d[n++] = (int32_t)(o->shape * 1000 + o->colour * 10 + o->texture);
            d[n++] = (int32_t)o->extent;
            d[n++] = k > 0 ? (int32_t)cpv_scene_relation(&s, k, 0) : 0;
        }
        words[i] = cpv_xxh64(d, (size_t)n * sizeof *d, 0);
        for (int k = 0; k < s.objects; k++) {
            d[n++] = s.object[k].x;
            d[n++] = s.object[k].y;
        }
        whole[i] = cpv_xxh64(d, (size_t)n * sizeof *d, 0);
    }
    assert_int_equal(different(whole, N), N);
    assert_true(different(words, N) > N * 95 / 100);
}

/* Turned as far as it may be, no shape leaves the room that rule (2) gives it. */
static void outlines_fit(void **state)
{
    struct cpv_outline o;

    (void)state;
    for (int shape = 0; shape < CPV_SHAPES; shape++) {
        int64_t most = 0;

        cpv_shape_outline((enum cpv_shape)shape, &o);
        assert_true(o.points >= 3 && o.points <= CPV_OUTLINE_POINTS);
        assert_int_equal(o.start[o.contours], o.points);
        for (int i = 0; i < o.points; i++)
            for (int64_t tilt = -90; tilt <= 90; tilt += 90) {
                int64_t x = llabs(o.x[i] * (1024 - tilt * tilt / 2048) - o.y[i] * tilt);
                int64_t y = llabs(o.x[i] * tilt + o.y[i] * (1024 - tilt * tilt / 2048));

                most = x > most ? x : most;
                most = y > most ? y : most;
            }
        assert_in_range(most / 1024, CPV_ONE * 90 / 100, CPV_ONE * 109 / 100);
    }
}

/* Without noise and blur, the middle of a solid shape has its own colour. */
static void objects_are_where_the_scene_says(void **state)
{
    uint8_t *rgb = cpv_alloc(640 * 640 * 3);
    int checked = 0;

    (void)state;
    assert_non_null(rgb);
    for (uint64_t i = 0; i < 300; i++) {
        struct cpv_scene s = scene_of(i, false);
        int side = s.width < s.height ? s.width : s.height;
        struct cpv_err err;

        s.noise = s.blur = 0;
        assert_int_equal(cpv_scene_draw(&s, SEED, rgb, &err), CPV_OK);
        for (int k = s.nested ? 1 : 0; k < s.objects; k++) {
            const struct cpv_object *o = &s.object[k];
            int x = (s.width - side) / 2 + o->x * side / CPV_SIDE;
            int y = (s.height - side) / 2 + o->y * side / CPV_SIDE;

            if (o->texture != CPV_PLAIN || o->shape == CPV_RING || o->shape == CPV_MOON ||
                o->shape == CPV_HOUSE)
                continue;
            assert_memory_equal(rgb + 3 * (y * s.width + x), o->ink.c, 3);
            checked++;
        }
    }
    assert_true(checked > 200);
    cpv_free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_and_captions_never_change),
        cmocka_unit_test(scenes_keep_the_rules),
        cmocka_unit_test(any_look_comes_to_an_end),
        cmocka_unit_test(size_leaves_the_objects_alone),
        cmocka_unit_test(twelve_thousand_scenes_differ),
        cmocka_unit_test(outlines_fit),
        cmocka_unit_test(objects_are_where_the_scene_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
