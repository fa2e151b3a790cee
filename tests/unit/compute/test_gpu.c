/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: what holds on every host, and, where there is a GPU, that it answers and
 * computes as the host does. The last line says which of the two this run was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/compute/gpu.h"
#include "common/compute/mix.h"

/* Values of the public-domain reference, smhasher's fmix32. */
static void the_mixer_is_fmix32(void **state)
{
    (void)state;
    assert_int_equal(cpv_mix32(0), 0);
    assert_int_equal(cpv_mix32(1), 0x514e28b7u);
    assert_int_equal(cpv_mix32(0xffffffffu), 0x81f16f39u);
}

static void a_device_that_is_not_there_is_named(void **state)
{
    int beyond[] = {-1, cpv_gpu_count(), 1000000};
    struct cpv_gpu d;

    (void)state;
    for (size_t k = 0; k < sizeof beyond / sizeof *beyond; k++) {
        struct cpv_err err = {0};
        char name[32];

        (void)snprintf(name, sizeof name, "cuda:%d ", beyond[k]);
        assert_int_equal(cpv_gpu_describe(beyond[k], &d, &err), CPV_E_ABSENT);
        assert_non_null(strstr(err.text, name));
        assert_int_equal(cpv_gpu_probe(beyond[k], &err), CPV_E_ABSENT);
        assert_non_null(strstr(err.text, name));
    }
}

static void every_device_computes_as_the_host_does(void **state)
{
    int n = cpv_gpu_count();

    (void)state;
    if (n == 0) {
        print_message("no GPU here: the kernel was compiled, not run\n");
        skip();
    }
    for (int i = 0; i < n; i++) {
        struct cpv_err err = {0};
        struct cpv_gpu d;

        assert_int_equal(cpv_gpu_describe(i, &d, &err), CPV_OK);
        print_message("cuda:%d %s, capability %d.%d, %d multiprocessors, %llu MiB\n", i,
                      d.name, d.major, d.minor, d.multiprocessors,
                      (unsigned long long)(d.memory >> 20));
        assert_true(d.name[0] != '\0');
        assert_true(d.major >= 1 && d.minor >= 0 && d.multiprocessors >= 1);
        assert_true(d.memory >= (uint64_t)1 << 28);
        assert_true(d.memory_per_block >= 16384);
        if (cpv_gpu_probe(i, &err))
            fail_msg("%s", err.text);
        assert_int_equal(cpv_gpu_probe(i, &err), CPV_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mixer_is_fmix32),
        cmocka_unit_test(a_device_that_is_not_there_is_named),
        cmocka_unit_test(every_device_computes_as_the_host_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
