/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/state.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/checkpoint.h"
#include "common/format/json.h"
#include "common/format/safetensors_write.h"

enum { FORMAT = 1, HEADER_MAX = 16 << 20 };

static const char *const KINDS[STEP_KINDS] = {"", "#mean", "#square"};

/* ---- the fields as text ---- */

enum field_kind { F_U64, F_REAL, F_BOOL };

static const struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
} FIELDS[] = {
    {"step", F_U64, offsetof(struct state, step)},
    {"loss", F_REAL, offsetof(struct state, loss)},
    {"texts", F_REAL, offsetof(struct state, texts)},
    {"images", F_REAL, offsetof(struct state, images)},
    {"steps", F_U64, offsetof(struct state, steps)},
    {"pairs", F_U64, offsetof(struct state, pairs)},
    {"tokens", F_U64, offsetof(struct state, tokens)},
    {"all_pairs", F_U64, offsetof(struct state, all_pairs)},
    {"all_tokens", F_U64, offsetof(struct state, all_tokens)},
    {"broken", F_U64, offsetof(struct state, broken)},
    {"best", F_REAL, offsetof(struct state, best)},
    {"best_step", F_U64, offsetof(struct state, best_step)},
    {"worse", F_U64, offsetof(struct state, worse)},
    {"has_best", F_BOOL, offsetof(struct state, has_best)},
    {"stopped", F_BOOL, offsetof(struct state, stopped)},
    {"metrics_bytes", F_U64, offsetof(struct state, metrics_bytes)},
};
enum { N_FIELDS = sizeof FIELDS / sizeof *FIELDS, TEXT = 48 };

static void print_field(const struct state *s, const struct field *f, char to[TEXT])
{
    const char *at = (const char *)s + f->offset;

    if (f->kind == F_U64)
        (void)snprintf(to, TEXT, "%" PRIu64, *(const uint64_t *)(const void *)at);
    else if (f->kind == F_REAL)
        (void)snprintf(to, TEXT, "%a", *(const double *)(const void *)at);
    else
        (void)snprintf(to, TEXT, "%d", *(const bool *)at);
}

static bool scan_field(struct state *s, const struct field *f, const char *text)
{
    char *at = (char *)s + f->offset, *end;

    if (!text || !*text)
        return false;
    if (f->kind == F_REAL)
        *(double *)(void *)at = strtod(text, &end);
    else if (f->kind == F_U64)
        *(uint64_t *)(void *)at = strtoull(text, &end, 10);
    else
        *(bool *)at = strtol(text, &end, 10) != 0;
    return *end == '\0';
}

/* ---- names ---- */

static char *path_of(cpv_arena *mem, const char *folder, uint64_t number)
{
    return cpv_arena_printf(mem, "%s/checkpoints/step-%08" PRIu64 ".safetensors", folder,
                            number);
}

static bool parse_name(const char *name, uint64_t *number)
{
    static const char HEAD[] = "step-", TAIL[] = ".safetensors";
    char *end;

    if (strncmp(name, HEAD, sizeof HEAD - 1) != 0)
        return false;
    name += sizeof HEAD - 1;
    if (*name < '0' || *name > '9')
        return false;
    *number = strtoull(name, &end, 10);
    return strcmp(end, TAIL) == 0;
}

/* Call fn for each checkpoint's number. */
typedef int number_fn(void *arg, uint64_t number, struct cpv_err *err);

static int each_checkpoint(const char *folder, number_fn *fn, void *arg,
                           struct cpv_err *err)
{
    char path[4096];
    const struct dirent *e;
    uint64_t number;
    DIR *dir;
    int rc = CPV_OK;

    (void)snprintf(path, sizeof path, "%s/checkpoints", folder);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? CPV_OK
                               : cpv_fail_sys(err, errno, "cannot open '%s'", path);
    while (!rc && (e = readdir(dir)))
        if (parse_name(e->d_name, &number))
            rc = fn(arg, number, err);
    (void)closedir(dir);
    return rc;
}

/* ---- writing ---- */

struct image_of {
    struct cpv_safetensors_tensor *tensor;
    size_t n;
};

static int collect(struct image_of *c, step *s, cpv_arena *mem, struct cpv_err *err)
{
    int params = step_params_count(s), rc = CPV_OK;

    c->tensor = cpv_arena_calloc(mem, (size_t)params * STEP_KINDS + 1, sizeof *c->tensor);
    if (!c->tensor)
        return cpv_fail_memory(err);
    for (int i = 0; i < params && !rc; i++) {
        const struct cpv_clip_param *p = step_param(s, i);

        for (int k = 0; k < STEP_KINDS && !rc; k++) {
            float *value =
                cpv_arena_alloc(mem, (size_t)(p->rows * p->cols) * sizeof *value);
            char *name = cpv_arena_printf(mem, "%s%s", p->name, KINDS[k]);

            if (!value || !name)
                return cpv_fail_memory(err);
            rc = step_get(s, i, (enum step_kind)k, value, err);
            c->tensor[c->n++] = (struct cpv_safetensors_tensor){
                .name = name,
                .dtype = CPV_CKPT_F32,
                .rank = 2,
                .dim = {(uint64_t)p->rows, (uint64_t)p->cols},
                .values = value};
        }
    }
    return rc;
}

static int write_file(const struct state *state, step *s, const char *path,
                      const uint8_t digest[32], cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_safetensors_pair pair[N_FIELDS + 2];
    char text[N_FIELDS][TEXT], hex[65], format[TEXT];
    struct image_of c = {0};
    size_t n = 0;
    int rc = collect(&c, s, mem, err);

    for (; n < N_FIELDS; n++) {
        print_field(state, &FIELDS[n], text[n]);
        pair[n] = (struct cpv_safetensors_pair){FIELDS[n].key, text[n]};
    }
    cpv_hex(hex, digest, 32);
    (void)snprintf(format, sizeof format, "%d", FORMAT);
    pair[n++] = (struct cpv_safetensors_pair){"data_sha256", hex};
    pair[n++] = (struct cpv_safetensors_pair){"capivara_checkpoint", format};
    return rc ? rc : cpv_safetensors_write(path, c.tensor, c.n, pair, n, err);
}

/* The checkpoints that are there. */
struct numbers {
    uint64_t newest;
    uint64_t *number;
    size_t n, room;
};

static int note_number(void *arg, uint64_t number, struct cpv_err *err)
{
    struct numbers *p = arg;

    if (p->n == p->room) {
        uint64_t *more = cpv_realloc(p->number, (p->room + 64) * 2 * sizeof *more);

        if (!more)
            return cpv_fail_memory(err);
        p->number = more;
        p->room = (p->room + 64) * 2;
    }
    p->number[p->n++] = number;
    return CPV_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* What cannot be removed now stays for the next time. */
static int prune_old(const struct state *state, const char *folder, uint64_t keep,
                     struct cpv_err *err)
{
    struct numbers p = {0};
    char path[4096];
    int rc = each_checkpoint(folder, note_number, &p, err);

    if (!rc && p.n)
        qsort(p.number, p.n, sizeof *p.number, by_number);
    for (size_t i = keep; i < p.n && !rc; i++) {
        if (state->has_best && p.number[i] == state->best_step)
            continue;
        (void)snprintf(path, sizeof path, "%s/checkpoints/step-%08" PRIu64 ".safetensors",
                       folder, p.number[i]);
        (void)cpv_sys.unlink(path);
    }
    cpv_free(p.number);
    return rc;
}

static int link_one(const char *folder, const char *name, uint64_t number,
                    struct cpv_err *err)
{
    char target[64], path[4096];

    (void)snprintf(target, sizeof target, "step-%08" PRIu64 ".safetensors", number);
    (void)snprintf(path, sizeof path, "%s/checkpoints/%s.safetensors", folder, name);
    return cpv_file_link(target, path, err);
}

int state_save(const struct state *state, step *s, const char *folder,
               const uint8_t data_digest[32], uint64_t keep, struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    char *path = NULL;
    int rc = cpv_arena_open(&mem, 0, err);

    if (!rc) {
        path = cpv_arena_printf(mem, "%s/checkpoints", folder);
        rc = path ? cpv_folder_make(path, err) : cpv_fail_memory(err);
    }
    if (!rc)
        path = path_of(mem, folder, state->step);
    if (!rc)
        rc = path ? write_file(state, s, path, data_digest, mem, err)
                  : cpv_fail_memory(err);
    if (!rc)
        rc = link_one(folder, "last", state->step, err);
    if (!rc && state->has_best && state->best_step == state->step)
        rc = link_one(folder, "best", state->step, err);
    if (!rc)
        rc = prune_old(state, folder, keep, err);
    cpv_arena_close(&mem);
    return rc;
}

/* ---- reading ---- */

static int wrong(const char *path, const char *what, struct cpv_err *err)
{
    return cpv_fail(err, CPV_E_CORRUPT, "'%s': no checkpoint of this training: %s", path,
                    what);
}

static int read_fields(struct state *out, const char *path, const uint8_t digest[32],
                       struct cpv_err *err)
{
    uint8_t length[8], there[32];
    struct cpv_buf head = {0};
    uint64_t n = 0;
    json_t *json = NULL, *meta = NULL;
    const char *hex;
    int fd = -1, rc = cpv_file_open_read(&fd, path, err);

    if (!rc)
        rc = cpv_file_get_at(fd, length, 8, 0, path, err);
    if (!rc)
        n = cpv_load_u64(length);
    if (!rc && n > HEADER_MAX)
        rc = wrong(path, "its header is too long", err);
    if (!rc && !cpv_buf_reserve(&head, n))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_file_get_at(fd, head.data, n, 8, path, err);
    if (!rc)
        rc = cpv_json_parse(cpv_bytes_of(head.data, n), path, &json, err);
    meta = json_object_get(json, "__metadata__");
    for (size_t i = 0; i < N_FIELDS && !rc; i++)
        if (!scan_field(out, &FIELDS[i],
                        json_string_value(json_object_get(meta, FIELDS[i].key))))
            rc = wrong(path, FIELDS[i].key, err);
    hex = json_string_value(json_object_get(meta, "data_sha256"));
    if (!rc && (!hex || !cpv_unhex(there, 32, cpv_bytes_str(hex))))
        rc = wrong(path, "data_sha256", err);
    if (!rc && memcmp(there, digest, 32) != 0)
        rc = cpv_fail(err, CPV_E_SETTINGS,
                      "'%s': made with other data (or captions chosen otherwise); --redo "
                      "begins anew",
                      path);
    json_decref(json);
    cpv_buf_release(&head);
    cpv_file_close(&fd);
    return rc;
}

static int read_tensors(step *s, const char *path, cpv_arena *mem, struct cpv_err *err)
{
    cpv_checkpoint *c = NULL;
    int rc = cpv_checkpoint_open(&c, path, err);

    for (int i = 0; i < step_params_count(s) && !rc; i++) {
        const struct cpv_clip_param *p = step_param(s, i);
        uint64_t dim[2] = {(uint64_t)p->rows, (uint64_t)p->cols};
        float *value = cpv_arena_alloc(mem, (size_t)(p->rows * p->cols) * sizeof *value);

        for (int k = 0; k < STEP_KINDS && !rc; k++) {
            const struct cpv_ckpt_tensor *t = NULL;
            char *name = cpv_arena_printf(mem, "%s%s", p->name, KINDS[k]);

            rc = value && name ? cpv_checkpoint_need(c, name, 2, dim, &t, err)
                               : cpv_fail_memory(err);
            if (!rc)
                rc = cpv_checkpoint_rows_f32(t, 0, dim[0], value, err);
            if (!rc)
                rc = step_set(s, i, (enum step_kind)k, value, err);
        }
    }
    cpv_checkpoint_close(&c);
    return rc;
}

int state_load_step(struct state *out, step *s, const char *folder, uint64_t number,
                    const uint8_t data_digest[32], struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    char *path = NULL;
    int rc = cpv_arena_open(&mem, 0, err);

    if (!rc && !(path = path_of(mem, folder, number)))
        rc = cpv_fail_memory(err);
    memset(out, 0, sizeof *out);
    if (!rc)
        rc = read_fields(out, path, data_digest, err);
    if (!rc && out->step != number)
        rc = wrong(path, "its step is another than its name's", err);
    if (!rc)
        rc = read_tensors(s, path, mem, err);
    cpv_arena_close(&mem);
    return rc;
}

static int newest(void *arg, uint64_t number, struct cpv_err *err)
{
    struct numbers *p = arg;

    (void)err;
    p->newest = number > p->newest || !p->n ? number : p->newest;
    p->n++;
    return CPV_OK;
}

int state_load(struct state *out, step *s, const char *folder,
               const uint8_t data_digest[32], bool *found, struct cpv_err *err)
{
    struct numbers p = {0};
    int rc = each_checkpoint(folder, newest, &p, err);

    memset(out, 0, sizeof *out);
    *found = !rc && p.n > 0;
    return *found ? state_load_step(out, s, folder, p.newest, data_digest, err) : rc;
}

static int drop_one(void *arg, uint64_t number, struct cpv_err *err)
{
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/checkpoints/step-%08" PRIu64 ".safetensors",
                   (const char *)arg, number);
    return cpv_sys.unlink(path) < 0 && errno != ENOENT
               ? cpv_fail_sys(err, errno, "cannot remove '%s'", path)
               : CPV_OK;
}

int state_drop(const char *folder, struct cpv_err *err)
{
    return each_checkpoint(folder, drop_one, (void *)(uintptr_t)folder, err);
}
