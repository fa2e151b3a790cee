/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of a world, growing row by row in memory (about 6 KB a row) and written
 * at the end: captions as TSV and as COCO JSON, scenes as JSON lines, and what a
 * correct download makes of every row.
 *
 * One set of lists is one split: NAME.tsv and NAME.json; both share scenes.jsonl, and
 * parallel.tsv if `parallel` is set: the captions in every language, a line each.
 */
#ifndef CPV_DEMO_LISTS_H
#define CPV_DEMO_LISTS_H

#include "common/base/bytes.h"
#include "demo/scenes/fate.h"
#include "demo/scenes/plan.h"

struct cpv_row {
    uint64_t id;                   /* over both splits; the file's name */
    uint64_t line;                 /* of the TSV; the header is 1 */
    const struct cpv_scene *scene; /* of the row fate->of */
    const struct cpv_captions *captions;
    const struct cpv_fate *fate;
    uint64_t of_id; /* of the row fate->of */
};

enum cpv_parallel {
    CPV_PARALLEL_NONE,
    CPV_PARALLEL_CAPTIONS,
    CPV_PARALLEL_PROMPTS /* each caption also behind each of the ten prompts */
};

struct cpv_lists {
    const char *url_base; /* ends with a slash */
    enum cpv_parallel parallel;
    struct cpv_buf tsv, images, annotations, scenes, special, translations;
    uint64_t rows, annotation;
    uint64_t outcome[CPV_OUTCOMES], coco_outcome[CPV_OUTCOMES];
};

void cpv_lists_open(struct cpv_lists *l, const char *url_base,
                    enum cpv_parallel parallel);
void cpv_lists_add(struct cpv_lists *l, const struct cpv_row *row);
void cpv_lists_close(struct cpv_lists *l);

/* "images/00017.jpg" of a row that has a file of its own. */
void cpv_lists_file(const struct cpv_fate *fate, uint64_t id, struct cpv_buf *out);

/* The header of parallel.tsv, whose lines are in `translations`. */
void cpv_lists_parallel_header(struct cpv_buf *out);

/* NAME.tsv and NAME.json in `folder`. */
CPV_MUST_CHECK int cpv_lists_write(const struct cpv_lists *l, const char *folder,
                                   const char *name, struct cpv_err *err);
/* What is to become of the rows, as a JSON object. */
void cpv_lists_expect(const struct cpv_lists *l, struct cpv_buf *out);

#endif
