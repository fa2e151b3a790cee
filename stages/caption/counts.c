/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics of a part. */
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "stages/caption/caption.h"

int counts_init(struct caption_counts *c, uint64_t captions, struct cpv_err *err)
{
    size_t size = 16;

    memset(c, 0, sizeof *c);
    while (size < 2 * captions)
        size *= 2;
    c->seen = cpv_calloc(size, sizeof *c->seen);
    c->mask = size - 1;
    return c->seen ? CPV_OK : cpv_fail_memory(err);
}

void counts_release(struct caption_counts *c)
{
    cpv_free(c->seen);
    c->seen = NULL;
}

/* A digest of 64 bits: of a million captions two are confused once in 40 million parts.
 */
static bool seen_before(struct caption_counts *c, struct cpv_bytes text)
{
    uint64_t h = cpv_xxh64(text.data, text.size, 0);
    size_t at;

    h += h == 0;
    for (at = (size_t)h & c->mask; c->seen[at]; at = (at + 1) & c->mask)
        if (c->seen[at] == h)
            return true;
    c->seen[at] = h;
    return false;
}

void counts_add(struct caption_counts *c, const struct answer *a, bool fresh)
{
    c->prepare_us += a->prepare_us;
    c->model_us += a->model_us;
    c->vision_us += a->vision_us < a->model_us ? a->vision_us : a->model_us;
    c->run_images += fresh;
    if (a->status) {
        c->failed++;
        return;
    }
    c->images++;
    c->captions += a->n;
    for (uint32_t i = 0; i < a->n; i++) {
        c->prompt_tokens += a->captions[i].prompt;
        c->new_tokens += a->captions[i].tokens;
        c->run_tokens += fresh ? a->captions[i].tokens : 0;
        c->cut += a->captions[i].cut;
        c->duplicates += seen_before(c, a->captions[i].text);
    }
}

static double per(double x, double of)
{
    return of > 0 ? x / of : 0;
}

void counts_put(const struct caption_counts *c, struct cpv_buf *out)
{
    cpv_buf_printf(
        out,
        "\"images\":%llu,\"unreadable\":%llu,\"resumed\":%llu,\"captions\":%llu,"
        "\"duplicates\":%llu,\"duplicate_share\":%.4f,\"cut\":%llu,"
        "\"prompt_tokens\":%llu,\"new_tokens\":%llu,",
        (unsigned long long)c->images, (unsigned long long)c->failed,
        (unsigned long long)(c->images + c->failed - c->run_images),
        (unsigned long long)c->captions, (unsigned long long)c->duplicates,
        per((double)c->duplicates, (double)c->captions), (unsigned long long)c->cut,
        (unsigned long long)c->prompt_tokens, (unsigned long long)c->new_tokens);
    cpv_buf_printf(
        out,
        "\"seconds\":%.3f,\"seconds_prepare\":%.3f,\"seconds_vision\":%.3f,"
        "\"seconds_decoding\":%.3f,\"images_per_second\":%.3f,\"tokens_per_second\":%.1f",
        c->run_seconds, (double)c->prepare_us * 1e-6, (double)c->vision_us * 1e-6,
        (double)(c->model_us - c->vision_us) * 1e-6,
        per((double)c->run_images, c->run_seconds),
        per((double)c->run_tokens, c->run_seconds));
}
