/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outcomes as journal payloads:
 *
 *   u32 index | u8 flags (1 ok, 2 transient, 4 kept) | str key ("" if made from the
 * number) not ok:  str status | str detail ok:      sha256 | u8 members | per member: str
 * ext, u32 size | bytes of each
 *
 * str: u16 size and bytes. Not a public format: a journal lives from one run to the
 * next of the same program.
 */
#include "stages/fetch/fetch.h"

static void put_str(struct cpv_buf *out, const char *s)
{
    size_t n = strnlen(s, UINT16_MAX);

    cpv_buf_u16(out, (uint16_t)n);
    cpv_buf_add(out, s, n);
}

void fetch_outcome_encode(const struct fetch_outcome *o, struct cpv_buf *out)
{
    cpv_buf_u32(out, o->index);
    cpv_buf_byte(out, (uint8_t)(o->ok | o->transient << 1 | o->kept << 2));
    put_str(out, o->key ? o->key : "");
    if (!o->ok) {
        put_str(out, o->status);
        put_str(out, o->detail ? o->detail : "");
        return;
    }
    cpv_buf_add(out, o->sha256, sizeof o->sha256);
    cpv_buf_byte(out, (uint8_t)o->n_members);
    for (size_t i = 0; i < o->n_members; i++) {
        put_str(out, o->members[i].ext);
        cpv_buf_u32(out, (uint32_t)o->members[i].data.size);
    }
    for (size_t i = 0; i < o->n_members; i++)
        cpv_buf_add(out, o->members[i].data.data, o->members[i].data.size);
}

static const char *get_str(struct cpv_cursor *c, cpv_arena *mem)
{
    struct cpv_bytes b = cpv_get_bytes(c, cpv_get_u16(c));
    char *s = c->failed ? NULL : cpv_arena_str(mem, b);

    if (!s)
        c->failed = true;
    return s;
}

static void decode_members(struct cpv_cursor *c, cpv_arena *mem,
                           struct fetch_outcome *out)
{
    struct cpv_bytes digest = cpv_get_bytes(c, sizeof out->sha256);

    out->n_members = cpv_get_u8(c);
    if (c->failed || out->n_members > FETCH_MEMBERS_MAX) {
        c->failed = true;
        return;
    }
    memcpy(out->sha256, digest.data, sizeof out->sha256);
    for (size_t i = 0; i < out->n_members; i++) {
        out->members[i].ext = get_str(c, mem);
        out->members[i].data.size = cpv_get_u32(c);
    }
    for (size_t i = 0; i < out->n_members && !c->failed; i++)
        out->members[i].data = cpv_get_bytes(c, out->members[i].data.size);
}

int fetch_outcome_decode(struct cpv_bytes payload, cpv_arena *mem,
                         struct fetch_outcome *out, struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(payload);
    uint8_t flags;

    memset(out, 0, sizeof *out);
    out->index = cpv_get_u32(&c);
    flags = cpv_get_u8(&c);
    out->ok = flags & 1;
    out->transient = flags & 2;
    out->kept = flags & 4;
    out->key = get_str(&c, mem);
    if (out->key && !*out->key)
        out->key = NULL;
    if (out->ok) {
        decode_members(&c, mem, out);
    } else {
        out->status = get_str(&c, mem);
        out->detail = get_str(&c, mem);
    }
    if (c.failed || c.at != c.end)
        return cpv_fail(err, CPV_E_CORRUPT, "a journal record is no outcome");
    return CPV_OK;
}
