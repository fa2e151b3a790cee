/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures through threads: each comes back once, whatever happens on the way. The model
 * is made up: it holds pictures and describes each after a few steps, as a decoder does.
 */
#include <stdatomic.h>

#include "tests/unit/base/unit.h"

#include "common/base/sys.h"
#include "stages/caption/caption.h"

enum { HELD_MAX = 64, BAD = 14 };

/* What the made-up model does; its settings come first. */
struct fake {
    struct caption_settings set;
    int64_t fail_prepare, fail_describe; /* the picture of that number; -1: none */
    int64_t together; /* nothing is described before so many have been taken */
    atomic_int taken, workers_used, entered;
};

struct caption_model {
    struct fake *fake;
};
struct caption_worker {
    struct fake *fake;
    struct picture *held[HELD_MAX];
    int steps[HELD_MAX], n;
    bool used;
};

int model_open(caption_model **out, const struct engine_params *p, struct cpv_err *err)
{
    (void)err;
    *out = cpv_calloc(1, sizeof **out);
    assert_non_null(*out);
    (*out)->fake = (struct fake *)(uintptr_t)p->set;
    return CPV_OK;
}

void model_close(caption_model **m)
{
    cpv_free(*m);
    *m = NULL;
}

bool model_is_cpu(const caption_model *m)
{
    (void)m;
    return true;
}

int model_images(const caption_model *m)
{
    return (int)m->fake->set.images;
}

int model_prepare(const caption_model *m, caption_maker **maker, struct picture *p,
                  struct cpv_err *err)
{
    (void)maker;
    if ((int64_t)p->number == m->fake->fail_prepare)
        return cpv_fail(err, CPV_E_MEMORY, "no memory for picture %d", (int)p->number);
    if (p->number % 10 == 3) {
        p->status = "decode";
        return CPV_OK;
    }
    p->pixels = cpv_alloc(64);
    return p->pixels ? CPV_OK : cpv_fail_memory(err);
}

void model_maker_close(caption_maker **maker)
{
    (void)maker;
}

int model_worker_open(caption_worker **out, const caption_model *m, struct cpv_err *err)
{
    (void)err;
    *out = cpv_calloc(1, sizeof **out);
    assert_non_null(*out);
    (*out)->fake = m->fake;
    return CPV_OK;
}

void model_worker_close(caption_worker **w)
{
    if (!*w)
        return;
    for (int i = 0; i < (*w)->n; i++)
        picture_free(&(*w)->held[i]);
    cpv_free(*w);
    *w = NULL;
}

static int admit(caption_worker *w, const struct caption_stream *s, bool *over,
                 struct cpv_err *err)
{
    struct picture *p = NULL;
    int rc = s->next(s->arg, w->n == 0, &p, err);

    if (rc == 0)
        *over = true;
    if (rc != 1)
        return rc;
    p->pixels[0] = 1; /* there, and ours until the next call */
    w->held[w->n] = p;
    w->steps[w->n++] = (int)(p->number % 5) + 1;
    if (!w->used)
        atomic_fetch_add(&w->fake->workers_used, 1);
    w->used = true;
    atomic_fetch_add(&w->fake->taken, 1);
    return 1;
}

static int step(caption_worker *w, const struct caption_stream *s, struct cpv_err *err)
{
    int rc = CPV_OK;

    for (int i = 0; i < w->n && !rc; i++) {
        struct picture *p = w->held[i];

        if (--w->steps[i] > 0)
            continue;
        if ((int64_t)p->number == w->fake->fail_describe)
            return cpv_fail(err, CPV_E_BUG, "picture %d is a bad one", (int)p->number);
        p->captions = cpv_calloc(1, sizeof *p->captions);
        assert_non_null(p->captions);
        p->captions[0].tokens = (uint32_t)p->number;
        p->n = 1;
        w->held[i] = w->held[--w->n];
        w->steps[i] = w->steps[w->n];
        i--;
        rc = s->done(s->arg, p, err);
    }
    return rc;
}

int model_run(caption_worker *w, const struct caption_stream *s, struct cpv_err *err)
{
    bool over = false;
    int rc = CPV_OK;

    /* The others come later: until then the first could take everything. */
    if (w->fake->together && atomic_fetch_add(&w->fake->entered, 1) > 0)
        usleep(30000);
    while (rc >= 0 && (w->n || !over)) {
        if (!over && w->n < w->fake->set.images)
            rc = admit(w, s, &over, err);
        if (rc < 0)
            break;
        if (w->n && atomic_load(&w->fake->taken) < w->fake->together)
            usleep(500); /* and asks for more */
        else
            rc = step(w, s, err);
    }
    return rc < 0 ? rc : CPV_OK;
}

/* ---- helpers ---- */

static struct fake fake_of(int images)
{
    struct fake f = {.fail_prepare = -1, .fail_describe = -1};

    f.set.images = images;
    return f;
}

static engine *open_engine(struct fake *f, int threads)
{
    struct engine_params p = {.set = &f->set, .threads = threads};
    struct cpv_err err = {0};
    engine *e;

    assert_ok(engine_open(&e, &p, &err));
    return e;
}

static struct picture *picture_of(uint64_t number)
{
    struct picture *p = cpv_calloc(1, sizeof *p);

    assert_non_null(p);
    p->number = number;
    p->index = (uint32_t)number;
    cpv_buf_str(&p->file, "bytes");
    return p;
}

/* Everything through it; `back` counts each, or the code that ended it. */
static int pump(engine *e, uint64_t n, uint8_t *back, struct cpv_err *err)
{
    uint64_t fed = 0, done = 0;
    int inside = 0, rc = CPV_OK;

    engine_expect(e, (int64_t)n);
    while (done < n && rc >= 0) {
        struct picture *p = NULL;

        for (; fed < n && inside < engine_room(e) && rc >= 0; fed++, inside++)
            rc = engine_put(e, picture_of(fed), err);
        if (rc >= 0)
            rc = engine_take(e, &p, 20, err);
        if (rc != 1)
            continue;
        inside--;
        done++;
        back[p->index]++;
        assert_null(p->pixels);
        assert_int_equal(p->file.size, 0);
        if (p->number % 10 == 3)
            assert_string_equal(p->status, "decode");
        else
            assert_int_equal(picture_answer(p).captions[0].tokens, p->number);
        picture_free(&p);
    }
    return rc < 0 ? rc : CPV_OK;
}

/* ---- tests ---- */

static void each_comes_back_once(void **state)
{
    static const int threads[] = {1, 2, 7}, images[] = {1, 3, 16};
    enum { N = 500 };

    (void)state;
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 3; i++) {
            struct fake f = fake_of(images[i]);
            engine *e = open_engine(&f, threads[t]);
            uint8_t back[N] = {0};
            struct cpv_err err = {0};

            assert_ok(pump(e, N, back, &err));
            for (int k = 0; k < N; k++)
                assert_int_equal(back[k], 1);
            /* And again, after all threads have been idle. */
            assert_ok(pump(e, 1, back, &err));
            assert_int_equal(back[0], 2);
            engine_close(&e);
            assert_null(e);
        }
}

/* Of two pictures and two workers each gets one, though either could hold eight. */
static void the_last_are_not_piled_up(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct fake f = fake_of(8);
        uint8_t back[2] = {0};
        struct cpv_err err = {0};
        engine *e;

        f.together = 2;
        e = open_engine(&f, 2);
        assert_ok(pump(e, 2, back, &err));
        assert_int_equal(atomic_load(&f.workers_used), 2);
        engine_close(&e);
    }
}

static void fails(struct fake *f, int code, const char *text)
{
    enum { N = 200 };

    for (int threads = 1; threads <= 3; threads++) {
        uint8_t back[N] = {0};
        struct cpv_err err = {0};
        engine *e = open_engine(f, threads);
        struct picture *p;

        assert_int_equal(pump(e, N, back, &err), code);
        assert_string_equal(err.text, text);
        while ((p = engine_rest(e))) {
            back[p->index]++;
            picture_free(&p);
        }
        for (int k = 0; k < N; k++)
            assert_in_range(back[k], 0, k == BAD ? 0 : 1);
        engine_close(&e);
    }
}

static void a_thread_that_fails_ends_it(void **state)
{
    struct fake f = fake_of(4);

    (void)state;
    f.fail_describe = BAD;
    fails(&f, CPV_E_BUG, "picture 14 is a bad one");
    f.fail_describe = -1;
    f.fail_prepare = BAD;
    fails(&f, CPV_E_MEMORY, "no memory for picture 14");
}

static void it_may_be_closed_at_any_time(void **state)
{
    (void)state;
    for (int n = 0; n < 12; n++) {
        struct fake f = fake_of(2);
        struct cpv_err err = {0};
        engine *e = open_engine(&f, 2);

        engine_expect(e, n);
        for (int i = 0; i < n && i < engine_room(e); i++)
            assert_ok(engine_put(e, picture_of((uint64_t)i), &err));
        usleep((unsigned)(n % 3) * 500);
        engine_close(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_comes_back_once),
        cmocka_unit_test(the_last_are_not_piled_up),
        cmocka_unit_test(a_thread_that_fails_ends_it),
        cmocka_unit_test(it_may_be_closed_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
