/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets as the trainer of the reference (CAPIVARA, arXiv 2310.13683) reads them: plain
 * tars 00000.tar, 00001.tar ... of samples with two members, KEY.jpg (or KEY.png) and
 * KEY.json. Facts about its loader, from its code and its data:
 *
 *  - it takes "jpg;png" and "json" of each sample; another image format, or none, ends
 *    its run
 *  - captions-L is the originals; after its score stage, the originals and then the
 *    generated captions, with similarities-L one number for each of them (12 = 2 + 10 for
 *    Portuguese); generated-captions-L has the generated ones again
 *  - without a filter it draws from the first two of captions-pt (the first one, in any
 *    other language) and from generated-captions-L; with one, from all of captions-L by
 *    similarities-L
 *  - a number that is null, or a language without a caption, ends its run
 *
 * So, for each language: captions-L is extended where there are similarities; captions
 * that say nothing are left out with their numbers; an unknown number of one that does is
 * -1, which no filter prefers; flags-L go. Other keys stay.
 */
#ifndef CPV_CORPUS_REFERENCE_H
#define CPV_CORPUS_REFERENCE_H

#include "common/base/cli.h"
#include "common/corpus/captions.h"
#include "common/format/shard_export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rewrite a sample's JSON in place. mem is for scratch. CPV_E_CORRUPT as
 * cpv_captions_find. */
CPV_MUST_CHECK int cpv_reference_json(json_t *sample, const char *key, cpv_arena *mem,
                                      struct cpv_err *err);

/*
 * The samples of a shard, or of any tar, into NUMBER.tar of a folder that exists. Those
 * that have no caption in one of `langs` are left out and counted. CPV_E_INPUT for a
 * sample without a jpg or png, or without JSON.
 */
CPV_MUST_CHECK int cpv_reference_export(const char *path, const char *out_dir,
                                        uint32_t number, const struct cpv_texts *langs,
                                        struct cpv_exported *done, uint64_t *left_out,
                                        struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
