/* SPDX-License-Identifier: Apache-2.0 */
/* See lists.h. No text of ours needs escaping, in TSV or in JSON. */
#include "demo/scenes/lists.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/file.h"

void cpv_lists_open(struct cpv_lists *l, const char *url_base, enum cpv_parallel parallel)
{
    memset(l, 0, sizeof *l);
    l->url_base = url_base;
    l->parallel = parallel;
    cpv_buf_str(&l->tsv, "url");
    for (int i = 1; i <= CPV_CAPTIONS; i++)
        cpv_buf_printf(&l->tsv, "\tcaption_%d", i);
    cpv_buf_str(&l->tsv, "\tid\n");
}

void cpv_lists_close(struct cpv_lists *l)
{
    cpv_buf_release(&l->tsv);
    cpv_buf_release(&l->images);
    cpv_buf_release(&l->annotations);
    cpv_buf_release(&l->scenes);
    cpv_buf_release(&l->special);
    cpv_buf_release(&l->translations);
}

void cpv_lists_file(const struct cpv_fate *fate, uint64_t id, struct cpv_buf *out)
{
    cpv_buf_printf(out, "images/%05" PRIu64 "%s", id,
                   cpv_picture_suffix(fate->file.format));
}

/* A repeated URL is that of the other row. A missing file has a name that is not there.
 */
static void url(const struct cpv_lists *l, const struct cpv_row *row, struct cpv_buf *out)
{
    const struct cpv_fate *f = row->fate;

    cpv_buf_str(out, l->url_base);
    switch (f->way) {
    case CPV_WAY_FLAKY:
        cpv_buf_str(out, "flaky/1/");
        break;
    case CPV_WAY_REDIRECT:
        cpv_buf_printf(out, "redirect/%d/", f->hops);
        break;
    case CPV_WAY_OPTOUT:
        cpv_buf_str(out, "noai/");
        break;
    case CPV_WAY_MISSING:
        cpv_buf_str(out, "missing/");
        break;
    default:
        break;
    }
    cpv_lists_file(f, f->kind == CPV_ROW_SAME_URL ? row->of_id : row->id, out);
}

static void say(const struct cpv_row *row, int i, struct cpv_buf *out)
{
    cpv_english_say(row->scene, &row->captions->plan[i], out);
}

static void add_tsv(struct cpv_lists *l, const struct cpv_row *row)
{
    url(l, row, &l->tsv);
    if (row->fate->kind != CPV_ROW_MALFORMED) {
        for (int i = 0; i < CPV_CAPTIONS; i++) {
            cpv_buf_byte(&l->tsv, '\t');
            if (i < row->captions->n)
                say(row, i, &l->tsv);
        }
        cpv_buf_printf(&l->tsv, "\t%" PRIu64, row->id);
    }
    cpv_buf_byte(&l->tsv, '\n');
}

static void add_coco(struct cpv_lists *l, const struct cpv_row *row)
{
    bool shared = row->fate->kind == CPV_ROW_SAME_URL;

    cpv_buf_printf(&l->images, "%s\n  {\"id\": %" PRIu64 ", \"file_name\": \"",
                   l->rows > 0 ? "," : "", row->id);
    cpv_lists_file(row->fate, shared ? row->of_id : row->id, &l->images);
    cpv_buf_str(&l->images, "\", \"coco_url\": \"");
    url(l, row, &l->images);
    cpv_buf_printf(&l->images, "\", \"width\": %d, \"height\": %d}", row->scene->width,
                   row->scene->height);
    for (int i = 0; i < row->captions->n; i++) {
        cpv_buf_printf(&l->annotations,
                       "%s\n  {\"id\": %" PRIu64 ", \"image_id\": %" PRIu64
                       ", \"caption\": \"",
                       l->annotation > 0 ? "," : "", l->annotation, row->id);
        say(row, i, &l->annotations);
        cpv_buf_str(&l->annotations, "\"}");
        l->annotation++;
    }
}

/* n / whole with four decimals, without floating point; 0 <= n <= whole. */
static void fraction(struct cpv_buf *out, int64_t n, int64_t whole)
{
    int64_t v = (n * 10000 + whole / 2) / whole;

    cpv_buf_printf(out, "%d.%04d", (int)(v / 10000), (int)(v % 10000));
}

/* Places are fractions of the picture's width and height, radii of its shorter side. */
static void add_objects(const struct cpv_scene *s, struct cpv_buf *out)
{
    int64_t side = s->width < s->height ? s->width : s->height;

    cpv_buf_str(out, ",\"objects\":[");
    for (int i = 0; i < s->objects; i++) {
        const struct cpv_object *o = &s->object[i];
        int64_t x = (s->width - side) * CPV_SIDE / 2 + o->x * side;
        int64_t y = (s->height - side) * CPV_SIDE / 2 + o->y * side;

        cpv_buf_printf(out,
                       "%s{\"shape\":\"%s\",\"colour\":\"%s\",\"size\":\"%s\","
                       "\"texture\":\"%s\",\"x\":",
                       i > 0 ? "," : "", cpv_shape_name[o->shape],
                       cpv_colour_name[o->colour], cpv_extent_name[o->extent],
                       cpv_texture_name[o->texture]);
        fraction(out, x, (int64_t)s->width * CPV_SIDE);
        cpv_buf_str(out, ",\"y\":");
        fraction(out, y, (int64_t)s->height * CPV_SIDE);
        cpv_buf_str(out, ",\"radius\":");
        fraction(out, o->radius, CPV_SIDE);
        cpv_buf_printf(out, ",\"z\":%d}", i);
    }
    cpv_buf_str(out, "]");
}

static void add_relations(const struct cpv_scene *s, struct cpv_buf *out)
{
    const char *comma = "";

    cpv_buf_str(out, ",\"relations\":[");
    for (int a = 0; a < s->objects; a++)
        for (int b = 0; b < s->objects; b++)
            for (int k = 0; k < CPV_RELATIONS && a != b; k++)
                if (cpv_scene_holds(s, a, (enum cpv_relation)k, b)) {
                    cpv_buf_printf(out, "%s[%d,\"%s\",%d]", comma, a,
                                   cpv_relation_name[k], b);
                    comma = ",";
                }
    cpv_buf_str(out, "]");
}

static void add_file(const struct cpv_row *row, struct cpv_buf *out)
{
    static const char *const format[] = {"jpeg", "png", "webp"};
    const struct cpv_fate *f = row->fate;
    const struct cpv_picture_file *file = &f->file;

    cpv_buf_printf(out, ",\"file\":{\"path\":\"");
    cpv_lists_file(f, f->kind == CPV_ROW_SAME_URL ? row->of_id : row->id, out);
    cpv_buf_printf(out, "\",\"format\":\"%s\"", format[file->format]);
    if (file->format != CPV_PICTURE_PNG)
        cpv_buf_printf(out, ",\"quality\":%d", file->quality);
    if (file->format == CPV_PICTURE_JPEG)
        cpv_buf_printf(out, ",\"chroma\":\"%s\",\"progressive\":%s,\"orientation\":%d",
                       file->gray          ? "gray"
                       : file->full_chroma ? "444"
                                           : "420",
                       file->progressive ? "true" : "false", file->orientation);
    if (f->damage == CPV_DAMAGE_NONE)
        cpv_buf_str(out, ",\"broken\":null}");
    else
        cpv_buf_printf(out, ",\"broken\":\"%s\"}", cpv_damage_name[f->damage]);
    cpv_buf_printf(out,
                   ",\"row\":{\"kind\":\"%s\",\"of\":%" PRIu64 ",\"way\":\"%s\","
                   "\"outcome\":\"%s\"}",
                   cpv_row_kind_name[f->kind], row->of_id, cpv_way_name[f->way],
                   cpv_outcome_name[f->outcome]);
}

static void add_scene(struct cpv_lists *l, const struct cpv_row *row)
{
    struct cpv_buf *out = &l->scenes;
    const struct cpv_scene *s = row->scene;

    cpv_buf_printf(out,
                   "{\"id\":%" PRIu64 ",\"split\":\"%s\",\"width\":%d,\"height\":%d,"
                   "\"background\":\"%s\",\"gray_only\":%s",
                   row->id, s->heldout ? "heldout" : "train", s->width, s->height,
                   cpv_ground_name[s->ground], s->mono ? "true" : "false");
    add_objects(s, out);
    add_relations(s, out);
    cpv_buf_str(out, ",\"captions\":[");
    for (int i = 0; i < row->captions->n; i++) {
        cpv_buf_printf(out, "%s{\"en\":\"", i > 0 ? "," : "");
        say(row, i, out);
        cpv_buf_str(out, "\",\"plan\":");
        cpv_plan_json(&row->captions->plan[i], out);
        cpv_buf_str(out, "}");
    }
    cpv_buf_str(out, "]");
    add_file(row, out);
    cpv_buf_str(out, "}\n");
}

void cpv_lists_parallel_header(struct cpv_buf *out)
{
    cpv_buf_str(out, "id\tsplit\tcaption\topening");
    for (int i = 0; i < CPV_LANGUAGES; i++)
        cpv_buf_printf(out, "\t%s", cpv_language[i].code);
    cpv_buf_byte(out, '\n');
}

/* One caption in every language. */
static void add_translations(struct cpv_lists *l, const struct cpv_row *row, int caption,
                             const struct caption_plan *plan)
{
    cpv_buf_printf(&l->translations, "%" PRIu64 "\t%s\t%d\t%s", row->id,
                   row->scene->heldout ? "heldout" : "train", caption + 1,
                   cpv_opening_name[plan->opening]);
    for (int i = 0; i < CPV_LANGUAGES; i++) {
        cpv_buf_byte(&l->translations, '\t');
        cpv_language[i].say(row->scene, plan, &l->translations);
    }
    cpv_buf_byte(&l->translations, '\n');
}

static void add_parallel(struct cpv_lists *l, const struct cpv_row *row)
{
    for (int i = 0; i < row->captions->n; i++) {
        const struct caption_plan *plan = &row->captions->plan[i];
        struct caption_plan prompted;

        add_translations(l, row, i, plan);
        for (int k = 0; k < CPV_PROMPTS && l->parallel == CPV_PARALLEL_PROMPTS; k++) {
            enum cpv_opening opening = (enum cpv_opening)(CPV_OPEN_FEATURES + k);

            if (opening != plan->opening && cpv_plan_behind(plan, opening, &prompted))
                add_translations(l, row, i, &prompted);
        }
    }
}

void cpv_lists_add(struct cpv_lists *l, const struct cpv_row *row)
{
    const struct cpv_fate *f = row->fate;

    add_tsv(l, row);
    add_coco(l, row);
    add_scene(l, row);
    if (l->parallel != CPV_PARALLEL_NONE)
        add_parallel(l, row);
    if (f->outcome != CPV_OUTCOME_OK)
        cpv_buf_printf(&l->special,
                       "%s\n    {\"id\": %" PRIu64 ", \"line\": %" PRIu64
                       ", \"outcome\": \"%s\"}",
                       l->special.size > 0 ? "," : "", row->id, row->line,
                       cpv_outcome_name[f->outcome]);
    l->outcome[f->outcome]++;
    l->coco_outcome[f->coco_outcome]++;
    l->rows++;
}

static int write_file(const char *folder, const char *name, const char *suffix,
                      const struct cpv_buf *content, struct cpv_err *err)
{
    struct cpv_buf path = {0};
    const char *text;
    int rc;

    cpv_buf_printf(&path, "%s/%s%s", folder, name, suffix);
    text = cpv_buf_cstr(&path);
    if (!text || content->failed)
        rc = cpv_fail_memory(err);
    else
        rc = cpv_file_replace(text, cpv_buf_view(content), err);
    cpv_buf_release(&path);
    return rc;
}

int cpv_lists_write(const struct cpv_lists *l, const char *folder, const char *name,
                    struct cpv_err *err)
{
    struct cpv_buf json = {0};
    int rc;

    cpv_buf_str(&json, "{\"info\": {\"description\": \"drawn scenes\"}, \"images\": [");
    cpv_buf_add(&json, l->images.data, l->images.size);
    cpv_buf_str(&json, "\n], \"annotations\": [");
    cpv_buf_add(&json, l->annotations.data, l->annotations.size);
    cpv_buf_str(&json, "\n]}\n");
    json.failed |= l->images.failed || l->annotations.failed;
    rc = write_file(folder, name, ".tsv", &l->tsv, err);
    if (!rc)
        rc = write_file(folder, name, ".json", &json, err);
    cpv_buf_release(&json);
    return rc;
}

static void counts(const uint64_t *n, struct cpv_buf *out)
{
    for (int i = 0; i < CPV_OUTCOMES; i++)
        cpv_buf_printf(out, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "{", cpv_outcome_name[i],
                       n[i]);
    cpv_buf_str(out, "}");
}

void cpv_lists_expect(const struct cpv_lists *l, struct cpv_buf *out)
{
    cpv_buf_printf(out, "{\n  \"rows\": %" PRIu64 ",\n  \"tsv\": ", l->rows);
    counts(l->outcome, out);
    cpv_buf_str(out, ",\n  \"coco\": ");
    counts(l->coco_outcome, out);
    cpv_buf_str(out, ",\n  \"not_ok\": [");
    cpv_buf_add(out, l->special.data, l->special.size);
    cpv_buf_str(out, "]\n}");
    out->failed |= l->special.failed;
}
