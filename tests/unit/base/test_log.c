/* SPDX-License-Identifier: Apache-2.0 */
/* log.h and progress.h: lines whole, live lines cleared and drawn again, JSON. */
#include "tests/unit/base/unit.h"

#include <pthread.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/progress.h"

static void keep(void *ctx, cpv_log_level level, const char *line, size_t size)
{
    (void)level;
    cpv_buf_add(ctx, line, size);
}

struct world {
    struct cpv_buf out;
    cpv_log *log;
    struct cpv_err err;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    *state = w;
    return !w || cpv_log_open_sink(&w->log, "cap", CPV_LOG_INFO, keep, &w->out, &w->err);
}

static int tear_down(void **state)
{
    struct world *w = *state;

    cpv_log_close(&w->log);
    cpv_buf_release(&w->out);
    free(w);
    return 0;
}

static void out_is(struct world *w, const char *text)
{
    assert_string_equal(cpv_buf_cstr(&w->out), text);
    cpv_buf_clear(&w->out);
}

static void levels_and_prefixes(void **state)
{
    struct world *w = *state;

    cpv_log_error(w->log, "bad %d", 1);
    cpv_log_warning(w->log, "odd");
    cpv_log_info(w->log, "note");
    cpv_log_debug(w->log, "detail");
    cpv_log_line(w->log, "{}");
    (void)cpv_fail(&w->err, CPV_E_IO, "no %%");
    cpv_log_err(w->log, &w->err);
    out_is(w, "cap: error: bad 1\ncap: warning: odd\ncap: note\n{}\ncap: error: no %\n");
    assert_true(cpv_log_shows(w->log, CPV_LOG_INFO));
    assert_false(cpv_log_shows(w->log, CPV_LOG_DEBUG));
    cpv_log_error(NULL, "nobody");
    cpv_log_line(NULL, "nobody");
    cpv_log_live(NULL, "nobody");
}

static void an_event_is_one_line(void **state)
{
    struct world *w = *state;
    char text[5000];

    cpv_log_info(w->log, "a\nb\x1b[2J\x7f");
    out_is(w, "cap: a\\x0ab\\x1b[2J\\x7f\n");
    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cpv_log_info(w->log, "%s", text);
    assert_int_equal(w->out.data[w->out.size - 1], '\n');
    assert_ptr_equal(memchr(w->out.data, '\n', w->out.size),
                     w->out.data + w->out.size - 1);
}

static void live_lines_give_way(void **state)
{
    struct world *w = *state;

    cpv_log_live(w->log, "10%");
    cpv_log_info(w->log, "hello");
    cpv_log_live(w->log, "20%");
    cpv_log_live(w->log, NULL);
    cpv_log_live(w->log, NULL);
    cpv_log_info(w->log, "end");
    out_is(w, "\r\033[K10%\r\033[Kcap: hello\n10%\r\033[K20%\r\033[Kcap: end\n");
}

static void *chatter(void *log)
{
    for (int i = 0; i < 500; i++)
        cpv_log_info(log, "0123456789012345678901234567890123456789");
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    static const char line[] = "cap: 0123456789012345678901234567890123456789\n";
    struct world *w = *state;
    pthread_t thread[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, chatter, w->log), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(w->out.size, 4 * 500 * (sizeof line - 1));
    for (size_t at = 0; at < w->out.size; at += sizeof line - 1)
        assert_memory_equal(w->out.data + at, line, sizeof line - 1);
}

static void descriptors_get_lines_too(void **state)
{
    struct world *w = *state;
    char got[64] = "";
    cpv_log *log;
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    assert_int_equal(cpv_log_open(&log, "p", CPV_LOG_ERROR, fd[1], &w->err), 0);
    cpv_log_warning(log, "dropped");
    cpv_log_error(log, "kept");
    cpv_log_close(&log);
    assert_null(log);
    assert_int_equal(close(fd[1]), 0);
    assert_int_equal(read(fd[0], got, sizeof got - 1), 15);
    assert_string_equal(got, "p: error: kept\n");
    assert_int_equal(close(fd[0]), 0);
}

/* ---- progress ---- */

/* The clock of these tests; a function pointer without context leaves no other way. */
static int64_t now_ms;

static int64_t test_clock(void)
{
    return now_ms;
}

static cpv_progress *open_progress(struct world *w, cpv_progress_style style, int every)
{
    struct cpv_progress_params params = {
        .what = "fe\"tch",
        .log = w->log,
        .style = style,
        .every_ms = every,
        .clock = test_clock,
    };
    cpv_progress *p = NULL;

    now_ms = 1000;
    assert_int_equal(cpv_progress_open(&p, &params, &w->err), 0);
    return p;
}

static void json_is(cpv_progress *p, const char *expected)
{
    struct cpv_buf b = {0};

    cpv_progress_json_text(p, &b);
    assert_string_equal(cpv_buf_cstr(&b), expected);
    cpv_buf_release(&b);
}

static void live_is(cpv_progress *p, const char *expected)
{
    struct cpv_buf b = {0};

    cpv_progress_live_text(p, &b);
    assert_string_equal(cpv_buf_cstr(&b), expected);
    cpv_buf_release(&b);
}

static void progress_counts(void **state)
{
    struct world *w = *state;
    cpv_progress *p = open_progress(w, CPV_PROGRESS_QUIET, 0);

    json_is(p, "{\"progress\":\"fe\\\"tch\",\"done\":0,\"total\":null,\"failed\":0,"
               "\"rate\":0.0,\"elapsed_s\":0.0,\"eta_s\":null}");
    cpv_progress_total(p, 1000);
    cpv_progress_skip(p, 100);
    cpv_progress_add(p, 200, 7);
    now_ms += 10000;
    json_is(p, "{\"progress\":\"fe\\\"tch\",\"done\":300,\"total\":1000,\"failed\":7,"
               "\"rate\":20.0,\"elapsed_s\":10.0,\"eta_s\":35.0}");
    cpv_progress_note(p, "part %d", 3);
    live_is(p, "fe\"tch  300/1000 (30%)  7 failed  20.0/s  0:35 left  part 3");
    cpv_progress_total(p, 1000000);
    live_is(p, "fe\"tch  300/1000000 (0%)  7 failed  20.0/s  13h 53m left  part 3");
    cpv_progress_total(p, 300);
    live_is(p, "fe\"tch  300/300 (100%)  7 failed  20.0/s  0:00 left  part 3");
    cpv_progress_close(&p);
    assert_null(p);
    out_is(w, "");
    cpv_progress_add(NULL, 1, 0);
    cpv_progress_note(NULL, "x");
    cpv_progress_close(&p);
}

static void the_rate_forgets_what_is_long_past(void **state)
{
    struct world *w = *state;
    cpv_progress *p = open_progress(w, CPV_PROGRESS_QUIET, 0);

    for (int s = 0; s < 100; s++) { /* 100/s, then nothing */
        cpv_progress_add(p, s < 50 ? 100 : 0, 0);
        now_ms += 1000;
        (void)cpv_progress_look(p);
        if (s == 49)
            assert_true(cpv_progress_look(p).rate > 99);
        if (s == 64) {
            double rate = cpv_progress_look(p).rate;

            assert_true(rate > 45 && rate < 55);
        }
    }
    assert_true(cpv_progress_look(p).rate == 0);
    assert_true(cpv_progress_look(p).eta_s < 0);
    cpv_progress_close(&p);
}

/* Whoever looks rarely gets no longer window for it. */
static void rare_looks_keep_the_window(void **state)
{
    struct world *w = *state;
    cpv_progress *p = open_progress(w, CPV_PROGRESS_QUIET, 0);

    for (int i = 0; i < 20; i++) {
        cpv_progress_add(p, i < 15 ? 1000 : 0, 0);
        now_ms += 10000;
        (void)cpv_progress_look(p);
    }
    assert_true(cpv_progress_look(p).rate == 0);
    cpv_progress_close(&p);
}

static void json_lines_come_by_themselves(void **state)
{
    struct world *w = *state;
    cpv_progress *p = open_progress(w, CPV_PROGRESS_JSON, 5);
    const char *last;

    (void)usleep(100000);
    cpv_progress_add(p, 4, 4);
    cpv_progress_close(&p);
    last = cpv_buf_cstr(&w->out);
    assert_non_null(strstr(last, "\"done\":0,"));
    assert_non_null(strstr(last, "\"done\":4,"));
    for (const char *s = last; *s; s = strchr(s, '\n') + 1) {
        assert_memory_equal(s, "{\"progress\":", 12);
        assert_int_equal(strchr(s, '\n')[-1], '}');
    }
}

static void live_progress_cleans_up(void **state)
{
    struct world *w = *state;
    cpv_progress *p = open_progress(w, CPV_PROGRESS_LIVE, 5);
    const char *text;

    (void)usleep(100000);
    cpv_progress_close(&p);
    text = cpv_buf_cstr(&w->out);
    assert_non_null(strstr(text, "\r\033[Kfe\"tch  0  0.0/s"));
    assert_string_equal(text + w->out.size - 4, "\r\033[K");
}

static void styles(void **state)
{
    int fd[2];

    (void)state;
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(cpv_progress_style_of(fd[1], true), CPV_PROGRESS_QUIET);
    assert_int_equal(cpv_progress_style_of(fd[1], false), CPV_PROGRESS_JSON);
    assert_int_equal(close(fd[0]), 0);
    assert_int_equal(close(fd[1]), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(levels_and_prefixes),
        TEST(an_event_is_one_line),
        TEST(live_lines_give_way),
        TEST(threads_do_not_mix_lines),
        TEST(descriptors_get_lines_too),
        TEST(progress_counts),
        TEST(the_rate_forgets_what_is_long_past),
        TEST(rare_looks_keep_the_window),
        TEST(json_lines_come_by_themselves),
        TEST(live_progress_cleans_up),
        TEST(styles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
