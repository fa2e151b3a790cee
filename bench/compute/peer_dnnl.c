/* SPDX-License-Identifier: Apache-2.0 */
/* See peer_dnnl.h. Debian: libdnnl-dev (2.6); HAVE_DNNL says that it is there. */
#include "peer_dnnl.h"

#if defined(HAVE_DNNL)
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>

struct peer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t product;
    dnnl_memory_t a, w, c;
};

static void must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    (void)fprintf(stderr, "bench: oneDNN: %s: status %d\n", what, (int)status);
    exit(70);
}

static dnnl_memory_desc_t shape(size_t rows, size_t cols, dnnl_data_type_t type,
                                dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t d;
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};

    must(dnnl_memory_desc_init_by_tag(&d, 2, dims, type, tag), "shape");
    return d;
}

static void pack(struct peer *p, const dnnl_memory_desc_t *from,
                 const dnnl_memory_desc_t *to, void *w)
{
    dnnl_memory_t plain;
    dnnl_primitive_desc_t d;
    dnnl_primitive_t reorder;

    must(dnnl_memory_create(&plain, from, p->engine, w), "weight");
    must(dnnl_memory_create(&p->w, to, p->engine, DNNL_MEMORY_ALLOCATE), "packed weight");
    must(dnnl_reorder_primitive_desc_create(&d, from, p->engine, to, p->engine, NULL),
         "reorder");
    must(dnnl_primitive_create(&reorder, d), "reorder");
    must(dnnl_primitive_execute(
             reorder, p->stream, 2,
             (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, p->w}}),
         "reorder");
    must(dnnl_stream_wait(p->stream), "reorder");
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(d);
    dnnl_memory_destroy(plain);
}

static struct peer *peer_open(size_t m, size_t n, size_t k, void *a, void *w, void *c,
                              const dnnl_data_type_t type[3])
{
    struct peer *p = calloc(1, sizeof *p);
    dnnl_memory_desc_t da = shape(m, k, type[0], dnnl_ab);
    dnnl_memory_desc_t any = shape(k, n, type[1], dnnl_format_tag_any);
    dnnl_memory_desc_t plain = shape(k, n, type[1], dnnl_ba);
    dnnl_memory_desc_t dc = shape(m, n, type[2], dnnl_ab);
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_desc_t d;

    if (!p)
        exit(74);
    must(dnnl_engine_create(&p->engine, dnnl_cpu, 0), "engine");
    must(dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags), "stream");
    must(dnnl_matmul_desc_init(&matmul, &da, &any, NULL, &dc), "matmul");
    must(dnnl_primitive_desc_create(&d, &matmul, NULL, p->engine, NULL), "matmul");
    pack(p, &plain, dnnl_primitive_desc_query_md(d, dnnl_query_weights_md, 0), w);
    must(dnnl_memory_create(&p->a, &da, p->engine, a), "a");
    must(dnnl_memory_create(&p->c, &dc, p->engine, c), "c");
    must(dnnl_primitive_create(&p->product, d), "matmul");
    dnnl_primitive_desc_destroy(d);
    return p;
}

struct peer *peer_open_f32(size_t m, size_t n, size_t k, float *a, float *w, float *c)
{
    return peer_open(m, n, k, a, w, c,
                     (dnnl_data_type_t[]){dnnl_f32, dnnl_f32, dnnl_f32});
}

struct peer *peer_open_u8s8(size_t m, size_t n, size_t k, uint8_t *a, int8_t *w,
                            int32_t *c)
{
    return peer_open(m, n, k, a, w, c, (dnnl_data_type_t[]){dnnl_u8, dnnl_s8, dnnl_s32});
}

void peer_run(void *peer)
{
    struct peer *p = peer;

    must(dnnl_primitive_execute(p->product, p->stream, 3,
                                (dnnl_exec_arg_t[]){{DNNL_ARG_SRC, p->a},
                                                    {DNNL_ARG_WEIGHTS, p->w},
                                                    {DNNL_ARG_DST, p->c}}),
         "matmul");
}

void peer_close(struct peer *p)
{
    if (!p)
        return;
    dnnl_primitive_destroy(p->product);
    dnnl_memory_destroy(p->a);
    dnnl_memory_destroy(p->w);
    dnnl_memory_destroy(p->c);
    dnnl_stream_destroy(p->stream);
    dnnl_engine_destroy(p->engine);
    free(p);
}

#else

struct peer *peer_open_f32(size_t m, size_t n, size_t k, float *a, float *w, float *c)
{
    (void)m, (void)n, (void)k, (void)a, (void)w, (void)c;
    return NULL;
}

struct peer *peer_open_u8s8(size_t m, size_t n, size_t k, uint8_t *a, int8_t *w,
                            int32_t *c)
{
    (void)m, (void)n, (void)k, (void)a, (void)w, (void)c;
    return NULL;
}

void peer_run(void *peer)
{
    (void)peer;
}

void peer_close(struct peer *p)
{
    (void)p;
}

#endif
