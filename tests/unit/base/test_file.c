/* SPDX-License-Identifier: Apache-2.0 */
/* file.h: the numbered guarantees, reading, folders, locks. */
#include "tests/unit/base/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/file.h"

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void file_is(const char *path, const char *text)
{
    struct cpv_buf b = {0};
    struct cpv_err err;

    assert_ok(cpv_file_read(path, 1 << 20, &b, &err));
    assert_string_equal(cpv_buf_cstr(&b), text);
    cpv_buf_release(&b);
}

static void a_draft_appears_whole_at_commit(void **state)
{
    struct cpv_err err;
    cpv_draft *d;
    bool existed = true;

    (void)state;
    assert_ok(cpv_draft_open(&d, "whole", &err));
    cpv_draft_write(d, "one ", 4);
    cpv_draft_write(d, "two", 3);
    assert_int_equal(cpv_draft_size(d), 7);
    assert_false(cpv_file_exists("whole"));
    assert_true(cpv_file_exists(".whole.tmp"));
    assert_ok(cpv_draft_commit(&d, &existed, &err));
    assert_null(d);
    assert_false(existed);
    file_is("whole", "one two");
    assert_false(cpv_file_exists(".whole.tmp"));
}

static void a_name_that_exists_wins(void **state)
{
    struct cpv_err err;
    cpv_draft *d;
    bool existed = false;

    (void)state;
    write_file("taken", "first");
    assert_ok(cpv_draft_open(&d, "taken", &err));
    cpv_draft_write(d, "second", 6);
    assert_ok(cpv_draft_commit(&d, &existed, &err));
    assert_true(existed);
    file_is("taken", "first");
    assert_false(cpv_file_exists(".taken.tmp"));
}

static void a_draft_may_replace_what_is_there(void **state)
{
    struct cpv_err err;
    cpv_draft *d;

    (void)state;
    for (int i = 0; i < 2; i++) {
        write_file("anew", "first");
        assert_ok(cpv_draft_open(&d, "anew", &err));
        cpv_draft_write(d, "second", 6);
        file_is("anew", "first");
        assert_ok(cpv_draft_replace(&d, &err));
        assert_null(d);
        file_is("anew", "second");
        assert_false(cpv_file_exists(".anew.tmp"));
    }
    assert_int_equal(shell("rm anew && mkdir anew"), 0);
    assert_ok(cpv_draft_open(&d, "anew", &err));
    assert_int_equal(cpv_draft_replace(&d, &err), CPV_E_IO);
    assert_null(d);
    assert_false(cpv_file_exists(".anew.tmp"));
}

static void a_discarded_draft_leaves_nothing(void **state)
{
    struct cpv_err err;
    cpv_draft *d;

    (void)state;
    assert_ok(cpv_draft_open(&d, "gone", &err));
    cpv_draft_write(d, "x", 1);
    cpv_draft_discard(&d);
    assert_null(d);
    assert_false(cpv_file_exists("gone"));
    assert_false(cpv_file_exists(".gone.tmp"));
    cpv_draft_discard(&d);
}

static void what_was_left_behind_is_taken_over(void **state)
{
    struct cpv_err err;
    cpv_draft *d;

    (void)state;
    write_file(".left.tmp", "a longer text of a killed process");
    assert_ok(cpv_draft_open(&d, "left", &err));
    cpv_draft_write(d, "new", 3);
    assert_ok(cpv_draft_commit(&d, NULL, &err));
    file_is("left", "new");
}

/* As a kill between link and unlink leaves it. */
static void a_temporary_name_of_a_committed_file_is_not_emptied(void **state)
{
    struct cpv_err err;
    cpv_draft *d;
    bool existed;

    (void)state;
    write_file("linked", "committed");
    assert_int_equal(link("linked", ".linked.tmp"), 0);
    assert_ok(cpv_draft_open(&d, "linked", &err));
    file_is("linked", "committed");
    cpv_draft_write(d, "other", 5);
    assert_ok(cpv_draft_commit(&d, &existed, &err));
    assert_true(existed);
    file_is("linked", "committed");
}

static void a_draft_is_locked(void **state)
{
    struct cpv_err err;
    cpv_draft *d, *other;
    int status;
    pid_t child;

    (void)state;
    assert_ok(cpv_draft_open(&d, "mine", &err));
    assert_int_equal(cpv_draft_open(&other, "mine", &err), CPV_E_BUSY);
    assert_null(other);
    assert_string_equal(err.text, "'.mine.tmp' is in use by another process");
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cpv_draft *theirs;

        _exit(cpv_draft_open(&theirs, "mine", NULL) == CPV_E_BUSY ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    cpv_draft_write(d, "kept", 4);
    assert_ok(cpv_draft_commit(&d, NULL, &err));
    file_is("mine", "kept");
}

static void the_lock_goes_with_the_process(void **state)
{
    struct cpv_err err;
    cpv_draft *d;
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        if (cpv_draft_open(&d, "orphan", NULL))
            _exit(1);
        cpv_draft_write(d, "partial", 7);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(cpv_file_exists(".orphan.tmp"));
    assert_ok(cpv_draft_open(&d, "orphan", &err));
    assert_ok(cpv_draft_commit(&d, NULL, &err));
    file_is("orphan", "");
}

static void a_draft_can_be_read_back(void **state)
{
    struct cpv_err err;
    cpv_draft *d;
    char back[4] = "";

    (void)state;
    assert_ok(cpv_draft_open(&d, "back", &err));
    cpv_draft_write(d, "0123456789", 10);
    assert_ok(cpv_file_get_at(cpv_draft_fd(d), back, 3, 4, "back", &err));
    assert_string_equal(back, "456");
    assert_int_equal(cpv_file_get_at(cpv_draft_fd(d), back, 3, 8, "back", &err),
                     CPV_E_CORRUPT);
    assert_int_equal(
        cpv_file_get_at(cpv_draft_fd(d), back, 3, UINT64_MAX - 1, "back", &err),
        CPV_E_CORRUPT);
    cpv_draft_discard(&d);
}

static void a_missing_folder_is_absent(void **state)
{
    struct cpv_err err;
    cpv_draft *d;

    (void)state;
    assert_int_equal(cpv_draft_open(&d, "no/such/file", &err), CPV_E_ABSENT);
    assert_string_equal(err.text,
                        "cannot open 'no/such/.file.tmp': No such file or directory");
}

static void reading_has_a_limit(void **state)
{
    struct cpv_err err;
    struct cpv_buf b = {0};

    (void)state;
    write_file("ten", "0123456789");
    assert_ok(cpv_file_read("ten", 10, &b, &err));
    assert_int_equal(b.size, 10);
    assert_int_equal(cpv_file_read("ten", 9, &b, &err), CPV_E_INPUT);
    assert_string_equal(err.text, "'ten': larger than the 9 bytes allowed");
    assert_int_equal(cpv_file_read("none", 9, &b, &err), CPV_E_ABSENT);
    assert_int_equal(cpv_file_read(".", 9, &b, &err), CPV_E_IO);
    cpv_buf_release(&b);
}

static void large_files_come_whole(void **state)
{
    enum { SIZE = 300000 };
    struct cpv_err err;
    struct cpv_buf b = {0};
    cpv_draft *d;
    uint64_t size = 0;
    int fd;

    (void)state;
    assert_ok(cpv_draft_open(&d, "large", &err));
    for (int i = 0; i < SIZE / 4; i++)
        cpv_draft_write(d, &i, 4);
    assert_ok(cpv_draft_check(d, &err));
    assert_ok(cpv_draft_commit(&d, NULL, &err));
    assert_ok(cpv_file_read("large", SIZE, &b, &err));
    assert_int_equal(b.size, SIZE);
    for (int i = 0; i < SIZE / 4; i++)
        assert_memory_equal(b.data + 4 * i, &i, 4);
    cpv_buf_release(&b);
    assert_ok(cpv_file_open_read(&fd, "large", &err));
    assert_ok(cpv_file_size(fd, &size, "large", &err));
    assert_int_equal(size, SIZE);
    cpv_file_close(&fd);
    assert_int_equal(fd, -1);
}

static void a_mapped_file_has_its_bytes(void **state)
{
    struct cpv_err err;
    struct cpv_bytes map = {(const uint8_t *)"x", 1};

    (void)state;
    write_file("mapped", "all of it");
    assert_ok(cpv_file_map(&map, "mapped", &err));
    assert_int_equal(map.size, 9);
    assert_memory_equal(map.data, "all of it", 9);
    cpv_file_map_drop(map); /* less than a page: nothing happens */
    cpv_file_map_drop(cpv_bytes_of(map.data, 1 << 12));
    assert_memory_equal(map.data, "all of it", 9);
    cpv_file_unmap(&map);
    assert_null(map.data);
    cpv_file_unmap(&map);
    write_file("nothing", "");
    assert_ok(cpv_file_map(&map, "nothing", &err));
    assert_int_equal(map.size, 0);
    cpv_file_unmap(&map);
    assert_int_equal(cpv_file_map(&map, "missing", &err), CPV_E_ABSENT);
    assert_int_equal(cpv_file_map(&map, ".", &err), CPV_E_INPUT);
    assert_string_equal(err.text, "'.': not a regular file");
}

static void folders_are_made_with_their_parents(void **state)
{
    struct cpv_err err;
    struct stat st;

    (void)state;
    assert_ok(cpv_folder_make("a/b//c/", &err));
    assert_ok(cpv_folder_make("a/b/c", &err));
    assert_int_equal(stat("a/b/c", &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_ok(cpv_folder_sync("a/b", &err));
    assert_ok(cpv_folder_make("/", &err));
    write_file("plain", "");
    assert_int_equal(cpv_folder_make("plain/x", &err), CPV_E_ABSENT);
    assert_string_equal(err.text, "cannot make folder 'plain': Not a directory");
    assert_true(cpv_folder_make("", &err) < 0);
}

static void replacing_is_whole_too(void **state)
{
    struct cpv_err err;
    int fd;

    (void)state;
    assert_ok(cpv_file_replace("small", cpv_bytes_str("old and long"), &err));
    file_is("small", "old and long");
    assert_ok(cpv_file_replace("small", cpv_bytes_str("new"), &err));
    file_is("small", "new");
    assert_false(cpv_file_exists(".small.tmp"));
    assert_ok(cpv_file_lock(&fd, ".small.tmp", &err));
    assert_int_equal(cpv_file_replace("small", cpv_bytes_str("x"), &err), CPV_E_BUSY);
    file_is("small", "new");
    cpv_file_close(&fd);
}

static void a_lock_excludes_until_closed(void **state)
{
    struct cpv_err err;
    int one, two;

    (void)state;
    assert_ok(cpv_file_lock(&one, "lock", &err));
    assert_int_equal(cpv_file_lock(&two, "lock", &err), CPV_E_BUSY);
    assert_int_equal(two, -1);
    cpv_file_close(&one);
    assert_ok(cpv_file_lock(&two, "lock", &err));
    cpv_file_close(&two);
}

static void link_is(const char *path, const char *target)
{
    char now[64] = "";

    assert_true(readlink(path, now, sizeof now - 1) > 0);
    assert_string_equal(now, target);
}

static void a_link_replaces_what_is_there(void **state)
{
    struct cpv_err err;

    (void)state;
    assert_int_equal(shell("rm -rf links && mkdir links && echo x >links/file"), 0);
    assert_ok(cpv_file_link("../a", "links/new", &err));
    link_is("links/new", "../a");
    assert_ok(cpv_file_link("../a", "links/new", &err));
    assert_ok(cpv_file_link("../b", "links/new", &err));
    link_is("links/new", "../b");
    assert_ok(cpv_file_link("c", "links/file", &err));
    link_is("links/file", "c");
    /* What a dead process left in between does not matter. */
    assert_int_equal(symlink("old", "links/.file.tmp"), 0);
    assert_ok(cpv_file_link("d", "links/file", &err));
    link_is("links/file", "d");
    assert_int_equal(shell("test \"$(ls -A links)\" = 'file\nnew'"), 0);
    assert_int_equal(cpv_file_link("a", "none/x", &err), CPV_E_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_appears_whole_at_commit),
        cmocka_unit_test(a_name_that_exists_wins),
        cmocka_unit_test(a_draft_may_replace_what_is_there),
        cmocka_unit_test(a_discarded_draft_leaves_nothing),
        cmocka_unit_test(what_was_left_behind_is_taken_over),
        cmocka_unit_test(a_temporary_name_of_a_committed_file_is_not_emptied),
        cmocka_unit_test(a_draft_is_locked),
        cmocka_unit_test(the_lock_goes_with_the_process),
        cmocka_unit_test(a_draft_can_be_read_back),
        cmocka_unit_test(a_missing_folder_is_absent),
        cmocka_unit_test(reading_has_a_limit),
        cmocka_unit_test(large_files_come_whole),
        cmocka_unit_test(a_mapped_file_has_its_bytes),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(replacing_is_whole_too),
        cmocka_unit_test(a_lock_excludes_until_closed),
        cmocka_unit_test(a_link_replaces_what_is_there),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
