/* SPDX-License-Identifier: Apache-2.0 */
/* dump.h */
#include "tests/unit/compute/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "capivara dump 1\n";

/* The file, with every array moved to an address that suits it: each is preceded by its
 * name, of any length. */
static bool parse(struct dump *d, const char *file, size_t size, char *to)
{
    size_t at = sizeof magic - 1;

    if (size < at || memcmp(file, magic, at) != 0)
        return false;
    while (at < size) {
        struct record *r = &d->record[d->count++];
        uint32_t name, head[3];
        size_t bytes;

        if (d->count > DUMP_RECORDS || size - at < sizeof name)
            return false;
        memcpy(&name, file + at, sizeof name);
        at += sizeof name;
        if (name >= sizeof r->name || size - at < name + sizeof head)
            return false;
        memcpy(r->name, file + at, name);
        r->name[name] = '\0';
        memcpy(head, file + at + name, sizeof head);
        at += name + sizeof head;
        bytes = (size_t)head[1] * head[2] * 4;
        if (head[0] > 1 || bytes > size - at)
            return false;
        memcpy(to, file + at, bytes);
        r->rows = head[1];
        r->cols = head[2];
        r->f = head[0] ? NULL : (const float *)(const void *)to;
        r->i = head[0] ? (const int32_t *)(const void *)to : NULL;
        to += bytes;
        at += bytes;
    }
    return true;
}

bool dump_open(struct dump *d, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *file = malloc((size_t)1 << 20);
    size_t size = f && file ? fread(file, 1, (size_t)1 << 20, f) : 0;
    bool good;

    memset(d, 0, sizeof *d);
    d->bytes = malloc((size_t)1 << 20);
    good = d->bytes && parse(d, file, size, d->bytes);
    if (!good)
        (void)printf("'%s': not there, or not a whole dump\n", path);
    if (f)
        (void)fclose(f);
    free(file);
    return good;
}

void dump_close(struct dump *d)
{
    free(d->bytes);
    d->bytes = NULL;
}

const struct record *dump_find(const struct dump *d, const char *op, int number,
                               const char *operand)
{
    char name[96];

    (void)snprintf(name, sizeof name, "%s.%d.%s", op, number, operand);
    for (int i = 0; i < d->count; i++)
        if (strcmp(d->record[i].name, name) == 0)
            return &d->record[i];
    return NULL;
}
