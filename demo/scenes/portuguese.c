/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan in Brazilian Portuguese. All of the language is in this file; the rules are in
 * demo/GRAMMAR.md: articles and adjectives agree, prepositions contract with articles.
 */
#include "common/base/size.h"
#include "demo/scenes/plan.h"
#include "demo/scenes/words.h"

static const char *const opening[CPV_OPENINGS] = {
    [CPV_OPEN_NONE] = "",
    [CPV_OPEN_THERE_IS] = "há",
    [CPV_OPEN_WE_SEE] = "vemos",
    [CPV_OPEN_FEATURES] = "o primeiro plano apresenta",
    [CPV_OPEN_PHOTO] = "uma foto de",
    [CPV_OPEN_PICTURE] = "uma figura de",
    [CPV_OPEN_SCENE] = "esta é uma cena que retrata",
    [CPV_OPEN_IMAGE] = "uma imagem de",
    [CPV_OPEN_PORTRAIT] = "retrato de",
    [CPV_OPEN_MOMENT] = "esta imagem captura um momento de",
    [CPV_OPEN_PAINTING] = "uma pintura de",
    [CPV_OPEN_ART] = "uma arte de",
    [CPV_OPEN_SHOWS] = "a figura mostra",
};

static const struct {
    const char *text;
    bool feminine;
} noun[CPV_SHAPES] = {
    [CPV_CIRCLE] = {"círculo", false},     [CPV_SQUARE] = {"quadrado", false},
    [CPV_TRIANGLE] = {"triângulo", false}, [CPV_STAR] = {"estrela", true},
    [CPV_CROSS] = {"cruz", true},          [CPV_DIAMOND] = {"losango", false},
    [CPV_RING] = {"anel", false},          [CPV_MOON] = {"lua", true},
    [CPV_HEART] = {"coração", false},      [CPV_ARROW] = {"seta", true},
    [CPV_HOUSE] = {"casa", true},          [CPV_FISH] = {"peixe", false},
};

/* masculine, feminine; the same in the plural. Nouns used as colours do not change. */
static const char *const colour[CPV_COLOURS][4] = {
    [CPV_RED] = {"vermelho", "vermelha", "vermelhos", "vermelhas"},
    [CPV_ORANGE] = {"laranja", "laranja", "laranja", "laranja"},
    [CPV_YELLOW] = {"amarelo", "amarela", "amarelos", "amarelas"},
    [CPV_GREEN] = {"verde", "verde", "verdes", "verdes"},
    [CPV_BLUE] = {"azul", "azul", "azuis", "azuis"},
    [CPV_PURPLE] = {"roxo", "roxa", "roxos", "roxas"},
    [CPV_PINK] = {"rosa", "rosa", "rosa", "rosa"},
    [CPV_BROWN] = {"marrom", "marrom", "marrons", "marrons"},
    [CPV_TURQUOISE] = {"turquesa", "turquesa", "turquesa", "turquesa"},
    [CPV_BLACK] = {"preto", "preta", "pretos", "pretas"},
    [CPV_WHITE] = {"branco", "branca", "brancos", "brancas"},
};

static const char *const texture[CPV_TEXTURES][4] = {
    [CPV_PLAIN] = {"", "", "", ""},
    [CPV_STRIPED] = {"listrado", "listrada", "listrados", "listradas"},
    [CPV_DOTTED] = {"pontilhado", "pontilhada", "pontilhados", "pontilhadas"},
    [CPV_CHECKED] = {"quadriculado", "quadriculada", "quadriculados", "quadriculadas"},
};

/* What goes before an article, and what becomes of the two. */
enum preposition { NOTHING, DE, EM, A, PREPOSITIONS };

static const char *const article[PREPOSITIONS][2][2] = {
    /* new: masculine, feminine; known */
    [NOTHING] = {{"um", "uma"}, {"o", "a"}},
    [DE] = {{"de um", "de uma"}, {"do", "da"}},
    [EM] = {{"em um", "em uma"}, {"no", "na"}},
    [A] = {{"a um", "a uma"}, {"ao", "à"}},
};

static const struct {
    const char *text;
    enum preposition then;
} relation[CPV_RELATIONS][3] = {
    [CPV_LEFT_OF] = {{"à esquerda", DE}, {"à esquerda", DE}, {"do lado esquerdo", DE}},
    [CPV_RIGHT_OF] = {{"à direita", DE}, {"à direita", DE}, {"do lado direito", DE}},
    [CPV_ABOVE] = {{"acima", DE}, {"por cima", DE}, {"mais acima do que", NOTHING}},
    [CPV_BELOW] = {{"abaixo", DE}, {"debaixo", DE}, {"por baixo", DE}},
    [CPV_INSIDE] = {{"dentro", DE}, {"", EM}, {"no interior", DE}},
    [CPV_AROUND] = {{"em volta", DE}, {"cercando", NOTHING}, {"envolvendo", NOTHING}},
    [CPV_NEXT_TO] = {{"ao lado", DE}, {"junto", A}, {"perto", DE}},
};

static const struct {
    const char *phrase[2]; /* where it all is */
    const char *is;        /* o fundo é ... */
} ground[CPV_GROUNDS] = {
    [CPV_GRAY] = {{"em um fundo cinza", "contra um fundo cinza"}, "cinza"},
    [CPV_DARK_GRAY] = {{"em um fundo cinza-escuro", "contra um fundo cinza-escuro"},
                       "cinza-escuro"},
    [CPV_LIGHT_GREEN] = {{"em um fundo verde-claro", "contra um fundo verde-claro"},
                         "verde-claro"},
    [CPV_LIGHT_PURPLE] = {{"em um fundo roxo-claro", "contra um fundo roxo-claro"},
                          "roxo-claro"},
    [CPV_SKY] = {{"no céu", "contra o céu"}, "o céu"},
    [CPV_SEA] = {{"em frente ao mar", "contra o mar"}, "o mar"},
    [CPV_GRASS] = {{"sobre grama", "na grama"}, "grama"},
    [CPV_SAND] = {{"sobre areia", "na areia"}, "areia"},
    [CPV_NIGHT] = {{"no céu noturno", "contra o céu noturno"}, "o céu noturno"},
    [CPV_BRICK] = {{"em frente a uma parede de tijolos", "em uma parede de tijolos"},
                   "uma parede de tijolos"},
    [CPV_WOOD] = {{"sobre madeira", "em uma tábua de madeira"}, "madeira"},
};

/* "de uma pequena estrela vermelha listrada": size before the noun, the rest behind. */
static void noun_phrase(const struct cpv_scene *s, const struct cpv_mention *m,
                        enum preposition before, struct cpv_buf *out)
{
    const struct cpv_object *o = &s->object[m->object];
    bool extent = (m->say & CPV_SAY_EXTENT) != 0, f = noun[o->shape].feminine;

    cpv_words_add(out, article[before][(m->say & CPV_SAY_KNOWN) != 0][f]);
    if (extent && o->extent == CPV_SMALL)
        cpv_words_add(out, f ? "pequena" : "pequeno");
    if (extent && o->extent == CPV_LARGE)
        cpv_words_add(out, "grande");
    cpv_words_add(out, noun[o->shape].text);
    if (m->say & CPV_SAY_COLOUR)
        cpv_words_add(out, colour[o->colour][f]);
    if (m->say & CPV_SAY_TEXTURE)
        cpv_words_add(out, texture[o->texture][f]);
    if (extent && o->extent == CPV_MEDIUM)
        cpv_words_add(out, "de tamanho médio");
}

static void count_phrase(const struct cpv_clause *c, struct cpv_buf *out)
{
    static const char *const number[][2] = {
        {"", ""}, {"", ""}, {"dois", "duas"}, {"três", "três"}, {"quatro", "quatro"}};
    bool f = c->wording % 2 == 0;

    cpv_words_add(out, number[c->count][f]);
    cpv_words_add(out, f ? "formas" : "objetos");
    if (c->colour >= 0)
        cpv_words_add(out, colour[c->colour][2 + f]);
    if (c->texture >= 0)
        cpv_words_add(out, texture[c->texture][2 + f]);
}

static void related(const struct cpv_scene *s, const struct cpv_clause *c, int a,
                    int which, int b, bool sentence, struct cpv_buf *out)
{
    int w = c->wording % 3;

    if (a >= 0) {
        noun_phrase(s, &c->mention[a], NOTHING, out);
        if (sentence)
            cpv_words_add(out, "está");
    }
    cpv_words_add(out, relation[c->relation[which]][w].text);
    noun_phrase(s, &c->mention[b], relation[c->relation[which]][w].then, out);
}

static void say_clause(const struct cpv_scene *s, const struct cpv_clause *c,
                       bool sentence, struct cpv_buf *out)
{
    switch (c->kind) {
    case CPV_SAY_LIST:
        for (int i = 0; i < c->mentions; i++) {
            if (i > 0 && i == c->mentions - 1)
                cpv_words_add(out, "e");
            else if (i > 0)
                cpv_buf_byte(out, ',');
            noun_phrase(s, &c->mention[i], NOTHING, out);
        }
        break;
    case CPV_SAY_RELATION:
    case CPV_SAY_TWO:
    case CPV_SAY_PAIRS:
        related(s, c, 0, 0, 1, sentence, out);
        if (c->kind == CPV_SAY_RELATION)
            break;
        cpv_words_add(out, "e");
        if (c->kind == CPV_SAY_TWO)
            related(s, c, -1, 1, 2, sentence, out);
        else
            related(s, c, 2, 1, 3, sentence, out);
        break;
    case CPV_SAY_COUNT:
        count_phrase(c, out);
        break;
    case CPV_SAY_GROUND:
        cpv_words_add(out, "o fundo é");
        cpv_words_add(out, ground[s->ground].is);
        break;
    }
}

void cpv_portuguese_say(const struct cpv_scene *s, const struct caption_plan *plan,
                        struct cpv_buf *out)
{
    struct cpv_buf text = {0};

    cpv_words_add(&text, opening[plan->opening]);
    say_clause(s, &plan->clause[0], plan->sentence, &text);
    if (plan->ground_phrase)
        cpv_words_add(&text, ground[s->ground].phrase[plan->wording % 2]);
    for (int i = 1; i < plan->clauses; i++) {
        cpv_buf_byte(&text, '.');
        say_clause(s, &plan->clause[i], true, &text);
    }
    if (plan->clauses > 1 || plan->sentence)
        cpv_buf_byte(&text, '.');
    cpv_words_move(&text, out);
}
