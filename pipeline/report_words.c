/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people read them, and what the words in files mean. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/size.h"
#include "pipeline/report.h"
#include "pipeline/text.h"

/* ---- numbers ---- */

struct cpv_words cpv_words_count(uint64_t n)
{
    struct cpv_words w;

    cpv_text_count(w.text, sizeof w.text, n);
    return w;
}

struct cpv_words cpv_words_share(uint64_t n, uint64_t of)
{
    double share = of ? 100.0 * (double)n / (double)of : 0;
    struct cpv_words w;

    if (n && share < 0.1)
        (void)snprintf(w.text, sizeof w.text, "<0.1 %%");
    else if (n < of && share > 99.9)
        (void)snprintf(w.text, sizeof w.text, ">99.9 %%");
    else
        (void)snprintf(w.text, sizeof w.text, n && n < of ? "%.1f %%" : "%.0f %%", share);
    return w;
}

struct cpv_words cpv_words_bytes(uint64_t n)
{
    struct cpv_words w;

    cpv_text_bytes(w.text, sizeof w.text, n);
    return w;
}

struct cpv_words cpv_words_seconds(double s)
{
    struct cpv_words w;

    if (s < 0.9995 && s > 0)
        (void)snprintf(w.text, sizeof w.text, "%.0f ms", ceil(s * 1e3));
    else if (s < 59.95 && s > 0)
        (void)snprintf(w.text, sizeof w.text, s < 9.995 ? "%.2f s" : "%.1f s", s);
    else
        cpv_text_time(w.text, sizeof w.text, s);
    return w;
}

struct cpv_words cpv_words_real(double v)
{
    struct cpv_words w;
    double size = fabs(v);

    if (size >= 999.5 && v > 0 && v < 1e18)
        return cpv_words_count((uint64_t)(v + 0.5));
    if (v == floor(v) && size < 1e15)
        (void)snprintf(w.text, sizeof w.text, "%.0f", v);
    else
        (void)snprintf(w.text, sizeof w.text, size < 1e15 ? "%.3g" : "%.3e", v);
    return w;
}

/* ---- tables of words ---- */

struct pair {
    const char *word, *means;
};

static const char *look_up(const struct pair *table, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].word, word) == 0)
            return table[i].means;
    return NULL;
}

static const struct pair LANGUAGES[] = {
    {"af", "Afrikaans"},  {"am", "Amharic"},     {"ar", "Arabic"},
    {"be", "Belarusian"}, {"bg", "Bulgarian"},   {"bn", "Bengali"},
    {"ca", "Catalan"},    {"cs", "Czech"},       {"da", "Danish"},
    {"de", "German"},     {"el", "Greek"},       {"en", "English"},
    {"es", "Spanish"},    {"et", "Estonian"},    {"eu", "Basque"},
    {"fa", "Persian"},    {"fi", "Finnish"},     {"fr", "French"},
    {"ga", "Irish"},      {"gl", "Galician"},    {"gn", "Guarani"},
    {"ha", "Hausa"},      {"he", "Hebrew"},      {"hi", "Hindi"},
    {"hu", "Hungarian"},  {"id", "Indonesian"},  {"ig", "Igbo"},
    {"it", "Italian"},    {"ja", "Japanese"},    {"ko", "Korean"},
    {"lt", "Lithuanian"}, {"lv", "Latvian"},     {"mg", "Malagasy"},
    {"mr", "Marathi"},    {"ne", "Nepali"},      {"nl", "Dutch"},
    {"no", "Norwegian"},  {"ny", "Chichewa"},    {"pl", "Polish"},
    {"pt", "Portuguese"}, {"qu", "Quechua"},     {"ro", "Romanian"},
    {"ru", "Russian"},    {"rw", "Kinyarwanda"}, {"sn", "Shona"},
    {"so", "Somali"},     {"ss", "Swati"},       {"st", "Sotho"},
    {"sv", "Swedish"},    {"sw", "Swahili"},     {"ta", "Tamil"},
    {"te", "Telugu"},     {"th", "Thai"},        {"ti", "Tigrinya"},
    {"tn", "Tswana"},     {"tr", "Turkish"},     {"ts", "Tsonga"},
    {"uk", "Ukrainian"},  {"ur", "Urdu"},        {"ve", "Venda"},
    {"vi", "Vietnamese"}, {"xh", "Xhosa"},       {"yo", "Yoruba"},
    {"zh", "Chinese"},    {"zu", "Zulu"},
};

const char *cpv_words_lang(const char *code, cpv_arena *mem)
{
    size_t n = strcspn(code, "-");
    char plain[16] = "";
    const char *name;

    if (n < sizeof plain)
        memcpy(plain, code, n);
    name = look_up(LANGUAGES, CPV_COUNT(LANGUAGES), plain);
    if (!name)
        return code;
    return code[n] ? cpv_arena_printf(mem, "%s (%s)", name, code + n + 1) : name;
}

const char *cpv_words_reason(const char *status)
{
    static const struct pair TABLE[] = {
        {"aspect", "too long and narrow"},
        {"bad_json", "metadata that is no JSON"},
        {"bad_path", "no path below the input"},
        {"bad_row", "no usable row of the list"},
        {"bad_url", "no usable address"},
        {"blocked_ip", "an address that may not be asked"},
        {"bomb", "would decode to more than is allowed"},
        {"connect", "no connection"},
        {"decode", "damaged image"},
        {"dns_nxdomain", "no such host"},
        {"dns_temp", "the name service failed"},
        {"duplicate_content", "the same image as an earlier row"},
        {"duplicate_key", "the same key as an earlier row"},
        {"duplicate_url", "the same address as an earlier row"},
        {"empty", "nothing was sent"},
        {"hash_mismatch", "another content than the list promised"},
        {"host_down", "the host does not answer any more"},
        {"http_410", "gone for good"},
        {"http_429", "asked too often"},
        {"http_4xx", "refused or not found"},
        {"http_5xx", "the server failed"},
        {"missing_file", "no such file"},
        {"no_image", "a sample without an image"},
        {"not_image", "something else than an image"},
        {"optout", "its owner does not want it used"},
        {"other", "reasons beyond those listed"},
        {"protocol", "the server did not speak HTTP"},
        {"redirect", "sent on too often, or to where it may not"},
        {"robots", "robots.txt forbids it"},
        {"timeout", "not there in time"},
        {"tls", "no trusted connection"},
        {"too_big", "more bytes than allowed"},
        {"too_large_area", "more pixels than allowed"},
        {"too_many_members", "too many files in one sample"},
        {"too_small", "smaller than asked for"},
        {"unreadable", "an image that cannot be read"},
        {"unsupported_format", "a format that is not decoded"},
    };

    return look_up(TABLE, CPV_COUNT(TABLE), status);
}

const char *cpv_words_flag(const char *flag)
{
    static const struct pair TABLE[] = {
        {"copied", "the source came back as it was"},
        {"cut", "source or translation reached its most tokens"},
        {"empty", "nothing came of a text that says something"},
        {"loop", "words repeat themselves again and again"},
        {"ratio", "far longer or shorter than its source"},
        {"script", "most letters are of another script than the language's"},
    };

    return look_up(TABLE, CPV_COUNT(TABLE), flag);
}

const char *cpv_words_column(const char *column, cpv_arena *mem)
{
    const char *lang;

    if (strcmp(column, "fetch") == 0)
        return "images and their original captions";
    if (strcmp(column, "caption") == 0)
        return "captions made by a model from the images";
    if (strcmp(column, "score") == 0)
        return "image embeddings";
    if (strncmp(column, "shards/", 7) == 0)
        return "packed training set";
    lang = strncmp(column, "translate-", 10) == 0 ? column + 10
           : strncmp(column, "score-", 6) == 0    ? column + 6
                                                  : NULL;
    if (!lang)
        return "";
    lang = cpv_words_lang(lang, mem);
    return !lang ? NULL
                 : cpv_arena_printf(mem,
                                    column[0] == 't'
                                        ? "captions translated into %s"
                                        : "similarity of images and %s captions",
                                    lang);
}

/* ---- statistics ---- */

/* NULL: said elsewhere, or of no use on a page without dates. */
static const struct pair STATS[] = {
    {"column", NULL},
    {"part", NULL},
    {"revision", NULL},
    {"start_time", NULL},
    {"end_time", NULL},
    {"count", "Rows"},
    {"successes", "Samples"},
    {"failures", "Rows that failed"},
    {"duration", "Time of all parts together"},
    {"failed_to_download", "Failed to download"},
    {"failed_to_resize", "Failed to decode or resize"},
    {"downloaded_bytes", "Downloaded"},
    {"images", "Images"},
    {"captions", "Captions"},
    {"unreadable", "Images that cannot be read"},
    {"resumed", "Taken over from an interrupted run"},
    {"duplicates", "Captions equal to an earlier one of their part"},
    {"duplicate_share", "Share of such duplicates"},
    {"cut", "Captions cut at their most tokens"},
    {"prompt_tokens", "Tokens of prompts"},
    {"new_tokens", "Tokens written"},
    {"sentences", "Texts to translate"},
    {"distinct", "Different texts"},
    {"memory_hits", "Taken from the translation memory"},
    {"tokens_in", "Tokens read"},
    {"tokens_out", "Tokens written"},
    {"seconds", "Time of the work itself"},
    {"seconds_prepare", "Time to prepare images, all threads"},
    {"seconds_vision", "Time to look at images, all threads"},
    {"seconds_decoding", "Time to write captions, all threads"},
    {"seconds_decode", "Time to read images, all threads"},
    {"seconds_text", "Time to embed texts"},
    {"samples", "Samples compared"},
    {"texts", "Captions that say something"},
    {"embedded", "Texts embedded"},
    {"tokens", "Tokens read"},
    {"images_per_second", "Images per second"},
    {"texts_per_second", "Texts per second"},
    {"tokens_per_second", "Tokens per second"},
};

static bool is_known(const char *key)
{
    for (size_t i = 0; i < CPV_COUNT(STATS); i++)
        if (strcmp(STATS[i].word, key) == 0)
            return true;
    return false;
}

static const char *after(const char *s, const char *head)
{
    size_t n = strlen(head);

    return strncmp(s, head, n) == 0 ? s + n : NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

/* "seconds_vision" becomes "Time: vision", "flags.loop" "Flags: loop". */
const char *cpv_words_stat(const char *key, cpv_arena *mem)
{
    const char *rest = after(key, "seconds_");
    char *text;

    if (is_known(key))
        return look_up(STATS, CPV_COUNT(STATS), key);
    if (rest)
        text = cpv_arena_printf(mem, "Time: %s", rest);
    else if ((rest = after(key, "status_dict.")))
        text = cpv_arena_printf(mem, "Outcome: %s", rest);
    else
        text = cpv_arena_str(mem, cpv_bytes_str(key));
    if (!text)
        return key;
    for (char *p = text; *p; p++)
        if (*p == '_' || *p == '.')
            *p = ' ';
    if (*text >= 'a' && *text <= 'z')
        *text = (char)(*text - 'a' + 'A');
    if (!rest && strchr(key, '.')) {
        /* The outer key is the heading of the inner one. */
        char *colon = text + (strchr(key, '.') - key);
        const char *inner = colon + 1;
        char *whole = cpv_arena_printf(mem, "%.*s: %s", (int)(colon - text), text, inner);

        return whole ? whole : key;
    }
    return text;
}

enum cpv_words_unit cpv_words_unit(const char *key)
{
    if (strstr(key, "_per_") || ends_with(key, "_rate") || ends_with(key, "_mean") ||
        ends_with(key, "_share"))
        return CPV_UNIT_RATE;
    if (strncmp(key, "seconds", 7) == 0 || ends_with(key, "seconds") ||
        strcmp(key, "duration") == 0)
        return CPV_UNIT_SECONDS;
    if (ends_with(key, "bytes"))
        return CPV_UNIT_BYTES;
    return CPV_UNIT_COUNT;
}
