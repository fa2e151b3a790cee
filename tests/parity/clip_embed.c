/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Embeddings of OpenCLIP, for tests/parity/clip.sh.
 *
 *     clip_embed MODEL [-a ADAPTER] [-t TOKENIZER] [-d DEVICE] texts  < LINES > RESULTS
 *     clip_embed MODEL ... images < PATHS > RESULTS
 *     clip_embed MODEL ... pixels < PATHS > RESULTS
 *
 * texts: a caption a line, f32 [n, dim]. images: files of pictures, f32 [n, dim]; pixels:
 * what the tower takes of them, f32 [n, 3, size, size]. Time and memory go to stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/model/clip.h"

static void must(int rc, const struct cpv_err *err)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "clip_embed: %s\n", err->text);
    exit(74);
}

static void *grown(void *at, size_t bytes)
{
    void *to = realloc(at, bytes ? bytes : 1);

    if (!to)
        exit(74);
    return to;
}

static void put(const float *data, size_t n)
{
    if (fwrite(data, sizeof *data, n, stdout) != n)
        exit(74);
}

static char *line_of(char *line, size_t size)
{
    if (!fgets(line, (int)size, stdin))
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void texts(const cpv_clip *m, cpv_clip_worker *w)
{
    struct cpv_err err = {0};
    struct cpv_ids ids = {0};
    int32_t *length = NULL;
    size_t n = 0, before;
    char line[1 << 16];
    float *out;

    while (line_of(line, sizeof line)) {
        before = ids.count;
        must(cpv_clip_encode(m, cpv_bytes_str(line), &ids, &err), &err);
        length = grown(length, (n + 1) * sizeof *length);
        length[n++] = (int32_t)(ids.count - before);
    }
    out = grown(NULL, n * (size_t)cpv_clip_config(m)->dim * sizeof *out);
    must(cpv_clip_worker_texts(w, ids.data, length, (int64_t)n, out, &err), &err);
    (void)fprintf(stderr, "%zu texts of %zu tokens\n", n, ids.count);
    put(out, n * (size_t)cpv_clip_config(m)->dim);
    free(out);
    free(length);
    cpv_ids_release(&ids);
}

static void pictures(const cpv_clip *m, cpv_clip_worker *w)
{
    size_t side = (size_t)cpv_clip_config(m)->vision.image, each = 3 * side * side;
    float *pixels = grown(NULL, each * sizeof *pixels);
    float *out = grown(NULL, (size_t)cpv_clip_config(m)->dim * sizeof *out);
    struct cpv_err err = {0};
    struct cpv_buf file = {0};
    cpv_pixels_maker *maker;
    enum cpv_image_status status;
    const char *detail;
    char path[4096];

    must(cpv_pixels_open(&maker, cpv_clip_pixels(m), &err), &err);
    while (line_of(path, sizeof path)) {
        cpv_buf_clear(&file);
        must(cpv_file_read(path, 256 << 20, &file, &err), &err);
        must(cpv_pixels_make(maker, cpv_buf_view(&file), 100 * 1000 * 1000, pixels,
                             &status, &detail, &err),
             &err);
        if (status != CPV_IMAGE_OK) {
            (void)fprintf(stderr, "clip_embed: %s: %s\n", path, detail);
            exit(74);
        }
        if (!w) {
            put(pixels, each);
            continue;
        }
        must(cpv_clip_worker_images(w, pixels, 1, out, &err), &err);
        put(out, (size_t)cpv_clip_config(m)->dim);
    }
    cpv_pixels_close(&maker);
    cpv_buf_release(&file);
    free(out);
    free(pixels);
}

int main(int argc, char **argv)
{
    struct cpv_clip_params params = {.image = true, .text = true};
    struct cpv_device_params place = {.name = "cpu"};
    struct cpv_clip_limits limits = {.threads = 2};
    struct cpv_err err = {0};
    cpv_clip_worker *w = NULL;
    cpv_device *device;
    cpv_clip *m;
    int64_t start = cpv_clock_ns();
    int c;

    while ((c = getopt(argc - 1, argv + 1, "a:t:d:")) != -1) {
        if (c == 'a')
            params.adapter = optarg;
        else if (c == 't')
            params.tokenizer = optarg;
        else
            place.name = optarg;
    }
    if (optind + 2 != argc) {
        (void)fputs("usage: clip_embed MODEL [-a A] [-t T] [-d D] texts|images|pixels\n",
                    stderr);
        return 64;
    }
    params.image = strcmp(argv[optind + 1], "texts") != 0;
    params.text = !params.image;
    must(cpv_device_open(&device, &place, &err), &err);
    must(cpv_clip_open(&m, device, argv[1], &params, &err), &err);
    if (strcmp(argv[optind + 1], "pixels") != 0)
        must(cpv_clip_worker_open(&w, m, &limits, &err), &err);
    (void)fprintf(stderr, "opened in %.2f s, %zu MB of weights\n",
                  (double)(cpv_clock_ns() - start) / 1e9, cpv_clip_bytes(m) / 1000000);
    start = cpv_clock_ns();
    if (params.text)
        texts(m, w);
    else
        pictures(m, w);
    (void)fprintf(stderr, "%.2f s\n", (double)(cpv_clock_ns() - start) / 1e9);
    cpv_clip_worker_close(&w);
    cpv_clip_close(&m);
    cpv_device_close(&device);
    return fflush(stdout) ? 74 : 0;
}
