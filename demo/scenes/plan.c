/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing plans of captions, from a word or two to several sentences: see plan.h. */
#include "demo/scenes/plan.h"

#include <string.h>

#include "demo/scenes/dice.h"

const char *const cpv_opening_name[CPV_OPENINGS] = {
    "none",  "there_is", "we_see", "features", "photo", "picture", "scene",
    "image", "portrait", "moment", "painting", "art",   "shows"};

const struct cpv_language cpv_language[CPV_LANGUAGES] = {{"en", cpv_english_say},
                                                         {"pt", cpv_portuguese_say},
                                                         {"xh", cpv_xhosa_say},
                                                         {"hi", cpv_hindi_say}};

static const char *const kind_name[] = {"list",  "relation", "relations",
                                        "pairs", "count",    "background"};

/* What all of one drawing needs. */
struct draft {
    struct caption_plan *plan;
    const struct cpv_scene *scene;
    struct cpv_rng *r;
    int order[CPV_OBJECTS]; /* the objects, as they come up */
    uint8_t say;            /* attributes that this caption gives */
    bool known[CPV_OBJECTS];
};

static struct cpv_clause *add_clause(struct draft *d, enum cpv_clause_kind kind)
{
    struct cpv_clause *c = &d->plan->clause[d->plan->clauses++];

    c->kind = kind;
    c->colour = c->texture = -1;
    c->wording = (uint8_t)cpv_rng_below(d->r, 12);
    return c;
}

static void mention(struct draft *d, struct cpv_clause *c, int object)
{
    struct cpv_mention *m = &c->mention[c->mentions++];

    m->object = (uint8_t)object;
    m->say = d->known[object] ? CPV_SAY_KNOWN : d->say;
    if (d->scene->object[object].texture == CPV_PLAIN)
        m->say &= (uint8_t)~CPV_SAY_TEXTURE;
    d->known[object] = true;
}

static enum cpv_relation choose_relation(struct draft *d, int a, int b)
{
    if (cpv_scene_holds(d->scene, a, CPV_NEXT_TO, b) && cpv_dice_percent(d->r, 50))
        return CPV_NEXT_TO;
    return cpv_scene_relation(d->scene, a, b);
}

static void say_list(struct draft *d, int n)
{
    struct cpv_clause *c = add_clause(d, CPV_SAY_LIST);

    for (int i = 0; i < n; i++)
        mention(d, c, d->order[i]);
}

static void say_relation(struct draft *d, int a, int b)
{
    struct cpv_clause *c = add_clause(d, CPV_SAY_RELATION);

    mention(d, c, a);
    mention(d, c, b);
    c->relation[0] = choose_relation(d, a, b);
}

static void say_two(struct draft *d)
{
    struct cpv_clause *c = add_clause(d, CPV_SAY_TWO);

    for (int i = 0; i < 3; i++)
        mention(d, c, d->order[i]);
    c->relation[0] = choose_relation(d, d->order[0], d->order[1]);
    c->relation[1] = choose_relation(d, d->order[0], d->order[2]);
}

static void say_pairs(struct draft *d)
{
    struct cpv_clause *c = add_clause(d, CPV_SAY_PAIRS);

    for (int i = 0; i < 4; i++)
        mention(d, c, d->order[i]);
    c->relation[0] = choose_relation(d, d->order[0], d->order[1]);
    c->relation[1] = choose_relation(d, d->order[2], d->order[3]);
}

/* Of all shapes, or of those that share the colour or the texture of one of them. */
static void say_count(struct draft *d)
{
    const struct cpv_scene *s = d->scene;
    const struct cpv_object *like = &s->object[d->order[0]];
    struct cpv_clause *c = add_clause(d, CPV_SAY_COUNT);
    int colours = 0, textures = 0, by = (int)cpv_rng_below(d->r, 3);

    for (int i = 0; i < s->objects; i++) {
        colours += s->object[i].colour == like->colour;
        textures += s->object[i].texture == like->texture;
    }
    c->count = s->objects;
    if (by == 1 && colours >= 2) {
        c->colour = (int)like->colour;
        c->count = colours;
    } else if (by == 2 && textures >= 2 && like->texture != CPV_PLAIN) {
        c->texture = (int)like->texture;
        c->count = textures;
    }
}

/* Sentence after sentence, each about something that is known and something new. */
static void say_story(struct draft *d)
{
    const int *o = d->order;
    int n = d->scene->objects, from = 1;

    if (cpv_dice_percent(d->r, 35) && d->plan->opening != CPV_OPEN_PORTRAIT) {
        say_count(d);
        from = 0;
    } else if (cpv_dice_percent(d->r, 40)) {
        say_list(d, 1);
    } else {
        say_relation(d, o[0], o[1]);
        from = 2;
    }
    if (from == 0) {
        say_relation(d, o[0], o[1]);
        from = 2;
    }
    for (int i = from; i < n && d->plan->clauses < CPV_CLAUSES - 1; i++) {
        bool new_first = cpv_dice_percent(d->r, 35);

        say_relation(d, new_first ? o[i] : o[i - 1], new_first ? o[i - 1] : o[i]);
    }
}

static void say_body(struct draft *d)
{
    static const uint8_t weight[] = {14, 18, 30, 14, 18, 6};
    int n = d->scene->objects;
    int form = cpv_dice_weighed(d->r, weight);

    if (n == 1)
        form = 0;
    if (form == 5 && d->plan->opening == CPV_OPEN_PORTRAIT)
        form = 2;
    switch (form) {
    case 0:
        say_list(d, 1);
        break;
    case 1:
        say_list(d, cpv_dice_between(d->r, 2, n));
        break;
    case 3:
        if (n == 4 && cpv_dice_percent(d->r, 40))
            say_pairs(d);
        else if (n >= 3)
            say_two(d);
        else
            say_relation(d, d->order[0], d->order[1]);
        break;
    case 4:
        say_story(d);
        break;
    case 5:
        say_count(d);
        break;
    default:
        say_relation(d, d->order[0], d->order[1]);
        break;
    }
}

static void choose_order(struct draft *d, enum cpv_order order)
{
    int n = d->scene->objects;

    for (int i = 0; i < n; i++) {
        int k = i;

        if (order == CPV_ORDER_RANDOM)
            k = (int)cpv_rng_below(d->r, (uint64_t)i + 1);
        else
            while (k > 0 &&
                   d->scene->object[d->order[k - 1]].shape > d->scene->object[i].shape)
                k--;
        memmove(d->order + k + 1, d->order + k, (size_t)(i - k) * sizeof *d->order);
        d->order[k] = i;
    }
}

void cpv_plan_make(struct caption_plan *plan, const struct cpv_scene *scene,
                   enum cpv_order order, struct cpv_rng *r)
{
    struct draft d = {.plan = plan, .scene = scene, .r = r};
    int ground;

    memset(plan, 0, sizeof *plan);
    choose_order(&d, order);
    if (cpv_dice_percent(r, 30))
        plan->opening =
            (enum cpv_opening)(CPV_OPEN_FEATURES + (int)cpv_rng_below(r, CPV_PROMPTS));
    else if (cpv_dice_percent(r, 30))
        plan->opening = cpv_dice_percent(r, 65) ? CPV_OPEN_THERE_IS : CPV_OPEN_WE_SEE;
    d.say = cpv_dice_percent(r, 94) ? CPV_SAY_COLOUR : 0;
    if (cpv_dice_percent(r, 40))
        d.say |= CPV_SAY_EXTENT;
    if (cpv_dice_percent(r, 60))
        d.say |= CPV_SAY_TEXTURE;
    say_body(&d);
    if (plan->opening == CPV_OPEN_PORTRAIT)
        plan->clause[0].mention[0].say |= CPV_SAY_EXTENT;
    plan->sentence = plan->opening == CPV_OPEN_NONE &&
                     plan->clause[0].kind == CPV_SAY_RELATION &&
                     (plan->clauses > 1 || cpv_dice_percent(r, 30));
    ground = (int)cpv_rng_below(r, 100);
    plan->ground_phrase = ground < 30;
    plan->wording = (uint8_t)cpv_rng_below(r, 12);
    if (ground >= 30 && ground < 44)
        (void)add_clause(&d, CPV_SAY_GROUND);
}

bool cpv_plan_behind(const struct caption_plan *plan, enum cpv_opening opening,
                     struct caption_plan *out)
{
    bool portrait = opening == CPV_OPEN_PORTRAIT;

    if (portrait && plan->clause[0].kind == CPV_SAY_COUNT)
        return false;
    *out = *plan;
    out->opening = opening;
    if (opening != CPV_OPEN_NONE)
        out->sentence = false;
    if (portrait)
        out->clause[0].mention[0].say |= CPV_SAY_EXTENT;
    return true;
}

static bool same_text(const struct cpv_buf *all, const size_t *end, int n)
{
    struct cpv_bytes last = cpv_bytes_of(all->data + (n > 0 ? end[n - 1] : 0),
                                         end[n] - (n > 0 ? end[n - 1] : 0));

    for (int i = 0; i < n; i++) {
        size_t from = i > 0 ? end[i - 1] : 0;

        if (cpv_bytes_equal(last, cpv_bytes_of(all->data + from, end[i] - from)))
            return true;
    }
    return false;
}

int cpv_captions_make(struct cpv_captions *captions, const struct cpv_scene *scene,
                      uint64_t seed, enum cpv_order order, struct cpv_err *err)
{
    static const uint8_t weight[CPV_CAPTIONS] = {10, 10, 15, 15, 50};
    struct cpv_buf text = {0};
    size_t end[CPV_CAPTIONS];
    struct cpv_rng r;
    int wanted, rc = CPV_OK;

    cpv_rng_init(&r, seed, CPV_DICE_CAPTION + scene->heldout, scene->number);
    wanted = cpv_dice_weighed(&r, weight) + 1;
    captions->n = 0;
    for (int tries = 0; captions->n < wanted && tries < 4 * CPV_CAPTIONS; tries++) {
        size_t before = text.size;

        cpv_plan_make(&captions->plan[captions->n], scene, order, &r);
        cpv_english_say(scene, &captions->plan[captions->n], &text);
        end[captions->n] = text.size;
        if (text.failed)
            break;
        if (same_text(&text, end, captions->n))
            text.size = before;
        else
            captions->n++;
    }
    if (text.failed)
        rc = cpv_fail_memory(err);
    cpv_buf_release(&text);
    return rc;
}

static void mention_json(const struct cpv_mention *m, struct cpv_buf *out)
{
    static const char *const flag[] = {"size", "colour", "texture", "known"};
    const char *comma = "";

    cpv_buf_printf(out, "{\"object\":%d,\"say\":[", m->object);
    for (int i = 0; i < 4; i++)
        if (m->say >> i & 1) {
            cpv_buf_printf(out, "%s\"%s\"", comma, flag[i]);
            comma = ",";
        }
    cpv_buf_str(out, "]}");
}

static void clause_json(const struct cpv_clause *c, struct cpv_buf *out)
{
    int relations = c->kind == CPV_SAY_RELATION                          ? 1
                    : c->kind == CPV_SAY_TWO || c->kind == CPV_SAY_PAIRS ? 2
                                                                         : 0;

    cpv_buf_printf(out, "{\"kind\":\"%s\",\"wording\":%d", kind_name[c->kind],
                   c->wording);
    if (c->mentions > 0) {
        cpv_buf_str(out, ",\"mentions\":[");
        for (int i = 0; i < c->mentions; i++) {
            cpv_buf_str(out, i > 0 ? "," : "");
            mention_json(&c->mention[i], out);
        }
        cpv_buf_str(out, "]");
    }
    for (int i = 0; i < relations; i++)
        cpv_buf_printf(out, "%s\"%s\"%s", i > 0 ? "," : ",\"relations\":[",
                       cpv_relation_name[c->relation[i]], i + 1 == relations ? "]" : "");
    if (c->kind == CPV_SAY_COUNT)
        cpv_buf_printf(out, ",\"count\":%d", c->count);
    if (c->colour >= 0)
        cpv_buf_printf(out, ",\"colour\":\"%s\"", cpv_colour_name[c->colour]);
    if (c->texture >= 0)
        cpv_buf_printf(out, ",\"texture\":\"%s\"", cpv_texture_name[c->texture]);
    cpv_buf_str(out, "}");
}

void cpv_plan_json(const struct caption_plan *plan, struct cpv_buf *out)
{
    cpv_buf_printf(out, "{\"opening\":\"%s\",\"sentence\":%s,\"ground_phrase\":%s,",
                   cpv_opening_name[plan->opening], plan->sentence ? "true" : "false",
                   plan->ground_phrase ? "true" : "false");
    cpv_buf_printf(out, "\"wording\":%d,\"clauses\":[", plan->wording);
    for (int i = 0; i < plan->clauses; i++) {
        cpv_buf_str(out, i > 0 ? "," : "");
        clause_json(&plan->clause[i], out);
    }
    cpv_buf_str(out, "]}");
}
