/* SPDX-License-Identifier: Apache-2.0 */
/* Captions and samples that a set leaves out, of all the lists that speak of them. */
#include "tests/unit/base/unit.h"

#include "common/corpus/filter.h"

static const char *const WORDS[] = {"loop", "empty"};

static struct cpv_texts one(const char *const *word)
{
    return (struct cpv_texts){word, 1};
}

#define LIMIT(l, v)                                                                      \
    {                                                                                    \
        &(struct cpv_limit){l, v}, 1                                                     \
    }

/* What the filter makes of a JSON; "gone" where the sample goes. */
static void gives(struct cpv_filter f, const char *json, const char *wanted)
{
    struct cpv_bytes text = cpv_bytes_str(json);
    struct cpv_err err = {0};
    cpv_arena *mem;
    bool keep;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_filter_text(&f, "k", &text, mem, &keep, &err));
    if (!keep)
        text = cpv_bytes_str("gone");
    if (!cpv_bytes_equal(text, cpv_bytes_str(wanted)))
        fail_msg("'%.*s', expected '%s'", (int)text.size,
                 (const char *)(const void *)text.data, wanted);
    cpv_arena_close(&mem);
}

static void fails(struct cpv_filter f, const char *json, int code, const char *wanted)
{
    struct cpv_bytes text = cpv_bytes_str(json);
    struct cpv_err err = {0};
    cpv_arena *mem;
    bool keep;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(cpv_filter_text(&f, "k", &text, mem, &keep, &err), code);
    if (!strstr(err.text, wanted))
        fail_msg("'%s' has not '%s'", err.text, wanted);
    cpv_arena_close(&mem);
}

static void flags(void **state)
{
    const struct cpv_filter f = {.drop_flags = {WORDS, 2}};
    static const char near[] = "{ \"captions-pt\": [\"a\", \"b\"], "
                               "\"flags-pt\": [\"\", \"loops loo emptyish e cut\"] }";

    (void)state;
    gives(f,
          "{\"captions-en\":[\"x\",\"y\",\"z\"],\"captions-pt\":[\"a\",\"b\",\"c\"],"
          "\"generated-captions-pt\":[\"d\",\"e\"],"
          "\"flags-pt\":[\"\",\"copied loop\",\"ratio\",\"empty\",\"cut\"],"
          "\"similarities-pt\":[1,2,3,4,5],\"n\":1}",
          "{\"captions-en\":[\"x\",\"y\",\"z\"],\"captions-pt\":[\"a\",\"c\"],"
          "\"generated-captions-pt\":[\"e\"],\"flags-pt\":[\"\",\"ratio\",\"cut\"],"
          "\"similarities-pt\":[1,3,5],\"n\":1}");
    /* Each language by its own flags. */
    gives(f,
          "{\"captions-pt\":[\"a\"],\"flags-pt\":[\"loop\"],\"captions-xh\":[\"b\"],"
          "\"flags-xh\":[\"cut\"]}",
          "{\"captions-pt\":[],\"flags-pt\":[],\"captions-xh\":[\"b\"],"
          "\"flags-xh\":[\"cut\"]}");
    /* Where nothing is to be dropped not even the spaces change. */
    gives(f, near, near);
    gives(f, "{ \"captions-en\" : [\"a\"] }", "{ \"captions-en\" : [\"a\"] }");
    gives(f, "{ }", "{ }");
    /* The last caption of all languages. */
    gives(f, "{\"captions-pt\":[\"a\"],\"flags-pt\":[\"loop\"]}", "gone");
}

static const char SCORED[] =
    "{\"captions-pt\":[\"a\",\"b\"],\"generated-captions-pt\":[\"c\",\"d\",\"e\"],"
    "\"flags-pt\":[\"\",\"cut\",\"\",\"loop\",\"\"],"
    "\"similarities-pt\":[0.2,0.1,0.3,0.2,null],"
    "\"captions-xh\":[\"f\",\"g\"],\"similarities-xh\":[0.05,0.15],"
    "\"captions-hi\":[\"h\"]}";
#define XH "\"captions-xh\":[\"f\",\"g\"],\"similarities-xh\":[0.05,0.15],"
#define HI "\"captions-hi\":[\"h\"]}"

static void min_similarity(void **state)
{
    (void)state;
    /* Every language that has similarities; hi has none and stays. */
    gives((struct cpv_filter){.min_similarity = LIMIT(NULL, 0.15), .originals = true},
          SCORED,
          "{\"captions-pt\":[\"a\"],\"generated-captions-pt\":[\"c\",\"d\"],"
          "\"flags-pt\":[\"\",\"\",\"loop\"],\"similarities-pt\":[0.2,0.3,0.2],"
          "\"captions-xh\":[\"g\"],\"similarities-xh\":[0.15]," HI);
    /* One language. What equals the limit stays. */
    gives((struct cpv_filter){.min_similarity = LIMIT("pt", 0.2), .originals = true},
          SCORED,
          "{\"captions-pt\":[\"a\"],\"generated-captions-pt\":[\"c\",\"d\"],"
          "\"flags-pt\":[\"\",\"\",\"loop\"],\"similarities-pt\":[0.2,0.3,0.2]," XH HI);
    /* Originals stay. */
    gives((struct cpv_filter){.min_similarity = LIMIT(NULL, 0.25)}, SCORED,
          "{\"captions-pt\":[\"a\",\"b\"],\"generated-captions-pt\":[\"c\"],"
          "\"flags-pt\":[\"\",\"cut\",\"\"],\"similarities-pt\":[0.2,0.1,0.3]," XH HI);
}

static void keep_top(void **state)
{
    (void)state;
    /* 0.3, then the first of the two of 0.2. */
    gives((struct cpv_filter){.keep_top = LIMIT("pt", 2), .originals = true}, SCORED,
          "{\"captions-pt\":[\"a\"],\"generated-captions-pt\":[\"c\"],"
          "\"flags-pt\":[\"\",\"\"],\"similarities-pt\":[0.2,0.3]," XH HI);
    /* What is not known comes last, but comes. */
    gives((struct cpv_filter){.keep_top = LIMIT("pt", 5), .originals = true}, SCORED,
          SCORED);
    gives((struct cpv_filter){.keep_top = LIMIT(NULL, 1)}, SCORED,
          "{\"captions-pt\":[\"a\",\"b\"],\"generated-captions-pt\":[\"c\"],"
          "\"flags-pt\":[\"\",\"cut\",\"\"],\"similarities-pt\":[0.2,0.1,0.3]," XH HI);
    /* One that was flagged takes no place of the top. */
    gives((struct cpv_filter){.drop_flags = {WORDS, 2},
                              .keep_top = LIMIT("pt", 3),
                              .originals = true},
          SCORED,
          "{\"captions-pt\":[\"a\",\"b\"],\"generated-captions-pt\":[\"c\"],"
          "\"flags-pt\":[\"\",\"cut\",\"\"],\"similarities-pt\":[0.2,0.1,0.3]," XH HI);
    /* Nor does one that says nothing. */
    gives((struct cpv_filter){.keep_top = LIMIT(NULL, 1), .originals = true},
          "{\"captions-pt\":[\" \",\"b\",null],\"similarities-pt\":[0.9,0.1,null]}",
          "{\"captions-pt\":[\"b\"],\"similarities-pt\":[0.1]}");
}

static void min_original(void **state)
{
    static const struct cpv_limit two[] = {{"pt", 0.2}, {"xh", 0.05}};
    const struct cpv_limits both = {(struct cpv_limit *)(uintptr_t)two, 2};
    static const char generated[] = "{\"captions-pt\":[\"a\"],\"similarities-pt\":[0.3],"
                                    "\"generated-captions-en\":[\"b\"],"
                                    "\"similarities-en\":[0.1]}";

    (void)state;
    gives((struct cpv_filter){.min_original = LIMIT("pt", 0.2)}, SCORED, SCORED);
    gives((struct cpv_filter){.min_original = LIMIT("pt", 0.21)}, SCORED, "gone");
    gives((struct cpv_filter){.min_original = both}, SCORED, SCORED);
    /* Without a language: any of those that have similarities. */
    gives((struct cpv_filter){.min_original = LIMIT(NULL, 0.05)}, SCORED, SCORED);
    gives((struct cpv_filter){.min_original = LIMIT(NULL, 0.1)}, SCORED, "gone");
    /* The first original, whatever the others are. */
    gives((struct cpv_filter){.min_original = LIMIT(NULL, 0.1)},
          "{\"captions-pt\":[\"a\",\"b\"],\"similarities-pt\":[0.05,0.9]}", "gone");
    gives((struct cpv_filter){.min_original = LIMIT(NULL, 0.1)},
          "{\"captions-pt\":[null],\"generated-captions-pt\":[\"b\"],"
          "\"similarities-pt\":[null,0.9]}",
          "gone");
    /* A language of generated captions has no original to judge, unless it is named. */
    gives((struct cpv_filter){.min_original = LIMIT(NULL, 0.2)}, generated, generated);
    gives((struct cpv_filter){.min_original = LIMIT("en", 0.05)}, generated, "gone");
    /* Nor has one that is not there. */
    gives((struct cpv_filter){.min_original = LIMIT("de", 0)}, generated, "gone");
}

static void require(void **state)
{
    static const char *const pt[] = {"pt"}, *const de[] = {"de"};
    static const char blank[] = "{\"captions-pt\":[\" \",null],\"captions-en\":[\"a\"]}";

    (void)state;
    gives((struct cpv_filter){.require = one(pt)}, SCORED, SCORED);
    gives((struct cpv_filter){.require = one(de)}, SCORED, "gone");
    gives((struct cpv_filter){.require = one(pt)}, blank, "gone");
    /* Filters left nothing in it. */
    gives((struct cpv_filter){.min_similarity = LIMIT("pt", 0.5),
                              .originals = true,
                              .require = one(pt)},
          SCORED, "gone");
    gives((struct cpv_filter){.min_similarity = LIMIT("pt", 0.5), .originals = true},
          SCORED,
          "{\"captions-pt\":[],\"generated-captions-pt\":[],\"flags-pt\":[],"
          "\"similarities-pt\":[]," XH HI);
    /* What had no captions to begin with is nobody's loss. */
    gives((struct cpv_filter){.drop_flags = {WORDS, 2}}, "{\"n\":1}", "{\"n\":1}");
}

/* Of the reference's layout both copies go. */
static void reference_layout(void **state)
{
    (void)state;
    gives((struct cpv_filter){.min_similarity = LIMIT(NULL, 0.2), .originals = true},
          "{\"captions-pt\":[\"a\",\"b\",\"c\",\"d\"],"
          "\"generated-captions-pt\":[\"c\",\"d\"],"
          "\"similarities-pt\":[0.2,0.1,0.1,0.3]}",
          "{\"captions-pt\":[\"a\",\"d\"],\"generated-captions-pt\":[\"d\"],"
          "\"similarities-pt\":[0.2,0.3]}");
}

static void counts(void **state)
{
    const struct cpv_filter f = {.drop_flags = {WORDS, 2},
                                 .min_original = LIMIT("pt", 0.05),
                                 .min_similarity = LIMIT(NULL, 0.08),
                                 .keep_top = LIMIT(NULL, 2),
                                 .originals = true};
    struct cpv_filter_counts n = {0};
    static const char *const texts[] = {
        SCORED, "{\"captions-pt\":[\"a\"],\"similarities-pt\":[0.01]}",
        "{\"captions-pt\":[\"a\"],\"similarities-pt\":[0.06]}"};
    struct cpv_err err = {0};
    bool keep, changed;
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    for (size_t i = 0; i < 3; i++) {
        json_t *root;

        assert_ok(cpv_json_parse(cpv_bytes_str(texts[i]), "k", &root, &err));
        assert_ok(cpv_filter_sample(&f, root, "k", mem, &keep, &changed, &n, &err));
        assert_int_equal(keep, i == 0);
        json_decref(root);
    }
    /* Of the first: d flagged; e and f below; b outranked. Those that go count once. */
    assert_int_equal(n.below_original, 1);
    assert_int_equal(n.no_caption, 1);
    assert_int_equal(n.flagged, 1);
    assert_int_equal(n.below, 2);
    assert_int_equal(n.outranked, 1);
    assert_true(cpv_filter_is_on(&f));
    assert_false(cpv_filter_is_on(&(struct cpv_filter){.originals = true}));
    cpv_arena_close(&mem);
}

static void faults(void **state)
{
    const struct cpv_filter f = {.drop_flags = {WORDS, 2}};
    static const char bare[] = "{\"captions-pt\":[\"a\"]}";

    (void)state;
    fails(f, "{\"captions-pt\":[\"a\"],\"flags-pt\":[]}", CPV_E_CORRUPT,
          "'flags-pt' has not one string for each of 1 captions");
    fails(f, "{\"captions-pt\":[\"a\"],\"flags-pt\":\"loop\"}", CPV_E_CORRUPT,
          "'flags-pt'");
    fails(f, "{\"captions-pt\":[\"a\"],\"flags-pt\":[\"\"],\"similarities-pt\":[1,2]}",
          CPV_E_CORRUPT, "'similarities-pt' has not one number for each of 1 captions");
    fails(f, "[]", CPV_E_CORRUPT, "its JSON is no object");
    /* A filter that could do nothing says so. */
    fails((struct cpv_filter){.min_similarity = LIMIT(NULL, 0)}, bare, CPV_E_INPUT,
          "no 'similarities-pt' to filter by");
    fails((struct cpv_filter){.keep_top = LIMIT(NULL, 1)}, bare, CPV_E_INPUT,
          "'similarities-pt'");
    fails((struct cpv_filter){.min_original = LIMIT("pt", 0)}, bare, CPV_E_INPUT,
          "'similarities-pt'");
    fails((struct cpv_filter){.keep_top = LIMIT("hi", 1)}, SCORED, CPV_E_INPUT,
          "no 'similarities-hi' to filter by");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags),    cmocka_unit_test(min_similarity),
        cmocka_unit_test(keep_top), cmocka_unit_test(min_original),
        cmocka_unit_test(require),  cmocka_unit_test(reference_layout),
        cmocka_unit_test(counts),   cmocka_unit_test(faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
