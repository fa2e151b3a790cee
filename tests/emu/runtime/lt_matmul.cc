/* SPDX-License-Identifier: Apache-2.0 */
/*
 * D = epilogue(alpha * op(A) * op(B) + beta * C), sums in f32 along K in order, rounded
 * once when stored. Both factors are first written out as floats, so that types, orders
 * and transposes are one conversion and not part of the inner loop.
 */
#include <algorithm>
#include <cmath>

#include "lt.h"

namespace emu
{

static const size_t TILE_M = 8, TILE_N = 4;

typedef float lanes4 __attribute__((vector_size(16)));

static const float *half_table()
{
    static float table[1 << 16];
    static bool ready;

    for (uint32_t i = 0; !ready && i < 1 << 16; i++) {
        __half_raw raw;
        raw.x = static_cast<unsigned short>(i);
        table[i] = __half2float(__half(raw));
    }
    ready = true;
    return table;
}

static float load(const void *p, uint32_t type, size_t i)
{
    uint32_t bits;
    float f;

    if (type == CUDA_R_32F)
        return static_cast<const float *>(p)[i];
    bits = static_cast<const uint16_t *>(p)[i];
    if (type == CUDA_R_16F)
        return half_table()[bits];
    bits <<= 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void store(void *p, uint32_t type, size_t i, float value)
{
    if (type == CUDA_R_32F)
        static_cast<float *>(p)[i] = value;
    else if (type == CUDA_R_16F)
        static_cast<__half *>(p)[i] = __float2half(value);
    else
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16(value);
}

static size_t place(const lt_layout &l, size_t row, size_t column)
{
    size_t ld = static_cast<size_t>(l.ld);

    return l.order == CUBLASLT_ORDER_ROW ? row * ld + column : column * ld + row;
}

static const void *batch_of(const lt_layout &l, const void *p, int z)
{
    return static_cast<const char *>(p) +
           z * l.stride * static_cast<int64_t>(lt_type_size(l.type));
}

/* Bytes from the first element of one matrix to the end of its last. */
static size_t extent(const lt_layout &l)
{
    return (place(l, l.rows - 1, l.cols - 1) + 1) * lt_type_size(l.type);
}

/* A factor as panels of `height` rows of the result's index, [panel][k][height], the last
   one padded with zeros. `turned`: that index runs over the matrix's columns. */
static void pack(const lt_layout &l, const void *p, bool turned, size_t height,
                 std::vector<float> *out)
{
    size_t n = turned ? l.cols : l.rows, depth = turned ? l.rows : l.cols;

    out->assign((n + height - 1) / height * height * depth, 0.0f);
    for (size_t i = 0; i < n; i++) {
        float *to = out->data() + i / height * height * depth + i % height;
        for (size_t k = 0; k < depth; k++)
            to[k * height] = load(p, l.type, turned ? place(l, k, i) : place(l, i, k));
    }
}

/* One tile of sums: columns of TILE_M. */
static void multiply(const float *a, const float *b, size_t depth, float *out)
{
    lanes4 sum[TILE_N][2] = {};

    for (size_t k = 0; k < depth; k++, a += TILE_M, b += TILE_N) {
        lanes4 low, high;
        memcpy(&low, a, sizeof low);
        memcpy(&high, a + 4, sizeof high);
        for (size_t j = 0; j < TILE_N; j++) {
            sum[j][0] += low * b[j];
            sum[j][1] += high * b[j];
        }
    }
    memcpy(out, sum, sizeof sum);
}

static float gelu(float x)
{
    return 0.5f * x * (1 + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
}

static float gelu_slope(float x)
{
    float t = std::tanh(0.7978845608f * (x + 0.044715f * x * x * x));

    return 0.5f * (1 + t) +
           0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * x * x);
}

struct matmul {
    lt_problem p;
    float alpha, beta;
    const void *a, *b, *c;
    void *d;
    void *workspace;
    size_t workspace_size;

    void run() const;

  private:
    void run_batch(int z) const;
    float finish(int z, size_t row, size_t column, float sum) const;
    void reduce_factor(int z, bool of_a) const;
    void check() const;
};

/* The epilogue of one element; `sum` is alpha * op(A) * op(B) + beta * C. */
float matmul::finish(int z, size_t row, size_t column, float sum) const
{
    const lt_operation &o = p.operation;
    size_t at =
        static_cast<size_t>(z * o.aux_stride + o.aux_ld * static_cast<int64_t>(column)) +
        row;

    if (o.epilogue & CUBLASLT_EPILOGUE_BIAS)
        sum += load(o.bias, p.d.type, static_cast<size_t>(z * o.bias_stride) + row);
    if (o.epilogue & CUBLASLT_EPILOGUE_RELU)
        sum = sum > 0 ? sum : 0;
    if (o.epilogue & CUBLASLT_EPILOGUE_GELU) {
        if (o.epilogue & 128)
            store(o.aux, p.d.type, at, sum);
        sum = gelu(sum);
    }
    if (o.epilogue & 64) /* DGELU */
        sum *= gelu_slope(load(o.aux, p.d.type, at));
    return sum;
}

void matmul::run_batch(int z) const
{
    const lt_operation &o = p.operation;
    const void *c_z = batch_of(p.c, c, z);
    void *d_z = const_cast<void *>(batch_of(p.d, d, z));
    std::vector<float> pa, pb, gradient(p.m, 0.0f);
    float tile[TILE_N * TILE_M];

    pack(p.a, batch_of(p.a, a, z), o.trans_a != CUBLAS_OP_N, TILE_M, &pa);
    pack(p.b, batch_of(p.b, b, z), o.trans_b == CUBLAS_OP_N, TILE_N, &pb);
    for (size_t n = 0; n < p.n; n += TILE_N)
        for (size_t m = 0; m < p.m; m += TILE_M) {
            multiply(&pa[m * p.k], &pb[n * p.k], p.k, tile);
            for (size_t j = n; j < std::min(n + TILE_N, p.n); j++)
                for (size_t i = m; i < std::min(m + TILE_M, p.m); i++) {
                    float sum = alpha * tile[(j - n) * TILE_M + i - m];
                    if (beta != 0)
                        sum += beta * load(c_z, p.c.type, place(p.c, i, j));
                    sum = finish(z, i, j, sum);
                    gradient[i] += sum;
                    store(d_z, p.d.type, place(p.d, i, j), sum);
                }
        }
    if (o.epilogue & 16) /* BGRAD */
        for (size_t i = 0; i < p.m; i++)
            store(const_cast<void *>(o.bias), p.d.type,
                  static_cast<size_t>(z * o.bias_stride) + i, gradient[i]);
}

/* BGRADA and BGRADB: a factor summed along K. */
void matmul::reduce_factor(int z, bool of_a) const
{
    const lt_operation &o = p.operation;
    const lt_layout &l = of_a ? p.a : p.b;
    const void *from = batch_of(l, of_a ? a : b, z);
    bool turned = of_a ? o.trans_a != CUBLAS_OP_N : o.trans_b == CUBLAS_OP_N;
    size_t n = of_a ? p.m : p.n;

    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t k = 0; k < p.k; k++)
            sum += load(from, l.type, turned ? place(l, k, i) : place(l, i, k));
        store(const_cast<void *>(o.bias), p.d.type,
              static_cast<size_t>(z * o.bias_stride) + i, sum);
    }
}

/* A leading dimension that is too large is in order for cuBLASLt, which knows no
   allocation; here it ends beyond one. */
void matmul::check() const
{
    const lt_operation &o = p.operation;
    size_t element = lt_type_size(p.d.type);
    size_t bias_length = o.epilogue == CUBLASLT_EPILOGUE_BGRADB ? p.n : p.m;

    for (int z = 0; z < p.d.batch; z++) {
        need_device(batch_of(p.a, a, z), extent(p.a), "cublasLtMatmul: matrix A");
        need_device(batch_of(p.b, b, z), extent(p.b), "cublasLtMatmul: matrix B");
        if (beta != 0)
            need_device(batch_of(p.c, c, z), extent(p.c), "cublasLtMatmul: matrix C");
        need_device(batch_of(p.d, d, z), extent(p.d), "cublasLtMatmul: matrix D");
        if (o.epilogue & (4 | 16 | 256 | 512))
            need_device(static_cast<const char *>(o.bias) +
                            z * o.bias_stride * static_cast<int64_t>(element),
                        bias_length * element, "cublasLtMatmul: the bias");
        if (o.epilogue & 128)
            need_device(static_cast<char *>(o.aux) +
                            z * o.aux_stride * static_cast<int64_t>(element),
                        (static_cast<size_t>(o.aux_ld) * (p.n - 1) + p.m) * element,
                        "cublasLtMatmul: the auxiliary matrix");
    }
    need_device(workspace, workspace_size, "cublasLtMatmul: the workspace");
}

void matmul::run() const
{
    check();
    if (workspace_size)
        memset(workspace, 0xff, workspace_size);
    for (int z = 0; z < p.d.batch; z++) {
        run_batch(z);
        if (p.operation.epilogue == CUBLASLT_EPILOGUE_BGRADA ||
            p.operation.epilogue == CUBLASLT_EPILOGUE_BGRADB)
            reduce_factor(z, p.operation.epilogue == CUBLASLT_EPILOGUE_BGRADA);
    }
}

static cublasStatus_t check_pointers(const matmul &m)
{
    const lt_operation &o = m.p.operation;
    bool bias = o.epilogue & (4 | 16 | 256 | 512), auxiliary = o.epilogue & 128;
    size_t mask = lt_type_size(m.p.d.type) - 1;

    if (!m.a || !m.b || !m.d || (!m.c && m.beta != 0) || (bias && !o.bias) ||
        (auxiliary && !o.aux))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (reinterpret_cast<uintptr_t>(m.d) & mask)
        return CUBLAS_STATUS_INVALID_VALUE;
    /* In place only with one layout. */
    if (m.c == m.d && m.beta != 0 && memcmp(&m.p.c, &m.p.d, sizeof m.p.c))
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

} /* namespace emu */

using namespace emu;

extern "C" cublasStatus_t
cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha,
               const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
               cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
               cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
               const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_size,
               cudaStream_t stream)
{
    guard g(lock());
    lt_algorithm algorithm = {};
    matmul m = {};
    size_t needed = 0;
    cublasStatus_t s;

    if (!lt_is_handle(handle) || !alpha || !beta)
        return CUBLAS_STATUS_INVALID_VALUE;
    if ((s = lt_examine(operation, a_layout, b_layout, c_layout, d_layout, &m.p)))
        return s;
    memcpy(&m.alpha, alpha, sizeof m.alpha);
    memcpy(&m.beta, beta, sizeof m.beta);
    m.a = a;
    m.b = b;
    m.c = c;
    m.d = d;
    if ((s = check_pointers(m)))
        return s;
    if (algo) {
        if (!lt_algorithm_of(algo, &algorithm))
            return CUBLAS_STATUS_INVALID_VALUE;
        needed = lt_workspace_of(algorithm);
    }
    if (needed && (!workspace || workspace_size < needed))
        return CUBLAS_STATUS_INVALID_VALUE;
    m.workspace = workspace;
    m.workspace_size = needed;
    enqueue(stream, [m] { m.run(); });
    return CUBLAS_STATUS_SUCCESS;
}
