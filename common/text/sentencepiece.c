/* SPDX-License-Identifier: Apache-2.0 */
/* See sentencepiece.h: reads the file, has it checked, and gives errors their words. */
#include "common/text/sentencepiece.h"

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/text/sentencepiece_impl.h"

enum { MAX_FILE = 256 << 20 };

struct cpv_sentencepiece {
    struct cpv_spm *spm;
};

static int refused(struct cpv_err *err, int rc, const char *why)
{
    if (rc == CPV_SPM_MEMORY)
        return cpv_fail_memory(err);
    return cpv_fail(err, CPV_E_INPUT, "the SentencePiece library refuses it: %s", why);
}

int cpv_sentencepiece_read(cpv_sentencepiece **out, struct cpv_bytes model,
                           const char *name, struct cpv_err *err)
{
    char why[CPV_SPM_WHY] = "";
    cpv_sentencepiece *m;
    int rc;

    *out = NULL;
    if ((rc = cpv_spm_check(model, name, err)))
        return rc;
    if (!(m = cpv_calloc(1, sizeof *m)))
        return cpv_fail_memory(err);
    if ((rc = cpv_spm_load(&m->spm, model, why))) {
        cpv_free(m);
        rc = refused(err, rc, why);
        cpv_err_add(err, "'%s'", name);
        return rc;
    }
    *out = m;
    return CPV_OK;
}

int cpv_sentencepiece_open(cpv_sentencepiece **out, const char *path, struct cpv_err *err)
{
    struct cpv_buf model = {0};
    int rc;

    *out = NULL;
    rc = cpv_file_read(path, MAX_FILE, &model, err);
    if (!rc)
        rc = cpv_sentencepiece_read(out, cpv_buf_view(&model), path, err);
    cpv_buf_release(&model);
    return rc;
}

void cpv_sentencepiece_close(cpv_sentencepiece **m)
{
    if (!*m)
        return;
    cpv_spm_free((*m)->spm);
    cpv_free(*m);
    *m = NULL;
}

int cpv_sentencepiece_encode(const cpv_sentencepiece *m, struct cpv_bytes text,
                             cpv_sentencepiece_take *take, void *user,
                             struct cpv_err *err)
{
    char why[CPV_SPM_WHY] = "";
    int rc = cpv_spm_encode(m->spm, text, take, user, why);

    return rc ? refused(err, rc, why) : CPV_OK;
}

int cpv_sentencepiece_decode(const cpv_sentencepiece *m, const struct cpv_bytes *pieces,
                             size_t n, struct cpv_buf *out, struct cpv_err *err)
{
    char why[CPV_SPM_WHY] = "";
    int rc = cpv_spm_decode(m->spm, pieces, n, out, why);

    if (rc)
        return refused(err, rc, why);
    return out->failed ? cpv_fail_memory(err) : CPV_OK;
}

struct joined {
    const struct cpv_spm *spm;
    struct cpv_buf *out;
};

/* Pieces side by side are the normalised text; a byte is written "<0xE2>". */
static void join(void *user, int32_t id, struct cpv_bytes text)
{
    struct joined *j = user;
    uint8_t byte;

    if (text.size == 6 && cpv_spm_is_byte(j->spm, id) &&
        cpv_unhex(&byte, 1, cpv_bytes_of(text.data + 3, 2)))
        cpv_buf_byte(j->out, byte);
    else
        cpv_buf_add(j->out, text.data, text.size);
}

int cpv_sentencepiece_normalise(const cpv_sentencepiece *m, struct cpv_bytes text,
                                struct cpv_buf *out, struct cpv_err *err)
{
    struct joined j = {m->spm, out};
    int rc = cpv_sentencepiece_encode(m, text, join, &j, err);

    if (!rc && out->failed)
        rc = cpv_fail_memory(err);
    return rc;
}

int32_t cpv_sentencepiece_count(const cpv_sentencepiece *m)
{
    return cpv_spm_count(m->spm);
}

int32_t cpv_sentencepiece_unknown(const cpv_sentencepiece *m)
{
    return cpv_spm_unknown(m->spm);
}

int32_t cpv_sentencepiece_id(const cpv_sentencepiece *m, struct cpv_bytes piece)
{
    return cpv_spm_id(m->spm, piece);
}

struct cpv_bytes cpv_sentencepiece_piece(const cpv_sentencepiece *m, int32_t id)
{
    return cpv_spm_piece(m->spm, id);
}
