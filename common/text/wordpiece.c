/* SPDX-License-Identifier: Apache-2.0 */
/* See wordpiece.h; tokenization_bert.py and tokenization_utils.py of transformers. */
#include "common/text/wordpiece.h"

#include <stdio.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "common/base/sys.h"
#include "common/text/cleanup.h"
#include "common/text/settings.h"
#include "common/text/unicode.h"
#include "common/text/vocab.h"

enum { WORD_MAX = 100 }; /* characters; a longer word is unknown */

struct cpv_wordpiece {
    struct cpv_text_settings settings;
    cpv_vocab *vocab;
};

static int32_t id_of_role(const cpv_wordpiece *t, enum cpv_token_role role)
{
    return t->settings.named[role].id;
}

/* ---- opening ---- */

static int open_all(cpv_wordpiece *t, const char *folder, struct cpv_err *err)
{
    static const char *const names[CPV_TOKEN_ROLES] = {
        [CPV_TOKEN_UNK] = "[UNK]", [CPV_TOKEN_SEP] = "[SEP]",   [CPV_TOKEN_PAD] = "[PAD]",
        [CPV_TOKEN_CLS] = "[CLS]", [CPV_TOKEN_MASK] = "[MASK]",
    };
    char *path;
    int rc;

    if ((rc = cpv_text_settings_read(&t->settings, folder, names, err)))
        return rc;
    if (!(path = cpv_arena_printf(t->settings.arena, "%s/vocab.txt", folder)))
        return cpv_fail_memory(err);
    if ((rc = cpv_vocab_open_lines(&t->vocab, path, err)))
        return rc;
    if ((rc = cpv_text_settings_bind(&t->settings, t->vocab, err)))
        cpv_err_add(err, "'%s'", path);
    return rc;
}

int cpv_wordpiece_open(cpv_wordpiece **out, const char *folder, struct cpv_err *err)
{
    cpv_wordpiece *t = cpv_calloc(1, sizeof *t);
    int rc;

    *out = NULL;
    if (!t)
        return cpv_fail_memory(err);
    if ((rc = open_all(t, folder, err))) {
        cpv_wordpiece_close(&t);
        return rc;
    }
    *out = t;
    return CPV_OK;
}

void cpv_wordpiece_close(cpv_wordpiece **t)
{
    if (!*t)
        return;
    cpv_vocab_close(&(*t)->vocab);
    cpv_text_settings_release(&(*t)->settings);
    cpv_free(*t);
    *t = NULL;
}

int32_t cpv_wordpiece_id(const cpv_wordpiece *t, struct cpv_bytes token)
{
    return cpv_vocab_id(t->vocab, token);
}

/* ---- characters ---- */

static bool is_cjk(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_control(utf8proc_category_t category)
{
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO ||
           category == UTF8PROC_CATEGORY_CN;
}

static bool is_punctuation(uint32_t c)
{
    if (c < 0x80)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
               (c >= 123 && c <= 126);
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return true;
    default:
        return false;
    }
}

/* Lower case, without controls, blanks made ordinary ones, CJK set apart. */
static void clean(const cpv_wordpiece *t, struct cpv_bytes s, struct cpv_buf *out)
{
    for (size_t i = 0; i < s.size;) {
        uint32_t c = cpv_unicode_next(s, &i);
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);

        if (c == '\t' || c == '\n' || c == '\r' || category == UTF8PROC_CATEGORY_ZS)
            c = ' ';
        else if (c == 0xFFFD || is_control(category))
            continue;
        if (is_cjk(c))
            cpv_buf_byte(out, ' ');
        if (!t->settings.lower)
            cpv_unicode_put(out, c);
        else if (c == 0x130) /* the one whose lower case is two characters */
            cpv_buf_str(out, "i\xCC\x87");
        else
            cpv_unicode_put(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
        if (is_cjk(c))
            cpv_buf_byte(out, ' ');
    }
}

/* NFC, or without case NFD less its nonspacing marks. */
static int fold(const cpv_wordpiece *t, struct cpv_bytes s, struct cpv_buf *out,
                struct cpv_err *err)
{
    utf8proc_option_t how = t->settings.lower ? UTF8PROC_DECOMPOSE : UTF8PROC_COMPOSE;
    utf8proc_uint8_t *text = NULL;
    utf8proc_ssize_t n =
        utf8proc_map(s.data, (utf8proc_ssize_t)s.size, &text, UTF8PROC_STABLE | how);
    struct cpv_bytes folded = cpv_bytes_of(text, n > 0 ? (size_t)n : 0);

    for (size_t i = 0; i < folded.size;) {
        uint32_t c = cpv_unicode_next(folded, &i);

        if (!t->settings.lower ||
            utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_MN)
            cpv_unicode_put(out, c);
    }
    free(text); /* lint: allow free: utf8proc's memory */
    return n < 0 || out->failed ? cpv_fail_memory(err) : CPV_OK;
}

/* ---- encoding ---- */

struct encoding {
    const cpv_wordpiece *t;
    struct cpv_ids *ids;
    struct cpv_buf clean, folded, piece;
};

static size_t characters(struct cpv_bytes s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.size; i++)
        n += (s.data[i] & 0xC0) != 0x80;
    return n;
}

/* The longest piece that begins at `from`: its end; `from` if there is none. */
static size_t longest(struct encoding *e, struct cpv_bytes word, size_t from, int32_t *id)
{
    size_t mark = from > 0 ? 2 : 0; /* "##" */

    cpv_buf_clear(&e->piece);
    cpv_buf_add(&e->piece, "##", mark);
    cpv_buf_add(&e->piece, word.data + from, word.size - from);
    for (size_t end = word.size; !e->piece.failed && end > from; end--) {
        if (end < word.size && (word.data[end] & 0xC0) == 0x80)
            continue;
        *id = cpv_vocab_id(e->t->vocab, cpv_bytes_of(e->piece.data, mark + (end - from)));
        if (*id >= 0)
            return end;
    }
    return from;
}

static void encode_word(struct encoding *e, struct cpv_bytes word)
{
    size_t before = e->ids->count, at = 0, end;
    int32_t id = -1;

    if (characters(word) > WORD_MAX) {
        cpv_ids_add(e->ids, id_of_role(e->t, CPV_TOKEN_UNK));
        return;
    }
    for (; at < word.size; at = end) {
        if ((end = longest(e, word, at, &id)) == at) {
            e->ids->count = before;
            cpv_ids_add(e->ids, id_of_role(e->t, CPV_TOKEN_UNK));
            return;
        }
        cpv_ids_add(e->ids, id);
    }
}

/* Words end at blanks, and each punctuation character is one. */
static void encode_words(struct encoding *e, struct cpv_bytes s)
{
    size_t from = 0;

    for (size_t i = 0; i < s.size;) {
        size_t start = i;
        uint32_t c = cpv_unicode_next(s, &i);
        bool punctuation = is_punctuation(c);

        if (!punctuation && !cpv_unicode_is_space(c))
            continue;
        encode_word(e, cpv_bytes_of(s.data + from, start - from));
        if (punctuation)
            encode_word(e, cpv_bytes_of(s.data + start, i - start));
        from = i;
    }
    encode_word(e, cpv_bytes_of(s.data + from, s.size - from));
}

static int encode_segment(struct encoding *e, struct cpv_bytes text, struct cpv_err *err)
{
    int rc;

    cpv_buf_clear(&e->clean);
    cpv_buf_clear(&e->folded);
    clean(e->t, text, &e->clean);
    if (e->clean.failed)
        return cpv_fail_memory(err);
    if (e->clean.size == 0)
        return CPV_OK;
    if ((rc = fold(e->t, cpv_buf_view(&e->clean), &e->folded, err)))
        return rc;
    encode_words(e, cpv_buf_view(&e->folded));
    return e->piece.failed ? cpv_fail_memory(err) : CPV_OK;
}

int cpv_wordpiece_encode(const cpv_wordpiece *t, struct cpv_bytes text,
                         struct cpv_ids *ids, struct cpv_err *err)
{
    struct encoding e = {.t = t, .ids = ids};
    struct cpv_buf room = {0};
    struct cpv_added_walk w =
        cpv_added_walk(&t->settings.added, cpv_unicode_replace(text, &room));
    enum cpv_added_what what;
    int rc = room.failed ? cpv_fail_memory(err) : CPV_OK;

    cpv_ids_add(ids, id_of_role(t, CPV_TOKEN_CLS));
    while (!rc && (what = cpv_added_next(&w)) != CPV_ADDED_END) {
        if (what == CPV_ADDED_TOKEN)
            cpv_ids_add(ids, w.token->id);
        else
            rc = encode_segment(&e, w.segment, err);
    }
    cpv_ids_add(ids, id_of_role(t, CPV_TOKEN_SEP));
    if (!rc && ids->failed)
        rc = cpv_fail_memory(err);
    cpv_buf_release(&room);
    cpv_buf_release(&e.clean);
    cpv_buf_release(&e.folded);
    cpv_buf_release(&e.piece);
    return rc;
}

/* ---- decoding ---- */

/* " ##" joins what stands on both sides of it. */
static void put_token(struct cpv_bytes token, bool first, struct cpv_buf *out)
{
    bool joined = !first && token.size >= 2 && memcmp(token.data, "##", 2) == 0;

    if (!first && !joined)
        cpv_buf_byte(out, ' ');
    cpv_buf_add(out, token.data + (joined ? 2 : 0), token.size - (joined ? 2 : 0));
}

int cpv_wordpiece_decode(const cpv_wordpiece *t, const int32_t *ids, size_t n,
                         struct cpv_buf *out, struct cpv_err *err)
{
    struct cpv_buf room = {0};
    size_t from = out->size;
    struct cpv_bytes text;
    bool first = true;
    int rc = CPV_OK;

    for (size_t i = 0; i < n; i++) {
        const struct cpv_added_token *added = cpv_added_by_id(&t->settings.added, ids[i]);
        struct cpv_bytes token = added ? added->text : cpv_vocab_text(t->vocab, ids[i]);

        if (!token.data || (added && added->special))
            continue;
        put_token(token, first, &room);
        first = false;
    }
    text = cpv_unicode_strip(cpv_buf_view(&room));
    cpv_buf_add(out, text.data, text.size);
    if (t->settings.clean_up || !t->settings.has_clean_up)
        cpv_cleanup(out, from);
    if (room.failed || out->failed)
        rc = cpv_fail_memory(err);
    cpv_buf_release(&room);
    return rc;
}
