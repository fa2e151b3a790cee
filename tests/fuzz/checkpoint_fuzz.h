/* SPDX-License-Identifier: Apache-2.0 */
/* What the harnesses of checkpoints share: all that was taken can be read. */
#ifndef CPV_TESTS_FUZZ_CHECKPOINT_FUZZ_H
#define CPV_TESTS_FUZZ_CHECKPOINT_FUZZ_H

#include <stdlib.h>

#include "common/base/sys.h"
#include "common/format/checkpoint_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void check(bool ok)
{
    if (!ok)
        abort();
}

static inline void check_error(int rc, const struct cpv_err *err)
{
    check(rc == CPV_OK ||
          (rc == CPV_E_INPUT && err->text[0] && !strpbrk(err->text, "\n\r\t")));
}

static inline void touch(const struct cpv_ckpt_tensor *t, struct cpv_bytes file)
{
    struct cpv_err err = {0};
    uint64_t at = (uint64_t)(t->data - file.data);
    float *v;

    check(t->data >= file.data && at <= file.size && t->bytes <= file.size - at);
    check(t->elements <= file.size);
    v = cpv_alloc((size_t)(t->elements + 1) * sizeof *v);
    check(v != NULL);
    check_error(cpv_checkpoint_rows_f32(t, 0, t->rank ? t->dim[0] : 1, v, &err), &err);
    cpv_free(v);
}

typedef int (*read_fn)(struct cpv_ckpt_list *list, struct cpv_bytes file,
                       const char *path, struct cpv_err *err);

static inline void read_file(read_fn read, struct cpv_bytes file)
{
    struct cpv_ckpt_list list = {0};
    struct cpv_err err = {0};
    int rc = cpv_arena_open(&list.mem, 0, &err);

    check(rc == CPV_OK);
    rc = read(&list, file, "fuzz", &err);
    check_error(rc, &err);
    for (size_t i = 0; !rc && i < list.count; i++)
        touch(&list.at[i], file);
    if (!rc)
        check_error(cpv_ckpt_list_sort(&list, "fuzz", &err), &err);
    cpv_ckpt_list_release(&list);
    cpv_arena_close(&list.mem);
}

#endif
