/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for people: sizes, counts, times; and tables of them. */
#ifndef CPV_PIPELINE_TEXT_H
#define CPV_PIPELINE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"

void cpv_text_bytes(char *out, size_t size, uint64_t bytes); /* "1.2 GiB", "512 B" */
void cpv_text_count(char *out, size_t size, uint64_t n);     /* "1,234,567" */
void cpv_text_time(char *out, size_t size, double seconds);  /* "3 h 12 min", "48 s" */

/*
 * A table is filled cell by cell, row by row; the first row is the heading. The first
 * column is left-aligned, the others right-aligned. Zero-initialise it but for
 * `columns`.
 */
enum { CPV_TABLE_COLUMNS = 12, CPV_TABLE_CELL = 112 };

struct cpv_table {
    size_t columns; /* at most CPV_TABLE_COLUMNS */
    size_t n;       /* cells so far */
    size_t capacity;
    char (*cells)[CPV_TABLE_CELL];
    bool failed; /* memory ran out; the rest is ignored */
};

void cpv_table_add(struct cpv_table *t, const char *fmt, ...) CPV_PRINTF(2, 3);
/* bold: emphasise the heading, for terminals. Ends the table. */
CPV_MUST_CHECK int cpv_table_print(struct cpv_table *t, bool bold, FILE *to,
                                   struct cpv_err *err);

#endif
