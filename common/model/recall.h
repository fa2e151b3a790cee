/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retrieval among unit vectors: the rank of every query, and recall from ranks.
 *
 *     cpv_recall_ranks            ranks of all texts and images
 *     cpv_recall_of               R@1, R@5, R@10 of one direction, and their mean
 *     cpv_recall_both             the two in one
 *
 * Texts belong to images: text t to image owner[t]; an image may have several texts, or
 * none. A text finds its image, an image any one of its texts. Score: the inner product.
 *
 * Rank: 1 + the number of candidates that score strictly higher than the positive (of an
 * image: than the best of its texts). So ties are hits: two equal captions of two images
 * are both right about both, and the order of the candidates means nothing. The price: a
 * model that gives everything the same vector has a recall of 1. With `by_index` the
 * candidates of equal score stand in their order, as a stable sort would put them.
 * torch.topk, which the reference uses, promises no order among them. A score that is
 * not a number is worse than any for a positive and better than any for the others.
 *
 * A score is summed up in an order that depends on nothing but the dimension: not on
 * threads, places or direction, and equal vectors score equally. The matrix of scores is
 * never in memory.
 */
#ifndef CPV_MODEL_RECALL_H
#define CPV_MODEL_RECALL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_recall_set {
    const float *images, *texts; /* [n_images, dim], [n_texts, dim]; unit vectors */
    const int64_t *owner;        /* [n_texts]: 0 ... n_images - 1 */
    int64_t n_images, n_texts, dim;
    bool by_index;
    int threads; /* 0: 1 */
};

/*
 * text_rank[t], 1 ... n_images: where text t finds its image. image_rank[i], 1 ...
 * n_texts: where image i finds the best of its texts; 0: it has none, it is no query.
 * CPV_E_BUG for an owner that there is not.
 */
CPV_MUST_CHECK int cpv_recall_ranks(const struct cpv_recall_set *set, int64_t *text_rank,
                                    int64_t *image_rank, struct cpv_err *err);

enum { CPV_RECALL_KS = 3 };
extern const int cpv_recall_k[CPV_RECALL_KS]; /* 1, 5, 10 */

struct cpv_recall_side {
    int64_t queries;          /* ranks that are not 0 */
    double at[CPV_RECALL_KS]; /* the share of queries ranked k or better, 0 ... 1 */
    double mean;              /* of the three: what the paper calls mean recall */
};
/* Without queries all of it is 0. */
void cpv_recall_of(const int64_t *rank, int64_t n, struct cpv_recall_side *out);

struct cpv_recall {
    struct cpv_recall_side t2i, i2t; /* text to image, image to text */
    double mean;                     /* of all six */
};
CPV_MUST_CHECK int cpv_recall_both(const struct cpv_recall_set *set,
                                   struct cpv_recall *out, struct cpv_err *err);

/* The inner product, as it is scored here. */
float cpv_recall_score(const float *a, const float *b, int64_t dim);

#ifdef __cplusplus
}
#endif
#endif
