/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h: order, waiting, ending; pools that start whole or not at all. */
#include "tests/unit/base/unit.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/queue.h"

static void first_in_first_out(void **state)
{
    struct cpv_err err;
    cpv_queue *q;
    int item[3];
    void *got;

    (void)state;
    assert_ok(cpv_queue_open(&q, 2, &err));
    for (int round = 0; round < 5; round++) { /* the ring goes round */
        assert_true(cpv_queue_put(q, &item[0]));
        assert_true(cpv_queue_try_put(q, &item[1]));
        assert_false(cpv_queue_try_put(q, &item[2]));
        assert_int_equal(cpv_queue_count(q), 2);
        assert_true(cpv_queue_get(q, &got));
        assert_ptr_equal(got, &item[0]);
        assert_true(cpv_queue_put(q, &item[2]));
        assert_true(cpv_queue_get(q, &got));
        assert_ptr_equal(got, &item[1]);
        assert_int_equal(cpv_queue_get_for(q, &got, 0), CPV_QUEUE_ITEM);
        assert_ptr_equal(got, &item[2]);
    }
    cpv_queue_close(&q);
    assert_null(q);
}

static void the_end_comes_after_what_was_put(void **state)
{
    struct cpv_err err;
    cpv_queue *q;
    int item;
    void *got;

    (void)state;
    assert_ok(cpv_queue_open(&q, 2, &err));
    assert_true(cpv_queue_put(q, &item));
    cpv_queue_end(q);
    cpv_queue_end(q);
    assert_false(cpv_queue_put(q, &item));
    assert_true(cpv_queue_get(q, &got));
    assert_ptr_equal(got, &item);
    assert_false(cpv_queue_get(q, &got));
    assert_null(got);
    assert_int_equal(cpv_queue_get_for(q, &got, 1000), CPV_QUEUE_ENDED);
    cpv_queue_close(&q);
}

static void a_timed_get_gives_up(void **state)
{
    struct cpv_err err;
    int64_t start = cpv_clock_ms();
    cpv_queue *q;
    void *got = &err;

    (void)state;
    assert_ok(cpv_queue_open(&q, 1, &err));
    assert_int_equal(cpv_queue_get_for(q, &got, 0), CPV_QUEUE_EMPTY);
    assert_int_equal(cpv_queue_get_for(q, &got, 30), CPV_QUEUE_EMPTY);
    assert_null(got);
    assert_true(cpv_clock_ms() - start >= 29);
    cpv_queue_close(&q);
}

enum { PUTTERS = 3, GETTERS = 4, EACH = 5000 };

struct traffic {
    cpv_queue *q;
    atomic_int putting;
    atomic_int seen[PUTTERS * EACH];
    int item[PUTTERS * EACH];
};

static void move(void *arg, int worker)
{
    struct traffic *t = arg;
    void *got;

    if (worker < PUTTERS) {
        for (int i = 0; i < EACH; i++)
            if (!cpv_queue_put(t->q, &t->item[worker * EACH + i]))
                return;
        if (atomic_fetch_sub(&t->putting, 1) == 1)
            cpv_queue_end(t->q);
        return;
    }
    while (worker % 2 ? cpv_queue_get_for(t->q, &got, 10000) == CPV_QUEUE_ITEM
                      : cpv_queue_get(t->q, &got))
        (void)atomic_fetch_add(&t->seen[(int *)got - t->item], 1);
}

static void every_item_arrives_once(void **state)
{
    static const size_t capacity[] = {1, 2, 100};

    (void)state;
    for (size_t c = 0; c < 3; c++) {
        struct traffic *t = calloc(1, sizeof *t);
        struct cpv_err err;
        cpv_pool *pool;

        assert_non_null(t);
        atomic_store(&t->putting, PUTTERS);
        assert_ok(cpv_queue_open(&t->q, capacity[c], &err));
        assert_ok(cpv_pool_open(&pool, "traffic", PUTTERS + GETTERS, 0, move, t, &err));
        cpv_pool_close(&pool);
        assert_null(pool);
        for (int i = 0; i < PUTTERS * EACH; i++)
            assert_int_equal(atomic_load(&t->seen[i]), 1);
        cpv_queue_close(&t->q);
        free(t);
    }
}

static void both_sides(void *arg, int worker)
{
    bool more = true;
    void *got;

    while (more)
        more = worker % 2 ? cpv_queue_put(arg, arg) : cpv_queue_get(arg, &got);
}

static void wait_for_item(void *arg, int worker)
{
    void *got;

    (void)worker;
    if (cpv_queue_get(arg, &got))
        abort(); /* there was nothing to get */
}

static void put_and_wait(void *arg, int worker)
{
    (void)worker;
    if (cpv_queue_put(arg, arg))
        abort(); /* there was no room */
}

/* Hangs, and so fails by timeout, if someone is not woken. */
static void the_end_wakes_all_who_wait(void **state)
{
    static cpv_pool_fn *const fn[] = {wait_for_item, put_and_wait, both_sides};
    struct cpv_err err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        cpv_pool *pool;
        cpv_queue *q;

        assert_ok(cpv_queue_open(&q, 1, &err));
        if (i == 1)
            assert_true(cpv_queue_put(q, q));
        assert_ok(cpv_pool_open(&pool, "wait", 4, 64 << 10, fn[i], q, &err));
        (void)usleep(20000);
        cpv_queue_end(q);
        cpv_pool_close(&pool);
        cpv_queue_close(&q);
    }
}

struct roll {
    atomic_int called[8];
    atomic_int open_to_signals;
};

static void note_worker(void *arg, int worker)
{
    struct roll *r = arg;
    sigset_t mask;

    (void)atomic_fetch_add(&r->called[worker], 1);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    if (!sigismember(&mask, SIGTERM) || sigismember(&mask, SIGSEGV) > 0)
        (void)atomic_fetch_add(&r->open_to_signals, 1);
}

static void each_worker_runs_once_without_signals(void **state)
{
    struct roll r = {0};
    struct cpv_err err;
    cpv_pool *pool;
    sigset_t mask;

    (void)state;
    assert_ok(cpv_pool_open(&pool, "a-rather-long-name", 8, 0, note_worker, &r, &err));
    cpv_pool_close(&pool);
    cpv_pool_close(&pool);
    for (int i = 0; i < 8; i++)
        assert_int_equal(atomic_load(&r.called[i]), 1);
    assert_int_equal(atomic_load(&r.open_to_signals), 0);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

static void a_pool_that_cannot_start_calls_nobody(void **state)
{
    struct roll r = {0};
    struct cpv_err err = {0};
    cpv_pool *pool;

    (void)state;
    /* More stack than there are addresses: the first thread already fails. */
    assert_true(cpv_pool_open(&pool, "big", 4, (size_t)1 << 60, note_worker, &r, &err) <
                0);
    assert_null(pool);
    assert_non_null(strstr(err.text, "thread"));
    for (int i = 0; i < 4; i++)
        assert_int_equal(atomic_load(&r.called[i]), 0);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOWED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOWED 1
#endif
#endif

/* With room for a few stacks only, threads exist already when one fails. */
static void a_pool_that_starts_in_part_calls_nobody(void **state)
{
#ifdef SHADOWED
    (void)state;
    skip(); /* a sanitizer needs the address space */
#else
    struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    int status;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        struct roll r = {0};
        struct cpv_err err = {0};
        cpv_pool *pool;
        int called = 0;

        if (setrlimit(RLIMIT_AS, &limit) ||
            !cpv_pool_open(&pool, "part", 8, (size_t)300 << 20, note_worker, &r, &err))
            _exit(1);
        for (int i = 0; i < 8; i++)
            called += atomic_load(&r.called[i]);
        _exit(called || strstr(err.text, "thread 1 of") || !strstr(err.text, " of 8")
                  ? 2
                  : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(the_end_comes_after_what_was_put),
        cmocka_unit_test(a_timed_get_gives_up),
        cmocka_unit_test(every_item_arrives_once),
        cmocka_unit_test(the_end_wakes_all_who_wait),
        cmocka_unit_test(each_worker_runs_once_without_signals),
        cmocka_unit_test(a_pool_that_cannot_start_calls_nobody),
        cmocka_unit_test(a_pool_that_starts_in_part_calls_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
