/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Understanding a caption: a reader of English that knows nothing of plans. It takes
 * a caption apart word by word and holds everything it says against the scene.
 */
#ifndef CPV_TEST_DEMO_READING_H
#define CPV_TEST_DEMO_READING_H

#include "demo/scenes/world.h"

enum { READING_OPENINGS = 14 };

struct reading {
    int opening; /* index of reading_opening, -1: none */
    int objects; /* different ones named */
    int relations;
    bool ground;
};

extern const char *const reading_opening[READING_OPENINGS];

/* NULL if the caption is grammatical and true of the scene; else what is wrong. */
const char *reading_of(const struct cpv_scene *scene, const char *text,
                       struct reading *out);

#endif
