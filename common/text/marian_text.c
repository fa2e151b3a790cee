/* SPDX-License-Identifier: Apache-2.0 */
/* See marian_text.h; tokenization_marian.py and tokenization_utils.py of transformers. */
#include "common/text/marian_text.h"

#include "common/base/sys.h"
#include "common/text/cleanup.h"
#include "common/text/sentencepiece.h"
#include "common/text/settings.h"
#include "common/text/unicode.h"
#include "common/text/vocab.h"

static const char BLANK[] = "\xE2\x96\x81"; /* U+2581 */

enum kind { PIECE, SPECIAL, ADDED }; /* what to do with an id in decoding */

struct cpv_marian_text {
    struct cpv_text_settings settings;
    cpv_sentencepiece *source, *target;
    cpv_vocab *source_vocab, *target_vocab; /* the same one unless they are separate */
    int32_t *ids;                           /* by number of a source piece */
    int32_t source_unknown;                 /* number of source's unknown piece */
    int32_t eos, pad, unknown;
    struct {
        struct cpv_bytes text;
        uint8_t kind;
    } * tokens; /* by id, for decoding */
    int32_t tokens_count;
};

/* ---- opening ---- */

static int open_files(cpv_marian_text *t, const char *folder, struct cpv_err *err)
{
    cpv_arena *a = t->settings.arena;
    char *source = cpv_arena_printf(a, "%s/source.spm", folder);
    char *target = cpv_arena_printf(a, "%s/target.spm", folder);
    char *vocab = cpv_arena_printf(a, "%s/vocab.json", folder);
    char *other = cpv_arena_printf(a, "%s/target_vocab.json", folder);
    int rc;

    if (!source || !target || !vocab || !other)
        return cpv_fail_memory(err);
    if ((rc = cpv_sentencepiece_open(&t->source, source, err)) ||
        (rc = cpv_sentencepiece_open(&t->target, target, err)) ||
        (rc = cpv_vocab_open_json(&t->source_vocab, vocab, err)))
        return rc;
    if (t->settings.separate_vocabs)
        return cpv_vocab_open_json(&t->target_vocab, other, err);
    t->target_vocab = t->source_vocab;
    return CPV_OK;
}

static int32_t id_of(const cpv_marian_text *t, struct cpv_bytes token)
{
    const struct cpv_added_token *added = cpv_added_by_text(&t->settings.added, token);
    int32_t id = added ? added->id : cpv_vocab_id(t->source_vocab, token);

    return id < 0 ? t->unknown : id;
}

/* Most pieces are known by their number, without a look at their text. */
static int map_pieces(cpv_marian_text *t, struct cpv_err *err)
{
    int32_t n = cpv_sentencepiece_count(t->source);

    if (!(t->ids = cpv_calloc((size_t)n, sizeof *t->ids)))
        return cpv_fail_memory(err);
    for (int32_t i = 0; i < n; i++)
        t->ids[i] = id_of(t, cpv_sentencepiece_piece(t->source, i));
    t->source_unknown = cpv_sentencepiece_unknown(t->source);
    return CPV_OK;
}

static void set_token(cpv_marian_text *t, int32_t id, struct cpv_bytes text)
{
    const struct cpv_added_token *added = cpv_added_by_text(&t->settings.added, text);

    t->tokens[id].text = text;
    t->tokens[id].kind = !added ? PIECE : added->special ? SPECIAL : ADDED;
}

/* Added tokens have the ids of the source side, and come first on the target side too. */
static int map_tokens(cpv_marian_text *t, struct cpv_err *err)
{
    const struct cpv_added *added = &t->settings.added;
    int32_t n = cpv_vocab_end(t->target_vocab);

    for (size_t i = 0; i < added->count; i++) {
        if (added->list[i].id >= n)
            n = added->list[i].id + 1;
    }
    if (!(t->tokens = cpv_calloc((size_t)n, sizeof *t->tokens)))
        return cpv_fail_memory(err);
    t->tokens_count = n;
    for (int32_t i = 0; i < n; i++) {
        struct cpv_bytes text = cpv_vocab_text(t->target_vocab, i);

        if (text.data)
            set_token(t, i, text);
        else
            t->tokens[i].kind = SPECIAL; /* is <unk> */
    }
    for (size_t i = 0; i < added->count; i++)
        set_token(t, added->list[i].id, added->list[i].text);
    return CPV_OK;
}

static int open_all(cpv_marian_text *t, const char *folder, struct cpv_err *err)
{
    static const char *const names[CPV_TOKEN_ROLES] = {
        [CPV_TOKEN_EOS] = "</s>", [CPV_TOKEN_UNK] = "<unk>", [CPV_TOKEN_PAD] = "<pad>"};
    int rc;

    if ((rc = cpv_text_settings_read(&t->settings, folder, names, err)) ||
        (rc = open_files(t, folder, err)))
        return rc;
    if ((rc = cpv_text_settings_bind(&t->settings, t->source_vocab, err))) {
        cpv_err_add(err, "'%s/vocab.json'", folder);
        return rc;
    }
    t->eos = t->settings.named[CPV_TOKEN_EOS].id;
    t->pad = t->settings.named[CPV_TOKEN_PAD].id;
    t->unknown = t->settings.named[CPV_TOKEN_UNK].id;
    if ((rc = map_pieces(t, err)))
        return rc;
    return map_tokens(t, err);
}

int cpv_marian_text_open(cpv_marian_text **out, const char *folder, struct cpv_err *err)
{
    cpv_marian_text *t = cpv_calloc(1, sizeof *t);
    int rc;

    *out = NULL;
    if (!t)
        return cpv_fail_memory(err);
    if ((rc = open_all(t, folder, err))) {
        cpv_marian_text_close(&t);
        return rc;
    }
    *out = t;
    return CPV_OK;
}

void cpv_marian_text_close(cpv_marian_text **t)
{
    cpv_marian_text *x = *t;

    if (!x)
        return;
    if (x->target_vocab == x->source_vocab)
        x->target_vocab = NULL;
    cpv_vocab_close(&x->source_vocab);
    cpv_vocab_close(&x->target_vocab);
    cpv_sentencepiece_close(&x->source);
    cpv_sentencepiece_close(&x->target);
    cpv_text_settings_release(&x->settings);
    cpv_free(x->ids);
    cpv_free(x->tokens);
    cpv_free(x);
    *t = NULL;
}

/* ---- encoding ---- */

struct encoding {
    const cpv_marian_text *t;
    struct cpv_ids *ids;
};

static void take_piece(void *user, int32_t number, struct cpv_bytes text)
{
    struct encoding *e = user;

    /* What the model does not know may be in the vocabulary all the same. */
    cpv_ids_add(e->ids,
                number == e->t->source_unknown ? id_of(e->t, text) : e->t->ids[number]);
}

/* The bytes of a label ">>xxx<<" with which the text begins; 0 if there is none. */
static size_t label_size(struct cpv_bytes text)
{
    const uint8_t *end;

    if (text.size < 4 || memcmp(text.data, ">>", 2) != 0)
        return 0;
    end = memmem(text.data, text.size, "<<", 2);
    return end ? (size_t)(end - text.data) + 2 : 0;
}

static int encode_segment(struct encoding *e, struct cpv_bytes text, struct cpv_err *err)
{
    size_t label = label_size(text);

    if (label > 0)
        cpv_ids_add(e->ids, id_of(e->t, cpv_bytes_of(text.data, label)));
    text = cpv_bytes_of(text.data + label, text.size - label);
    return cpv_sentencepiece_encode(e->t->source, text, take_piece, e, err);
}

int cpv_marian_text_encode(const cpv_marian_text *t, struct cpv_bytes text,
                           struct cpv_ids *ids, struct cpv_err *err)
{
    struct encoding e = {t, ids};
    struct cpv_buf room = {0};
    struct cpv_added_walk w =
        cpv_added_walk(&t->settings.added, cpv_unicode_replace(text, &room));
    enum cpv_added_what what;
    int rc = room.failed ? cpv_fail_memory(err) : CPV_OK;

    while (!rc && (what = cpv_added_next(&w)) != CPV_ADDED_END) {
        if (what == CPV_ADDED_TOKEN)
            cpv_ids_add(ids, w.token->id);
        else
            rc = encode_segment(&e, w.segment, err);
    }
    cpv_ids_add(ids, t->eos);
    if (!rc && ids->failed)
        rc = cpv_fail_memory(err);
    cpv_buf_release(&room);
    return rc;
}

/* ---- decoding ---- */

struct decoding {
    const cpv_marian_text *t;
    struct cpv_bytes *pieces; /* the run under way */
    size_t count;
    struct cpv_buf *out, *room;
    bool begun; /* something stands in out already: a blank comes between */
};

static void put_part(struct decoding *d, struct cpv_bytes text)
{
    if (d->begun)
        cpv_buf_byte(d->out, ' ');
    cpv_buf_add(d->out, text.data, text.size);
    d->begun = true;
}

/* Pieces keep U+2581 where the library leaves it standing, inside of unknown ones. */
static int end_run(struct decoding *d, bool last, struct cpv_err *err)
{
    struct cpv_buf *room = d->room;
    struct cpv_bytes text;
    uint8_t *at;
    int rc;

    if (d->count == 0)
        return CPV_OK;
    cpv_buf_clear(room);
    if ((rc = cpv_sentencepiece_decode(d->t->target, d->pieces, d->count, room, err)))
        return rc;
    d->count = 0;
    while (room->size > 0 && (at = memmem(room->data, room->size, BLANK, 3))) {
        *at = ' ';
        memmove(at + 1, at + 3, room->size - (size_t)(at + 3 - room->data));
        room->size -= 2;
    }
    text = cpv_unicode_strip(cpv_buf_view(room));
    if (text.size > 0 || last)
        put_part(d, text);
    return CPV_OK;
}

static int decode_id(struct decoding *d, int32_t id, struct cpv_err *err)
{
    const cpv_marian_text *t = d->t;
    int rc;

    if (id < 0 || id >= t->tokens_count || t->tokens[id].kind == SPECIAL)
        return CPV_OK;
    if (t->tokens[id].kind == PIECE) {
        d->pieces[d->count++] = t->tokens[id].text;
        return CPV_OK;
    }
    rc = end_run(d, false, err);
    if (!rc)
        put_part(d, t->tokens[id].text);
    return rc;
}

int cpv_marian_text_decode(const cpv_marian_text *t, const int32_t *ids, size_t n,
                           struct cpv_buf *out, struct cpv_err *err)
{
    struct cpv_buf room = {0};
    struct decoding d = {.t = t, .out = out, .room = &room};
    size_t from = out->size;
    int rc = CPV_OK;

    if (!(d.pieces = cpv_calloc(n, sizeof *d.pieces)))
        return cpv_fail_memory(err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = decode_id(&d, ids[i], err);
    if (!rc)
        rc = end_run(&d, true, err);
    if (!rc && t->settings.clean_up)
        cpv_cleanup(out, from);
    if (!rc && out->failed)
        rc = cpv_fail_memory(err);
    cpv_buf_release(&room);
    cpv_free(d.pieces);
    return rc;
}

/* ---- asking ---- */

int32_t cpv_marian_text_eos(const cpv_marian_text *t)
{
    return t->eos;
}

int32_t cpv_marian_text_pad(const cpv_marian_text *t)
{
    return t->pad;
}

int32_t cpv_marian_text_unknown(const cpv_marian_text *t)
{
    return t->unknown;
}

int32_t cpv_marian_text_size(const cpv_marian_text *t)
{
    return cpv_vocab_end(t->source_vocab);
}

int32_t cpv_marian_text_id(const cpv_marian_text *t, struct cpv_bytes token)
{
    return cpv_vocab_id(t->source_vocab, token);
}
