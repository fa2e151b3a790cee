/* SPDX-License-Identifier: Apache-2.0 */
/* See fate.h. */
#include "demo/scenes/fate.h"

#include <string.h>

#include "common/base/size.h"
#include "demo/scenes/dice.h"

const char *const cpv_damage_name[CPV_DAMAGES] = {"none",  "truncated", "html",
                                                  "empty", "noise",     "garbled"};
const char *const cpv_row_kind_name[CPV_ROW_KINDS] = {"plain", "same_content", "same_url",
                                                      "malformed"};
const char *const cpv_way_name[CPV_WAYS] = {"direct", "flaky", "redirect", "missing",
                                            "optout"};
const char *const cpv_outcome_name[CPV_OUTCOMES] = {
    "ok",     "http_4xx",  "optout", "duplicate_url", "duplicate_content",
    "decode", "not_image", "empty",  "bad_row"};

/* Every so many rows. */
enum { EVERY_DAMAGE = 48, EVERY_COPY = 64, EVERY_MISSING = 80, EVERY_OPTOUT = 100 };
/* How far back a duplicate looks for a row to repeat. */
enum { LOOK_BACK = 24 };

static bool due(const struct cpv_fates *all, uint64_t row, uint32_t every)
{
    struct cpv_rng r;

    cpv_rng_init(&r, all->seed, CPV_DICE_LISTS, every);
    return row % every == cpv_rng_below(&r, every);
}

/* The row without regard to duplicates. */
static void choose_single(struct cpv_fate *f, const struct cpv_fates *all, uint64_t row)
{
    struct cpv_rng r;
    int chance;

    memset(f, 0, sizeof *f);
    f->of = row;
    if (all->heldout)
        return;
    cpv_rng_init(&r, all->seed, CPV_DICE_LISTS, row + (UINT64_C(1) << 32));
    chance = (int)cpv_rng_below(&r, 100);
    if (!all->clean && due(all, row, EVERY_DAMAGE))
        f->damage = (enum cpv_damage)(1 + row / EVERY_DAMAGE % (CPV_DAMAGES - 1));
    else if (all->misbehave && due(all, row, EVERY_MISSING))
        f->way = CPV_WAY_MISSING;
    else if (all->misbehave && due(all, row, EVERY_OPTOUT))
        f->way = CPV_WAY_OPTOUT;
    else if (all->misbehave && chance < 5)
        f->way = chance < 1 ? CPV_WAY_FLAKY : CPV_WAY_REDIRECT;
    f->hops = f->way == CPV_WAY_REDIRECT ? cpv_dice_between(&r, 1, 3) : 0;
}

/* The row at 2/3 of the list, but not where its part has only just begun. */
static uint64_t row_of_same_url(const struct cpv_fates *all)
{
    uint64_t row = all->rows * 2 / 3;

    return row % all->part < 4 ? row + 4 : row;
}

static enum cpv_row_kind kind_of(const struct cpv_fates *all, uint64_t row)
{
    if (all->heldout)
        return CPV_ROW_PLAIN;
    if (all->misbehave && all->rows >= 16 && row == all->rows / 3)
        return CPV_ROW_MALFORMED;
    if (all->misbehave && all->rows >= 16 && row == row_of_same_url(all))
        return CPV_ROW_SAME_URL;
    if (!all->clean && due(all, row, EVERY_COPY))
        return CPV_ROW_SAME_CONTENT;
    return CPV_ROW_PLAIN;
}

/* A row that comes out well by itself: something that can be repeated. */
static bool repeatable(const struct cpv_fates *all, uint64_t row)
{
    struct cpv_fate f;

    choose_single(&f, all, row);
    return kind_of(all, row) == CPV_ROW_PLAIN && f.damage == CPV_DAMAGE_NONE &&
           f.way == CPV_WAY_DIRECT;
}

static bool find_original(const struct cpv_fates *all, uint64_t row, uint64_t *of)
{
    for (uint64_t back = 1; back <= LOOK_BACK && back <= row; back++) {
        if ((row - back) / all->part != row / all->part)
            return false;
        if (repeatable(all, row - back)) {
            *of = row - back;
            return true;
        }
    }
    return false;
}

static enum cpv_outcome outcome_of(const struct cpv_fate *f)
{
    static const enum cpv_outcome of_damage[CPV_DAMAGES] = {
        CPV_OUTCOME_OK,    CPV_OUTCOME_DECODE,    CPV_OUTCOME_NOT_IMAGE,
        CPV_OUTCOME_EMPTY, CPV_OUTCOME_NOT_IMAGE, CPV_OUTCOME_DECODE};

    if (f->kind == CPV_ROW_SAME_URL)
        return CPV_OUTCOME_DUPLICATE_URL;
    if (f->kind == CPV_ROW_SAME_CONTENT)
        return CPV_OUTCOME_DUPLICATE_CONTENT;
    if (f->way == CPV_WAY_MISSING)
        return CPV_OUTCOME_HTTP_4XX;
    if (f->way == CPV_WAY_OPTOUT)
        return CPV_OUTCOME_OPTOUT;
    return of_damage[f->damage];
}

void cpv_fate_choose(struct cpv_fate *f, const struct cpv_fates *all, uint64_t row)
{
    enum cpv_row_kind kind = kind_of(all, row);
    uint64_t of;

    choose_single(f, all, row);
    if (kind == CPV_ROW_MALFORMED) {
        f->damage = CPV_DAMAGE_NONE;
        f->way = CPV_WAY_DIRECT;
        f->kind = kind;
    } else if (kind != CPV_ROW_PLAIN && find_original(all, row, &of)) {
        choose_single(f, all, of);
        f->kind = kind;
    }
    f->coco_outcome = outcome_of(f);
    f->outcome = kind == CPV_ROW_MALFORMED ? CPV_OUTCOME_BAD_ROW : f->coco_outcome;
}

void cpv_fate_choose_file(struct cpv_fate *f, const struct cpv_fates *all, bool mono)
{
    struct cpv_picture_file *file = &f->file;
    struct cpv_rng r;
    int format, turned;

    cpv_rng_init(&r, all->seed, CPV_DICE_FILE + all->heldout, f->of);
    format = (int)cpv_rng_below(&r, 100);
    turned = (int)cpv_rng_below(&r, 100);
    file->quality = cpv_dice_between(&r, 72, 97);
    file->full_chroma = cpv_dice_percent(&r, 40);
    file->progressive = cpv_dice_percent(&r, 10);
    file->orientation = cpv_dice_between(&r, 2, 8);
    file->gray = mono && cpv_dice_percent(&r, 70);
    file->format = format < 8    ? CPV_PICTURE_PNG
                   : format < 14 ? CPV_PICTURE_WEBP
                                 : CPV_PICTURE_JPEG;
    if (f->damage != CPV_DAMAGE_NONE || file->gray || !cpv_picture_can(file->format))
        file->format = CPV_PICTURE_JPEG;
    if (file->format != CPV_PICTURE_JPEG)
        file->full_chroma = file->progressive = file->gray = false;
    if (file->format != CPV_PICTURE_JPEG || turned >= 7 || f->damage != CPV_DAMAGE_NONE)
        file->orientation = 1;
}

static void add_noise(struct cpv_buf *b, struct cpv_rng *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cpv_buf_byte(b, (uint8_t)cpv_rng_u32(r));
}

void cpv_fate_damage(const struct cpv_fate *f, uint64_t seed, struct cpv_buf *file)
{
    struct cpv_rng r;

    cpv_rng_init(&r, seed, CPV_DICE_LISTS, f->of + (UINT64_C(2) << 32));
    switch (f->damage) {
    case CPV_DAMAGE_TRUNCATED:
        file->size = file->size * 55 / 100;
        break;
    case CPV_DAMAGE_HTML:
        cpv_buf_clear(file);
        cpv_buf_printf(file,
                       "<!DOCTYPE html>\n<title>Not here</title>\n"
                       "<p>This picture (%llu) has moved.</p>\n",
                       (unsigned long long)f->of);
        break;
    case CPV_DAMAGE_EMPTY:
        cpv_buf_clear(file);
        break;
    case CPV_DAMAGE_NOISE: /* the first byte is that of no format */
        cpv_buf_clear(file);
        cpv_buf_byte(file, 0x07);
        add_noise(file, &r, 2000);
        break;
    case CPV_DAMAGE_GARBLED: /* up to the application segment, then nothing of use */
        file->size = file->size < 20 ? file->size : 20;
        add_noise(file, &r, 2000);
        break;
    default:
        break;
    }
}
