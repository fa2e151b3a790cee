/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a safetensors file; and as its header, with a length that fits. */
#include "checkpoint_fuzz.h"

#include "common/format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t head = size;
    uint8_t *file;

    read_file(cpv_safetensors_read, cpv_bytes_of(data, size));
    /* Up to the last brace it is the header, what follows the tensors. */
    while (head > 0 && data[head - 1] != '}')
        head--;
    file = cpv_alloc(size + 8);
    check(file != NULL);
    for (unsigned i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)head >> 8 * i);
    if (size)
        memcpy(file + 8, data, size);
    read_file(cpv_safetensors_read, cpv_bytes_of(file, size + 8));
    cpv_free(file);
    return 0;
}
