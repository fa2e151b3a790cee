/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a SentencePiece model must be before the library gets it. The library follows the
 * offsets of the normaliser's tables unchecked and gives up the process on some of what
 * should not be (its CHECK); here all of that is one line.
 *
 * The fields are those of sentencepiece_model.proto; what is not named below is passed
 * over, but must be well-formed.
 */
#include <inttypes.h>
#include <math.h>

#include "common/text/sentencepiece_impl.h"
#include "common/text/unicode.h"

enum {
    MAX_PIECES = 1 << 22,
    MAX_PIECE = 4096, /* bytes of one piece */
    UNKNOWN = 2,      /* kinds of pieces: 1 normal to 6 byte */
    BYTE = 6,
    UNIGRAM = 1, /* kinds of models */
    BPE = 2,
};

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
    uint32_t number;
    unsigned wire;
    uint64_t value;         /* of VARINT, FIXED64 and FIXED32 */
    struct cpv_bytes bytes; /* of BYTES */
};

/* 1 a field, 0 the end, -1 what is no message. */
static int next_field(struct cpv_cursor *c, struct field *f)
{
    uint64_t tag, size;

    if (c->at == c->end)
        return 0;
    tag = cpv_get_varint(c);
    *f = (struct field){.number = (uint32_t)(tag >> 3), .wire = tag & 7};
    if (c->failed || tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF)
        return -1;
    switch (f->wire) {
    case VARINT:
        f->value = cpv_get_varint(c);
        break;
    case FIXED64:
        f->value = cpv_get_u64(c);
        break;
    case FIXED32:
        f->value = cpv_get_u32(c);
        break;
    case BYTES:
        size = cpv_get_varint(c);
        if (c->failed || size > (uint64_t)(c->end - c->at))
            return -1;
        f->bytes = cpv_get_bytes(c, (size_t)size);
        break;
    default: /* groups are not used */
        return -1;
    }
    return c->failed ? -1 : 1;
}

/*
 * The table that replaces characters: u32 bytes of trie, units of 32 bits, then strings
 * that end with 0. A unit without bit 31 that stands at i leads to the 256 units around
 * i ^ offset, and, where bit 8 is set, to a value at i ^ offset, which says where a
 * string begins. It is enough, and holds for tables as they are made, that no unit leads
 * outside.
 */
static const char *check_table(struct cpv_bytes table)
{
    const uint8_t *units;
    size_t size, count, strings;

    if (table.size == 0)
        return NULL;
    if (table.size <= 4)
        return "is cut short";
    size = cpv_load_u32(table.data);
    if (size == 0 || size % 4 != 0 || size >= table.size - 4)
        return "has a wrong size";
    units = table.data + 4;
    count = size / 4;
    strings = table.size - 4 - size;
    if (table.data[table.size - 1] != 0)
        return "does not end with 0";
    for (size_t i = 0; i < count; i++) {
        uint32_t u = cpv_load_u32(units + 4 * i);
        size_t to = i ^ ((size_t)(u >> 10) << ((u & 0x200) >> 6));

        if (i > 0 && (u & 0x80000000))
            continue; /* the root is followed whatever it says */
        if ((to | 0xFF) >= count)
            return "leads outside of itself";
        if ((u & 0x100) && (cpv_load_u32(units + 4 * to) & 0x7FFFFFFF) >= strings)
            return "leads outside of its strings";
    }
    return NULL;
}

struct model {
    const char *name;
    size_t pieces, unknown;
    bool trainer, normaliser, denormaliser; /* seen */
    struct cpv_err *err;
};

static int malformed(const struct model *m, const char *what)
{
    return cpv_fail(m->err, CPV_E_INPUT, "'%s': the %s is not well-formed", m->name,
                    what);
}

static int check_piece(struct model *m, struct cpv_bytes message)
{
    struct cpv_cursor c = cpv_cursor_of(message);
    struct cpv_bytes text = {0};
    uint64_t kind = 1;
    float score = 0;
    struct field f;
    int rc;

    while ((rc = next_field(&c, &f)) > 0) {
        uint32_t bits = (uint32_t)f.value;

        if (f.number == 1 && f.wire == BYTES)
            text = f.bytes;
        else if (f.number == 2 && f.wire == FIXED32)
            memcpy(&score, &bits, sizeof score);
        else if (f.number == 3 && f.wire == VARINT)
            kind = f.value;
        else if (f.number <= 3)
            return malformed(m, "list of pieces");
    }
    if (rc < 0)
        return malformed(m, "list of pieces");
    if (text.size == 0 || text.size > MAX_PIECE || memchr(text.data, 0, text.size))
        return cpv_fail(m->err, CPV_E_INPUT,
                        "'%s': piece %zu: expected 1 to %d bytes of text", m->name,
                        m->pieces, MAX_PIECE);
    if (!(fabsf(score) <= 1e9F) || kind < 1 || kind > BYTE)
        return cpv_fail(m->err, CPV_E_INPUT,
                        "'%s': piece %zu: expected a score and a kind from 1 to 6",
                        m->name, m->pieces);
    m->unknown += kind == UNKNOWN;
    m->pieces++;
    return CPV_OK;
}

static int check_trainer(struct model *m, struct cpv_bytes message)
{
    struct cpv_cursor c = cpv_cursor_of(message);
    struct field f;
    int rc;

    while ((rc = next_field(&c, &f)) > 0) {
        if (f.number == 3 && (f.wire != VARINT || (f.value != UNIGRAM && f.value != BPE)))
            return cpv_fail(m->err, CPV_E_INPUT,
                            "'%s': expected a unigram or BPE model, found kind %" PRIu64,
                            m->name, f.value);
    }
    return rc < 0 ? malformed(m, "trainer's part") : CPV_OK;
}

static int check_normaliser(struct model *m, struct cpv_bytes message)
{
    struct cpv_cursor c = cpv_cursor_of(message);
    const char *fault;
    struct field f;
    int rc;

    while ((rc = next_field(&c, &f)) > 0) {
        if (f.number == 2 && f.wire != BYTES)
            return malformed(m, "normaliser");
        if (f.number == 2 && (fault = check_table(f.bytes)))
            return cpv_fail(m->err, CPV_E_INPUT, "'%s': the table of characters %s",
                            m->name, fault);
    }
    return rc < 0 ? malformed(m, "normaliser") : CPV_OK;
}

/* A part that may come once: two would be merged by the library. */
static int check_part(struct model *m, const struct field *f, bool *seen,
                      int (*check)(struct model *, struct cpv_bytes))
{
    if (*seen)
        return malformed(m, "model (a part comes twice)");
    *seen = true;
    return check(m, f->bytes);
}

static int check_field(struct model *m, const struct field *f)
{
    if (f->number <= 5 && f->wire != BYTES)
        return malformed(m, "model");
    switch (f->number) {
    case 1:
        if (m->pieces >= MAX_PIECES)
            return cpv_fail(m->err, CPV_E_INPUT, "'%s': more than %d pieces", m->name,
                            MAX_PIECES);
        return check_piece(m, f->bytes);
    case 2:
        return check_part(m, f, &m->trainer, check_trainer);
    case 3:
        return check_part(m, f, &m->normaliser, check_normaliser);
    case 5:
        return check_part(m, f, &m->denormaliser, check_normaliser);
    default:
        return CPV_OK;
    }
}

int cpv_spm_check(struct cpv_bytes model, const char *name, struct cpv_err *err)
{
    struct model m = {.name = name, .err = err};
    struct cpv_cursor c = cpv_cursor_of(model);
    struct field f;
    int rc;

    while ((rc = next_field(&c, &f)) > 0) {
        if ((rc = check_field(&m, &f)))
            return rc;
    }
    if (rc < 0 || m.pieces == 0)
        return cpv_fail(err, CPV_E_INPUT, "'%s': is no SentencePiece model", name);
    if (m.unknown != 1)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': expected one piece for unknown text, found %zu", name,
                        m.unknown);
    return CPV_OK;
}
