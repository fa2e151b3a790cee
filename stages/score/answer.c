/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers as records of a part's journal:
 *
 *     u32 index | u64 decode us | u64 vision us | u16 size, status
 *     a status:  u16 size, detail
 *     none:      the .npy file, to the end
 *
 * Not a public format: a journal lives from one run to the next of the same program.
 */
#include "stages/score/score.h"

static void put_word(struct cpv_buf *out, const char *s)
{
    size_t n = strnlen(s, UINT16_MAX);

    cpv_buf_u16(out, (uint16_t)n);
    cpv_buf_add(out, s, n);
}

void answer_encode(const struct answer *a, uint32_t index, struct cpv_buf *out)
{
    cpv_buf_u32(out, index);
    cpv_buf_u64(out, a->decode_us);
    cpv_buf_u64(out, a->vision_us);
    put_word(out, a->status ? a->status : "");
    if (a->status)
        put_word(out, a->detail ? a->detail : "");
    else
        cpv_buf_add(out, a->array.data, a->array.size);
}

static const char *get_word(struct cpv_cursor *c, cpv_arena *mem)
{
    struct cpv_bytes b = cpv_get_bytes(c, cpv_get_u16(c));

    return c->failed ? "" : cpv_arena_str(mem, b);
}

int answer_decode(struct cpv_bytes payload, cpv_arena *mem, struct answer *out,
                  uint32_t *index, struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(payload);

    memset(out, 0, sizeof *out);
    *index = cpv_get_u32(&c);
    out->decode_us = cpv_get_u64(&c);
    out->vision_us = cpv_get_u64(&c);
    out->status = get_word(&c, mem);
    out->detail = "";
    if (out->status && *out->status)
        out->detail = get_word(&c, mem);
    else if (out->status)
        out->array = cpv_get_bytes(&c, (size_t)(c.end - c.at));
    if (!out->status || !out->detail)
        return cpv_fail_memory(err);
    if (c.failed || c.at != c.end || (!*out->status && !out->array.size))
        return cpv_fail(err, CPV_E_CORRUPT, "a journal record is no answer");
    if (!*out->status)
        out->status = NULL;
    return CPV_OK;
}
