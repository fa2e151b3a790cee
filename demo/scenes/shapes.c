/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outlines of the shapes from a table of sines: points only, no floating point.
 * Each fits into the square of half-side 1 around the origin, y downwards.
 */
#include "demo/scenes/world.h"

/* sin(0 .. 90 degrees) * 16384 */
static const int16_t sine[91] = {
    0,     286,   572,   857,   1143,  1428,  1713,  1997,  2280,  2563,  2845,  3126,
    3406,  3686,  3964,  4240,  4516,  4790,  5063,  5334,  5604,  5872,  6138,  6402,
    6664,  6924,  7182,  7438,  7692,  7943,  8192,  8438,  8682,  8923,  9162,  9397,
    9630,  9860,  10087, 10311, 10531, 10749, 10963, 11174, 11381, 11585, 11786, 11982,
    12176, 12365, 12551, 12733, 12911, 13085, 13255, 13421, 13583, 13741, 13894, 14044,
    14189, 14330, 14466, 14598, 14726, 14849, 14968, 15082, 15191, 15296, 15396, 15491,
    15582, 15668, 15749, 15826, 15897, 15964, 16026, 16083, 16135, 16182, 16225, 16262,
    16294, 16322, 16344, 16362, 16374, 16382, 16384};

const int cpv_shape_room[CPV_SHAPES] = {
    [CPV_CIRCLE] = 600, [CPV_SQUARE] = 720, [CPV_DIAMOND] = 420,
    [CPV_RING] = 480,   [CPV_HEART] = 400,
};

static int32_t sin_deg(int degrees)
{
    int d = ((degrees % 360) + 360) % 360;

    if (d >= 180)
        return -(d - 180 <= 90 ? sine[d - 180] : sine[360 - d]);
    return d <= 90 ? sine[d] : sine[180 - d];
}

static int32_t cos_deg(int degrees)
{
    return sin_deg(degrees + 90);
}

static void point(struct cpv_outline *o, int32_t x, int32_t y)
{
    o->x[o->points] = x;
    o->y[o->points] = y;
    o->points++;
}

static void next_contour(struct cpv_outline *o)
{
    o->contours++;
    o->start[o->contours] = o->points;
}

/* Points given in 1/1000. */
static void polygon(struct cpv_outline *o, const int16_t (*p)[2], int n)
{
    for (int i = 0; i < n; i++)
        point(o, p[i][0] * CPV_ONE / 1000, p[i][1] * CPV_ONE / 1000);
}

/* An arc round (x, y), of radii rx and ry in 1/1000, angles clockwise from the right. */
static void arc(struct cpv_outline *o, int x, int y, int rx, int ry, int from, int to,
                int step)
{
    for (int a = from; step > 0 ? a <= to : a >= to; a += step)
        point(o, x * CPV_ONE / 1000 + cos_deg(a) * rx / 1000,
              y * CPV_ONE / 1000 + sin_deg(a) * ry / 1000);
}

/* Points of radius 1 and of an inner radius, starting at the top; room for the tips. */
static void star(struct cpv_outline *o)
{
    for (int i = 0; i < 10; i++) {
        int r = i % 2 == 0 ? 1040 : 430;

        point(o, sin_deg(36 * i) * r / 1000,
              CPV_ONE * 8 / 100 - cos_deg(36 * i) * r / 1000);
    }
}

/* x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t */
static void heart(struct cpv_outline *o)
{
    for (int t = 0; t < 360; t += 6) {
        int64_t s = sin_deg(t);
        int64_t y =
            13 * cos_deg(t) - 5 * cos_deg(2 * t) - 2 * cos_deg(3 * t) - cos_deg(4 * t);

        point(o, (int32_t)(s * s / CPV_ONE * s / CPV_ONE),
              (int32_t)(-y / 16 - CPV_ONE * 15 / 100));
    }
}

void cpv_shape_outline(enum cpv_shape shape, struct cpv_outline *o)
{
    static const int16_t square[][2] = {
        {-880, -880}, {880, -880}, {880, 880}, {-880, 880}};
    static const int16_t triangle[][2] = {{0, -980}, {1000, 860}, {-1000, 860}};
    static const int16_t cross[][2] = {{-330, -1000}, {330, -1000},  {330, -330},
                                       {1000, -330},  {1000, 330},   {330, 330},
                                       {330, 1000},   {-330, 1000},  {-330, 330},
                                       {-1000, 330},  {-1000, -330}, {-330, -330}};
    static const int16_t diamond[][2] = {{0, -1000}, {740, 0}, {0, 1000}, {-740, 0}};
    static const int16_t arrow[][2] = {{-1000, -300}, {80, -300}, {80, -820},  {1000, 0},
                                       {80, 820},     {80, 300},  {-1000, 300}};
    static const int16_t house[][2] = {
        {0, -1000},  {1000, -160}, {720, -160}, {720, 900},   {240, 900},   {240, 300},
        {-240, 300}, {-240, 900},  {-720, 900}, {-720, -160}, {-1000, -160}};
    static const int16_t tail[][2] = {
        {-480, 130}, {-1000, 600}, {-1000, -600}, {-480, -130}};

    o->points = o->contours = o->start[0] = 0;
    switch (shape) {
    case CPV_SQUARE:
        polygon(o, square, 4);
        break;
    case CPV_TRIANGLE:
        polygon(o, triangle, 3);
        break;
    case CPV_STAR:
        star(o);
        break;
    case CPV_CROSS:
        polygon(o, cross, 12);
        break;
    case CPV_DIAMOND:
        polygon(o, diamond, 4);
        break;
    case CPV_RING:
        arc(o, 0, 0, 1000, 1000, 0, 354, 6);
        next_contour(o);
        arc(o, 0, 0, 620, 620, 0, 352, 8);
        break;
    case CPV_MOON: /* the disc less another that touches its right edge's corners */
        arc(o, 120, 0, 1000, 1000, 58, 302, 4);
        arc(o, 650, 0, 850, 850, 270, 90, -6);
        break;
    case CPV_HEART:
        heart(o);
        break;
    case CPV_ARROW:
        polygon(o, arrow, 7);
        break;
    case CPV_HOUSE:
        polygon(o, house, 11);
        break;
    case CPV_FISH:
        arc(o, 250, 0, 750, 560, -166, 166, 6);
        polygon(o, tail, 4);
        break;
    default:
        arc(o, 0, 0, 1000, 1000, 0, 354, 6);
        break;
    }
    next_contour(o);
}
