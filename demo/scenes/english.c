/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan in English. All of the language is in this file: words, articles, number,
 * the order of adjectives, and how a prompt goes on into a phrase.
 */
#include "common/base/size.h"
#include "demo/scenes/plan.h"
#include "demo/scenes/words.h"

static const char *const opening[CPV_OPENINGS] = {
    [CPV_OPEN_NONE] = "",
    [CPV_OPEN_THERE_IS] = "there is",
    [CPV_OPEN_WE_SEE] = "we see",
    [CPV_OPEN_FEATURES] = "the foreground features",
    [CPV_OPEN_PHOTO] = "a photo of",
    [CPV_OPEN_PICTURE] = "a picture of",
    [CPV_OPEN_SCENE] = "this is a scene depicting",
    [CPV_OPEN_IMAGE] = "an image of",
    [CPV_OPEN_PORTRAIT] = "portrait of a",
    [CPV_OPEN_MOMENT] = "this image captures a moment of",
    [CPV_OPEN_PAINTING] = "a painting of",
    [CPV_OPEN_ART] = "an art of",
    [CPV_OPEN_SHOWS] = "the picture shows",
};

/* After a noun phrase; a sentence puts "is" in between. */
static const char *const relation[CPV_RELATIONS][3] = {
    [CPV_LEFT_OF] = {"to the left of", "left of", "on the left of"},
    [CPV_RIGHT_OF] = {"to the right of", "right of", "on the right of"},
    [CPV_ABOVE] = {"above", "over", "higher than"},
    [CPV_BELOW] = {"below", "under", "beneath"},
    [CPV_INSIDE] = {"inside", "in", "within"},
    [CPV_AROUND] = {"around", "surrounding", "enclosing"},
    [CPV_NEXT_TO] = {"next to", "beside", "close to"},
};

static const struct {
    const char *phrase[2]; /* where it all is */
    const char *is;        /* the background is ... */
} ground[CPV_GROUNDS] = {
    [CPV_GRAY] = {{"on a gray background", "against a gray background"}, "gray"},
    [CPV_DARK_GRAY] = {{"on a dark gray background", "against a dark gray background"},
                       "dark gray"},
    [CPV_LIGHT_GREEN] = {{"on a light green background",
                          "against a light green background"},
                         "light green"},
    [CPV_LIGHT_PURPLE] = {{"on a light purple background",
                           "against a light purple background"},
                          "light purple"},
    [CPV_SKY] = {{"in the sky", "against the sky"}, "the sky"},
    [CPV_SEA] = {{"in front of the sea", "against the sea"}, "the sea"},
    [CPV_GRASS] = {{"on grass", "on the grass"}, "grass"},
    [CPV_SAND] = {{"on sand", "on the sand"}, "sand"},
    [CPV_NIGHT] = {{"in the night sky", "against the night sky"}, "the night sky"},
    [CPV_BRICK] = {{"in front of a brick wall", "on a brick wall"}, "a brick wall"},
    [CPV_WOOD] = {{"on wood", "on a wooden board"}, "wood"},
};

static const char *const extent[CPV_EXTENTS] = {"small", "medium", "large"};

/* No word of ours has a silent h or a u that sounds like "you". */
static const char *article(const char *next)
{
    return next[0] == 'a' || next[0] == 'e' || next[0] == 'i' || next[0] == 'o' ? "an"
                                                                                : "a";
}

/* "a small striped red circle", "the star"; `bare`: the article was said before. */
static void noun_phrase(const struct cpv_scene *s, const struct cpv_mention *m, bool bare,
                        struct cpv_buf *out)
{
    const struct cpv_object *o = &s->object[m->object];
    const char *w[4];
    int n = 0;

    if (m->say & CPV_SAY_EXTENT)
        w[n++] = extent[o->extent];
    if (m->say & CPV_SAY_TEXTURE)
        w[n++] = cpv_texture_name[o->texture];
    if (m->say & CPV_SAY_COLOUR)
        w[n++] = cpv_colour_name[o->colour];
    w[n++] = cpv_shape_name[o->shape];
    if (m->say & CPV_SAY_KNOWN)
        cpv_words_add(out, "the");
    else if (!bare)
        cpv_words_add(out, article(w[0]));
    for (int i = 0; i < n; i++)
        cpv_words_add(out, w[i]);
}

static void count_phrase(const struct cpv_clause *c, struct cpv_buf *out)
{
    static const char *const number[] = {"no", "one", "two", "three", "four"};

    cpv_words_add(out, number[c->count]);
    if (c->texture >= 0)
        cpv_words_add(out, cpv_texture_name[c->texture]);
    if (c->colour >= 0)
        cpv_words_add(out, cpv_colour_name[c->colour]);
    cpv_words_add(out, c->wording % 2 ? "objects" : "shapes");
}

/* Subject and relation and object, with "is" if it is to be a sentence. */
static void related(const struct cpv_scene *s, const struct cpv_clause *c, int a,
                    int which, int b, bool sentence, bool bare, struct cpv_buf *out)
{
    if (a >= 0) {
        noun_phrase(s, &c->mention[a], bare, out);
        if (sentence)
            cpv_words_add(out, "is");
    }
    cpv_words_add(out, relation[c->relation[which]][c->wording % 3]);
    noun_phrase(s, &c->mention[b], false, out);
}

static void say_clause(const struct cpv_scene *s, const struct cpv_clause *c,
                       bool sentence, bool bare, struct cpv_buf *out)
{
    switch (c->kind) {
    case CPV_SAY_LIST:
        for (int i = 0; i < c->mentions; i++) {
            if (i > 0 && i == c->mentions - 1)
                cpv_words_add(out, "and");
            else if (i > 0)
                cpv_buf_byte(out, ',');
            noun_phrase(s, &c->mention[i], bare && i == 0, out);
        }
        break;
    case CPV_SAY_RELATION:
        related(s, c, 0, 0, 1, sentence, bare, out);
        break;
    case CPV_SAY_TWO:
        related(s, c, 0, 0, 1, sentence, bare, out);
        cpv_words_add(out, "and");
        related(s, c, -1, 1, 2, sentence, false, out);
        break;
    case CPV_SAY_PAIRS:
        related(s, c, 0, 0, 1, sentence, bare, out);
        cpv_words_add(out, "and");
        related(s, c, 2, 1, 3, sentence, false, out);
        break;
    case CPV_SAY_COUNT:
        count_phrase(c, out);
        break;
    case CPV_SAY_GROUND:
        cpv_words_add(out, "the background is");
        cpv_words_add(out, ground[s->ground].is);
        break;
    }
}

void cpv_english_say(const struct cpv_scene *s, const struct caption_plan *plan,
                     struct cpv_buf *out)
{
    struct cpv_buf text = {0};
    const struct cpv_clause *first = &plan->clause[0];

    if (plan->opening == CPV_OPEN_THERE_IS && first->kind == CPV_SAY_COUNT)
        cpv_buf_str(&text, "there are");
    else
        cpv_buf_str(&text, opening[plan->opening]);
    say_clause(s, first, plan->sentence, plan->opening == CPV_OPEN_PORTRAIT, &text);
    if (plan->ground_phrase)
        cpv_words_add(
            &text, ground[s->ground].phrase[plan->wording % CPV_COUNT(ground[0].phrase)]);
    for (int i = 1; i < plan->clauses; i++) {
        cpv_buf_byte(&text, '.');
        say_clause(s, &plan->clause[i], true, false, &text);
    }
    if (plan->clauses > 1 || plan->sentence)
        cpv_buf_byte(&text, '.');
    cpv_words_move(&text, out);
}
