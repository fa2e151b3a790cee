/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawing lots for a scene under the rules of world.h: attributes first, then
 * places, and everything anew when the places do not come out.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "demo/scenes/dice.h"
#include "demo/scenes/world.h"

/* Tries of a whole scene for each number of objects before one is left out. */
enum { TRIES = 24, PLACES = 48, BORDER = CPV_SIDE / 40 };

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* Rule (2) of world.h. */
static bool apart(const struct cpv_object *a, const struct cpv_object *b)
{
    int dx = abs(a->x - b->x), dy = abs(a->y - b->y);
    int far = larger(dx, dy), near = dx + dy - far;

    return 10 * far >= 11 * (a->radius + b->radius) && 5 * far >= 7 * near;
}

/* Rule (3): a within the middle of b. */
static bool within(const struct cpv_object *a, const struct cpv_object *b)
{
    int off = larger(abs(a->x - b->x), abs(a->y - b->y));

    return 1000 * (off + a->radius) <= cpv_shape_room[b->shape] * b->radius;
}

/* Rule (4). */
static bool beside(const struct cpv_object *a, const struct cpv_object *b)
{
    int dx = abs(a->x - b->x), dy = abs(a->y - b->y);

    return apart(a, b) && 4 * dy <= dx && 10 * dx <= 13 * (a->radius + b->radius);
}

bool cpv_scene_holds(const struct cpv_scene *scene, int a, enum cpv_relation relation,
                     int b)
{
    const struct cpv_object *p = &scene->object[a], *q = &scene->object[b];
    bool level = abs(p->x - q->x) > abs(p->y - q->y);

    switch (relation) {
    case CPV_LEFT_OF:
        return apart(p, q) && level && p->x < q->x;
    case CPV_RIGHT_OF:
        return apart(p, q) && level && p->x > q->x;
    case CPV_ABOVE:
        return apart(p, q) && !level && p->y < q->y;
    case CPV_BELOW:
        return apart(p, q) && !level && p->y > q->y;
    case CPV_INSIDE:
        return within(p, q);
    case CPV_AROUND:
        return within(q, p);
    default:
        return beside(p, q);
    }
}

enum cpv_relation cpv_scene_relation(const struct cpv_scene *scene, int a, int b)
{
    enum cpv_relation r = CPV_LEFT_OF;

    while (r < CPV_AROUND && !cpv_scene_holds(scene, a, r, b))
        r++;
    return r;
}

static bool shape_used(const struct cpv_scene *s, enum cpv_shape shape)
{
    for (int i = 0; i < s->objects; i++)
        if (s->object[i].shape == shape)
            return true;
    return false;
}

/* May object number s->objects be this? */
static bool allowed(const struct cpv_scene *s, enum cpv_shape shape,
                    enum cpv_colour colour)
{
    struct cpv_rgb rgb = cpv_colour_rgb[colour];
    int i = s->objects;

    if (shape_used(s, shape) || (s->mono && colour != CPV_BLACK && colour != CPV_WHITE))
        return false;
    if (cpv_rgb_distance(rgb, cpv_ground_rgb[s->ground]) < CPV_CONTRAST)
        return false;
    if (s->nested && i == 0 && cpv_shape_room[shape] == 0)
        return false;
    return !(s->nested && i == 1) ||
           cpv_rgb_distance(rgb, cpv_colour_rgb[s->object[0].colour]) >=
               CPV_CONTRAST + 20;
}

/* Shape and colour: any allowed shape alike, then any allowed colour of it. */
static bool choose_kind(struct cpv_rng *r, const struct cpv_scene *s, bool withheld,
                        struct cpv_object *o)
{
    enum cpv_colour colour[CPV_SHAPES][CPV_COLOURS];
    enum cpv_shape shape[CPV_SHAPES];
    int colours[CPV_SHAPES] = {0}, shapes = 0;

    for (int k = 0; k < CPV_SHAPES; k++) {
        for (int c = 0; c < CPV_COLOURS; c++) {
            bool held = cpv_pair_withheld((enum cpv_shape)k, (enum cpv_colour)c);

            if (allowed(s, (enum cpv_shape)k, (enum cpv_colour)c) &&
                (withheld ? held : !held || s->heldout))
                colour[k][colours[k]++] = (enum cpv_colour)c;
        }
        if (colours[k] > 0)
            shape[shapes++] = (enum cpv_shape)k;
    }
    if (shapes == 0)
        return false;
    o->shape = shape[cpv_rng_below(r, (uint64_t)shapes)];
    o->colour = colour[o->shape][cpv_rng_below(r, (uint64_t)colours[o->shape])];
    return true;
}

/* Fewer large ones where there are many objects: they have to fit. */
static enum cpv_extent choose_extent(struct cpv_rng *r, const struct cpv_scene *s, int n)
{
    static const uint8_t weight[CPV_OBJECTS][CPV_EXTENTS] = {
        {25, 40, 35}, {33, 34, 33}, {42, 40, 18}, {58, 42, 0}};

    if (s->nested && s->objects < 2)
        return s->objects == 0 ? CPV_LARGE : CPV_SMALL;
    if (s->nested)
        return n < 4 && cpv_dice_percent(r, 40) ? CPV_MEDIUM : CPV_SMALL;
    return (enum cpv_extent)cpv_dice_weighed(r, weight[n - 1]);
}

/* Not where it would be too fine to see, or make two nested objects hard to tell apart.
 */
static bool shows_texture(const struct cpv_scene *s, const struct cpv_object *o)
{
    static const bool compact[CPV_SHAPES] = {[CPV_CIRCLE] = true,
                                             [CPV_SQUARE] = true,
                                             [CPV_TRIANGLE] = true,
                                             [CPV_HEART] = true,
                                             [CPV_HOUSE] = true};

    if (s->nested && s->objects < 2)
        return false;
    return o->extent != CPV_SMALL || compact[o->shape];
}

static struct cpv_rgb shaken(struct cpv_rng *r, struct cpv_rgb rgb, int by)
{
    for (int i = 0; i < 3; i++) {
        int v = rgb.c[i] + cpv_dice_between(r, -by, by);

        rgb.c[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    return rgb;
}

static bool choose_object(struct cpv_rng *r, struct cpv_scene *s, int n, bool withheld,
                          const struct cpv_look *look)
{
    static const int scale[CPV_EXTENTS] = {1000, 1450, 2050};
    struct cpv_object *o = &s->object[s->objects];
    int size;

    if (!choose_kind(r, s, withheld, o))
        return false;
    o->extent = choose_extent(r, s, n);
    o->texture = CPV_PLAIN;
    if (cpv_dice_percent(r, look->textured) && shows_texture(s, o))
        o->texture = (enum cpv_texture)cpv_dice_between(r, 1, CPV_TEXTURES - 1);
    size = CPV_SIDE * look->min_radius / 1000 * scale[o->extent] / 1000;
    o->radius = size * cpv_dice_between(r, 95, 105) / 100;
    o->tilt = cpv_dice_between(r, -90, 90);
    o->ink = shaken(r, cpv_colour_rgb[o->colour], 9);
    s->objects++;
    if (s->nested && s->objects == 2) { /* the container grows until it can hold this */
        struct cpv_object *around = &s->object[0];
        int needed = o->radius * 1150 / cpv_shape_room[around->shape];

        o->tilt = around->tilt = 0;
        around->radius = larger(around->radius, needed);
    }
    return true;
}

static bool fits(const struct cpv_scene *s, int i)
{
    const struct cpv_object *o = &s->object[i];
    int edge = o->radius + BORDER;

    if (o->x < edge || o->y < edge || o->x > CPV_SIDE - edge || o->y > CPV_SIDE - edge)
        return false;
    for (int k = 0; k < i; k++)
        if (s->nested && k == 0 && i == 1 ? !within(o, &s->object[k])
                                          : !apart(o, &s->object[k]))
            return false;
    return true;
}

/* Some objects are put close to an earlier one, for otherwise few would be. */
static bool place(struct cpv_rng *r, struct cpv_scene *s, int i)
{
    struct cpv_object *o = &s->object[i];
    const struct cpv_object *other = &s->object[0];
    bool nest = s->nested && i == 1;
    bool close = i > 0 && !nest && cpv_dice_percent(r, 30);

    if (2 * (o->radius + BORDER) >= CPV_SIDE)
        return false;
    if (close && !s->nested)
        other = &s->object[cpv_rng_below(r, (uint64_t)i)];
    for (int k = 0; k < PLACES; k++) {
        if (nest) {
            o->x = other->x + cpv_dice_between(r, -o->radius / 10, o->radius / 10);
            o->y = other->y + cpv_dice_between(r, -o->radius / 10, o->radius / 10);
        } else if (close) {
            int sum = o->radius + other->radius;
            int dx = sum * cpv_dice_between(r, 111, 128) / 100;

            o->x = cpv_dice_percent(r, 50) ? other->x + dx : other->x - dx;
            o->y = other->y + cpv_dice_between(r, -sum / 5, sum / 5);
        } else {
            o->x = cpv_dice_between(r, o->radius + BORDER, CPV_SIDE - o->radius - BORDER);
            o->y = cpv_dice_between(r, o->radius + BORDER, CPV_SIDE - o->radius - BORDER);
        }
        if (fits(s, i))
            return true;
    }
    return false;
}

/* Small radii make everything fit, but one object has to fit whatever was asked for. */
static void centre_one(struct cpv_object *o)
{
    int most = CPV_SIDE / 2 - BORDER - 1;

    o->radius = o->radius > most ? most : o->radius;
    o->x = o->y = CPV_SIDE / 2;
}

static bool try_scene(struct cpv_rng *r, struct cpv_scene *s, int n,
                      const struct cpv_look *look)
{
    int lucky = (int)cpv_rng_below(r, (uint64_t)n); /* has a withheld pair if held out */

    s->objects = 0;
    s->mono = cpv_dice_percent(r, 3);
    s->ground = s->mono ? CPV_GRAY : (enum cpv_ground)cpv_rng_below(r, CPV_GROUNDS);
    s->nested = n >= 2 && cpv_dice_percent(r, look->nested);
    for (int i = 0; i < n; i++)
        if (!choose_object(r, s, n, s->heldout && i == lucky, look))
            return false;
    for (int i = 0; i < n; i++)
        if (!place(r, s, i)) {
            if (n > 1)
                return false;
            centre_one(&s->object[0]);
        }
    return true;
}

/* Width and height; the shorter side is the scene's. */
static void choose_size(struct cpv_scene *s, uint64_t seed, const struct cpv_look *look)
{
    static const uint8_t range_weight[] = {70, 20, 10};
    static const uint8_t aspect[][2] = {{1, 1}, {1, 1}, {1, 1}, {1, 1}, {5, 4},
                                        {5, 4}, {4, 5}, {4, 5}, {4, 3}, {3, 4}};
    struct cpv_rng r;
    int range, pick, side;

    cpv_rng_init(&r, seed, CPV_DICE_SIZE + s->heldout, s->number);
    range = cpv_dice_weighed(&r, range_weight);
    pick = (int)cpv_rng_below(&r, CPV_COUNT(aspect));
    if (!look->mixed)
        side = cpv_dice_between(&r, 96, 160);
    else
        side = range == 0   ? cpv_dice_between(&r, 96, 192)
               : range == 1 ? cpv_dice_between(&r, 192, 320)
                            : cpv_dice_between(&r, 320, 480);
    s->width = s->height = side;
    if (aspect[pick][0] > aspect[pick][1])
        s->width = side * aspect[pick][0] / aspect[pick][1];
    else
        s->height = side * aspect[pick][1] / aspect[pick][0];
    s->width = s->width > 640 ? 640 : s->width;
    s->height = s->height > 640 ? 640 : s->height;
}

void cpv_scene_make(struct cpv_scene *s, uint64_t seed, uint64_t number, bool heldout,
                    const struct cpv_look *look)
{
    static const uint8_t objects_weight[CPV_OBJECTS] = {12, 42, 31, 15};
    struct cpv_rng r;
    int n, slope;

    memset(s, 0, sizeof *s);
    s->number = number;
    s->heldout = heldout;
    choose_size(s, seed, look);
    cpv_rng_init(&r, seed, CPV_DICE_SCENE + heldout, number);
    n = cpv_dice_weighed(&r, objects_weight) + 1;
    n = n > look->max_objects ? look->max_objects : n;
    for (int k = 0; !try_scene(&r, s, n, look); k++)
        if (k % TRIES == TRIES - 1 && n > 1)
            n--;
    slope = s->ground < CPV_SKY ? 34 : 12;
    s->paint = shaken(&r, cpv_ground_rgb[s->ground], 7);
    s->slope_x = cpv_dice_between(&r, -slope, slope);
    s->slope_y = cpv_dice_between(&r, -slope, slope);
    s->noise = cpv_dice_between(&r, 0, 16 * look->noise);
    s->blur = cpv_dice_between(&r, 0, look->blur);
}
