/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See bpe.h; tokenization_gpt2.py. Symbols (bytes and what merges make of them) are
 * numbered by a vocabulary of their own; the table of merges is keyed by two numbers.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/text/bpe.h"

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/text/cleanup.h"
#include "common/text/settings.h"
#include "common/text/unicode.h"
#include "common/text/vocab.h"

enum { MAX_FILE = 64 << 20, MAX_MERGES = 1 << 20, NO_MERGE = INT32_MAX };

struct merge {
    uint64_t pair; /* left << 32 | right, + 1; 0: free */
    int32_t rank, symbol;
};

struct cpv_bpe {
    struct cpv_text_settings settings;
    cpv_vocab *vocab, *symbols;
    struct merge *merges;
    size_t mask, count;
    int32_t *ids;        /* by symbol */
    uint16_t chars[256]; /* how a byte is written in the files */
    int16_t bytes[512];  /* the reverse, -1: no byte */
    pcre2_code *pattern;
};

/* ---- bytes ---- */

/* Bytes that print stand for themselves; the others follow from U+0100 on. */
static void fill_bytes(cpv_bpe *t)
{
    uint16_t next = 256;

    memset(t->bytes, 0xFF, sizeof t->bytes);
    for (unsigned b = 0; b < 256; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;

        t->chars[b] = prints ? (uint16_t)b : next++;
        t->bytes[t->chars[b]] = (int16_t)b;
    }
}

/* ---- merges ---- */

static struct merge *find_merge(const cpv_bpe *t, int32_t left, int32_t right)
{
    uint64_t pair = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1;
    size_t i = (size_t)(pair * 0x9E3779B97F4A7C15u >> 20) & t->mask;

    while (t->merges[i].pair && t->merges[i].pair != pair)
        i = (i + 1) & t->mask;
    return t->merges + i;
}

static int symbol_of(cpv_bpe *t, struct cpv_bytes text, int32_t *symbol,
                     struct cpv_err *err)
{
    *symbol = cpv_vocab_id(t->symbols, text);
    if (*symbol >= 0)
        return CPV_OK;
    *symbol = cpv_vocab_end(t->symbols);
    return cpv_vocab_put(t->symbols, text, *symbol, err);
}

/* Two symbols with a blank between. Equal lines: the last one's rank counts. */
static int add_merge(cpv_bpe *t, struct cpv_bytes line, int32_t rank, struct cpv_err *err)
{
    const uint8_t *blank = line.size > 0 ? memchr(line.data, ' ', line.size) : NULL;
    struct cpv_buf whole = {0};
    struct cpv_bytes left, right;
    int32_t a, b, both;
    struct merge *m;
    int rc;

    if (!blank || blank == line.data || blank + 1 == line.data + line.size)
        return cpv_fail(err, CPV_E_INPUT, "expected two symbols");
    left = cpv_bytes_of(line.data, (size_t)(blank - line.data));
    right = cpv_bytes_of(blank + 1, line.size - left.size - 1);
    cpv_buf_add(&whole, left.data, left.size);
    cpv_buf_add(&whole, right.data, right.size);
    rc = whole.failed ? cpv_fail_memory(err) : CPV_OK;
    if (!rc && !(rc = symbol_of(t, left, &a, err)) &&
        !(rc = symbol_of(t, right, &b, err)) &&
        !(rc = symbol_of(t, cpv_buf_view(&whole), &both, err))) {
        m = find_merge(t, a, b);
        *m = (struct merge){((uint64_t)(uint32_t)a << 32 | (uint32_t)b) + 1, rank, both};
    }
    cpv_buf_release(&whole);
    return rc;
}

/*
 * As GPT2Tokenizer reads the file: its first line is a heading, and what stands behind
 * the last line's end (or the last line, where that has none) is not read.
 */
static int read_merges(cpv_bpe *t, struct cpv_bytes text, const char *path,
                       struct cpv_err *err)
{
    const uint8_t *at = text.data ? text.data : (const uint8_t *)"", *stop,
                  *end = at + text.size;
    size_t lines = 0, slots = 1024;
    int rc;

    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    if (lines > MAX_MERGES)
        return cpv_fail(err, CPV_E_INPUT, "'%s': more than %d merges", path, MAX_MERGES);
    while (slots < lines * 2)
        slots *= 2;
    if (!(t->merges = cpv_calloc(slots, sizeof *t->merges)))
        return cpv_fail_memory(err);
    t->mask = slots - 1;
    for (int32_t rank = -1; at < end && (stop = memchr(at, '\n', (size_t)(end - at)));
         rank++, at = stop + 1) {
        struct cpv_bytes line = cpv_bytes_of(at, (size_t)(stop - at));

        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        if (rank >= 0 && line.size > 0 && (rc = add_merge(t, line, rank, err)))
            return cpv_err_add(err, "'%s' line %d", path, (int)rank + 2);
    }
    return CPV_OK;
}

/* ---- opening ---- */

static int open_symbols(cpv_bpe *t, struct cpv_err *err)
{
    struct cpv_buf lines = {0};
    int rc;

    /* Symbol b is byte b. */
    for (unsigned b = 0; b < 256; b++) {
        cpv_unicode_put(&lines, t->chars[b]);
        cpv_buf_byte(&lines, '\n');
    }
    rc = lines.failed
             ? cpv_fail_memory(err)
             : cpv_vocab_read_lines(&t->symbols, cpv_buf_view(&lines), "bytes", err);
    cpv_buf_release(&lines);
    return rc;
}

static int open_files(cpv_bpe *t, const char *folder, struct cpv_err *err)
{
    char *vocab = cpv_arena_printf(t->settings.arena, "%s/vocab.json", folder);
    char *merges = cpv_arena_printf(t->settings.arena, "%s/merges.txt", folder);
    struct cpv_buf text = {0};
    int rc;

    if (!vocab || !merges)
        return cpv_fail_memory(err);
    if ((rc = cpv_vocab_open_json(&t->vocab, vocab, err)))
        return rc;
    if ((rc = cpv_text_settings_bind(&t->settings, t->vocab, err))) {
        cpv_err_add(err, "'%s'", vocab);
        return rc;
    }
    rc = cpv_file_read(merges, MAX_FILE, &text, err);
    if (!rc)
        rc = read_merges(t, cpv_buf_view(&text), merges, err);
    cpv_buf_release(&text);
    return rc;
}

static int map_symbols(cpv_bpe *t, struct cpv_err *err)
{
    int32_t n = cpv_vocab_end(t->symbols);

    if (!(t->ids = cpv_calloc((size_t)n, sizeof *t->ids)))
        return cpv_fail_memory(err);
    for (int32_t i = 0; i < n; i++) {
        t->ids[i] = cpv_vocab_id(t->vocab, cpv_vocab_text(t->symbols, i));
        if (t->ids[i] < 0)
            t->ids[i] = t->settings.named[CPV_TOKEN_UNK].id;
    }
    return CPV_OK;
}

static int open_pattern(cpv_bpe *t, struct cpv_err *err)
{
/* White space as Python's regular expressions have it: PCRE2's \s has U+180E too. */
#define SPACE                                                                            \
    "\\x09-\\x0D\\x20\\x85\\xA0\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"  \
    "\\x{205F}\\x{3000}"
    static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+"
                                  "| ?[^" SPACE "\\p{L}\\p{N}]+"
                                  "|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";
    PCRE2_SIZE where;
    int code;

    t->pattern =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &code, &where, NULL);
    if (!t->pattern)
        return cpv_fail_memory(err);
    /* Without it matching is slower and the same. */
    (void)pcre2_jit_compile(t->pattern, PCRE2_JIT_COMPLETE);
    return CPV_OK;
}

int cpv_bpe_open(cpv_bpe **out, const char *folder, struct cpv_err *err)
{
    static const char *const names[CPV_TOKEN_ROLES] = {
        [CPV_TOKEN_BOS] = "<|endoftext|>",
        [CPV_TOKEN_EOS] = "<|endoftext|>",
        [CPV_TOKEN_UNK] = "<|endoftext|>",
    };
    cpv_bpe *t = cpv_calloc(1, sizeof *t);
    int rc;

    *out = NULL;
    if (!t)
        return cpv_fail_memory(err);
    fill_bytes(t);
    if ((rc = cpv_text_settings_read(&t->settings, folder, names, err)) ||
        (rc = open_symbols(t, err)) || (rc = open_files(t, folder, err)) ||
        (rc = map_symbols(t, err)) || (rc = open_pattern(t, err))) {
        cpv_bpe_close(&t);
        return rc;
    }
    *out = t;
    return CPV_OK;
}

void cpv_bpe_close(cpv_bpe **t)
{
    if (!*t)
        return;
    pcre2_code_free((*t)->pattern);
    cpv_vocab_close(&(*t)->vocab);
    cpv_vocab_close(&(*t)->symbols);
    cpv_text_settings_release(&(*t)->settings);
    cpv_free((*t)->merges);
    cpv_free((*t)->ids);
    cpv_free(*t);
    *t = NULL;
}

int32_t cpv_bpe_id(const cpv_bpe *t, struct cpv_bytes token)
{
    return cpv_vocab_id(t->vocab, token);
}

/* ---- encoding ---- */

struct encoding {
    const cpv_bpe *t;
    struct cpv_ids *ids;
    struct cpv_ids word, ranks; /* symbols; rank of each with the one behind it */
    pcre2_match_data *match;
};

static int32_t rank_at(const struct encoding *e, size_t i, size_t n)
{
    const struct merge *m;

    if (i + 1 >= n)
        return NO_MERGE;
    m = find_merge(e->t, e->word.data[i], e->word.data[i + 1]);
    return m->pair ? m->rank : NO_MERGE;
}

/* Every pair of the best rank is merged, from the left; the new length. */
static size_t merge_round(struct encoding *e, size_t n, int32_t best)
{
    int32_t *word = e->word.data, *ranks = e->ranks.data;
    size_t to = 0;

    for (size_t i = 0; i < n; to++) {
        bool merge = ranks[i] == best && i + 1 < n;

        word[to] = merge ? find_merge(e->t, word[i], word[i + 1])->symbol : word[i];
        ranks[to] = merge ? -1 : ranks[i];
        i += merge ? 2 : 1;
    }
    for (size_t i = 0; i < to; i++) {
        if (ranks[i] == -1 || i + 1 == to || ranks[i + 1] == -1)
            ranks[i] = ranks[i] == -1 ? -2 : rank_at(e, i, to);
    }
    for (size_t i = 0; i < to; i++) {
        if (ranks[i] == -2)
            ranks[i] = rank_at(e, i, to);
    }
    return to;
}

static int encode_word(struct encoding *e, struct cpv_bytes s, struct cpv_err *err)
{
    size_t n = s.size;
    int32_t best;

    cpv_ids_clear(&e->word);
    cpv_ids_clear(&e->ranks);
    for (size_t i = 0; i < n; i++) {
        cpv_ids_add(&e->word, s.data[i]);
        cpv_ids_add(&e->ranks, 0);
    }
    if (e->word.failed || e->ranks.failed)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++)
        e->ranks.data[i] = rank_at(e, i, n);
    for (;;) {
        best = NO_MERGE;
        for (size_t i = 0; i + 1 < n; i++) {
            if (e->ranks.data[i] < best)
                best = e->ranks.data[i];
        }
        if (best == NO_MERGE)
            break;
        n = merge_round(e, n, best);
    }
    for (size_t i = 0; i < n; i++)
        cpv_ids_add(e->ids, e->t->ids[e->word.data[i]]);
    return CPV_OK;
}

static int encode_segment(struct encoding *e, struct cpv_bytes s, struct cpv_err *err)
{
    size_t at = 0;

    while (at < s.size) {
        int n = pcre2_match(e->t->pattern, s.data, s.size, at, PCRE2_NO_UTF_CHECK,
                            e->match, NULL);
        const PCRE2_SIZE *place = pcre2_get_ovector_pointer(e->match);
        int rc;

        if (n == PCRE2_ERROR_NOMEMORY)
            return cpv_fail_memory(err);
        if (n < 0) /* of any text something matches, at every place */
            return cpv_fail(err, CPV_E_BUG, "the pattern of words fails with %d", n);
        if ((rc = encode_word(e, cpv_bytes_of(s.data + place[0], place[1] - place[0]),
                              err)))
            return rc;
        at = place[1];
    }
    return CPV_OK;
}

int cpv_bpe_encode(const cpv_bpe *t, struct cpv_bytes text, struct cpv_ids *ids,
                   struct cpv_err *err)
{
    struct encoding e = {.t = t, .ids = ids};
    struct cpv_buf room = {0}, prefixed = {0};
    struct cpv_added_walk w;
    enum cpv_added_what what;
    int rc = CPV_OK;

    text = cpv_unicode_replace(text, &room);
    if (t->settings.prefix_space) {
        cpv_buf_byte(&prefixed, ' ');
        cpv_buf_add(&prefixed, text.data, text.size);
        text = cpv_buf_view(&prefixed);
    }
    e.match = pcre2_match_data_create(1, NULL);
    if (!e.match || room.failed || prefixed.failed)
        rc = cpv_fail_memory(err);
    if (t->settings.add_bos)
        cpv_ids_add(ids, t->settings.named[CPV_TOKEN_BOS].id);
    w = cpv_added_walk(&t->settings.added, text);
    while (!rc && (what = cpv_added_next(&w)) != CPV_ADDED_END) {
        if (what == CPV_ADDED_TOKEN)
            cpv_ids_add(ids, w.token->id);
        else
            rc = encode_segment(&e, w.segment, err);
    }
    if (!rc && ids->failed)
        rc = cpv_fail_memory(err);
    pcre2_match_data_free(e.match);
    cpv_ids_release(&e.word);
    cpv_ids_release(&e.ranks);
    cpv_buf_release(&room);
    cpv_buf_release(&prefixed);
    return rc;
}

/* ---- decoding ---- */

static void put_bytes(const cpv_bpe *t, struct cpv_bytes token, struct cpv_buf *out)
{
    for (size_t i = 0; i < token.size;) {
        uint32_t c = cpv_unicode_next(token, &i);

        if (c < CPV_COUNT(t->bytes) && t->bytes[c] >= 0)
            cpv_buf_byte(out, (uint8_t)t->bytes[c]);
    }
}

struct decoding {
    struct cpv_buf bytes, room;
    struct cpv_buf *out;
    bool begun; /* a part stands in out: a blank comes between */
};

static void put_part(struct decoding *d, struct cpv_bytes text)
{
    if (d->begun)
        cpv_buf_byte(d->out, ' ');
    cpv_buf_add(d->out, text.data, text.size);
    d->begun = true;
}

static void end_run(struct decoding *d)
{
    if (d->bytes.size > 0)
        put_part(d, cpv_unicode_replace(cpv_buf_view(&d->bytes), &d->room));
    cpv_buf_clear(&d->bytes);
}

int cpv_bpe_decode(const cpv_bpe *t, const int32_t *ids, size_t n, struct cpv_buf *out,
                   struct cpv_err *err)
{
    struct decoding d = {.out = out};
    size_t from = out->size;
    bool failed = false;

    for (size_t i = 0; i < n; i++) {
        const struct cpv_added_token *added = cpv_added_by_id(&t->settings.added, ids[i]);

        if (!added) {
            put_bytes(t, cpv_vocab_text(t->vocab, ids[i]), &d.bytes);
        } else if (!added->special) {
            failed |= d.bytes.failed;
            end_run(&d);
            put_part(&d, added->text);
        }
    }
    failed |= d.bytes.failed;
    end_run(&d);
    if (t->settings.clean_up)
        cpv_cleanup(out, from);
    failed |= d.room.failed || out->failed;
    cpv_buf_release(&d.bytes);
    cpv_buf_release(&d.room);
    return failed ? cpv_fail_memory(err) : CPV_OK;
}
