/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pixels.h. What the keys mean, their defaults and the order of rounding are those of
 * transformers 4.57, models/blip/image_processing_blip.py (the slow class) with
 * image_transforms.py, and of open_clip 3.3.0, transform.py, with torchvision's
 * functional.py (_compute_resized_output_size, center_crop). A value depends on its byte
 * and plane alone: 3 x 256 floats, made once in numpy's steps, are all of the arithmetic;
 * PyTorch's (a division by 255 in f32) give the same ones.
 */
#include "common/model/pixels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"

enum { SIZE_MAX_PX = 1 << 14, SIDE_MAX_PX = 65500 };

struct cpv_pixels_maker {
    cpv_image_worker *image;
    struct cpv_buf columns, resized;
    struct cpv_image_result result; /* holds the words that `detail` shows */
    int size;
    bool crop;
    enum cpv_image_filter filter;
    float value[3][256];
};

/* ---- configuration ---- */

static void defaults(struct cpv_pixels_config *k)
{
    *k = (struct cpv_pixels_config){
        .size = 384,
        .filter = CPV_IMAGE_BICUBIC,
        .mean = {0.48145466F, 0.4578275F, 0.40821073F}, /* OPENAI_CLIP_MEAN, _STD */
        .std = {0.26862954F, 0.26130258F, 0.27577711F},
        .rescale = 1.0 / 255,
    };
}

/* {"height": n, "width": n}, or n. */
static void read_size(const struct cpv_hf_object *o, struct cpv_pixels_config *k)
{
    struct cpv_hf_object s;
    int64_t height;

    if (!cpv_hf_has(o, "size"))
        return;
    if (json_is_integer(cpv_hf_json(o, "size"))) {
        k->size = (int)cpv_hf_int(o, "size", k->size, 1, SIZE_MAX_PX);
        return;
    }
    s = cpv_hf_object(o, "size");
    height = cpv_hf_int(&s, "height", CPV_HF_NEEDED, 1, SIZE_MAX_PX);
    if (cpv_hf_int(&s, "width", CPV_HF_NEEDED, 1, SIZE_MAX_PX) != height)
        cpv_hf_mistake(&s, "width", "the height, %d (pictures become squares)",
                       (int)height);
    k->size = (int)height;
}

/* PIL.Image.Resampling */
static void read_filter(const struct cpv_hf_object *o, struct cpv_pixels_config *k)
{
    int64_t resample = cpv_hf_int(o, "resample", 3, 0, 5);

    if (resample == 1)
        k->filter = CPV_IMAGE_LANCZOS;
    else if (resample != 3)
        cpv_hf_mistake(o, "resample", "3 (bicubic) or 1 (Lanczos), not %d",
                       (int)resample);
}

/* Three numbers, or one for all; numpy rounds them to f32 before it uses them. */
static void read_planes(const struct cpv_hf_object *o, const char *key, double min,
                        float out[3])
{
    double v[3];
    size_t n;

    if (!cpv_hf_has(o, key))
        return;
    n = cpv_hf_reals(o, key, v, 3, min, 1e6);
    if (n == 1 && json_is_number(cpv_hf_json(o, key)))
        v[1] = v[2] = v[0];
    else if (n != 3)
        cpv_hf_mistake(o, key, "three numbers from %g to %g, or one", min, 1e6);
    for (int i = 0; i < 3 && n > 0; i++)
        out[i] = (float)v[i];
}

static void read_config(const struct cpv_hf_object *o, struct cpv_pixels_config *k)
{
    const char *type = cpv_hf_text(o, "image_processor_type", "BlipImageProcessor");

    /* Others crop, pad or keep the ratio by keys that this one passes over. */
    if (strcmp(type, "BlipImageProcessor") != 0 &&
        strcmp(type, "BlipImageProcessorFast") != 0)
        cpv_hf_mistake(o, "image_processor_type", "BlipImageProcessor");
    if (!cpv_hf_bool(o, "do_resize", true))
        cpv_hf_mistake(o, "do_resize", "true");
    read_size(o, k);
    read_filter(o, k);
    k->rescale = cpv_hf_real(o, "rescale_factor", k->rescale, -1e6, 1e6);
    if (!cpv_hf_bool(o, "do_rescale", true))
        k->rescale = 1;
    read_planes(o, "image_mean", -1e6, k->mean);
    read_planes(o, "image_std", 1e-6, k->std);
    if (!cpv_hf_bool(o, "do_normalize", true))
        for (int i = 0; i < 3; i++) {
            k->mean[i] = 0;
            k->std[i] = 1;
        }
}

int cpv_pixels_config_read(struct cpv_pixels_config *out, const char *folder,
                           struct cpv_err *err)
{
    struct cpv_buf path = {0};
    cpv_hf_config *c = NULL;
    struct cpv_hf_object root;
    int rc;

    defaults(out);
    cpv_buf_printf(&path, "%s/preprocessor_config.json", folder);
    rc = cpv_buf_cstr(&path) ? CPV_OK : cpv_fail_memory(err);
    if (!rc)
        rc = cpv_hf_config_open(&c, cpv_buf_cstr(&path), err);
    if (!rc) {
        root = cpv_hf_config_root(c);
        read_config(&root, out);
        rc = cpv_hf_config_check(c, err);
    } else if (rc == CPV_E_ABSENT) {
        rc = CPV_OK;
    }
    cpv_hf_config_close(&c);
    cpv_buf_release(&path);
    return rc;
}

/* One number, or the same one twice. */
static void read_clip_size(const struct cpv_hf_object *o, int image)
{
    int64_t size[2] = {image, image};
    size_t n = cpv_hf_ints(o, "size", size, 2, 1, SIZE_MAX_PX);

    if ((n > 0 && size[0] != image) || (n > 1 && size[1] != image))
        cpv_hf_mistake(o, "size", "%d, as image_size of the tower (found %d)", image,
                       (int)(size[0] == image ? size[1] : size[0]));
}

void cpv_pixels_config_clip(struct cpv_pixels_config *out, const struct cpv_hf_object *o,
                            int image)
{
    static const char *const FILTERS[] = {"bicubic", "random", NULL};
    static const char *const MODES[] = {"shortest", "squash", NULL};

    defaults(out);
    out->size = image;
    read_clip_size(o, image);
    /* `random` draws only for training: else it is bicubic. */
    (void)cpv_hf_word(o, "interpolation", FILTERS, 0);
    out->crop = cpv_hf_word(o, "resize_mode", MODES, 0) == 0;
    if (strcmp(cpv_hf_text(o, "mode", "RGB"), "RGB") != 0)
        cpv_hf_mistake(o, "mode", "RGB");
    read_planes(o, "mean", -1e6, out->mean);
    read_planes(o, "std", 1e-6, out->std);
}

/* ---- pictures ---- */

int cpv_pixels_open(cpv_pixels_maker **out, const struct cpv_pixels_config *config,
                    struct cpv_err *err)
{
    cpv_pixels_maker *p = cpv_calloc(1, sizeof *p);
    int rc;

    *out = NULL;
    if (!p)
        return cpv_fail_memory(err);
    p->size = config->size;
    p->crop = config->crop;
    p->filter = config->filter;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 256; i++) {
            float scaled = (float)(i * config->rescale);

            p->value[k][i] = (scaled - config->mean[k]) / config->std[k];
        }
    rc = cpv_image_worker_open(&p->image, err);
    if (rc)
        cpv_pixels_close(&p);
    *out = p;
    return rc;
}

void cpv_pixels_close(cpv_pixels_maker **pp)
{
    cpv_pixels_maker *p = *pp;

    *pp = NULL;
    if (!p)
        return;
    cpv_image_worker_close(&p->image);
    cpv_buf_release(&p->columns);
    cpv_buf_release(&p->resized);
    cpv_free(p);
}

/*
 * Pillow resizes rows first, but since version 13 columns first where the height loses
 * more than twice as many pixels as the width (python-pillow/Pillow#9549; found by trying
 * sizes). With 8 bits between it is not the same: a few values of a picture in five at
 * 384 differ, by up to 22.
 */
static int resize(cpv_pixels_maker *p, struct cpv_pixels in, uint32_t width,
                  uint32_t height, struct cpv_pixels *out, struct cpv_err *err)
{
    int64_t lower = (int64_t)in.height - height, narrower = (int64_t)in.width - width;
    struct cpv_pixels columns = in;
    int rc = CPV_OK;

    if (lower > 0 && lower > 2 * narrower)
        rc = cpv_image_resize(&in, in.width, height, p->filter, &p->columns, &columns,
                              err);
    if (!rc)
        rc = cpv_image_resize(&columns, width, height, p->filter, &p->resized, out, err);
    return rc;
}

/* The longer side where the shorter one becomes `size`: as Python's int(size * long /
 * short). */
static uint32_t in_ratio(uint32_t size, uint32_t side, uint32_t shorter)
{
    double longer = (double)((uint64_t)size * side) / shorter;

    return longer > SIDE_MAX_PX ? SIDE_MAX_PX + 1 : (uint32_t)longer;
}

/* The middle `size` of a side begins here: half to even, as Python rounds. */
static size_t middle(uint32_t side, uint32_t size)
{
    return (size_t)nearbyint((side - size) / 2.0);
}

/* The picture's square, or status ASPECT. */
static int square(cpv_pixels_maker *p, struct cpv_pixels in, struct cpv_pixels *out,
                  struct cpv_err *err)
{
    uint32_t size = (uint32_t)p->size, width = size, height = size;
    int rc;

    if (p->crop && in.width > in.height)
        width = in_ratio(size, in.width, in.height);
    else if (p->crop)
        height = in_ratio(size, in.height, in.width);
    if (width > SIDE_MAX_PX || height > SIDE_MAX_PX) {
        p->result.status = CPV_IMAGE_ASPECT;
        snprintf(p->result.detail, sizeof p->result.detail,
                 "%u x %u is too narrow to be scaled to %u", in.width, in.height, size);
        return CPV_OK;
    }
    rc = resize(p, in, width, height, out, err);
    if (!rc) {
        out->data += middle(height, size) * out->stride + 3 * middle(width, size);
        out->width = out->height = size;
    }
    return rc;
}

static void to_planes(const cpv_pixels_maker *p, const struct cpv_pixels *in, float *out)
{
    size_t side = (size_t)p->size, plane = side * side;

    for (size_t y = 0; y < side; y++) {
        const uint8_t *row = in->data + y * in->stride;

        for (size_t x = 0; x < side; x++, row += 3, out++)
            for (int k = 0; k < 3; k++)
                out[(size_t)k * plane] = p->value[k][row[k]];
    }
}

int cpv_pixels_make(cpv_pixels_maker *p, struct cpv_bytes file, int64_t max_pixels,
                    float *out, enum cpv_image_status *status, const char **detail,
                    struct cpv_err *err)
{
    struct cpv_pixels upright, resized;
    int rc =
        cpv_image_decode(p->image, file, max_pixels, false, &upright, &p->result, err);

    *status = p->result.status;
    *detail = p->result.detail;
    if (rc || p->result.status != CPV_IMAGE_OK)
        return rc;
    rc = square(p, upright, &resized, err);
    *status = p->result.status;
    if (!rc && *status == CPV_IMAGE_OK)
        to_planes(p, &resized, out);
    return rc;
}
