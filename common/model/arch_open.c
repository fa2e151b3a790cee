/* SPDX-License-Identifier: Apache-2.0 */
/* From a model's folder to its architecture and sizes: see arch.h. */
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/model/arch_impl.h"
#include "common/model/files.h"

static const char PRESET[] =
#include "preset_clip.h"
    ;
static const char PRESET_NAME[] = "(preset xlm-roberta-base-ViT-B-32)";

const struct cpv_arch *cpv_arch_of_type(const char *model_type)
{
    static const struct cpv_arch *const ALL[] = {&cpv_arch_marian, &cpv_arch_blip,
                                                 &cpv_arch_blip2};

    for (size_t i = 0; i < CPV_COUNT(ALL); i++)
        if (strcmp(ALL[i]->name, model_type) == 0)
            return ALL[i];
    return NULL;
}

int cpv_arch_read(struct cpv_arch_model *out, const struct cpv_arch *arch,
                  const struct cpv_hf_object *config, const struct cpv_hf_object *text,
                  struct cpv_err *err)
{
    int rc;

    memset(out, 0, sizeof *out);
    out->arch = arch;
    out->prefix = "";
    out->config = cpv_hf_config_name(config->config);
    out->dim[CPV_DIM_1] = 1;
    out->dim[CPV_DIM_3] = 3;
    arch->read(out, config, text ? text : config);
    rc = cpv_hf_config_check(config->config, err);
    return !rc && text ? cpv_hf_config_check(text->config, err) : rc;
}

/* What `out` points to of the configurations, which are closed after. */
static int keep_name(struct cpv_arch_model *out, cpv_arena *mem, struct cpv_err *err)
{
    out->config = cpv_arena_str(mem, cpv_bytes_str(out->config));
    return out->config ? CPV_OK : cpv_fail_memory(err);
}

/* ---- OpenCLIP ---- */

static int open_preset(struct cpv_arch_files *f, struct cpv_err *err)
{
    int rc = cpv_hf_config_parse(&f->file, cpv_bytes_of(PRESET, sizeof PRESET - 1),
                                 PRESET_NAME, err);

    if (!rc) {
        f->root = cpv_hf_config_root(f->file);
        f->text = cpv_hf_object(&f->root, "text_config");
    }
    return rc;
}

static int open_both(struct cpv_arch_files *f, const char *folder, const char *path,
                     struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc;

    cpv_buf_printf(&text, "%s/text/config.json", folder);
    rc = cpv_buf_cstr(&text) ? cpv_hf_config_open(&f->file, path, err)
                             : cpv_fail_memory(err);
    if (!rc) {
        rc = cpv_hf_config_open(&f->text_file, cpv_buf_cstr(&text), err);
        if (rc == CPV_E_ABSENT)
            rc = cpv_fail(err, CPV_E_INPUT,
                          "'%s' is not there: expected the configuration of the text "
                          "tower's model, as `capivara models pull` fetches it",
                          cpv_buf_cstr(&text));
    }
    if (!rc) {
        f->root = cpv_hf_config_root(f->file);
        f->text = cpv_hf_config_root(f->text_file);
    }
    cpv_buf_release(&text);
    return rc;
}

/* A folder without a configuration is fine if it holds a checkpoint. */
static int open_bare(struct cpv_arch_files *f, const char *folder, cpv_arena *mem,
                     struct cpv_err *err)
{
    const char *typed = cpv_arena_printf(mem, "%s/config.json", folder);
    struct cpv_model_files files;
    int rc =
        typed ? cpv_model_files_look(folder, mem, &files, err) : cpv_fail_memory(err);

    if (rc)
        return rc;
    if (files.weights.format && strcmp(files.weights.format, "checkpoint") == 0)
        return open_preset(f, err);
    if (cpv_file_exists(typed))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s' has no open_clip_config.json: expected an OpenCLIP model",
                        folder);
    return cpv_fail(err, CPV_E_INPUT,
                    "'%s' has neither config.json nor open_clip_config.json", folder);
}

int cpv_arch_files_open(struct cpv_arch_files *out, const char *path, struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    const char *clip = NULL;
    struct stat st;
    int rc = cpv_arena_open(&mem, 0, err);

    memset(out, 0, sizeof *out);
    if (!rc && !(clip = cpv_arena_printf(mem, "%s/open_clip_config.json", path)))
        rc = cpv_fail_memory(err);
    if (rc)
        ;
    else if (cpv_sys.stat(path, &st) == 0 && S_ISREG(st.st_mode))
        rc = open_preset(out, err);
    else if (cpv_file_exists(clip))
        rc = open_both(out, path, clip, err);
    else
        rc = open_bare(out, path, mem, err);
    cpv_arena_close(&mem);
    if (rc)
        cpv_arch_files_close(out);
    return rc;
}

void cpv_arch_files_close(struct cpv_arch_files *f)
{
    cpv_hf_config_close(&f->file);
    cpv_hf_config_close(&f->text_file);
}

static int open_clip(struct cpv_arch_model *out, const char *path, cpv_arena *mem,
                     struct cpv_err *err)
{
    struct cpv_arch_files f;
    int rc = cpv_arch_files_open(&f, path, err);

    if (rc)
        return rc;
    rc = cpv_arch_read(out, &cpv_arch_clip, &f.root, &f.text, err);
    if (!rc)
        rc = keep_name(out, mem, err);
    cpv_arch_files_close(&f);
    return rc;
}

/* ---- the others ---- */

static int open_typed(struct cpv_arch_model *out, const char *path, cpv_arena *mem,
                      struct cpv_err *err)
{
    const struct cpv_arch *arch = NULL;
    cpv_hf_config *c = NULL;
    struct cpv_hf_object root;
    const char *type;
    int rc = cpv_hf_config_open(&c, path, err);

    if (rc)
        return rc;
    root = cpv_hf_config_root(c);
    type = cpv_hf_text_needed(&root, "model_type");
    rc = cpv_hf_config_check(c, err);
    if (!rc && !(arch = cpv_arch_of_type(type)))
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s' model_type: '%s' is none that we know: expected marian, blip "
                      "or blip-2 (or open_clip_config.json beside it)",
                      path, type);
    if (!rc)
        rc = cpv_arch_read(out, arch, &root, NULL, err);
    if (!rc)
        rc = keep_name(out, mem, err);
    cpv_hf_config_close(&c);
    return rc;
}

int cpv_arch_open(struct cpv_arch_model *out, const char *path, cpv_arena *mem,
                  struct cpv_err *err)
{
    const char *clip = cpv_arena_printf(mem, "%s/open_clip_config.json", path);
    const char *typed = cpv_arena_printf(mem, "%s/config.json", path);
    struct stat st;

    if (!clip || !typed)
        return cpv_fail_memory(err);
    if (!cpv_file_exists(clip) && cpv_file_exists(typed) &&
        !(cpv_sys.stat(path, &st) == 0 && S_ISREG(st.st_mode)))
        return open_typed(out, typed, mem, err);
    return open_clip(out, path, mem, err);
}
