/* SPDX-License-Identifier: Apache-2.0 */
/* The translation memory: what it keeps, for whom, and that it only ever saves time. */
#include "tests/unit/base/unit.h"

#include <sys/wait.h>

#include "stages/translate/translate.h"

static const uint8_t ONE[32] = {1}, OTHER[32] = {2};

static void add(memory *m, const char *source, const char *target, unsigned flags, int in,
                int out)
{
    struct translation t = {.source = cpv_bytes_str(source),
                            .target = cpv_bytes_str(target),
                            .flags = flags,
                            .tokens_in = in,
                            .tokens_out = out};
    struct cpv_err err = {0};

    assert_ok(memory_add(m, &t, &err));
}

/* wanted NULL: it does not know */
static void knows(memory *m, const char *source, const char *wanted, unsigned flags,
                  int in, int out)
{
    struct translation t = {.source = cpv_bytes_str(source)};
    struct cpv_err err = {0};
    cpv_arena *mem;
    bool found = true;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(memory_find(m, &t, mem, &found, &err));
    assert_int_equal(found, wanted != NULL);
    if (wanted) {
        assert_true(cpv_bytes_equal(t.target, cpv_bytes_str(wanted)));
        assert_int_equal(t.flags, flags);
        assert_int_equal(t.tokens_in, in);
        assert_int_equal(t.tokens_out, out);
    }
    cpv_arena_close(&mem);
}

static memory *opened(const char *path, const uint8_t identity[32])
{
    struct cpv_err err = {0};
    memory *m;

    assert_ok(memory_open(&m, path, identity, &err));
    return m;
}

static void both(void **state)
{
    static const char *const paths[] = {NULL, "both"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        memory *m = opened(paths[i], ONE);

        knows(m, "a dog", NULL, 0, 0, 0);
        add(m, "a dog", "um cachorro", CPV_FLAG_CUT | CPV_FLAG_RATIO, 3, 4);
        add(m, "nothing", "", CPV_FLAG_EMPTY, 2, 1);
        knows(m, "a dog", "um cachorro", CPV_FLAG_CUT | CPV_FLAG_RATIO, 3, 4);
        knows(m, "nothing", "", CPV_FLAG_EMPTY, 2, 1);
        knows(m, "a dog ", NULL, 0, 0, 0);
        knows(m, "A dog", NULL, 0, 0, 0);
        /* Of two the first stays. */
        add(m, "a dog", "outro", 0, 9, 9);
        knows(m, "a dog", "um cachorro", CPV_FLAG_CUT | CPV_FLAG_RATIO, 3, 4);
        memory_close(&m);
        assert_null(m);
        memory_close(&m);
    }
}

static void many(void **state)
{
    static const char *const paths[] = {NULL, "many", "many"};
    char source[32], target[32];

    (void)state;
    for (int p = 0; p < 3; p++) {
        memory *m = opened(paths[p], ONE);

        for (int i = 0; i < 5000 && p < 2; i++) {
            snprintf(source, sizeof source, "source %d", i);
            snprintf(target, sizeof target, "target %d", i * 3);
            add(m, source, target, (unsigned)i % 64, i, 2 * i);
        }
        for (int i = 0; i < 5000; i++) {
            snprintf(source, sizeof source, "source %d", i);
            snprintf(target, sizeof target, "target %d", i * 3);
            knows(m, source, target, (unsigned)i % 64, i, 2 * i);
        }
        knows(m, "source 5000", NULL, 0, 0, 0);
        memory_close(&m);
    }
}

static void persists(void **state)
{
    memory *m = opened("kept", ONE);

    (void)state;
    add(m, "a dog", "um cachorro", 0, 3, 4);
    memory_close(&m);
    m = opened("kept", ONE);
    knows(m, "a dog", "um cachorro", 0, 3, 4);
    add(m, "a cat", "um gato", CPV_FLAG_LOOP, 5, 6);
    memory_close(&m);
    m = opened("kept", ONE);
    knows(m, "a dog", "um cachorro", 0, 3, 4);
    knows(m, "a cat", "um gato", CPV_FLAG_LOOP, 5, 6);
    memory_close(&m);
    /* Another model's translations are of no use, and gone. */
    m = opened("kept", OTHER);
    knows(m, "a dog", NULL, 0, 0, 0);
    add(m, "a dog", "un perro", 0, 1, 1);
    memory_close(&m);
    m = opened("kept", OTHER);
    knows(m, "a dog", "un perro", 0, 1, 1);
    memory_close(&m);
    m = opened("kept", ONE);
    knows(m, "a dog", NULL, 0, 0, 0);
    memory_close(&m);
}

/* What a kill leaves of the last record. */
static void cut_short(void **state)
{
    memory *m = opened("cut", ONE);
    FILE *f;
    long size;

    (void)state;
    add(m, "a dog", "um cachorro", 0, 3, 4);
    add(m, "a cat", "um gato", 0, 3, 4);
    memory_close(&m);
    f = fopen("cut", "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(truncate("cut", size - 1), 0);
    m = opened("cut", ONE);
    knows(m, "a dog", "um cachorro", 0, 3, 4);
    knows(m, "a cat", NULL, 0, 0, 0);
    add(m, "a cat", "um gato", 0, 3, 4);
    knows(m, "a cat", "um gato", 0, 3, 4);
    memory_close(&m);
    m = opened("cut", ONE);
    knows(m, "a cat", "um gato", 0, 3, 4);
    memory_close(&m);
}

/* A second process works without the file, and leaves it alone. */
static void busy(void **state)
{
    memory *m = opened("busy", ONE);
    int status;
    pid_t child;

    (void)state;
    add(m, "a dog", "um cachorro", 0, 3, 4);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct translation t = {.source = cpv_bytes_str("a cat"),
                                .target = cpv_bytes_str("from the child")};
        struct cpv_err err = {0};
        cpv_arena *mem;
        memory *own;
        bool dog = true, cat = false;

        if (memory_open(&own, "busy", ONE, &err) || memory_add(own, &t, &err) ||
            cpv_arena_open(&mem, 0, &err) || memory_find(own, &t, mem, &cat, &err))
            _exit(2);
        t.source = cpv_bytes_str("a dog");
        if (memory_find(own, &t, mem, &dog, &err))
            _exit(3);
        _exit(cat && !dog ? 0 : 4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    knows(m, "a cat", NULL, 0, 0, 0);
    add(m, "a cat", "um gato", 0, 3, 4);
    memory_close(&m);
    m = opened("busy", ONE);
    knows(m, "a dog", "um cachorro", 0, 3, 4);
    knows(m, "a cat", "um gato", 0, 3, 4);
    memory_close(&m);
}

static void refused(void **state)
{
    struct cpv_err err = {0};
    memory *m;

    (void)state;
    assert_int_not_equal(memory_open(&m, "no/such/folder", ONE, &err), CPV_OK);
    assert_null(m);
    assert_non_null(strstr(err.text, "no/such/folder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both),      cmocka_unit_test(many), cmocka_unit_test(persists),
        cmocka_unit_test(cut_short), cmocka_unit_test(busy), cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
