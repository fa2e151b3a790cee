/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a ZIP archive, and as PyTorch's: entries inside the file, none shared. */
#include "checkpoint_fuzz.h"

#include "common/format/torch_file.h"
#include "common/format/zip.h"

static void read_zip(struct cpv_bytes file)
{
    struct cpv_err err = {0};
    struct cpv_zip z;
    cpv_arena *mem;
    uint64_t bytes = 0;
    int rc = cpv_arena_open(&mem, 0, &err);

    check(rc == CPV_OK);
    rc = cpv_zip_read(&z, file, "fuzz", mem, &err);
    check_error(rc, &err);
    for (size_t i = 0; !rc && i < z.count; i++) {
        const struct cpv_zip_entry *e = &z.entries[i];

        check(e->data.data >= file.data && e->data.size <= file.size &&
              (size_t)(e->data.data - file.data) <= file.size - e->data.size);
        check(cpv_zip_find(&z, e->name) == e);
        bytes += e->data.size + e->name.size;
    }
    check(bytes <= file.size);
    cpv_arena_close(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_zip(cpv_bytes_of(data, size));
    read_file(cpv_torch_read, cpv_bytes_of(data, size));
    return 0;
}
