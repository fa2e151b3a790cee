/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies through two halves of pinned memory: while the device copies out of one, the
 * host converts into the other.
 */
#include <string.h>

#include <cuda_runtime_api.h>

#include "common/compute/cuda/half.h"
#include "common/compute/cuda/internal.h"

int cpv_cuda_stage_init(struct cpv_cuda_stage *s, int device, struct cpv_err *err)
{
    for (int i = 0; i < 2; i++) {
        cudaError_t e = cudaMallocHost(&s->half[i], CPV_CUDA_STAGE);

        if (e == cudaSuccess)
            e = cudaEventCreateWithFlags(&s->done[i], cudaEventDisableTiming);
        if (e != cudaSuccess)
            return cpv_cuda_fail(err, e, device, "take pinned memory");
    }
    return CPV_OK;
}

void cpv_cuda_stage_release(struct cpv_cuda_stage *s)
{
    for (int i = 0; i < 2; i++) {
        if (s->done[i])
            (void)cudaEventDestroy(s->done[i]);
        if (s->half[i])
            (void)cudaFreeHost(s->half[i]);
        s->done[i] = NULL;
        s->half[i] = NULL;
    }
}

/* A part of a tensor: rows [row, row + rows), columns [col, col + cols). */
struct piece {
    int64_t row, rows, col, cols;
};

/* Without gaps it is one long row. */
static cpv_tensor flat(cpv_tensor t)
{
    if (t.stride == t.cols) {
        t.cols *= t.rows;
        t.rows = 1;
        t.stride = t.cols;
    }
    return t;
}

/* The next piece that fits into a half; false at the end. Start with all zeros. */
static bool next_piece(const cpv_tensor *t, struct piece *p)
{
    int64_t room = CPV_CUDA_STAGE / (int64_t)cpv_dtype_size(t->dtype);

    p->col += p->cols;
    if (p->cols == 0 || p->col == t->cols) {
        p->col = 0;
        p->row += p->rows;
    }
    p->cols = t->cols - p->col < room ? t->cols - p->col : room;
    p->rows = p->cols < t->cols ? 1 : room / t->cols;
    if (p->rows > t->rows - p->row)
        p->rows = t->rows - p->row;
    return p->row < t->rows;
}

static char *place(cpv_tensor t, const struct piece *p)
{
    return (char *)t.data +
           (size_t)(p->row * t.stride + p->col) * cpv_dtype_size(t.dtype);
}

int cpv_cuda_upload(struct cpv_cuda_stage *s, cpv_stream stream, int device,
                    cpv_tensor to, const void *from, struct cpv_err *err)
{
    size_t size = cpv_dtype_size(to.dtype);
    struct piece p = {0};

    to = flat(to);
    while (next_piece(&to, &p)) {
        const char *host = (const char *)from + (size_t)(p.row * to.cols + p.col) * 4;
        void *half = s->half[s->turn];
        cudaError_t e = cudaSuccess;

        if (s->busy[s->turn])
            e = cudaEventSynchronize(s->done[s->turn]);
        if (e == cudaSuccess) {
            cpv_half_from_f32(to.dtype, half, host, (size_t)(p.rows * p.cols));
            e = cudaMemcpy2DAsync(place(to, &p), (size_t)to.stride * size, half,
                                  (size_t)p.cols * size, (size_t)p.cols * size,
                                  (size_t)p.rows, cudaMemcpyHostToDevice, stream);
        }
        if (e == cudaSuccess)
            e = cudaEventRecord(s->done[s->turn], stream);
        if (e != cudaSuccess)
            return cpv_cuda_fail(err, e, device, "copy to it");
        s->busy[s->turn] = true;
        s->turn = !s->turn;
    }
    return CPV_OK;
}

int cpv_cuda_download(struct cpv_cuda_stage *s, cpv_stream stream, int device, void *to,
                      cpv_tensor from, struct cpv_err *err)
{
    size_t size = cpv_dtype_size(from.dtype);
    struct piece p = {0};

    from = flat(from);
    while (next_piece(&from, &p)) {
        char *host = (char *)to + (size_t)(p.row * from.cols + p.col) * 4;
        cudaError_t e;

        e = cudaMemcpy2DAsync(s->half[0], (size_t)p.cols * size, place(from, &p),
                              (size_t)from.stride * size, (size_t)p.cols * size,
                              (size_t)p.rows, cudaMemcpyDeviceToHost, stream);
        if (e == cudaSuccess)
            e = cudaStreamSynchronize(stream);
        if (e != cudaSuccess)
            return cpv_cuda_fail(err, e, device, "copy from it");
        cpv_half_to_f32(from.dtype, host, s->half[0], (size_t)(p.rows * p.cols));
    }
    return CPV_OK;
}
