/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The curves of a training, read from its metrics.jsonl and timings.jsonl in memory that
 * does not grow: a curve keeps at most CPV_CURVE_MOST places, each with the least and the
 * greatest value of the lines that fell there; when all are taken, neighbours become one.
 */
#ifndef CPV_PIPELINE_CURVES_H
#define CPV_PIPELINE_CURVES_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/base/size.h"

enum { CPV_CURVE_MOST = 256, CPV_CURVES_LANGS = 16 };

struct cpv_curve_point {
    double step, value;
};

struct cpv_curve {
    struct {
        struct cpv_curve_point least, most;
    } at[CPV_CURVE_MOST];
    uint32_t n;
    uint64_t each, in_last; /* points of a full place, of the last one */
    uint64_t points;
    struct cpv_curve_point first, last, least, most;
};

/* What is not finite, or of a step that is not behind the last one, is passed over. */
void cpv_curve_add(struct cpv_curve *c, double step, double value);

enum {
    CPV_CURVE_LOSS,
    CPV_CURVE_TEXT_ACCURACY,
    CPV_CURVE_IMAGE_ACCURACY,
    CPV_CURVE_LR,
    CPV_CURVE_LOGIT_SCALE,
    CPV_CURVE_SAMPLES,
    CPV_CURVE_TOKENS,
    CPV_CURVE_MEMORY,
    CPV_CURVES
};

struct cpv_curves {
    struct cpv_curve of[CPV_CURVES];
    struct cpv_curve recall; /* of all languages */
    struct {
        char code[24];
        struct cpv_curve recall;
    } lang[CPV_CURVES_LANGS];
    uint32_t n_langs;
    double steps, epochs, pairs, tokens, broken; /* of the last line */
    double seconds;                              /* of all lines of timings.jsonl */
    uint64_t unreadable;                         /* lines of both that are no such line */
    int timed;                                   /* there is a timings.jsonl */
};

/* A large structure (about 200 KiB): from cpv_alloc. Without metrics.jsonl CPV_E_INPUT; a
 * line that cannot be read, such as a last one cut off, is counted. */
CPV_MUST_CHECK int cpv_curves_read(struct cpv_curves *out, const char *folder,
                                   struct cpv_err *err);

#endif
