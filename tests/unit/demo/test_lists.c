/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: every row has its fate, the fates come out as announced, the files parse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "demo/scenes/lists.h"

enum { SEED = 3, ROWS = 600, PART = 100 };

static const struct cpv_fates rough = {
    .seed = SEED, .rows = ROWS, .part = PART, .misbehave = true};

static void add_row(struct cpv_lists *lists, const struct cpv_fates *all, uint64_t i)
{
    struct cpv_captions captions;
    struct cpv_scene scene;
    struct cpv_fate fate;
    struct cpv_err err;
    struct cpv_row row = {i, i + 2, &scene, &captions, &fate, 0};

    cpv_fate_choose(&fate, all, i);
    row.of_id = fate.of;
    cpv_scene_make(&scene, all->seed, fate.of, all->heldout, &cpv_look_default);
    cpv_fate_choose_file(&fate, all, scene.mono);
    assert_int_equal(
        cpv_captions_make(&captions, &scene, all->seed, CPV_ORDER_RANDOM, &err), CPV_OK);
    cpv_lists_add(lists, &row);
}

static void fates_are_what_they_promise(void **state)
{
    int outcome[CPV_OUTCOMES] = {0}, damage[CPV_DAMAGES] = {0}, way[CPV_WAYS] = {0};

    (void)state;
    for (uint64_t i = 0; i < ROWS; i++) {
        struct cpv_fate f, of;

        cpv_fate_choose(&f, &rough, i);
        outcome[f.outcome]++;
        damage[f.damage]++;
        way[f.way]++;
        if (f.kind == CPV_ROW_SAME_CONTENT || f.kind == CPV_ROW_SAME_URL) {
            cpv_fate_choose(&of, &rough, f.of);
            assert_true(f.of < i);
            assert_int_equal(f.of / PART, i / PART);
            assert_int_equal(of.outcome, CPV_OUTCOME_OK);
            assert_int_equal(of.kind, CPV_ROW_PLAIN);
            assert_int_equal(of.way, CPV_WAY_DIRECT);
        } else {
            assert_int_equal(f.of, i);
        }
        if (f.outcome == CPV_OUTCOME_OK)
            assert_true(f.damage == CPV_DAMAGE_NONE && f.way <= CPV_WAY_REDIRECT);
        assert_true((f.way == CPV_WAY_REDIRECT) == (f.hops > 0) && f.hops <= 3);
    }
    for (int k = 0; k < CPV_OUTCOMES; k++)
        assert_true(outcome[k] > 0);
    for (int k = 0; k < CPV_DAMAGES; k++)
        assert_true(damage[k] > 0);
    for (int k = 0; k < CPV_WAYS; k++)
        assert_true(way[k] > 0);
    assert_int_equal(outcome[CPV_OUTCOME_BAD_ROW], 1);
    assert_int_equal(outcome[CPV_OUTCOME_DUPLICATE_URL], 1);
    assert_true(outcome[CPV_OUTCOME_OK] > ROWS * 85 / 100);
}

static void clean_and_heldout_rows_are_all_good(void **state)
{
    struct cpv_fates clean = rough, heldout = rough;

    (void)state;
    clean.clean = true;
    clean.misbehave = false;
    heldout.heldout = true;
    for (uint64_t i = 0; i < ROWS; i++) {
        struct cpv_fate f;

        cpv_fate_choose(&f, &clean, i);
        assert_true(f.outcome == CPV_OUTCOME_OK && f.way == CPV_WAY_DIRECT);
        cpv_fate_choose(&f, &heldout, i);
        assert_true(f.outcome == CPV_OUTCOME_OK && f.way == CPV_WAY_DIRECT);
    }
}

/* Gray files only for scenes without colours; damaged files are upright JPEG. */
static void files_suit_their_scenes(void **state)
{
    int format[3] = {0}, turned = 0, gray = 0, progressive = 0;

    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        struct cpv_fate f;
        bool mono = i % 10 == 0;

        cpv_fate_choose(&f, &rough, i);
        cpv_fate_choose_file(&f, &rough, mono);
        format[f.file.format]++;
        turned += f.file.orientation > 1;
        gray += f.file.gray;
        progressive += f.file.progressive;
        assert_true(mono || !f.file.gray);
        assert_in_range(f.file.orientation, 1, 8);
        assert_true(cpv_picture_can(f.file.format));
        if (f.damage != CPV_DAMAGE_NONE)
            assert_true(f.file.format == CPV_PICTURE_JPEG && f.file.orientation == 1);
    }
    assert_true(turned > 60 && gray > 60 && progressive > 60);
    assert_true(!cpv_picture_can(CPV_PICTURE_PNG) || format[CPV_PICTURE_PNG] > 60);
    assert_true(!cpv_picture_can(CPV_PICTURE_WEBP) || format[CPV_PICTURE_WEBP] > 60);
}

static void damage_is_done(void **state)
{
    (void)state;
    for (int kind = 0; kind < CPV_DAMAGES; kind++) {
        struct cpv_fate f = {.damage = (enum cpv_damage)kind};
        struct cpv_buf b = {0};

        for (int i = 0; i < 1000; i++)
            cpv_buf_byte(&b, (uint8_t)(i == 0 ? 0xff : i == 1 ? 0xd8 : i));
        cpv_fate_damage(&f, SEED, &b);
        switch (f.damage) {
        case CPV_DAMAGE_NONE:
            assert_int_equal(b.size, 1000);
            break;
        case CPV_DAMAGE_TRUNCATED:
            assert_int_equal(b.size, 550);
            break;
        case CPV_DAMAGE_EMPTY:
            assert_int_equal(b.size, 0);
            break;
        case CPV_DAMAGE_HTML:
            assert_memory_equal(b.data, "<!DOCTYPE html>", 15);
            break;
        case CPV_DAMAGE_GARBLED:
            assert_int_equal(b.size, 2020);
            assert_int_equal(b.data[0], 0xff);
            break;
        default:
            assert_int_equal(b.size, 2001);
            assert_int_not_equal(b.data[0], 0xff);
            break;
        }
        cpv_buf_release(&b);
    }
}

static int count(const char *text, const char *what)
{
    int n = 0;

    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* Header, one line a row, seven columns in each but the malformed one. */
static void the_tsv_has_its_columns(void **state)
{
    struct cpv_lists lists;
    char *text, *next;
    int line = 0, odd = 0, flaky = 0, with_id = 0;

    (void)state;
    cpv_lists_open(&lists, "http://127.0.0.1:1/", CPV_PARALLEL_NONE);
    for (uint64_t i = 0; i < ROWS; i++)
        add_row(&lists, &rough, i);
    text = (char *)(uintptr_t)cpv_buf_cstr(&lists.tsv);
    for (char *p = text; *p; p = next, line++) {
        int tabs = 0;

        next = strchr(p, '\n');
        assert_non_null(next);
        *next++ = '\0';
        for (const char *q = p; *q; q++)
            tabs += *q == '\t';
        odd += tabs != 6;
        if (line == 0)
            assert_string_equal(
                p, "url\tcaption_1\tcaption_2\tcaption_3\tcaption_4\tcaption_5\tid");
        else
            assert_memory_equal(p, "http://127.0.0.1:1/", 19);
        flaky += strstr(p, ":1/flaky/1/images/") != NULL;
        if (line > 0 && tabs == 6)
            with_id += strtol(strrchr(p, '\t') + 1, NULL, 10) == line - 1;
    }
    assert_int_equal(line, ROWS + 1);
    assert_int_equal(odd, 1);
    assert_int_equal(with_id, ROWS - 1);
    assert_true(flaky > 0);
    cpv_lists_close(&lists);
}

static void expectations_add_up(void **state)
{
    struct cpv_buf expect = {0};
    struct cpv_lists lists;
    uint64_t tsv = 0, coco = 0;
    const char *images, *text;

    (void)state;
    cpv_lists_open(&lists, "http://127.0.0.1:1/", CPV_PARALLEL_NONE);
    for (uint64_t i = 0; i < ROWS; i++)
        add_row(&lists, &rough, i);
    for (int k = 0; k < CPV_OUTCOMES; k++) {
        tsv += lists.outcome[k];
        coco += lists.coco_outcome[k];
    }
    assert_int_equal(tsv, ROWS);
    assert_int_equal(coco, ROWS);
    assert_int_equal(lists.coco_outcome[CPV_OUTCOME_BAD_ROW], 0);
    cpv_lists_expect(&lists, &expect);
    text = cpv_buf_cstr(&expect);
    assert_int_equal(count(text, "\"outcome\""),
                     ROWS - (int)lists.outcome[CPV_OUTCOME_OK]);
    assert_int_equal(count(text, "\"outcome\": \"duplicate_content\""),
                     (int)lists.outcome[CPV_OUTCOME_DUPLICATE_CONTENT]);
    images = cpv_buf_cstr(&lists.images);
    assert_int_equal(count(images, "\"coco_url\""), ROWS);
    assert_int_equal(count(images, "/missing/"),
                     (int)lists.outcome[CPV_OUTCOME_HTTP_4XX]);
    assert_int_equal(count(images, "/noai/"), (int)lists.outcome[CPV_OUTCOME_OPTOUT]);
    text = cpv_buf_cstr(&lists.scenes);
    assert_int_equal(count(text, "\n"), ROWS);
    assert_int_equal(count(text, "\"split\":\"train\""), ROWS);
    cpv_buf_release(&expect);
    cpv_lists_close(&lists);
}

/* Each row of both splits says all of its captions in four languages, or behind each of
 * the ten prompts as well; "portrait of a" is no prompt for a number of things. */
static void parallel_lines_are_complete(void **state)
{
    (void)state;
    for (int mode = CPV_PARALLEL_CAPTIONS; mode <= CPV_PARALLEL_PROMPTS; mode++) {
        struct cpv_buf header = {0};
        struct cpv_lists lists;
        const char *text;
        int lines = 0, tabs = 0, captions, counts;

        cpv_lists_open(&lists, "http://127.0.0.1:1/", (enum cpv_parallel)mode);
        for (uint64_t i = 0; i < ROWS; i++)
            add_row(&lists, &rough, i);
        text = cpv_buf_cstr(&lists.translations);
        for (const char *p = text; *p; p++) {
            lines += *p == '\n';
            tabs += *p == '\t';
        }
        assert_int_equal(tabs, 7 * lines);
        cpv_lists_parallel_header(&header);
        assert_string_equal(cpv_buf_cstr(&header),
                            "id\tsplit\tcaption\topening\ten\tpt\txh\thi\n");
        cpv_buf_release(&header);
        captions = count(cpv_buf_cstr(&lists.scenes), "\"en\":");
        counts = count(cpv_buf_cstr(&lists.scenes), "\"clauses\":[{\"kind\":\"count\"");
        assert_true(counts > 0);
        if (mode == CPV_PARALLEL_CAPTIONS) {
            assert_int_equal(lines, captions);
        } else {
            assert_int_equal(count(text, "\tphoto\ta photo of "), captions);
            assert_int_equal(count(text, "\tportrait\tportrait of a "),
                             captions - counts);
            assert_in_range(lines, 10 * captions, 11 * captions - counts);
        }
        cpv_lists_close(&lists);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fates_are_what_they_promise),
        cmocka_unit_test(clean_and_heldout_rows_are_all_good),
        cmocka_unit_test(files_suit_their_scenes),
        cmocka_unit_test(damage_is_done),
        cmocka_unit_test(the_tsv_has_its_columns),
        cmocka_unit_test(expectations_add_up),
        cmocka_unit_test(parallel_lines_are_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
