/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recall from embeddings, for tests/parity/eval.sh.
 *
 *     recall DIM IMAGES TEXTS OWNERS
 *
 * Files of f32 [n, DIM] unit vectors, and of i64: the image of each text. On standard
 * output "t2i R@1 R@5 R@10" and "i2t ...", all digits.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/model/recall.h"

static struct cpv_buf load(const char *path)
{
    struct cpv_buf b = {0};
    struct cpv_err err = {0};

    if (cpv_file_read(path, (size_t)1 << 31, &b, &err)) {
        (void)fprintf(stderr, "recall: %s\n", err.text);
        exit(74);
    }
    return b;
}

static void show(const char *name, const struct cpv_recall_side *s)
{
    (void)printf("%s %.17g %.17g %.17g\n", name, s->at[0], s->at[1], s->at[2]);
}

int main(int argc, char **argv)
{
    struct cpv_buf images, texts, owners;
    struct cpv_recall_set set = {.threads = 2};
    struct cpv_recall both;
    struct cpv_err err = {0};

    if (argc != 5 || (set.dim = strtol(argv[1], NULL, 10)) < 1) {
        (void)fputs("usage: recall DIM IMAGES TEXTS OWNERS\n", stderr);
        return 2;
    }
    images = load(argv[2]);
    texts = load(argv[3]);
    owners = load(argv[4]);
    set.images = (const float *)(const void *)images.data;
    set.texts = (const float *)(const void *)texts.data;
    set.owner = (const int64_t *)(const void *)owners.data;
    set.n_images = (int64_t)(images.size / sizeof(float)) / set.dim;
    set.n_texts = (int64_t)(owners.size / sizeof(int64_t));
    if (texts.size != (size_t)(set.n_texts * set.dim) * sizeof(float) ||
        cpv_recall_both(&set, &both, &err)) {
        (void)fprintf(stderr, "recall: %s\n", err.code ? err.text : "sizes differ");
        return 65;
    }
    show("t2i", &both.t2i);
    show("i2t", &both.i2t);
    cpv_buf_release(&images);
    cpv_buf_release(&texts);
    cpv_buf_release(&owners);
    return 0;
}
