/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real photographs: every one goes through, twice to the same bytes, and is as close
 * to the long way (RGB, exact area, encode) as process.c promises. Skipped without
 * the photographs. With an argument, prints the mean of each size.
 */
#include "tests/unit/image/helpers.h"

#include <dirent.h>
#include <math.h>

static double psnr(double mse)
{
    return mse > 0 ? 10 * log10(255.0 * 255 / mse) : 99;
}

struct sum {
    double total, least;
    int count;
};

/* The long way and ours, both encoded, then compared as a reader will see them. */
static void judge(cpv_image_worker *w[3], struct cpv_bytes file, int size,
                  struct sum *sum)
{
    struct cpv_image_params p;
    struct cpv_image_result r, again;
    struct cpv_buf memory = {0};
    struct cpv_bytes encoded;
    struct cpv_pixels full, small, ours, theirs;
    struct cpv_err err = {0};
    double here;

    cpv_image_params_default(&p);
    p.size = size;
    assert_int_equal(cpv_image_process(w[0], file, &p, &r, &err), 0);
    assert_int_equal(r.status, CPV_IMAGE_OK);
    assert_int_equal(cpv_image_process(w[1], file, &p, &again, &err), 0);
    assert_true(cpv_bytes_equal(r.data, again.data));
    ours = decode_good(w[1], r.data);
    full = decode_good(w[2], file);
    assert_int_equal(
        cpv_image_resize(&full, ours.width, ours.height,
                         size > (int)(full.width < full.height ? full.width : full.height)
                             ? CPV_IMAGE_LANCZOS
                             : CPV_IMAGE_AREA,
                         &memory, &small, &err),
        0);
    assert_int_equal(cpv_image_encode_jpeg(w[0], &small, p.quality, &encoded, &err), 0);
    theirs = decode_good(w[2], encoded);
    here = psnr(compare(&ours, &theirs).mse);
    sum->total += here;
    sum->least = sum->count++ == 0 || here < sum->least ? here : sum->least;
    cpv_buf_release(&memory);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {256, 224, 128, 96, 64, 32};
    const char *data = getenv("CAPIVARA_TEST_DATA");
    cpv_image_worker *w[3] = {open_worker(), open_worker(), open_worker()};
    char dir[1024], path[2048];
    struct dirent **names;
    struct sum sums[6] = {0};
    int n, rc = 0;

    (void)argv;
    snprintf(dir, sizeof dir, "%s/photos", data ? data : "../shared/data");
    n = scandir(dir, &names, NULL, alphasort);
    if (n < 0)
        return 77;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            struct cpv_buf file;

            snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
            file = load_file(path);
            for (size_t k = 0; k < 6; k++)
                judge(w, cpv_buf_view(&file), sizes[k], &sums[k]);
            cpv_buf_release(&file);
        }
        free(names[i]);
    }
    free(names);
    for (size_t k = 0; k < 6 && sums[k].count > 0; k++) {
        double mean = sums[k].total / sums[k].count;

        if (argc > 1)
            printf("size %3d: mean %.2f dB, least %.2f dB, %d photographs\n", sizes[k],
                   mean, sums[k].least, sums[k].count);
        if (!(mean > 35 && sums[k].least > 25)) {
            fprintf(stderr, "size %d: mean %.2f dB, least %.2f dB\n", sizes[k], mean,
                    sums[k].least);
            rc = 1;
        }
    }
    for (size_t k = 0; k < 3; k++)
        cpv_image_worker_close(&w[k]);
    return rc;
}
