/* SPDX-License-Identifier: Apache-2.0 */
/* capivara index: makes, updates, dumps and finishes CORPUS/index.sqlite. */
#include <stdio.h>
#include <string.h>

#include "common/corpus/index.h"
#include "pipeline/command.h"
#include "pipeline/place.h"
#include "pipeline/text.h"

enum { WAIT_MS = 10000 }; /* for another writer */

/* A part that could not be taken in makes the index incomplete: that is to be seen. */
static int update(struct cpv_call *call, const char *corpus, bool fresh,
                  struct cpv_err *err)
{
    struct cpv_index_counts counts = {0};
    cpv_index *index = NULL;
    char samples[32];
    int rc = cpv_index_open_write(&index, corpus, fresh, WAIT_MS, call->log, err);

    if (!rc)
        rc = cpv_index_update(index, &counts, err);
    cpv_index_close(&index);
    if (rc)
        return rc;
    cpv_text_count(samples, sizeof samples, counts.samples);
    if (!call->quiet)
        printf("%u parts taken in (%s samples), %u unchanged, %u removed\n", counts.added,
               samples, counts.unchanged, counts.removed);
    if (counts.bad)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "%u parts left out; `capivara verify` says more", counts.bad);
    return CPV_OK;
}

static int to_stdout(void *ctx, struct cpv_bytes text, struct cpv_err *err)
{
    (void)ctx;
    if (fwrite(text.data, 1, text.size, stdout) != text.size)
        return cpv_fail(err, CPV_E_IO, "cannot write to standard output");
    return CPV_OK;
}

static int dump(const char *corpus, struct cpv_err *err)
{
    cpv_index *index = NULL;
    int rc = cpv_index_open_read(&index, corpus, err);

    if (!rc)
        rc = cpv_index_dump(index, to_stdout, NULL, err);
    cpv_index_close(&index);
    return rc;
}

static int finish(struct cpv_call *call, const char *corpus, struct cpv_err *err)
{
    cpv_index *index = NULL;
    int rc = cpv_index_open_write(&index, corpus, false, WAIT_MS, call->log, err);

    if (!rc)
        rc = cpv_index_finish(index, err);
    cpv_index_close(&index);
    return rc;
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    static const char *const VERBS[] = {"update", "rebuild", "dump", "finish", NULL};
    const char *verb = call->names[0], *near;
    struct cpv_place place;
    int rc = cpv_place_find(&place, call->names[1], call->mem, err);

    if (!rc && (!place.corpus || place.column))
        rc = cpv_fail(err, CPV_E_USAGE, "'%s': expected the folder of a corpus",
                      call->names[1]);
    if (rc)
        return rc;
    if (strcmp(verb, "update") == 0 || strcmp(verb, "rebuild") == 0)
        return update(call, place.corpus, *verb == 'r', err);
    if (strcmp(verb, "dump") == 0)
        return dump(place.corpus, err);
    if (strcmp(verb, "finish") == 0)
        return finish(call, place.corpus, err);
    near = cpv_opts_nearest_word(verb, VERBS);
    return cpv_fail(err, CPV_E_USAGE,
                    "expected update, rebuild, dump or finish, got '%s'%s%s%s", verb,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

const struct cpv_command cpv_command_index = {
    .name = "index",
    .summary = "make, update, dump or finish the SQLite index of a corpus",
    .usage = "update|rebuild|dump|finish CORPUS",
    .description =
        "update takes in parts that are new and drops those that are gone; rebuild "
        "begins "
        "with an empty index and ends with the same content. Both make it from shards "
        "and "
        "commit records alone, so index.sqlite may be deleted at any time.\n\n"
        "dump prints the deterministic tables as SQL, rows in the order of their keys. "
        "finish compacts the file; it can then be opened with immutable=1.",
    .least = 2,
    .most = 2,
    .run = run,
};
