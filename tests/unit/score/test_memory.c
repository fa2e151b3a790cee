/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of texts, and what makes way. */
#include "stages/score/score.h"
#include "tests/unit/base/unit.h"

enum { DIM = 3, ONE = DIM * 4 + 48 /* bytes of an entry */ };

static struct cpv_err err;

static struct cpv_bytes text_of(int i, char text[16])
{
    (void)snprintf(text, 16, "text %d", i);
    return cpv_bytes_str(text);
}

static void add(memory *m, int i)
{
    float v[DIM] = {(float)i, (float)i + 0.5f, -1};
    char text[16];

    assert_ok(memory_add(m, text_of(i, text), v, &err));
}

/* -1: not there; else whether it has come before in this part. */
static int find(memory *m, int i)
{
    float v[DIM];
    bool blank = true, again;
    char text[16];

    if (!memory_find(m, text_of(i, text), v, &blank, &again))
        return -1;
    assert_false(blank);
    assert_true(v[0] == (float)i && v[1] == (float)i + 0.5f && v[2] == -1);
    return again;
}

static void finds_what_was_added(void **state)
{
    memory *m;

    (void)state;
    assert_ok(memory_open(&m, DIM, 10000 * ONE, &err));
    memory_begin(m);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(find(m, i), -1);
        add(m, i);
    }
    for (int i = 0; i < 5000; i++)
        assert_int_equal(find(m, i), 1);
    memory_begin(m);
    assert_int_equal(find(m, 7), 0); /* new to this part */
    assert_int_equal(find(m, 7), 1);
    memory_close(&m);
}

static void the_oldest_makes_way(void **state)
{
    memory *m;

    (void)state;
    assert_ok(memory_open(&m, DIM, 100 * ONE, &err));
    memory_begin(m);
    for (int i = 0; i < 250; i++)
        add(m, i);
    for (int i = 0; i < 250; i++)
        assert_int_equal(find(m, i), i < 150 ? -1 : 1);
    add(m, 3);
    assert_int_equal(find(m, 3), 1);
    assert_int_equal(find(m, 150), -1);
    assert_int_equal(find(m, 151), 1);
    memory_close(&m);
}

static void no_room_at_all(void **state)
{
    memory *m;

    (void)state;
    assert_ok(memory_open(&m, DIM, ONE - 1, &err));
    memory_begin(m);
    add(m, 1);
    assert_int_equal(find(m, 1), -1);
    memory_close(&m);
}

static void blanks_are_known_to_be_blank(void **state)
{
    float v[DIM];
    bool blank = false, again;
    memory *m;

    (void)state;
    assert_ok(memory_open(&m, DIM, 100 * ONE, &err));
    memory_begin(m);
    assert_ok(memory_add(m, cpv_bytes_str("?"), NULL, &err));
    assert_true(memory_find(m, cpv_bytes_str("?"), v, &blank, &again));
    assert_true(blank && again);
    memory_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added),
        cmocka_unit_test(the_oldest_makes_way),
        cmocka_unit_test(no_room_at_all),
        cmocka_unit_test(blanks_are_known_to_be_blank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
