/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zero-shot classification. A class is the mean of the unit vectors of its prompts, made
 * a unit vector; a picture belongs to the class with the largest inner product, of equal
 * ones to the first.
 */
#include <math.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "eval/eval.h"

enum { TEMPLATES_MAX = 16 << 20 };

struct work {
    struct eval_run *r;
    const char *lang;
    struct eval_classes classes;
    const char **tmpl;
    int64_t n_tmpl;
    float *class_vectors; /* [classes.n, dim] */
    float *images;        /* [n, dim] of those that are of a class */
    int64_t *owner, *rank, *number;
    int64_t n, other; /* other: of no class of this language */
};

/* ---- names and templates ---- */

/* What the option says, or `usual` in the set's folder. NULL: there is none. */
static int path_of(struct work *w, const char *option, const char *usual,
                   const char **out, struct cpv_err *err)
{
    const char *root = w->r->source.root;

    *out = NULL;
    if (option)
        *out = eval_with_lang(option, w->lang, w->r->mem);
    else if (root)
        *out = cpv_arena_printf(w->r->mem, "%s/%s", root, usual);
    if (!*out)
        return option || root ? cpv_fail_memory(err) : CPV_OK;
    if (!option && !cpv_file_exists(*out))
        *out = NULL;
    return CPV_OK;
}

static int read_classes(struct work *w, struct cpv_err *err)
{
    const struct eval_set *s = &w->r->set;
    const char *path;
    int rc = path_of(w, w->r->how->classnames, "classnames.txt", &path, err);

    if (rc)
        return rc;
    if (path)
        return eval_classes_read(path, w->lang, w->r->mem, &w->classes, err);
    if (!s->n_class_folders)
        return cpv_fail(err, CPV_E_USAGE, "which classes? See --classnames");
    w->classes.name = s->class_folder;
    w->classes.n = s->n_class_folders;
    return CPV_OK;
}

static int read_templates(struct work *w, struct cpv_err *err)
{
    static const char *alone[] = {"{c}"};
    struct cpv_buf text = {0};
    const char *path;
    int rc = path_of(w, w->r->how->templates, "zeroshot_classification_templates.txt",
                     &path, err);

    w->tmpl = alone;
    w->n_tmpl = 1;
    if (rc || !path)
        return rc;
    rc = cpv_file_read(path, TEMPLATES_MAX, &text, err);
    if (!rc)
        rc = eval_templates_parse(cpv_buf_view(&text), path, w->lang, w->r->mem, &w->tmpl,
                                  &w->n_tmpl, err);
    cpv_buf_release(&text);
    return rc;
}

/* ---- classes as vectors ---- */

static void average(const struct work *w, const float *prompts, float *out)
{
    int64_t dim = embedder_dim(w->r->e);
    bool plain = w->r->how->parity && w->n_tmpl == 1;
    double sum = 0;

    for (int64_t k = 0; k < dim; k++) {
        double mean = 0;

        for (int64_t i = 0; i < w->n_tmpl; i++)
            mean += (double)prompts[i * dim + k];
        out[k] = (float)(mean / (double)w->n_tmpl);
        sum += (double)out[k] * (double)out[k];
    }
    for (int64_t k = 0; k < dim && !plain && sum > 0; k++)
        out[k] = (float)((double)out[k] / sqrt(sum));
}

static int embed_classes(struct work *w, struct cpv_err *err)
{
    int64_t dim = embedder_dim(w->r->e), n = w->classes.n * w->n_tmpl;
    struct cpv_arena_mark mark = cpv_arena_mark(w->r->mem);
    const char **prompt = cpv_arena_calloc(w->r->mem, (size_t)n, sizeof *prompt);
    float *vectors = cpv_calloc((size_t)n, (size_t)dim * sizeof *vectors);
    int rc = CPV_OK;

    w->class_vectors =
        cpv_calloc((size_t)w->classes.n, (size_t)dim * sizeof *w->class_vectors);
    if (!prompt || !vectors || !w->class_vectors)
        rc = cpv_fail_memory(err);
    for (int64_t i = 0; i < n && !rc; i++) {
        prompt[i] = eval_template_fill(w->tmpl[i % w->n_tmpl],
                                       w->classes.name[i / w->n_tmpl], w->r->mem);
        if (!prompt[i])
            rc = cpv_fail_memory(err);
    }
    if (!rc)
        rc = w->r->how->parity ? embedder_raw_texts(w->r->e, prompt, n, vectors, err)
                               : embedder_texts(w->r->e, prompt, n, vectors, err);
    for (int64_t i = 0; i < w->classes.n && !rc; i++)
        average(w, vectors + i * w->n_tmpl * dim, w->class_vectors + i * dim);
    cpv_free(vectors);
    cpv_arena_rewind(w->r->mem, mark);
    return rc;
}

/* ---- pictures ---- */

/* The place of a label among the classes; -1: it is not there. */
static int64_t class_of(const struct work *w, int64_t label)
{
    if (!w->classes.label)
        return label < w->classes.n ? label : -1;
    for (int64_t i = 0; i < w->classes.n; i++)
        if (w->classes.label[i] == label)
            return i;
    return -1;
}

static int collect(struct work *w, struct cpv_err *err)
{
    const struct eval_set *s = &w->r->set;
    size_t all = (size_t)eval_images(s) + 1;
    int64_t dim = embedder_dim(w->r->e);

    w->images = cpv_calloc(all, (size_t)dim * sizeof *w->images);
    w->owner = cpv_calloc(all, sizeof *w->owner);
    w->rank = cpv_calloc(all, sizeof *w->rank);
    w->number = cpv_calloc(all, sizeof *w->number);
    if (!w->images || !w->owner || !w->rank || !w->number)
        return cpv_fail_memory(err);
    for (int64_t i = 0; i < eval_images(s); i++) {
        const float *v = embedder_image(w->r->e, i);
        int64_t place = class_of(w, eval_image(s, i)->label);

        if (!v)
            continue;
        if (place < 0 && !w->classes.label)
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s' is of class %lld, but there are names of %lld classes",
                            eval_image(s, i)->key, (long long)eval_image(s, i)->label,
                            (long long)w->classes.n);
        w->other += place < 0;
        if (place < 0)
            continue;
        memcpy(w->images + w->n * dim, v, (size_t)dim * sizeof *v);
        w->number[w->n] = i;
        w->owner[w->n++] = place;
    }
    if (w->n == 0)
        return cpv_fail(err, CPV_E_INPUT, "no image is of a class of language '%s'",
                        w->lang);
    return CPV_OK;
}

/* A class is to a picture what an image is to a text. */
static int rank(struct work *w, struct cpv_err *err)
{
    struct cpv_recall_set set = {.images = w->class_vectors,
                                 .texts = w->images,
                                 .owner = w->owner,
                                 .n_images = w->classes.n,
                                 .n_texts = w->n,
                                 .dim = embedder_dim(w->r->e),
                                 .by_index = true,
                                 .threads = (int)w->r->how->threads};
    int64_t *unused = cpv_calloc((size_t)w->classes.n, sizeof *unused);
    int rc = unused ? cpv_recall_ranks(&set, w->rank, unused, err) : cpv_fail_memory(err);

    cpv_free(unused);
    return rc;
}

/* ---- what is said ---- */

/* The mean of the classes' shares of pictures that are right. */
static int mean_per_class(const struct work *w, double *out, int64_t *with,
                          struct cpv_err *err)
{
    int64_t *right = cpv_calloc((size_t)w->classes.n, 2 * sizeof *right);
    int64_t *all = right + w->classes.n;

    *out = 0;
    *with = 0;
    if (!right)
        return cpv_fail_memory(err);
    for (int64_t i = 0; i < w->n; i++) {
        all[w->owner[i]]++;
        right[w->owner[i]] += w->rank[i] == 1;
    }
    for (int64_t i = 0; i < w->classes.n; i++)
        if (all[i]) {
            *out += (double)right[i] / (double)all[i];
            (*with)++;
        }
    *out /= (double)*with;
    cpv_free(right);
    return CPV_OK;
}

static int say(struct work *w, struct cpv_err *err)
{
    struct eval_run *r = w->r;
    struct cpv_json *j = &r->json;
    struct cpv_recall_side side;
    double mean;
    int64_t with;
    int rc = mean_per_class(w, &mean, &with, err);

    if (rc)
        return rc;
    cpv_recall_of(w->rank, w->n, &side);
    cpv_buf_printf(&r->table, "%-8s %7lld %8lld %8lld  %6.2f %6.2f  %6.2f\n", w->lang,
                   (long long)w->classes.n, (long long)w->n_tmpl, (long long)w->n,
                   100 * side.at[0], 100 * side.at[1], 100 * mean);
    cpv_json_key(j, w->lang);
    cpv_json_begin_object(j);
    cpv_json_key(j, "classes");
    cpv_json_int(j, w->classes.n);
    cpv_json_key(j, "classes_with_images");
    cpv_json_int(j, with);
    cpv_json_key(j, "templates");
    cpv_json_int(j, w->n_tmpl);
    cpv_json_key(j, "images");
    cpv_json_int(j, w->n);
    cpv_json_key(j, "images_of_other_classes");
    cpv_json_int(j, w->other);
    cpv_json_key(j, "top1");
    cpv_json_real6(j, side.at[0]);
    cpv_json_key(j, "top5");
    cpv_json_real6(j, side.at[1]);
    cpv_json_key(j, "mean_per_class");
    cpv_json_real6(j, mean);
    cpv_json_end_object(j);
    for (int64_t i = 0; i < w->n && r->how->ranks; i++)
        cpv_buf_printf(&r->ranks, "%s\tclass\t%s\t%lld\n", w->lang,
                       eval_image(&r->set, w->number[i])->key, (long long)w->rank[i]);
    return CPV_OK;
}

static int one_language(struct eval_run *r, const char *lang, struct cpv_err *err)
{
    struct work w = {.r = r, .lang = lang};
    int rc = read_classes(&w, err);

    if (!rc)
        rc = read_templates(&w, err);
    if (!rc)
        rc = collect(&w, err);
    if (!rc)
        rc = embed_classes(&w, err);
    if (!rc)
        rc = rank(&w, err);
    if (!rc)
        rc = say(&w, err);
    cpv_free(w.class_vectors);
    cpv_free(w.images);
    cpv_free(w.owner);
    cpv_free(w.rank);
    cpv_free(w.number);
    return rc;
}

int eval_classification(struct eval_run *r, struct cpv_err *err)
{
    int rc = CPV_OK;

    cpv_buf_printf(&r->table, "%-8s %7s %8s %8s  %6s %6s  %6s\n", "language", "classes",
                   "prompts", "images", "top-1", "top-5", "mean per class");
    for (size_t i = 0; i < r->set.n_lang && !rc; i++)
        rc = one_language(r, r->set.lang[i], err);
    return rc;
}
