/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The captions in other languages: none is missed, each is a function of the English
 * words, and what must agree agrees. Genders and classes are listed here a second time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/sys.h"
#include "common/base/size.h"
#include "demo/scenes/plan.h"
#include "tests/unit/demo/reading.h"

enum { SEED = 23, SCENES = 1500, EN = 0, PT = 1, XH = 2, HI = 3 };

static const char *say(int language, const struct cpv_scene *s,
                       const struct caption_plan *plan, struct cpv_buf *out)
{
    const char *text;

    cpv_buf_clear(out);
    cpv_language[language].say(s, plan, out);
    text = cpv_buf_cstr(out);
    assert_non_null(text);
    return text;
}

static int count_of(const char *text, const char *what)
{
    int n = 0;

    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

/* Words of `text`, without commas and stops: is one of them `word`? */
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p++)
        if ((p == text || p[-1] == ' ') &&
            (p[len] == '\0' || p[len] == ' ' || p[len] == ',' || p[len] == '.' ||
             strncmp(p + len, "।", 3) == 0))
            return true;
    return false;
}

static bool has_ascii_letter(const char *text)
{
    for (; *text; text++)
        if ((*text | 32) >= 'a' && (*text | 32) <= 'z')
            return true;
    return false;
}

/* What any sentence must be, whatever it says. */
static void check_text(int language, const char *text, const char *english)
{
    const char *stop = language == HI ? "।" : ".";
    size_t len = strlen(text);

    if (len == 0 || text[0] == ' ' || text[len - 1] == ' ' || strstr(text, "  ") ||
        strstr(text, " .") || strstr(text, " ,") || strstr(text, "(null)"))
        fail_msg("%s: '%s' for '%s'", cpv_language[language].code, text, english);
    if (count_of(text, stop) != count_of(english, "."))
        fail_msg("%s: another number of stops: '%s' for '%s'",
                 cpv_language[language].code, text, english);
    if (language == HI && has_ascii_letter(text))
        fail_msg("not all in Devanagari: '%s'", text);
    if (language != HI && strstr(text, "\xe0\xa4"))
        fail_msg("Devanagari in '%s'", text);
    /* U+0958 to U+095F are in no normal form of Unicode */
    for (const char *p = text; (p = strstr(p, "\xe0\xa5")); p++)
        assert_false((unsigned char)p[2] >= 0x98 && (unsigned char)p[2] <= 0x9f);
}

struct pair {
    char *english, *other;
};

struct pairs {
    struct pair *pair;
    size_t n, room;
};

static char *copy_of(const char *text)
{
    char *copy = cpv_alloc(strlen(text) + 1);

    assert_non_null(copy);
    memcpy(copy, text, strlen(text) + 1);
    return copy;
}

/* All languages in one string: the function of English to be checked. */
static void check_plan(const struct cpv_scene *s, const struct caption_plan *plan,
                       struct pairs *pairs)
{
    struct cpv_buf en = {0}, other = {0}, all = {0};
    const char *english = say(EN, s, plan, &en), *wrong;
    struct reading reading;

    wrong = reading_of(s, english, &reading);
    if (wrong)
        fail_msg("%s: '%s'", wrong, english);
    for (int i = PT; i < CPV_LANGUAGES; i++) {
        const char *text = say(i, s, plan, &other);

        check_text(i, text, english);
        cpv_buf_printf(&all, "%s\n", text);
    }
    assert_true(pairs->n < pairs->room);
    pairs->pair[pairs->n].english = copy_of(english);
    pairs->pair[pairs->n++].other = copy_of(cpv_buf_cstr(&all));
    cpv_buf_release(&en);
    cpv_buf_release(&other);
    cpv_buf_release(&all);
}

static int by_english(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->english, ((const struct pair *)b)->english);
}

/* Captions of many scenes of both splits, as they are and behind each prompt. */
static void every_caption_is_translated_by_its_words(void **state)
{
    struct pairs pairs = {.room = (size_t)SCENES * CPV_CAPTIONS * (CPV_PROMPTS + 1)};
    int prompted[CPV_OPENINGS] = {0};
    size_t same = 0;

    (void)state;
    pairs.pair = cpv_alloc(pairs.room * sizeof *pairs.pair);
    assert_non_null(pairs.pair);
    for (uint64_t n = 0; n < SCENES; n++) {
        struct cpv_captions captions;
        struct cpv_scene scene;
        struct cpv_err err;

        cpv_scene_make(&scene, SEED, n / 2, n % 2, &cpv_look_default);
        assert_int_equal(
            cpv_captions_make(&captions, &scene, SEED, CPV_ORDER_RANDOM, &err), CPV_OK);
        for (int i = 0; i < captions.n; i++) {
            check_plan(&scene, &captions.plan[i], &pairs);
            for (int k = CPV_OPEN_FEATURES; k < CPV_OPENINGS; k++) {
                struct caption_plan plan;
                bool can = cpv_plan_behind(&captions.plan[i], (enum cpv_opening)k, &plan);

                assert_true(can || (k == CPV_OPEN_PORTRAIT &&
                                    captions.plan[i].clause[0].kind == CPV_SAY_COUNT));
                prompted[k] += can;
                assert_false(can && plan.sentence);
                if (can)
                    check_plan(&scene, &plan, &pairs);
            }
        }
    }
    for (int k = CPV_OPEN_FEATURES; k < CPV_OPENINGS; k++)
        assert_true(prompted[k] > 2 * SCENES);
    qsort(pairs.pair, pairs.n, sizeof *pairs.pair, by_english);
    for (size_t i = 1; i < pairs.n; i++)
        if (strcmp(pairs.pair[i - 1].english, pairs.pair[i].english) == 0) {
            same++;
            assert_string_equal(pairs.pair[i - 1].other, pairs.pair[i].other);
        }
    assert_true(same > 500);
    for (size_t i = 0; i < pairs.n; i++) {
        cpv_free(pairs.pair[i].english);
        cpv_free(pairs.pair[i].other);
    }
    cpv_free(pairs.pair);
}

/* One object of each kind stands to another; the first clause says all of it. */
static struct caption_plan plan_of(enum cpv_relation relation, int wording, int say_a,
                                   int say_b)
{
    struct caption_plan plan = {.clauses = 1};
    struct cpv_clause *c = &plan.clause[0];

    c->kind = CPV_SAY_RELATION;
    c->mentions = 2;
    c->mention[0] = (struct cpv_mention){0, (uint8_t)say_a};
    c->mention[1] = (struct cpv_mention){1, (uint8_t)say_b};
    c->relation[0] = relation;
    c->colour = c->texture = -1;
    c->wording = (uint8_t)wording;
    return plan;
}

static void every_word_has_its_words(void **state)
{
    enum { ALL = CPV_SAY_EXTENT | CPV_SAY_COLOUR | CPV_SAY_TEXTURE };
    struct cpv_buf en = {0}, out = {0};

    (void)state;
    for (int i = 0; i < CPV_SHAPES * CPV_COLOURS * CPV_EXTENTS * CPV_TEXTURES; i++)
        for (int k = 0; k < CPV_RELATIONS * 3 * 2; k++) {
            struct cpv_scene s = {.objects = 2, .ground = (enum cpv_ground)(k % 11)};
            struct caption_plan plan = plan_of((enum cpv_relation)(k / 6), k / 2 % 3, ALL,
                                               k % 2 ? CPV_SAY_KNOWN : CPV_SAY_COLOUR);

            s.object[0].shape = (enum cpv_shape)(i % CPV_SHAPES);
            s.object[1].shape = (enum cpv_shape)((i + k + 1) % CPV_SHAPES);
            s.object[0].colour = (enum cpv_colour)(i / CPV_SHAPES % CPV_COLOURS);
            s.object[1].colour = (enum cpv_colour)((i + k) % CPV_COLOURS);
            s.object[0].extent = (enum cpv_extent)(i / CPV_SHAPES / CPV_COLOURS % 3);
            s.object[0].texture = (enum cpv_texture)(i / CPV_SHAPES / CPV_COLOURS / 3);
            if (s.object[0].texture == CPV_PLAIN)
                plan.clause[0].mention[0].say &= (uint8_t)~CPV_SAY_TEXTURE;
            plan.ground_phrase = k % 3 == 0;
            plan.wording = (uint8_t)(i % 12);
            plan.sentence = k % 4 == 0;
            say(EN, &s, &plan, &en);
            for (int l = PT; l < CPV_LANGUAGES; l++)
                check_text(l, say(l, &s, &plan, &out), cpv_buf_cstr(&en));
        }
    cpv_buf_release(&en);
    cpv_buf_release(&out);
}

/* In the order of the shapes. */
static const bool pt_feminine[CPV_SHAPES] = {0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0};
static const bool hi_feminine[CPV_SHAPES] = {0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
static const char *const xh_relative[CPV_SHAPES] = {"esi", "esi", "o", "e",   "o", "e",
                                                    "o",   "e",   "e", "olu", "e", "e"};

static bool has_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (has_word(text, *words))
            return true;
    return false;
}

static void check_portuguese(const char *text, bool feminine)
{
    static const char *const o[] = {"um",    "vermelho",   "amarelo",      "roxo",
                                    "preto", "branco",     "pequeno",      "listrado",
                                    "o",     "pontilhado", "quadriculado", NULL};
    static const char *const a[] = {"uma",   "vermelha",   "amarela",      "roxa",
                                    "preta", "branca",     "pequena",      "listrada",
                                    "a",     "pontilhada", "quadriculada", NULL};

    if (!has_one_of(text, feminine ? a : o) || has_one_of(text, feminine ? o : a))
        fail_msg("gender: '%s'", text);
}

/* Every word behind the noun begins with the concord, but what an "okwe" compares. */
static void check_xhosa(const char *text, const char *relative)
{
    const char *p = strchr(text, ' ');

    for (; p; p = strchr(p + 1, ' '))
        if (strncmp(p + 1, "okwe", 4) != 0 &&
            strncmp(p + 1, relative, strlen(relative)) != 0)
            fail_msg("concord: '%s'", text);
}

static void check_hindi(const char *text, bool feminine, bool oblique)
{
    static const char *const direct[] = {"छोटा", "बड़ा",  "पीला", "हरा",  "नीला", "भूरा",
                                         "काला", "गोला", "तारा", "हीरा", "वह",   NULL};
    static const char *const other[] = {"छोटे", "बड़े",  "पीले", "हरे",  "नीले", "भूरे",
                                        "काले", "गोले", "तारे", "हीरे", "उस",  NULL};
    static const char *const ii[] = {"छोटी", "बड़ी", "पीली", "हरी",
                                     "नीली", "भूरी", "काली", NULL};

    if (has_one_of(text, direct) && (feminine || oblique))
        fail_msg("a direct masculine: '%s'", text);
    if (has_one_of(text, other) && (feminine || !oblique))
        fail_msg("an oblique masculine: '%s'", text);
    if (has_one_of(text, ii) && !feminine)
        fail_msg("a feminine: '%s'", text);
}

/* A noun phrase alone, and as what a photo is of. */
static void adjectives_agree(void **state)
{
    struct cpv_buf out = {0};

    (void)state;
    for (int i = 0; i < CPV_SHAPES * CPV_COLOURS * CPV_EXTENTS * CPV_TEXTURES; i++) {
        struct cpv_scene s = {.objects = 1};
        struct caption_plan plan = plan_of(CPV_ABOVE, 0, CPV_SAY_EXTENT, 0);
        struct cpv_mention *m = &plan.clause[0].mention[0];
        struct cpv_object *o = &s.object[0];

        plan.clause[0].kind = CPV_SAY_LIST;
        plan.clause[0].mentions = 1;
        o->shape = (enum cpv_shape)(i % CPV_SHAPES);
        o->colour = (enum cpv_colour)(i / CPV_SHAPES % CPV_COLOURS);
        o->extent = (enum cpv_extent)(i / CPV_SHAPES / CPV_COLOURS % CPV_EXTENTS);
        o->texture = (enum cpv_texture)(i / CPV_SHAPES / CPV_COLOURS / CPV_EXTENTS);
        m->say |= CPV_SAY_COLOUR | (o->texture != CPV_PLAIN ? CPV_SAY_TEXTURE : 0);
        check_portuguese(say(PT, &s, &plan, &out), pt_feminine[o->shape]);
        check_xhosa(say(XH, &s, &plan, &out), xh_relative[o->shape]);
        check_hindi(say(HI, &s, &plan, &out), hi_feminine[o->shape], false);
        plan.opening = CPV_OPEN_PHOTO;
        check_hindi(say(HI, &s, &plan, &out), hi_feminine[o->shape], true);
    }
    cpv_buf_release(&out);
}

/* A small striped red star, a large yellow circle, a blue arrow, a green ring. */
static struct cpv_scene known_scene(void)
{
    struct cpv_scene s = {.objects = 4, .ground = CPV_LIGHT_GREEN};

    s.object[0] =
        (struct cpv_object){.shape = CPV_STAR, .colour = CPV_RED, .texture = CPV_STRIPED};
    s.object[1] = (struct cpv_object){
        .shape = CPV_CIRCLE, .colour = CPV_YELLOW, .extent = CPV_LARGE};
    s.object[2] =
        (struct cpv_object){.shape = CPV_ARROW, .colour = CPV_BLUE, .extent = CPV_MEDIUM};
    s.object[3] = (struct cpv_object){.shape = CPV_RING, .colour = CPV_GREEN};
    return s;
}

static void expect(const struct cpv_scene *s, const struct caption_plan *plan,
                   const char *const *text)
{
    struct cpv_buf out = {0};

    for (int i = 0; i < CPV_LANGUAGES; i++)
        assert_string_equal(say(i, s, plan, &out), text[i]);
    cpv_buf_release(&out);
}

static void known_relations_are_said_so(void **state)
{
    enum { ALL = CPV_SAY_EXTENT | CPV_SAY_COLOUR | CPV_SAY_TEXTURE };
    static const char *const related[] = {
        "a small striped red star is around a large yellow circle.",
        "uma pequena estrela vermelha listrada está em volta de um grande círculo "
        "amarelo.",
        "inkwenkwezi encinci ebomvu enemigca ingeenxa zonke kwesangqa esikhulu "
        "esimthubi.",
        "एक छोटा धारीदार लाल तारा एक बड़े पीले गोले के चारों ओर है।"};
    static const char *const two[] = {
        "portrait of a small red star close to a yellow circle and on the left of a "
        "medium blue arrow against a light green background",
        "retrato de uma pequena estrela vermelha perto de um círculo amarelo e do lado "
        "esquerdo de uma seta azul de tamanho médio contra um fundo verde-claro",
        "ipotreyithi yenkwenkwezi encinci ebomvu ekufuphi nesangqa esimthubi kwaye "
        "ekwicala lasekhohlo lotolo oluphakathi oluluhlaza okwesibhakabhaka malunga "
        "nomva oluhlaza okwengca okhanyayo",
        "हल्की हरी पृष्ठभूमि के सामने एक पीले गोले के पास और एक मध्यम नीले तीर की बाईं तरफ़ "
        "एक छोटे लाल तारे का पोर्ट्रेट"};
    struct cpv_scene s = known_scene();
    struct caption_plan plan = plan_of(CPV_AROUND, 0, ALL, CPV_SAY_EXTENT | 2);

    (void)state;
    plan.sentence = true;
    expect(&s, &plan, related);

    plan = plan_of(CPV_NEXT_TO, 2, 3, CPV_SAY_COLOUR);
    plan.opening = CPV_OPEN_PORTRAIT;
    plan.ground_phrase = true;
    plan.wording = 1;
    plan.clause[0].kind = CPV_SAY_TWO;
    plan.clause[0].mentions = 3;
    plan.clause[0].mention[2] = (struct cpv_mention){2, 3};
    plan.clause[0].relation[1] = CPV_LEFT_OF;
    expect(&s, &plan, two);
}

static void known_lists_and_stories_are_said_so(void **state)
{
    static const char *const known[] = {
        "we see a green ring. the ring is within the circle.",
        "vemos um anel verde. o anel está no interior do círculo.",
        "sibona umsesane oluhlaza okwengca. lo msesane usembindini wesi sangqa.",
        "हमें एक हरी अँगूठी दिखाई देती है। वह अँगूठी उस गोले के भीतर है।"};
    static const char *const count[] = {
        "there are three striped objects", "há três objetos listrados",
        "kukho izinto ezintathu ezinemigca", "तीन धारीदार वस्तुएँ हैं"};
    static const char *const list[] = {
        "this image captures a moment of a star, a circle and an arrow. the background "
        "is light green.",
        "esta imagem captura um momento de uma estrela, um círculo e uma seta. o fundo é "
        "verde-claro.",
        "lo mfanekiso ubamba umzuzu wenkwenkwezi, isangqa notolo. umva uluhlaza okwengca "
        "okhanyayo.",
        "यह छवि एक तारे, एक गोले और एक तीर का एक पल दर्शाती है। पृष्ठभूमि हल्की हरी है।"};
    struct cpv_scene s = known_scene();
    struct caption_plan plan = plan_of(CPV_NEXT_TO, 0, 0, 0);

    (void)state;
    plan.clauses = 2;
    plan.ground_phrase = false;
    plan.opening = CPV_OPEN_WE_SEE;
    plan.clause[1] = plan_of(CPV_INSIDE, 2, CPV_SAY_KNOWN, CPV_SAY_KNOWN).clause[0];
    plan.clause[1].mention[0].object = 3;
    plan.clause[0].kind = CPV_SAY_LIST;
    plan.clause[0].mentions = 1;
    plan.clause[0].mention[0] = (struct cpv_mention){3, CPV_SAY_COLOUR};
    expect(&s, &plan, known);

    plan.opening = CPV_OPEN_MOMENT;
    plan.clause[0].mentions = 3;
    for (uint8_t i = 0; i < 3; i++)
        plan.clause[0].mention[i] = (struct cpv_mention){i, 0};
    plan.clause[1].kind = CPV_SAY_GROUND;
    expect(&s, &plan, list);

    plan.opening = CPV_OPEN_THERE_IS;
    plan.clauses = 1;
    plan.clause[0].kind = CPV_SAY_COUNT;
    plan.clause[0].count = 3;
    plan.clause[0].wording = 1;
    plan.clause[0].texture = CPV_STRIPED;
    expect(&s, &plan, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_relations_are_said_so),
        cmocka_unit_test(known_lists_and_stories_are_said_so),
        cmocka_unit_test(adjectives_agree),
        cmocka_unit_test(every_word_has_its_words),
        cmocka_unit_test(every_caption_is_translated_by_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
