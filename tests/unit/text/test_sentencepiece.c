/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece: what the models of others may be, and that pieces and text go round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/text/sentencepiece.h"

/* ---- models made here, field by field ---- */

static void put_bytes(struct cpv_buf *b, unsigned number, struct cpv_bytes value)
{
    cpv_buf_varint(b, number << 3 | 2);
    cpv_buf_varint(b, value.size);
    cpv_buf_add(b, value.data, value.size);
}

static void put_piece(struct cpv_buf *b, const char *text, float score, unsigned kind)
{
    struct cpv_buf piece = {0};
    uint32_t bits;

    memcpy(&bits, &score, sizeof bits);
    put_bytes(&piece, 1, cpv_bytes_str(text));
    cpv_buf_varint(&piece, 2 << 3 | 5);
    cpv_buf_u32(&piece, bits);
    cpv_buf_varint(&piece, 3 << 3);
    cpv_buf_varint(&piece, kind);
    put_bytes(b, 1, cpv_buf_view(&piece));
    cpv_buf_release(&piece);
}

static void put_pieces(struct cpv_buf *b)
{
    put_piece(b, "<unk>", 0, 2);
    put_piece(b, "\xE2\x96\x81", -2, 1);
    put_piece(b, "a", -1, 1);
    put_piece(b,
              "\xE2\x96\x81"
              "dog",
              -3, 1);
}

/* A normaliser with that table of `units`, then `strings` of `size` bytes. */
static void put_table(struct cpv_buf *b, const uint32_t *units, size_t count,
                      const char *strings, size_t size)
{
    struct cpv_buf table = {0}, spec = {0};

    cpv_buf_u32(&table, (uint32_t)(count * 4));
    for (size_t i = 0; i < count; i++)
        cpv_buf_u32(&table, units[i]);
    cpv_buf_add(&table, strings, size);
    put_bytes(&spec, 2, cpv_buf_view(&table));
    put_bytes(b, 3, cpv_buf_view(&spec));
    cpv_buf_release(&table);
    cpv_buf_release(&spec);
}

static void check_refused(struct cpv_buf *model, const char *why)
{
    struct cpv_err err = {0};
    cpv_sentencepiece *m = (cpv_sentencepiece *)&err;
    int rc = cpv_sentencepiece_read(&m, cpv_buf_view(model), "m.spm", &err);

    if (rc != CPV_E_INPUT || m || !strstr(err.text, why) || !strstr(err.text, "'m.spm'"))
        fail_msg("expected '%s', found %d '%s'", why, rc, err.text);
    cpv_buf_release(model);
}

struct taken {
    char text[200];
    int count;
};

static void take(void *user, int32_t id, struct cpv_bytes text)
{
    struct taken *t = user;
    size_t n = strlen(t->text);

    snprintf(t->text + n, sizeof t->text - n, "%d:%.*s ", id, (int)text.size,
             (const char *)text.data);
    t->count++;
}

static void pieces_and_text_go_round(void **state)
{
    const struct cpv_bytes pieces[] = {cpv_bytes_str("\xE2\x96\x81"
                                                     "dog"),
                                       cpv_bytes_str("zz"), cpv_bytes_str("a")};
    struct cpv_buf model = {0}, out = {0};
    struct taken t = {.count = 0};
    cpv_sentencepiece *m;

    (void)state;
    put_pieces(&model);
    assert_int_equal(cpv_sentencepiece_read(&m, cpv_buf_view(&model), "m", NULL), CPV_OK);
    assert_int_equal(cpv_sentencepiece_count(m), 4);
    assert_int_equal(cpv_sentencepiece_unknown(m), 0);
    assert_int_equal(cpv_sentencepiece_id(m, pieces[0]), 3);
    assert_int_equal(cpv_sentencepiece_id(m, pieces[1]), 0);
    assert_true(cpv_bytes_equal(cpv_sentencepiece_piece(m, 3), pieces[0]));
    /* Unknown text next to unknown text is one piece. */
    assert_int_equal(
        cpv_sentencepiece_encode(m, cpv_bytes_str(" dog  axyz a"), take, &t, NULL),
        CPV_OK);
    assert_string_equal(t.text, "3:\xE2\x96\x81"
                                "dog 1:\xE2\x96\x81 2:a 0:xyz 1:\xE2\x96\x81 2:a ");
    assert_int_equal(cpv_sentencepiece_decode(m, pieces, 3, &out, NULL), CPV_OK);
    cpv_buf_byte(&out, '|');
    assert_int_equal(
        cpv_sentencepiece_normalise(m, cpv_bytes_str(" dog  ax"), &out, NULL), 0);
    assert_string_equal(cpv_buf_cstr(&out), "dogzza|\xE2\x96\x81"
                                            "dog\xE2\x96\x81"
                                            "ax");
    cpv_sentencepiece_close(&m);
    assert_null(m);
    cpv_sentencepiece_close(&m);
    cpv_buf_release(&model);
    cpv_buf_release(&out);
}

static void what_is_no_model_is_refused(void **state)
{
    struct cpv_buf m = {0};

    (void)state;
    check_refused(&m, "is no SentencePiece model");
    cpv_buf_str(&m, "{\"a\": 1}\n");
    check_refused(&m, "SentencePiece model");
    put_pieces(&m);
    m.size--;
    check_refused(&m, "is no SentencePiece model");
    put_piece(&m, "a", -1, 1);
    check_refused(&m, "expected one piece for unknown text, found 0");
    put_pieces(&m);
    put_piece(&m, "<other>", 0, 2);
    check_refused(&m, "expected one piece for unknown text, found 2");
    put_pieces(&m);
    put_piece(&m, "", 0, 1);
    check_refused(&m, "piece 4: expected 1 to 4096 bytes");
    put_pieces(&m);
    put_piece(&m, "b", 0.0F / 0.0F, 1);
    check_refused(&m, "piece 4: expected a score");
    put_pieces(&m);
    put_piece(&m, "b", -1, 7);
    check_refused(&m, "piece 4: expected a score and a kind");
    put_pieces(&m);
    put_piece(&m, "a", -1, 1); /* the library finds that one */
    check_refused(&m, "the SentencePiece library refuses it");
    put_pieces(&m);
    put_bytes(&m, 2, cpv_bytes_of("\x18\x03", 2)); /* model_type WORD */
    check_refused(&m, "expected a unigram or BPE model, found kind 3");
    put_pieces(&m);
    put_bytes(&m, 2, cpv_bytes_of("\x18\x01", 2));
    put_bytes(&m, 2, cpv_bytes_of("\x18\x01", 2));
    check_refused(&m, "comes twice");
    put_pieces(&m);
    cpv_buf_add(&m, "\x0B", 1); /* a group */
    check_refused(&m, "model");
}

static void tables_that_lead_astray_are_refused(void **state)
{
    static uint32_t units[256];
    struct cpv_buf m = {0};

    (void)state;
    put_pieces(&m);
    put_table(&m, units, 255, "x", 2);
    check_refused(&m, "leads outside of itself");
    units[0] = 0x80000000 | 1 << 10 << 8; /* the root's label is never looked at */
    put_pieces(&m);
    put_table(&m, units, 256, "x", 2);
    check_refused(&m, "leads outside of itself");
    units[0] = 0;
    units[65] = 65 | 1 << 8 | 2 << 10; /* 'A' has a value at 65 ^ 2 = 67 */
    units[67] = 0x80000000 | 2;
    put_pieces(&m);
    put_table(&m, units, 256, "x", 2);
    check_refused(&m, "leads outside of its strings");
    units[67] = 0x80000000;
    put_pieces(&m);
    put_table(&m, units, 256, "x", 1);
    check_refused(&m, "does not end with 0");
    put_pieces(&m);
    put_table(&m, units, 256, "", 0);
    check_refused(&m, "has a wrong size");
}

static void a_table_replaces_characters(void **state)
{
    static uint32_t units[256];
    struct cpv_buf model = {0}, out = {0};
    cpv_sentencepiece *m;

    (void)state;
    units[65] = 65 | 1 << 8 | 2 << 10;
    units[67] = 0x80000000 | 1;
    put_pieces(&model);
    put_table(&model, units, 256, "y\0", 3);
    model.data[model.size - 2] = 'z'; /* strings "y", "z" side by side: y, z, 0 */
    assert_int_equal(cpv_sentencepiece_read(&m, cpv_buf_view(&model), "m", NULL), CPV_OK);
    assert_int_equal(cpv_sentencepiece_normalise(m, cpv_bytes_str("BAB"), &out, NULL),
                     CPV_OK);
    assert_string_equal(cpv_buf_cstr(&out), "\xE2\x96\x81"
                                            "BzB");
    cpv_sentencepiece_close(&m);
    cpv_buf_release(&model);
    cpv_buf_release(&out);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct cpv_err err = {0};
    cpv_sentencepiece *m;

    (void)state;
    assert_int_equal(cpv_sentencepiece_open(&m, "/nowhere/source.spm", &err),
                     CPV_E_ABSENT);
    assert_non_null(strstr(err.text, "/nowhere/source.spm"));
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_and_text_go_round),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(tables_that_lead_astray_are_refused),
        cmocka_unit_test(a_table_replaces_characters),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
