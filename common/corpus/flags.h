/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may look wrong about a translated caption: bits in programs, words in flags-L of a
 * sample's JSON, in this order with a blank between them (docs/operations.md,
 * Translating). The translate stage finds them, the shard stage leaves out what has them.
 */
#ifndef CPV_CORPUS_FLAGS_H
#define CPV_CORPUS_FLAGS_H

#ifdef __cplusplus
extern "C" {
#endif

enum cpv_flag {
    CPV_FLAG_EMPTY = 1 << 0,  /* nothing came of a text that says something */
    CPV_FLAG_COPIED = 1 << 1, /* it came back as it was */
    CPV_FLAG_SCRIPT = 1 << 2, /* most letters are of another script than the language's */
    CPV_FLAG_LOOP = 1 << 3,   /* words repeat themselves again and again */
    CPV_FLAG_RATIO = 1 << 4,  /* far longer or shorter than its source */
    CPV_FLAG_CUT = 1 << 5,    /* source or translation reached its most tokens */
    CPV_FLAG_COUNT = 6
};

const char *cpv_flags_word(int i);    /* of bit i, below CPV_FLAG_COUNT: "empty", ... */
int cpv_flags_find(const char *word); /* the bit's number; -1: there is no such word */

#ifdef __cplusplus
}
#endif
#endif
