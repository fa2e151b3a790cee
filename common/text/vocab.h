/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vocabulary: texts of tokens and their ids, both ways.
 *
 *     open_json (or open_lines), put ..., id and text ..., close
 *
 * After the last put any number of threads may look things up. Ids are 0 to
 * CPV_VOCAB_MAX - 1 and may have gaps. A text is any bytes.
 *
 * vocab.json is one object of texts to ids; vocab.txt has a token a line, whose id is the
 * number of the line, from 0. Of two texts with one id the later is the id's text, as
 * a Python dictionary that is turned round gives it.
 */
#ifndef CPV_TEXT_VOCAB_H
#define CPV_TEXT_VOCAB_H

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_VOCAB_MAX = 1 << 22 };

typedef struct cpv_vocab cpv_vocab;

CPV_MUST_CHECK int cpv_vocab_open_json(cpv_vocab **out, const char *path,
                                       struct cpv_err *err);
CPV_MUST_CHECK int cpv_vocab_open_lines(cpv_vocab **out, const char *path,
                                        struct cpv_err *err);
/* The same from memory; `name` is for messages. */
CPV_MUST_CHECK int cpv_vocab_read_json(cpv_vocab **out, struct cpv_bytes json,
                                       const char *name, struct cpv_err *err);
CPV_MUST_CHECK int cpv_vocab_read_lines(cpv_vocab **out, struct cpv_bytes lines,
                                        const char *name, struct cpv_err *err);
void cpv_vocab_close(cpv_vocab **v);

/* Add a text, or give one that is there another id. */
CPV_MUST_CHECK int cpv_vocab_put(cpv_vocab *v, struct cpv_bytes text, int32_t id,
                                 struct cpv_err *err);

int32_t cpv_vocab_id(const cpv_vocab *v, struct cpv_bytes text); /* -1: not there */
/* data is NULL where there is none with that id. Owned by the vocabulary. */
struct cpv_bytes cpv_vocab_text(const cpv_vocab *v, int32_t id);
size_t cpv_vocab_count(const cpv_vocab *v); /* texts */
int32_t cpv_vocab_end(const cpv_vocab *v);  /* the highest id + 1 */

#ifdef __cplusplus
}
#endif
#endif
