/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The captions that our trainer may draw from, for reference.sh:
 *
 *     choices LANG none|first|all|rank|threshold ORIGINALS NUMBER TAR...
 *
 * prints KEY, a tab, and the chosen captions as a JSON list, for every sample that has
 * any. NUMBER is `keep`, or the threshold.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/corpus/captions.h"
#include "common/format/samples.h"

static int print_one(const struct cpv_sample *s, const char *lang,
                     const struct cpv_caption_choice *choice, cpv_arena *mem,
                     struct cpv_err *err)
{
    const struct cpv_member *m = cpv_sample_member(s, "json");
    struct cpv_caption *at;
    struct cpv_buf out = {0};
    json_t *root = NULL;
    struct cpv_json j;
    size_t n = 0;
    int rc = m ? cpv_json_parse(m->data, s->key, &root, err)
               : cpv_fail(err, CPV_E_INPUT, "'%s' has no JSON", s->key);

    if (!rc)
        rc = cpv_captions_choose(root, lang, s->key, choice, mem, &at, &n, err);
    cpv_json_init(&j, &out);
    cpv_json_begin_array(&j);
    for (size_t i = 0; !rc && i < n; i++)
        cpv_json_bytes(&j, at[i].text);
    cpv_json_end_array(&j);
    if (!rc && n)
        printf("%s\t%s\n", s->key, cpv_buf_cstr(&out));
    cpv_buf_release(&out);
    json_decref(root);
    cpv_arena_reset(mem);
    return rc;
}

static int print_all(const char *path, const char *lang,
                     const struct cpv_caption_choice *choice, cpv_arena *mem,
                     struct cpv_err *err)
{
    struct cpv_sample sample;
    cpv_samples *s = NULL;
    int rc = cpv_samples_open(&s, path, NULL, err);

    while (!rc && (rc = cpv_samples_next(s, &sample, err)) > 0)
        rc = print_one(&sample, lang, choice, mem, err);
    cpv_samples_close(&s);
    return rc;
}

int main(int argc, char **argv)
{
    struct cpv_caption_choice choice = {0};
    struct cpv_err err = {0};
    cpv_arena *mem = NULL;
    int rc, word = 0;

    if (argc < 6)
        return 2;
    while (cpv_caption_strategies[word] &&
           strcmp(cpv_caption_strategies[word], argv[2]) != 0)
        word++;
    choice.strategy = (cpv_caption_strategy)word;
    choice.originals = (uint32_t)strtoul(argv[3], NULL, 10);
    choice.keep = (uint32_t)strtoul(argv[4], NULL, 10);
    choice.threshold = strtod(argv[4], NULL);
    rc = cpv_arena_open(&mem, 0, &err);
    for (int i = 5; i < argc && !rc; i++)
        rc = print_all(argv[i], argv[1], &choice, mem, &err);
    if (rc)
        fprintf(stderr, "choices: %s\n", err.text);
    cpv_arena_close(&mem);
    return rc ? 1 : 0;
}
