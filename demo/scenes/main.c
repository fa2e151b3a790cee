/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-demo-scenes: a world of drawn scenes with captions, as files in a folder. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/file.h"
#include "common/base/sys.h"
#include "demo/scenes/lists.h"

enum { SIZE_SMALL, SIZE_MIXED };
enum { SHEET_COLUMNS = 10, SHEET_ROWS = 7, SHEET_CELL = 128, SHEET_GAP = 4 };

struct options {
    int64_t scenes, heldout, seed, part;
    int size, order, parallel;
    bool list_only, misbehave, clean;
    const char *url_base, *grid;
    int64_t noise, blur, min_radius, max_objects, textured, nested;
};

static const char *const size_word[] = {"small", "mixed", NULL};
static const char *const order_word[] = {"random", "shape", NULL};
/* as enum cpv_parallel */
static const char *const parallel_word[] = {"none", "captions", "prompts", NULL};

#define AT(field) .offset = offsetof(struct options, field)

static const struct cpv_opt output_options[] = {
    {.name = "scenes",
     .kind = CPV_OPT_INT,
     AT(scenes),
     .fallback = "1000",
     .min = 0,
     .max = 200000,
     .arg = "N",
     .help = "Rows of the training list."},
    {.name = "heldout",
     .kind = CPV_OPT_INT,
     AT(heldout),
     .fallback = "0",
     .min = 0,
     .max = 100000,
     .arg = "N",
     .help =
         "Rows of the held-out list: each scene shows a pair of shape and colour that "
         "no training scene has."},
    {.name = "seed",
     .kind = CPV_OPT_INT,
     AT(seed),
     .fallback = "1",
     .min = 0,
     .max = 4294967295.0,
     .arg = "N",
     .help = "Another seed is another world."},
    {.name = "size",
     .kind = CPV_OPT_CHOICE,
     AT(size),
     .fallback = "small",
     .choices = size_word,
     .help = "Of the pictures: a shorter side of 96 to 160 px, or up to 640 px."},
    {.name = "url-base",
     .kind = CPV_OPT_TEXT,
     AT(url_base),
     .fallback = "http://127.0.0.1:8080/",
     .arg = "URL",
     .help = "Put before the path of each picture in the lists."},
    {.name = "list-only",
     .kind = CPV_OPT_FLAG,
     AT(list_only),
     .help = "Write the lists but no pictures."},
    {.name = "parallel",
     .kind = CPV_OPT_CHOICE,
     AT(parallel),
     .fallback = "none",
     .choices = parallel_word,
     .help = "Also write parallel.tsv: every caption in English, Portuguese, Xhosa and "
             "Hindi, or each of them behind each of the ten prompts as well."},
    {.name = "grid",
     .kind = CPV_OPT_TEXT,
     AT(grid),
     .arg = "FILE.png",
     .flags = CPV_OPT_PATH,
     .help = "Also draw the first scenes on one sheet."},
    {.kind = CPV_OPT_END}};

static const struct cpv_opt trouble_options[] = {
    {.name = "clean",
     .kind = CPV_OPT_FLAG,
     AT(clean),
     .help = "No broken files and no duplicates."},
    {.name = "misbehave",
     .kind = CPV_OPT_FLAG,
     AT(misbehave),
     .help = "Ask for some pictures in ways in which the test server fails, redirects or "
             "refuses; repeat one URL and spoil one row."},
    {.name = "part",
     .kind = CPV_OPT_INT,
     AT(part),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .arg = "ROWS",
     .help = "Rows of a part: a duplicate lies in the part of its original."},
    {.kind = CPV_OPT_END}};

static const struct cpv_opt look_options[] = {
    {.name = "noise",
     .kind = CPV_OPT_INT,
     AT(noise),
     .fallback = "4",
     .min = 0,
     .max = 60,
     .arg = "LEVELS",
     .help = "The largest standard deviation of noise."},
    {.name = "blur",
     .kind = CPV_OPT_INT,
     AT(blur),
     .fallback = "30",
     .min = 0,
     .max = 100,
     .arg = "PERCENT",
     .help = "The strongest blur; 100 is a 1-2-1 filter."},
    {.name = "min-radius",
     .kind = CPV_OPT_INT,
     AT(min_radius),
     .fallback = "130",
     .min = 40,
     .max = 200,
     .arg = "THOUSANDTHS",
     .help = "Radius of small objects, of the shorter side; others grow with it."},
    {.name = "max-objects",
     .kind = CPV_OPT_INT,
     AT(max_objects),
     .fallback = "4",
     .min = 1,
     .max = 4,
     .arg = "N",
     .help = "At most so many in a scene."},
    {.name = "textured",
     .kind = CPV_OPT_INT,
     AT(textured),
     .fallback = "25",
     .min = 0,
     .max = 100,
     .arg = "PERCENT",
     .help = "Objects that are striped, dotted or checked."},
    {.name = "nested",
     .kind = CPV_OPT_INT,
     AT(nested),
     .fallback = "30",
     .min = 0,
     .max = 100,
     .arg = "PERCENT",
     .help = "Scenes with an object inside another."},
    {.name = "order",
     .kind = CPV_OPT_CHOICE,
     AT(order),
     .fallback = "random",
     .choices = order_word,
     .help = "In which captions name objects: any, or always that of the shapes."},
    {.kind = CPV_OPT_END}};

static struct cpv_look look_of(const struct options *o)
{
    struct cpv_look look = {.noise = (int)o->noise,
                            .blur = (int)o->blur,
                            .min_radius = (int)o->min_radius,
                            .max_objects = (int)o->max_objects,
                            .textured = (int)o->textured,
                            .nested = (int)o->nested,
                            .mixed = o->size == SIZE_MIXED};

    return look;
}

/* What one run needs; the buffers are used again for every row. */
struct run {
    const struct options *o;
    struct cpv_look look;
    const char *folder;
    struct cpv_buf pixels, file, path;
};

/* Pictures can be drawn again, so they are not made durable one by one. */
static int write_plainly(const char *path, const struct cpv_buf *content,
                         struct cpv_err *err)
{
    int fd = cpv_sys.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int rc;

    if (fd < 0)
        return cpv_fail_sys(err, errno, "cannot create '%s'", path);
    rc = cpv_file_put(fd, content->data, content->size, path, err);
    if (cpv_sys.close(fd) < 0 && !rc)
        rc = cpv_fail_sys(err, errno, "cannot write '%s'", path);
    return rc;
}

static int draw(struct run *run, const struct cpv_scene *scene, struct cpv_err *err)
{
    size_t size = (size_t)scene->width * (size_t)scene->height * 3;

    cpv_buf_clear(&run->pixels);
    if (!cpv_buf_reserve(&run->pixels, size))
        return cpv_fail_memory(err);
    run->pixels.size = size;
    return cpv_scene_draw(scene, (uint64_t)run->o->seed, run->pixels.data, err);
}

static int write_picture(struct run *run, const struct cpv_row *row, struct cpv_err *err)
{
    const char *path;
    int rc = draw(run, row->scene, err);

    cpv_buf_clear(&run->file);
    if (!rc)
        rc = cpv_picture_encode(run->pixels.data, row->scene->width, row->scene->height,
                                &row->fate->file, &run->file, err);
    if (rc)
        return rc;
    cpv_fate_damage(row->fate, (uint64_t)run->o->seed, &run->file);
    cpv_buf_clear(&run->path);
    cpv_buf_printf(&run->path, "%s/", run->folder);
    cpv_lists_file(row->fate, row->id, &run->path);
    path = cpv_buf_cstr(&run->path);
    if (!path || run->file.failed)
        return cpv_fail_memory(err);
    return write_plainly(path, &run->file, err);
}

/* One split; `first_id` is the id of its first row. */
static int make_split(struct run *run, struct cpv_lists *lists, bool heldout,
                      uint64_t rows, uint64_t first_id, struct cpv_err *err)
{
    const struct options *o = run->o;
    struct cpv_fates fates = {(uint64_t)o->seed, rows,     (uint64_t)o->part,
                              heldout,           o->clean, o->misbehave};
    struct cpv_captions captions;
    struct cpv_scene scene;
    struct cpv_fate fate;
    int rc = CPV_OK;

    for (uint64_t i = 0; !rc && i < rows; i++) {
        struct cpv_row row = {first_id + i, i + 2, &scene, &captions, &fate, 0};

        cpv_fate_choose(&fate, &fates, i);
        row.of_id = first_id + fate.of;
        cpv_scene_make(&scene, fates.seed, fate.of, heldout, &run->look);
        cpv_fate_choose_file(&fate, &fates, scene.mono);
        rc = cpv_captions_make(&captions, &scene, fates.seed, (enum cpv_order)o->order,
                               err);
        if (!rc)
            cpv_lists_add(lists, &row);
        if (!rc && !o->list_only && fate.kind != CPV_ROW_SAME_URL &&
            fate.way != CPV_WAY_MISSING)
            rc = write_picture(run, &row, err);
    }
    return rc;
}

static int write_named(struct run *run, const char *name, const struct cpv_buf *content,
                       struct cpv_err *err)
{
    const char *path;

    cpv_buf_clear(&run->path);
    cpv_buf_printf(&run->path, "%s/%s", run->folder, name);
    path = cpv_buf_cstr(&run->path);
    if (!path || content->failed)
        return cpv_fail_memory(err);
    return cpv_file_replace(path, cpv_buf_view(content), err);
}

static int write_parallel(struct run *run, const struct cpv_lists *train,
                          const struct cpv_lists *heldout, struct cpv_err *err)
{
    struct cpv_buf all = {0};
    int rc;

    if (train->parallel == CPV_PARALLEL_NONE)
        return CPV_OK;
    cpv_lists_parallel_header(&all);
    cpv_buf_add(&all, train->translations.data, train->translations.size);
    cpv_buf_add(&all, heldout->translations.data, heldout->translations.size);
    all.failed |= train->translations.failed || heldout->translations.failed;
    rc = write_named(run, "parallel.tsv", &all, err);
    cpv_buf_release(&all);
    return rc;
}

static int write_lists(struct run *run, struct cpv_lists *train,
                       struct cpv_lists *heldout, struct cpv_err *err)
{
    struct cpv_buf expect = {0};
    int rc;

    cpv_buf_str(&expect, "{\"captions\": ");
    cpv_lists_expect(train, &expect);
    if (heldout->rows > 0) {
        cpv_buf_str(&expect, ",\n\"heldout\": ");
        cpv_lists_expect(heldout, &expect);
    }
    cpv_buf_str(&expect, "}\n");
    cpv_buf_add(&train->scenes, heldout->scenes.data, heldout->scenes.size);
    train->scenes.failed |= heldout->scenes.failed;
    rc = cpv_lists_write(train, run->folder, "captions", err);
    if (!rc && heldout->rows > 0)
        rc = cpv_lists_write(heldout, run->folder, "heldout", err);
    if (!rc)
        rc = write_named(run, "scenes.jsonl", &train->scenes, err);
    if (!rc)
        rc = write_named(run, "expect.json", &expect, err);
    if (!rc)
        rc = write_parallel(run, train, heldout, err);
    cpv_buf_release(&expect);
    return rc;
}

static int make_world(struct run *run, struct cpv_err *err)
{
    const struct options *o = run->o;
    struct cpv_lists train, heldout;
    const char *images;
    int rc;

    cpv_buf_clear(&run->path);
    cpv_buf_printf(&run->path, "%s/images", run->folder);
    images = cpv_buf_cstr(&run->path);
    if (!images)
        return cpv_fail_memory(err);
    if ((rc = cpv_folder_make(o->list_only ? run->folder : images, err)))
        return rc;
    cpv_lists_open(&train, o->url_base, (enum cpv_parallel)o->parallel);
    cpv_lists_open(&heldout, o->url_base, (enum cpv_parallel)o->parallel);
    rc = make_split(run, &train, false, (uint64_t)o->scenes, 0, err);
    if (!rc)
        rc = make_split(run, &heldout, true, (uint64_t)o->heldout, (uint64_t)o->scenes,
                        err);
    if (!rc)
        rc = write_lists(run, &train, &heldout, err);
    cpv_lists_close(&train);
    cpv_lists_close(&heldout);
    return rc;
}

/* Copy the picture into a cell, nearest pixels, its proportions kept. */
static void paste(uint8_t *sheet, int stride, int cell, const struct cpv_scene *s,
                  const uint8_t *rgb)
{
    int longer = s->width > s->height ? s->width : s->height;
    int w = s->width * SHEET_CELL / longer, h = s->height * SHEET_CELL / longer;
    int left = cell % SHEET_COLUMNS * (SHEET_CELL + SHEET_GAP) + SHEET_GAP +
               (SHEET_CELL - w) / 2;
    int top = cell / SHEET_COLUMNS * (SHEET_CELL + SHEET_GAP) + SHEET_GAP +
              (SHEET_CELL - h) / 2;

    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int from = y * s->height / h * s->width + x * s->width / w;

            memcpy(sheet + 3 * ((top + y) * stride + left + x), rgb + 3 * from, 3);
        }
}

/* The first scenes of training, or the held-out ones if there is nothing else. */
static int make_sheet(struct run *run, struct cpv_err *err)
{
    enum {
        W = SHEET_COLUMNS * (SHEET_CELL + SHEET_GAP) + SHEET_GAP,
        H = SHEET_ROWS * (SHEET_CELL + SHEET_GAP) + SHEET_GAP
    };
    struct cpv_picture_file png = {.format = CPV_PICTURE_PNG, .orientation = 1};
    struct cpv_scene scene;
    uint8_t *sheet;
    int rc = CPV_OK;

    if (!cpv_picture_can(CPV_PICTURE_PNG))
        return cpv_fail(err, CPV_E_USAGE, "'--grid' needs libpng, which is not built in");
    sheet = cpv_alloc((size_t)W * H * 3);
    if (!sheet)
        return cpv_fail_memory(err);
    memset(sheet, 255, (size_t)W * H * 3);
    for (int i = 0; !rc && i < SHEET_COLUMNS * SHEET_ROWS; i++) {
        cpv_scene_make(&scene, (uint64_t)run->o->seed, (uint64_t)i, run->o->scenes == 0,
                       &run->look);
        rc = draw(run, &scene, err);
        if (!rc)
            paste(sheet, W, i, &scene, run->pixels.data);
    }
    cpv_buf_clear(&run->file);
    if (!rc)
        rc = cpv_picture_encode(sheet, W, H, &png, &run->file, err);
    if (!rc)
        rc = write_plainly(run->o->grid, &run->file, err);
    cpv_free(sheet);
    return rc;
}

/* 1: the program has answered (help) and is done. */
static int read_options(int argc, char **argv, cpv_arena *mem, struct options *o,
                        const char **folder, struct cpv_err *err)
{
    const struct cpv_opt_group groups[] = {
        {"Output", NULL, output_options, o},
        {"Trouble on purpose", NULL, trouble_options, o},
        {"What scenes look like and how captions name them", NULL, look_options, o}};
    const struct cpv_program program = {
        "capivara-demo-scenes",
        CPV_VERSION,
        "draw a world of scenes with captions",
        "[options] FOLDER",
        "Writes images/, captions.tsv, captions.json (COCO), scenes.jsonl (what is in "
        "each scene) and expect.json (what a correct download makes of the rows) into "
        "FOLDER; with --heldout also heldout.tsv and heldout.json, with --parallel also "
        "parallel.tsv. The same options give "
        "the same scenes, pixels and captions on every machine.",
        groups,
        sizeof groups / sizeof groups[0]};
    struct cpv_buf answer = {0};
    struct cpv_cli cli;
    int rc = cpv_cli_parse(&program, argc, argv, mem, &cli, err);

    if (rc)
        return rc;
    if (cli.ask != CPV_ASK_NOTHING) {
        cpv_program_answer(&program, cli.ask, &answer);
        if (answer.failed)
            rc = cpv_fail_memory(err);
        else if (fwrite(answer.data, 1, answer.size, stdout) != answer.size ||
                 fflush(stdout) != 0)
            rc = cpv_fail_sys(err, errno, "cannot write to standard output");
        cpv_buf_release(&answer);
        return rc ? rc : 1;
    }
    if ((rc = cpv_opts_defaults(&program, mem, err)) ||
        (rc = cpv_cli_apply(&cli, mem, err)))
        return rc;
    *folder = cli.n_rest > 0 ? cli.rest[0] : NULL;
    if (cli.n_rest > 1)
        return cpv_fail(err, CPV_E_USAGE, "expected one folder, found '%s' as well",
                        cli.rest[1]);
    if (!*folder && !o->grid)
        return cpv_fail(err, CPV_E_USAGE, "expected the folder to write to");
    if (o->url_base[0] == '\0' || o->url_base[strlen(o->url_base) - 1] != '/')
        return cpv_fail(err, CPV_E_USAGE,
                        "'--url-base' expected a URL that ends with '/'");
    if (strpbrk(o->url_base, "\t\n\r\"\\"))
        return cpv_fail(err, CPV_E_USAGE, "'--url-base' holds a character of no URL");
    return CPV_OK;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct run run = {.o = &o};
    struct cpv_err err = {0};
    cpv_arena *mem = NULL;
    int rc = cpv_arena_open(&mem, 0, &err);

    if (!rc)
        rc = read_options(argc, argv, mem, &o, &run.folder, &err);
    run.look = look_of(&o);
    if (!rc && run.folder)
        rc = make_world(&run, &err);
    if (!rc && o.grid)
        rc = make_sheet(&run, &err);
    if (!rc && run.folder)
        printf("%" PRId64 " scenes and %" PRId64 " held-out ones in '%s'\n", o.scenes,
               o.heldout, run.folder);
    if (rc < 0)
        fprintf(stderr, "capivara-demo-scenes: %s%s\n", err.text,
                rc == CPV_E_USAGE ? "; see --help" : "");
    cpv_buf_release(&run.pixels);
    cpv_buf_release(&run.file);
    cpv_buf_release(&run.path);
    cpv_arena_close(&mem);
    return rc < 0 ? cpv_exit_status(rc) : 0;
}
