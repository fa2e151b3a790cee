/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A BLIP model on pictures as pixels, for tests/parity/blip.sh.
 *
 *     blip_ids FOLDER f32|int8 prompts                 lines of text on stdin to ids
 *     blip_ids FOLDER f32|int8 captions PIXELS N BEAMS NEW SHARED < PROMPTS
 *     blip_ids FOLDER f32|int8 states PIXELS N         f32 states, binary
 *     blip_ids FOLDER f32|int8 logits PIXELS           lines "PICTURE / ID ..." on stdin:
 *                                                      f32 logits that follow, binary
 *
 * PIXELS: f32 planes, one picture after the other, of which the first N are taken.
 * PROMPTS: lines of ids, bos first. Captions are a line each, without prompt and sep: all
 * prompts of the first picture, then of the second. SHARED 0: a call for each picture and
 * prompt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/blip.h"

enum { PROMPTS = 64, TOKENS = 512 };

static struct cpv_err err;

static void must(int rc)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "blip_ids: %s\n", err.text);
    exit(74);
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);

    if (!p)
        exit(74);
    return p;
}

static void put(const float *x, size_t n)
{
    if (fwrite(x, sizeof *x, n, stdout) != n)
        exit(74);
}

/* ---- pictures ---- */

struct pictures {
    FILE *f;
    size_t each; /* floats */
    float *pixels;
    const char *path;
};

static struct pictures pictures_of(const cpv_blip *m, const char *path)
{
    size_t side = (size_t)cpv_blip_config(m)->vision.image;
    struct pictures p = {fopen(path, "rb"), 3 * side * side, NULL, path};

    p.pixels = room(p.each, sizeof *p.pixels);
    if (!p.f) {
        (void)fprintf(stderr, "blip_ids: '%s' is not there\n", path);
        exit(74);
    }
    return p;
}

static const float *picture(struct pictures *p, long number)
{
    if (fseek(p->f, number * (long)(p->each * sizeof *p->pixels), SEEK_SET) ||
        fread(p->pixels, sizeof *p->pixels, p->each, p->f) != p->each) {
        (void)fprintf(stderr, "blip_ids: '%s' has no picture %ld\n", p->path, number);
        exit(74);
    }
    return p->pixels;
}

/* ---- captions ---- */

struct run {
    struct pictures pictures;
    long at, end;
    int prompts;
    struct cpv_ids *caption; /* prompts of each picture */
};

static int next(void *arg, bool wait, struct cpv_blip_image *out, struct cpv_err *e)
{
    struct run *r = arg;

    (void)wait;
    (void)e;
    if (r->at == r->end)
        return 0;
    out->number = (uint64_t)r->at;
    out->pixels = picture(&r->pictures, r->at++);
    return 1;
}

static int keep(void *arg, uint64_t number, const cpv_beam *const *beam, int n,
                struct cpv_err *e)
{
    struct run *r = arg;

    (void)e;
    for (int i = 0; i < n; i++) {
        struct cpv_ids *to = &r->caption[number * (uint64_t)n + (uint64_t)i];
        const int32_t *tokens;
        float score;
        int count = cpv_beam_best(beam[i], 0, &tokens, &score);

        for (int k = 0; k < count; k++)
            cpv_ids_add(to, tokens[k]);
    }
    return 0;
}

static int read_ids(const char *at, int32_t *ids)
{
    char *end;
    int n = 0;

    for (; n < TOKENS; at = end) {
        long x = strtol(at, &end, 10);

        if (end == at)
            break;
        ids[n++] = (int32_t)x;
    }
    return n;
}

static int read_prompts(struct cpv_prompt *prompt, int *longest)
{
    char text[TOKENS * 8];
    int n = 0;

    for (*longest = 1; n < PROMPTS && fgets(text, sizeof text, stdin); n++) {
        int32_t *ids = room(TOKENS, sizeof *ids);

        prompt[n] = (struct cpv_prompt){ids, read_ids(text, ids)};
        *longest = prompt[n].n > *longest ? prompt[n].n : *longest;
    }
    return n;
}

static void print(const struct cpv_ids *ids)
{
    for (size_t k = 0; k < ids->count; k++)
        (void)printf("%s%d", k ? " " : "", ids->data[k]);
    (void)printf("\n");
}

static void caption(const cpv_blip *m, char **argv)
{
    struct cpv_search search = cpv_blip_search(m);
    struct cpv_prompt prompt[PROMPTS];
    struct run r = {.pictures = pictures_of(m, argv[4])};
    long n = strtol(argv[5], NULL, 10);
    struct cpv_blip_limits limits = {.images = 4, .prompts = PROMPTS};
    cpv_blip_worker *w;

    search.beams = (int)strtol(argv[6], NULL, 10);
    limits.target = (int)strtol(argv[7], NULL, 10);
    r.prompts = read_prompts(prompt, &limits.prompt);
    limits.prompts = r.prompts;
    must(cpv_blip_worker_open(&w, m, &search, &limits, &err));
    r.caption = room((size_t)n * (size_t)r.prompts, sizeof *r.caption);
    if (strtol(argv[8], NULL, 10)) {
        r.end = n;
        must(cpv_blip_caption(w, prompt, r.prompts, next, keep, &r, &err));
    } else {
        for (long i = 0; i < n * r.prompts; i++) {
            struct run one = {r.pictures, i / r.prompts, i / r.prompts + 1, 1, NULL};

            /* keep counts from picture 0 */
            one.caption = r.caption + i - i / r.prompts;
            must(cpv_blip_caption(w, &prompt[i % r.prompts], 1, next, keep, &one, &err));
        }
    }
    for (long i = 0; i < n * r.prompts; i++)
        print(&r.caption[i]);
    cpv_blip_worker_close(&w);
}

/* ---- the rest ---- */

static void show_states(const cpv_blip *m, const char *path, long n)
{
    const struct cpv_blip_config *k = cpv_blip_config(m);
    size_t each = (size_t)k->vision.tokens * (size_t)k->vision.width;
    struct pictures p = pictures_of(m, path);
    float *states = room(each, sizeof *states);

    for (long i = 0; i < n; i++) {
        must(cpv_blip_states(m, picture(&p, i), states, &err));
        put(states, each);
    }
    free(states);
}

static void show_logits(const cpv_blip *m, const char *path)
{
    size_t vocab = (size_t)cpv_blip_config(m)->text.vocab;
    struct pictures p = pictures_of(m, path);
    char text[TOKENS * 8];
    int32_t ids[TOKENS];

    while (fgets(text, sizeof text, stdin)) {
        char *at;
        long number = strtol(text, &at, 10);
        int n = read_ids(at + strspn(at, " /"), ids);
        float *logits = room((size_t)n * vocab, sizeof *logits);

        must(cpv_blip_logits(m, picture(&p, number), ids, n, logits, &err));
        put(logits + (size_t)(n - 1) * vocab, vocab);
        free(logits);
    }
}

static void show_prompts(const cpv_blip *m)
{
    struct cpv_ids ids = {0};
    char text[TOKENS * 8];

    while (fgets(text, sizeof text, stdin)) {
        text[strcspn(text, "\n")] = '\0';
        cpv_ids_clear(&ids);
        must(cpv_blip_prompt(m, cpv_bytes_str(text), &ids, &err));
        print(&ids);
    }
    cpv_ids_release(&ids);
}

int main(int argc, char **argv)
{
    struct cpv_device_params params = {.name = "cpu", .weights = CPV_F32};
    const char *what = argc > 3 ? argv[3] : "";
    cpv_device *device;
    cpv_blip *m;

    if (!(strcmp(what, "prompts") == 0 && argc == 4) &&
        !(strcmp(what, "captions") == 0 && argc == 9) &&
        !(strcmp(what, "states") == 0 && argc == 6) &&
        !(strcmp(what, "logits") == 0 && argc == 5)) {
        (void)fputs(
            "usage: blip_ids FOLDER f32|int8 prompts|captions|states|logits ...\n",
            stderr);
        return 64;
    }
    if (strcmp(argv[2], "int8") == 0)
        params.weights = CPV_I8;
    must(cpv_device_open(&device, &params, &err));
    must(cpv_blip_open(&m, device, argv[1], &err));
    if (strcmp(what, "prompts") == 0)
        show_prompts(m);
    else if (strcmp(what, "captions") == 0)
        caption(m, argv);
    else if (strcmp(what, "states") == 0)
        show_states(m, argv[4], strtol(argv[5], NULL, 10));
    else
        show_logits(m, argv[4]);
    cpv_blip_close(&m);
    cpv_device_close(&device);
    return fflush(stdout) ? 74 : 0;
}
