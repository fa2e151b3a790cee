/* SPDX-License-Identifier: Apache-2.0 */
/* See reading.h. Words and geometry are spelled out here a second time, on purpose. */
#include "tests/unit/demo/reading.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"

enum { WORDS = 80 };

/* The ten prompts first. */
const char *const reading_opening[READING_OPENINGS] = {"the foreground features",
                                                       "a photo of",
                                                       "a picture of",
                                                       "this is a scene depicting",
                                                       "an image of",
                                                       "portrait of a",
                                                       "this image captures a moment of",
                                                       "a painting of",
                                                       "an art of",
                                                       "the picture shows",
                                                       "there is",
                                                       "there are",
                                                       "we see",
                                                       "the background is"};
enum { PORTRAIT = 5, THERE_IS = 10, THERE_ARE = 11, BACKGROUND = 13 };

static const struct {
    const char *text;
    enum cpv_relation relation;
} relation_text[] = {
    {"to the left of", CPV_LEFT_OF},
    {"left of", CPV_LEFT_OF},
    {"on the left of", CPV_LEFT_OF},
    {"to the right of", CPV_RIGHT_OF},
    {"right of", CPV_RIGHT_OF},
    {"on the right of", CPV_RIGHT_OF},
    {"above", CPV_ABOVE},
    {"over", CPV_ABOVE},
    {"higher than", CPV_ABOVE},
    {"below", CPV_BELOW},
    {"under", CPV_BELOW},
    {"beneath", CPV_BELOW},
    {"inside", CPV_INSIDE},
    {"in", CPV_INSIDE},
    {"within", CPV_INSIDE},
    {"around", CPV_AROUND},
    {"surrounding", CPV_AROUND},
    {"enclosing", CPV_AROUND},
    {"next to", CPV_NEXT_TO},
    {"beside", CPV_NEXT_TO},
    {"close to", CPV_NEXT_TO},
};

static const struct {
    enum cpv_ground ground;
    const char *is, *phrase[2];
} ground_text[] = {
    {CPV_GRAY, "gray", {"on a gray background", "against a gray background"}},
    {CPV_DARK_GRAY,
     "dark gray",
     {"on a dark gray background", "against a dark gray background"}},
    {CPV_LIGHT_GREEN,
     "light green",
     {"on a light green background", "against a light green background"}},
    {CPV_LIGHT_PURPLE,
     "light purple",
     {"on a light purple background", "against a light purple background"}},
    {CPV_SKY, "the sky", {"in the sky", "against the sky"}},
    {CPV_SEA, "the sea", {"in front of the sea", "against the sea"}},
    {CPV_GRASS, "grass", {"on grass", "on the grass"}},
    {CPV_SAND, "sand", {"on sand", "on the sand"}},
    {CPV_NIGHT, "the night sky", {"in the night sky", "against the night sky"}},
    {CPV_BRICK, "a brick wall", {"in front of a brick wall", "on a brick wall"}},
    {CPV_WOOD, "wood", {"on wood", "on a wooden board"}},
};

/* A caption as words; commas and stops are words of their own. "" follows the last. */
struct reader {
    const struct cpv_scene *scene;
    char text[512];
    const char *word[WORDS];
    int at;
    bool known[CPV_OBJECTS];
    struct reading *out;
};

static bool split(struct reader *r, const char *text)
{
    size_t n = 0;
    int words = 0;

    for (const char *p = text; *p;) {
        size_t len = *p == ',' || *p == '.' ? 1 : strcspn(p, " ,.");

        if (len == 0 || words == WORDS - 1 || n + len + 1 > sizeof r->text)
            return false; /* two spaces, or too long */
        memcpy(r->text + n, p, len);
        r->text[n + len] = '\0';
        r->word[words++] = r->text + n;
        n += len + 1;
        p += len;
        if (*p == ' ' && p[1] != '\0')
            p++;
    }
    for (; words < WORDS; words++)
        r->word[words] = "";
    return true;
}

/* Do the next words read like this? Then go past them. */
static bool take(struct reader *r, const char *phrase)
{
    int at = r->at;

    while (*phrase) {
        size_t len = strcspn(phrase, " ");

        if (strlen(r->word[at]) != len || strncmp(r->word[at], phrase, len) != 0)
            return false;
        at++;
        phrase += len + (phrase[len] == ' ');
    }
    r->at = at;
    return true;
}

static int take_one_of(struct reader *r, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (take(r, names[i]))
            return i;
    return -1;
}

static int take_relation(struct reader *r)
{
    for (size_t i = 0; i < CPV_COUNT(relation_text); i++)
        if (take(r, relation_text[i].text))
            return (int)relation_text[i].relation;
    return -1;
}

/* -1: none is mentioned here. */
static int take_ground(struct reader *r, bool phrase)
{
    for (size_t i = 0; i < CPV_COUNT(ground_text); i++)
        if (phrase
                ? take(r, ground_text[i].phrase[0]) || take(r, ground_text[i].phrase[1])
                : take(r, ground_text[i].is))
            return (int)ground_text[i].ground;
    return -1;
}

static bool apart(int far, int near, int radii)
{
    return far > radii && far > near;
}

/* From places and radii alone. */
static bool holds(const struct cpv_object *a, int relation, const struct cpv_object *b)
{
    int dx = b->x - a->x, dy = b->y - a->y, radii = a->radius + b->radius;

    switch (relation) {
    case CPV_LEFT_OF:
        return apart(dx, abs(dy), radii);
    case CPV_RIGHT_OF:
        return apart(-dx, abs(dy), radii);
    case CPV_ABOVE:
        return apart(dy, abs(dx), radii);
    case CPV_BELOW:
        return apart(-dy, abs(dx), radii);
    case CPV_INSIDE:
        return abs(dx) + a->radius < b->radius && abs(dy) + a->radius < b->radius;
    case CPV_AROUND:
        return abs(dx) + b->radius < a->radius && abs(dy) + b->radius < a->radius;
    default:
        return apart(abs(dx), 2 * abs(dy), radii) && abs(dx) < radii * 4 / 3;
    }
}

/* The object that a noun phrase means, or -1 with *wrong set. */
static int take_noun(struct reader *r, bool bare, const char **wrong)
{
    bool the = !bare && take(r, "the"), an = !bare && !the && take(r, "an");
    bool a = bare || the || an || take(r, "a");
    bool vowel = strchr("aeiou", r->word[r->at][0]) != NULL;
    int extent = take_one_of(r, cpv_extent_name, CPV_EXTENTS);
    int texture = take_one_of(r, cpv_texture_name + 1, CPV_TEXTURES - 1) + 1;
    int colour = take_one_of(r, cpv_colour_name, CPV_COLOURS);
    int shape = take_one_of(r, cpv_shape_name, CPV_SHAPES);

    *wrong = NULL;
    for (int i = 0; i < r->scene->objects; i++) {
        const struct cpv_object *o = &r->scene->object[i];

        if ((int)o->shape != shape)
            continue;
        if ((extent >= 0 && (int)o->extent != extent) ||
            (texture > 0 && (int)o->texture != texture) ||
            (colour >= 0 && (int)o->colour != colour))
            *wrong = "an attribute is false";
        else if (!a || (!the && an != vowel && !(bare && !vowel)))
            *wrong = "the article is wrong";
        else if (the != r->known[i])
            *wrong = "introduced twice, or never";
        r->out->objects += !r->known[i];
        r->known[i] = true;
        return i;
    }
    *wrong = shape < 0 ? "not a noun phrase" : "no such object";
    return -1;
}

static const char *read_count(struct reader *r, int number)
{
    int texture = take_one_of(r, cpv_texture_name + 1, CPV_TEXTURES - 1) + 1;
    int colour = take_one_of(r, cpv_colour_name, CPV_COLOURS), n = 0;

    if (number < 2 || (!take(r, "shapes") && !take(r, "objects")))
        return "number and noun disagree";
    for (int i = 0; i < r->scene->objects; i++)
        n += (texture == 0 || (int)r->scene->object[i].texture == texture) &&
             (colour < 0 || (int)r->scene->object[i].colour == colour);
    return n == number ? NULL : "the count is false";
}

static const char *relate(struct reader *r, int subject)
{
    const char *wrong;
    int relation, object;

    relation = take_relation(r);
    if (relation < 0)
        return "not a relation";
    object = take_noun(r, false, &wrong);
    if (wrong)
        return wrong;
    r->out->relations++;
    return holds(&r->scene->object[subject], relation, &r->scene->object[object])
               ? NULL
               : "a relation is false";
}

static bool starts_relation(struct reader *r)
{
    int at = r->at;
    bool yes = take_relation(r) >= 0;

    r->at = at;
    return yes;
}

static bool ends(const struct reader *r)
{
    return r->word[r->at][0] == '\0' || r->word[r->at][0] == '.';
}

/* Noun phrases and relations up to the stop; `verb`: it must be a sentence. */
static const char *read_things(struct reader *r, bool bare, bool verb)
{
    const char *wrong;
    int subject = take_noun(r, bare, &wrong), ground;

    if (wrong)
        return wrong;
    if (take(r, "is") ? false : verb)
        return "no verb";
    while (!ends(r)) {
        bool comma;

        ground = take_ground(r, true);
        if (ground >= 0) {
            r->out->ground = true;
            if (ground != (int)r->scene->ground)
                return "the background is false";
            return ends(r) ? NULL : "words after the background";
        }
        comma = take(r, ",");
        if (!comma && !take(r, "and")) {
            wrong = relate(r, subject);
        } else if (!comma && starts_relation(r)) {
            wrong = relate(r, subject);
        } else {
            subject = take_noun(r, false, &wrong);
        }
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *read_first(struct reader *r)
{
    static const char *const number[] = {"no", "one", "two", "three", "four"};
    int count, ground;
    const char *wrong;

    r->out->opening = take_one_of(r, reading_opening, READING_OPENINGS - 1);
    count = take_one_of(r, number, 5);
    if (r->out->opening == (count >= 0 ? THERE_IS : THERE_ARE))
        return "verb and number disagree";
    if (count < 0)
        return read_things(r, r->out->opening == PORTRAIT, false);
    wrong = r->out->opening == PORTRAIT ? "a portrait of several" : read_count(r, count);
    ground = take_ground(r, true);
    r->out->ground = ground >= 0;
    if (!wrong && ground >= 0 && ground != (int)r->scene->ground)
        return "the background is false";
    return wrong;
}

const char *reading_of(const struct cpv_scene *scene, const char *text,
                       struct reading *out)
{
    struct reader r = {.scene = scene, .out = out};
    const char *wrong;
    int sentences = 1;

    memset(out, 0, sizeof *out);
    if (!split(&r, text))
        return "not words parted by single spaces";
    wrong = read_first(&r);
    while (!wrong && take(&r, ".") && r.word[r.at][0] != '\0') {
        sentences++;
        if (!take(&r, reading_opening[BACKGROUND])) {
            wrong = read_things(&r, false, true);
        } else {
            out->ground = true;
            if (take_ground(&r, false) != (int)scene->ground)
                wrong = "the background is false";
        }
    }
    if (!wrong && r.word[r.at][0] != '\0')
        return "words too many";
    if (!wrong && sentences > 1 && text[strlen(text) - 1] != '.')
        return "the last stop is missing";
    return wrong;
}
