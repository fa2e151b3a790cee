/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The emulator's cuBLASLt: products of every type, transpose and epilogue against an
 * evaluation in double, and what it must refuse.
 */
#include <cublasLt.h>

#include "tests/emu/selftest.h"

static const uint64_t WORKSPACE = 1 << 20;

struct problem {
    int m, n, k;
    bool ta, tb;
    float alpha, beta;
    cublasLtEpilogue_t epilogue;
    int pad; /* added to each leading dimension */
    int batch;
};

static void lt(cublasStatus_t s, const char *what)
{
    if (s == CUBLAS_STATUS_SUCCESS)
        return;
    std::printf("FAIL %s: %s\n", what, cublasLtGetStatusName(s));
    std::exit(1);
}

template <class T> struct type_of;
template <> struct type_of<float> {
    static const cudaDataType value = CUDA_R_32F;
};
template <> struct type_of<__half> {
    static const cudaDataType value = CUDA_R_16F;
};
template <> struct type_of<__nv_bfloat16> {
    static const cudaDataType value = CUDA_R_16BF;
};

/* A column-major matrix of a batch, its place on the device, and its layout. */
template <class T> struct matrix {
    int rows, cols, ld, batch;
    std::vector<T> values;
    device_array<T> there;
    cublasLtMatrixLayout_t layout;

    matrix(int rows_, int cols_, int pad, int batch_, float step)
        : rows(rows_), cols(cols_), ld(rows_ + pad), batch(batch_),
          values(waves<T>(static_cast<size_t>(ld) * cols * batch, step, 1)), there(values)
    {
        int64_t stride = static_cast<int64_t>(ld) * cols;
        lt(cublasLtMatrixLayoutCreate(&layout, type_of<T>::value,
                                      static_cast<uint64_t>(rows),
                                      static_cast<uint64_t>(cols), ld),
           "a layout");
        lt(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                            &batch, sizeof batch),
           "the batch's size");
        lt(cublasLtMatrixLayoutSetAttribute(layout,
                                            CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                            &stride, sizeof stride),
           "the batch's stride");
    }
    ~matrix()
    {
        (void)cublasLtMatrixLayoutDestroy(layout);
    }
    matrix(const matrix &) = delete;
    matrix &operator=(const matrix &) = delete;

    size_t place(int z, int row, int col) const
    {
        return static_cast<size_t>(z * cols + col) * static_cast<size_t>(ld) +
               static_cast<size_t>(row);
    }
    double at(int z, int row, int col) const
    {
        return cpv_to_float(values[place(z, row, col)]);
    }
    void set_ld(int64_t to)
    {
        lt(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_LD, &to,
                                            sizeof to),
           "a leading dimension");
    }
};

static double gelu(double x)
{
    return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static double gelu_slope(double x)
{
    double h = 1e-5;

    return (gelu(x + h) - gelu(x - h)) / (2 * h);
}

template <class V>
static void attribute(cublasLtMatmulDesc_t o, cublasLtMatmulDescAttributes_t which,
                      V value)
{
    lt(cublasLtMatmulDescSetAttribute(o, which, &value, sizeof value), "an attribute");
}

template <class T> static cublasLtMatmulDesc_t describe(const problem &p, T *bias, T *aux)
{
    cublasLtMatmulDesc_t o;
    int32_t op = CUBLAS_OP_T;

    lt(cublasLtMatmulDescCreate(&o, CUBLAS_COMPUTE_32F, CUDA_R_32F), "an operation");
    if (p.ta)
        attribute(o, CUBLASLT_MATMUL_DESC_TRANSA, op);
    if (p.tb)
        attribute(o, CUBLASLT_MATMUL_DESC_TRANSB, op);
    attribute(o, CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
    if (bias)
        attribute(o, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    if (aux) {
        attribute(o, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
        attribute(o, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD,
                  static_cast<int64_t>((p.m + 7) / 8 * 8));
    }
    return o;
}

/* Everything that one product needs, so that tests can bend a part of it. */
template <class T, class Out> struct product {
    problem p;
    matrix<T> a, b;
    matrix<Out> c, d;
    std::vector<Out> bias, aux;
    device_array<Out> bias_there, aux_there;
    device_array<unsigned char> workspace;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;

    explicit product(const problem &q)
        : p(q), a(q.ta ? q.k : q.m, q.ta ? q.m : q.k, q.pad, q.batch, 0.3f),
          b(q.tb ? q.n : q.k, q.tb ? q.k : q.n, q.pad, q.batch, 0.7f),
          c(q.m, q.n, q.pad, q.batch, 0.13f), d(q.m, q.n, 2 * q.pad, q.batch, 0),
          bias(waves<Out>(static_cast<size_t>(q.m), 0.9f, 1)),
          aux(waves<Out>(static_cast<size_t>((q.m + 7) / 8 * 8 * q.n), 0.17f, 2)),
          bias_there(bias), aux_there(aux),
          workspace(std::vector<unsigned char>(WORKSPACE))
    {
        lt(cublasLtCreate(&handle), "a handle");
        operation = describe(p, bias_there.p, aux_there.p);
    }
    ~product()
    {
        (void)cublasLtMatmulDescDestroy(operation);
        (void)cublasLtDestroy(handle);
    }
    product(const product &) = delete;
    product &operator=(const product &) = delete;

    cublasStatus_t choose(cublasLtMatmulHeuristicResult_t *out)
    {
        cublasLtMatmulPreference_t preference;
        int n = 0;
        lt(cublasLtMatmulPreferenceCreate(&preference), "a preference");
        lt(cublasLtMatmulPreferenceSetAttribute(preference,
                                                CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                &WORKSPACE, sizeof WORKSPACE),
           "a preference");
        cublasStatus_t s =
            cublasLtMatmulAlgoGetHeuristic(handle, operation, a.layout, b.layout,
                                           c.layout, d.layout, preference, 1, out, &n);
        (void)cublasLtMatmulPreferenceDestroy(preference);
        return s == CUBLAS_STATUS_SUCCESS && n != 1 ? CUBLAS_STATUS_NOT_SUPPORTED : s;
    }
    cublasStatus_t multiply(const cublasLtMatmulAlgo_t *algo, size_t bytes)
    {
        return cublasLtMatmul(handle, operation, &p.alpha, a.there.p, a.layout, b.there.p,
                              b.layout, &p.beta, c.there.p, c.layout, d.there.p, d.layout,
                              algo, workspace.p, bytes, nullptr);
    }
    double sum(int z, int i, int j) const
    {
        double s = 0;
        for (int k = 0; k < p.k; k++)
            s += (p.ta ? a.at(z, k, i) : a.at(z, i, k)) *
                 (p.tb ? b.at(z, j, k) : b.at(z, k, j));
        return p.alpha * s + p.beta * c.at(z, i, j);
    }
    double expected(int z, int i, int j, double *before) const
    {
        int e = p.epilogue;
        double s = sum(z, i, j);
        if (e & CUBLASLT_EPILOGUE_BIAS)
            s += cpv_to_float(bias[static_cast<size_t>(i)]);
        *before = s;
        if (e & CUBLASLT_EPILOGUE_RELU)
            s = s > 0 ? s : 0;
        if (e & CUBLASLT_EPILOGUE_GELU)
            s = gelu(s);
        if ((e & CUBLASLT_EPILOGUE_DGELU) == CUBLASLT_EPILOGUE_DGELU)
            s *= gelu_slope(
                cpv_to_float(aux[static_cast<size_t>((p.m + 7) / 8 * 8 * j + i)]));
        return s;
    }
};

/* Rows of d that are padding hold what they held. */
template <class T, class Out> static int test(const problem &p, double tolerance)
{
    product<T, Out> x(p);
    cublasLtMatmulHeuristicResult_t choice;
    std::vector<double> want, want_aux(x.aux.size()), gradient(static_cast<size_t>(p.m));
    char name[128];
    int failed;

    (void)std::snprintf(name, sizeof name, "%dx%dx%d %c%c types %d %d epilogue %d", p.m,
                        p.n, p.k, p.ta ? 'T' : 'N', p.tb ? 'T' : 'N', type_of<T>::value,
                        type_of<Out>::value, p.epilogue);
    lt(x.choose(&choice), name);
    lt(x.multiply(&choice.algo, choice.workspaceSize), name);
    for (const Out &v : x.d.values)
        want.push_back(cpv_to_float(v));
    for (size_t i = 0; i < x.aux.size(); i++)
        want_aux[i] = cpv_to_float(x.aux[i]);
    for (int z = 0; z < p.batch; z++)
        for (int j = 0; j < p.n; j++)
            for (int i = 0; i < p.m; i++) {
                double before, v = x.expected(z, i, j, &before);
                want[x.d.place(z, i, j)] = v;
                gradient[static_cast<size_t>(i)] += v;
                if ((p.epilogue & CUBLASLT_EPILOGUE_GELU_AUX) ==
                    CUBLASLT_EPILOGUE_GELU_AUX)
                    want_aux[static_cast<size_t>((p.m + 7) / 8 * 8 * j + i)] = before;
            }
    failed = compare(name, x.d.there.host(), want, tolerance);
    failed |= compare("its auxiliary matrix", x.aux_there.host(), want_aux, tolerance);
    if (p.epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD)
        failed |= compare("its gradient", x.bias_there.host(), gradient, tolerance * p.n);
    return failed;
}

/* The bias's gradient, out of a factor. */
static int test_factor_gradient(bool of_a)
{
    problem p = {9,     9, 17, true,
                 false, 1, 0,  of_a ? CUBLASLT_EPILOGUE_BGRADA : CUBLASLT_EPILOGUE_BGRADB,
                 1,     1};
    product<float, float> x(p);
    std::vector<double> want(9);

    lt(x.multiply(nullptr, 0), "a gradient");
    for (int i = 0; i < 9; i++)
        for (int k = 0; k < p.k; k++)
            want[static_cast<size_t>(i)] += of_a ? x.a.at(0, k, i) : x.b.at(0, k, i);
    return compare(of_a ? "gradient of A" : "gradient of B", x.bias_there.host(), want,
                   1e-5);
}

static int test_products(bool bfloat16)
{
    const cublasLtEpilogue_t all[] = {
        CUBLASLT_EPILOGUE_DEFAULT,  CUBLASLT_EPILOGUE_RELU,
        CUBLASLT_EPILOGUE_BIAS,     CUBLASLT_EPILOGUE_RELU_BIAS,
        CUBLASLT_EPILOGUE_GELU,     CUBLASLT_EPILOGUE_GELU_BIAS,
        CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
        CUBLASLT_EPILOGUE_DGELU,    CUBLASLT_EPILOGUE_DGELU_BGRAD,
    };
    int failed = 0;

    for (int turn = 0; turn < 4; turn++) {
        problem p = {13,
                     6,
                     21,
                     (turn & 1) != 0,
                     (turn & 2) != 0,
                     0.5f,
                     2,
                     CUBLASLT_EPILOGUE_DEFAULT,
                     turn,
                     1 + turn % 2};
        failed |= test<float, float>(p, 1e-5);
        failed |= test<__half, __half>(p, 6e-3);
        if (bfloat16)
            failed |= test<__nv_bfloat16, float>(p, 1e-5);
    }
    for (cublasLtEpilogue_t e : all) {
        problem p = {17, 5, 33, true, false, 1, 0, e, 3, 1};
        failed |= test<float, float>(p, 1e-4);
        failed |= test<__half, __half>(p, 2e-2);
        if (bfloat16)
            failed |= test<__nv_bfloat16, __nv_bfloat16>(p, 2e-1);
    }
    failed |= test<float, float>({1, 1, 1, false, false, 1, 0, all[0], 0, 1}, 1e-6);
    failed |= test_factor_gradient(true);
    failed |= test_factor_gradient(false);
    return failed;
}

static int test_refusals(bool bfloat16)
{
    problem p = {8, 4, 16, true, false, 1, 0, CUBLASLT_EPILOGUE_DEFAULT, 0, 1};
    cublasLtMatmulHeuristicResult_t r;
    int failed = 0;

    for (int which = 0; which < 4; which++) {
        product<float, float> x(p);
        cublasLtMatrixLayout_t l[] = {x.a.layout, x.b.layout, x.c.layout, x.d.layout};
        int64_t less = which < 2 ? 15 : 7;
        lt(cublasLtMatrixLayoutSetAttribute(l[which], CUBLASLT_MATRIX_LAYOUT_LD, &less,
                                            sizeof less),
           "a leading dimension");
        failed |= expect("a small leading dimension is refused",
                         x.multiply(nullptr, 0) == CUBLAS_STATUS_INVALID_VALUE &&
                             x.choose(&r) == CUBLAS_STATUS_INVALID_VALUE);
    }
    product<float, float> x(p);
    int64_t wide = 0;
    failed |= expect(
        "an attribute of another size is refused",
        cublasLtMatmulDescSetAttribute(x.operation, CUBLASLT_MATMUL_DESC_TRANSA, &wide,
                                       sizeof wide) == CUBLAS_STATUS_INVALID_VALUE);
    failed |= expect("an unknown attribute is refused",
                     cublasLtMatmulDescSetAttribute(
                         x.operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &wide,
                         sizeof wide) == CUBLAS_STATUS_NOT_SUPPORTED);
    lt(x.choose(&r), "the heuristic");
    failed |= expect("a workspace that is too small is refused",
                     r.workspaceSize > 0 && x.multiply(&r.algo, r.workspaceSize - 1) ==
                                                CUBLAS_STATUS_INVALID_VALUE);
    attribute(x.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU_AUX);
    failed |= expect("an epilogue that is not ours is refused",
                     x.multiply(nullptr, 0) == CUBLAS_STATUS_NOT_SUPPORTED);
    product<__nv_bfloat16, float> y(p);
    failed |= expect("bfloat16 needs sm_80",
                     (y.multiply(nullptr, 0) == CUBLAS_STATUS_SUCCESS) == bfloat16);
    product<__half, __nv_bfloat16> z(p);
    failed |= expect("types that do not go together are refused",
                     z.multiply(nullptr, 0) == CUBLAS_STATUS_NOT_SUPPORTED);
    return failed;
}

/* One wrong call, as it would stand in the product: checked like every other. */
static int test_planted()
{
    problem p = {8, 4, 16, true, false, 1, 0, CUBLASLT_EPILOGUE_DEFAULT, 0, 1};
    product<float, float> x(p);
    cublasLtMatmulHeuristicResult_t r = {};

    lt(x.choose(&r), "the heuristic");
    if (PLANTED == small_ld)
        x.a.set_ld(8);
    if (PLANTED == large_ld)
        x.b.set_ld(24);
    lt(x.multiply(&r.algo, PLANTED == no_workspace ? 0 : r.workspaceSize),
       "cublasLtMatmul");
    must(cudaDeviceSynchronize(), "cublasLtMatmul");
    return 0;
}

int main()
{
    int failed = 0, major = 0;

    need_device();
    must(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0),
         "the device");
    failed |= test_planted();
    failed |= test_products(major >= 8);
    failed |= test_refusals(major >= 8);
    return failed;
}
