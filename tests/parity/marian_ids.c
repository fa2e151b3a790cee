/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Marian model on lines of ids, for tests/parity/marian.sh.
 *
 *     marian_ids FOLDER f32|int8 BEAMS NEW     sources on stdin, results on stdout
 *     marian_ids FOLDER f32|int8 logits        lines "SOURCE / TARGET" (start first):
 *                                              f32 logits of what follows, binary
 *     marian_ids FOLDER f32|int8 forced        the same after each token of TARGET
 *
 * A line is ids with blanks between them, a source with eos at its end; NEW is the most
 * new tokens. Results are in the order of the sources, without start and eos.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/marian.h"

enum { LINES = 20000, TOKENS = 600 };

struct line {
    int32_t *ids;
    int n;
};

static struct cpv_err err;

static void must(int rc)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "marian_ids: %s\n", err.text);
    exit(74);
}

/* The ids at *at, which then points behind them. */
static struct line numbers(const char **at)
{
    struct line l = {calloc(TOKENS, sizeof *l.ids), 0};
    char *end;

    if (!l.ids)
        exit(74);
    for (; l.n < TOKENS; *at = end) {
        long x = strtol(*at, &end, 10);

        if (end == *at)
            break;
        l.ids[l.n++] = (int32_t)x;
    }
    return l;
}

static int keep(void *arg, int sentence, const cpv_beam *beam)
{
    struct line *l = (struct line *)arg + sentence;
    const int32_t *tokens;
    float score;
    int n = cpv_beam_best(beam, 0, &tokens, &score);

    l->n = n > 0 ? n : 0;
    l->ids = calloc((size_t)l->n + 1, sizeof *l->ids);
    if (!l->ids)
        exit(74);
    if (l->n)
        memcpy(l->ids, tokens, (size_t)l->n * sizeof *tokens);
    return 0;
}

static void translate(const cpv_marian *m, int beams, int most)
{
    static struct cpv_sentence in[LINES];
    static struct line out[LINES];
    struct cpv_search search = cpv_marian_config(m)->search;
    struct cpv_marian_limits limits = {.source = TOKENS, .target = most};
    cpv_marian_worker *w;
    char text[TOKENS * 8];
    int n = 0;

    search.beams = beams;
    must(cpv_marian_worker_open(&w, m, &search, &limits, &err));
    for (; n < LINES && fgets(text, sizeof text, stdin); n++) {
        const char *at = text;
        struct line l = numbers(&at);

        in[n] = (struct cpv_sentence){l.ids, l.n};
    }
    must(cpv_marian_translate(w, in, n, keep, out, &err));
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < out[i].n; k++)
            (void)printf("%s%d", k ? " " : "", out[i].ids[k]);
        (void)printf("\n");
        free(out[i].ids);
        free((void *)(uintptr_t)in[i].ids);
    }
    cpv_marian_worker_close(&w);
}

static void force(const cpv_marian *m, bool all)
{
    size_t vocab = (size_t)cpv_marian_config(m)->target_vocab;
    char text[TOKENS * 16];

    while (fgets(text, sizeof text, stdin)) {
        const char *at = text;
        struct line source = numbers(&at), target;
        size_t first, count;
        float *logits;

        at += strspn(at, " /");
        target = numbers(&at);
        logits = calloc((size_t)target.n * vocab, sizeof *logits);
        if (!logits || !target.n)
            exit(74);
        must(cpv_marian_logits(m, (struct cpv_sentence){source.ids, source.n},
                               (struct cpv_sentence){target.ids, target.n}, logits,
                               &err));
        first = all ? 0 : (size_t)(target.n - 1) * vocab;
        count = (size_t)target.n * vocab - first;
        if (fwrite(logits + first, sizeof *logits, count, stdout) != count ||
            fflush(stdout)) /* the other side waits for it */
            exit(74);
        free(logits);
        free(source.ids);
        free(target.ids);
    }
}

int main(int argc, char **argv)
{
    struct cpv_device_params params = {.name = "cpu", .weights = CPV_F32};
    cpv_device *device;
    cpv_marian *m;

    if (argc < 4) {
        (void)fputs("usage: marian_ids FOLDER f32|int8 BEAMS NEW | logits | forced\n",
                    stderr);
        return 64;
    }
    if (strcmp(argv[2], "int8") == 0)
        params.weights = CPV_I8;
    must(cpv_device_open(&device, &params, &err));
    must(cpv_marian_open(&m, device, argv[1], &err));
    if (argc == 4)
        force(m, strcmp(argv[3], "forced") == 0);
    else
        translate(m, (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
    cpv_marian_close(&m);
    cpv_device_close(&device);
    return fflush(stdout) ? 74 : 0;
}
