/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caption says, free of any language: which objects it names with which
 * attributes, how they stand to each other, what it says of the background, and how it
 * opens. english.c speaks a plan in English, portuguese.c, xhosa.c and hindi.c in theirs;
 * another language needs a file like these and a line in cpv_language. `wording` picks
 * among the synonyms of English: take it modulo the number there are.
 *
 * What the other languages say is a function of the English words alone, so that they are
 * translations: two plans that are one caption in English are one in each of them.
 *
 * A plan is true of its scene by construction, and it introduces an object before it
 * refers to it as known; within a scene the shape alone tells which one is meant.
 */
#ifndef CPV_DEMO_PLAN_H
#define CPV_DEMO_PLAN_H

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "demo/scenes/world.h"

enum { CPV_CLAUSES = 6, CPV_CAPTIONS = 5 };

enum cpv_opening {
    CPV_OPEN_NONE,
    CPV_OPEN_THERE_IS,
    CPV_OPEN_WE_SEE,
    /* the ten prompts of the reference's captioning, in its order */
    CPV_OPEN_FEATURES,
    CPV_OPEN_PHOTO,
    CPV_OPEN_PICTURE,
    CPV_OPEN_SCENE,
    CPV_OPEN_IMAGE,
    CPV_OPEN_PORTRAIT, /* the first object then names its size */
    CPV_OPEN_MOMENT,
    CPV_OPEN_PAINTING,
    CPV_OPEN_ART,
    CPV_OPEN_SHOWS,
    CPV_OPENINGS
};

enum { CPV_PROMPTS = CPV_OPENINGS - CPV_OPEN_FEATURES };

enum cpv_clause_kind {
    CPV_SAY_LIST,     /* objects 0 .. n - 1, with no relation */
    CPV_SAY_RELATION, /* 0 stands in relation 0 to 1 */
    CPV_SAY_TWO,      /* 0 stands in relation 0 to 1 and in relation 1 to 2 */
    CPV_SAY_PAIRS,    /* 0 in relation 0 to 1, and 2 in relation 1 to 3 */
    CPV_SAY_COUNT,    /* `count` shapes (of a colour, of a texture), and not one more */
    CPV_SAY_GROUND    /* what the background is */
};

enum {
    CPV_SAY_EXTENT = 1,
    CPV_SAY_COLOUR = 2,
    CPV_SAY_TEXTURE = 4,
    CPV_SAY_KNOWN = 8 /* introduced before: "the star" */
};

struct cpv_mention {
    uint8_t object; /* index in the scene */
    uint8_t say;    /* CPV_SAY_EXTENT | ... */
};

struct cpv_clause {
    enum cpv_clause_kind kind;
    int mentions;
    struct cpv_mention mention[CPV_OBJECTS];
    enum cpv_relation relation[2];
    int count;           /* COUNT */
    int colour, texture; /* COUNT: of these only; -1: of any */
    uint8_t wording;
};

struct caption_plan {
    enum cpv_opening opening;
    bool sentence;      /* the first clause is a sentence; never after an opening */
    bool ground_phrase; /* the first clause ends with where it all is */
    uint8_t wording;    /* of that phrase */
    int clauses;
    struct cpv_clause clause[CPV_CLAUSES];
};

/* How the objects of a caption are ordered. */
enum cpv_order { CPV_ORDER_RANDOM, CPV_ORDER_SHAPE };

extern const char *const cpv_opening_name[CPV_OPENINGS];

/* Draw a plan for a scene. */
void cpv_plan_make(struct caption_plan *plan, const struct cpv_scene *scene,
                   enum cpv_order order, struct cpv_rng *r);

/* One JSON object; README.md has its keys. */
void cpv_plan_json(const struct caption_plan *plan, struct cpv_buf *out);

/*
 * The same behind another opening, which may be one of the ten prompts. False, and `out`
 * is not set: "portrait of a" goes before one object only, not before a number of them.
 */
bool cpv_plan_behind(const struct caption_plan *plan, enum cpv_opening opening,
                     struct caption_plan *out);

/* The plan in a language, one line of UTF-8 (NFC) without a line feed, appended. */
void cpv_english_say(const struct cpv_scene *scene, const struct caption_plan *plan,
                     struct cpv_buf *out);
void cpv_portuguese_say(const struct cpv_scene *scene, const struct caption_plan *plan,
                        struct cpv_buf *out);
void cpv_xhosa_say(const struct cpv_scene *scene, const struct caption_plan *plan,
                   struct cpv_buf *out);
void cpv_hindi_say(const struct cpv_scene *scene, const struct caption_plan *plan,
                   struct cpv_buf *out);

enum { CPV_LANGUAGES = 4 };

struct cpv_language {
    const char *code; /* "en", "pt", "xh", "hi", in this order */
    void (*say)(const struct cpv_scene *scene, const struct caption_plan *plan,
                struct cpv_buf *out);
};

extern const struct cpv_language cpv_language[CPV_LANGUAGES];

struct cpv_captions {
    int n; /* 1 .. CPV_CAPTIONS, all different in English */
    struct caption_plan plan[CPV_CAPTIONS];
};

/* The captions of a scene: depends on seed and scene alone. CPV_E_MEMORY only. */
CPV_MUST_CHECK int cpv_captions_make(struct cpv_captions *captions,
                                     const struct cpv_scene *scene, uint64_t seed,
                                     enum cpv_order order, struct cpv_err *err);

#endif
