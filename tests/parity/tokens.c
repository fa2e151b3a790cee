/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens KIND FOLDER [decode|clean|time] < lines: a line of ids for each line of text, or
 * the text of each line of ids, or each line cleaned (clean.h); for comparisons with
 * other programs (tokenizers.sh). A text that is not valid UTF-8 is given as it is; the
 * line's end is no part of it. `time` prints nothing but sentences a second of processor
 * time, over the lines 10 times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/text/bpe.h"
#include "common/text/clean.h"
#include "common/text/marian_text.h"
#include "common/text/wordpiece.h"
#include "common/text/xlmr_text.h"

struct kind {
    const char *name;
    int (*open)(void **out, const char *folder, struct cpv_err *err);
    void (*close)(void **t);
    int (*encode)(void *t, struct cpv_bytes text, struct cpv_ids *ids,
                  struct cpv_err *err);
    int (*decode)(void *t, const struct cpv_ids *ids, struct cpv_buf *out,
                  struct cpv_err *err);
};

static int marian_open(void **out, const char *folder, struct cpv_err *err)
{
    return cpv_marian_text_open((cpv_marian_text **)out, folder, err);
}

static void marian_close(void **t)
{
    cpv_marian_text_close((cpv_marian_text **)t);
}

static int marian_encode(void *t, struct cpv_bytes text, struct cpv_ids *ids,
                         struct cpv_err *err)
{
    return cpv_marian_text_encode(t, text, ids, err);
}

static int marian_decode(void *t, const struct cpv_ids *ids, struct cpv_buf *out,
                         struct cpv_err *err)
{
    return cpv_marian_text_decode(t, ids->data, ids->count, out, err);
}

static int xlmr_open(void **out, const char *folder, struct cpv_err *err)
{
    return cpv_xlmr_text_open((cpv_xlmr_text **)out, folder, err);
}

static void xlmr_close(void **t)
{
    cpv_xlmr_text_close((cpv_xlmr_text **)t);
}

static int xlmr_encode(void *t, struct cpv_bytes text, struct cpv_ids *ids,
                       struct cpv_err *err)
{
    return cpv_xlmr_text_encode(t, text, 0, ids, err);
}

static int xlmr_decode(void *t, const struct cpv_ids *ids, struct cpv_buf *out,
                       struct cpv_err *err)
{
    return cpv_xlmr_text_decode(t, ids->data, ids->count, out, err);
}

static int caption_encode(void *t, struct cpv_bytes text, struct cpv_ids *ids,
                          struct cpv_err *err)
{
    return cpv_xlmr_text_encode_caption(t, text, CPV_XLMR_CONTEXT, ids, err);
}

static int wordpiece_open(void **out, const char *folder, struct cpv_err *err)
{
    return cpv_wordpiece_open((cpv_wordpiece **)out, folder, err);
}

static void wordpiece_close(void **t)
{
    cpv_wordpiece_close((cpv_wordpiece **)t);
}

static int wordpiece_encode(void *t, struct cpv_bytes text, struct cpv_ids *ids,
                            struct cpv_err *err)
{
    return cpv_wordpiece_encode(t, text, ids, err);
}

static int wordpiece_decode(void *t, const struct cpv_ids *ids, struct cpv_buf *out,
                            struct cpv_err *err)
{
    return cpv_wordpiece_decode(t, ids->data, ids->count, out, err);
}

static int bpe_open(void **out, const char *folder, struct cpv_err *err)
{
    return cpv_bpe_open((cpv_bpe **)out, folder, err);
}

static void bpe_close(void **t)
{
    cpv_bpe_close((cpv_bpe **)t);
}

static int bpe_encode(void *t, struct cpv_bytes text, struct cpv_ids *ids,
                      struct cpv_err *err)
{
    return cpv_bpe_encode(t, text, ids, err);
}

static int bpe_decode(void *t, const struct cpv_ids *ids, struct cpv_buf *out,
                      struct cpv_err *err)
{
    return cpv_bpe_decode(t, ids->data, ids->count, out, err);
}

static const struct kind KINDS[] = {
    {"marian", marian_open, marian_close, marian_encode, marian_decode},
    {"xlmr", xlmr_open, xlmr_close, xlmr_encode, xlmr_decode},
    {"caption", xlmr_open, xlmr_close, caption_encode, xlmr_decode},
    {"wordpiece", wordpiece_open, wordpiece_close, wordpiece_encode, wordpiece_decode},
    {"bpe", bpe_open, bpe_close, bpe_encode, bpe_decode},
};

/* Seconds: other processes on the machine do not count. */
static double processor_time(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_ids(struct cpv_ids *ids, char *line)
{
    char *end;

    for (long id = strtol(line, &end, 10); end != line; id = strtol(line, &end, 10)) {
        cpv_ids_add(ids, (int32_t)id);
        line = end;
    }
}

static int run_line(const struct kind *k, void *t, char *line, size_t size, char what,
                    struct cpv_ids *ids, struct cpv_buf *text, struct cpv_err *err)
{
    int rc;

    cpv_ids_clear(ids);
    cpv_buf_clear(text);
    if (what == 'd') {
        read_ids(ids, line);
        if ((rc = k->decode(t, ids, text, err)))
            return rc;
        fwrite(text->data, 1, text->size, stdout);
        putchar('\n');
        return 0;
    }
    if (what == 'c') {
        if ((rc = cpv_clean_caption(cpv_bytes_of(line, size), text, err)))
            return rc;
        fwrite(text->data, 1, text->size, stdout);
        putchar('\n');
        return 0;
    }
    if ((rc = k->encode(t, cpv_bytes_of(line, size), ids, err)) || what == 't')
        return rc;
    for (size_t i = 0; i < ids->count; i++)
        printf(i ? " %d" : "%d", ids->data[i]);
    putchar('\n');
    return 0;
}

static int run(const struct kind *k, void *t, char what, struct cpv_err *err)
{
    struct cpv_ids ids = {0};
    struct cpv_buf text = {0}, all = {0};
    size_t room = 0, lines = 0;
    char *line = NULL;
    ssize_t n;
    int rc = 0;
    double start;

    while (!rc && (n = getline(&line, &room, stdin)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            line[--n] = '\0';
        if (what == 't') {
            cpv_buf_add(&all, line, (size_t)n + 1);
            lines++;
        } else {
            rc = run_line(k, t, line, (size_t)n, what, &ids, &text, err);
        }
    }
    start = processor_time();
    for (int round = 0; what == 't' && !rc && round < 10; round++) {
        for (size_t at = 0; !rc && at < all.size; at++) {
            size_t size = strlen((char *)all.data + at);

            rc = run_line(k, t, (char *)all.data + at, size, 't', &ids, &text, err);
            at += size;
        }
    }
    if (what == 't' && !rc)
        printf("%.0f sentences/s\n", (double)lines * 10 / (processor_time() - start));
    free(line); /* lint: allow free: getline's memory */
    cpv_ids_release(&ids);
    cpv_buf_release(&text);
    cpv_buf_release(&all);
    return rc;
}

int main(int argc, char **argv)
{
    struct cpv_err err = {0};
    void *t;
    int rc;

    for (size_t i = 0; argc >= 3 && i < sizeof KINDS / sizeof KINDS[0]; i++) {
        const struct kind *k = KINDS + i;

        if (strcmp(argv[1], k->name) != 0)
            continue;
        rc = k->open(&t, argv[2], &err);
        if (!rc) {
            rc = run(k, t, argc > 3 ? argv[3][0] : 'e', &err);
            k->close(&t);
        }
        if (rc)
            fprintf(stderr, "tokens: %s\n", err.text);
        return rc ? 1 : 0;
    }
    fputs("usage: tokens KIND FOLDER [decode|clean|time] < lines\n", stderr);
    return 2;
}
