/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: any text either is one, wholly reachable, or is refused in one line. */
#include <stdlib.h>

#include "common/format/config.h"

struct settings {
    int64_t size;
    const char *text;
    struct cpv_texts list;
};

static const struct cpv_opt opts[] = {
    {.key = "size", .kind = CPV_OPT_INT, .offset = offsetof(struct settings, size)},
    {.key = "text", .kind = CPV_OPT_TEXT, .offset = offsetof(struct settings, text)},
    {.key = "list", .kind = CPV_OPT_LIST, .offset = offsetof(struct settings, list)},
    {.kind = CPV_OPT_END}};

static void check(int rc, const struct cpv_err *err)
{
    if (rc && (err->code != rc || !err->text[0] || strchr(err->text, '\n')))
        abort();
}

/* Once as it is, once with its bytes as a --set. */
static void use(const cpv_config *c, const char *setting)
{
    static const char *const sections[] = {"a"};
    struct settings s = {0};
    struct cpv_opt_group group = {"A", "a", opts, &s};
    struct cpv_program program = {.name = "fuzz", .groups = &group, .n_groups = 1};
    struct cpv_err err = {0};
    cpv_arena *mem;

    if (cpv_arena_open(&mem, 0, NULL))
        return;
    if (c) {
        check(cpv_config_apply(c, &program, sections, 1, mem, &err), &err);
        check(cpv_config_sections_check(c, sections, 1, &err), &err);
    }
    err = (struct cpv_err){0};
    check(cpv_config_set_one(&program, setting, mem, &err), &err);
    cpv_arena_close(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_buf setting = {0};
    struct cpv_err err = {0};
    cpv_config *c;

    check(cpv_config_open_bytes(&c, cpv_bytes_of(data, size), "fuzz", &err), &err);
    for (size_t i = 0; c && i < cpv_config_entries(c); i++) {
        struct cpv_config_entry e = cpv_config_entry(c, i);

        if (e.line < 1 || e.column < 1 || !e.node)
            abort();
        (void)cpv_config_text(c, e.path);
    }
    cpv_buf_str(&setting, "a.list=");
    cpv_buf_add(&setting, data, size);
    if (cpv_buf_cstr(&setting))
        use(c, cpv_buf_cstr(&setting));
    cpv_config_close(&c);
    cpv_buf_release(&setting);
    return 0;
}
