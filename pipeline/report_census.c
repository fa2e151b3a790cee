/* SPDX-License-Identifier: Apache-2.0 */
/* One look at every sample: sizes of images, captions by language, flags, similarities.
 */
#include <math.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/corpus/merge.h"
#include "common/format/samples.h"
#include "common/image/image.h"
#include "pipeline/report.h"

/* Above these, numbers are counted together. */
enum { SIDE_MAX = 8192, ASPECT_MAX = 1000, KIB_MAX = 4096, CHARS_MAX = 4096 };
enum { WORDS_MAX = 1024, SIMILARITY_MAX = 2001 };

/* ---- keys ---- */

static bool is_lang(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");

    if (n < 2 || n > 8 || strlen(s) >= sizeof((struct cpv_report_lang *)0)->code)
        return false;
    while (s[n] == '-') {
        size_t more = strspn(s + n + 1, "abcdefghijklmnopqrstuvwxyz"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

        if (more == 0)
            return false;
        n += more + 1;
    }
    return s[n] == '\0';
}

enum cpv_report_key cpv_report_parse_key(const char *key, int *kind, const char **lang)
{
    static const struct {
        const char *head;
        enum cpv_report_key what;
        int kind;
    } HEADS[] = {{"captions-", CPV_KEY_TEXTS, CPV_REPORT_ORIGINAL},
                 {"generated-captions-", CPV_KEY_TEXTS, CPV_REPORT_GENERATED},
                 {"flags-", CPV_KEY_FLAGS, CPV_REPORT_ORIGINAL},
                 {"similarities-", CPV_KEY_SIMILARITIES, CPV_REPORT_ORIGINAL}};

    for (size_t i = 0; i < CPV_COUNT(HEADS); i++) {
        size_t n = strlen(HEADS[i].head);

        if (strncmp(key, HEADS[i].head, n) == 0 && is_lang(key + n)) {
            *kind = HEADS[i].kind;
            *lang = key + n;
            return HEADS[i].what;
        }
    }
    return CPV_KEY_OTHER;
}

/* ---- languages ---- */

struct cpv_report_lang *cpv_report_find_lang(struct cpv_report *r, const char *code)
{
    for (size_t i = 0; i < r->n_langs; i++)
        if (strcmp(r->langs[i].code, code) == 0)
            return &r->langs[i];
    return NULL;
}

/* *out NULL with CPV_OK: there are too many already. */
static int need_lang(struct cpv_report *r, const char *code, struct cpv_report_lang **out,
                     struct cpv_err *err)
{
    struct cpv_report_lang *l = cpv_report_find_lang(r, code);
    int rc = CPV_OK;

    *out = l;
    if (l)
        return CPV_OK;
    if (r->n_langs == CPV_REPORT_LANGS) {
        r->langs_left_out = true;
        return CPV_OK;
    }
    l = &r->langs[r->n_langs];
    memcpy(l->code, code, strlen(code) + 1);
    l->name = cpv_words_lang(l->code, r->mem);
    if (!l->name)
        return cpv_fail_memory(err);
    for (int k = 0; !rc && k < CPV_REPORT_KINDS; k++) {
        rc = cpv_tally_init(&l->kind[k].characters, CHARS_MAX, r->mem, err);
        if (!rc)
            rc = cpv_tally_init(&l->kind[k].words, WORDS_MAX, r->mem, err);
    }
    if (!rc)
        rc = cpv_tally_init(&l->similarities, SIMILARITY_MAX, r->mem, err);
    if (!rc) {
        r->n_langs++;
        *out = l;
    }
    return rc;
}

/* ---- texts ---- */

struct cpv_bytes cpv_report_string(const json_t *value)
{
    const char *s = json_string_value(value);

    return s ? cpv_bytes_of(s, json_string_length(value)) : cpv_bytes_of("", 0);
}

uint64_t cpv_report_characters(struct cpv_bytes text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.size; i++)
        n += (text.data[i] & 0xC0) != 0x80;
    return n;
}

static uint64_t count_words(struct cpv_bytes text)
{
    uint64_t n = 0;
    bool inside = false;

    for (size_t i = 0; i < text.size; i++) {
        bool is = text.data[i] > ' ';

        n += is && !inside;
        inside = is;
    }
    return n;
}

size_t cpv_report_length(const json_t *value)
{
    return json_is_string(value) ? 1 : json_array_size(value);
}

const json_t *cpv_report_item(const json_t *value, size_t i)
{
    return json_is_string(value) ? value : json_array_get(value, i);
}

static void add_texts(struct cpv_report_texts *t, const json_t *value)
{
    size_t n = cpv_report_length(value);

    t->samples += n > 0;
    for (size_t i = 0; i < n; i++) {
        struct cpv_bytes text = cpv_report_string(cpv_report_item(value, i));
        uint64_t words = count_words(text);

        t->texts++;
        t->empty += words == 0;
        cpv_tally_add(&t->characters, cpv_report_characters(text));
        cpv_tally_add(&t->words, words);
    }
}

/* ---- flags and similarities ---- */

static bool is_word(const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
              s[i] == '_' || s[i] == '-'))
            return false;
    return n > 0 && n <= 24;
}

static int add_flag(struct cpv_report *r, struct cpv_report_lang *l, const uint8_t *word,
                    size_t n, struct cpv_err *err)
{
    size_t i = 0;

    if (!is_word(word, n))
        return CPV_OK;
    while (i < r->n_flags &&
           (strlen(r->flags[i]) != n || memcmp(r->flags[i], word, n) != 0))
        i++;
    if (i == CPV_REPORT_FLAGS)
        return CPV_OK;
    if (i == r->n_flags) {
        r->flags[i] = cpv_arena_str(r->mem, cpv_bytes_of(word, n));
        if (!r->flags[i])
            return cpv_fail_memory(err);
        r->n_flags++;
    }
    l->flags[i]++;
    return CPV_OK;
}

static int add_flags(struct cpv_report *r, struct cpv_report_lang *l, const json_t *value,
                     struct cpv_err *err)
{
    size_t n = cpv_report_length(value);
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < n; i++) {
        struct cpv_bytes text = cpv_report_string(cpv_report_item(value, i));
        const uint8_t *p = text.data, *end = p + text.size;

        l->judged++;
        l->flagged += count_words(text) > 0;
        while (!rc && p < end) {
            const uint8_t *first;

            while (p < end && *p <= ' ')
                p++;
            for (first = p; p<end && * p> ' ';)
                p++;
            rc = add_flag(r, l, first, (size_t)(p - first), err);
        }
    }
    return rc;
}

static void add_similarities(struct cpv_report_lang *l, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        double v = json_number_value(one);

        if (json_is_number(one) && v >= -1 && v <= 1)
            cpv_tally_add(&l->similarities, (uint64_t)lround(1000 * v + 1000));
    }
}

/* ---- a sample ---- */

static int add_key(struct cpv_report *r, const char *key, const json_t *value,
                   struct cpv_err *err)
{
    const char *lang = NULL;
    int kind = 0;
    enum cpv_report_key what = cpv_report_parse_key(key, &kind, &lang);
    struct cpv_report_lang *l = NULL;
    int rc = what == CPV_KEY_OTHER ? CPV_OK : need_lang(r, lang, &l, err);

    if (rc || !l)
        return rc;
    if (what == CPV_KEY_TEXTS)
        add_texts(&l->kind[kind], value);
    else if (what == CPV_KEY_FLAGS)
        rc = add_flags(r, l, value, err);
    else
        add_similarities(l, value);
    return rc;
}

static uint64_t pixels_of(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));

    return v > 0 && v <= 1000000 ? (uint64_t)v : 0;
}

static void add_image(struct cpv_report *r, const json_t *o, const struct cpv_member *m)
{
    uint64_t w = pixels_of(o, "original_width"), h = pixels_of(o, "original_height");

    if (!w || !h) {
        w = pixels_of(o, "width");
        h = pixels_of(o, "height");
    }
    if (m)
        cpv_tally_add(&r->image_kib, m->data.size / 1024);
    if (m && (!w || !h)) {
        struct cpv_image_info info;

        (void)cpv_image_probe(m->data, &info);
        w = info.width;
        h = info.height;
    }
    if (!w || !h)
        return;
    cpv_tally_add(&r->longest, w > h ? w : h);
    cpv_tally_add(&r->aspect, 100 * w / h);
    if (100 * w > 105 * h)
        r->landscape++;
    else if (105 * w < 100 * h)
        r->portrait++;
    else
        r->square++;
}

static int add_sample(struct cpv_report *r, const struct cpv_report_column *c,
                      const struct cpv_sample *s, struct cpv_err *err)
{
    const struct cpv_member *text = cpv_sample_member(s, "json"), *image = NULL;
    json_t *o = NULL, *value;
    const char *key;
    int rc = text ? cpv_json_parse(text->data, s->key, &o, err) : CPV_OK;

    for (size_t i = 0; i < s->n_members && !image; i++)
        if (cpv_ext_is_image(s->members[i].ext))
            image = &s->members[i];
    if (rc && rc != CPV_E_MEMORY) {
        r->unreadable++;
        rc = CPV_OK;
    }
    json_object_foreach(o, key, value)
    {
        if (!rc)
            rc = add_key(r, key, value, err);
    }
    if (c == r->base) {
        r->looked_at++;
        add_image(r, o, image);
    }
    json_decref(o);
    return rc;
}

/* ---- all of them ---- */

static int look_at_part(struct cpv_report *r, const struct cpv_report_column *c,
                        const struct cpv_report_part *p, struct cpv_err *err)
{
    const struct cpv_samples_params params = {.read_ahead = 4};
    const char *path = cpv_column_path(r->scratch, r->place.corpus, c->name, p->part,
                                       p->revision, CPV_FILE_SHARD);
    cpv_samples *samples = NULL;
    struct cpv_sample s;
    int rc = path ? cpv_samples_open(&samples, path, &params, err) : cpv_fail_memory(err);

    while (!rc && (rc = cpv_samples_next(samples, &s, err)) == 1) {
        rc = add_sample(r, c, &s, err);
        if (!rc && cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped; nothing was written");
    }
    cpv_samples_close(&samples);
    cpv_arena_reset(r->scratch);
    return rc;
}

static int look_at_column(struct cpv_report *r, const struct cpv_report_column *c,
                          struct cpv_err *err)
{
    char line[160];
    int rc = CPV_OK;

    for (uint32_t i = 0; !rc && i < c->count; i++) {
        if (!c->at[i].there)
            continue;
        (void)snprintf(line, sizeof line, "reading %.80s: part %u of %u", c->name, i + 1,
                       c->count);
        if (r->live)
            cpv_log_live(r->log, line);
        rc = look_at_part(r, c, &c->at[i], err);
    }
    return rc;
}

int cpv_report_census(struct cpv_report *r, struct cpv_err *err)
{
    int rc = cpv_tally_init(&r->longest, SIDE_MAX, r->mem, err);

    r->langs = cpv_arena_calloc(r->mem, CPV_REPORT_LANGS, sizeof *r->langs);
    if (!rc && !r->langs)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_tally_init(&r->aspect, ASPECT_MAX, r->mem, err);
    if (!rc)
        rc = cpv_tally_init(&r->image_kib, KIB_MAX, r->mem, err);
    for (size_t i = 0; !rc && i < r->n; i++) {
        const struct cpv_report_column *c = &r->columns[i];

        if (c == r->base || (!r->alone && !c->packed))
            rc = look_at_column(r, c, err);
    }
    if (r->live)
        cpv_log_live(r->log, NULL);
    return rc;
}
