/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers as records of a part's journal:
 *
 *     u32 index | u64 prepare us | u64 model us | u64 vision us | u16 captions
 *     no captions: u16 size, status | u16 size, detail
 *     each:        u32 prompt | u32 tokens | u8 cut | u32 size, text
 *
 * Not a public format: a journal lives from one run to the next of the same program.
 */
#include "common/format/json.h"
#include "stages/caption/caption.h"

static void put_word(struct cpv_buf *out, const char *s)
{
    size_t n = strnlen(s, UINT16_MAX);

    cpv_buf_u16(out, (uint16_t)n);
    cpv_buf_add(out, s, n);
}

void answer_encode(const struct answer *a, uint32_t index, struct cpv_buf *out)
{
    uint32_t n = a->status ? 0 : a->n;

    cpv_buf_u32(out, index);
    cpv_buf_u64(out, a->prepare_us);
    cpv_buf_u64(out, a->model_us);
    cpv_buf_u64(out, a->vision_us);
    cpv_buf_u16(out, (uint16_t)n);
    if (!n) {
        put_word(out, a->status ? a->status : "");
        put_word(out, a->detail ? a->detail : "");
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct caption *c = &a->captions[i];

        cpv_buf_u32(out, c->prompt);
        cpv_buf_u32(out, c->tokens);
        cpv_buf_byte(out, c->cut);
        cpv_buf_u32(out, (uint32_t)c->text.size);
        cpv_buf_add(out, c->text.data, c->text.size);
    }
}

static const char *get_word(struct cpv_cursor *c, cpv_arena *mem)
{
    struct cpv_bytes b = cpv_get_bytes(c, cpv_get_u16(c));

    return c->failed ? NULL : cpv_arena_str(mem, b);
}

int answer_decode(struct cpv_bytes payload, cpv_arena *mem, struct answer *out,
                  uint32_t *index, struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(payload);

    memset(out, 0, sizeof *out);
    *index = cpv_get_u32(&c);
    out->prepare_us = cpv_get_u64(&c);
    out->model_us = cpv_get_u64(&c);
    out->vision_us = cpv_get_u64(&c);
    out->n = cpv_get_u16(&c);
    if (out->n == 0) {
        out->status = get_word(&c, mem);
        out->detail = get_word(&c, mem);
        if (!c.failed && (!out->status || !out->detail))
            return cpv_fail_memory(err);
        if (!c.failed && !*out->status)
            c.failed = true;
    } else {
        out->captions = cpv_arena_calloc(mem, out->n, sizeof *out->captions);
        if (!out->captions)
            return cpv_fail_memory(err);
    }
    for (uint32_t i = 0; i < out->n && !c.failed; i++) {
        struct caption *one = &out->captions[i];

        one->prompt = cpv_get_u32(&c);
        one->tokens = cpv_get_u32(&c);
        one->cut = cpv_get_u8(&c) != 0;
        one->text = cpv_get_bytes(&c, cpv_get_u32(&c));
    }
    if (c.failed || c.at != c.end)
        return cpv_fail(err, CPV_E_CORRUPT, "a journal record is no answer");
    return CPV_OK;
}

void answer_put_texts(const struct answer *a, struct cpv_json *j)
{
    cpv_json_begin_array(j);
    for (uint32_t i = 0; i < a->n; i++)
        cpv_json_bytes(j, a->captions[i].text);
    cpv_json_end_array(j);
}

void answer_json(const struct answer *a, struct cpv_buf *out)
{
    struct cpv_json j;

    cpv_json_init(&j, out);
    cpv_json_begin_object(&j);
    cpv_json_key(&j, "generated-captions-en");
    answer_put_texts(a, &j);
    cpv_json_end_object(&j);
}
