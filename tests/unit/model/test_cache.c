/* SPDX-License-Identifier: Apache-2.0 */
/* From a name to a folder, and what a cache holds: in a cache made by hand, as Python's
 * client makes it. */
#include "common/base/file.h"
#include "common/model/cache.h"
#include "tests/unit/base/unit.h"

#define C1 "1111111111111111111111111111111111111111"
#define C2 "2222222222222222222222222222222222222222"

static cpv_arena *mem;
static const char *folder;

static const char *at(const char *path)
{
    return cpv_arena_printf(mem, "%s/%s", folder, path);
}

static void put(const char *path, const char *text)
{
    char *full = cpv_arena_printf(mem, "%s/%s", folder, path);
    char *dir = cpv_arena_str(mem, cpv_bytes_str(full));

    *strrchr(dir, '/') = '\0';
    assert_int_equal(cpv_folder_make(dir, NULL), CPV_OK);
    assert_int_equal(cpv_file_replace(full, cpv_bytes_str(text), NULL), CPV_OK);
}

static void link_to(const char *target, const char *path)
{
    char *full = cpv_arena_printf(mem, "%s/%s", folder, path);
    char *dir = cpv_arena_str(mem, cpv_bytes_str(full));

    *strrchr(dir, '/') = '\0';
    assert_int_equal(cpv_folder_make(dir, NULL), CPV_OK);
    assert_int_equal(cpv_file_link(target, full, NULL), CPV_OK);
}

/* org/m: C1 is complete and main, C2 lacks its weights; org/half: only half a blob. */
static int make(void **state)
{
    if (cpv_arena_open(&mem, 0, NULL) || enter_scratch(state))
        return -1;
    folder = *state;
    put("hub/models--org--m/blobs/aa", "{}");
    put("hub/models--org--m/blobs/bb", "weights");
    link_to("../../blobs/aa", "hub/models--org--m/snapshots/" C1 "/config.json");
    link_to("../../blobs/bb", "hub/models--org--m/snapshots/" C1 "/pytorch_model.bin");
    link_to("../../blobs/aa", "hub/models--org--m/snapshots/" C2 "/config.json");
    link_to("../../blobs/cc", "hub/models--org--m/snapshots/" C2 "/pytorch_model.bin");
    put("hub/models--org--m/refs/main", C1);
    put("hub/models--org--m/refs/refs/pr/1", C1 "\n");
    put("hub/models--org--m/refs/v2", C2);
    put("hub/models--org--m/refs/odd", "../../../x");
    put("hub/models--org--half/blobs/dd.incomplete", "12345");
    put("hub/datasets--org--d/refs/main", C1);
    put("hub/version.txt", "1");
    put("base/models/mine/config.json", "{}");
    put("base/org/m/config.json", "{}");
    put("base/x.ckpt", "x");
    (void)setenv("HF_HUB_CACHE", at("hub"), 1);
    return 0;
}

static int unmake(void **state)
{
    cpv_arena_close(&mem);
    return leave_scratch(state);
}

static void a_folder_beside_the_configuration_wins(void **state)
{
    struct cpv_model_place p;

    (void)state;
    assert_int_equal(cpv_model_find("models/mine", at("base"), mem, &p, NULL), CPV_OK);
    assert_string_equal(p.path, at("base/models/mine"));
    assert_null(p.id);
    assert_int_equal(cpv_model_find("org/m", at("base"), mem, &p, NULL), CPV_OK);
    assert_string_equal(p.path, at("base/org/m"));
    assert_int_equal(cpv_model_find("x.ckpt", at("base"), mem, &p, NULL), CPV_OK);
    assert_true(p.is_file);
    assert_int_equal(cpv_model_find(at("base/x.ckpt"), "elsewhere", mem, &p, NULL),
                     CPV_OK);
}

static void a_name_is_found_in_the_cache(void **state)
{
    static const char *const names[] = {"org/m", "org/m@main", "org/m@refs/pr/1",
                                        ("org/m@" C1)};
    struct cpv_model_place p;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(cpv_model_find(names[i], at("hub"), mem, &p, NULL), CPV_OK);
        assert_string_equal(p.path, at("hub/models--org--m/snapshots/" C1));
        assert_string_equal(p.id, "org/m");
        assert_string_equal(p.commit, C1);
        assert_false(p.is_file);
    }
}

static void what_is_not_there_names_the_command(void **state)
{
    static const char *const names[] = {"org/none", "org/m@v9",    "org/m@odd",
                                        "org/m@v2", ("org/m@" C2), "org/half"};
    struct cpv_model_place p;
    struct cpv_err err = {0};
    char command[128];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(cpv_model_find(names[i], at("hub"), mem, &p, &err), CPV_E_INPUT);
        (void)snprintf(command, sizeof command, "capivara models pull %s", names[i]);
        assert_non_null(strstr(err.text, command));
    }
    assert_int_equal(cpv_model_find("org/m@v2", at("hub"), mem, &p, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "lacks the weights"));
    assert_int_equal(cpv_model_find("./org/m", at("hub"), mem, &p, &err), CPV_E_INPUT);
    assert_null(strstr(err.text, "pull"));
    assert_int_equal(cpv_model_find("a/b/c", at("hub"), mem, &p, &err), CPV_E_INPUT);
    assert_int_equal(cpv_model_find("", at("hub"), mem, &p, &err), CPV_E_INPUT);
}

static void the_list_says_what_is_complete(void **state)
{
    struct cpv_cache_entry *e = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(cpv_cache_list(at("hub"), mem, &e, &n, NULL), CPV_OK);
    assert_int_equal(n, 3);
    assert_string_equal(e[0].id, "org/half");
    assert_null(e[0].commit);
    assert_int_equal(e[0].incomplete, 5);
    assert_string_equal(e[1].commit, C1);
    assert_string_equal(e[1].revisions, "main, refs/pr/1");
    assert_null(e[1].missing);
    assert_int_equal(e[1].files, 2);
    assert_int_equal(e[1].bytes, 9);
    assert_string_equal(e[1].format, "torch");
    assert_string_equal(e[2].commit, C2);
    assert_string_equal(e[2].revisions, "v2");
    assert_string_equal(e[2].missing, "the weights");
    assert_int_equal(cpv_cache_list(at("nowhere"), mem, &e, &n, NULL), CPV_OK);
    assert_int_equal(n, 0);
}

static void the_environment_is_python_s(void **state)
{
    struct cpv_hub_env e;

    (void)state;
    (void)unsetenv("HF_HUB_CACHE");
    (void)setenv("HOME", "/h", 1);
    assert_int_equal(cpv_hub_env_read(&e, mem, NULL), CPV_OK);
    assert_string_equal(e.root, "/h/.cache/huggingface/hub");
    (void)setenv("XDG_CACHE_HOME", "/x", 1);
    assert_int_equal(cpv_hub_env_read(&e, mem, NULL), CPV_OK);
    assert_string_equal(e.root, "/x/huggingface/hub");
    (void)setenv("HF_HOME", folder, 1);
    put("token", "\n hf_abc \n");
    assert_int_equal(cpv_hub_env_read(&e, mem, NULL), CPV_OK);
    assert_string_equal(e.root, at("hub"));
    assert_string_equal(e.token, "hf_abc");
    (void)setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
    (void)setenv("HF_TOKEN", "hf_x", 1);
    (void)setenv("HF_HUB_OFFLINE", "True", 1);
    (void)setenv("HF_HUB_DOWNLOAD_TIMEOUT", "7", 1);
    assert_int_equal(cpv_hub_env_read(&e, mem, NULL), CPV_OK);
    assert_string_equal(e.root, "/old");
    assert_string_equal(e.token, "hf_x");
    assert_true(e.offline);
    assert_int_equal(e.stall_ms, 7000);
    (void)setenv("HF_HUB_CACHE", "~/new", 1);
    (void)setenv("HF_HUB_OFFLINE", "0", 1);
    assert_int_equal(cpv_hub_env_read(&e, mem, NULL), CPV_OK);
    assert_string_equal(e.root, "/h/new");
    assert_false(e.offline);
    (void)setenv("HF_HUB_CACHE", at("hub"), 1);
}

int main(void)
{
    static const char *const OURS[] = {"HF_HOME",
                                       "HUGGINGFACE_HUB_CACHE",
                                       "XDG_CACHE_HOME",
                                       "HF_TOKEN",
                                       "HF_HUB_OFFLINE",
                                       "TRANSFORMERS_OFFLINE",
                                       "HUGGING_FACE_HUB_TOKEN",
                                       "HF_TOKEN_PATH"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_beside_the_configuration_wins),
        cmocka_unit_test(a_name_is_found_in_the_cache),
        cmocka_unit_test(what_is_not_there_names_the_command),
        cmocka_unit_test(the_list_says_what_is_complete),
        cmocka_unit_test(the_environment_is_python_s),
    };

    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
        (void)unsetenv(OURS[i]);
    return cmocka_run_group_tests(tests, make, unmake);
}
