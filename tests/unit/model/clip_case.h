/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of OpenCLIP share: the models of tests/golden/clip and what is expected
 * of them (tests/fixtures/make_clip.py says what the lines of expected.txt are). */
#ifndef CPV_TESTS_UNIT_MODEL_CLIP_CASE_H
#define CPV_TESTS_UNIT_MODEL_CLIP_CASE_H

#include "common/model/clip.h"
#include "common/text/xlmr_text.h"
#include "tests/unit/model/on_device.h"

enum { IMAGES = 5, TEXTS = 20, TOKENS = 77, SIDE = 12, DIM = 12 };

struct caption {
    int32_t id[TOKENS];
    int32_t n;
    char text[512];
};

static const char *const names[] = {"base", "bin", "ckpt"};

static cpv_clip *model;
static int dim;
/* Of the model at hand. */
static struct caption caption[TEXTS];
static int captions;
static float scale, pixels[IMAGES][3 * SIDE * SIDE];
static float text_want[TEXTS][DIM], image_want[IMAGES][DIM];

static inline void read_caption(char *at)
{
    struct caption *t = &caption[captions++];

    assert_true(captions <= TEXTS);
    t->n = 0;
    for (;;) {
        char *end;
        long x = strtol(at, &end, 10);

        if (end == at)
            break;
        assert_true(t->n < TOKENS);
        t->id[t->n++] = (int32_t)x;
        at = end;
    }
    at = strstr(at, "/ ");
    assert_non_null(at);
    (void)snprintf(t->text, sizeof t->text, "%s", at + 2);
    t->text[strcspn(t->text, "\n")] = '\0';
}

static inline void read_expected(const char *name)
{
    FILE *f = open_golden("clip", name, "expected.txt");
    char line[2048];

    captions = 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "text ", 5) == 0) {
            read_caption(line + 5);
        } else {
            assert_int_equal(strncmp(line, "scale ", 6), 0);
            scale = strtof(line + 6, NULL);
        }
    }
    fclose(f);
    f = open_golden("clip", name, "embeddings.bin");
    for (int i = 0; i < captions; i++)
        assert_int_equal(fread(text_want[i], sizeof(float), (size_t)dim, f), dim);
    for (int i = 0; i < IMAGES; i++)
        assert_int_equal(fread(image_want[i], sizeof(float), (size_t)dim, f), dim);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static inline void read_images(const char *name)
{
    int side = cpv_clip_config(model)->vision.image;
    FILE *f = open_golden("clip", name, "images.bin");

    assert_true(side <= SIDE);
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < 3 * side * side; k++)
            pixels[i][k] = ((float)fgetc(f) - 128) / 64;
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static inline void open_model(const char *name)
{
    struct cpv_clip_params params = {.image = true, .text = true};
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/clip/%s", golden, name);
    assert_ok(cpv_clip_open(&model, device, path, &params, &err));
    dim = cpv_clip_config(model)->dim;
    assert_true(dim <= DIM && cpv_clip_bytes(model) > 0);
    read_expected(name);
    read_images(name);
}

static inline cpv_clip_worker *worker(int images, int tokens, int threads)
{
    struct cpv_clip_limits limits = {images, tokens, threads};
    cpv_clip_worker *w;

    assert_ok(cpv_clip_worker_open(&w, model, &limits, &err));
    assert_true(cpv_clip_worker_bytes(w) > 0);
    return w;
}

/* Captions by number, to unit vectors [n, dim]. */
static inline float *texts(cpv_clip_worker *w, const int *which, int n)
{
    int32_t *ids = calloc((size_t)n * TOKENS + 1, sizeof *ids), *at = ids;
    int32_t *length = calloc((size_t)n + 1, sizeof *length);
    float *out = calloc((size_t)(n * dim) + 1, sizeof *out);
    int rc;

    assert_true(ids && length && out);
    for (int i = 0; i < n; i++) {
        const struct caption *t = &caption[which[i]];

        memcpy(at, t->id, (size_t)t->n * sizeof *at);
        at += length[i] = t->n;
    }
    rc = cpv_clip_worker_texts(w, ids, length, n, out, &err);
    if (rc)
        fail_msg("%d: %s", rc, err.text);
    free(ids);
    free(length);
    return out;
}

/* The same of pictures. */
static inline float *images(cpv_clip_worker *w, const int *which, int n)
{
    int side = cpv_clip_config(model)->vision.image;
    size_t each = 3 * (size_t)side * (size_t)side;
    float *in = calloc((size_t)n * each + 1, sizeof *in);
    float *out = calloc((size_t)(n * dim) + 1, sizeof *out);
    int rc;

    assert_true(in && out);
    for (int i = 0; i < n; i++)
        memcpy(in + (size_t)i * each, pixels[which[i]], each * sizeof *in);
    rc = cpv_clip_worker_images(w, in, n, out, &err);
    if (rc)
        fail_msg("%d: %s", rc, err.text);
    free(in);
    return out;
}

#endif
