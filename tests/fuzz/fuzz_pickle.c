/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a pickle: no crash, a tree of sound values. Then the same bytes as what
 * follows the preamble of PyTorch's legacy form: a state dict, keys, storages.
 */
#include "checkpoint_fuzz.h"

#include "common/format/pickle.h"
#include "common/format/torch_file.h"

/* Bounded: a tree may contain itself, and share much. */
static void walk(cpv_pickle_ref v, int depth, int *left)
{
    volatile uint8_t sum = 0;

    check(v != NULL && cpv_pickle_describe(v).text[0]);
    if (depth == 0 || --*left < 0)
        return;
    switch (v->kind) {
    case CPV_PICKLE_LONG:
    case CPV_PICKLE_TEXT:
    case CPV_PICKLE_BYTES:
        for (size_t i = 0; i < v->bytes.size; i++)
            sum = (uint8_t)(sum + v->bytes.data[i]);
        break;
    case CPV_PICKLE_TUPLE:
    case CPV_PICKLE_LIST:
    case CPV_PICKLE_SET:
    case CPV_PICKLE_DICT:
        check(v->kind != CPV_PICKLE_DICT || v->list.count % 2 == 0);
        for (uint32_t i = 0; i<v->list.count && * left> 0; i++)
            walk(v->list.at[i], depth - 1, left);
        break;
    case CPV_PICKLE_CALL:
        walk(v->call.what, depth - 1, left);
        walk(v->call.with, depth - 1, left);
        break;
    case CPV_PICKLE_PERSISTENT:
        walk(v->id, depth - 1, left);
        break;
    default:
        break;
    }
}

static void read_pickle(struct cpv_bytes in)
{
    struct cpv_pickle p = {0};
    struct cpv_err err = {0};
    cpv_arena *mem;
    size_t at = 0;
    int left = 10000, rc = cpv_arena_open(&mem, 0, &err);

    check(rc == CPV_OK);
    rc = cpv_pickle_read(&p, in, &at, "fuzz", mem, &err);
    check_error(rc, &err);
    if (!rc) {
        check(at > 0 && at <= in.size && in.data[at - 1] == '.');
        walk(p.root, 50, &left);
    }
    cpv_arena_close(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preamble[] =
        "\x80\2\x8A\12\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19."
        "\x80\2M\xE9\3."
        "\x80\2}X\15\0\0\0little_endian\x88s.";
    size_t n = sizeof preamble - 1;
    uint8_t *file = cpv_alloc(n + size);

    check(file != NULL);
    memcpy(file, preamble, n);
    if (size)
        memcpy(file + n, data, size);
    read_pickle(cpv_bytes_of(data, size));
    read_file(cpv_torch_read, cpv_bytes_of(file, n + size));
    cpv_free(file);
    return 0;
}
