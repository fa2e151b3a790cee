/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan in Hindi. All of the language is in this file; the rules are in demo/GRAMMAR.md:
 * postpositions and the oblique case before them, adjectives in -ā that agree, verbs at
 * the end, and an opening that often follows what it opens. Letters with a dot below
 * are spelled as letter and dot, which is what Unicode's normal forms make of them.
 */
#include "common/base/size.h"
#include "demo/scenes/plan.h"
#include "demo/scenes/words.h"

enum form { DIRECT, OBLIQUE };

static const struct {
    const char *form[2];
    bool feminine;
} noun[CPV_SHAPES] = {
    [CPV_CIRCLE] = {{"गोला", "गोले"}, false},
    [CPV_SQUARE] = {{"वर्ग", "वर्ग"}, false},
    [CPV_TRIANGLE] = {{"त्रिभुज", "त्रिभुज"}, false},
    [CPV_STAR] = {{"तारा", "तारे"}, false},
    [CPV_CROSS] = {{"क्रॉस", "क्रॉस"}, false},
    [CPV_DIAMOND] = {{"हीरा", "हीरे"}, false},
    [CPV_RING] = {{"अँगूठी", "अँगूठी"}, true},
    [CPV_MOON] = {{"चाँद", "चाँद"}, false},
    [CPV_HEART] = {{"दिल", "दिल"}, false},
    [CPV_ARROW] = {{"तीर", "तीर"}, false},
    [CPV_HOUSE] = {{"घर", "घर"}, false},
    [CPV_FISH] = {{"मछली", "मछली"}, true},
};

static const char *const things[2][2] = {{"आकृतियाँ", "आकृतियों"}, {"वस्तुएँ", "वस्तुओं"}};

/* masculine; masculine oblique; feminine */
enum agreement { MASCULINE, MASCULINE_OBLIQUE, FEMININE };

static const char *const colour[CPV_COLOURS][3] = {
    [CPV_RED] = {"लाल", "लाल", "लाल"},
    [CPV_ORANGE] = {"नारंगी", "नारंगी", "नारंगी"},
    [CPV_YELLOW] = {"पीला", "पीले", "पीली"},
    [CPV_GREEN] = {"हरा", "हरे", "हरी"},
    [CPV_BLUE] = {"नीला", "नीले", "नीली"},
    [CPV_PURPLE] = {"बैंगनी", "बैंगनी", "बैंगनी"},
    [CPV_PINK] = {"गुलाबी", "गुलाबी", "गुलाबी"},
    [CPV_BROWN] = {"भूरा", "भूरे", "भूरी"},
    [CPV_TURQUOISE] = {"फ़िरोज़ी", "फ़िरोज़ी", "फ़िरोज़ी"},
    [CPV_BLACK] = {"काला", "काले", "काली"},
    [CPV_WHITE] = {"सफ़ेद", "सफ़ेद", "सफ़ेद"},
};

static const char *const extent[CPV_EXTENTS][3] = {
    [CPV_SMALL] = {"छोटा", "छोटे", "छोटी"},
    [CPV_MEDIUM] = {"मध्यम", "मध्यम", "मध्यम"},
    [CPV_LARGE] = {"बड़ा", "बड़े", "बड़ी"},
};

static const char *const texture[CPV_TEXTURES] = {
    [CPV_PLAIN] = "",
    [CPV_STRIPED] = "धारीदार",
    [CPV_DOTTED] = "बिंदीदार",
    [CPV_CHECKED] = "चारख़ानेदार",
};

static const char *const relation[CPV_RELATIONS][3] = {
    [CPV_LEFT_OF] = {"के बाईं ओर", "के बाएँ", "की बाईं तरफ़"},
    [CPV_RIGHT_OF] = {"के दाईं ओर", "के दाएँ", "की दाईं तरफ़"},
    [CPV_ABOVE] = {"के ऊपर", "के ऊपर", "से ऊपर"},
    [CPV_BELOW] = {"के नीचे", "के नीचे", "के तले"},
    [CPV_INSIDE] = {"के अंदर", "में", "के भीतर"},
    [CPV_AROUND] = {"के चारों ओर", "को घेरे हुए", "के इर्द-गिर्द"},
    [CPV_NEXT_TO] = {"के बगल में", "के किनारे", "के पास"},
};

static const struct {
    const char *phrase[2]; /* where it all is */
    const char *is;        /* पृष्ठभूमि ... है */
} ground[CPV_GROUNDS] = {
    [CPV_GRAY] = {{"स्लेटी पृष्ठभूमि पर", "स्लेटी पृष्ठभूमि के सामने"}, "स्लेटी"},
    [CPV_DARK_GRAY] = {{"गहरी स्लेटी पृष्ठभूमि पर", "गहरी स्लेटी पृष्ठभूमि के सामने"}, "गहरी स्लेटी"},
    [CPV_LIGHT_GREEN] = {{"हल्की हरी पृष्ठभूमि पर", "हल्की हरी पृष्ठभूमि के सामने"}, "हल्की हरी"},
    [CPV_LIGHT_PURPLE] = {{"हल्की बैंगनी पृष्ठभूमि पर", "हल्की बैंगनी पृष्ठभूमि के सामने"},
                          "हल्की बैंगनी"},
    [CPV_SKY] = {{"आसमान में", "आसमान के सामने"}, "आसमान"},
    [CPV_SEA] = {{"समुद्र के सामने", "समुद्र की पृष्ठभूमि में"}, "समुद्र"},
    [CPV_GRASS] = {{"घास पर", "घास पर"}, "घास"},
    [CPV_SAND] = {{"रेत पर", "रेत पर"}, "रेत"},
    [CPV_NIGHT] = {{"रात के आसमान में", "रात के आसमान के सामने"}, "रात का आसमान"},
    [CPV_BRICK] = {{"ईंट की दीवार के सामने", "ईंट की दीवार पर"}, "ईंट की दीवार"},
    [CPV_WOOD] = {{"लकड़ी पर", "लकड़ी के तख़्ते पर"}, "लकड़ी"},
};

/* What goes before, the case it wants, what goes behind; then a verb that agrees. */
enum verb { NO_VERB, IS, IS_SEEN };

static const struct {
    const char *before;
    enum form form;
    const char *behind;
    enum verb verb;
} opening[CPV_OPENINGS] = {
    [CPV_OPEN_NONE] = {"", DIRECT, "", NO_VERB},
    [CPV_OPEN_THERE_IS] = {"", DIRECT, "", IS},
    [CPV_OPEN_WE_SEE] = {"हमें", DIRECT, "", IS_SEEN},
    [CPV_OPEN_FEATURES] = {"अग्रभूमि", DIRECT, "दिखाती है", NO_VERB},
    [CPV_OPEN_PHOTO] = {"", OBLIQUE, "की एक फ़ोटो", NO_VERB},
    [CPV_OPEN_PICTURE] = {"", OBLIQUE, "का एक चित्र", NO_VERB},
    [CPV_OPEN_SCENE] = {"यह", OBLIQUE, "को दर्शाता एक दृश्य है", NO_VERB},
    [CPV_OPEN_IMAGE] = {"", OBLIQUE, "की एक छवि", NO_VERB},
    [CPV_OPEN_PORTRAIT] = {"", OBLIQUE, "का पोर्ट्रेट", NO_VERB},
    [CPV_OPEN_MOMENT] = {"यह छवि", OBLIQUE, "का एक पल दर्शाती है", NO_VERB},
    [CPV_OPEN_PAINTING] = {"", OBLIQUE, "की एक पेंटिंग", NO_VERB},
    [CPV_OPEN_ART] = {"", OBLIQUE, "की एक कला", NO_VERB},
    [CPV_OPEN_SHOWS] = {"चित्र", DIRECT, "दिखाता है", NO_VERB},
};

static const char *const verb_text[][4] = {
    /* masculine, feminine; the same in the plural */
    [NO_VERB] = {"", "", "", ""},
    [IS] = {"है", "है", "हैं", "हैं"},
    [IS_SEEN] = {"दिखाई देता है", "दिखाई देती है", "दिखाई देते हैं", "दिखाई देती हैं"},
};

static bool feminine(const struct cpv_scene *s, const struct cpv_mention *m)
{
    return noun[s->object[m->object].shape].feminine;
}

/* "एक छोटा धारीदार लाल तारा"; known: "वह तारा", oblique "उस तारे" */
static void noun_phrase(const struct cpv_scene *s, const struct cpv_mention *m,
                        enum form form, struct cpv_buf *out)
{
    const struct cpv_object *o = &s->object[m->object];
    enum agreement a = feminine(s, m)    ? FEMININE
                       : form == OBLIQUE ? MASCULINE_OBLIQUE
                                         : MASCULINE;

    if (m->say & CPV_SAY_KNOWN)
        cpv_words_add(out, form == OBLIQUE ? "उस" : "वह");
    else
        cpv_words_add(out, "एक");
    if (m->say & CPV_SAY_EXTENT)
        cpv_words_add(out, extent[o->extent][a]);
    if (m->say & CPV_SAY_TEXTURE)
        cpv_words_add(out, texture[o->texture]);
    if (m->say & CPV_SAY_COLOUR)
        cpv_words_add(out, colour[o->colour][a]);
    cpv_words_add(out, noun[o->shape].form[form]);
}

static void count_phrase(const struct cpv_clause *c, enum form form, struct cpv_buf *out)
{
    static const char *const number[] = {"", "", "दो", "तीन", "चार"};

    cpv_words_add(out, number[c->count]);
    if (c->texture >= 0)
        cpv_words_add(out, texture[c->texture]);
    if (c->colour >= 0)
        cpv_words_add(out, colour[c->colour][FEMININE]);
    cpv_words_add(out, things[c->wording % 2][form]);
}

/* "एक नीले गोले के ऊपर": where something stands */
static void place(const struct cpv_scene *s, const struct cpv_clause *c, int which, int b,
                  struct cpv_buf *out)
{
    noun_phrase(s, &c->mention[b], OBLIQUE, out);
    cpv_words_add(out, relation[c->relation[which]][c->wording % 3]);
}

/* As a phrase: the places, then what stands there. */
static void related(const struct cpv_scene *s, const struct cpv_clause *c, enum form form,
                    struct cpv_buf *out)
{
    place(s, c, 0, 1, out);
    if (c->kind == CPV_SAY_TWO) {
        cpv_words_add(out, "और");
        place(s, c, 1, 2, out);
    }
    noun_phrase(s, &c->mention[0], form, out);
    if (c->kind == CPV_SAY_PAIRS) {
        cpv_words_add(out, "और");
        place(s, c, 1, 3, out);
        noun_phrase(s, &c->mention[2], form, out);
    }
}

/* As a sentence: what stands, then its places. */
static void related_sentence(const struct cpv_scene *s, const struct cpv_clause *c,
                             struct cpv_buf *out)
{
    noun_phrase(s, &c->mention[0], DIRECT, out);
    place(s, c, 0, 1, out);
    if (c->kind == CPV_SAY_TWO) {
        cpv_words_add(out, "और");
        place(s, c, 1, 2, out);
    }
    cpv_words_add(out, "है");
    if (c->kind == CPV_SAY_PAIRS) {
        cpv_words_add(out, "और");
        noun_phrase(s, &c->mention[2], DIRECT, out);
        place(s, c, 1, 3, out);
        cpv_words_add(out, "है");
    }
}

static void say_clause(const struct cpv_scene *s, const struct cpv_clause *c,
                       bool sentence, enum form form, struct cpv_buf *out)
{
    switch (c->kind) {
    case CPV_SAY_LIST:
        for (int i = 0; i < c->mentions; i++) {
            if (i > 0 && i == c->mentions - 1)
                cpv_words_add(out, "और");
            else if (i > 0)
                cpv_buf_byte(out, ',');
            noun_phrase(s, &c->mention[i], form, out);
        }
        break;
    case CPV_SAY_RELATION:
    case CPV_SAY_TWO:
    case CPV_SAY_PAIRS:
        if (sentence)
            related_sentence(s, c, out);
        else
            related(s, c, form, out);
        break;
    case CPV_SAY_COUNT:
        count_phrase(c, form, out);
        break;
    case CPV_SAY_GROUND:
        cpv_words_add(out, "पृष्ठभूमि");
        cpv_words_add(out, ground[s->ground].is);
        cpv_words_add(out, "है");
        break;
    }
}

/* Index of a verb's form: several are feminine only if each of them is. */
static int agreement_of(const struct cpv_scene *s, const struct cpv_clause *c)
{
    bool f = true, many = c->kind == CPV_SAY_PAIRS;

    if (c->kind == CPV_SAY_COUNT)
        return 3;
    if (c->kind == CPV_SAY_PAIRS)
        return 2 + (feminine(s, &c->mention[0]) && feminine(s, &c->mention[2]));
    if (c->kind != CPV_SAY_LIST)
        return feminine(s, &c->mention[0]);
    many = c->mentions > 1;
    for (int i = 0; i < c->mentions; i++)
        f = f && feminine(s, &c->mention[i]);
    return 2 * many + f;
}

void cpv_hindi_say(const struct cpv_scene *s, const struct caption_plan *plan,
                   struct cpv_buf *out)
{
    struct cpv_buf text = {0};
    const struct cpv_clause *first = &plan->clause[0];
    enum cpv_opening open = plan->opening;

    cpv_words_add(&text, opening[open].before);
    if (plan->ground_phrase)
        cpv_words_add(&text, ground[s->ground].phrase[plan->wording % 2]);
    say_clause(s, first, plan->sentence, opening[open].form, &text);
    cpv_words_add(&text, opening[open].behind);
    cpv_words_add(&text, verb_text[opening[open].verb][agreement_of(s, first)]);
    for (int i = 1; i < plan->clauses; i++) {
        cpv_buf_str(&text, "।");
        say_clause(s, &plan->clause[i], true, DIRECT, &text);
    }
    if (plan->clauses > 1 || plan->sentence)
        cpv_buf_str(&text, "।");
    cpv_words_move(&text, out);
}
