/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures as a vision tower takes them, for tests/parity/pixels.sh and clip.sh.
 *
 *     pixels FOLDER < PATHS > RESULTS     FOLDER: where preprocessor_config.json lies, or
 *                                         open_clip_config.json
 *
 * A result is an i32, cpv_image_status, and if that is 0 the f32 planes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/model/pixels.h"

static struct cpv_err err;

static void must(int rc)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "pixels: %s\n", err.text);
    exit(74);
}

static void put(const void *data, size_t size, size_t n)
{
    if (fwrite(data, size, n, stdout) != n)
        exit(74);
}

/* By open_clip_config.json, if there is one. */
static bool clip_config(const char *folder, struct cpv_pixels_config *k)
{
    struct cpv_hf_object root, model, vision, how;
    cpv_hf_config *c;
    char path[4096];
    int rc;

    (void)snprintf(path, sizeof path, "%s/open_clip_config.json", folder);
    rc = cpv_hf_config_open(&c, path, &err);
    if (rc == CPV_E_ABSENT)
        return false;
    must(rc);
    root = cpv_hf_config_root(c);
    model = cpv_hf_object(&root, "model_cfg");
    vision = cpv_hf_object(&model, "vision_cfg");
    how = cpv_hf_object(&root, "preprocess_cfg");
    cpv_pixels_config_clip(
        k, &how, (int)cpv_hf_int(&vision, "image_size", CPV_HF_NEEDED, 1, 16384));
    must(cpv_hf_config_check(c, &err));
    cpv_hf_config_close(&c);
    return true;
}

int main(int argc, char **argv)
{
    struct cpv_pixels_config config;
    cpv_pixels_maker *maker;
    struct cpv_buf file = {0};
    char path[4096];
    float *out;
    size_t n;

    if (argc != 2) {
        (void)fputs("usage: pixels FOLDER < PATHS\n", stderr);
        return 64;
    }
    if (!clip_config(argv[1], &config))
        must(cpv_pixels_config_read(&config, argv[1], &err));
    must(cpv_pixels_open(&maker, &config, &err));
    n = 3 * (size_t)config.size * (size_t)config.size;
    out = calloc(n, sizeof *out);
    if (!out)
        return 74;
    while (fgets(path, sizeof path, stdin)) {
        enum cpv_image_status status;
        const char *detail;
        int32_t code;

        path[strcspn(path, "\n")] = '\0';
        cpv_buf_clear(&file);
        must(cpv_file_read(path, 256 << 20, &file, &err));
        must(cpv_pixels_make(maker, cpv_buf_view(&file), 100 * 1000 * 1000, out, &status,
                             &detail, &err));
        code = (int32_t)status;
        put(&code, sizeof code, 1);
        if (status == CPV_IMAGE_OK)
            put(out, sizeof *out, n);
        else
            (void)fprintf(stderr, "pixels: %s: %s\n", path, detail);
    }
    free(out);
    cpv_buf_release(&file);
    cpv_pixels_close(&maker);
    return fflush(stdout) ? 74 : 0;
}
