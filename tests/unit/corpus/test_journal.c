/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of common/format: what survives a cut at any byte, and a flip of any. */
#include "tests/unit/base/unit.h"

#include <fcntl.h>

#include "common/format/journal.h"

static const char *const WORDS[] = {"one", "", "three thousand"};

struct heard {
    char words[8][32];
    uint64_t at[8];
    int n;
};

static int listen(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    struct heard *h = ctx;

    (void)err;
    assert_true(h->n < 8 && payload.size < 32);
    if (payload.size)
        memcpy(h->words[h->n], payload.data, payload.size);
    h->words[h->n][payload.size] = '\0';
    h->at[h->n++] = offset;
    return CPV_OK;
}

static cpv_journal *reopen(const char *identity, struct heard *h)
{
    struct cpv_err err = {0};
    cpv_journal *j;

    memset(h, 0, sizeof *h);
    assert_ok(cpv_journal_open(&j, "j", cpv_bytes_str(identity), listen, h, &err));
    return j;
}

static void write_words(void)
{
    struct cpv_err err = {0};
    struct heard h;
    cpv_journal *j = reopen("me", &h);

    for (size_t i = 0; i < 3; i++) {
        struct cpv_bytes halves[2] = {cpv_bytes_of(WORDS[i], strlen(WORDS[i]) / 2),
                                      cpv_bytes_str(WORDS[i] + strlen(WORDS[i]) / 2)};

        assert_ok(cpv_journal_add(j, halves, 2, NULL, &err));
    }
    cpv_journal_close(&j);
}

static size_t slurp(uint8_t *to, size_t max)
{
    FILE *f = fopen("j", "rb");
    size_t n = fread(to, 1, max, f);

    fclose(f);
    return n;
}

static void spill(const uint8_t *from, size_t n)
{
    FILE *f = fopen("j", "wb");

    assert_int_equal(fwrite(from, 1, n, f), n);
    fclose(f);
}

static void what_was_added_is_replayed_and_read(void **state)
{
    struct cpv_buf back = {0};
    struct cpv_err err = {0};
    struct heard h;
    cpv_journal *j;

    (void)state;
    write_words();
    j = reopen("me", &h);
    assert_int_equal(h.n, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(h.words[i], WORDS[i]);
        assert_ok(cpv_journal_read(j, h.at[i], &back, &err));
        assert_true(cpv_bytes_equal(cpv_buf_view(&back), cpv_bytes_str(WORDS[i])));
    }
    assert_int_equal(cpv_journal_read(j, h.at[1] + 1, &back, &err), CPV_E_CORRUPT);
    cpv_buf_release(&back);
    assert_ok(cpv_journal_remove(&j, &err));
    assert_int_equal(access("j", F_OK), -1);
}

static void another_identity_empties_it(void **state)
{
    struct heard h;
    cpv_journal *j;

    (void)state;
    write_words();
    j = reopen("you", &h);
    assert_int_equal(h.n, 0);
    cpv_journal_close(&j);
    j = reopen("me", &h);
    assert_int_equal(h.n, 0);
    cpv_journal_close(&j);
}

/* Cut after n bytes: the complete records before the cut, and it can be gone on with. */
static void any_cut_keeps_what_is_whole(void **state)
{
    uint8_t whole[256];
    struct cpv_err err = {0};
    size_t size;

    (void)state;
    write_words();
    size = slurp(whole, sizeof whole);
    for (size_t n = 0; n <= size; n++) {
        struct cpv_bytes more = cpv_bytes_str("more");
        struct heard h;
        cpv_journal *j;
        int kept;

        spill(whole, n);
        j = reopen("me", &h);
        kept = h.n;
        for (int i = 0; i < kept; i++)
            assert_string_equal(h.words[i], WORDS[i]);
        assert_int_equal(kept, n == size        ? 3
                               : n >= size - 26 ? 2
                               : n >= size - 38 ? 1
                                                : 0);
        assert_ok(cpv_journal_add(j, &more, 1, NULL, &err));
        cpv_journal_close(&j);
        j = reopen("me", &h);
        assert_int_equal(h.n, kept + 1);
        assert_string_equal(h.words[kept], "more");
        cpv_journal_close(&j);
    }
}

static void no_flipped_byte_is_believed(void **state)
{
    uint8_t whole[256];
    size_t size;

    (void)state;
    write_words();
    size = slurp(whole, sizeof whole);
    for (size_t n = 0; n < size; n++) {
        struct heard h;
        cpv_journal *j;

        whole[n] ^= 0x40;
        spill(whole, size);
        whole[n] ^= 0x40;
        j = reopen("me", &h);
        assert_true(h.n < 3);
        for (int i = 0; i < h.n; i++)
            assert_string_equal(h.words[i], WORDS[i]);
        cpv_journal_close(&j);
    }
}

int main(void)
{
#define IN_SCRATCH(test)                                                                 \
    cmocka_unit_test_setup_teardown(test, enter_scratch, leave_scratch)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(what_was_added_is_replayed_and_read),
        IN_SCRATCH(another_identity_empties_it),
        IN_SCRATCH(any_cut_keeps_what_is_whole),
        IN_SCRATCH(no_flipped_byte_is_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
