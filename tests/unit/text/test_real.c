/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real vocabularies on real text (30,014 captions in English and Portuguese, Xhosa, Hindi
 * and Portuguese lines of a program's interface): the ids' digests are those of what
 * transformers 4.57.6 gives for the same lines (tests/parity/tokenizers.sh made them and
 * compares line by line). The data lie beside the checkout; without them this is skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/text/bpe.h"
#include "common/text/marian_text.h"
#include "common/text/wordpiece.h"
#include "common/text/xlmr_text.h"

enum { MARIAN, XLMR, CAPTION, WORDPIECE, BPE };

static const struct {
    const char *name;
    const char *files[4]; /* one after the other */
} TEXTS[] = {
    {"en", {"captions/multi30k/train.en.gz", "captions/multi30k/val.en.gz"}},
    {"pt", {"captions/multi30k/train.pt.gz", "captions/multi30k/val.pt.gz"}},
    {"ui",
     {"text/ui.en-xh.xh", "text/ui.en-hi.hi", "text/ui.en-hi.en", "text/ui.en-pt.pt"}},
};

static const struct {
    int kind;
    const char *model;
    const char *digests[CPV_COUNT(TEXTS)];
} CASES[] = {
    {MARIAN,
     "opus-mt-tc-big-en-pt",
     {"0a581cc7a8f20da85a5e93064cc6185529ec2de88904c3d3960aef7079323798",
      "865674edfc4d63dc4a465a33e2d06f9d80c6bc952beec656b7aebbba6db47d0d",
      "7bdc98e9c6fbe4668f37067747ce29046e568f4fced1f6b5c1d9ee589ced7673"}},
    {MARIAN,
     "opus-mt-en-mg",
     {"7c052c39681f757d1b457469b7d1414eca74fceabd7a612dd672b4b1ef413fd8",
      "07772b15d60ad94b033eaf9b6217ec51eeaa97d996768a382629727010a5e801",
      "07f615960986f16c38a7098363c4a666f7510a88526eafa00712e6df12c86041"}},
    {XLMR,
     "xlm-roberta/sentencepiece.bpe.model",
     {"e9e59ae80fcffcf205eb0330db68931cf0837a624779d53d731c710b520be4fa",
      "073dc0c4f91cb14d192fe39dac68e213ccc55153d363018c4566fc9b727f01f2",
      "4612eae5c8cce3d6408bc126c9f5d57dfab24bb1c2925cb5cb50a5f365815f78"}},
    {CAPTION,
     "xlm-roberta/sentencepiece.bpe.model",
     {"5d74f51f619d3518833e1c7ad845c905944dfdcb8bea540256571547834de317",
      "5dab28bda600e11b6358d128ce6b230e085463037ab88b281f8aea2400aa7502",
      "4dbdeb45188885574cb1e3344c41fc1c17a0b6d9d0e6e049a8b62d776c525787"}},
    {WORDPIECE,
     "bert-base-uncased",
     {"ef98d2fbec7fd7d5d809d117fefcac6839d73e90f35cc33f31d30837a6526da8",
      "bb8cf1a063862d326789e408f9ea26b7e3e4e94cb028c29139c2469cbf6600c2",
      "6f53ae2412bf022504d46d0c6d92493484f8cdf240f68f07f39709438494b568"}},
    {BPE,
     "gpt2-bpe",
     {"1e6e05e5830981ca24c157653795e56788dc0f3b8d0b833e7c291b72a05a820c",
      "b2f82a1b0dc480cfa4b2b61708a5756feae2398d0f136f40432c6745d4a00291",
      "2008a94b2c14066b5b1863993d1ff4cf9ea1a9fd3c608d160bc43c5359d8ed0b"}},
};

static void skip(const char *why)
{
    printf("skipped: %s\n", why);
    exit(77);
}

/* gzread reads what is not compressed as it is. */
static void read_text(struct cpv_buf *to, const char *path)
{
    gzFile f = gzopen(path, "rb");
    uint8_t *room;
    int n;

    if (!f)
        skip(path);
    do {
        room = cpv_buf_reserve(to, 65536);
        n = room ? gzread(f, room, 65536) : -1;
        to->size += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    gzclose(f);
    if (n < 0 || to->failed)
        skip(path);
}

static int open_model(int kind, void **t, const char *path, struct cpv_err *err)
{
    switch (kind) {
    case MARIAN:
        return cpv_marian_text_open((cpv_marian_text **)t, path, err);
    case XLMR:
    case CAPTION:
        return cpv_xlmr_text_open((cpv_xlmr_text **)t, path, err);
    case WORDPIECE:
        return cpv_wordpiece_open((cpv_wordpiece **)t, path, err);
    default:
        return cpv_bpe_open((cpv_bpe **)t, path, err);
    }
}

static void close_model(int kind, void **t)
{
    switch (kind) {
    case MARIAN:
        cpv_marian_text_close((cpv_marian_text **)t);
        break;
    case XLMR:
    case CAPTION:
        cpv_xlmr_text_close((cpv_xlmr_text **)t);
        break;
    case WORDPIECE:
        cpv_wordpiece_close((cpv_wordpiece **)t);
        break;
    default:
        cpv_bpe_close((cpv_bpe **)t);
    }
}

static int encode(int kind, const void *t, struct cpv_bytes text, struct cpv_ids *ids,
                  struct cpv_err *err)
{
    switch (kind) {
    case MARIAN:
        return cpv_marian_text_encode(t, text, ids, err);
    case XLMR:
        return cpv_xlmr_text_encode(t, text, 0, ids, err);
    case CAPTION:
        return cpv_xlmr_text_encode_caption(t, text, CPV_XLMR_CONTEXT, ids, err);
    case WORDPIECE:
        return cpv_wordpiece_encode(t, text, ids, err);
    default:
        return cpv_bpe_encode(t, text, ids, err);
    }
}

/* The digest of a line of ids for each line of text. */
static int digest_ids(int kind, const void *t, struct cpv_bytes text, char *hex,
                      struct cpv_err *err)
{
    uint8_t digest[CPV_SHA256_SIZE];
    struct cpv_ids ids = {0};
    struct cpv_buf line = {0};
    cpv_sha256 *h;
    int rc = cpv_sha256_open(&h, err);

    for (size_t at = 0; !rc && at < text.size;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        size_t n = end ? (size_t)(end - text.data) - at : text.size - at;

        cpv_ids_clear(&ids);
        cpv_buf_clear(&line);
        rc = encode(kind, t, cpv_bytes_of(text.data + at, n), &ids, err);
        for (size_t i = 0; i < ids.count; i++)
            cpv_buf_printf(&line, i ? " %d" : "%d", ids.data[i]);
        cpv_buf_byte(&line, '\n');
        cpv_sha256_add(h, line.data, line.size);
        at += n + 1;
    }
    if (!rc) {
        cpv_sha256_take(h, digest);
        cpv_hex(hex, digest, sizeof digest);
    }
    cpv_sha256_close(&h);
    cpv_ids_release(&ids);
    cpv_buf_release(&line);
    return rc;
}

static int check_case(size_t c, const char *data, const struct cpv_buf *texts)
{
    struct cpv_err err = {0};
    char path[1024], hex[CPV_SHA256_HEX];
    int wrong = 0;
    void *t;

    snprintf(path, sizeof path, "%s/tokenizers/%s", data, CASES[c].model);
    if (open_model(CASES[c].kind, &t, path, &err)) {
        printf("%s\n", err.text);
        return 1;
    }
    for (size_t i = 0; i < CPV_COUNT(TEXTS); i++) {
        if (digest_ids(CASES[c].kind, t, cpv_buf_view(texts + i), hex, &err)) {
            printf("%s\n", err.text);
            wrong++;
        } else if (strcmp(hex, CASES[c].digests[i]) != 0) {
            printf("%s (%d) on %s: expected %s, found %s\n", CASES[c].model,
                   CASES[c].kind, TEXTS[i].name, CASES[c].digests[i], hex);
            wrong++;
        }
    }
    close_model(CASES[c].kind, &t);
    return wrong;
}

int main(void)
{
    const char *data = getenv("CAPIVARA_TEST_DATA");
    struct cpv_buf texts[CPV_COUNT(TEXTS)] = {0};
    char path[1024];
    int wrong = 0;

    if (!data)
        skip("CAPIVARA_TEST_DATA is not set");
    snprintf(path, sizeof path, "%s/tokenizers", data);
    if (!cpv_file_exists(path))
        skip(path);
    for (size_t i = 0; i < CPV_COUNT(TEXTS); i++) {
        for (size_t f = 0; f < 4 && TEXTS[i].files[f]; f++) {
            snprintf(path, sizeof path, "%s/%s", data, TEXTS[i].files[f]);
            read_text(texts + i, path);
        }
    }
    for (size_t c = 0; c < CPV_COUNT(CASES); c++)
        wrong += check_case(c, data, texts);
    for (size_t i = 0; i < CPV_COUNT(TEXTS); i++)
        cpv_buf_release(texts + i);
    printf("%d of %zu digests differ\n", wrong, CPV_COUNT(CASES) * CPV_COUNT(TEXTS));
    return wrong ? 1 : 0;
}
