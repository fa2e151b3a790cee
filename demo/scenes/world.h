/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo world: what can be in a scene, and the scene itself.
 *
 * A scene is a square of CPV_SIDE x CPV_SIDE units, x to the right, y downwards,
 * shown in the middle of a picture that may be wider or taller than it: a centre
 * crop to a square loses no object. Everything is an integer, so that a scene and its
 * pixels are the same on every machine.
 *
 * Geometry that makes relations unmistakable:
 *
 *  (1) An object lies within `radius` of its centre, in x and in y.
 *  (2) Of two objects that are not nested, one axis dominates: the centres are at
 *      least 1.1 times the sum of the radii apart on it, so their extents do
 *      not meet, and at least 1.4 times as far apart as on the other axis. That axis
 *      alone says left/right or above/below.
 *  (3) A nested object lies whole within the plain middle of its container.
 *  (4) "Next to" is left or right of with a small gap and nearly the same height.
 *  (5) No two objects of a scene have the same shape.
 */
#ifndef CPV_DEMO_WORLD_H
#define CPV_DEMO_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

enum { CPV_SIDE = 4096, CPV_OBJECTS = 4 };

enum cpv_shape {
    CPV_CIRCLE,
    CPV_SQUARE,
    CPV_TRIANGLE,
    CPV_STAR,
    CPV_CROSS,
    CPV_DIAMOND,
    CPV_RING,
    CPV_MOON,
    CPV_HEART,
    CPV_ARROW,
    CPV_HOUSE,
    CPV_FISH,
    CPV_SHAPES
};

enum cpv_colour {
    CPV_RED,
    CPV_ORANGE,
    CPV_YELLOW,
    CPV_GREEN,
    CPV_BLUE,
    CPV_PURPLE,
    CPV_PINK,
    CPV_BROWN,
    CPV_TURQUOISE,
    CPV_BLACK,
    CPV_WHITE,
    CPV_COLOURS
};

enum cpv_texture { CPV_PLAIN, CPV_STRIPED, CPV_DOTTED, CPV_CHECKED, CPV_TEXTURES };

enum cpv_extent { CPV_SMALL, CPV_MEDIUM, CPV_LARGE, CPV_EXTENTS };

enum cpv_ground {
    CPV_GRAY,
    CPV_DARK_GRAY,
    CPV_LIGHT_GREEN,
    CPV_LIGHT_PURPLE,
    CPV_SKY,
    CPV_SEA,
    CPV_GRASS,
    CPV_SAND,
    CPV_NIGHT,
    CPV_BRICK,
    CPV_WOOD,
    CPV_GROUNDS
};

enum cpv_relation {
    CPV_LEFT_OF,
    CPV_RIGHT_OF,
    CPV_ABOVE,
    CPV_BELOW,
    CPV_INSIDE,
    CPV_AROUND,
    CPV_NEXT_TO, /* beside one of the first two */
    CPV_RELATIONS
};

struct cpv_rgb {
    uint8_t c[3];
};

struct cpv_object {
    enum cpv_shape shape;
    enum cpv_colour colour;
    enum cpv_texture texture;
    enum cpv_extent extent;
    int x, y, radius;   /* units */
    int tilt;           /* sine of the angle in 1/1024, clockwise, at most 140 */
    struct cpv_rgb ink; /* the colour as it is painted here */
};

struct cpv_scene {
    uint64_t number;
    bool heldout;
    bool mono;         /* black, white and gray only */
    int width, height; /* of the upright picture, px */
    int objects;       /* 1 .. CPV_OBJECTS, painted in this order */
    struct cpv_object object[CPV_OBJECTS];
    bool nested; /* object 1 is inside object 0 */
    enum cpv_ground ground;
    struct cpv_rgb paint; /* the background as it is painted here */
    int slope_x, slope_y; /* its gradient: change over a side, 0 .. 255 */
    int noise;            /* standard deviation, 1/16 of a level */
    int blur;             /* 0 .. 100, see draw.c */
};

/* What a user may turn to make scenes easier or harder to see. */
struct cpv_look {
    int noise;       /* the largest standard deviation, levels of 255 */
    int blur;        /* the strongest, 0 .. 100 */
    int min_radius;  /* of a small object, 1/1000 of the side */
    int max_objects; /* 1 .. CPV_OBJECTS */
    int textured;    /* percent of objects that are not plain */
    int nested;      /* percent of scenes with two or more objects that nest them */
    bool mixed;      /* picture sizes up to 640 px instead of 96 to 160 */
};

extern const struct cpv_look cpv_look_default;

/* Stable names for files; the wording of captions is english.c's. */
extern const char *const cpv_shape_name[CPV_SHAPES];
extern const char *const cpv_colour_name[CPV_COLOURS];
extern const char *const cpv_texture_name[CPV_TEXTURES];
extern const char *const cpv_extent_name[CPV_EXTENTS];
extern const char *const cpv_ground_name[CPV_GROUNDS];
extern const char *const cpv_relation_name[CPV_RELATIONS];
extern const struct cpv_rgb cpv_colour_rgb[CPV_COLOURS];
extern const struct cpv_rgb cpv_ground_rgb[CPV_GROUNDS];

/* The pairs that no training scene shows and every held-out scene shows one of. */
bool cpv_pair_withheld(enum cpv_shape shape, enum cpv_colour colour);
/* Perceived distance of two colours: 0 .. 255. */
int cpv_rgb_distance(struct cpv_rgb a, struct cpv_rgb b);
/* How different two colours have to be to lie on each other. */
enum { CPV_CONTRAST = 60 };

/* Scene `number` of a seed and a split: depends on nothing else. */
void cpv_scene_make(struct cpv_scene *scene, uint64_t seed, uint64_t number, bool heldout,
                    const struct cpv_look *look);
/* Is `relation` true of objects a and b ("a is left of b")? From geometry alone. */
bool cpv_scene_holds(const struct cpv_scene *scene, int a, enum cpv_relation relation,
                     int b);
/* The one relation of a to b that always holds; never CPV_NEXT_TO. */
enum cpv_relation cpv_scene_relation(const struct cpv_scene *scene, int a, int b);

/*
 * Half the side of the square that fits into a shape's middle, as 1/1000 of
 * its radius; 0 for shapes that cannot hold another.
 */
extern const int cpv_shape_room[CPV_SHAPES];

/* Points of a shape's outlines, 1/16384 of the radius; contours by even-odd rule. */
enum { CPV_OUTLINE_POINTS = 160, CPV_ONE = 16384 };
struct cpv_outline {
    int points;
    int start[3]; /* contour k is start[k] .. start[k + 1] - 1; `contours` of them */
    int contours;
    int32_t x[CPV_OUTLINE_POINTS], y[CPV_OUTLINE_POINTS];
};
void cpv_shape_outline(enum cpv_shape shape, struct cpv_outline *out);

/*
 * The picture: rgb, rows of 3 * width bytes, top first; `rgb` has room for
 * 3 * width * height bytes. CPV_E_BUG if the picture is not of 1 to 640 px a side.
 */
CPV_MUST_CHECK int cpv_scene_draw(const struct cpv_scene *scene, uint64_t seed,
                                  uint8_t *rgb, struct cpv_err *err);

#endif
