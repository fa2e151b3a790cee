/* SPDX-License-Identifier: Apache-2.0 */
/* `capivara models`: its options, and its words, each in a file models_*.c. */
#ifndef CPV_PIPELINE_MODELS_H
#define CPV_PIPELINE_MODELS_H

#include "pipeline/command.h"

enum { CPV_MODELS_TEXT, CPV_MODELS_JSON };

struct cpv_models_options {
    int format;
    bool verify;
    int64_t retries;
    double backoff; /* seconds */
};

/* The operands behind the word. */
int cpv_models_pull(struct cpv_call *call, const char *name, struct cpv_err *err);
int cpv_models_list(struct cpv_call *call, struct cpv_err *err);
int cpv_models_check(struct cpv_call *call, const char *name, struct cpv_err *err);

#endif
