/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of the world: names, colours, and the pairs that are withheld. The order
 * of an enum's values is part of the world: a change makes other scenes.
 */
#include "demo/scenes/world.h"

#include "common/base/size.h"

const struct cpv_look cpv_look_default = {
    .noise = 4,
    .blur = 30,
    .min_radius = 130,
    .max_objects = CPV_OBJECTS,
    .textured = 25,
    .nested = 30,
    .mixed = false,
};

const char *const cpv_shape_name[CPV_SHAPES] = {"circle", "square",  "triangle", "star",
                                                "cross",  "diamond", "ring",     "moon",
                                                "heart",  "arrow",   "house",    "fish"};

const char *const cpv_colour_name[CPV_COLOURS] = {
    "red",  "orange", "yellow",    "green", "blue", "purple",
    "pink", "brown",  "turquoise", "black", "white"};

const char *const cpv_texture_name[CPV_TEXTURES] = {"plain", "striped", "dotted",
                                                    "checked"};

const char *const cpv_extent_name[CPV_EXTENTS] = {"small", "medium", "large"};

const char *const cpv_ground_name[CPV_GROUNDS] = {
    "gray",  "dark_gray", "light_green", "light_purple", "sky", "sea",
    "grass", "sand",      "night",       "brick",        "wood"};

const char *const cpv_relation_name[CPV_RELATIONS] = {
    "left_of", "right_of", "above", "below", "inside", "around", "next_to"};

const struct cpv_rgb cpv_colour_rgb[CPV_COLOURS] = {
    {{214, 30, 36}},  {{250, 138, 18}}, {{252, 226, 40}},  {{24, 140, 52}},
    {{26, 70, 220}},  {{146, 44, 170}}, {{255, 132, 194}}, {{118, 70, 34}},
    {{16, 190, 186}}, {{16, 16, 18}},   {{252, 252, 252}}};

const struct cpv_rgb cpv_ground_rgb[CPV_GROUNDS] = {
    {{146, 148, 150}}, {{66, 68, 72}},  {{190, 226, 186}}, {{204, 190, 236}},
    {{146, 198, 240}}, {{34, 98, 140}}, {{98, 158, 66}},   {{228, 200, 142}},
    {{18, 22, 54}},    {{166, 92, 74}}, {{176, 128, 80}}};

/* One pair of each shape and a second of every other: 18 of 132. */
static const struct {
    enum cpv_shape shape;
    enum cpv_colour colour;
} withheld[] = {
    {CPV_CIRCLE, CPV_YELLOW},  {CPV_CIRCLE, CPV_BLACK},  {CPV_SQUARE, CPV_ORANGE},
    {CPV_TRIANGLE, CPV_GREEN}, {CPV_TRIANGLE, CPV_PINK}, {CPV_STAR, CPV_BLUE},
    {CPV_CROSS, CPV_RED},      {CPV_CROSS, CPV_WHITE},   {CPV_DIAMOND, CPV_PURPLE},
    {CPV_RING, CPV_TURQUOISE}, {CPV_RING, CPV_ORANGE},   {CPV_MOON, CPV_BROWN},
    {CPV_HEART, CPV_GREEN},    {CPV_HEART, CPV_YELLOW},  {CPV_ARROW, CPV_WHITE},
    {CPV_HOUSE, CPV_BLUE},     {CPV_HOUSE, CPV_PURPLE},  {CPV_FISH, CPV_RED},
};

bool cpv_pair_withheld(enum cpv_shape shape, enum cpv_colour colour)
{
    for (size_t i = 0; i < CPV_COUNT(withheld); i++)
        if (withheld[i].shape == shape && withheld[i].colour == colour)
            return true;
    return false;
}

int cpv_rgb_distance(struct cpv_rgb a, struct cpv_rgb b)
{
    static const int weight[3] = {2, 4, 3}; /* the eye's, roughly; sum 9 */
    int sum = 0, root = 0;

    for (int i = 0; i < 3; i++)
        sum += weight[i] * (a.c[i] - b.c[i]) * (a.c[i] - b.c[i]);
    while ((root + 1) * (root + 1) <= sum / 9)
        root++;
    return root;
}
