/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/validate.h"

#include <stdio.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "trainer/pictures.h"

enum { AT_A_TIME = 32 };

/* The texts of one language, in the images' order. */
struct texts {
    int32_t *ids, *length;
    int64_t *owner;
    int64_t n;
};

struct validate {
    struct validate_params p;
    struct cpv_texts languages;
    data *d;
    cpv_clip_worker *worker;
    float *images, *vectors; /* [images, dim]; [the most texts, dim] */
    struct texts *texts;     /* by language */
    struct cpv_recall *recall;
    uint32_t n;
    int64_t most;
};

/* ---- images, once ---- */

static int take_pictures(validate *v, struct cpv_err *err)
{
    const struct settings *set = v->p.set;
    struct pictures_params how = {.model = v->p.model,
                                  .data = v->d,
                                  .most = AT_A_TIME,
                                  .threads = v->p.threads,
                                  .max_pixels = set->data.max_pixels,
                                  .log = v->p.log};
    size_t dim = (size_t)cpv_clip_config(v->p.model)->dim;
    pictures *p = NULL;
    int rc = pictures_open(&p, &how, err);

    for (uint32_t at = 0, n; at < v->n && !rc; at += n) {
        uint32_t sample[AT_A_TIME];
        bool good[AT_A_TIME];

        n = v->n - at < AT_A_TIME ? v->n - at : AT_A_TIME;
        for (uint32_t i = 0; i < n; i++)
            sample[i] = at + i;
        rc = pictures_embed(p, sample, n, good, v->images + at * dim, err);
        for (uint32_t i = 0; i < n && !rc; i++)
            if (!good[i])
                rc = cpv_fail(err, CPV_E_INPUT,
                              "'%s': the picture of sample '%s' cannot be read; a "
                              "validation set is to be whole",
                              set->validation.sets.at[0], data_key(v->d, at + i));
    }
    pictures_close(&p);
    return rc;
}

static int take_images(validate *v, struct cpv_err *err)
{
    size_t dim = (size_t)cpv_clip_config(v->p.model)->dim;

    v->n = data_samples(v->d);
    v->images = cpv_calloc((size_t)v->n * dim, sizeof *v->images);
    if (!v->images)
        return cpv_fail_memory(err);
    if (v->p.set->data.image == IMAGE_PIXELS)
        return take_pictures(v, err);
    for (uint32_t i = 0; i < v->n; i++)
        data_embedding(v->d, i, v->images + i * dim);
    return CPV_OK;
}

/* ---- texts ---- */

static int take_texts(validate *v, size_t lang, struct cpv_err *err)
{
    struct texts *t = &v->texts[lang];
    int64_t tokens = 0, at = 0;
    uint32_t first;
    int32_t n;

    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t count = data_captions(v->d, i, lang, &first);

        t->n += count;
        for (uint32_t k = 0; k < count; k++) {
            (void)data_tokens(v->d, first + k, &n);
            tokens += n;
        }
    }
    if (t->n == 0)
        return cpv_fail(err, CPV_E_INPUT, "'%s': no caption in language '%s' to validate",
                        v->p.set->validation.sets.at[0], v->languages.at[lang]);
    t->ids = cpv_calloc((size_t)tokens, sizeof *t->ids);
    t->length = cpv_calloc((size_t)t->n, sizeof *t->length);
    t->owner = cpv_calloc((size_t)t->n, sizeof *t->owner);
    if (!t->ids || !t->length || !t->owner)
        return cpv_fail_memory(err);
    tokens = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t count = data_captions(v->d, i, lang, &first);

        for (uint32_t k = 0; k < count; k++, at++) {
            const int32_t *ids = data_tokens(v->d, first + k, &n);

            memcpy(t->ids + tokens, ids, (size_t)n * sizeof *ids);
            tokens += n;
            t->length[at] = n;
            t->owner[at] = i;
        }
    }
    v->most = t->n > v->most ? t->n : v->most;
    return CPV_OK;
}

/* ---- life ---- */

static int open_data(validate *v, struct cpv_err *err)
{
    const struct settings *set = v->p.set;
    struct data_params params = {.sets = set->validation.sets,
                                 .model = v->p.model,
                                 .languages = v->languages,
                                 .pixels = set->data.image == IMAGE_PIXELS,
                                 .most = (uint64_t)set->validation.images,
                                 .threads = v->p.threads,
                                 .log = v->p.log};

    params.choice.strategy = CPV_CAPTIONS_NONE;
    params.choice.originals = (uint32_t)set->validation.originals;
    return data_open(&v->d, &params, err);
}

int validate_open(validate **out, const struct validate_params *params,
                  struct cpv_err *err)
{
    validate *v = cpv_calloc(1, sizeof *v);
    struct cpv_clip_limits limits = {.threads = params->threads};
    size_t dim = (size_t)cpv_clip_config(params->model)->dim, langs;
    int rc;

    *out = NULL;
    if (!v)
        return cpv_fail_memory(err);
    v->p = *params;
    v->languages = params->set->validation.languages.count
                       ? params->set->validation.languages
                       : params->set->data.languages;
    langs = v->languages.count;
    v->texts = cpv_calloc(langs, sizeof *v->texts);
    v->recall = cpv_calloc(langs, sizeof *v->recall);
    rc = v->texts && v->recall ? open_data(v, err) : cpv_fail_memory(err);
    if (!rc)
        rc = take_images(v, err);
    for (size_t i = 0; i < langs && !rc; i++)
        rc = take_texts(v, i, err);
    v->vectors = rc ? NULL : cpv_calloc((size_t)v->most * dim, sizeof *v->vectors);
    if (!rc && !v->vectors)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_clip_worker_open(&v->worker, params->model, &limits, err);
    if (rc)
        validate_close(&v);
    *out = v;
    return rc;
}

void validate_close(validate **vp)
{
    validate *v = *vp;

    if (!v)
        return;
    for (size_t i = 0; v->texts && i < v->languages.count; i++) {
        cpv_free(v->texts[i].ids);
        cpv_free(v->texts[i].length);
        cpv_free(v->texts[i].owner);
    }
    cpv_clip_worker_close(&v->worker);
    data_close(&v->d);
    cpv_free(v->texts);
    cpv_free(v->recall);
    cpv_free(v->images);
    cpv_free(v->vectors);
    cpv_free(v);
    *vp = NULL;
}

uint32_t validate_images(const validate *v)
{
    return v->n;
}

int validate_run(validate *v, struct validate_result *out, struct cpv_err *err)
{
    struct cpv_recall_set set = {.images = v->images,
                                 .texts = v->vectors,
                                 .n_images = v->n,
                                 .dim = cpv_clip_config(v->p.model)->dim,
                                 .threads = v->p.threads};
    double sum = 0;
    int rc = CPV_OK;

    for (size_t i = 0; i < v->languages.count && !rc; i++) {
        const struct texts *t = &v->texts[i];

        rc = cpv_clip_worker_texts(v->worker, t->ids, t->length, t->n, v->vectors, err);
        set.owner = t->owner;
        set.n_texts = t->n;
        if (!rc)
            rc = cpv_recall_both(&set, &v->recall[i], err);
        sum += v->recall[i].mean;
    }
    *out = (struct validate_result){.language = v->languages.at,
                                    .recall = v->recall,
                                    .n = v->languages.count,
                                    .mean_recall = sum / (double)v->languages.count};
    return rc;
}

/* ---- metrics by name ---- */

static bool side_metric(const struct cpv_recall_side *s, const char *name, double *value)
{
    if (strcmp(name, "mean_recall") == 0) {
        *value = s->mean;
        return true;
    }
    for (int i = 0; i < CPV_RECALL_KS; i++) {
        char word[16];

        (void)snprintf(word, sizeof word, "r%d", cpv_recall_k[i]);
        if (strcmp(name, word) == 0) {
            *value = s->at[i];
            return true;
        }
    }
    return false;
}

/* What follows `word` and a dot in name, or NULL. */
static const char *behind(const char *name, const char *word)
{
    size_t n = strlen(word);

    return strncmp(name, word, n) == 0 && name[n] == '.' ? name + n + 1 : NULL;
}

bool validate_metric(const struct validate_result *r, const char *name, double *value)
{
    if (strcmp(name, "mean_recall") == 0) {
        *value = r->mean_recall;
        return true;
    }
    for (size_t i = 0; i < r->n; i++) {
        const char *rest = behind(name, r->language[i]), *side;

        if (!rest)
            continue;
        if (strcmp(rest, "mean_recall") == 0) {
            *value = r->recall[i].mean;
            return true;
        }
        if ((side = behind(rest, "text_to_image")))
            return side_metric(&r->recall[i].t2i, side, value);
        if ((side = behind(rest, "image_to_text")))
            return side_metric(&r->recall[i].i2t, side, value);
    }
    return false;
}
