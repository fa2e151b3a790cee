/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan in isiXhosa. All of the language is in this file; the rules are in
 * demo/GRAMMAR.md: every noun has a class, what is said of it begins with that class's
 * concord, and a preposition melts into the vowel that its noun begins with.
 */
#include "common/base/size.h"
#include "demo/scenes/plan.h"
#include "demo/scenes/words.h"

enum noun_class { CLASS_1A, CLASS_3, CLASS_7, CLASS_9, CLASS_10, CLASS_11, CLASSES };

static const struct {
    const char *subject, *relative, *this; /* this: demonstrative, near the speaker */
    const char *small, *large;             /* true adjectives, with their concord */
} concord[CLASSES] = {
    [CLASS_1A] = {"u", "o", "lo", "omncinci", "omkhulu"},
    [CLASS_3] = {"u", "o", "lo", "omncinci", "omkhulu"},
    [CLASS_7] = {"si", "esi", "esi", "esincinci", "esikhulu"},
    [CLASS_9] = {"i", "e", "le", "encinci", "enkulu"},
    [CLASS_10] = {"zi", "ezi", "ezi", "ezincinci", "ezinkulu"},
    [CLASS_11] = {"lu", "olu", "olu", "oluncinci", "olukhulu"},
};

struct noun {
    const char *vowel; /* it begins with */
    const char *fused; /* what an a before it and this vowel become */
    const char *rest;
    enum noun_class class;
};

static const struct noun noun[CPV_SHAPES] = {
    [CPV_CIRCLE] = {"i", "e", "sangqa", CLASS_7},
    [CPV_SQUARE] = {"i", "e", "sikwere", CLASS_7},
    [CPV_TRIANGLE] = {"u", "o", "nxantathu", CLASS_1A},
    [CPV_STAR] = {"i", "e", "nkwenkwezi", CLASS_9},
    [CPV_CROSS] = {"u", "o", "mnqamlezo", CLASS_3},
    [CPV_DIAMOND] = {"i", "e", "dayimani", CLASS_9},
    [CPV_RING] = {"u", "o", "msesane", CLASS_3},
    [CPV_MOON] = {"i", "e", "nyanga", CLASS_9},
    [CPV_HEART] = {"i", "e", "ntliziyo", CLASS_9},
    [CPV_ARROW] = {"u", "o", "tolo", CLASS_11},
    [CPV_HOUSE] = {"i", "e", "ndlu", CLASS_9},
    [CPV_FISH] = {"i", "e", "ntlanzi", CLASS_9},
};

static const struct noun things[2] = {{"ii", "ee", "milo", CLASS_10},
                                      {"i", "e", "zinto", CLASS_10}};

/* Relative stems; a hyphen keeps two vowels apart. */
static const char *const colour[CPV_COLOURS] = {
    [CPV_RED] = "bomvu",
    [CPV_ORANGE] = "-orenji",
    [CPV_YELLOW] = "mthubi",
    [CPV_GREEN] = "luhlaza okwengca",
    [CPV_BLUE] = "luhlaza okwesibhakabhaka",
    [CPV_PURPLE] = "mfusa",
    [CPV_PINK] = "pinki",
    [CPV_BROWN] = "ntsundu",
    [CPV_TURQUOISE] = "tekhwayizi",
    [CPV_BLACK] = "mnyama",
    [CPV_WHITE] = "mhlophe",
};

static const char *const texture[CPV_TEXTURES] = {
    [CPV_PLAIN] = "",
    [CPV_STRIPED] = "nemigca",
    [CPV_DOTTED] = "namachokoza",
    [CPV_CHECKED] = "neebhloko",
};

/* What goes before a noun: its consonants, with an a that melts into the vowel. */
enum link { NOTHING, KWA, LA, WA, YA, BA, NA, LINKS };

static const char *const link_text[LINKS] = {"", "kw", "l", "w", "y", "b", "n"};

static const struct {
    const char *text;
    enum link then;
} opening[CPV_OPENINGS] = {
    [CPV_OPEN_NONE] = {"", NOTHING},
    [CPV_OPEN_THERE_IS] = {"kukho", NOTHING},
    [CPV_OPEN_WE_SEE] = {"sibona", NOTHING},
    [CPV_OPEN_FEATURES] = {"umphambili ubonisa", NOTHING},
    [CPV_OPEN_PHOTO] = {"ifoto", YA},
    [CPV_OPEN_PICTURE] = {"umfanekiso", WA},
    [CPV_OPEN_SCENE] = {"lo ngumboniso obonisa", NOTHING},
    [CPV_OPEN_IMAGE] = {"imeyiji", YA},
    [CPV_OPEN_PORTRAIT] = {"ipotreyithi", YA},
    [CPV_OPEN_MOMENT] = {"lo mfanekiso ubamba umzuzu", WA},
    [CPV_OPEN_PAINTING] = {"umzobo", WA},
    [CPV_OPEN_ART] = {"ubugcisa", BA},
    [CPV_OPEN_SHOWS] = {"umfanekiso ubonisa", NOTHING},
};

/* Behind the concord of what stands there; the last two of "around" are verbs. */
static const struct {
    const char *text;
    enum link then;
} relation[CPV_RELATIONS][3] = {
    [CPV_LEFT_OF] = {{"ngasekhohlo", KWA}, {"ekhohlo", KWA}, {"kwicala lasekhohlo", LA}},
    [CPV_RIGHT_OF] = {{"ngasekunene", KWA}, {"ekunene", KWA}, {"kwicala lasekunene", LA}},
    [CPV_ABOVE] = {{"phezu", KWA}, {"ngaphezu", KWA}, {"ngentla", KWA}},
    [CPV_BELOW] = {{"ngaphantsi", KWA}, {"phantsi", KWA}, {"ngezantsi", KWA}},
    [CPV_INSIDE] = {{"ngaphakathi", KWA}, {"phakathi", KWA}, {"embindini", WA}},
    [CPV_AROUND] = {{"ngeenxa zonke", KWA}, {"rhangqe", NOTHING}, {"biyele", NOTHING}},
    [CPV_NEXT_TO] = {{"ecaleni", KWA}, {"ngasecaleni", KWA}, {"kufuphi", NA}},
};

static const struct {
    const char *phrase[2]; /* where it all is */
    const char *is;        /* umva ... */
} ground[CPV_GROUNDS] = {
    [CPV_GRAY] = {{"kumva ongwevu", "malunga nomva ongwevu"}, "ungwevu"},
    [CPV_DARK_GRAY] = {{"kumva ongwevu omnyama", "malunga nomva ongwevu omnyama"},
                       "ungwevu omnyama"},
    [CPV_LIGHT_GREEN] = {{"kumva oluhlaza okwengca okhanyayo",
                          "malunga nomva oluhlaza okwengca okhanyayo"},
                         "uluhlaza okwengca okhanyayo"},
    [CPV_LIGHT_PURPLE] = {{"kumva omfusa okhanyayo", "malunga nomva omfusa okhanyayo"},
                          "umfusa okhanyayo"},
    [CPV_SKY] = {{"esibhakabhakeni", "malunga nesibhakabhaka"}, "sisibhakabhaka"},
    [CPV_SEA] = {{"phambi kolwandle", "malunga nolwandle"}, "lulwandle"},
    [CPV_GRASS] = {{"phezu kwengca", "engceni"}, "yingca"},
    [CPV_SAND] = {{"phezu kwentlabathi", "entlabathini"}, "yintlabathi"},
    [CPV_NIGHT] = {{"esibhakabhakeni sasebusuku", "malunga nesibhakabhaka sasebusuku"},
                   "sisibhakabhaka sasebusuku"},
    [CPV_BRICK] = {{"phambi kodonga lwezitena", "eludongeni lwezitena"},
                   "ludonga lwezitena"},
    [CPV_WOOD] = {{"phezu komthi", "eplangeni lomthi"}, "ngumthi"},
};

static void with_concord(const char *prefix, const char *stem, struct cpv_buf *out)
{
    cpv_words_add(out, prefix);
    cpv_buf_str(out, stem);
}

/* "kwesangqa", "komnqamlezo"; known: "kwesi sangqa", "kwalo mnqamlezo". */
static void linked(const struct noun *n, enum link before, bool known,
                   struct cpv_buf *out)
{
    const char *head = known ? concord[n->class].this : n->vowel;
    bool vowel = known ? head[0] != 'l' : true;
    const char *link = link_text[before];

    if (before != NOTHING && !known)
        head = n->fused;
    if (before == KWA && vowel && head[0] == 'o')
        link = "k"; /* kwo is said and written ko */
    if (before == NOTHING) {
        cpv_words_add(out, head);
    } else {
        cpv_words_add(out, link);
        if (!vowel)
            cpv_buf_byte(out, 'a');
        cpv_buf_str(out, head);
    }
    if (known)
        cpv_buf_byte(out, ' ');
    cpv_buf_str(out, n->rest);
}

/* "inkwenkwezi encinci ebomvu enemigca", with what goes before it. */
static void noun_phrase(const struct cpv_scene *s, const struct cpv_mention *m,
                        enum link before, struct cpv_buf *out)
{
    const struct cpv_object *o = &s->object[m->object];
    const struct noun *n = &noun[o->shape];
    const char *relative = concord[n->class].relative;

    linked(n, before, (m->say & CPV_SAY_KNOWN) != 0, out);
    if (m->say & CPV_SAY_EXTENT) {
        if (o->extent == CPV_MEDIUM)
            with_concord(relative, "phakathi", out);
        else
            cpv_words_add(out, o->extent == CPV_SMALL ? concord[n->class].small
                                                      : concord[n->class].large);
    }
    if (m->say & CPV_SAY_COLOUR)
        with_concord(relative, colour[o->colour], out);
    if (m->say & CPV_SAY_TEXTURE)
        with_concord(relative, texture[o->texture], out);
}

static void count_phrase(const struct cpv_clause *c, enum link before,
                         struct cpv_buf *out)
{
    static const char *const number[] = {"", "", "ezimbini", "ezintathu", "ezine"};
    const char *relative = concord[CLASS_10].relative;

    linked(&things[c->wording % 2], before, false, out);
    cpv_words_add(out, number[c->count]);
    if (c->colour >= 0)
        with_concord(relative, colour[c->colour], out);
    if (c->texture >= 0)
        with_concord(relative, texture[c->texture], out);
}

/* "uphezu kwesangqa", "ophezu kwesangqa": an s keeps concord and a vowel apart. */
static void stands(const struct cpv_scene *s, const struct cpv_clause *c, int a,
                   int which, int b, bool sentence, struct cpv_buf *out)
{
    enum noun_class class = noun[s->object[c->mention[a].object].shape].class;
    enum cpv_relation r = c->relation[which];
    int w = c->wording % 3;

    cpv_words_add(out, sentence ? concord[class].subject : concord[class].relative);
    if (relation[r][w].text[0] == 'e')
        cpv_buf_byte(out, 's');
    cpv_buf_str(out, relation[r][w].text);
    noun_phrase(s, &c->mention[b], relation[r][w].then, out);
}

static void say_related(const struct cpv_scene *s, const struct cpv_clause *c,
                        bool sentence, enum link before, struct cpv_buf *out)
{
    noun_phrase(s, &c->mention[0], before, out);
    stands(s, c, 0, 0, 1, sentence, out);
    if (c->kind == CPV_SAY_RELATION)
        return;
    cpv_words_add(out, "kwaye");
    if (c->kind == CPV_SAY_TWO) {
        stands(s, c, 0, 1, 2, sentence, out);
    } else {
        noun_phrase(s, &c->mention[2], NOTHING, out);
        stands(s, c, 2, 1, 3, sentence, out);
    }
}

static void say_clause(const struct cpv_scene *s, const struct cpv_clause *c,
                       bool sentence, enum link before, struct cpv_buf *out)
{
    switch (c->kind) {
    case CPV_SAY_LIST:
        for (int i = 0; i < c->mentions; i++) {
            bool last = i > 0 && i == c->mentions - 1;

            if (i > 0 && !last)
                cpv_buf_byte(out, ',');
            noun_phrase(s, &c->mention[i], i == 0 ? before : last ? NA : NOTHING, out);
        }
        break;
    case CPV_SAY_RELATION:
    case CPV_SAY_TWO:
    case CPV_SAY_PAIRS:
        say_related(s, c, sentence, before, out);
        break;
    case CPV_SAY_COUNT:
        count_phrase(c, before, out);
        break;
    case CPV_SAY_GROUND:
        cpv_words_add(out, "umva");
        cpv_words_add(out, ground[s->ground].is);
        break;
    }
}

void cpv_xhosa_say(const struct cpv_scene *s, const struct caption_plan *plan,
                   struct cpv_buf *out)
{
    struct cpv_buf text = {0};

    cpv_words_add(&text, opening[plan->opening].text);
    say_clause(s, &plan->clause[0], plan->sentence, opening[plan->opening].then, &text);
    if (plan->ground_phrase)
        cpv_words_add(&text, ground[s->ground].phrase[plan->wording % 2]);
    for (int i = 1; i < plan->clauses; i++) {
        cpv_buf_byte(&text, '.');
        say_clause(s, &plan->clause[i], true, NOTHING, &text);
    }
    if (plan->clauses > 1 || plan->sentence)
        cpv_buf_byte(&text, '.');
    cpv_words_move(&text, out);
}
