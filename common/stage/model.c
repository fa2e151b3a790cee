/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stage/model.h"

#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/compute/gpu.h"
#include "common/model/files.h"

enum { INDEX_MAX = 64 << 20 }; /* bytes of an index of weights */

int cpv_model_device(cpv_device **out, const char *name, int weights, struct cpv_err *err)
{
    static const cpv_dtype of[] = {[CPV_WEIGHTS_F32] = CPV_F32,
                                   [CPV_WEIGHTS_INT8] = CPV_I8,
                                   [CPV_WEIGHTS_BF16] = CPV_BF16,
                                   [CPV_WEIGHTS_F16] = CPV_F16};
    cpv_dtype dtype = of[weights];
    struct cpv_device_params device = {
        .name = name, .weights = dtype, .values = dtype == CPV_I8 ? CPV_F32 : dtype};

    return cpv_device_open(out, &device, err);
}

void cpv_model_sample(struct cpv_search *search, const struct cpv_model_sampling *how,
                      int64_t seed)
{
    if (!how->on)
        return;
    search->beams = 1;
    search->sample = (struct cpv_sampling){.on = true,
                                           .temperature = (float)how->temperature,
                                           .top_p = (float)how->top_p,
                                           .top_k = (int)how->top_k,
                                           .seed = (uint64_t)seed};
}

static int only_folder(const struct cpv_model_place *at, const char **folder,
                       struct cpv_err *err)
{
    if (at->is_file)
        return cpv_fail(err, CPV_E_INPUT, "'%s': expected a model's folder", at->path);
    *folder = at->path;
    return CPV_OK;
}

int cpv_stage_model_place(struct cpv_run *run, const char *text, const char *key,
                          struct cpv_model_place *at, struct cpv_err *err)
{
    struct cpv_err here = {0};
    int rc;

    if (!text || !*text)
        return cpv_fail(err, CPV_E_USAGE, "'%s': which model? A folder, or org/name",
                        key);
    rc = cpv_model_find(text, run->base, run->mem, at, err);
    if (rc && run->base && !cpv_model_find(text, NULL, run->mem, at, &here))
        rc = CPV_OK;
    return rc;
}

int cpv_stage_model_find(struct cpv_run *run, const char *text, const char *key,
                         const char **folder, struct cpv_err *err)
{
    struct cpv_model_place at;
    int rc = cpv_stage_model_place(run, text, key, &at, err);

    return rc ? rc : only_folder(&at, folder, err);
}

int cpv_model_folder(const char *text, cpv_arena *mem, const char **folder,
                     struct cpv_err *err)
{
    struct cpv_model_place at;
    int rc = cpv_model_find(text ? text : "", NULL, mem, &at, err);

    return rc ? rc : only_folder(&at, folder, err);
}

/* "NAME DIGEST\n" of each. */
static int add_digests(const char *folder, const struct cpv_names *names, cpv_arena *mem,
                       struct cpv_buf *list, struct cpv_err *err)
{
    uint8_t digest[CPV_SHA256_SIZE];
    char hex[CPV_SHA256_HEX];
    int rc = CPV_OK;

    for (size_t i = 0; i < names->count && !rc; i++) {
        char *path = cpv_arena_printf(mem, "%s/%s", folder, names->at[i]);

        rc = path ? cpv_file_sha256(path, digest, err) : cpv_fail_memory(err);
        if (rc)
            return rc;
        cpv_hex(hex, digest, sizeof digest);
        cpv_buf_printf(list, "%s %s\n", names->at[i], hex);
    }
    return list->failed ? cpv_fail_memory(err) : CPV_OK;
}

/* The files that an index of the weights names: it says nothing of their contents. */
static int shards_of(const char *folder, const char *index, cpv_arena *mem,
                     struct cpv_names *out, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    char *path = cpv_arena_printf(mem, "%s/%s", folder, index);
    int rc = path ? cpv_file_read(path, INDEX_MAX, &text, err) : cpv_fail_memory(err);

    if (!rc)
        rc = cpv_weights_shards(cpv_buf_view(&text), path, mem, out, err);
    cpv_buf_release(&text);
    return rc;
}

static int put_hex(const uint8_t digest[CPV_SHA256_SIZE], cpv_arena *mem,
                   const char **hex, struct cpv_err *err)
{
    char text[CPV_SHA256_HEX];

    cpv_hex(text, digest, CPV_SHA256_SIZE);
    *hex = cpv_arena_str(mem, cpv_bytes_str(text));
    return *hex ? CPV_OK : cpv_fail_memory(err);
}

static bool is_file(const char *path)
{
    struct stat st;

    return cpv_sys.stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int cpv_stage_model_digest(const char *path, cpv_arena *mem, const char **hex,
                           struct cpv_err *err)
{
    struct cpv_model_files files;
    struct cpv_names needed = {0}, shards = {0};
    struct cpv_buf list = {0};
    uint8_t digest[CPV_SHA256_SIZE];
    int rc;

    if (is_file(path)) {
        rc = cpv_file_sha256(path, digest, err);
        return rc ? rc : put_hex(digest, mem, hex, err);
    }
    rc = cpv_model_files_look(path, mem, &files, err);

    if (!rc)
        rc = cpv_files_choose(&files.names, mem, &needed, err);
    if (!rc && files.weights.file && files.weights.index)
        rc = shards_of(path, files.weights.file, mem, &shards, err);
    if (!rc)
        rc = add_digests(path, &needed, mem, &list, err);
    if (!rc)
        rc = add_digests(path, &shards, mem, &list, err);
    if (!rc) {
        cpv_sha256_of(digest, cpv_buf_view(&list));
        rc = put_hex(digest, mem, hex, err);
    }
    cpv_buf_release(&list);
    return rc;
}

const char *cpv_stage_backend(const char *device)
{
    if (strncmp(device, "cuda", 4) == 0)
        return "cuda";
    return strcmp(device, "auto") == 0 && cpv_gpu_count() > 0 ? "cuda" : "cpu";
}
