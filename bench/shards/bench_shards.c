/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequential reading of shards: makes a set of them, and reads sets.
 *
 *     bench_shards make FOLDER SHARDS SAMPLES [JPEGS]   JPEGS: a folder of pictures to
 *                                       use in turn; without: 40 KB of noise each
 *     bench_shards export FOLDER OUT    plain tars of them
 *     bench_shards read AHEAD FILE ...  one line: samples, bytes, seconds, samples/s,
 *                                       CPU seconds
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "common/base/file.h"
#include "common/format/samples.h"
#include "common/format/shard.h"
#include "common/format/shard_export.h"

enum { PICTURES = 256, NOISE = 40000, FILE_MAX = 8 << 20, PATH_SIZE = 1024 };

struct pictures {
    struct cpv_buf at[PICTURES];
    size_t count;
};

static int die(const struct cpv_err *err)
{
    fprintf(stderr, "bench_shards: %s\n", err->text);
    return cpv_exit_status(err->code);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_jpeg(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');

    return dot && (strcmp(dot, ".jpg") == 0 || strcmp(dot, ".jpeg") == 0);
}

static int load_folder(struct pictures *p, const char *folder, struct cpv_err *err)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, is_jpeg, by_name), rc = CPV_OK;

    for (int i = 0; i < n; i++) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (!rc && p->count < PICTURES)
            rc = cpv_file_read(path, FILE_MAX, &p->at[p->count++], err);
        free(names[i]);
    }
    free(names);
    if (!rc && p->count == 0)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': no .jpg in there", folder);
    return rc;
}

/* Sizes from half to one and a half times NOISE. */
static int make_noise(struct pictures *p, struct cpv_err *err)
{
    uint64_t x = 88172645463325252u;

    for (; p->count < PICTURES; p->count++) {
        size_t n = NOISE / 2 + p->count * NOISE / PICTURES;

        for (size_t i = 0; i < n; i += 8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            cpv_buf_u64(&p->at[p->count], x);
        }
        if (p->at[p->count].failed)
            return cpv_fail_memory(err);
    }
    return CPV_OK;
}

static int make_shard(const char *folder, unsigned shard, unsigned samples,
                      const struct pictures *p, struct cpv_err *err)
{
    char path[PATH_SIZE], key[16], json[512];
    cpv_shard_writer *w;
    int rc;

    (void)snprintf(path, sizeof path, "%s/%05u.tar.zst", folder, shard);
    if (cpv_file_exists(path))
        return CPV_OK;
    if ((rc = cpv_shard_create(&w, path, NULL, err)))
        return rc;
    for (unsigned i = 0; i < samples; i++) {
        const struct cpv_buf *jpg = &p->at[(i * 31 + shard * 7) % p->count];
        struct cpv_member m[2] = {{"jpg", cpv_buf_view(jpg)}, {"json", {NULL, 0}}};
        int n = snprintf(json, sizeof json,
                         "{\"captions-en\":[\"a picture of number %u in shard %u\"],"
                         "\"height\":256,\"key\":\"%05u%04u\",\"url\":"
                         "\"http://host%u.example.org/pictures/%u.jpg\",\"width\":%u}",
                         i, shard, shard, i, i * 7919 % 1000, i, 256 + i % 128);

        m[1].data = cpv_bytes_of(json, (size_t)n);
        (void)snprintf(key, sizeof key, "%05u%04u", shard, i);
        cpv_shard_put(w, key, m, 2);
    }
    return cpv_shard_commit(&w, NULL, NULL, err);
}

static int make(int argc, char **argv, struct cpv_err *err)
{
    struct pictures p = {.count = 0};
    int rc = argc > 5 ? load_folder(&p, argv[5], err) : make_noise(&p, err);

    for (unsigned i = 0; !rc && i < strtoul(argv[3], NULL, 10); i++)
        rc = make_shard(argv[2], i, (unsigned)strtoul(argv[4], NULL, 10), &p, err);
    for (size_t i = 0; i < PICTURES; i++)
        cpv_buf_release(&p.at[i]);
    return rc;
}

static int export_all(char **argv, struct cpv_err *err)
{
    struct cpv_exported out;
    int rc = CPV_OK;

    for (unsigned i = 0; !rc; i++) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof path, "%s/%05u.tar.zst", argv[2], i);
        if (!cpv_file_exists(path))
            break;
        rc = cpv_shard_export_plain(path, argv[3], &out, err);
    }
    return rc;
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int read_all(int argc, char **argv, struct cpv_err *err)
{
    struct cpv_samples_params params = {.read_ahead = (int)strtol(argv[2], NULL, 10)};
    unsigned long long samples = 0, bytes = 0;
    double start = now(), cpu = cpu_seconds(), took;

    for (int i = 3; i < argc; i++) {
        struct cpv_sample sample;
        cpv_samples *s;
        int got = cpv_samples_open(&s, argv[i], &params, err);

        while (!got && (got = cpv_samples_next(s, &sample, err)) == 1) {
            for (size_t k = 0; k < sample.n_members; k++)
                bytes += sample.members[k].data.size;
            samples++;
            got = 0;
        }
        cpv_samples_close(&s);
        if (got < 0)
            return got;
    }
    took = now() - start;
    printf("%llu %llu %.4f %.0f %.4f\n", samples, bytes, took, (double)samples / took,
           cpu_seconds() - cpu);
    return CPV_OK;
}

int main(int argc, char **argv)
{
    struct cpv_err err = {0};
    int rc = CPV_E_USAGE;

    if (argc >= 5 && strcmp(argv[1], "make") == 0)
        rc = make(argc, argv, &err);
    else if (argc == 4 && strcmp(argv[1], "export") == 0)
        rc = export_all(argv, &err);
    else if (argc >= 4 && strcmp(argv[1], "read") == 0)
        rc = read_all(argc, argv, &err);
    else
        (void)cpv_fail(&err, rc, "expected make, export or read; see the source");
    return rc ? die(&err) : 0;
}
