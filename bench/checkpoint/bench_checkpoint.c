/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a checkpoint: every tensor, once where names share it, to f32 in memory of its
 * own, its file pages released behind it.
 *
 *     bench_checkpoint PATH [ROUNDS]
 *
 * One line a round: seconds, the largest anonymous memory of the process (RssAnon, which
 * leaves out the mapped files) and what part that is of 4 bytes a parameter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/format/checkpoint.h"

/* What becomes of one tensor. Another step, such as packing, is another function. */
typedef int (*load_fn)(const struct cpv_ckpt_tensor *t, void **out, struct cpv_err *err);

static int load_f32(const struct cpv_ckpt_tensor *t, void **out, struct cpv_err *err)
{
    float *v = cpv_alloc((size_t)t->elements * sizeof *v);

    *out = v;
    if (!v)
        return cpv_fail_memory(err);
    return cpv_checkpoint_rows_f32(t, 0, t->rank ? t->dim[0] : 1, v, err);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Bytes of memory that belongs to no file; 0 where the system does not say. */
static double anonymous(void)
{
    struct cpv_buf b = {0};
    const char *at = NULL;
    double bytes = 0;

    if (!cpv_file_read("/proc/self/status", 1 << 16, &b, NULL))
        at = strstr(cpv_buf_cstr(&b), "RssAnon:");
    if (at)
        bytes = 1024.0 * (double)strtol(at + strlen("RssAnon:"), NULL, 10);
    cpv_buf_release(&b);
    return bytes;
}

static bool seen(const cpv_checkpoint *c, size_t i)
{
    const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(c, i);

    for (size_t k = 0; k < i; k++)
        if (cpv_checkpoint_tied(cpv_checkpoint_at(c, k), t))
            return true;
    return false;
}

static int round_of(const char *path, load_fn load, struct cpv_err *err)
{
    cpv_checkpoint *c = NULL;
    void **all = NULL;
    uint64_t parameters = 0;
    double start = now(), peak = 0, end;
    size_t n = 0;
    int rc = cpv_checkpoint_open(&c, path, err);

    if (!rc) {
        n = cpv_checkpoint_count(c);
        all = cpv_calloc(n + 1, sizeof *all);
        rc = all ? CPV_OK : cpv_fail_memory(err);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(c, i);
        double here;

        if (t->dtype > CPV_CKPT_F64 || seen(c, i))
            continue;
        rc = load(t, &all[i], err);
        parameters += t->elements;
        here = anonymous();
        peak = here > peak ? here : peak;
        cpv_checkpoint_release(c, t);
    }
    end = now();
    if (!rc)
        printf("%-13s %4zu tensors %6.1f M parameters %6.3f s, peak %7.1f MB anonymous, "
               "%.3f of f32\n",
               cpv_checkpoint_format(c), n, (double)parameters * 1e-6, end - start,
               peak * 1e-6, peak / (4.0 * (double)parameters));
    for (size_t i = 0; all && i < n; i++)
        cpv_free(all[i]);
    cpv_free(all);
    cpv_checkpoint_close(&c);
    return rc;
}

int main(int argc, char **argv)
{
    struct cpv_err err = {0};
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 3;

    if (argc < 2 || argc > 3 || rounds < 1) {
        fprintf(stderr, "usage: bench_checkpoint PATH [ROUNDS]\n");
        return 2;
    }
    for (long i = 0; i < rounds; i++)
        if (round_of(argv[1], load_f32, &err)) {
            fprintf(stderr, "bench_checkpoint: %s\n", err.text);
            return cpv_exit_status(err.code);
        }
    return 0;
}
