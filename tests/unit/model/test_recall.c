/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks and recall: by hand, with ties, and against the matrix of all scores. */
#include "common/model/recall.h"

#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "tests/unit/base/unit.h"

static struct cpv_err err;

/* ---- by hand ---- */

/* Images on the axes; texts 0, 1 of image 0, 2 of image 1, 3 of image 2. Image 3 has
 * none. */
static const float axes[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
static const float said[4][4] = {
    {.9F, .1F, 0, 0},     /* image 0 first */
    {.2F, .8F, .4F, .3F}, /* its own comes last */
    {.5F, .4F, .6F, 0},   /* third */
    {0, 0, .7F, .7F},     /* first, with image 3 beside it */
};
static const int64_t whose[4] = {0, 0, 1, 2};

static struct cpv_recall_set by_hand(void)
{
    return (struct cpv_recall_set){.images = axes[0],
                                   .texts = said[0],
                                   .owner = whose,
                                   .n_images = 4,
                                   .n_texts = 4,
                                   .dim = 4,
                                   .threads = 1};
}

static void test_ranks_by_hand(void **state)
{
    struct cpv_recall_set set = by_hand();
    int64_t text[4], image[4];

    (void)state;
    assert_ok(cpv_recall_ranks(&set, text, image, &err));
    assert_int_equal(text[0], 1);
    assert_int_equal(text[1], 4);
    assert_int_equal(text[2], 3);
    assert_int_equal(text[3], 1);
    assert_int_equal(image[0], 1); /* .9 of its first text, .5 of another's */
    assert_int_equal(image[1], 2); /* .8 of a text of image 0 */
    assert_int_equal(image[2], 1);
    assert_int_equal(image[3], 0); /* no query */
}

static void test_recall_is_a_share_of_the_queries(void **state)
{
    static const int64_t ranks[] = {1, 2, 5, 6, 10, 11, 0, 1};
    struct cpv_recall_set set = by_hand();
    struct cpv_recall_side side;
    struct cpv_recall both;

    (void)state;
    cpv_recall_of(ranks, CPV_COUNT(ranks), &side);
    assert_int_equal(side.queries, 7);
    assert_true(fabs(side.at[0] - 2 / 7.0) <= 1e-15);
    assert_true(fabs(side.at[1] - 4 / 7.0) <= 1e-15);
    assert_true(fabs(side.at[2] - 6 / 7.0) <= 1e-15);
    assert_true(fabs(side.mean - 12 / 21.0) <= 1e-15);
    assert_ok(cpv_recall_both(&set, &both, &err));
    assert_true(fabs(both.t2i.at[0] - .5) <= 1e-15);
    assert_true(fabs(both.i2t.at[0] - 2 / 3.0) <= 1e-15);
    assert_int_equal(both.i2t.queries, 3);
    assert_true(fabs(both.mean - (2.5 / 3 + 8 / 9.0) / 2) <= 1e-15);
}

static void test_nothing_is_no_error(void **state)
{
    struct cpv_recall_set set = {.dim = 4, .threads = 3};
    struct cpv_recall both;

    (void)state;
    assert_ok(cpv_recall_both(&set, &both, &err));
    assert_int_equal(both.t2i.queries + both.i2t.queries, 0);
    assert_true(both.mean == 0);
}

static void test_an_owner_that_there_is_not(void **state)
{
    static const int64_t wrong[4] = {0, 0, 1, 4};
    struct cpv_recall_set set = by_hand();
    int64_t text[4], image[4];

    (void)state;
    set.owner = wrong;
    assert_int_equal(cpv_recall_ranks(&set, text, image, &err), CPV_E_BUG);
    assert_string_equal(err.text, "text 3 is of image 4 of 4");
}

/* ---- ties ---- */

static void test_ties_are_hits_unless_their_order_counts(void **state)
{
    float same[12][2];
    int64_t owner[12], text[12], image[12];
    struct cpv_recall_set set = {.images = same[0],
                                 .texts = same[0],
                                 .owner = owner,
                                 .n_images = 12,
                                 .n_texts = 12,
                                 .dim = 2};

    (void)state;
    for (int i = 0; i < 12; i++) {
        same[i][0] = .6F;
        same[i][1] = .8F;
        owner[i] = i;
    }
    assert_ok(cpv_recall_ranks(&set, text, image, &err));
    for (int i = 0; i < 12; i++) {
        assert_int_equal(text[i], 1);
        assert_int_equal(image[i], 1);
    }
    set.by_index = true;
    assert_ok(cpv_recall_ranks(&set, text, image, &err));
    for (int i = 0; i < 12; i++) {
        assert_int_equal(text[i], i + 1);
        assert_int_equal(image[i], i + 1);
    }
}

/* A model that has come apart must not look perfect. */
static void test_what_is_no_number_is_the_worst(void **state)
{
    float bad[4][4];
    struct cpv_recall_set set = by_hand();
    int64_t text[4], image[4];

    (void)state;
    memcpy(bad, said, sizeof bad);
    bad[0][0] = NAN;
    set.texts = bad[0];
    assert_ok(cpv_recall_ranks(&set, text, image, &err));
    assert_int_equal(text[0], 4);
    assert_int_equal(text[3], 1);
    assert_int_equal(image[0], 3); /* by its other text, behind the broken one and .5 */
    for (int i = 0; i < 4; i++)
        bad[i][0] = NAN;
    assert_ok(cpv_recall_ranks(&set, text, image, &err));
    for (int i = 0; i < 4; i++)
        assert_int_equal(text[i], 4);
    assert_int_equal(image[0], 4);
}

/* ---- against the matrix ---- */

struct many {
    struct cpv_recall_set set;
    float *images, *texts;
    int64_t *owner, *text, *image;
};

/* Vectors of few values, so that there are many ties. */
static void make(struct many *m, int64_t n_images, int64_t n_texts, int64_t dim,
                 bool coarse)
{
    struct cpv_rng r;

    cpv_rng_init(&r, 7, 1, (uint64_t)dim);
    *m = (struct many){.images = cpv_calloc((size_t)(n_images * dim), sizeof(float)),
                       .texts = cpv_calloc((size_t)(n_texts * dim), sizeof(float)),
                       .owner = cpv_calloc((size_t)n_texts, sizeof(int64_t)),
                       .text = cpv_calloc((size_t)n_texts, sizeof(int64_t)),
                       .image = cpv_calloc((size_t)n_images, sizeof(int64_t))};
    for (int64_t i = 0; i < n_images * dim; i++)
        m->images[i] = coarse ? (float)cpv_rng_below(&r, 3) : (float)cpv_rng_normal(&r);
    for (int64_t i = 0; i < n_texts * dim; i++)
        m->texts[i] = coarse ? (float)cpv_rng_below(&r, 3) : (float)cpv_rng_normal(&r);
    for (int64_t t = 0; t < n_texts; t++)
        m->owner[t] = (int64_t)cpv_rng_below(&r, (uint64_t)n_images);
    m->set = (struct cpv_recall_set){.images = m->images,
                                     .texts = m->texts,
                                     .owner = m->owner,
                                     .n_images = n_images,
                                     .n_texts = n_texts,
                                     .dim = dim};
}

static void drop(struct many *m)
{
    cpv_free(m->images);
    cpv_free(m->texts);
    cpv_free(m->owner);
    cpv_free(m->text);
    cpv_free(m->image);
}

static float score(const struct many *m, int64_t t, int64_t i)
{
    return cpv_recall_score(m->texts + t * m->set.dim, m->images + i * m->set.dim,
                            m->set.dim);
}

static int64_t plain_text_rank(const struct many *m, int64_t t)
{
    float own = score(m, t, m->owner[t]);
    int64_t rank = 1;

    for (int64_t i = 0; i < m->set.n_images; i++) {
        float s = score(m, t, i);

        rank += s > own || (m->set.by_index && s == own && i < m->owner[t]);
    }
    return rank;
}

static int64_t plain_image_rank(const struct many *m, int64_t i)
{
    int64_t best = -1, rank = 1;

    for (int64_t t = 0; t < m->set.n_texts; t++)
        if (m->owner[t] == i && (best < 0 || score(m, t, i) > score(m, best, i)))
            best = t;
    if (best < 0)
        return 0;
    for (int64_t t = 0; t < m->set.n_texts; t++) {
        float s = score(m, t, i), own = score(m, best, i);

        rank += s > own || (m->set.by_index && s == own && t < best);
    }
    return rank;
}

static void compare(struct many *m)
{
    static const int threads[] = {1, 2, 7};

    for (size_t k = 0; k < 2 * CPV_COUNT(threads); k++) {
        m->set.threads = threads[k / 2];
        m->set.by_index = k % 2;
        assert_ok(cpv_recall_ranks(&m->set, m->text, m->image, &err));
        for (int64_t t = 0; t < m->set.n_texts; t++)
            assert_int_equal(m->text[t], plain_text_rank(m, t));
        for (int64_t i = 0; i < m->set.n_images; i++)
            assert_int_equal(m->image[i], plain_image_rank(m, i));
    }
}

static void test_ranks_are_those_of_the_matrix(void **state)
{
    static const int64_t sizes[][3] = {
        {1, 1, 1}, {3, 130, 5}, {65, 64, 8}, {131, 67, 3}, {70, 301, 33}};

    (void)state;
    for (size_t i = 0; i < 2 * CPV_COUNT(sizes); i++) {
        struct many m;

        make(&m, sizes[i / 2][0], sizes[i / 2][1], sizes[i / 2][2], i % 2);
        compare(&m);
        drop(&m);
    }
}

/* What stands where is of no account: images and texts in another order. */
static void test_ranks_do_not_depend_on_places(void **state)
{
    struct many m, other;
    uint32_t perm[70], perm_texts[301];

    (void)state;
    make(&m, 70, 301, 33, true);
    make(&other, 70, 301, 33, true);
    cpv_rng_permutation(perm, 70, 3, 1, 0);
    cpv_rng_permutation(perm_texts, 301, 4, 1, 0);
    for (int64_t i = 0; i < 70; i++)
        memcpy(other.images + perm[i] * 33, m.images + i * 33, 33 * sizeof(float));
    for (int64_t t = 0; t < 301; t++) {
        memcpy(other.texts + perm_texts[t] * 33, m.texts + t * 33, 33 * sizeof(float));
        other.owner[perm_texts[t]] = perm[m.owner[t]];
    }
    assert_ok(cpv_recall_ranks(&m.set, m.text, m.image, &err));
    assert_ok(cpv_recall_ranks(&other.set, other.text, other.image, &err));
    for (int64_t i = 0; i < 70; i++)
        assert_int_equal(other.image[perm[i]], m.image[i]);
    for (int64_t t = 0; t < 301; t++)
        assert_int_equal(other.text[perm_texts[t]], m.text[t]);
    drop(&m);
    drop(&other);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_by_hand),
        cmocka_unit_test(test_recall_is_a_share_of_the_queries),
        cmocka_unit_test(test_nothing_is_no_error),
        cmocka_unit_test(test_an_owner_that_there_is_not),
        cmocka_unit_test(test_ties_are_hits_unless_their_order_counts),
        cmocka_unit_test(test_what_is_no_number_is_the_worst),
        cmocka_unit_test(test_ranks_are_those_of_the_matrix),
        cmocka_unit_test(test_ranks_do_not_depend_on_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
