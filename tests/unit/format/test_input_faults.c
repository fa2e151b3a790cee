/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs, plans and configurations while each allocation of ours and each file call
 * fails in turn: the result is that error in one line, or all is as without it. With
 * ASan also: nothing leaks.
 */
#include "tests/unit/format/input_unit.h"

#include <sys/stat.h>

#include "common/format/config.h"
#include "common/format/json.h"
#include "common/format/plan.h"
#include "tests/crash/sys_fault.h"

/* All that a stage does with an input; rows as text in `out`. */
static int read_input(const struct cpv_rows_params *p, struct cpv_buf *out,
                      struct cpv_err *err)
{
    struct cpv_plan *plan = NULL, *again = NULL;
    cpv_arena *mem = NULL;
    cpv_rows *r = NULL;
    struct cpv_row row;
    int rc;

    if ((rc = cpv_arena_open(&mem, 0, err)) ||
        (rc = cpv_plan_make(&plan, p, 2, NULL, err)) ||
        (rc = cpv_plan_save(plan, "cache", p, 2, err)) ||
        (rc = cpv_plan_load(&again, "cache", p, 2, err)) < 0)
        goto done;
    rc = CPV_OK;
    for (uint32_t i = 0; i < plan->n_parts && !rc; i++) {
        rc = r ? cpv_rows_move_part(r, plan, i, err)
               : cpv_rows_open_part(&r, p, plan, i, err);
        while (!rc && (rc = cpv_rows_next(r, mem, &row, err)) == 1) {
            cpv_buf_printf(out, "%llu %s %s", (unsigned long long)row.number,
                           row.bad ? row.bad : "", row.url ? row.url : "");
            for (size_t k = 0; k < row.captions.count; k++)
                cpv_buf_printf(out, " [%s]", row.captions.at[k]);
            for (size_t k = 0; k < row.n_extra; k++)
                cpv_buf_printf(out, " %s", row.extra[k].value);
            cpv_buf_byte(out, '\n');
            cpv_arena_reset(mem);
            rc = 0;
        }
    }
done:
    cpv_rows_close(&r);
    cpv_plan_close(&plan);
    cpv_plan_close(&again);
    cpv_arena_close(&mem);
    return rc;
}

static void try_all(const struct cpv_rows_params *p, cpv_fault_kind kind)
{
    struct cpv_buf want = {0};
    struct cpv_err err = {0};

    assert_ok(read_input(p, &want, &err));
    for (unsigned long k = 1;; k++) {
        struct cpv_buf got = {0};
        bool hit;
        int rc;

        err = (struct cpv_err){0};
        (void)remove("cache");
        (void)cpv_buf_reserve(&got, 1 << 16); /* ours is not what is tested */
        cpv_fault_arm(k, kind, true);
        rc = read_input(p, &got, &err);
        hit = cpv_fault_hit() != NULL;
        cpv_fault_arm(0, CPV_FAULT_NONE, true);
        if (rc) {
            if (rc != (kind == CPV_FAULT_ALLOC ? CPV_E_MEMORY : CPV_E_IO))
                fail_msg("%s: fault %lu: %d %s", p->path, k, rc, err.text);
            assert_int_equal(err.code, rc);
            assert_true(err.text[0] && !strchr(err.text, '\n'));
            assert_true(hit);
        } else if (!got.failed) {
            assert_string_equal(cpv_buf_cstr(&got), cpv_buf_cstr(&want));
        }
        cpv_buf_release(&got);
        if (!hit) {
            assert_true(k > 10);
            break;
        }
    }
    cpv_buf_release(&want);
}

static const char *const captions[] = {"caption"}, *const extra[] = {"all"};

static void every_failure_in_reading_rows_is_reported(void **state)
{
    struct cpv_rows_params p[] = {
        {.path =
             make_text("a.tsv", "url\tcaption\tn\nu1\ta\t1\nbad\nu2\tb\t\nu3\tc\t3\n")},
        {.path = make_gzip("b.csv.gz",
                           "url,caption,n\nu1,\"a \"\"x\"\"\",1\nu2,\"b\nc\",2\n\"\n")},
        {.path = make_zstd("c.jsonl.zst",
                           "{\"url\":\"u\",\"caption\":[\"a\",\"b\"],\"n\":1}\n{\n[]\n")},
        {.path =
             make_text("d.json", "{\"annotations\":[{\"image_id\":1,\"caption\":\"a\"},"
                                 "{\"image_id\":2,\"caption\":\"b\"},{}],\"images\":"
                                 "[{\"id\":1,\"coco_url\":\"u\",\"sentences\":[{\"raw\":"
                                 "\"r\"}],\"file_name\":\"a\"},5]}"),
         .root = "."},
        {.path = "folder"}};

    (void)state;
    assert_int_equal(mkdir("folder", 0700), 0);
    (void)make_text("folder/a.jpg", "");
    (void)make_text("folder/a.txt", "one\ntwo\n");
    (void)make_text("folder/b.png", "");
    assert_int_equal(symlink("b.png", "folder/c.png"), 0);
    for (size_t i = 0; i < sizeof p / sizeof p[0]; i++) {
        p[i].captions = (struct cpv_texts){captions, 1};
        p[i].extra = (struct cpv_texts){extra, 1};
        try_all(&p[i], CPV_FAULT_ALLOC);
        try_all(&p[i], CPV_FAULT_EIO);
    }
}

/* Half reads change nothing at all. */
static void short_reads_change_nothing(void **state)
{
    struct cpv_rows_params p = {.path = "a.tsv", .captions = {captions, 1}};
    struct cpv_buf want = {0};
    struct cpv_err err = {0};

    (void)state;
    assert_ok(read_input(&p, &want, &err));
    for (unsigned long k = 1; k < 40; k++) {
        struct cpv_buf got = {0};

        (void)remove("cache");
        cpv_fault_arm(k, CPV_FAULT_SHORT, false);
        assert_ok(read_input(&p, &got, &err));
        cpv_fault_arm(0, CPV_FAULT_NONE, true);
        assert_string_equal(cpv_buf_cstr(&got), cpv_buf_cstr(&want));
        cpv_buf_release(&got);
    }
    cpv_buf_release(&want);
}

static void every_failure_in_a_configuration_is_reported(void **state)
{
    static const struct cpv_opt opts[] = {{.key = "x", .kind = CPV_OPT_LIST},
                                          {.kind = CPV_OPT_END}};
    struct cpv_texts field = {0};
    struct cpv_opt_group group = {"A", "a", opts, &field};
    struct cpv_program program = {.name = "t", .groups = &group, .n_groups = 1};
    static const char *const sections[] = {"a"};
    bool hit = true;

    (void)state;
    (void)make_text("c.yaml", "a: {x: [b, c]}\nd: [1, {e: f}]\n");
    for (unsigned long k = 1; hit; k++) {
        for (int kind = 0; kind < 2; kind++) {
            struct cpv_err err = {0};
            cpv_config *c = NULL;
            cpv_arena *mem = NULL;
            int rc;

            cpv_fault_arm(k, kind ? CPV_FAULT_EIO : CPV_FAULT_ALLOC, true);
            if (!(rc = cpv_arena_open(&mem, 0, &err)) &&
                !(rc = cpv_config_open(&c, "c.yaml", &err)) &&
                !(rc = cpv_config_apply(c, &program, sections, 1, mem, &err)))
                rc = cpv_config_set_one(&program, "a.x=[d]", mem, &err);
            if (!kind)
                hit = cpv_fault_hit() != NULL;
            if (rc)
                assert_int_equal(rc, kind ? CPV_E_IO : CPV_E_MEMORY);
            else
                assert_string_equal(field.at[0], "d");
            assert_true(rc == 0 || cpv_fault_hit());
            cpv_fault_arm(0, CPV_FAULT_NONE, true);
            cpv_config_close(&c);
            cpv_arena_close(&mem);
        }
    }
}

static void every_failure_in_json_is_reported(void **state)
{
    bool hit = true;

    (void)state;
    for (unsigned long k = 1; hit; k++) {
        struct cpv_buf b = {0};
        struct cpv_err err = {0};
        struct cpv_json j;
        json_t *v;
        int rc;

        cpv_fault_arm(k, CPV_FAULT_ALLOC, true);
        rc = cpv_json_parse(cpv_bytes_str("{\"a\":[NaN,\"\xFF\"]}"), "t", &v, &err);
        if (rc) {
            assert_int_equal(rc, CPV_E_MEMORY);
        } else {
            cpv_json_init(&j, &b);
            cpv_json_write(&j, v);
            json_decref(v);
            assert_true(b.failed || b.size == 18);
        }
        hit = cpv_fault_hit() != NULL;
        cpv_fault_arm(0, CPV_FAULT_NONE, true);
        cpv_buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_in_reading_rows_is_reported),
        cmocka_unit_test(short_reads_change_nothing),
        cmocka_unit_test(every_failure_in_a_configuration_is_reported),
        cmocka_unit_test(every_failure_in_json_is_reported),
    };

    return cmocka_run_group_tests_name("input_faults", tests, enter_scratch,
                                       leave_scratch);
}
