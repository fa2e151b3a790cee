/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a training says of itself, in two files of JSON lines.
 *
 *   OUT/metrics.jsonl   what is a function of settings, data and seed: the same to the
 * byte however often the training was stopped
 *     {"step":10,"epoch":0.14,"loss":..,"text_accuracy":..,"image_accuracy":..,"lr":..,
 *      "logit_scale":..,"pairs":..,"tokens":..,"broken":..}
 *     {"step":100,"validation":{"mean_recall":..,"pt":{"text_to_image":{"r1":..,..},..}}}
 *   OUT/timings.jsonl   what is not: {"step","seconds","samples_per_s","tokens_per_s",
 *                       "memory_bytes"}; never compared, never cut
 */
#ifndef CPV_TRAINER_METRICS_H
#define CPV_TRAINER_METRICS_H

#include "common/base/error.h"
#include "trainer/validate.h"

typedef struct metrics metrics;

/* `bytes` of metrics.jsonl stay, the rest was written behind the last checkpoint. */
CPV_MUST_CHECK int metrics_open(metrics **out, const char *folder, uint64_t bytes,
                                struct cpv_err *err);
void metrics_close(metrics **m);

struct metrics_line {
    uint64_t step;
    double epoch, loss, text_accuracy, image_accuracy, lr, logit_scale;
    uint64_t pairs, tokens, broken; /* in all */
};
CPV_MUST_CHECK int metrics_line(metrics *m, const struct metrics_line *line,
                                struct cpv_err *err);
CPV_MUST_CHECK int metrics_validation(metrics *m, uint64_t step,
                                      const struct validate_result *r,
                                      struct cpv_err *err);
struct metrics_timing {
    uint64_t step;
    double seconds; /* of the steps since the last one */
    uint64_t pairs, tokens;
};
CPV_MUST_CHECK int metrics_timing(metrics *m, const struct metrics_timing *t,
                                  struct cpv_err *err);

/* Make metrics.jsonl durable: its size. */
CPV_MUST_CHECK int metrics_sync(metrics *m, uint64_t *bytes, struct cpv_err *err);

/* Anonymous memory of this process now, bytes; 0: not known. */
uint64_t metrics_memory(void);

#endif
