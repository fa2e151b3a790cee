/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints and configurations while each allocation of ours and each file call fails
 * in turn: that error in one line, or all is as without it. With ASan also: nothing
 * leaks, and no mapping is used after its end.
 */
#include "checkpoint_unit.h"

#include "common/format/hf_config.h"
#include "tests/crash/sys_fault.h"

static const char *folder;

/* Names, shapes and all values, as text. */
static int describe(const char *path, struct cpv_buf *out, struct cpv_err *err)
{
    cpv_checkpoint *c;
    int rc = cpv_checkpoint_open(&c, path, err);

    for (size_t i = 0; !rc && i < cpv_checkpoint_count(c); i++) {
        const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(c, i);
        float v[256];
        char shape[64];

        cpv_buf_printf(out, "%s %s\n", t->name,
                       cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim));
        assert_true(t->elements <= 256);
        if (t->dtype <= CPV_CKPT_F64 &&
            !(rc = cpv_checkpoint_rows_f32(t, 0, t->rank ? t->dim[0] : 1, v, err)))
            cpv_buf_add(out, v, t->elements * sizeof *v);
        cpv_checkpoint_release(c, t);
    }
    cpv_checkpoint_close(&c);
    return rc;
}

/* Faults that the result does not depend on: unmapping, advice, closing what was read. */
static void try_all(const char *path, cpv_fault_kind kind)
{
    struct cpv_buf want = {0};
    struct cpv_err err = {0};
    bool hit = true;
    unsigned long k;

    assert_ok(describe(path, &want, &err));
    for (k = 1; hit; k++) {
        struct cpv_buf got = {0};
        int rc;

        err = (struct cpv_err){0};
        (void)cpv_buf_reserve(&got, 1 << 16); /* ours is not what is tested */
        cpv_fault_arm(k, kind, true);
        rc = describe(path, &got, &err);
        hit = cpv_fault_hit() != NULL;
        cpv_fault_arm(0, CPV_FAULT_NONE, true);
        if (rc) {
            if (rc != (kind == CPV_FAULT_ALLOC ? CPV_E_MEMORY : CPV_E_IO))
                fail_msg("%s: fault %lu: %d %s", path, k, rc, err.text);
            assert_int_equal(err.code, rc);
            assert_true(err.text[0] && !strchr(err.text, '\n'));
            assert_true(hit);
        } else {
            assert_int_equal(got.size, want.size);
            assert_memory_equal(got.data, want.data, want.size);
        }
        cpv_buf_release(&got);
    }
    assert_true(k > 5);
    cpv_buf_release(&want);
}

static void every_failure_in_a_checkpoint_is_reported(void **state)
{
    static const char *const names[] = {"zip.bin",         "legacy.bin", "lightning.ckpt",
                                        "all.safetensors", "sharded",    "sharded-bin"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[600];

        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        try_all(path, CPV_FAULT_ALLOC);
        try_all(path, CPV_FAULT_EIO);
    }
}

static void every_failure_in_a_configuration_is_reported(void **state)
{
    bool hit = true;

    (void)state;
    (void)make_text("c.json", "{\"a\": {\"b\": [1, NaN]}}");
    for (unsigned long k = 1; hit; k++)
        for (int kind = 0; kind < 2; kind++) {
            struct cpv_err err = {0};
            cpv_hf_config *c;
            int rc;

            cpv_fault_arm(k, kind ? CPV_FAULT_EIO : CPV_FAULT_ALLOC, true);
            rc = cpv_hf_config_open(&c, "c.json", &err);
            if (!kind)
                hit = cpv_fault_hit() != NULL;
            if (rc) {
                assert_null(c);
                assert_int_equal(rc, kind ? CPV_E_IO : CPV_E_MEMORY);
            }
            assert_true(rc == 0 || cpv_fault_hit());
            cpv_fault_arm(0, CPV_FAULT_NONE, true);
            cpv_hf_config_close(&c);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_in_a_checkpoint_is_reported),
        cmocka_unit_test(every_failure_in_a_configuration_is_reported),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    return cmocka_run_group_tests_name("checkpoint_faults", tests, enter_scratch,
                                       leave_scratch);
}
