/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What looks wrong about a translation. Machine translation into small languages fails in
 * a few ways that rules can see; each is a word beside the text, and no text is changed.
 */
#include <string.h>

#include "common/base/size.h"
#include "common/base/utf8.h"
#include "stages/translate/translate.h"

/* ---- letters ---- */

enum script {
    OTHER,
    LATIN,
    CYRILLIC,
    GREEK,
    HEBREW,
    ARABIC,
    DEVANAGARI,
    BENGALI,
    TAMIL,
    THAI,
    ETHIOPIC,
    HAN,
    KANA,
    HANGUL
};

/* Blocks of Unicode 15 that hold the letters of scripts, ascending. */
static const struct {
    uint32_t first, last;
    enum script script;
} blocks[] = {
    {'A', 'Z', LATIN},          {'a', 'z', LATIN},          {0xaa, 0xaa, LATIN},
    {0xba, 0xba, LATIN},        {0xc0, 0xd6, LATIN},        {0xd8, 0xf6, LATIN},
    {0xf8, 0x24f, LATIN},       {0x370, 0x3ff, GREEK},      {0x400, 0x52f, CYRILLIC},
    {0x591, 0x5f4, HEBREW},     {0x600, 0x6ff, ARABIC},     {0x750, 0x77f, ARABIC},
    {0x900, 0x963, DEVANAGARI}, {0x971, 0x97f, DEVANAGARI}, {0x980, 0x9fe, BENGALI},
    {0xb82, 0xbd7, TAMIL},      {0xe01, 0xe4e, THAI},       {0x1100, 0x11ff, HANGUL},
    {0x1200, 0x139f, ETHIOPIC}, {0x1e00, 0x1eff, LATIN},    {0x1f00, 0x1fff, GREEK},
    {0x3041, 0x30ff, KANA},     {0x3400, 0x4dbf, HAN},      {0x4e00, 0x9fff, HAN},
    {0xac00, 0xd7a3, HANGUL},   {0x20000, 0x2fa1f, HAN},
};

static enum script script_of(uint32_t c)
{
    for (size_t i = 0; i < CPV_COUNT(blocks) && c >= blocks[i].first; i++)
        if (c <= blocks[i].last)
            return blocks[i].script;
    return OTHER;
}

/* What a language is written in; no entry: not judged. */
static const struct {
    const char *lang;
    enum script script;
} scripts[] = {
    {"am", ETHIOPIC}, {"ar", ARABIC},     {"be", CYRILLIC},   {"bg", CYRILLIC},
    {"bn", BENGALI},  {"cs", LATIN},      {"da", LATIN},      {"de", LATIN},
    {"el", GREEK},    {"en", LATIN},      {"es", LATIN},      {"et", LATIN},
    {"fa", ARABIC},   {"fi", LATIN},      {"fr", LATIN},      {"ha", LATIN},
    {"he", HEBREW},   {"hi", DEVANAGARI}, {"hu", LATIN},      {"id", LATIN},
    {"ig", LATIN},    {"it", LATIN},      {"ko", HANGUL},     {"lt", LATIN},
    {"lv", LATIN},    {"mg", LATIN},      {"mr", DEVANAGARI}, {"ne", DEVANAGARI},
    {"nl", LATIN},    {"no", LATIN},      {"ny", LATIN},      {"pl", LATIN},
    {"pt", LATIN},    {"ro", LATIN},      {"ru", CYRILLIC},   {"rw", LATIN},
    {"sn", LATIN},    {"so", LATIN},      {"st", LATIN},      {"sv", LATIN},
    {"sw", LATIN},    {"ta", TAMIL},      {"th", THAI},       {"ti", ETHIOPIC},
    {"tn", LATIN},    {"tr", LATIN},      {"ts", LATIN},      {"uk", CYRILLIC},
    {"ur", ARABIC},   {"vi", LATIN},      {"xh", LATIN},      {"yo", LATIN},
    {"zh", HAN},      {"zu", LATIN},
};

static enum script script_for(const char *lang)
{
    size_t n = strcspn(lang, "-_");

    for (size_t i = 0; i < CPV_COUNT(scripts); i++)
        if (strlen(scripts[i].lang) == n && memcmp(scripts[i].lang, lang, n) == 0)
            return scripts[i].script;
    return OTHER;
}

/* Letters of any script that we know, and of this one; characters in all. */
struct letters {
    size_t all, own, characters;
};

static struct letters count_letters(struct cpv_bytes text, enum script own)
{
    const uint8_t *p = text.data, *end = p + text.size;
    struct letters n = {0};

    while (p < end) {
        uint32_t c;
        int step = cpv_utf8_get(p, (size_t)(end - p), &c);
        enum script s = script_of(c);

        p += step < 0 ? -step : step;
        n.characters++;
        n.all += s != OTHER;
        n.own += s == own;
    }
    return n;
}

/* ---- words ---- */

enum { WORDS_MAX = 2048 };

struct words {
    struct cpv_bytes at[WORDS_MAX];
    size_t n;
};

static void split(struct cpv_bytes text, struct words *w)
{
    const uint8_t *p = text.data, *end = p + text.size;

    w->n = 0;
    while (p < end && w->n < WORDS_MAX) {
        const uint8_t *first;

        while (p < end && *p <= ' ')
            p++;
        for (first = p; p<end && * p> ' ';)
            p++;
        if (p > first)
            w->at[w->n++] = cpv_bytes_of(first, (size_t)(p - first));
    }
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool same_word(struct cpv_bytes a, struct cpv_bytes b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

/* Names and single words may well be the same in both languages: three words are not. */
static bool is_copied(const struct words *a, const struct words *b)
{
    if (a->n != b->n || a->n < 3)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!same_word(a->at[i], b->at[i]))
            return false;
    return true;
}

/* One to four words, four times in a row. */
static bool has_loop(const struct words *w)
{
    for (size_t period = 1; period <= 4; period++) {
        size_t run = 0;

        for (size_t i = period; i < w->n; i++) {
            run = same_word(w->at[i], w->at[i - period]) ? run + 1 : 0;
            if (run >= 3 * period)
                return true;
        }
    }
    return false;
}

unsigned translate_flags(struct cpv_bytes source, struct cpv_bytes target,
                         const char *lang)
{
    enum script own = script_for(lang);
    struct letters from = count_letters(source, own), to = count_letters(target, own);
    struct words a, b;
    unsigned flags = 0;

    split(source, &a);
    split(target, &b);
    if (!a.n)
        return 0;
    if (!b.n)
        return CPV_FLAG_EMPTY;
    if (is_copied(&a, &b))
        flags |= CPV_FLAG_COPIED;
    if (own != OTHER && to.all >= 4 && 2 * to.own < to.all)
        flags |= CPV_FLAG_SCRIPT;
    if (has_loop(&b))
        flags |= CPV_FLAG_LOOP;
    /* Of short texts any ratio is possible. Chinese needs a third of the characters. */
    if (from.characters >= 12 &&
        (to.characters > 3 * from.characters || 5 * to.characters < from.characters))
        flags |= CPV_FLAG_RATIO;
    return flags;
}
