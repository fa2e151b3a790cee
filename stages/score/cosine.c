/* SPDX-License-Identifier: Apache-2.0 */
/* The similarity of an image and its captions, and how it is written. */
#include <math.h>
#include <stdio.h>

#include "common/format/json.h"
#include "stages/score/score.h"

/* Neither is quite of length 1: the image's was rounded to float16. */
float cosine(const float *a, const float *b, int n)
{
    double ab = 0, aa = 0, bb = 0, c;

    for (int i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    c = ab / sqrt(aa * bb);
    return (float)(c > 1 ? 1 : c < -1 ? -1 : c);
}

void cosine_json(const float *image, int dim, const struct text *t, size_t n,
                 const char *lang, struct cpv_buf *out)
{
    struct cpv_json j;
    char key[80];

    (void)snprintf(key, sizeof key, "similarities-%.60s", lang);
    cpv_json_init(&j, out);
    cpv_json_begin_object(&j);
    cpv_json_key(&j, key);
    cpv_json_begin_array(&j);
    for (size_t i = 0; i < n; i++) {
        double v = t[i].vector ? (double)cosine(image, t[i].vector, dim) : (double)NAN;

        /* -0.0000001 would be -0.000000 */
        cpv_json_real6(&j, fabs(v) < 0.5e-6 ? 0 : v);
    }
    cpv_json_end_array(&j);
    cpv_json_end_object(&j);
}
