/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tokenizer_config.json, special_tokens_map.json and added_tokens.json of a model's
 * folder say, in the order in which transformers 4.57 believes them: the latter two count
 * only where the first has no `added_tokens_decoder`. Each may be absent.
 *
 *     read, ..., release
 *
 * Sizes and languages in these files are of no use here and are passed over.
 */
#ifndef CPV_TEXT_SETTINGS_H
#define CPV_TEXT_SETTINGS_H

#include "common/base/arena.h"
#include "common/text/added.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cpv_token_role {
    CPV_TOKEN_BOS,
    CPV_TOKEN_EOS,
    CPV_TOKEN_UNK,
    CPV_TOKEN_SEP,
    CPV_TOKEN_PAD,
    CPV_TOKEN_CLS,
    CPV_TOKEN_MASK,
    CPV_TOKEN_ROLES
};

struct cpv_text_settings {
    cpv_arena *arena; /* holds all texts */
    /* id -1: not said yet which. A text without data: no such token is named. */
    struct cpv_added_token named[CPV_TOKEN_ROLES];
    struct cpv_added_token *extra; /* additional_special_tokens */
    size_t extra_count;
    struct cpv_added added; /* with their ids; `special` as the names above say */
    bool clean_up;          /* clean_up_tokenization_spaces; false if not said */
    bool has_clean_up;      /* it was said */
    bool separate_vocabs;
    bool add_bos;
    bool has_add_bos;  /* add_bos was said */
    bool prefix_space; /* add_prefix_space */
    bool lower;        /* do_lower_case; true if not said */
};

/* Names that the files do not give are taken from `defaults` (NULL: none). */
CPV_MUST_CHECK int cpv_text_settings_read(struct cpv_text_settings *s, const char *folder,
                                          const char *const defaults[CPV_TOKEN_ROLES],
                                          struct cpv_err *err);
void cpv_text_settings_release(struct cpv_text_settings *s);

/*
 * Give the named and additional tokens ids and put them into `added`: the id that
 * added_tokens_decoder said, else that of `vocab`. One that has neither is CPV_E_INPUT.
 */
struct cpv_vocab;
CPV_MUST_CHECK int cpv_text_settings_bind(struct cpv_text_settings *s,
                                          const struct cpv_vocab *vocab,
                                          struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
