/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard lines through small vocabularies, against what transformers made of them
 * (tests/fixtures/make_tokenizers.py); the longest as digests. From several threads too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/text/bpe.h"
#include "common/text/clean.h"
#include "common/text/marian_text.h"
#include "common/text/wordpiece.h"
#include "common/text/xlmr_text.h"

enum { LONG = 500, MOST_LINES = 1000 };

struct lines {
    struct cpv_buf text;
    struct cpv_bytes list[MOST_LINES];
    size_t count;
};

static void path_of(char path[512], const char *name)
{
    const char *golden = getenv("CAPIVARA_TEST_GOLDEN");

    snprintf(path, 512, "%s/tokenizers/%s", golden ? golden : "tests/golden", name);
}

static void read_lines(struct lines *l, const char *name)
{
    char path[512];

    memset(l, 0, sizeof *l);
    path_of(path, name);
    assert_int_equal(cpv_file_read(path, 1 << 20, &l->text, NULL), CPV_OK);
    for (size_t at = 0; at < l->text.size; l->count++) {
        uint8_t *end = memchr(l->text.data + at, '\n', l->text.size - at);

        assert_non_null(end);
        assert_true(l->count < MOST_LINES);
        l->list[l->count] =
            cpv_bytes_of(l->text.data + at, (size_t)(end - l->text.data) - at);
        at = (size_t)(end - l->text.data) + 1;
    }
    assert_true(l->count > 200);
}

/* As the script writes a line: breaks made blanks, long ones as digests. */
static void check_line(struct cpv_buf *ours, struct cpv_bytes expected, const char *name,
                       size_t number)
{
    uint8_t digest[CPV_SHA256_SIZE];
    char hex[CPV_SHA256_HEX];

    assert_false(ours->failed);
    for (size_t i = 0; i < ours->size; i++) {
        if (ours->data[i] == '\n' || ours->data[i] == 0)
            ours->data[i] = ' ';
    }
    if (ours->size > LONG) {
        cpv_sha256_of(digest, cpv_buf_view(ours));
        cpv_hex(hex, digest, sizeof digest);
        cpv_buf_clear(ours);
        cpv_buf_printf(ours, "sha256 %s", hex);
    }
    if (!cpv_bytes_equal(cpv_buf_view(ours), expected))
        fail_msg("%s, line %zu: expected\n%.*s\nfound\n%.*s", name, number,
                 (int)expected.size, (const char *)expected.data, (int)ours->size,
                 (const char *)ours->data);
}

/* ---- the four behind one face ---- */

struct kind {
    const char *name, *folder;
    int (*open)(void **t, const char *folder);
    void (*close)(void **t);
    int (*encode)(const void *t, struct cpv_bytes text, struct cpv_ids *ids);
    int (*decode)(const void *t, const int32_t *ids, size_t n, struct cpv_buf *out);
};

#define KIND(k, call)                                                                    \
    static int k##_open(void **t, const char *folder)                                    \
    {                                                                                    \
        struct cpv_err err = {0};                                                        \
        int rc = call##_open((call **)t, folder, &err);                                  \
                                                                                         \
        if (rc)                                                                          \
            print_error("%s\n", err.text);                                               \
        return rc;                                                                       \
    }                                                                                    \
    static void k##_close(void **t)                                                      \
    {                                                                                    \
        call##_close((call **)t);                                                        \
    }                                                                                    \
    static int k##_decode(const void *t, const int32_t *ids, size_t n,                   \
                          struct cpv_buf *out)                                           \
    {                                                                                    \
        return call##_decode(t, ids, n, out, NULL);                                      \
    }

KIND(marian, cpv_marian_text)
KIND(xlmr, cpv_xlmr_text)
KIND(wordpiece, cpv_wordpiece)
KIND(bpe, cpv_bpe)

static int marian_encode(const void *t, struct cpv_bytes text, struct cpv_ids *ids)
{
    return cpv_marian_text_encode(t, text, ids, NULL);
}

static int xlmr_encode(const void *t, struct cpv_bytes text, struct cpv_ids *ids)
{
    return cpv_xlmr_text_encode(t, text, 0, ids, NULL);
}

static int caption_encode(const void *t, struct cpv_bytes text, struct cpv_ids *ids)
{
    return cpv_xlmr_text_encode_caption(t, text, CPV_XLMR_CONTEXT, ids, NULL);
}

static int wordpiece_encode(const void *t, struct cpv_bytes text, struct cpv_ids *ids)
{
    return cpv_wordpiece_encode(t, text, ids, NULL);
}

static int bpe_encode(const void *t, struct cpv_bytes text, struct cpv_ids *ids)
{
    return cpv_bpe_encode(t, text, ids, NULL);
}

static const char XLMR[] = "xlmr/sentencepiece.bpe.model";
static const struct kind KINDS[] = {
    {"marian", "marian", marian_open, marian_close, marian_encode, marian_decode},
    {"marian-separate", "marian-separate", marian_open, marian_close, marian_encode,
     marian_decode},
    {"xlmr", XLMR, xlmr_open, xlmr_close, xlmr_encode, xlmr_decode},
    {"caption", XLMR, xlmr_open, xlmr_close, caption_encode, xlmr_decode},
    {"wordpiece", "wordpiece", wordpiece_open, wordpiece_close, wordpiece_encode,
     wordpiece_decode},
    {"bpe", "bpe", bpe_open, bpe_close, bpe_encode, bpe_decode},
};

static void *open_kind(const struct kind *k)
{
    char path[512];
    void *t;

    path_of(path, k->folder);
    assert_int_equal(k->open(&t, path), CPV_OK);
    return t;
}

static void check_kind(const struct kind *k)
{
    struct cpv_ids ids = {0};
    struct cpv_buf text = {0};
    struct lines in, expected;
    char name[64];
    void *t = open_kind(k);

    snprintf(name, sizeof name, "%s.expected", k->name);
    read_lines(&in, "lines");
    read_lines(&expected, name);
    assert_int_equal(expected.count, in.count * 2);
    for (size_t i = 0; i < in.count; i++) {
        cpv_ids_clear(&ids);
        cpv_buf_clear(&text);
        assert_int_equal(k->encode(t, in.list[i], &ids), CPV_OK);
        for (size_t j = 0; j < ids.count; j++)
            cpv_buf_printf(&text, j ? " %d" : "%d", ids.data[j]);
        check_line(&text, expected.list[2 * i], k->name, i + 1);
        cpv_buf_clear(&text);
        assert_int_equal(k->decode(t, ids.data, ids.count, &text), CPV_OK);
        check_line(&text, expected.list[2 * i + 1], k->name, i + 1);
    }
    k->close(&t);
    cpv_ids_release(&ids);
    cpv_buf_release(&text);
    cpv_buf_release(&in.text);
    cpv_buf_release(&expected.text);
}

static void ids_and_text_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < CPV_COUNT(KINDS); i++)
        check_kind(KINDS + i);
}

static void captions_are_cleaned_as_the_reference_cleans_them(void **state)
{
    struct cpv_buf text = {0};
    struct lines in, expected;

    (void)state;
    read_lines(&in, "lines");
    read_lines(&expected, "clean");
    assert_int_equal(expected.count, in.count);
    for (size_t i = 0; i < in.count; i++) {
        cpv_buf_clear(&text);
        assert_int_equal(cpv_clean_caption(in.list[i], &text, NULL), CPV_OK);
        check_line(&text, expected.list[i], "clean", i + 1);
    }
    cpv_buf_release(&text);
    cpv_buf_release(&in.text);
    cpv_buf_release(&expected.text);
}

/* ---- threads ---- */

struct work {
    const struct kind *kind;
    void *t;
    const struct lines *in;
    uint64_t sum; /* of all ids and texts */
};

static void *work(void *arg)
{
    struct work *w = arg;
    struct cpv_ids ids = {0};
    struct cpv_buf text = {0};

    for (size_t i = 0; i < w->in->count; i++) {
        cpv_ids_clear(&ids);
        if (w->kind->encode(w->t, w->in->list[i], &ids) ||
            w->kind->decode(w->t, ids.data, ids.count, &text))
            return arg;
        w->sum = cpv_xxh64(ids.data, ids.count * sizeof *ids.data, w->sum);
    }
    w->sum = cpv_xxh64(text.data, text.size, w->sum);
    cpv_ids_release(&ids);
    cpv_buf_release(&text);
    return NULL;
}

static void one_handle_serves_many_threads(void **state)
{
    struct work w[4];
    pthread_t threads[4];
    struct lines in;
    void *failed;

    (void)state;
    read_lines(&in, "lines");
    for (size_t k = 0; k < CPV_COUNT(KINDS); k++) {
        void *t = open_kind(KINDS + k);

        for (size_t i = 0; i < CPV_COUNT(w); i++) {
            w[i] = (struct work){KINDS + k, t, &in, 0};
            assert_int_equal(pthread_create(threads + i, NULL, work, w + i), 0);
        }
        for (size_t i = 0; i < CPV_COUNT(w); i++) {
            assert_int_equal(pthread_join(threads[i], &failed), 0);
            assert_null(failed);
            assert_true(w[i].sum == w[0].sum);
        }
        KINDS[k].close(&t);
    }
    cpv_buf_release(&in.text);
}

static void ids_that_nothing_has_are_left_out(void **state)
{
    static const int32_t ids[] = {-1, INT32_MAX, INT32_MIN, 1 << 22, 100000, 599};
    struct cpv_buf text = {0};

    (void)state;
    for (size_t k = 0; k < CPV_COUNT(KINDS); k++) {
        void *t = open_kind(KINDS + k);

        assert_int_equal(KINDS[k].decode(t, ids, CPV_COUNT(ids), &text), CPV_OK);
        assert_int_equal(KINDS[k].decode(t, NULL, 0, &text), CPV_OK);
        assert_int_equal(text.size, 0);
        KINDS[k].close(&t);
    }
    cpv_buf_release(&text);
}

static void marian_tells_its_special_ids(void **state)
{
    cpv_marian_text *t = open_kind(KINDS);

    (void)state;
    assert_int_equal(cpv_marian_text_eos(t), 0);
    assert_int_equal(cpv_marian_text_unknown(t), 1);
    assert_int_equal(cpv_marian_text_id(t, cpv_bytes_str("</s>")), 0);
    assert_int_equal(cpv_marian_text_pad(t), cpv_marian_text_size(t) - 1);
    assert_true(cpv_marian_text_id(t, cpv_bytes_str(">>por<<")) > 1);
    assert_int_equal(cpv_marian_text_id(t, cpv_bytes_str(">>xxx<<")), -1);
    cpv_marian_text_close(&t);
}

static void a_long_caption_keeps_its_end(void **state)
{
    cpv_xlmr_text *t = open_kind(KINDS + 2);
    struct cpv_ids ids = {0}, two = {0};
    struct cpv_buf text = {0};

    (void)state;
    for (int i = 0; i < 200; i++)
        cpv_buf_str(&text, "a dog ");
    assert_int_equal(cpv_xlmr_text_encode_caption(t, cpv_buf_view(&text), 77, &ids, NULL),
                     0);
    assert_int_equal(ids.count, 77);
    assert_int_equal(ids.data[0], CPV_XLMR_BOS);
    assert_int_equal(ids.data[76], CPV_XLMR_EOS);
    assert_int_equal(cpv_xlmr_text_encode(t, cpv_buf_view(&text), 2, &two, NULL), 0);
    assert_int_equal(two.count, 2);
    assert_int_equal(two.data[1], CPV_XLMR_EOS);
    /* At each limit around the text's own length. */
    cpv_ids_clear(&ids);
    assert_int_equal(cpv_xlmr_text_encode(t, cpv_bytes_str("a dog runs"), 0, &ids, NULL),
                     0);
    for (size_t most = 2; most < ids.count + 3; most++) {
        cpv_ids_clear(&two);
        assert_int_equal(
            cpv_xlmr_text_encode(t, cpv_bytes_str("a dog runs"), most, &two, NULL), 0);
        assert_int_equal(two.count, most < ids.count ? most : ids.count);
        assert_int_equal(two.data[two.count - 1], CPV_XLMR_EOS);
    }
    cpv_ids_release(&ids);
    cpv_ids_release(&two);
    cpv_buf_release(&text);
    cpv_xlmr_text_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_text_are_those_of_transformers),
        cmocka_unit_test(captions_are_cleaned_as_the_reference_cleans_them),
        cmocka_unit_test(one_handle_serves_many_threads),
        cmocka_unit_test(ids_that_nothing_has_are_left_out),
        cmocka_unit_test(marian_tells_its_special_ids),
        cmocka_unit_test(a_long_caption_keeps_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
