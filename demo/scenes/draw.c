/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a scene to pixels, in integers only.
 *
 * Coverage: each row of pixels is cut four times; between the crossings of a cut
 * with the outline, which are exact to 1/256 px, a pixel is covered by its part
 * of the span. So edges have 1,024 steps and a fish costs no more than a square.
 */
#include <string.h>

#include "demo/scenes/dice.h"
#include "demo/scenes/world.h"

enum {
    PX = 256, /* parts of a pixel */
    CUTS = 4, /* per row */
    FULL = PX * CUTS,
    MAX_SIDE = 640,
    LOCAL = 1024 /* parts of an object's radius, for textures */
};

/* An outline in 1/256 px. */
struct path {
    int points;
    int32_t x[CPV_OUTLINE_POINTS], y[CPV_OUTLINE_POINTS];
    int16_t next[CPV_OUTLINE_POINTS]; /* the other end of the edge */
    int32_t left, right, top, bottom;
};

struct canvas {
    uint8_t *rgb;
    int width, height, side;
    int32_t left, top; /* of the scene's square, 1/256 px */
};

static int32_t to_px(const struct canvas *c, int units)
{
    return (int32_t)((int64_t)units * c->side * PX / CPV_SIDE);
}

static uint8_t level(int v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* A value that looks random, of a cell of a pattern. */
static uint32_t hash(uint32_t x, uint32_t y, uint32_t seed)
{
    uint32_t h = x * 0x9e3779b1u ^ y * 0x85ebca6bu ^ seed;

    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    h = (h ^ (h >> 12)) * 0x297a2d39u;
    return h ^ (h >> 15);
}

/* 0 .. 1024 .. 0 over a period. */
static int wave(int at, int period)
{
    int t = (at % period + period) % period * 2048 / period;

    return t < 1024 ? t : 2048 - t;
}

/* What a background adds to its colour at (u, v): see ground_at. */
static int pattern(enum cpv_ground ground, int u, int v, uint32_t seed)
{
    switch (ground) {
    case CPV_SKY: /* paler towards the horizon */
        return (v - 2048) / 22 - 20;
    case CPV_SEA:
        return wave(v + wave(u, 180) / 50, 64) / 28 - 18;
    case CPV_GRASS:
        return (int)(hash((uint32_t)u / 12, (uint32_t)(v + (u / 12 % 3) * 17) / 44,
                          seed) %
                     31) -
               15;
    case CPV_SAND:
        return (int)(hash((uint32_t)u / 10, (uint32_t)v / 10, seed) % 25) - 12;
    case CPV_NIGHT:
        return hash((uint32_t)u / 14, (uint32_t)v / 14, seed) % 89 == 0 ? 90 : 0;
    case CPV_BRICK: {
        int row = v / 85;

        if (v % 85 < 12 || (u + (row % 2) * 85) % 170 < 12)
            return 34;
        return (int)(hash((uint32_t)(u + (row % 2) * 85) / 170, (uint32_t)row, seed) %
                     17) -
               12;
    }
    case CPV_WOOD:
        return v % 205 < 10 ? -34
                            : wave(v + wave(u + v / 205 * 300, 900) / 40, 41) / 60 - 8;
    default:
        return 0;
    }
}

/* In 1/1024 of the side, from 2048 on, so that none beside the square is negative. */
enum { ORIGIN = 2048, CENTRE = ORIGIN + 512 };

static int ground_at(const struct canvas *c, int px, int32_t from)
{
    return (px * PX - from) * 4 / c->side + ORIGIN;
}

static void draw_ground(struct canvas *c, const struct cpv_scene *s, uint32_t seed)
{
    bool plain = s->ground < CPV_SKY;
    int u[MAX_SIDE];

    for (int x = 0; x < c->width; x++)
        u[x] = ground_at(c, x, c->left);
    for (int y = 0; y < c->height; y++) {
        int v = ground_at(c, y, c->top), slope = (v - CENTRE) * s->slope_y;
        uint8_t *p = c->rgb + (size_t)y * (size_t)c->width * 3;

        for (int x = 0; x < c->width; x++, p += 3) {
            int add = (slope + (u[x] - CENTRE) * s->slope_x) / 1024;

            if (!plain)
                add += pattern(s->ground, u[x], v, seed);
            for (int i = 0; i < 3; i++)
                p[i] = level(s->paint.c[i] + add);
        }
    }
}

static void make_path(struct path *path, const struct canvas *c,
                      const struct cpv_object *o)
{
    struct cpv_outline outline;
    int64_t r = to_px(c, o->radius), sine = o->tilt;
    int64_t cosine = 1024 - sine * sine / 2048;
    int32_t cx = c->left + to_px(c, o->x), cy = c->top + to_px(c, o->y);

    cpv_shape_outline(o->shape, &outline);
    path->points = outline.points;
    path->left = path->top = INT32_MAX;
    path->right = path->bottom = INT32_MIN;
    for (int k = 0; k < outline.contours; k++)
        for (int i = outline.start[k]; i < outline.start[k + 1]; i++) {
            int64_t x = outline.x[i], y = outline.y[i];
            int32_t *px = &path->x[i], *py = &path->y[i];

            *px = cx + (int32_t)((x * cosine - y * sine) / 1024 * r / CPV_ONE);
            *py = cy + (int32_t)((x * sine + y * cosine) / 1024 * r / CPV_ONE);
            path->next[i] =
                (int16_t)(i + 1 < outline.start[k + 1] ? i + 1 : outline.start[k]);
            path->left = *px < path->left ? *px : path->left;
            path->right = *px > path->right ? *px : path->right;
            path->top = *py < path->top ? *py : path->top;
            path->bottom = *py > path->bottom ? *py : path->bottom;
        }
}

/* Where the outline crosses a horizontal line, sorted; their number is even. */
static int crossings(const struct path *p, int32_t y, int32_t *at)
{
    int n = 0;

    for (int i = 0; i < p->points; i++) {
        int j = p->next[i], k;
        int32_t x;

        if ((p->y[i] <= y) == (p->y[j] <= y))
            continue;
        x = p->x[i] +
            (int32_t)((int64_t)(p->x[j] - p->x[i]) * (y - p->y[i]) / (p->y[j] - p->y[i]));
        for (k = n++; k > 0 && at[k - 1] > x; k--)
            at[k] = at[k - 1];
        at[k] = x;
    }
    return n;
}

static void cover_span(int *cover, int width, int32_t from, int32_t to)
{
    from = from < 0 ? 0 : from;
    to = to > width * PX ? width * PX : to;
    for (int x = from / PX; x * PX < to; x++) {
        int32_t a = x * PX > from ? x * PX : from;
        int32_t b = (x + 1) * PX < to ? (x + 1) * PX : to;

        if (b > a)
            cover[x] += b - a;
    }
}

/* The other colour of a texture: clearly darker, or lighter for dark ones. */
static struct cpv_rgb second_ink(struct cpv_rgb ink)
{
    bool dark = 2 * ink.c[0] + 5 * ink.c[1] + ink.c[2] < 8 * 70;

    for (int i = 0; i < 3; i++)
        ink.c[i] = dark ? (uint8_t)(ink.c[i] + (255 - ink.c[i]) * 55 / 100)
                        : (uint8_t)(ink.c[i] * 42 / 100);
    return ink;
}

/* Is the texture's second colour at (u, v), 1/1024 of the radius from the centre? */
static bool second_at(enum cpv_texture texture, int u, int v)
{
    enum { STRIPE = 640, DOT = 620, CHECK = 500, FAR = 64 };

    switch (texture) {
    case CPV_STRIPED:
        return (u + v + FAR * STRIPE) % STRIPE < STRIPE * 43 / 100;
    case CPV_DOTTED: {
        int du = (u + FAR * DOT + DOT / 2) % DOT - DOT / 2;
        int dv = (v + FAR * DOT + DOT / 2) % DOT - DOT / 2;

        return du * du + dv * dv < 190 * 190;
    }
    case CPV_CHECKED:
        return (((u + FAR * CHECK) / CHECK) + ((v + FAR * CHECK) / CHECK)) % 2 == 0;
    default:
        return false;
    }
}

/* How many of a pixel's four quarters have the second colour. */
static int second_share(const struct cpv_object *o, int32_t dx, int32_t dy,
                        int32_t radius)
{
    int n = 0;

    for (int k = 0; k < 4; k++) {
        int u = (dx + (k % 2 ? PX / 4 : -PX / 4)) * LOCAL / radius;
        int v = (dy + (k / 2 ? PX / 4 : -PX / 4)) * LOCAL / radius;

        n += second_at(o->texture, u, v);
    }
    return n;
}

static void draw_object(struct canvas *c, const struct cpv_object *o)
{
    struct cpv_rgb ink[2] = {o->ink, second_ink(o->ink)};
    int32_t radius = to_px(c, o->radius), at[CPV_OUTLINE_POINTS];
    int32_t cx = c->left + to_px(c, o->x), cy = c->top + to_px(c, o->y);
    int cover[MAX_SIDE];
    struct path path;
    int x0, x1;

    make_path(&path, c, o);
    x0 = path.left / PX < 0 ? 0 : path.left / PX;
    x1 = path.right / PX >= c->width ? c->width - 1 : path.right / PX;
    for (int y = path.top / PX; y <= path.bottom / PX && y < c->height; y++) {
        uint8_t *row = c->rgb + (size_t)y * (size_t)c->width * 3;

        memset(cover + x0, 0, (size_t)(x1 - x0 + 1) * sizeof *cover);
        for (int k = 0; k < CUTS; k++) {
            int n = crossings(&path, y * PX + PX / CUTS * k + PX / CUTS / 2, at);

            for (int i = 0; i + 1 < n; i += 2)
                cover_span(cover, c->width, at[i], at[i + 1]);
        }
        for (int x = x0; x <= x1; x++) {
            int share = 0;

            if (cover[x] == 0)
                continue;
            if (o->texture != CPV_PLAIN)
                share =
                    second_share(o, x * PX + PX / 2 - cx, y * PX + PX / 2 - cy, radius);
            for (int i = 0; i < 3; i++) {
                int v = (ink[0].c[i] * (4 - share) + ink[1].c[i] * share + 2) / 4;

                row[3 * x + i] =
                    (uint8_t)((v * cover[x] + row[3 * x + i] * (FULL - cover[x]) +
                               FULL / 2) /
                              FULL);
            }
        }
    }
}

/*
 * k, 256 - 2k, k along lines of n values; neighbours lie `step` apart, `width` lines
 * side by side. The ends repeat. Inline, so that a row's three lines become registers.
 */
static inline __attribute__((always_inline)) void
blur_lines(uint8_t *p, int n, size_t step, size_t width, unsigned k)
{
    uint8_t before[3 * MAX_SIDE];

    for (size_t x = 0; x < width; x++)
        before[x] = p[x];
    for (int i = 0; i < n; i++, p += step) {
        const uint8_t *after = i + 1 < n ? p + step : p;

        for (size_t x = 0; x < width; x++) {
            unsigned here = p[x];

            p[x] = (uint8_t)((before[x] * k + here * (256 - 2 * k) + after[x] * k + 128) /
                             256);
            before[x] = (uint8_t)here;
        }
    }
}

/* Strength 100 is 1-2-1; once for each 128 px begun, so that large pictures blur too. */
static void blur(struct canvas *c, int strength)
{
    unsigned k = 64 * (unsigned)strength / 100;
    size_t stride = (size_t)c->width * 3;

    for (int pass = 0; k > 0 && pass * 128 < c->side; pass++) {
        for (int y = 0; y < c->height; y++)
            blur_lines(c->rgb + (size_t)y * stride, c->width, 3, 3, k);
        blur_lines(c->rgb, c->height, stride, stride, k);
    }
}

/* The normal distribution's quantiles at (i + 1/2) / 256, times 64; the other half. */
static const uint8_t quantile[128] = {
    0,  1,   2,   2,   3,   3,   4,   5,   5,   6,   7,   7,   8,   8,   9,   10,
    10, 11,  12,  12,  13,  14,  14,  15,  16,  16,  17,  17,  18,  19,  19,  20,
    21, 21,  22,  23,  23,  24,  25,  25,  26,  27,  27,  28,  29,  30,  30,  31,
    32, 32,  33,  34,  34,  35,  36,  37,  37,  38,  39,  40,  40,  41,  42,  43,
    44, 44,  45,  46,  47,  48,  48,  49,  50,  51,  52,  53,  54,  54,  55,  56,
    57, 58,  59,  60,  61,  62,  63,  64,  65,  66,  67,  68,  70,  71,  72,  73,
    74, 75,  77,  78,  79,  81,  82,  84,  85,  87,  88,  90,  92,  93,  95,  97,
    99, 101, 104, 106, 109, 111, 114, 117, 121, 125, 130, 135, 141, 149, 161, 185};

/* Normal noise, of its own for each channel; four values a random word. */
static void add_noise(struct canvas *c, int sigma16, struct cpv_rng *r)
{
    size_t n = (size_t)c->width * (size_t)c->height * 3;
    int8_t delta[256];

    for (int i = 0; i < 128; i++) {
        int d = (quantile[i] * sigma16 + 512) / 1024;

        d = d > 127 ? 127 : d;
        delta[128 + i] = (int8_t)d;
        delta[127 - i] = (int8_t)-d;
    }
    for (size_t i = 0; i < n;) {
        uint32_t word = cpv_rng_u32(r);

        for (int k = 0; k < 4 && i < n; k++, i++, word >>= 8)
            c->rgb[i] = level(c->rgb[i] + delta[word & 255]);
    }
}

int cpv_scene_draw(const struct cpv_scene *s, uint64_t seed, uint8_t *rgb,
                   struct cpv_err *err)
{
    struct canvas c = {.rgb = rgb, .width = s->width, .height = s->height};
    struct cpv_rng r;

    if (s->width < 1 || s->height < 1 || s->width > MAX_SIDE || s->height > MAX_SIDE)
        return cpv_fail(err, CPV_E_BUG, "scene %llu: a picture of %d x %d px",
                        (unsigned long long)s->number, s->width, s->height);
    c.side = s->width < s->height ? s->width : s->height;
    c.left = (s->width - c.side) * PX / 2;
    c.top = (s->height - c.side) * PX / 2;
    cpv_rng_init(&r, seed, CPV_DICE_PIXELS + s->heldout, s->number);
    draw_ground(&c, s, cpv_rng_u32(&r));
    for (int i = 0; i < s->objects; i++)
        draw_object(&c, &s->object[i]);
    blur(&c, s->blur);
    if (s->noise > 0)
        add_noise(&c, s->noise, &r);
    return CPV_OK;
}
