/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz harness without a fuzzer: over every file of the folders named on the
 * command line, then over each cut short and with single bytes changed, always the
 * same way. Each input lies in memory of exactly its size, so that ASan sees one byte
 * too far. A folder without a seed is a failure: there would be nothing tested.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/sys.h"

#define MAX_SEED     ((size_t)64 << 20)
#define CUTS         64 /* of each seed */
#define FLIPS        64
#define LARGEST_FLIP ((size_t)1 << 20) /* larger seeds are run once and not varied */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_copy(const uint8_t *data, size_t size, size_t changed, uint8_t bits)
{
    uint8_t *copy = (uint8_t *)cpv_alloc(size);

    if (!copy) {
        fprintf(stderr, "replay: out of memory\n");
        exit(74);
    }
    if (size)
        memcpy(copy, data, size);
    if (changed < size)
        copy[changed] ^= bits;
    if (LLVMFuzzerTestOneInput(copy, size)) {
        fprintf(stderr, "replay: the harness did not return 0\n");
        exit(1);
    }
    cpv_free(copy);
}

/* Numerical Recipes' generator: the variations need only be many and the same. */
static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void run_seed(struct cpv_bytes seed)
{
    uint64_t state = seed.size;
    size_t step = seed.size / CUTS + 1;

    run_copy(seed.data, seed.size, seed.size, 0);
    if (seed.size > LARGEST_FLIP)
        return;
    for (size_t cut = 0; cut < seed.size; cut += step)
        run_copy(seed.data, cut, cut, 0);
    for (int k = 0; k < FLIPS && seed.size; k++) {
        size_t at = (size_t)(next(&state) % seed.size);
        run_copy(seed.data, seed.size, at, (uint8_t)(1u << (next(&state) % 8)));
    }
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int run_folder(const char *folder)
{
    struct dirent **entry = NULL;
    int n = scandir(folder, &entry, visible, by_name);

    for (int i = 0; i < n; i++) {
        struct cpv_err err = {0};
        struct cpv_buf path = {0}, seed = {0};

        cpv_buf_printf(&path, "%s/%s", folder, entry[i]->d_name);
        printf("%s\n", entry[i]->d_name);
        fflush(stdout); /* so that the last line names the seed that crashed */
        if (!cpv_buf_cstr(&path) ||
            cpv_file_read(cpv_buf_cstr(&path), MAX_SEED, &seed, &err)) {
            fprintf(stderr, "replay: %s\n", err.text);
            exit(74);
        }
        run_seed(cpv_buf_view(&seed));
        cpv_buf_release(&seed);
        cpv_buf_release(&path);
        free(entry[i]);
    }
    free(entry);
    return n;
}

int main(int argc, char **argv)
{
    int seeds = 0;

    for (int i = 1; i < argc; i++) {
        int n = run_folder(argv[i]);
        if (n < 0)
            perror(argv[i]);
        else
            seeds += n;
    }
    if (seeds == 0) {
        fprintf(stderr, "replay: no seed in the folders named\n");
        return 1;
    }
    printf("%d seeds\n", seeds);
    return 0;
}
