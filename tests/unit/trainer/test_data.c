/* SPDX-License-Identifier: Apache-2.0 */
/* The training set: what is taken of files, what a step takes of it. */
#include "common/base/size.h"
#include "common/format/npy.h"
#include "common/format/shard.h"
#include "tests/unit/base/unit.h"
#include "trainer/data.h"

enum { SAMPLES = 23, BATCH = 5, STEPS = 4000 };

static const char *model_path;
static cpv_device *device;
static cpv_clip *model;
static cpv_log *quiet;
static struct cpv_err err;

static void put(cpv_shard_writer *w, int i, const char *json, int dim)
{
    struct cpv_member members[2] = {{.ext = "clip.npy"}, {.ext = "json"}};
    struct cpv_buf npy = {0};
    float values[4096];
    char key[16];

    for (int k = 0; k < dim; k++)
        values[k] = (float)(i + 1) * (k == i % dim ? 1.0F : 0.0F);
    cpv_npy_write_f16(&npy, values, 1, (uint64_t)dim);
    (void)snprintf(key, sizeof key, "%07d", i);
    members[0].data = cpv_buf_view(&npy);
    members[1].data = cpv_bytes_str(json);
    cpv_shard_put(w, key, members, CPV_COUNT(members));
    cpv_buf_release(&npy);
}

/* Two files: of odd samples some have Portuguese only, one has nothing, one is too wide.
 */
static void make_set(void)
{
    int dim = cpv_clip_config(model)->dim;

    for (int file = 0; file < 2; file++) {
        cpv_shard_writer *w = NULL;
        char path[32];

        (void)snprintf(path, sizeof path, "%d.tar.zst", file);
        assert_ok(cpv_shard_create(&w, path, NULL, &err));
        for (int i = file * 12; i < (file ? SAMPLES + 2 : 12); i++) {
            char json[256];

            (void)snprintf(json, sizeof json,
                           i == SAMPLES ? "{\"captions-xh\":[\"x\"]}"
                           : i % 2
                               ? "{\"captions-pt\":[\"a %d\",null]}"
                               : "{\"captions-pt\":[\"a %d\"],\"captions-en\":[\"b "
                                 "c\",\"d\"],\"generated-captions-en\":[\"e f g h\"]}",
                           i);
            put(w, i, json, i == SAMPLES + 1 ? dim + 1 : dim);
        }
        assert_ok(cpv_shard_commit(&w, NULL, NULL, &err));
    }
}

static data *open_set(int threads, cpv_caption_strategy strategy)
{
    static const char *const sets[] = {"."}, *const langs[] = {"pt", "en"};
    struct data_params p = {.sets = {sets, 1},
                            .model = model,
                            .languages = {langs, 2},
                            .choice = {.strategy = strategy, .keep = 5},
                            .threads = threads,
                            .log = quiet};
    data *d = NULL;

    assert_ok(data_open(&d, &p, &err));
    return d;
}

static void takes_what_can_be_used(void **state)
{
    data *d = open_set(1, CPV_CAPTIONS_ALL), *same = open_set(3, CPV_CAPTIONS_ALL);
    data *other = open_set(3, CPV_CAPTIONS_NONE);
    const struct data_counts *n = data_count(d);
    float v[4096];
    uint32_t first;

    (void)state;
    assert_int_equal(n->samples, SAMPLES);
    assert_int_equal(n->broken, 1);
    assert_int_equal(n->captionless, 1);
    assert_int_equal(n->captions, SAMPLES + 12 * 3);
    assert_memory_equal(data_digest(d), data_digest(same), 32);
    assert_memory_not_equal(data_digest(d), data_digest(other), 32);
    assert_string_equal(data_key(d, 13), "0000013");
    assert_int_equal(data_captions(d, 13, 0, &first), 1);
    assert_int_equal(data_captions(d, 13, 1, &first), 0);
    assert_int_equal(data_captions(d, 14, 1, &first), 3);
    assert_int_equal(data_captions(other, 14, 1, &first), 2);
    data_embedding(d, 13, v);
    for (int i = 0; i < cpv_clip_config(model)->dim; i++)
        assert_true(v[i] == (i == 13 % cpv_clip_config(model)->dim ? 1.0F : 0.0F));
    data_close(&d);
    data_close(&same);
    data_close(&other);
}

static void tokens_are_the_tokenizers(void **state)
{
    data *d = open_set(2, CPV_CAPTIONS_ALL);
    struct cpv_ids ids = {0};
    const int32_t *got;
    uint32_t first;
    int32_t n;

    (void)state;
    assert_int_equal(data_captions(d, 20, 1, &first), 3);
    assert_ok(cpv_clip_encode(model, cpv_bytes_str("e f g h"), &ids, &err));
    got = data_tokens(d, first + 2, &n);
    assert_int_equal(n, ids.count);
    assert_memory_equal(got, ids.data, ids.count * sizeof *got);
    cpv_ids_release(&ids);
    data_close(&d);
}

static void an_epoch_has_each_sample_at_most_once(void **state)
{
    const double shares[] = {0.5, 0.5};
    const struct data_draw draw = {7, shares, BATCH};
    data *d = open_set(1, CPV_CAPTIONS_ALL);
    uint32_t order[SAMPLES], batches = SAMPLES / BATCH;
    struct data_pick pick[BATCH];
    uint64_t epoch = UINT64_MAX;
    int firsts[SAMPLES] = {0};

    (void)state;
    assert_int_equal(data_batches(d, &draw), batches);
    for (uint64_t e = 0; e < 200; e++) {
        int seen[SAMPLES] = {0};

        for (uint64_t b = 0; b < batches; b++) {
            assert_int_equal(
                data_pick_batch(d, &draw, e * batches + b, order, &epoch, pick), BATCH);
            for (int i = 0; i < BATCH; i++)
                assert_int_equal(seen[pick[i].sample]++, 0);
            firsts[pick[0].sample] += b == 0;
        }
    }
    for (int i = 0; i < SAMPLES; i++) /* each begins an epoch some time: 8.7 of 200 */
        assert_true(firsts[i] >= 1 && firsts[i] <= 30);
    data_close(&d);
}

static void a_step_is_a_function_of_its_number(void **state)
{
    const double shares[] = {0.5, 0.5};
    const struct data_draw draw = {7, shares, BATCH}, other = {8, shares, BATCH};
    data *d = open_set(1, CPV_CAPTIONS_ALL);
    uint32_t a[SAMPLES], b[SAMPLES];
    struct data_pick p[BATCH], q[BATCH];
    uint64_t ea = UINT64_MAX, eb;
    int equal = 0;

    (void)state;
    for (uint64_t s = 0; s < 40; s++) {
        eb = UINT64_MAX; /* as behind a restart */
        (void)data_pick_batch(d, &draw, s, a, &ea, p);
        (void)data_pick_batch(d, &draw, s, b, &eb, q);
        for (int i = 0; i < BATCH; i++)
            assert_true(p[i].sample == q[i].sample && p[i].caption == q[i].caption &&
                        p[i].lang == q[i].lang);
        eb = UINT64_MAX;
        (void)data_pick_batch(d, &other, s, b, &eb, q);
        equal += p[0].sample == q[0].sample;
    }
    assert_true(equal < 12);
    data_close(&d);
}

static void languages_come_by_their_shares(void **state)
{
    const double shares[] = {0.25, 0.75};
    const struct data_draw draw = {3, shares, BATCH};
    data *d = open_set(1, CPV_CAPTIONS_ALL);
    uint32_t order[SAMPLES], first;
    struct data_pick pick[BATCH];
    uint64_t epoch = UINT64_MAX;
    int of[2] = {0}, english[3] = {0};

    (void)state;
    for (uint64_t s = 0; s < STEPS; s++) {
        (void)data_pick_batch(d, &draw, s, order, &epoch, pick);
        for (int i = 0; i < BATCH; i++) {
            uint32_t n = data_captions(d, pick[i].sample, pick[i].lang, &first);

            assert_true(pick[i].caption - first < n);
            if (pick[i].sample % 2)
                assert_int_equal(pick[i].lang, 0); /* it has no other */
            else
                of[pick[i].lang]++;
            if (pick[i].lang == 1)
                english[pick[i].caption - first]++;
        }
    }
    assert_true((double)of[1] / (of[0] + of[1]) > 0.73);
    assert_true((double)of[1] / (of[0] + of[1]) < 0.77);
    for (int i = 0; i < 3; i++) /* captions alike */
        assert_true((double)english[i] / of[1] > 0.31 &&
                    (double)english[i] / of[1] < 0.36);
    data_close(&d);
}

static void a_small_set_is_one_batch(void **state)
{
    const double shares[] = {0.5, 0.5};
    const struct data_draw draw = {3, shares, 100};
    data *d = open_set(1, CPV_CAPTIONS_ALL);
    uint32_t order[SAMPLES];
    struct data_pick pick[100];
    uint64_t epoch = UINT64_MAX;

    (void)state;
    assert_int_equal(data_batches(d, &draw), 1);
    assert_int_equal(data_pick_batch(d, &draw, 2, order, &epoch, pick), SAMPLES);
    data_close(&d);
}

static void nothing_usable_is_an_error(void **state)
{
    static const char *const sets[] = {"."}, *const langs[] = {"hi"};
    struct data_params p = {.sets = {sets, 1},
                            .model = model,
                            .languages = {langs, 1},
                            .threads = 2,
                            .log = quiet};
    data *d = NULL;

    (void)state;
    assert_int_equal(data_open(&d, &p, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "no sample can be used"));
}

static void swallow(void *ctx, cpv_log_level level, const char *line, size_t size)
{
    (void)ctx;
    (void)level;
    (void)line;
    (void)size;
}

static int open_all(void **state)
{
    struct cpv_device_params params = {.name = "ref"};
    struct cpv_clip_params how = {.text = true};

    if (cpv_device_open(&device, &params, &err) ||
        cpv_clip_open(&model, device, model_path, &how, &err) ||
        cpv_log_open_sink(&quiet, "test", CPV_LOG_ERROR, swallow, NULL, &err) ||
        enter_scratch(state)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    make_set();
    return 0;
}

static int close_all(void **state)
{
    cpv_clip_close(&model);
    cpv_device_close(&device);
    cpv_log_close(&quiet);
    return leave_scratch(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_can_be_used),
        cmocka_unit_test(tokens_are_the_tokenizers),
        cmocka_unit_test(an_epoch_has_each_sample_at_most_once),
        cmocka_unit_test(a_step_is_a_function_of_its_number),
        cmocka_unit_test(languages_come_by_their_shares),
        cmocka_unit_test(a_small_set_is_one_batch),
        cmocka_unit_test(nothing_usable_is_an_error),
    };

    model_path = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests(tests, open_all, close_all);
}
