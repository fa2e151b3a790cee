/* SPDX-License-Identifier: Apache-2.0 */
/* See merge.h. */
#include "common/corpus/merge.h"

#include <string.h>

bool cpv_ext_is_image(const char *ext)
{
    return strcmp(ext, "jpg") == 0 || strcmp(ext, "jpeg") == 0 ||
           strcmp(ext, "png") == 0 || strcmp(ext, "webp") == 0;
}

const char *cpv_image_ext(const struct cpv_sample_entry *e)
{
    for (uint32_t m = 0; m < e->n_members; m++)
        if (cpv_ext_is_image(e->members[m].ext))
            return e->members[m].ext;
    return NULL;
}

/* Add every column's object to one; later values replace earlier ones in place. */
static int add_keys(const struct cpv_sample *samples, size_t n, json_t *all,
                    struct cpv_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct cpv_member *m = cpv_sample_member(&samples[i], "json");
        json_t *one = NULL;
        int rc = m ? cpv_json_parse(m->data, samples[i].key, &one, err) : CPV_OK;

        if (!rc && one && !json_is_object(one))
            rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': its JSON is no object",
                          samples[i].key);
        if (!rc && one && json_object_update(all, one) != 0)
            rc = cpv_fail_memory(err);
        json_decref(one);
        if (rc)
            return rc;
    }
    return CPV_OK;
}

int cpv_merge_json(const struct cpv_sample *samples, size_t n, json_t **out,
                   struct cpv_err *err)
{
    json_t *all = json_object();
    int rc = all ? add_keys(samples, n, all, err) : cpv_fail_memory(err);

    if (rc)
        json_decref(all);
    *out = rc ? NULL : all;
    return rc;
}

static int merge_text(const struct cpv_sample *samples, size_t n, cpv_arena *mem,
                      struct cpv_bytes *out, struct cpv_err *err)
{
    json_t *all = NULL;
    int rc = cpv_merge_json(samples, n, &all, err);

    if (!rc)
        rc = cpv_json_text(all, mem, out, err);
    json_decref(all);
    return rc;
}

static bool has(const struct cpv_member *members, size_t n, const char *ext)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(members[i].ext, ext) == 0)
            return true;
    return false;
}

int cpv_merge_samples(const struct cpv_sample *samples, size_t n, bool images,
                      cpv_arena *mem, struct cpv_member **members, size_t *n_members,
                      struct cpv_err *err)
{
    struct cpv_member *out = cpv_arena_calloc(mem, CPV_MERGE_MEMBERS_MAX, sizeof *out);
    size_t count = 0;
    int rc;

    if (!out)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < samples[i].n_members; k++) {
            const struct cpv_member *m = &samples[i].members[k];

            if ((!images && cpv_ext_is_image(m->ext)) || has(out, count, m->ext))
                continue;
            if (count == CPV_MERGE_MEMBERS_MAX)
                return cpv_fail(err, CPV_E_INPUT, "'%s': more than %d members",
                                samples[i].key, CPV_MERGE_MEMBERS_MAX);
            out[count++] = *m;
        }
    }
    for (size_t k = 0; n > 1 && k < count; k++) {
        if (strcmp(out[k].ext, "json") == 0 &&
            (rc = merge_text(samples, n, mem, &out[k].data, err)))
            return rc;
    }
    *members = out;
    *n_members = count;
    return CPV_OK;
}
