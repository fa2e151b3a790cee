/* SPDX-License-Identifier: Apache-2.0 */
/* See flags.h. */
#include "common/corpus/flags.h"

#include <string.h>

const char *cpv_flags_word(int i)
{
    static const char *const words[CPV_FLAG_COUNT] = {"empty", "copied", "script",
                                                      "loop",  "ratio",  "cut"};

    return words[i];
}

int cpv_flags_find(const char *word)
{
    for (int i = 0; i < CPV_FLAG_COUNT; i++)
        if (strcmp(word, cpv_flags_word(i)) == 0)
            return i;
    return -1;
}
