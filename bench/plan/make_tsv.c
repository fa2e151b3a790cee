/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a TSV shaped like CC12M to standard output: `url \t caption`, about 200 bytes
 * a row, the same bytes for the same number of rows.
 *
 *     make_tsv ROWS >FILE
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

int main(int argc, char **argv)
{
    static const char *const words[] = {
        "a",      "the",      "photograph", "person",  "of",    "standing",
        "beside", "red",      "old",        "bicycle", "in",    "front",
        "wooden", "house",    "during",     "summer",  "beach", "with",
        "dog",    "mountain", "and",        "river",   "at",    "sunset"};
    uint64_t rows = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;

    if (rows == 0) {
        (void)fputs("usage: make_tsv ROWS\n", stderr);
        return 2;
    }
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t r = mix(i);
        unsigned n = 12 + (unsigned)(r % 20);

        printf("https://images%" PRIu64 ".example.com/photos/%016" PRIx64
               "/large_%" PRIu64 ".jpg\t",
               r % 977, mix(r), i);
        for (unsigned w = 0; w < n; w++) {
            r = mix(r);
            printf("%s%s", w ? " " : "", words[r % (sizeof words / sizeof words[0])]);
        }
        (void)putchar('\n');
    }
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
