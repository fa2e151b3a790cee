/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZIP archives whose entries are stored as they are (method 0), as PyTorch writes them:
 * names and views of their bytes. ZIP64 is read; compressed and encrypted entries,
 * archives in parts and entries that overlap are refused.
 *
 * The central directory counts. Of a local header only its name must agree and the
 * lengths of its name and extra field say where the data begins (PyTorch pads them).
 * Check sums are not looked at: PyTorch may be told not to write them.
 *
 * Source: PKWARE APPNOTE 6.3.9, sections 4.3 and 4.5.3.
 */
#ifndef CPV_FORMAT_ZIP_H
#define CPV_FORMAT_ZIP_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_zip_entry {
    struct cpv_bytes name; /* views of the file */
    struct cpv_bytes data;
    uint64_t at; /* its local header */
};

struct cpv_zip {
    struct cpv_zip_entry
        *entries; /* sorted by name (memcmp, shorter first), all different */
    size_t count;
};

/*
 * `file` is the whole archive, `path` what messages call it. Memory: 48 bytes an entry,
 * from `mem`. CPV_E_INPUT where it is no such archive.
 */
CPV_MUST_CHECK int cpv_zip_read(struct cpv_zip *out, struct cpv_bytes file,
                                const char *path, cpv_arena *mem, struct cpv_err *err);

const struct cpv_zip_entry *cpv_zip_find(const struct cpv_zip *z, struct cpv_bytes name);

#ifdef __cplusplus
}
#endif
#endif
