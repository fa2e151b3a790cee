/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders as values, for the crash tests: copy one, remove one, take a picture of one,
 * and say how two pictures differ. Any trouble of our own ends the program with 99.
 */
#ifndef CPV_TESTS_CRASH_TREE_H
#define CPV_TESTS_CRASH_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct tree_file {
    char *path; /* relative */
    char *data;
    size_t size;
};

/* Every file below a folder that counts, sorted by path. */
struct tree {
    struct tree_file *at;
    size_t n, room;
};

void tree_copy(const char *from, const char *to);
void tree_remove(const char *path);
/* Statistics and caches are left out: they are never compared and never needed. */
struct tree tree_read(const char *path);
void tree_free(struct tree *t);
const struct tree_file *tree_find(const struct tree *t, const char *path);

/* Both the same? If not, the first difference is said in `why`. */
bool tree_equal(const struct tree *is, const struct tree *should, char *why, size_t room);
/*
 * After a fault and before the next run: what `before` held is untouched, and whatever
 * stands under a final name (one without a dot in front) is what `should` has there; a
 * record has its shard.
 */
bool tree_nothing_lost(const struct tree *is, const struct tree *before,
                       const struct tree *should, char *why, size_t room);

void tree_fail(const char *what, const char *name);

#endif
